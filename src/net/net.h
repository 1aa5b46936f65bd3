/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams for reactors. What uses a stream does not know what carries it: kernel TCP, or TLS
 * on it (net/tls.h); a user-space stack would go behind the same interface.
 *
 * Threading: a stream and a listener belong to one reactor. A new stream belongs to none until
 * net_stream_attach(): it may be handed to another reactor by a message before that.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"
#include "reactor/io.h"
#include "reactor/reactor.h"

/* --- addresses ------------------------------------------------------------------------------ */

struct net_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

#define NET_ADDR_TEXT 64

/**
 * net_addr_parse() - a numeric IPv4 or IPv6 address and port, no look-up
 * @host: "127.0.0.1", "::1" (no brackets)
 * @port: "4420"; "0" lets the kernel choose
 */
int net_addr_parse(struct net_addr *addr, const char *host, const char *port, struct error *err);
/** net_addr_host() - the numeric address without brackets; net_addr_port() - the port */
void net_addr_host(const struct net_addr *addr, char *buf, size_t size);
uint16_t net_addr_port(const struct net_addr *addr);
/** net_addr_text() - "127.0.0.1:4420", "[::1]:4420" */
void net_addr_text(const struct net_addr *addr, char *buf, size_t size);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);

/* --- streams -------------------------------------------------------------------------------- */

struct net_stream;

/**
 * struct net_send - bytes to go out; embedded in what they are about
 * @iov, @iovcnt: the bytes, at least one; both must stay until @done
 * @done: called once, later: 0 when the kernel has taken every byte, or a negative errno; in the
 *        order of sending
 *
 * @next and @sent are the stream's.
 */
struct net_send {
	struct iovec *iov;
	uint32_t iovcnt;
	void (*done)(struct net_send *send, int result);
	struct net_send *next;
	size_t sent;
};

/**
 * struct net_stream_ops - what a stream tells its user
 * @data: bytes arrived. Returns how many of them were taken; fewer than @len means "no more now":
 * the stream keeps the rest and calls again after net_stream_resume(). While it waits it reads
 *        nothing, so the peer is slowed down; only a reset of the connection is noticed.
 * net_stream_read_into() inside @data takes over from the first byte that was not taken.
 * @closed: the peer closed (0, or -ECONNRESET), or the stream broke (another errno); once. The
 *          user still owns the stream and ends it with net_stream_close() or net_stream_abort().
 */
struct net_stream_ops {
	size_t (*data)(struct net_stream *stream, void *user, const uint8_t *data, size_t len);
	void (*closed)(struct net_stream *stream, void *user, int reason);
};

/** net_stream_attach() - start to use a stream on this reactor; bytes come from the next turn on.
 * Once in a stream's life; before it, only net_stream_close(), net_stream_abort() (@released gets
 * NULL) and the addresses may be used. */
void net_stream_attach(struct net_stream *stream, const struct net_stream_ops *ops, void *user);
void *net_stream_user(const struct net_stream *stream);

/** net_stream_send() - queue bytes; everything queued in a turn goes out in one gathered send */
void net_stream_send(struct net_stream *stream, struct net_send *send);
/** net_stream_unsent() - bytes that are queued and that the kernel has not taken yet */
size_t net_stream_unsent(const struct net_stream *stream);

/**
 * struct net_read - the next bytes of a stream go to a place of the user's
 * @iov, @iovcnt: the place, filled in full; both must stay until @done
 * @done: called once, later or when the stream breaks: 0, or a negative errno. Then @data goes on.
 *
 * Large remainders are received straight into the place, without a copy.
 */
struct net_read {
	struct iovec *iov;
	uint32_t iovcnt;
	void (*done)(struct net_read *read, int result);
	size_t filled;
};

/** net_stream_read_into() - one at a time; inside @data or its @done, or while reading is stopped
 */
void net_stream_read_into(struct net_stream *stream, struct net_read *read);
/** net_stream_resume() - the user can take bytes again; @data is called from the next turn on */
void net_stream_resume(struct net_stream *stream);

/**
 * net_stream_close() - orderly: what is queued goes out, then the stream ends
 * net_stream_abort() - at once: a reset where there are bytes under way
 * @released: called once, later, when the stream is gone and all sends and reads were answered
 *            (-ECANCELED); the user's object may go then. May be NULL.
 *
 * No call of the ops follows either of them. A close may be followed by an abort, whose @released,
 * unless NULL, takes the place of the first. An orderly close that the peer does not follow within
 * NET_CLOSE_TIMEOUT_MS becomes an abort.
 */
#define NET_CLOSE_TIMEOUT_MS 2000
void net_stream_close(struct net_stream *stream, void (*released)(void *user));
void net_stream_abort(struct net_stream *stream, void (*released)(void *user));

void net_stream_local_addr(const struct net_stream *stream, struct net_addr *addr);
void net_stream_peer_addr(const struct net_stream *stream, struct net_addr *addr);

/* --- making streams ------------------------------------------------------------------------- */

/**
 * struct net_connect - a connection being made
 * @done: 0 with @stream set (the caller's, not attached), or a negative errno; within @timeout_ms
 */
struct net_connect {
	struct net_addr addr;
	bool has_source; /* bind to @source first */
	struct net_addr source;
	uint32_t timeout_ms;
	struct net_stream *stream;
	void (*done)(struct net_connect *connect, int result);
	void *priv; /* the caller's */

	/* The rest is net's. */
	struct reactor_io io;
	struct reactor_timer timer;
	struct reactor_msg msg;
	int fd;
	int result;
	bool timed_out;
	bool cancelled;
};

void net_connect_start(struct net_connect *connect);
/** net_connect_cancel() - @done is still called, later, with -ECANCELED or what it came to */
void net_connect_cancel(struct net_connect *connect);

struct net_listener;

/**
 * net_listen() - accept connections on this reactor
 * @addr: its port 0 lets the kernel choose; see net_listener_addr()
 * @accepted: called with each new stream (not attached), which the callee owns
 *
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, ... with @err filled.
 */
int net_listen(const struct net_addr *addr, int backlog,
	       void (*accepted)(struct net_listener *listener, void *user,
				struct net_stream *stream),
	       void *user, struct net_listener **listener, struct error *err);
void net_listener_addr(const struct net_listener *listener, struct net_addr *addr);
/** net_listener_close() - no call of @accepted follows; @released is called once, later */
void net_listener_close(struct net_listener *listener, void (*released)(void *user));

#endif

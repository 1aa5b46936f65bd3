/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the net room share: the stream over kernel TCP.
 *
 * Threading: as net.h says.
 */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "base/container_of.h"
#include "base/log.h"
#include "net/net.h"
#include "reactor/io.h"
#include "reactor/reactor.h"

LOG_FLAG_DECLARE(net);

/* One gathered send is at most this; then what is done is told, and buffers become free again. */
#define SEND_BYTES_MAX (1024u * 1024)
#define SEND_IOV_START 32u
#define SEND_IOV_MAX   1024u /* IOV_MAX */
/*
 * From this many missing bytes on, the multishot receive is stopped and the rest is received in
 * place: three more operations and a turn instead of a copy, which costs less up to about here.
 */
#define READ_DIRECT_MIN	 (64u * 1024)
#define READ_DIRECT_IOVS 16u

/** struct held - bytes that arrived and that nobody has taken yet */
struct held {
	struct held *next;
	size_t len;
	size_t taken;
	uint8_t data[];
};

/** enum net_receiving - what the reactor does for the stream's receiving side */
enum net_receiving {
	NET_RECEIVING_OFF,
	NET_RECEIVING_MULTI,	/* into the reactor's buffers */
	NET_RECEIVING_STOPPING, /* that is being stopped */
	NET_RECEIVING_DIRECT,	/* into the place of a net_read */
};

/**
 * struct net_stream - a socket and both directions of it
 * @ended: nothing more will be received, because of @end_reason (0: the peer's end of stream)
 * @silent: the user has closed or aborted; no call of the ops
 * @paused: data() took less than it got; @resumed: go on in the next step
 * @watching: polled for errors, which a stream that is not read has no other way to see;
 * @watched: and not to be any more
 * @send_error: what sends are answered with from now on
 * @tls: NULL: bytes go as they are
 * @step: what must not be done inside a call of the user's is done by this message
 */
struct net_stream {
	int fd;
	struct stream_tls *tls;
	const struct net_stream_ops *ops;
	void *user;
	struct reactor_msg step;
	bool step_queued;

	struct net_send *send_head;
	struct net_send *send_tail;
	size_t unsent;
	struct reactor_flush flush;
	struct reactor_io send_io;
	struct msghdr send_msg;
	struct iovec *send_iov;
	uint32_t send_iov_count;
	bool sending;
	int send_error;

	enum net_receiving receiving;
	struct reactor_recv recv;
	struct held *held_head;
	struct held *held_tail;
	bool paused;
	bool resumed;
	bool consuming;
	bool ended;
	bool told;
	int end_reason;
	struct reactor_io watch_io;
	bool watching;
	bool watched;
	struct net_read *read;
	struct reactor_io read_io;
	struct msghdr read_msg;
	struct iovec read_iov[READ_DIRECT_IOVS];

	bool silent;
	bool aborting;
	bool shut;
	void (*released)(void *user);
	struct reactor_timer close_timer;
};

/* stream.c */
/** stream_create() - owns @fd from then on, also when it fails; NULL when memory is short */
struct net_stream *stream_create(int fd);
void stream_step_later(struct net_stream *s);
/** stream_end() - nothing more will be received */
void stream_end(struct net_stream *s, int reason);

/* stream_send.c */
void stream_send_init(struct net_stream *s);
void stream_send_fail(struct net_stream *s, int result);

/* stream_recv.c */
void stream_recv_init(struct net_stream *s);
void stream_recv_adjust(struct net_stream *s);
void stream_recv_held(struct net_stream *s);
void stream_recv_drop(struct net_stream *s);
void stream_read_fail(struct net_stream *s, int result);
/** stream_consume() - give bytes to the user; returns how many were taken, all of a silent stream's
 */
size_t stream_consume(struct net_stream *s, const uint8_t *data, size_t len);
/** stream_read_place() - where the next bytes of the read go; stream_read_took() - they are there
 */
void stream_read_place(const struct net_stream *s, struct iovec *place);
void stream_read_took(struct net_stream *s, size_t len);

/* stream_watch.c */
/** stream_watch_start() - while the user takes no bytes: an error of the socket ends the stream */
void stream_watch_start(struct net_stream *s);
/** stream_watch_stop() - for good; the stream is not freed while @watching */
void stream_watch_stop(struct net_stream *s);

/* socket.c */
int socket_make(const struct net_addr *addr);

#endif

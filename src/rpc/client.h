/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection; only for the files of the server.
 *
 * client.c moves bytes, envelope.c knows JSON-RPC 2.0.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "reactor/io.h"
#include "reactor/reactor.h"
#include "rpc/bytes.h"
#include "rpc/rpc.h"
#include "rpc/server.h"

#define RPC_CLIENT_INPUT 8192u

struct rpc_item;

/**
 * struct rpc_client
 * @in, @in_at, @in_len: bytes that came, and which of them the reader has still to take
 * @text_bytes: of the text that the reader is in
 * @out, @sending, @sent: answers that gather, and those the kernel is taking
 * @items, @owed, @kept: requests without an answer; their number; bytes of their texts
 * @ended: nothing more is read
 * @refusal: the error that ends the connection, for after what is owed
 * @watch: runs while nothing is read, to see the client go
 * @broken: the client is gone: nothing is sent
 */
struct rpc_client {
	struct rpc_server *server;
	TAILQ_ENTRY(rpc_client) link;
	int fd;
	const struct rpc_server_limits *limits;
	struct json_reader *reader;
	struct reactor_io recv_io, send_io;
	bool receiving, in_send;
	bool ended, broken, closing, processing;
	struct msghdr recv_msg, send_msg;
	struct iovec recv_iov, send_iov;
	size_t in_at, in_len;
	size_t text_bytes;
	struct rpc_bytes out, sending;
	size_t sent;
	TAILQ_HEAD(, rpc_item) items;
	size_t owed, kept;
	int refusal;
	struct error refusal_text;
	struct reactor_flush work;
	struct reactor_timer watch;
	char in[RPC_CLIENT_INPUT];
};

/** rpc_client_start() - serve an accepted socket; it is closed when this fails */
int rpc_client_start(struct rpc_server *server, const struct rpc_server_limits *limits, int fd,
		     struct rpc_client **client);
/** rpc_client_hang_up() - read no more; close when what is owed is out. @now: close at once */
void rpc_client_hang_up(struct rpc_client *c, bool now);
/** rpc_client_work_later() - look again, at the end of this turn, what there is to do */
void rpc_client_work_later(struct rpc_client *c);

/** rpc_envelope_take() - a whole text: a request, a batch, or neither */
void rpc_envelope_take(struct rpc_client *c, const struct json_value *text, size_t bytes);
/** rpc_envelope_error() - an error answer without an id */
void rpc_envelope_error(struct rpc_bytes *out, int code, const char *message);
/** rpc_envelope_gone() - the client of these requests is gone */
void rpc_envelope_gone(struct rpc_client *c);

/** rpc_server_forget() - called when a client's connection is over; frees nothing of it */
void rpc_server_forget(struct rpc_server *server, struct rpc_client *c);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON-RPC 2.0 server: a UNIX stream socket, many clients, several requests in flight on each.
 *
 * Requests follow one another with or without white space between, split anywhere; answers are one
 * line each, in order of completion. A client that does not read is not read from. Whatever comes,
 * memory is bounded: RPC_CLIENTS_MAX times what struct rpc_server_limits allows.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

/**
 * struct rpc_server_limits - of one client, but for @clients
 * @clients: connections; one more is answered with an error and closed
 * @text: of one request or batch
 * @owed: answers; with so many in flight nothing more is read
 * @kept: bytes of requests in flight; as @owed
 * @unread: bytes of answers that the client did not read; as @owed
 * @batch: bytes of the answers of one batch; what is over gets an error in its place
 */
struct rpc_server_limits {
	unsigned int clients;
	struct json_limits text;
	size_t owed;
	size_t kept;
	size_t unread;
	size_t batch;
};

struct rpc_server;

void rpc_server_limits_init(struct rpc_server_limits *limits);

/**
 * rpc_server_open() - take @path, with mode 0600; PATH.lock holds our pid as long as it is ours
 *
 * Clients may connect; they are served from rpc_server_start() on.
 * A socket that nobody serves any more is replaced. Return: 0; -EBUSY when another process serves
 * it (@err names its pid), -EEXIST when there is something else at @path, or another errno.
 */
int rpc_server_open(const char *path, const struct rpc_server_limits *limits,
		    struct rpc_server **server, struct error *err);
/** rpc_server_start() - on reactor 0 */
void rpc_server_start(struct rpc_server *server);
/**
 * rpc_server_close() - remove the socket, let what is answered go out for a moment, hang up
 * @done: called once, later
 */
void rpc_server_close(struct rpc_server *server, void (*done)(void *arg), void *arg);
/** rpc_server_abandon() - remove socket and lock, for a process that ends now */
void rpc_server_abandon(struct rpc_server *server);

#endif

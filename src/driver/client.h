/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target client: JSON-RPC 2.0 over a UNIX socket, asynchronous and pipelined, to any SPDK.
 *
 * Any number of calls may be in flight; answers come in any order. Method names are those of
 * SPDK 26.05; what a target calls otherwise is looked up in what its rpc_get_methods answers.
 * Bounds: an answer has at most 32 MiB. An answer that is no JSON-RPC, or that nobody asked for,
 * ends the connection: what such a peer says next cannot be trusted either.
 *
 * Threading: as loop.h.
 */
#ifndef DRIVER_CLIENT_H
#define DRIVER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "driver/loop.h"

#define CLIENT_ANSWER_MAX (32 * 1024 * 1024)

struct client;

/**
 * struct client_answer - how a call ended
 * @result: of a successful call; borrowed, valid inside the callback
 * @status: 0; -EREMOTEIO: the target refused (@code, @message are its own); -ENOSYS: it has no
 *          such method; -ETIMEDOUT; -ECONNRESET: it closed or died before the answer; -EBADMSG,
 *          -EMSGSIZE: what came was no answer
 * @message: for a person, always set when @status is not 0
 */
struct client_answer {
	json_t *result;
	int status;
	int64_t code;
	const char *message;
};

typedef void (*client_done_fn)(void *arg, const struct client_answer *answer);

/**
 * client_connect() - connect to the target at @path
 *
 * Return: 0; -EINVAL for a path that no UNIX socket can have; -EHOSTDOWN when nobody listens there;
 * other errno of connect(2).
 */
int client_connect(struct loop *l, const char *path, struct client **out, struct error *err);
/** client_destroy() - calls in flight end with -ECANCELED */
void client_destroy(struct client *c);
bool client_is_connected(const struct client *c);
/** client_path() - the socket's path */
const char *client_path(const struct client *c);

/**
 * client_call() - send a request; @done is called once, later, from the loop
 * @method: name as of SPDK 26.05
 * @params: stolen; NULL for none
 * @timeout_ns: from now to the answer; a late answer is dropped
 *
 * Return: 0, or -ENOMEM and @done is not called.
 */
int client_call(struct client *c, const char *method, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg);

/**
 * client_wait() - client_call() and run the loop until the answer is there
 * @result: new reference; NULL when the caller does not want it
 *
 * Return: 0 or the status of the answer, @err naming socket, method and reason.
 */
int client_wait(struct client *c, const char *method, json_t *params, json_t **result,
		struct error *err);

/** struct client_request - one call of client_wait_all() */
struct client_request {
	const char *method;
	json_t *params; /* stolen */
	json_t *result; /* new reference, NULL after a failure */
	int status;
	struct error err;
};

/** client_wait_all() - send all at once, wait for all; 0 or the first failing status */
int client_wait_all(struct client *c, struct client_request *requests, size_t count,
		    struct error *err);

/** client_set_timeout() - of client_wait() and client_wait_all(); default 30 s */
void client_set_timeout(struct client *c, uint64_t ns);

/** client_learn() - ask rpc_get_methods; client_wait() does it by itself when it was not done */
int client_learn(struct client *c, struct error *err);
/** client_has() - the target has @method under its new or an old name; after client_learn() */
bool client_has(const struct client *c, const char *method);
/** client_name() - the name under which this target has @method; NULL when it has not */
const char *client_name(const struct client *c, const char *method);

/**
 * client_old_names() - older names of a method, newest first
 *
 * Return: an array that ends with NULL; empty for a method without older names.
 */
const char *const *client_old_names(const char *method);

#endif

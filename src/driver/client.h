/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target client: JSON-RPC 2.0 over a UNIX socket, asynchronous and pipelined, to any SPDK.
 *
 * Any number of calls may be in flight; answers come in any order. Methods, parameters and answers
 * are those of SPDK 26.05; what this target calls otherwise is turned by its dialect (dialect.h).
 *
 * What comes from a target may be anything. It is bounded and judged here, before anybody sees it:
 *
 * - An answer has at most 32 MiB, 2,000,000 values and a depth of 100: -EMSGSIZE.
 * - No JSON, no UTF-8, no object (a batch is none), an id that is no whole number, that was never
 *   sent or was answered before, both or none of result and error, an error that is no object:
 *   -EBADMSG.
 * - Each of these ends the connection, and every call in flight with the same status: what such a
 *   peer says next cannot be trusted either. It is not connected to again.
 * - A result of another kind than the method has: -EBADMSG for that call only.
 * - An error's code that is no 64-bit integer counts as 0, a message that is no text as none;
 *   control characters of a message become spaces. Integers beyond 64 bits become reals. Of two
 *   members with one name the first counts. White space between answers is skipped.
 * - No answer in time: -ETIMEDOUT for that call; its answer, should it come yet, is dropped. Who
 *   owes 256 such answers is given up, with the same status for all.
 * - Closed or died, before an answer or within: -ECONNRESET for all calls in flight. Calls that are
 *   waited for and only read are made again, once, over a new connection.
 * - A target that takes no requests: 8 MiB wait, then client_call() returns -ENOBUFS.
 *
 * Threading: as loop.h.
 */
#ifndef DRIVER_CLIENT_H
#define DRIVER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"
#include "driver/loop.h"

#define CLIENT_ANSWER_MAX (32 * 1024 * 1024)
#define CLIENT_UNSENT_MAX (8 * 1024 * 1024)
#define CLIENT_LATE_MAX	  256

struct client;
struct dialect;

/**
 * struct client_answer - how a call ended
 * @result: of a successful call; borrowed, valid inside the callback
 * @status: 0; -EREMOTEIO: the target refused (@code, @message are its own); -ENOSYS: it has no
 *          such method; -ENOTSUP: its release does not know a parameter that matters; -ETIMEDOUT;
 *          -ECONNRESET: it closed or died before the answer; -EBADMSG, -EMSGSIZE: what came was
 *          no answer; -ECANCELED: client_destroy()
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
/** client_destroy() - calls in flight end with -ECANCELED; never from a callback of its calls */
void client_destroy(struct client *c);
bool client_is_connected(const struct client *c);
/**
 * client_is_stale() - who listened there has ended, see base/listener.h
 * @since: or began before this process; 0: it does not matter
 */
bool client_is_stale(const struct client *c, pid_t since);
/** client_path() - the socket's path */
const char *client_path(const struct client *c);

/**
 * client_call() - send a request; @done is called once, later, from the loop
 * @method: name as of SPDK 26.05
 * @params: stolen; NULL for none
 * @timeout_ns: from now to the answer; a late answer is dropped
 *
 * Names and parameters are turned when client_learn() was done, and go as they are otherwise.
 *
 * Return: 0; or -ENOMEM or -ENOBUFS and @done is not called.
 */
int client_call(struct client *c, const char *method, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg);

#define CLIENT_PICK_MAX 12

/**
 * struct client_pick - what to keep of a large answer, so that the rest costs nothing
 * @inside: the list stands in this member of the result; NULL: it is the result
 * @words: members to keep of each object of the list, ends with NULL when fewer than
 *         CLIENT_PICK_MAX; what is no object is dropped
 */
struct client_pick {
	const char *inside;
	const char *words[CLIENT_PICK_MAX];
};

/** client_call_picked() - client_call() of whose answer only @pick is kept, borrowed until @done */
int client_call_picked(struct client *c, const char *method, json_t *params,
		       const struct client_pick *pick, uint64_t timeout_ns, client_done_fn done,
		       void *arg);
/** client_flush() - send what fits now; the loop, when it runs next, sends the rest */
void client_flush(struct client *c);

/** client_pause() - run the loop for a while, @ns nanoseconds; 0 or a negative errno */
int client_pause(struct client *c, uint64_t ns, struct error *err);
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
	const struct client_pick *pick; /* NULL: the whole answer */
	json_t *params;			/* stolen */
	json_t *result;			/* new reference, NULL after a failure */
	int status;
	struct error err;
};

/**
 * client_wait_all() - send all at once, wait for all
 *
 * Not more than 256 are in flight. When the connection breaks and all of @requests only read, it
 * connects once more (for a second, as a supervised target comes back) and asks all again.
 *
 * Return: 0 or the first failing status.
 */
int client_wait_all(struct client *c, struct client_request *requests, size_t count,
		    struct error *err);

/** client_set_timeout() - of a whole client_wait() or client_wait_all(); default 30 s */
void client_set_timeout(struct client *c, uint64_t ns);

/**
 * client_learn() - ask for methods and version, in one round trip
 *
 * client_wait() does it by itself when it was not done.
 */
int client_learn(struct client *c, struct error *err);

/** typedef client_learnt_fn - @err's code is 0 when the target was learnt; borrowed */
typedef void (*client_learnt_fn)(void *arg, const struct error *err);

/**
 * client_learn_begin() - client_learn() that is not waited for
 * @timeout_ns: from now
 * @done: called once, later, from the loop or from client_destroy()
 *
 * Return: 0; or -ENOMEM or -ENOBUFS and @done is not called.
 */
int client_learn_begin(struct client *c, uint64_t timeout_ns, client_learnt_fn done, void *arg);
/** client_dialect() - what client_learn() learnt; NULL before */
const struct dialect *client_dialect(const struct client *c);
/** client_has() - the target has @method under its new or an old name; false before client_learn()
 */
bool client_has(const struct client *c, const char *method);

#endif

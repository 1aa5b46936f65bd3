/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the target client share.
 *
 * Threading: as client.h.
 */
#ifndef DRIVER_CLIENT_INTERNAL_H
#define DRIVER_CLIENT_INTERNAL_H

#include <limits.h>

#include "driver/client.h"
#include "driver/dialect.h"

#define RPC_METHOD_NOT_FOUND (-32601)
#define CLIENT_BATCH_MAX     256 /* in flight at once from client_wait_all() */

struct json_reader;

/**
 * struct call - a request in flight
 * @method: as of 26.05, for its answer
 * @pick: of the answer; NULL: all
 * @status, @message, @result: how a call ends that is not sent; given back with it
 */
struct call {
	struct client *client;
	uint64_t id;
	client_done_fn done;
	void *arg;
	const struct client_pick *pick;
	struct loop_timer *timer;
	int status;
	char *message;
	json_t *result;
	struct call *next;
	char method[];
};

/**
 * struct client - see client.h
 * @fd: -1 when the connection is broken
 * @calls: in flight, oldest first
 * @late: ids of calls that timed out and may be answered yet
 * @out: requests not sent yet: [@out_at, @out_len)
 * @distrusted: what it said made no sense
 * @learnt: @dialect is filled
 */
struct client {
	struct loop *loop;
	struct loop_watch *watch;
	int fd;
	struct json_reader *reader;
	struct call *calls, **calls_end;
	uint64_t next_id;
	uint64_t late[CLIENT_LATE_MAX];
	size_t late_count;
	char *in;
	char *out;
	size_t out_at, out_len, out_room;
	uint64_t timeout_ns;
	bool distrusted, learnt;
	struct dialect dialect;
	char path[PATH_MAX];
};

/**
 * client_send() - client_call() with the name and the parameters as they go over the wire
 * @pick: borrowed until @done; NULL: all
 */
int client_send(struct client *c, const char *method, const char *name, json_t *params,
		const struct client_pick *pick, uint64_t timeout_ns, client_done_fn done,
		void *arg);
/** client_settle() - a call that ends from the loop without being sent; @result: stolen */
int client_settle(struct client *c, int status, const char *message, json_t *result,
		  client_done_fn done, void *arg);
/** client_abort() - close the connection; all calls in flight end with @status */
void client_abort(struct client *c, int status, const char *text);
/** client_reopen() - connect again after the connection broke; 0 or as client_connect() */
int client_reopen(struct client *c, struct error *err);

/** client_answer_error() - an answer's failure in words for a person; code 0 when it is none */
void client_answer_error(const struct client *c, const char *method,
			 const struct client_answer *answer, struct error *err);

/** client_take_bytes() - judge what came, end calls */
void client_take_bytes(struct client *c, const char *data, size_t len);
/** client_end_call() - out of the list, its callback, gone */
void client_end_call(struct client *c, struct call *call, const struct client_answer *answer);
/** client_end_all() - the same for all in flight */
void client_end_all(struct client *c, int status, const char *text);

#endif

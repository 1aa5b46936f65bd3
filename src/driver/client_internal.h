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

#define RPC_METHOD_NOT_FOUND (-32601)
#define CLIENT_BATCH_MAX     256 /* in flight at once from client_wait_all() */

struct json_reader;

struct call {
	struct client *client;
	uint64_t id;
	client_done_fn done;
	void *arg;
	struct loop_timer *timer;
	struct call *next;
};

/**
 * struct client - see client.h
 * @out: requests not sent yet: [@out_at, @out_len)
 * @methods: object whose keys are the target's methods; NULL before client_learn()
 */
struct client {
	struct loop *loop;
	struct loop_watch *watch;
	int fd; /* -1: broken */
	struct json_reader *reader;
	struct call *calls;
	uint64_t next_id;
	char *in;
	char *out;
	size_t out_at, out_len, out_room;
	uint64_t timeout_ns;
	json_t *methods;
	char path[PATH_MAX];
};

/** client_send() - client_call() with the name as it goes over the wire */
int client_send(struct client *c, const char *name, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg);
/** client_abort() - close the connection; all calls in flight end with @status */
void client_abort(struct client *c, int status, const char *text);

#endif

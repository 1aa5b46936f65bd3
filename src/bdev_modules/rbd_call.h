/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of librbd that block, each on a thread of its own, with a time limit: a cluster that is
 * silent may hold them for ever, and nobody may wait so long.
 *
 * Threading: see struct rbd_call.
 */
#ifndef BDEV_MODULES_RBD_CALL_H
#define BDEV_MODULES_RBD_CALL_H

#include <stdatomic.h>

#include "base/error.h"
#include "reactor/reactor.h"

/**
 * struct rbd_call - a call on its way; embedded in what it is about
 * @what: for messages: what is being done, "image rbd/a is opened"
 * @limit_ns: for run()
 * @run: its thread: do it; returns a negative errno with @err filled, or 0
 * @answer: reactor 0, once: what run() returned, or -ETIMEDOUT when the time is over. Then run() is
 *          still at work, and what it works on belongs to it.
 * @end: reactor 0, last: the thread is done with it; what run() made too late is given back here
 */
struct rbd_call {
	char what[160];
	uint64_t limit_ns;
	int (*run)(struct rbd_call *call, struct error *err);
	void (*answer)(struct rbd_call *call, int result, const struct error *err);
	void (*end)(struct rbd_call *call);

	/* This file's own. */
	atomic_uint state;
	int result;
	struct error error;
	struct reactor_msg msg;
	struct reactor_timer timer;
};

/**
 * rbd_call_start() - reactor 0
 *
 * Return: 0; -EAGAIN with @err filled, and nothing is called, when there is no thread for it or too
 * many calls have not returned yet.
 */
int rbd_call_start(struct rbd_call *call, struct error *err);
/** rbd_call_start_sure() - where there is no thread for it, this reactor waits: for what must be */
void rbd_call_start_sure(struct rbd_call *call);
/** rbd_call_was_late() - in end(): answer() was told -ETIMEDOUT for the call's sake */
bool rbd_call_was_late(const struct rbd_call *call);
/** rbd_calls() - how many have not come to their end */
unsigned int rbd_calls(void);

#endif

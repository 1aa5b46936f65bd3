/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking calls of librbd with a time limit.
 *
 * Threading: the state of a call decides once who comes first, its thread or its timer.
 */
#include "bdev_modules/rbd_call.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"

/* Of a cluster that is silent; each holds a thread. */
#define CALLS_MAX 64u

enum { UNDER_WAY, RETURNED, TOO_LATE };

static unsigned int calls; /* reactor 0 */

unsigned int rbd_calls(void)
{
	return calls;
}

bool rbd_call_was_late(const struct rbd_call *call)
{
	return atomic_load_explicit(&call->state, memory_order_acquire) == TOO_LATE;
}

/* Return: whether this side was the first. */
static bool settle(struct rbd_call *call, unsigned int state)
{
	unsigned int expected = UNDER_WAY;

	/* Releases the result to whoever reads the state as it is now. */
	return atomic_compare_exchange_strong_explicit(&call->state, &expected, state,
						       memory_order_acq_rel, memory_order_acquire);
}

static void *call_thread(void *arg)
{
	struct rbd_call *call = arg;

	reactor_thread_unpin();
	call->result = call->run(call, &call->error);
	(void)settle(call, RETURNED);
	reactor_send_foreign(reactor_at(0), &call->msg);
	return NULL;
}

static void returned(struct reactor_msg *msg)
{
	struct rbd_call *call = container_of(msg, struct rbd_call, msg);

	if (!rbd_call_was_late(call)) {
		reactor_timer_stop(&call->timer);
		call->answer(call, call->result, &call->error);
	} else {
		log_notice("%s: the call that took too long has returned", call->what);
	}
	calls--;
	call->end(call);
}

static void too_late(struct reactor_timer *timer)
{
	struct rbd_call *call = container_of(timer, struct rbd_call, timer);
	struct error err = ERROR_INIT;

	if (!settle(call, TOO_LATE))
		return;
	error_set(&err, -ETIMEDOUT, "%s: Ceph did not answer in %u s", call->what,
		  (unsigned int)(call->limit_ns / NS_PER_SEC));
	log_warning("%s", err.text);
	call->answer(call, -ETIMEDOUT, &err);
}

/* Signals are for the main thread. */
static int thread_start(struct rbd_call *call)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, call_thread, call);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

static int launch(struct rbd_call *call)
{
	int rc;

	atomic_init(&call->state, UNDER_WAY);
	call->error = (struct error)ERROR_INIT;
	call->msg.fn = returned;
	call->timer = (struct reactor_timer){ .fn = too_late };
	reactor_timer_start(&call->timer, call->limit_ns);
	rc = thread_start(call);
	if (rc < 0)
		reactor_timer_stop(&call->timer);
	else
		calls++;
	return rc;
}

int rbd_call_start(struct rbd_call *call, struct error *err)
{
	int rc;

	if (calls >= CALLS_MAX)
		return error_set(err, -EAGAIN, "%s: %u calls of Ceph have not returned: wait",
				 call->what, calls);
	rc = launch(call);
	return rc < 0 ? error_set(err, -EAGAIN, "%s: no thread for it: %s", call->what,
				  error_errno_text(rc))
		      : 0;
}

void rbd_call_start_sure(struct rbd_call *call)
{
	if (launch(call) == 0)
		return;
	calls++;
	call->result = call->run(call, &call->error);
	atomic_store_explicit(&call->state, RETURNED, memory_order_release);
	reactor_defer(&call->msg);
}

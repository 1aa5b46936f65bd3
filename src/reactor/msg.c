/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: between reactors through a ring per ordered pair, from other threads through a list
 * with a lock, and to oneself through a list; and how a reactor that sleeps is woken.
 *
 * Threading: a ring has its sender and its receiver; the foreign list is under foreign_lock.
 *
 * Sleeping and waking: a reactor that is about to sleep stores `sleeping`, makes a full barrier,
 * and looks once more whether a message is there. A sender stores its message, makes a full
 * barrier, and looks whether the receiver sleeps. Whichever barrier comes second, the side behind
 * it sees the other's store: so either the sleeper finds the message, or the sender finds the
 * sleeper and writes its wake_fd. Neither may miss both. A sender does this once a turn for all
 * its messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reactor/internal.h"

int messages_init(struct reactor *r, unsigned int count)
{
	pthread_mutex_init(&r->foreign_lock, NULL);
	r->from = aligned_alloc(CACHE_LINE, count * sizeof(*r->from));
	if (!r->from)
		return -ENOMEM;
	memset(r->from, 0, count * sizeof(*r->from));
	r->backlog = calloc(count, sizeof(*r->backlog));
	r->touched = calloc(count, sizeof(*r->touched));
	r->touched_list = calloc(count, sizeof(*r->touched_list));
	if (!r->backlog || !r->touched || !r->touched_list)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		int rc = i == r->index ? 0 : ring_init(&r->from[i], REACTOR_RING);

		if (rc < 0)
			return rc;
	}
	return 0;
}

void messages_fini(struct reactor *r, unsigned int count)
{
	for (unsigned int i = 0; r->from && i < count; i++) {
		if (i != r->index)
			ring_fini(&r->from[i]);
	}
	free(r->from);
	free(r->backlog);
	free(r->touched);
	free(r->touched_list);
	pthread_mutex_destroy(&r->foreign_lock);
}

/* --- sending ------------------------------------------------------------------------------- */

void reactor_wake(struct reactor *r)
{
	const uint64_t one = 1;
	ssize_t n = write(r->wake_fd, &one, sizeof(one));

	/* The counter cannot overflow, and a signal cannot interrupt a write that does not wait. */
	(void)n;
}

static void wake_if_sleeping(struct reactor *to)
{
	/* The exchange lets one of several senders write. */
	if (atomic_load_explicit(&to->sleeping, memory_order_relaxed) &&
	    atomic_exchange_explicit(&to->sleeping, false, memory_order_relaxed))
		reactor_wake(to);
}

static void touch(struct reactor *r, unsigned int index)
{
	if (r->touched[index])
		return;
	r->touched[index] = true;
	r->touched_list[r->touched_count++] = index;
}

void messages_wake(struct reactor *r)
{
	if (r->touched_count == 0)
		return;
	full_barrier();
	for (unsigned int i = 0; i < r->touched_count; i++) {
		unsigned int index = r->touched_list[i];

		r->touched[index] = false;
		wake_if_sleeping(reactor_system.reactors[index]);
		r->stats.syscalls++;
	}
	r->touched_count = 0;
}

void reactor_send(struct reactor *to, struct reactor_msg *msg)
{
	struct reactor *r = reactor_current;
	struct msg_list *backlog;

	if (to == r) {
		reactor_defer(msg);
		return;
	}
	backlog = &r->backlog[to->index];
	if (backlog->head) {
		msg_list_add(backlog, msg);
		return;
	}
	if (!ring_put(&to->from[r->index], msg)) {
		msg_list_add(backlog, msg);
		r->backlogged++;
	}
	touch(r, to->index);
}

static void backlog_retry(struct reactor *r)
{
	for (unsigned int i = 0; i < reactor_system.count && r->backlogged > 0; i++) {
		struct msg_list *backlog = &r->backlog[i];
		struct ring *ring = &reactor_system.reactors[i]->from[r->index];

		if (!backlog->head)
			continue;
		while (backlog->head) {
			struct reactor_msg *next = backlog->head->next;

			if (!ring_put(ring, backlog->head))
				break;
			/* The message may be another's by now: next was read before. */
			backlog->head = next;
			touch(r, i);
		}
		if (!backlog->head)
			r->backlogged--;
	}
}

void reactor_send_foreign(struct reactor *to, struct reactor_msg *msg)
{
	pthread_mutex_lock(&to->foreign_lock);
	msg_list_add(&to->foreign, msg);
	atomic_store_explicit(&to->foreign_pending, true, memory_order_relaxed);
	pthread_mutex_unlock(&to->foreign_lock);
	full_barrier();
	wake_if_sleeping(to);
}

void reactor_defer(struct reactor_msg *msg)
{
	msg_list_add(&reactor_current->deferred, msg);
}

/* --- receiving ------------------------------------------------------------------------------ */

static unsigned int run_list(struct msg_list list)
{
	struct reactor_msg *msg;
	unsigned int count = 0;

	while ((msg = msg_list_take(&list)) != NULL) {
		msg->fn(msg);
		count++;
	}
	return count;
}

static unsigned int run_deferred(struct reactor *r)
{
	struct msg_list list = r->deferred;

	r->deferred.head = NULL;
	return run_list(list);
}

static unsigned int run_ring(struct ring *ring)
{
	struct reactor_msg *msg;
	unsigned int count = 0;

	/* At most what fits once: a sender that never stops must not keep the turn for itself. */
	while (count < REACTOR_RING && (msg = ring_take(ring)) != NULL) {
		msg->fn(msg);
		count++;
	}
	return count;
}

static unsigned int run_foreign(struct reactor *r)
{
	struct msg_list list;

	if (!atomic_load_explicit(&r->foreign_pending, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&r->foreign_lock);
	list = r->foreign;
	r->foreign.head = NULL;
	atomic_store_explicit(&r->foreign_pending, false, memory_order_relaxed);
	pthread_mutex_unlock(&r->foreign_lock);
	return run_list(list);
}

bool messages_run(struct reactor *r)
{
	unsigned int count = run_deferred(r);

	for (unsigned int i = 0; i < reactor_system.count; i++) {
		if (i != r->index && !ring_is_empty(&r->from[i]))
			count += run_ring(&r->from[i]);
	}
	count += run_foreign(r);
	if (r->backlogged > 0)
		backlog_retry(r);
	r->stats.messages += count;
	return count > 0;
}

bool messages_pending(struct reactor *r)
{
	if (r->deferred.head || r->backlogged > 0 ||
	    atomic_load_explicit(&r->foreign_pending, memory_order_relaxed))
		return true;
	for (unsigned int i = 0; i < reactor_system.count; i++) {
		if (i != r->index && !ring_is_empty(&r->from[i]))
			return true;
	}
	return false;
}

/* --- every reactor in turn ------------------------------------------------------------------ */

static void each_run(struct reactor_msg *msg)
{
	struct reactor_each *each = container_of(msg, struct reactor_each, msg);

	each->fn(each);
}

static void each_done(struct reactor_msg *msg)
{
	struct reactor_each *each = container_of(msg, struct reactor_each, msg);

	each->done(each);
}

void reactor_for_each(struct reactor_each *each)
{
	each->origin = reactor_current;
	each->index = 0;
	each->msg.fn = each_run;
	reactor_send(reactor_system.reactors[0], &each->msg);
}

void reactor_each_next(struct reactor_each *each)
{
	each->index++;
	if (each->index < reactor_system.count) {
		reactor_send(reactor_system.reactors[each->index], &each->msg);
		return;
	}
	each->msg.fn = each_done;
	reactor_send(each->origin, &each->msg);
}

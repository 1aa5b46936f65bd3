/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn of a reactor: completions, messages, timers, pollers, then what gathered, then one
 * submission; and when to spin and when to sleep.
 *
 * Threading: each reactor runs its own loop.
 */
#include <sched.h>

#include "base/clock.h"
#include "reactor/internal.h"

/* --- pollers -------------------------------------------------------------------------------- */

void reactor_poller_add(struct reactor_poller *poller)
{
	struct reactor *r = reactor_current;

	poller->next = r->pollers;
	poller->prev = &r->pollers;
	if (poller->next)
		poller->next->prev = &poller->next;
	r->pollers = poller;
}

void reactor_poller_remove(struct reactor_poller *poller)
{
	struct reactor *r = reactor_current;

	if (r->poller_next == poller)
		r->poller_next = poller->next;
	*poller->prev = poller->next;
	if (poller->next)
		poller->next->prev = poller->prev;
	poller->next = NULL;
	poller->prev = NULL;
}

static bool pollers_run(struct reactor *r)
{
	struct reactor_poller *poller;
	bool any = false;

	for (poller = r->pollers; poller; poller = r->poller_next) {
		r->poller_next = poller->next;
		any |= poller->fn(poller);
	}
	return any;
}

/* --- flushes -------------------------------------------------------------------------------- */

void flushes_init(struct reactor *r)
{
	r->flushes = NULL;
	r->flushes_tail = &r->flushes;
}

void reactor_flush_later(struct reactor_flush *flush)
{
	struct reactor *r = reactor_current;

	if (flush->queued)
		return;
	flush->queued = true;
	flush->next = NULL;
	*r->flushes_tail = flush;
	r->flushes_tail = &flush->next;
}

static void flushes_run(struct reactor *r)
{
	struct reactor_flush *flush = r->flushes;

	/* What a flush asks for again is for the next turn. */
	flushes_init(r);
	while (flush) {
		struct reactor_flush *next = flush->next;

		flush->queued = false;
		flush->fn(flush);
		flush = next;
	}
}

/* --- the turn ------------------------------------------------------------------------------- */

static bool may_sleep(const struct reactor *r, uint64_t last_work_ns)
{
	if (reactor_system.opts.poll || r->pollers || r->flushes || r->deferred.head ||
	    r->backlogged > 0)
		return false;
	return r->now_ns - last_work_ns >= reactor_system.opts.spin_ns;
}

static uint64_t until_next_timer(const struct reactor *r)
{
	uint64_t due;

	if (r->timers.count == 0)
		return UINT64_MAX;
	due = r->timers.at[0]->due_ns;
	return due > r->now_ns ? due - r->now_ns : 0;
}

static void go_to_sleep(struct reactor *r)
{
	uint64_t timeout_ns = until_next_timer(r);

	if (timeout_ns == 0)
		return;
	/* The order of these three is what msg.c tells about; the senders are on the other side. */
	atomic_store_explicit(&r->sleeping, true, memory_order_relaxed);
	full_barrier();
	if (!messages_pending(r) && !atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		r->stats.sleeps++;
		r->ops->wait(r, timeout_ns);
	}
	atomic_store_explicit(&r->sleeping, false, memory_order_relaxed);
}

static void spin(struct reactor *r)
{
	r->ops->submit(r);
	if (reactor_system.plan.shared)
		sched_yield();
	else
		cpu_relax();
}

void reactor_loop(struct reactor *r)
{
	bool busy = false;
	uint64_t last_work_ns = r->now_ns;

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		uint64_t now_ns = clock_ns();
		bool worked, timed;

		if (busy)
			r->stats.busy_ns += now_ns - r->now_ns;
		else
			r->stats.idle_ns += now_ns - r->now_ns;
		r->now_ns = now_ns;
		r->stats.turns++;

		worked = r->ops->reap(r);
		worked |= messages_run(r);
		timed = timers_run(r);
		worked |= pollers_run(r);
		if (r->flushes)
			flushes_run(r);
		messages_wake(r);

		busy = worked || timed;
		if (worked) {
			last_work_ns = now_ns;
			r->ops->submit(r);
		} else if (may_sleep(r, last_work_ns)) {
			go_to_sleep(r);
		} else {
			spin(r);
		}
	}
}

void reactor_stats_get(struct reactor_stats *stats)
{
	const struct reactor *r = reactor_current;

	*stats = r->stats;
	stats->small_buffers_used = r->small.used;
	stats->small_buffers_total = r->small.total;
	stats->large_buffers_used = r->large.used;
	stats->large_buffers_total = r->large.total;
	stats->timers = r->timers.count;
	for (const struct reactor_poller *p = r->pollers; p; p = p->next)
		stats->pollers++;
}

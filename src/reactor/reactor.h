/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reactors: one thread a core that polls, submits and completes everything its objects do.
 *
 * Threading: an object belongs to the reactor on which it was made, and only that reactor touches
 * it. Every function here is called on a reactor's own thread, for that reactor, except those that
 * say otherwise. Reactor 0 runs on the thread that called reactor_system_run(); it is where
 * management happens (RPC, registration).
 *
 * Completion: an asynchronous function completes exactly once, later, on the reactor that called
 * it, and never inside the call that submitted it.
 */
#ifndef REACTOR_REACTOR_H
#define REACTOR_REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct reactor;

enum reactor_backend {
	REACTOR_BACKEND_AUTO, /* io_uring when a probe at start finds all it needs, else epoll */
	REACTOR_BACKEND_URING,
	REACTOR_BACKEND_EPOLL, /* epoll, libaio, and threads for what libaio cannot do */
};

/**
 * struct reactor_options - how the reactors of a program run
 * @cores: mask or list as cpuset_parse() takes it; NULL: one reactor on the first core of the
 *         affinity mask that no other program of ours holds
 * @backend: see enum reactor_backend; the environment variable CYBORG_SPDK_BACKEND (uring, epoll)
 *           overrides AUTO
 * @poll: spin for ever instead of sleeping
 * @share_cores: do not lock the cores against other programs of ours, nor refuse locked ones
 * @spin_ns: how long to spin after the last work before sleeping; timers alone start no spin
 * @small_buffers, @large_buffers: bound of each reactor's pools; memory is touched only when used
 */
struct reactor_options {
	const char *cores;
	enum reactor_backend backend;
	bool poll;
	bool share_cores;
	uint64_t spin_ns;
	uint32_t small_buffers;
	uint32_t large_buffers;
};

/** reactor_options_init() - the defaults */
void reactor_options_init(struct reactor_options *opts);

/**
 * reactor_system_start() - make the reactors; those behind reactor 0 start to run
 *
 * Threading: called once, by the main thread, before anything else here.
 * Return: 0, or a negative errno with @err filled (-EBUSY a core that is not ours, -EINVAL ...).
 * On success one log line says the backend and why, the cores, and whether they are pinned.
 */
int reactor_system_start(const struct reactor_options *opts, struct error *err);

/**
 * reactor_system_run() - run reactor 0 on this thread until reactor_system_stop()
 * @start: called first, on reactor 0
 */
void reactor_system_run(void (*start)(void *arg), void *arg);

/** reactor_system_stop() - let reactor_system_run() return; any reactor */
void reactor_system_stop(void);

/** reactor_system_fini() - stop and join the other reactors, give everything back; main thread */
void reactor_system_fini(void);

/** reactor_self() - the reactor of the calling thread; NULL on a thread that is none */
struct reactor *reactor_self(void);
/** reactor_count(), reactor_at() - all reactors; any thread */
unsigned int reactor_count(void);
struct reactor *reactor_at(unsigned int index);
unsigned int reactor_index(const struct reactor *r);
/**
 * reactor_cores_lock() - keep other programs of ours off the cores, as without share_cores; reactor
 * 0
 *
 * Return: 0, or -EBUSY with @err filled when another program holds one: nothing is changed then.
 */
int reactor_cores_lock(struct error *err);
/** reactor_cores_unlock() - let other programs have them; reactor 0 */
void reactor_cores_unlock(void);
/** reactor_core() - the core it runs on; any thread */
unsigned int reactor_core(const struct reactor *r);
/** reactor_backend_name() - "io_uring" or "epoll"; any thread */
const char *reactor_backend_name(void);

/* --- messages ----------------------------------------------------------------------------- */

/**
 * struct reactor_msg - work to be done on a reactor; embedded in what the work is about
 * @fn: called on the receiving reactor with @msg; from there on the message is its to reuse
 *
 * Messages from one reactor to another arrive in the order of sending.
 */
struct reactor_msg {
	void (*fn)(struct reactor_msg *msg);
	struct reactor_msg *next;
};

/** reactor_send() - do @msg on @to; for @to == reactor_self() it is done in the next turn */
void reactor_send(struct reactor *to, struct reactor_msg *msg);

/** reactor_send_foreign() - reactor_send() from a thread that is no reactor (takes a lock) */
void reactor_send_foreign(struct reactor *to, struct reactor_msg *msg);

/** reactor_defer() - do @msg on this reactor in its next turn */
void reactor_defer(struct reactor_msg *msg);

/**
 * struct reactor_each - the same work on every reactor
 * @fn: called on each reactor in turn; its work is over when it calls reactor_each_next()
 * @done: called on the reactor that started it, when all have answered
 */
struct reactor_each {
	void (*fn)(struct reactor_each *each);
	void (*done)(struct reactor_each *each);
	struct reactor_msg msg;
	struct reactor *origin;
	unsigned int index;
};

/** reactor_for_each() - tell every reactor, and go on when all have answered */
void reactor_for_each(struct reactor_each *each);
/** reactor_each_next() - this reactor has answered; may be called inside @fn or later */
void reactor_each_next(struct reactor_each *each);

/**
 * struct reactor_work - something that blocks, done on a helper thread
 * @run: called on a helper thread; touches nothing but what the work owns
 * @done: called on the reactor that started it
 */
struct reactor_work {
	void (*run)(struct reactor_work *work);
	void (*done)(struct reactor_work *work);
	struct reactor_msg msg;
	struct reactor *origin;
	struct reactor_work *next;
};

/** reactor_work_start() - the threads are few and made on first need */
void reactor_work_start(struct reactor_work *work);

/**
 * reactor_thread_unpin() - called by a thread of a module's own, which inherited a reactor's core:
 * let it run wherever the program could at its start
 */
void reactor_thread_unpin(void);

/* --- pollers and timers --------------------------------------------------------------------- */

/**
 * struct reactor_poller - something to look at in each turn
 * @fn: returns whether it found work; a reactor with pollers that never sleep is a busy one, so
 *      pollers are for devices without an event to wait for
 */
struct reactor_poller {
	bool (*fn)(struct reactor_poller *poller);
	struct reactor_poller *next, **prev;
	const char *name;
};

void reactor_poller_add(struct reactor_poller *poller);
/** reactor_poller_remove() - also from inside any poller's fn */
void reactor_poller_remove(struct reactor_poller *poller);

/**
 * struct reactor_flush - to be called once at the end of this turn, before the reactor submits
 *
 * What gathers during a turn (PDUs to send) goes out together.
 */
struct reactor_flush {
	void (*fn)(struct reactor_flush *flush);
	struct reactor_flush *next;
	bool queued;
};

/** reactor_flush_later() - once a turn, however often it is asked for */
void reactor_flush_later(struct reactor_flush *flush);

/**
 * struct reactor_timer - to be called once, when its time has come
 * @fn: may start the timer again
 */
struct reactor_timer {
	void (*fn)(struct reactor_timer *timer);
	uint64_t due_ns;
	uint32_t slot; /* place in the heap plus one; 0: not started */
};

/**
 * reactor_timer_start() - in @delay_ns from now, in a later turn; a started timer is moved
 *
 * The heap's array grows here, by doubling. A program that has no memory left for it is aborted:
 * nothing it does later could keep its promises without timers.
 */
void reactor_timer_start(struct reactor_timer *timer, uint64_t delay_ns);
/** reactor_timer_stop() - nothing happens for a timer that is not started */
void reactor_timer_stop(struct reactor_timer *timer);
static inline bool reactor_timer_is_started(const struct reactor_timer *timer)
{
	return timer->slot != 0;
}

/** reactor_now_ns() - monotonic time at the start of this turn */
uint64_t reactor_now_ns(void);

/* --- buffers -------------------------------------------------------------------------------- */

#define REACTOR_SMALL_BUFFER 8192u
#define REACTOR_LARGE_BUFFER (132u * 1024)
#define REACTOR_BUFFER_ALIGN 4096u

/**
 * struct reactor_buffer_wait - a place in the queue for a buffer
 * @fn: called in a later turn, in the order of asking, with a buffer that is the caller's
 */
struct reactor_buffer_wait {
	void (*fn)(struct reactor_buffer_wait *wait, void *buffer);
	struct reactor_buffer_wait *next;
};

/**
 * reactor_buffer_get() - a buffer of this reactor's pools, aligned to REACTOR_BUFFER_ALIGN
 * @size: at most REACTOR_LARGE_BUFFER; up to REACTOR_SMALL_BUFFER it comes from the small pool
 * @wait: queued when the pool is empty or others wait already; NULL: do not wait
 *
 * Return: the buffer, or NULL (@wait, if given, will be called).
 */
void *reactor_buffer_get(uint32_t size, struct reactor_buffer_wait *wait);
/** reactor_buffer_put() - on the reactor that got it */
void reactor_buffer_put(void *buffer);
/** reactor_buffer_wait_cancel() - leave the queue; nothing happens when not in it */
void reactor_buffer_wait_cancel(struct reactor_buffer_wait *wait);

/* --- accounting ----------------------------------------------------------------------------- */

/**
 * struct reactor_stats - what a reactor did since its start
 * @busy_ns, @idle_ns: turns that found work, turns (and sleep) that found none
 * @turns, @sleeps, @syscalls, @messages: counts
 * @pollers, @timers: that there are now
 */
struct reactor_stats {
	uint64_t busy_ns;
	uint64_t idle_ns;
	uint64_t turns;
	uint64_t sleeps;
	uint64_t syscalls;
	uint64_t messages;
	uint32_t small_buffers_used, small_buffers_total;
	uint32_t large_buffers_used, large_buffers_total;
	uint64_t buffer_waits;
	uint32_t pollers, timers;
};

/** reactor_stats_get() - of this reactor */
void reactor_stats_get(struct reactor_stats *stats);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop, see loop.h.
 *
 * Threading: as loop.h.
 */
#include "driver/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"

#define TICK_NS (100 * NS_PER_MSEC)

struct loop_watch {
	int fd; /* -1: removed, given back after the round */
	short events;
	void (*fn)(void *arg, short revents);
	void *arg;
	struct loop_watch *next;
};

struct loop_timer {
	uint64_t at_ns;
	void (*fn)(void *arg);
	void *arg;
	struct loop_timer *next;
};

struct loop {
	struct loop_watch *watches;
	struct loop_timer *timers; /* earliest first */
	struct pollfd *fds;
	size_t fd_room;
	void (*tick)(void *arg);
	void *tick_arg;
	uint64_t tick_at_ns;
};

struct loop *loop_create(void)
{
	return calloc(1, sizeof(struct loop));
}

static void give_back_removed(struct loop *l)
{
	struct loop_watch **at = &l->watches;

	while (*at) {
		struct loop_watch *w = *at;

		if (w->fd >= 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	give_back_removed(l);
	free(l->fds);
	free(l);
}

struct loop_watch *loop_watch(struct loop *l, int fd, short events,
			      void (*fn)(void *arg, short revents), void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct loop_watch){ fd, events, fn, arg, l->watches };
	l->watches = w;
	return w;
}

void loop_watch_events(struct loop_watch *w, short events)
{
	w->events = events;
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
	(void)l;
	if (w)
		w->fd = -1;
}

struct loop_timer *loop_timer(struct loop *l, uint64_t at_ns, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t)), **at = &l->timers;

	if (!t)
		return NULL;
	while (*at && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	*t = (struct loop_timer){ at_ns, fn, arg, *at };
	*at = t;
	return t;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	for (struct loop_timer **at = &l->timers; t && *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			free(t);
			return;
		}
	}
}

void loop_set_tick(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->tick = fn;
	l->tick_arg = arg;
}

static void run_timers(struct loop *l)
{
	uint64_t now = clock_ns();

	if (l->tick && now >= l->tick_at_ns) {
		l->tick_at_ns = now + TICK_NS;
		l->tick(l->tick_arg);
	}
	while (l->timers && l->timers->at_ns <= now) {
		struct loop_timer *t = l->timers;

		l->timers = t->next;
		t->fn(t->arg);
		free(t);
	}
}

static int timeout_ms(const struct loop *l)
{
	uint64_t now = clock_ns(), until = UINT64_MAX;

	if (l->timers)
		until = l->timers->at_ns;
	if (l->tick && l->tick_at_ns < until)
		until = l->tick_at_ns;
	if (until == UINT64_MAX)
		return -1;
	if (until <= now)
		return 0;
	until = (until - now + NS_PER_MSEC - 1) / NS_PER_MSEC;
	return until < INT_MAX ? (int)until : INT_MAX;
}

static ssize_t collect(struct loop *l)
{
	size_t n = 0;

	for (struct loop_watch *w = l->watches; w; w = w->next)
		n++;
	if (n > l->fd_room) {
		struct pollfd *more = realloc(l->fds, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->fds = more;
		l->fd_room = n;
	}
	n = 0;
	for (struct loop_watch *w = l->watches; w; w = w->next)
		l->fds[n++] = (struct pollfd){ .fd = w->fd, .events = w->events };
	return (ssize_t)n;
}

/* New watches stand in front of those that were polled; removed ones stay until the next round. */
static void dispatch(struct loop *l, struct loop_watch *first, size_t count)
{
	struct loop_watch *w = first;

	for (size_t i = 0; i < count; i++, w = w->next) {
		if (w->fd >= 0 && l->fds[i].revents)
			w->fn(w->arg, l->fds[i].revents);
	}
}

static int run_once(struct loop *l, int most_ms)
{
	struct loop_watch *first;
	ssize_t count;
	int n, ms;

	give_back_removed(l);
	count = collect(l);
	if (count < 0)
		return (int)count;
	first = l->watches;
	ms = timeout_ms(l);
	if (most_ms >= 0 && (ms < 0 || ms > most_ms))
		ms = most_ms;
	n = poll(l->fds, (nfds_t)count, ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	if (n > 0)
		dispatch(l, first, (size_t)count);
	run_timers(l);
	return 0;
}

int loop_run(struct loop *l, const bool *done)
{
	int rc = 0;

	while (rc == 0 && !*done)
		rc = run_once(l, -1);
	return rc;
}

int loop_turn(struct loop *l)
{
	return run_once(l, 0);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void set_readable(void *arg, short revents)
{
	(void)revents;
	*(bool *)arg = true;
}

int loop_wait(struct loop *l, int fd, uint64_t until_ns)
{
	bool readable = false, late = false;
	struct loop_watch *watch = loop_watch(l, fd, POLLIN, set_readable, &readable);
	struct loop_timer *timer = loop_timer(l, until_ns, set_true, &late);
	int rc = watch && timer ? 0 : -ENOMEM;

	while (rc == 0 && !readable && !late)
		rc = run_once(l, -1);
	if (!late)
		loop_timer_cancel(l, timer);
	loop_unwatch(l, watch);
	return rc < 0 ? rc : readable;
}

int loop_sleep(struct loop *l, uint64_t ns)
{
	bool done = false;

	if (!loop_timer(l, clock_ns() + ns, set_true, &done))
		return -ENOMEM;
	return loop_run(l, &done);
}

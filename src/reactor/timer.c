/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap of pointers, the earliest on top; a timer knows its place.
 *
 * Threading: each reactor has its own.
 */
#include <errno.h>
#include <stdlib.h>

#include "reactor/internal.h"

#define TIMERS_START 256u

int timers_init(struct reactor *r)
{
	r->timers.at = malloc(TIMERS_START * sizeof(*r->timers.at));
	r->timers.capacity = TIMERS_START;
	return r->timers.at ? 0 : -ENOMEM;
}

void timers_fini(struct reactor *r)
{
	free(r->timers.at);
}

static void place(struct timer_heap *h, uint32_t index, struct reactor_timer *timer)
{
	h->at[index] = timer;
	timer->slot = index + 1;
}

static void sift_up(struct timer_heap *h, uint32_t index, struct reactor_timer *timer)
{
	while (index > 0) {
		uint32_t parent = (index - 1) / 2;

		if (h->at[parent]->due_ns <= timer->due_ns)
			break;
		place(h, index, h->at[parent]);
		index = parent;
	}
	place(h, index, timer);
}

static void sift_down(struct timer_heap *h, uint32_t index, struct reactor_timer *timer)
{
	for (;;) {
		uint32_t child = 2 * index + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && h->at[child + 1]->due_ns < h->at[child]->due_ns)
			child++;
		if (timer->due_ns <= h->at[child]->due_ns)
			break;
		place(h, index, h->at[child]);
		index = child;
	}
	place(h, index, timer);
}

static void grow(struct timer_heap *h)
{
	struct reactor_timer **at = reallocarray(h->at, h->capacity, 2 * sizeof(*at));

	if (!at) {
		log_error("no memory for %u timers: giving up", 2 * h->capacity);
		abort();
	}
	h->at = at;
	h->capacity *= 2;
}

void reactor_timer_stop(struct reactor_timer *timer)
{
	struct timer_heap *h = &reactor_current->timers;
	struct reactor_timer *last;
	uint32_t index;

	if (timer->slot == 0)
		return;
	index = timer->slot - 1;
	timer->slot = 0;
	last = h->at[--h->count];
	if (last == timer)
		return;
	if (index > 0 && last->due_ns < h->at[(index - 1) / 2]->due_ns)
		sift_up(h, index, last);
	else
		sift_down(h, index, last);
}

void reactor_timer_start(struct reactor_timer *timer, uint64_t delay_ns)
{
	struct reactor *r = reactor_current;

	reactor_timer_stop(timer);
	if (r->timers.count == r->timers.capacity)
		grow(&r->timers);
	/* Never due in this turn, so that a timer that starts itself again cannot hold it up. */
	if (delay_ns == 0)
		delay_ns = 1;
	if (__builtin_add_overflow(r->now_ns, delay_ns, &timer->due_ns))
		timer->due_ns = UINT64_MAX;
	sift_up(&r->timers, r->timers.count++, timer);
}

bool timers_run(struct reactor *r)
{
	bool any = false;

	while (r->timers.count > 0 && r->timers.at[0]->due_ns <= r->now_ns) {
		struct reactor_timer *timer = r->timers.at[0];

		reactor_timer_stop(timer);
		timer->fn(timer);
		any = true;
	}
	return any;
}

uint64_t reactor_now_ns(void)
{
	return reactor_current->now_ns;
}

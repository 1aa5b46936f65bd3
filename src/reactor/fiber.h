/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: long sequences of asynchronous steps written as straight code.
 *
 * A fiber runs on the reactor that started it, with a stack of its own, until it waits; then the
 * reactor goes on, and the fiber with it when what it waits for is there. Metadata work (load,
 * snapshot, recovery), where the order of steps is what matters, reads top to bottom this way. The
 * I/O path uses none.
 *
 * Threading: a fiber belongs to one reactor for its whole life. Fibers of a reactor never run at
 * the same time, and change only where one waits: between two waits nothing else touches what
 * belongs to the reactor.
 */
#ifndef REACTOR_FIBER_H
#define REACTOR_FIBER_H

#include <stdbool.h>

#include "reactor/reactor.h"

/* A fiber's stack; below it lies a page that traps. */
#define FIBER_STACK_BYTES (128u * 1024)

struct fiber;

/**
 * fiber_start() - run @fn(@arg) as a fiber, from the next turn of this reactor on
 *
 * Return: 0, or -ENOMEM (no stack; @fn is not called).
 */
int fiber_start(void (*fn)(void *arg), void *arg);

/** fiber_self() - the fiber that is running; NULL outside of any */
struct fiber *fiber_self(void);

/**
 * struct fiber_event - what a fiber waits for: once, for a result
 *
 * Declared on the fiber's stack: the operation's completion calls fiber_event_set().
 */
struct fiber_event {
	struct fiber *waiter;
	bool set;
	int result;
};

#define FIBER_EVENT_INIT                                                                           \
	{                                                                                          \
		.waiter = NULL, .set = false, .result = 0                                          \
	}

/** fiber_event_set() - the result is there; the waiting fiber goes on in a later turn */
void fiber_event_set(struct fiber_event *event, int result);
/** fiber_event_wait() - inside a fiber: wait until it is set; returns the result */
int fiber_event_wait(struct fiber_event *event);
/** fiber_yield() - inside a fiber: let the reactor do a turn */
void fiber_yield(void);

/**
 * struct fiber_lock - one fiber at a time, in the order of asking
 *
 * All zero is an unlocked lock.
 */
struct fiber_lock {
	struct fiber *holder;
	struct fiber *first, *last;
};

void fiber_lock(struct fiber_lock *lock);
void fiber_unlock(struct fiber_lock *lock);
bool fiber_lock_is_held(const struct fiber_lock *lock);

/** fiber_fini() - give this reactor's idle stacks back; no fiber of it is alive */
void fiber_fini(void);

#endif

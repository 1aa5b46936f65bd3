/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small event loop on poll(2) inside the library: file descriptors and timers, run by whoever
 * waits for something. The library starts no thread and takes no signal.
 *
 * Threading: a loop and all on it belong to one thread. Callbacks run inside loop_run(); they may
 * add and remove watches and timers, their own too.
 */
#ifndef DRIVER_LOOP_H
#define DRIVER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

/** loop_create() - NULL when memory is short */
struct loop *loop_create(void);
/** loop_destroy() - nothing is watched any more */
void loop_destroy(struct loop *l);

/**
 * loop_watch() - call @fn when poll(2) reports @events (or an error) of @fd
 *
 * Return: the watch, or NULL when memory is short. The fd stays the caller's.
 */
struct loop_watch *loop_watch(struct loop *l, int fd, short events,
			      void (*fn)(void *arg, short revents), void *arg);
void loop_watch_events(struct loop_watch *w, short events);
void loop_unwatch(struct loop *l, struct loop_watch *w);

/** loop_timer() - call @fn once at @at_ns of clock_ns(); NULL when memory is short */
struct loop_timer *loop_timer(struct loop *l, uint64_t at_ns, void (*fn)(void *arg), void *arg);
/** loop_timer_cancel() - only before it was called; NULL is fine */
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/** loop_set_tick() - call @fn about every 100 ms while somebody waits; for progress */
void loop_set_tick(struct loop *l, void (*fn)(void *arg), void *arg);

/** loop_run() - until *@done; 0 or the negative errno of poll(2) */
int loop_run(struct loop *l, const bool *done);
/** loop_turn() - what is ready now, without waiting */
int loop_turn(struct loop *l);
/** loop_wait() - run until @fd is readable: 1; at @until_ns of clock_ns(): 0; or a negative errno
 */
int loop_wait(struct loop *l, int fd, uint64_t until_ns);
/** loop_sleep() - run the loop for a while */
int loop_sleep(struct loop *l, uint64_t ns);

#endif

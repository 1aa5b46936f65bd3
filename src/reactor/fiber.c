/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers on ucontext. A switch costs a system call for the signal mask, which work of this kind
 * does not feel.
 *
 * Threading: see fiber.h; all state is the reactor's own thread's.
 */
#include "reactor/fiber.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN 1
#else
#define FIBER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define FIBER_TSAN 1
#else
#define FIBER_TSAN 0
#endif

/* Stacks kept for the next fiber: as many as a store's load has in flight. */
#define FIBER_IDLE_MAX 64

struct fiber {
	ucontext_t context;
	struct reactor_msg msg;
	void (*fn)(void *arg);
	void *arg;
	struct fiber *next; /* in a lock's queue or the idle list */
	bool ended;
	void *stack; /* of the usable part */
	void *fake_stack;
	void *tsan;
};

static __thread struct fiber *current;
static __thread ucontext_t loop_context;
static __thread struct fiber *idle;
static __thread unsigned int idle_count;
#if FIBER_ASAN
static __thread void *loop_fake_stack;
static __thread const void *loop_stack;
static __thread size_t loop_stack_size;
#endif
#if FIBER_TSAN
static __thread void *loop_tsan;
#endif

static void note_leaving_loop(const struct fiber *f)
{
	(void)f;
#if FIBER_ASAN
	__sanitizer_start_switch_fiber(&loop_fake_stack, f->stack, FIBER_STACK_BYTES);
#endif
#if FIBER_TSAN
	loop_tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->tsan, 0);
#endif
}

static void note_back_in_loop(void)
{
#if FIBER_ASAN
	__sanitizer_finish_switch_fiber(loop_fake_stack, NULL, NULL);
#endif
}

/* A fiber that has ended gives no place to keep its fake stack: the sanitizer frees it. */
static void note_leaving_fiber(struct fiber *f)
{
	(void)f;
#if FIBER_ASAN
	__sanitizer_start_switch_fiber(f->ended ? NULL : &f->fake_stack, loop_stack,
				       loop_stack_size);
#endif
#if FIBER_TSAN
	__tsan_switch_to_fiber(loop_tsan, 0);
#endif
}

static void note_in_fiber(struct fiber *f)
{
	(void)f;
#if FIBER_ASAN
	__sanitizer_finish_switch_fiber(f->fake_stack, &loop_stack, &loop_stack_size);
#endif
}

static void switch_to_loop(struct fiber *f)
{
	note_leaving_fiber(f);
	swapcontext(&f->context, &loop_context);
	note_in_fiber(f);
}

static void fiber_main(void)
{
	struct fiber *f = current;

	note_in_fiber(f);
	f->fn(f->arg);
	f->ended = true;
	switch_to_loop(f);
	abort();
}

static void fiber_release(struct fiber *f)
{
	void *map = (char *)f->stack - (size_t)sysconf(_SC_PAGESIZE);

#if FIBER_TSAN
	__tsan_destroy_fiber(f->tsan);
#endif
	if (idle_count < FIBER_IDLE_MAX) {
		f->next = idle;
		idle = f;
		idle_count++;
		return;
	}
	munmap(map, FIBER_STACK_BYTES + (size_t)sysconf(_SC_PAGESIZE));
	free(f);
}

static void fiber_run(struct reactor_msg *msg)
{
	struct fiber *f = (struct fiber *)((char *)msg - offsetof(struct fiber, msg));

	current = f;
	note_leaving_loop(f);
	swapcontext(&loop_context, &f->context);
	note_back_in_loop();
	current = NULL;
	if (f->ended)
		fiber_release(f);
}

static struct fiber *fiber_alloc(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct fiber *f = idle;
	void *map;

	if (f != NULL) {
		idle = f->next;
		idle_count--;
		return f;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	map = mmap(NULL, FIBER_STACK_BYTES + page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(f);
		return NULL;
	}
	mprotect(map, page, PROT_NONE);
	f->stack = (char *)map + page;
	return f;
}

/* getcontext() "may return twice": with nothing else around it no variable can suffer. */
static __attribute__((noinline)) void context_prepare(struct fiber *f)
{
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = FIBER_STACK_BYTES;
	f->context.uc_link = NULL;
	makecontext(&f->context, fiber_main, 0);
}

int fiber_start(void (*fn)(void *arg), void *arg)
{
	struct fiber *f = fiber_alloc();

	if (f == NULL)
		return -ENOMEM;
	f->fn = fn;
	f->arg = arg;
	f->ended = false;
	f->next = NULL;
	f->fake_stack = NULL;
	context_prepare(f);
#if FIBER_TSAN
	f->tsan = __tsan_create_fiber(0);
#endif
	f->msg.fn = fiber_run;
	reactor_defer(&f->msg);
	return 0;
}

struct fiber *fiber_self(void)
{
	return current;
}

static void fiber_wake(struct fiber *f)
{
	reactor_defer(&f->msg);
}

void fiber_event_set(struct fiber_event *event, int result)
{
	assert(!event->set);
	event->set = true;
	event->result = result;
	if (event->waiter != NULL)
		fiber_wake(event->waiter);
}

int fiber_event_wait(struct fiber_event *event)
{
	assert(current != NULL);
	if (!event->set) {
		event->waiter = current;
		switch_to_loop(current);
	}
	return event->result;
}

void fiber_yield(void)
{
	assert(current != NULL);
	fiber_wake(current);
	switch_to_loop(current);
}

void fiber_lock(struct fiber_lock *lock)
{
	assert(current != NULL && lock->holder != current);
	if (lock->holder == NULL) {
		lock->holder = current;
		return;
	}
	current->next = NULL;
	if (lock->first == NULL)
		lock->first = current;
	else
		lock->last->next = current;
	lock->last = current;
	switch_to_loop(current);
}

void fiber_unlock(struct fiber_lock *lock)
{
	struct fiber *next = lock->first;

	assert(lock->holder == current);
	lock->holder = next;
	if (next == NULL)
		return;
	lock->first = next->next;
	if (lock->first == NULL)
		lock->last = NULL;
	fiber_wake(next);
}

bool fiber_lock_is_held(const struct fiber_lock *lock)
{
	return lock->holder != NULL;
}

void fiber_fini(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	while (idle != NULL) {
		struct fiber *f = idle;

		idle = f->next;
		munmap((char *)f->stack - page, FIBER_STACK_BYTES + page);
		free(f);
	}
	idle_count = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: they wait, take turns, queue for locks in order, and leave no stack behind.
 *
 * Threading: reactor 0 is the test's thread; fibers start on it.
 */
#include "reactor_unit.h"

#include <errno.h>

#include "reactor/fiber.h"

static char trace[256];

static void note(const char *what)
{
	strncat(trace, what, sizeof(trace) - strlen(trace) - 1);
}

static void start_fiber(void *arg)
{
	void (*fn)(void *) = *(void (**)(void *))arg;

	assert_int_equal(fiber_start(fn, NULL), 0);
}

/* Run a reactor with @fn as its first fiber; @fn ends it. */
static void run(void (*fn)(void *arg))
{
	trace[0] = '\0';
	unit_run(1, start_fiber, &fn);
}

/* --- events ----------------------------------------------------------------------------------- */

struct later {
	struct reactor_timer timer;
	struct fiber_event event;
	int result;
};

static void set_later(struct reactor_timer *timer)
{
	struct later *l = container_of(timer, struct later, timer);

	fiber_event_set(&l->event, l->result);
}

static void waits_for_event(void *arg)
{
	struct later l = { .timer.fn = set_later, .result = -EIO };
	struct fiber_event before = FIBER_EVENT_INIT;

	(void)arg;
	assert_non_null(fiber_self());
	reactor_timer_start(&l.timer, 1000000);
	assert_int_equal(fiber_event_wait(&l.event), -EIO);
	fiber_event_set(&before, 7);
	assert_int_equal(fiber_event_wait(&before), 7);
	reactor_system_stop();
}

static void test_event_brings_result_set_before_or_after(void **state)
{
	(void)state;
	assert_null(fiber_self());
	run(waits_for_event);
}

/* --- taking turns ----------------------------------------------------------------------------- */

static unsigned int alive;
static struct fiber_lock lock;

static void one_of_many(void *arg)
{
	const char *name = arg;

	fiber_lock(&lock);
	note(name);
	fiber_yield();
	assert_true(fiber_lock_is_held(&lock));
	note(name);
	fiber_unlock(&lock);
	if (--alive == 0)
		reactor_system_stop();
}

static void starts_many(void *arg)
{
	static char names[3][2] = { "a", "b", "c" };

	(void)arg;
	alive = 3;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(fiber_start(one_of_many, names[i]), 0);
	note("-");
}

static void test_lock_is_had_in_the_order_of_asking(void **state)
{
	(void)state;
	run(starts_many);
	assert_string_equal(trace, "-aabbcc");
	assert_false(fiber_lock_is_held(&lock));
}

static void yielder(void *arg)
{
	for (unsigned int i = 0; i < 3; i++) {
		note(arg);
		fiber_yield();
	}
	if (--alive == 0)
		reactor_system_stop();
}

static void starts_yielders(void *arg)
{
	static char one[] = "1", two[] = "2";

	(void)arg;
	alive = 2;
	assert_int_equal(fiber_start(yielder, one), 0);
	assert_int_equal(fiber_start(yielder, two), 0);
}

static void test_yield_lets_others_run(void **state)
{
	(void)state;
	run(starts_yielders);
	assert_string_equal(trace, "121212");
}

/* --- stacks ----------------------------------------------------------------------------------- */

/* Uses most of a stack, so that a stack that is shared or too short shows. */
static uint32_t deep(uint32_t level)
{
	volatile uint8_t room[1024];

	memset((void *)room, (int)level, sizeof(room));
	if (level > 0 && deep(level - 1) == UINT32_MAX)
		return UINT32_MAX;
	fiber_yield();
	for (size_t i = 0; i < sizeof(room); i++) {
		if (room[i] != (uint8_t)level)
			return UINT32_MAX;
	}
	return level;
}

static void digs(void *arg)
{
	(void)arg;
	assert_int_equal(deep(30), 30);
	if (--alive == 0)
		reactor_system_stop();
}

static void starts_diggers(void *arg)
{
	(void)arg;
	alive = 100;
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(fiber_start(digs, NULL), 0);
}

static void test_many_fibers_have_stacks_of_their_own(void **state)
{
	(void)state;
	run(starts_diggers);
}

static void nothing(void *arg)
{
	(void)arg;
	alive--;
}

static void starts_again_and_again(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 1000; i++) {
		alive = 1;
		assert_int_equal(fiber_start(nothing, NULL), 0);
		fiber_yield();
		assert_int_equal(alive, 0);
	}
	reactor_system_stop();
}

static void test_stacks_are_used_again(void **state)
{
	(void)state;
	run(starts_again_and_again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_brings_result_set_before_or_after),
		cmocka_unit_test(test_lock_is_had_in_the_order_of_asking),
		cmocka_unit_test(test_yield_lets_others_run),
		cmocka_unit_test(test_many_fibers_have_stacks_of_their_own),
		cmocka_unit_test(test_stacks_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

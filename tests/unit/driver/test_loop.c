/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: order of timers, and callbacks that add and remove what they like.
 *
 * Threading: one thread.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/loop.h"

/* Arguments of callbacks are not const; these are only read. */
#define WORD(text) ((void *)(uintptr_t)(text))

static struct loop *loop;
static struct loop_watch *watches[2];
static struct loop_timer *doomed;
static int pipes[2][2];
static char trace[16];
static bool done;

static int setup(void **state)
{
	(void)state;
	loop = loop_create();
	memset(trace, 0, sizeof(trace));
	done = false;
	return pipe(pipes[0]) || pipe(pipes[1]);
}

static int teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	for (int i = 0; i < 2; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	return 0;
}

static void note(void *arg)
{
	strcat(trace, arg);
	done = strchr(trace, '.');
}

static void test_timers_run_in_order(void **state)
{
	uint64_t now = clock_ns();

	(void)state;
	loop_timer(loop, now + 3, note, WORD("."));
	loop_timer(loop, now + 1, note, WORD("a"));
	loop_timer(loop, now + 2, note, WORD("b"));
	loop_timer(loop, now + 1, note, WORD("A"));
	assert_int_equal(loop_run(loop, &done), 0);
	assert_string_equal(trace, "aAb.");
}

static void cancel_the_next(void *arg)
{
	note(arg);
	loop_timer_cancel(loop, doomed);
	loop_timer(loop, 0, note, WORD("n"));
}

static void test_timer_may_cancel_and_add(void **state)
{
	uint64_t now = clock_ns();

	(void)state;
	loop_timer(loop, now, cancel_the_next, WORD("c"));
	doomed = loop_timer(loop, now + 1, note, WORD("never"));
	loop_timer(loop, now + 2, note, WORD("."));
	assert_int_equal(loop_run(loop, &done), 0);
	assert_string_equal(trace, "cn.");
}

/* Both are readable in one round; whoever comes first removes both. */
static void remove_both(void *arg, short revents)
{
	assert_true(revents & POLLIN);
	note(arg);
	loop_unwatch(loop, watches[0]);
	loop_unwatch(loop, watches[1]);
	loop_timer(loop, 0, note, WORD("."));
}

static void test_watch_may_remove_itself_and_others(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		watches[i] = loop_watch(loop, pipes[i][0], POLLIN, remove_both, WORD("w"));
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
	}
	assert_int_equal(loop_run(loop, &done), 0);
	assert_string_equal(trace, "w.");
}

static void read_other(void *arg, short revents)
{
	(void)revents;
	note(arg);
	loop_unwatch(loop, watches[1]);
}

static void add_other(void *arg, short revents)
{
	(void)revents;
	note(arg);
	loop_unwatch(loop, watches[0]);
	watches[1] = loop_watch(loop, pipes[1][0], POLLIN, read_other, WORD("."));
}

static void test_watch_may_add_others(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
	watches[0] = loop_watch(loop, pipes[0][0], POLLIN, add_other, WORD("w"));
	assert_int_equal(loop_run(loop, &done), 0);
	assert_string_equal(trace, "w.");
}

/* Further off than poll(2) can wait at once, and than an int has milliseconds. */
static void test_far_timer_does_not_come_at_once(void **state)
{
	struct loop_timer *far = loop_timer(loop, UINT64_MAX - 1, note, WORD("never"));

	(void)state;
	loop_timer(loop, clock_ns() + 1, note, WORD("."));
	assert_int_equal(loop_run(loop, &done), 0);
	assert_string_equal(trace, ".");
	assert_int_equal(loop_sleep(loop, 1), 0);
	assert_string_equal(trace, ".");
	loop_timer_cancel(loop, far);
}

static void read_own(void *arg, short revents)
{
	char byte;

	(void)revents;
	note(arg);
	assert_int_equal(read(pipes[0][0], &byte, 1), 1);
}

/* What is ready is done, and nothing waited for. */
static void test_turn_does_not_wait(void **state)
{
	struct loop_timer *far = loop_timer(loop, UINT64_MAX - 1, note, WORD("never"));

	(void)state;
	watches[0] = loop_watch(loop, pipes[0][0], POLLIN, read_own, WORD("r"));
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(trace, "");
	assert_int_equal(write(pipes[0][1], "x", 1), 1);
	loop_timer(loop, 0, note, WORD("t"));
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(trace, "rt");
	loop_unwatch(loop, watches[0]);
	loop_timer_cancel(loop, far);
}

/* Others have their turn meanwhile. */
static void test_wait_ends_with_the_descriptor_or_the_time(void **state)
{
	(void)state;
	watches[0] = loop_watch(loop, pipes[0][0], POLLIN, read_own, WORD("r"));
	assert_int_equal(write(pipes[0][1], "x", 1), 1);
	assert_int_equal(loop_wait(loop, pipes[1][0], clock_ns() + NS_PER_MSEC), 0);
	assert_string_equal(trace, "r");
	assert_int_equal(write(pipes[1][1], "x", 1), 1);
	assert_int_equal(loop_wait(loop, pipes[1][0], UINT64_MAX - 1), 1);
	loop_unwatch(loop, watches[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_run_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_may_cancel_and_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_may_remove_itself_and_others, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_watch_may_add_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far_timer_does_not_come_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_turn_does_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_ends_with_the_descriptor_or_the_time,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

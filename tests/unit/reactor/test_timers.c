/* SPDX-License-Identifier: Apache-2.0 */
/* Timers: order, stop, restart, and that none can hold up a turn. */
#include "reactor_unit.h"

#include <stdlib.h>

#define COUNT 1000u

static struct reactor_timer timers[COUNT];
static uint64_t last_due;
static unsigned int fired;

static void run_timers(void (*start)(void *arg))
{
	memset(timers, 0, sizeof(timers));
	last_due = 0;
	fired = 0;
	unit_run(1, start, NULL);
}

/* --- order ---------------------------------------------------------------------------------- */

static void in_order(struct reactor_timer *timer)
{
	assert_true(timer->due_ns >= last_due);
	assert_true(timer->due_ns <= reactor_now_ns());
	assert_false(reactor_timer_is_started(timer));
	last_due = timer->due_ns;
	if (++fired == COUNT / 2)
		reactor_system_stop();
}

static void start_random(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < COUNT; i++) {
		timers[i].fn = in_order;
		reactor_timer_start(&timers[i], (uint64_t)(rand() % 1000000));
	}
	/* Moved, and every second one taken out of the middle of the heap. */
	for (unsigned int i = 0; i < COUNT; i += 3)
		reactor_timer_start(&timers[i], (uint64_t)(rand() % 1000000));
	for (unsigned int i = 0; i < COUNT; i += 2) {
		reactor_timer_stop(&timers[i]);
		assert_false(reactor_timer_is_started(&timers[i]));
		reactor_timer_stop(&timers[i]);
	}
}

static void test_timers_fire_in_order(void **state)
{
	(void)state;
	run_timers(start_random);
	assert_int_equal(fired, COUNT / 2);
}

/* --- inside fn ------------------------------------------------------------------------------ */

static void stops_the_next(struct reactor_timer *timer)
{
	size_t i = (size_t)(timer - timers);

	fired++;
	if (i + 1 < 10)
		reactor_timer_stop(timer + 1);
}

static void stops_it_all(struct reactor_timer *timer)
{
	(void)timer;
	reactor_system_stop();
}

static void start_neighbours(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 10; i++) {
		timers[i].fn = stops_the_next;
		reactor_timer_start(&timers[i], 1000 + i);
	}
	timers[10].fn = stops_it_all;
	reactor_timer_start(&timers[10], 2000000);
}

static void test_timer_is_stopped_inside_fn(void **state)
{
	(void)state;
	run_timers(start_neighbours);
	assert_int_equal(fired, 5);
}

static uint64_t turn_ns;

static void again(struct reactor_timer *timer)
{
	/* Not twice in a turn, however short the delay. */
	assert_true(reactor_now_ns() > turn_ns);
	turn_ns = reactor_now_ns();
	if (++fired == 100)
		reactor_system_stop();
	else
		reactor_timer_start(timer, 0);
}

static void start_again(void *arg)
{
	(void)arg;
	turn_ns = 0;
	timers[0].fn = again;
	reactor_timer_start(&timers[0], 0);
}

static void test_timer_is_restarted_inside_fn(void **state)
{
	(void)state;
	run_timers(start_again);
	assert_int_equal(fired, 100);
}

/* --- extremes ------------------------------------------------------------------------------- */

static void never(struct reactor_timer *timer)
{
	(void)timer;
	fail_msg("a timer that is never due fired");
}

static void start_extremes(void *arg)
{
	(void)arg;
	timers[0].fn = never;
	reactor_timer_start(&timers[0], UINT64_MAX);
	assert_int_equal(timers[0].due_ns, UINT64_MAX);
	timers[1].fn = stops_it_all;
	reactor_timer_start(&timers[1], 3000000);
}

static void test_longest_delay_does_not_wrap(void **state)
{
	(void)state;
	run_timers(start_extremes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_fire_in_order),
		cmocka_unit_test(test_timer_is_stopped_inside_fn),
		cmocka_unit_test(test_timer_is_restarted_inside_fn),
		cmocka_unit_test(test_longest_delay_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

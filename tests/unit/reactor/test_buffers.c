/* SPDX-License-Identifier: Apache-2.0 */
/* Buffer pools: sizes, exhaustion, the order of waiting, leaving the queue. */
#include "reactor_unit.h"

#define SMALL 8u
#define LARGE 4u

static void run_buffers(void (*start)(void *arg))
{
	struct reactor_options opts = unit_options(1);

	opts.small_buffers = SMALL;
	opts.large_buffers = LARGE;
	unit_run_with(&opts, start, NULL);
}

/* --- sizes ---------------------------------------------------------------------------------- */

static void take_all(uint32_t size, uint32_t bytes, void **buffers, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		buffers[i] = reactor_buffer_get(size, NULL);
		assert_non_null(buffers[i]);
		assert_int_equal((uintptr_t)buffers[i] % REACTOR_BUFFER_ALIGN, 0);
		memset(buffers[i], (int)i + 1, bytes);
	}
	assert_null(reactor_buffer_get(size, NULL));
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(((uint8_t *)buffers[i])[0], i + 1);
		assert_int_equal(((uint8_t *)buffers[i])[bytes - 1], i + 1);
	}
}

static void start_sizes(void *arg)
{
	struct reactor_stats stats;
	void *small[SMALL], *large[LARGE];

	(void)arg;
	take_all(1, REACTOR_SMALL_BUFFER, small, SMALL);
	take_all(REACTOR_SMALL_BUFFER + 1, REACTOR_LARGE_BUFFER, large, LARGE);
	reactor_stats_get(&stats);
	assert_int_equal(stats.small_buffers_used, SMALL);
	assert_int_equal(stats.small_buffers_total, SMALL);
	assert_int_equal(stats.large_buffers_used, LARGE);
	assert_int_equal(stats.large_buffers_total, LARGE);
	/* The last given back is warm, so it is the first handed out. */
	reactor_buffer_put(small[2]);
	reactor_buffer_put(small[5]);
	assert_ptr_equal(reactor_buffer_get(REACTOR_SMALL_BUFFER, NULL), small[5]);
	assert_ptr_equal(reactor_buffer_get(REACTOR_SMALL_BUFFER, NULL), small[2]);
	for (unsigned int i = 0; i < SMALL; i++)
		reactor_buffer_put(small[i]);
	for (unsigned int i = 0; i < LARGE; i++)
		reactor_buffer_put(large[i]);
	reactor_stats_get(&stats);
	assert_int_equal(stats.small_buffers_used, 0);
	assert_int_equal(stats.large_buffers_used, 0);
	reactor_system_stop();
}

static void test_buffers_have_their_size_and_alignment(void **state)
{
	(void)state;
	run_buffers(start_sizes);
}

/* --- waiting -------------------------------------------------------------------------------- */

#define WAITERS 6

struct waiter {
	struct reactor_buffer_wait wait;
	unsigned int number;
};

static struct waiter waiters[WAITERS];
static unsigned int served[WAITERS];
static unsigned int served_count;
static void *held[LARGE];
static bool putting;
static struct reactor_timer end;

static void got(struct reactor_buffer_wait *wait, void *buffer)
{
	struct waiter *w = container_of(wait, struct waiter, wait);

	assert_false(putting);
	served[served_count++] = w->number;
	/* Whoever comes now is behind those who wait, though a buffer is free. */
	if (served_count == 1)
		assert_null(reactor_buffer_get(REACTOR_LARGE_BUFFER, NULL));
	putting = true;
	reactor_buffer_put(buffer);
	putting = false;
}

static void check_served(struct reactor_timer *timer)
{
	void *buffer;

	(void)timer;
	assert_int_equal(served_count, 3);
	assert_int_equal(served[0], 1);
	assert_int_equal(served[1], 2);
	assert_int_equal(served[2], 4);
	buffer = reactor_buffer_get(REACTOR_LARGE_BUFFER, NULL);
	assert_non_null(buffer);
	reactor_buffer_put(buffer);
	reactor_system_stop();
}

static void start_waiting(void *arg)
{
	struct reactor_stats stats;

	(void)arg;
	take_all(REACTOR_LARGE_BUFFER, 16, held, LARGE);
	for (unsigned int i = 0; i < WAITERS; i++) {
		waiters[i] = (struct waiter){ .wait = { .fn = got }, .number = i };
		assert_null(reactor_buffer_get(REACTOR_LARGE_BUFFER, &waiters[i].wait));
	}
	reactor_stats_get(&stats);
	assert_int_equal(stats.buffer_waits, WAITERS);
	/* First, middle, last; and one that is in no queue. */
	reactor_buffer_wait_cancel(&waiters[0].wait);
	reactor_buffer_wait_cancel(&waiters[3].wait);
	reactor_buffer_wait_cancel(&waiters[5].wait);
	reactor_buffer_wait_cancel(&waiters[5].wait);
	putting = true;
	reactor_buffer_put(held[1]);
	reactor_buffer_put(held[2]);
	putting = false;
	assert_int_equal(served_count, 0);
	end.fn = check_served;
	reactor_timer_start(&end, 1000000);
}

static void test_waiters_are_served_in_order(void **state)
{
	(void)state;
	served_count = 0;
	run_buffers(start_waiting);
}

/* --- leaving the queue while it is served --------------------------------------------------- */

static void got_and_cancels(struct reactor_buffer_wait *wait, void *buffer)
{
	struct waiter *w = container_of(wait, struct waiter, wait);

	served[served_count++] = w->number;
	if (w->number == 0)
		reactor_buffer_wait_cancel(&waiters[1].wait);
	reactor_buffer_put(buffer);
}

static void check_cancelled(struct reactor_timer *timer)
{
	(void)timer;
	assert_int_equal(served_count, 2);
	assert_int_equal(served[1], 2);
	reactor_system_stop();
}

static void start_cancelling(void *arg)
{
	(void)arg;
	take_all(REACTOR_LARGE_BUFFER, 16, held, LARGE);
	for (unsigned int i = 0; i < 3; i++) {
		waiters[i] = (struct waiter){ .wait = { .fn = got_and_cancels }, .number = i };
		assert_null(reactor_buffer_get(REACTOR_LARGE_BUFFER, &waiters[i].wait));
	}
	reactor_buffer_put(held[0]);
	reactor_buffer_put(held[1]);
	end = (struct reactor_timer){ .fn = check_cancelled };
	reactor_timer_start(&end, 1000000);
}

static void test_waiter_leaves_while_others_are_served(void **state)
{
	(void)state;
	served_count = 0;
	run_buffers(start_cancelling);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffers_have_their_size_and_alignment),
		cmocka_unit_test(test_waiters_are_served_in_order),
		cmocka_unit_test(test_waiter_leaves_while_others_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks go forward, and the cycle counter's rate is near the monotonic clock's. */
#include "unit.h"

#include "base/clock.h"

static void test_clock_goes_forward(void **state)
{
	uint64_t ns = clock_ns(), ticks = clock_ticks(), cpu = clock_thread_cpu_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(clock_ns() >= ns);
		assert_true(clock_ticks() >= ticks);
		assert_true(clock_thread_cpu_ns() >= cpu);
		ns = clock_ns();
		ticks = clock_ticks();
		cpu = clock_thread_cpu_ns();
	}
}

static void test_clock_rate_is_stable(void **state)
{
	uint64_t hz = clock_ticks_hz();

	(void)state;
	/* No counter of a CPU in use runs slower than 1 MHz or faster than 10 GHz. */
	assert_in_range(hz, 1000000, UINT64_C(10000000000));
	assert_int_equal(clock_ticks_hz(), hz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_goes_forward),
		cmocka_unit_test(test_clock_rate_is_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

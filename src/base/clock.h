/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks: monotonic time in nanoseconds, and a cheap cycle counter of known rate.
 *
 * Threading: pure functions, but clock_ticks_hz() measures once, at its first call.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SEC  UINT64_C(1000000000)
#define NS_PER_MSEC UINT64_C(1000000)
#define NS_PER_USEC UINT64_C(1000)

static inline uint64_t clock_ns_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/** clock_ns() - monotonic nanoseconds */
static inline uint64_t clock_ns(void)
{
	return clock_ns_of(CLOCK_MONOTONIC);
}

/** clock_thread_cpu_ns() - CPU time of the calling thread */
static inline uint64_t clock_thread_cpu_ns(void)
{
	return clock_ns_of(CLOCK_THREAD_CPUTIME_ID);
}

/** clock_ticks() - the time stamp counter; clock_ns() where there is none that is constant */
uint64_t clock_ticks(void);
/** clock_ticks_hz() - rate of clock_ticks() */
uint64_t clock_ticks_hz(void);

#endif

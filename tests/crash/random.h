/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers that a seed gives again (splitmix64).
 *
 * Threading: one user a generator.
 */
#ifndef TESTS_CRASH_RANDOM_H
#define TESTS_CRASH_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/** random_below() - 0 to @n - 1; @n is not 0 */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)(random_next(r) % n);
}

static inline bool random_one_in(struct random *r, uint32_t n)
{
	return random_below(r, n) == 0;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on numbers from outside: every function says whether the result is right.
 *
 * Threading: pure functions.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_add_u32(uint32_t a, uint32_t b, uint32_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul_u32(uint32_t a, uint32_t b, uint32_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/** range_is_within() - [@offset, @offset + @len) lies in [0, @size), without overflow */
static inline bool range_is_within(uint64_t offset, uint64_t len, uint64_t size)
{
	return len <= size && offset <= size - len;
}

static inline bool is_power_of_two(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

#endif

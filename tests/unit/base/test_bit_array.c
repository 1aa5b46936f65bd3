/* SPDX-License-Identifier: Apache-2.0 */
/* Bit arrays, against an array of bools. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bit_array.h"

#define BITS_MAX 300

static uint64_t model_find(const bool *model, uint64_t size, uint64_t from, bool wanted)
{
	for (uint64_t i = from; i < size; i++) {
		if (model[i] == wanted)
			return i;
	}
	return UINT64_MAX;
}

static void compare(const struct bit_array *a, const bool *model, uint64_t size)
{
	uint64_t set = 0;

	assert_int_equal(bit_array_size(a), size);
	for (uint64_t i = 0; i < size + 70; i++) {
		assert_int_equal(bit_array_get(a, i), i < size && model[i]);
		assert_int_equal(bit_array_find_set(a, i), model_find(model, size, i, true));
		set += i < size && model[i];
	}
	for (uint64_t i = 0; i < size + 70; i++) {
		uint64_t clear = model_find(model, size, i, false);

		assert_int_equal(bit_array_find_clear(a, i), clear);
	}
	assert_int_equal(bit_array_count_set(a), set);
}

/* One step of a walk that the seed repeats: set, clear, take or resize. */
static void step(struct bit_array **a, bool *model, uint64_t *size, unsigned int *seed)
{
	uint64_t bit = *size ? (uint64_t)rand_r(seed) % *size : 0, taken;
	int what = rand_r(seed) % 16;

	if (what == 0) {
		uint64_t next = (uint64_t)rand_r(seed) % BITS_MAX;

		assert_int_equal(bit_array_resize(a, next), 0);
		for (uint64_t i = next; i < BITS_MAX; i++)
			model[i] = false;
		*size = next;
	} else if (what < 9) {
		taken = bit_array_take(*a);
		assert_int_equal(taken, model_find(model, *size, 0, false));
		if (taken != UINT64_MAX)
			model[taken] = true;
	} else if (*size > 0) {
		what < 13 ? bit_array_clear(*a, bit) : bit_array_set(*a, bit);
		model[bit] = what >= 13;
	}
}

static void test_bit_array_is_an_array_of_bools(void **state)
{
	bool model[BITS_MAX] = { false };
	uint64_t size = 130;
	struct bit_array *a = bit_array_create(size);
	unsigned int seed = 1;

	(void)state;
	assert_non_null(a);
	for (int i = 0; i < 4000; i++) {
		step(&a, model, &size, &seed);
		compare(a, model, size);
	}
	bit_array_destroy(a);
}

static void test_bit_array_takes_the_lowest(void **state)
{
	struct bit_array *a = bit_array_create(65);

	(void)state;
	for (uint64_t i = 0; i < 65; i++)
		assert_int_equal(bit_array_take(a), i);
	assert_int_equal(bit_array_take(a), UINT64_MAX);
	bit_array_clear(a, 64);
	bit_array_clear(a, 3);
	assert_int_equal(bit_array_take(a), 3);
	assert_int_equal(bit_array_take(a), 64);
	assert_int_equal(bit_array_resize(&a, 66), 0);
	assert_int_equal(bit_array_take(a), 65);
	bit_array_destroy(a);
}

static void test_bit_array_of_no_bits(void **state)
{
	struct bit_array *a = bit_array_create(0);

	(void)state;
	assert_int_equal(bit_array_take(a), UINT64_MAX);
	assert_int_equal(bit_array_find_set(a, 0), UINT64_MAX);
	assert_int_equal(bit_array_find_clear(a, UINT64_MAX), UINT64_MAX);
	assert_false(bit_array_get(a, UINT64_MAX));
	bit_array_destroy(a);
	bit_array_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bit_array_is_an_array_of_bools),
		cmocka_unit_test(test_bit_array_takes_the_lowest),
		cmocka_unit_test(test_bit_array_of_no_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

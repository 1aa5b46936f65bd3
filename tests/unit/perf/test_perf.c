/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histogram and stamped data of cyborg-spdk-perf.
 *
 * Threading: a single-threaded test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "perf/histogram.h"
#include "perf/pattern.h"

#define BLOCKS 8u

/* --- histogram -------------------------------------------------------------------------------- */

static struct histogram h, other;

static void test_percentiles(void **state)
{
	(void)state;
	histogram_init(&h);
	for (uint64_t i = 1; i <= 100000; i++)
		histogram_add(&h, i);
	assert_int_equal(h.count, 100000);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 100000);
	assert_in_range(histogram_percentile(&h, 50000), 50000, 50000 * 102 / 100);
	assert_in_range(histogram_percentile(&h, 99000), 99000, 100000);
	assert_in_range(histogram_percentile(&h, 99900), 99900, 100000);
	assert_int_equal(histogram_percentile(&h, 100000), 100000);
}

static void test_small_values_are_exact(void **state)
{
	(void)state;
	histogram_init(&h);
	for (uint64_t i = 0; i < 64; i++)
		histogram_add(&h, i);
	assert_int_equal(histogram_percentile(&h, 50000), 31);
	assert_int_equal(histogram_percentile(&h, 1), 0);
}

static void test_extremes(void **state)
{
	(void)state;
	histogram_init(&h);
	assert_int_equal(histogram_percentile(&h, 50000), 0);
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(histogram_percentile(&h, 50000), UINT64_MAX);
	for (unsigned int bit = 0; bit < 64; bit++) {
		histogram_init(&h);
		histogram_add(&h, UINT64_C(1) << bit);
		assert_int_equal(histogram_percentile(&h, 50000), UINT64_C(1) << bit);
	}
}

static void test_merge(void **state)
{
	(void)state;
	histogram_init(&h);
	histogram_init(&other);
	histogram_add(&h, 10);
	histogram_add(&other, 30);
	histogram_add(&other, 5);
	histogram_merge(&h, &other);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.sum, 45);
	assert_int_equal(h.min, 5);
	assert_int_equal(h.max, 30);
	assert_int_equal(histogram_percentile(&h, 50000), 10);
}

/* --- pattern ---------------------------------------------------------------------------------- */

static char text[512];

static void test_pattern_is_found(void **state)
{
	static const uint32_t sizes[] = { 512, 4096 };
	uint8_t *data = malloc(BLOCKS * 4096);

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		pattern_fill(data, BLOCKS, sizes[i], UINT64_C(1) << 40, 7, 3);
		assert_int_equal(pattern_check(data, BLOCKS, sizes[i], UINT64_C(1) << 40, 7, 3,
					       text, sizeof(text)),
				 0);
	}
	free(data);
}

static void assert_wrong(const uint8_t *data, uint64_t lba, uint64_t seed, uint32_t generation,
			 uint32_t bad, const char *why)
{
	assert_int_equal(
		pattern_check(data, BLOCKS, 512, lba, seed, generation, text, sizeof(text)), bad);
	if (!strstr(text, why))
		fail_msg("'%s' lacks '%s'", text, why);
}

static void test_what_is_wrong_is_told(void **state)
{
	uint8_t data[BLOCKS * 512];

	(void)state;
	pattern_fill(data, BLOCKS, 512, 100, 7, 3);
	assert_wrong(data, 101, 7, 3, BLOCKS, "LBA 101: data of another LBA; found magic");
	assert_wrong(data, 100, 8, 3, BLOCKS, "another seed");
	assert_wrong(data, 100, 7, 2, BLOCKS, "another write");
	memset(data + 512, 0, 512);
	assert_wrong(data, 100, 7, 3, 1, "LBA 101: no stamp");
}

static void test_every_byte_counts(void **state)
{
	uint8_t data[BLOCKS * 512];

	(void)state;
	pattern_fill(data, BLOCKS, 512, 0, 1, 0);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] ^= 0x10;
		assert_int_equal(pattern_check(data, BLOCKS, 512, 0, 1, 0, text, sizeof(text)), 1);
		data[i] ^= 0x10;
	}
	assert_int_equal(pattern_check(data, BLOCKS, 512, 0, 1, 0, text, sizeof(text)), 0);
}

/* Blocks differ everywhere, so that swapped halves of two blocks are found. */
static void test_blocks_differ(void **state)
{
	uint8_t a[512], b[512];
	unsigned int same = 0;

	(void)state;
	pattern_fill(a, 1, 512, 0, 1, 0);
	pattern_fill(b, 1, 512, 1, 1, 0);
	for (size_t i = 32; i < 512; i += 8)
		same += memcmp(a + i, b + i, 8) == 0;
	assert_int_equal(same, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_pattern_is_found),
		cmocka_unit_test(test_what_is_wrong_is_told),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_blocks_differ),
	};

	return cmocka_run_group_tests_name("perf", tests, NULL, NULL);
}

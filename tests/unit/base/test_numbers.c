/* SPDX-License-Identifier: Apache-2.0 */
/* Checked arithmetic and little-endian fields. */
#include "unit.h"

#include "base/checked.h"
#include "base/le.h"

static void test_checked_arithmetic(void **state)
{
	uint64_t wide;
	uint32_t narrow;

	(void)state;
	assert_true(checked_add_u64(UINT64_MAX - 1, 1, &wide));
	assert_int_equal(wide, UINT64_MAX);
	assert_false(checked_add_u64(UINT64_MAX, 1, &wide));
	assert_true(checked_mul_u64(UINT32_MAX, UINT32_MAX, &wide));
	assert_false(checked_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &wide));
	assert_true(checked_add_u32(1, UINT32_MAX - 1, &narrow));
	assert_false(checked_add_u32(1, UINT32_MAX, &narrow));
	assert_true(checked_mul_u32(65535, 65537, &narrow));
	assert_false(checked_mul_u32(65536, 65536, &narrow));
}

static void test_range_is_within(void **state)
{
	(void)state;
	assert_true(range_is_within(0, 0, 0));
	assert_true(range_is_within(10, 0, 10));
	assert_true(range_is_within(9, 1, 10));
	assert_false(range_is_within(9, 2, 10));
	assert_false(range_is_within(11, 0, 10));
	assert_false(range_is_within(UINT64_MAX, 2, 10));
	assert_false(range_is_within(2, UINT64_MAX, UINT64_MAX));
	assert_true(range_is_within(1, UINT64_MAX - 1, UINT64_MAX));
}

static void test_is_power_of_two(void **state)
{
	(void)state;
	assert_false(is_power_of_two(0));
	assert_true(is_power_of_two(1));
	assert_false(is_power_of_two(3));
	assert_true(is_power_of_two(UINT64_C(1) << 63));
	assert_false(is_power_of_two(UINT64_MAX));
}

static void test_le_at_any_alignment(void **state)
{
	uint8_t bytes[9] = { 0 };

	(void)state;
	le64_put(bytes + 1, UINT64_C(0x0807060504030201));
	for (uint8_t i = 0; i < 9; i++)
		assert_int_equal(bytes[i], i);
	assert_int_equal(le64_get(bytes + 1), UINT64_C(0x0807060504030201));
	assert_int_equal(le32_get(bytes + 3), 0x06050403);
	assert_int_equal(le16_get(bytes + 3), 0x0403);
	le32_put(bytes + 1, 0xa1a2a3a4);
	le16_put(bytes + 5, 0xb1b2);
	assert_int_equal(le64_get(bytes + 1), UINT64_C(0x0807b1b2a1a2a3a4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checked_arithmetic),
		cmocka_unit_test(test_range_is_within),
		cmocka_unit_test(test_is_power_of_two),
		cmocka_unit_test(test_le_at_any_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

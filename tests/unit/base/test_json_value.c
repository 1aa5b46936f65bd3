/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, booleans and members of JSON values. */
#include "json_unit.h"

#include <errno.h>

static struct json_reader *r;

static int setup(void **state)
{
	(void)state;
	r = reader_of(64 * 1024, 1000, 64);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_reader_destroy(r);
	return 0;
}

static void check_u64(const char *text, uint64_t max, int rc, uint64_t expected)
{
	uint64_t value = 77;

	if (json_get_u64(read_text(r, text), max, &value) != rc)
		fail_msg("%s does not give %d", text, rc);
	assert_int_equal(value, rc ? 77 : expected);
}

static void check_i64(const char *text, int64_t min, int64_t max, int rc, int64_t expected)
{
	int64_t value = 77;

	if (json_get_i64(read_text(r, text), min, max, &value) != rc)
		fail_msg("%s does not give %d", text, rc);
	assert_int_equal(value, rc ? 77 : expected);
}

static void test_json_whole_numbers(void **state)
{
	(void)state;
	check_u64("0", UINT64_MAX, 0, 0);
	check_u64("-0", UINT64_MAX, 0, 0);
	check_u64("-0.0e5", UINT64_MAX, 0, 0);
	check_u64("1000", UINT64_MAX, 0, 1000);
	check_u64("1000.0", UINT64_MAX, 0, 1000);
	check_u64("1e3", UINT64_MAX, 0, 1000);
	check_u64("1E+3", UINT64_MAX, 0, 1000);
	check_u64("5.12e2", UINT64_MAX, 0, 512);
	check_u64("51200e-2", UINT64_MAX, 0, 512);
	check_u64("0.00512e5", UINT64_MAX, 0, 512);
	check_u64("0e99999999999999999999", UINT64_MAX, 0, 0);
	check_u64("18446744073709551615", UINT64_MAX, 0, UINT64_MAX);
	check_u64("18446744073709551615.000", UINT64_MAX, 0, UINT64_MAX);
	check_u64("1844674407370955161.5e1", UINT64_MAX, 0, UINT64_MAX);
	check_u64("1e19", UINT64_MAX, 0, UINT64_C(10000000000000000000));
}

static void test_json_no_whole_numbers(void **state)
{
	(void)state;
	check_u64("0.5", UINT64_MAX, -EINVAL, 0);
	check_u64("5.125e2", UINT64_MAX, -EINVAL, 0);
	check_u64("1e-1", UINT64_MAX, -EINVAL, 0);
	check_u64("-1.5", UINT64_MAX, -EINVAL, 0);
	check_u64("1e-99999999999999999999", UINT64_MAX, -EINVAL, 0);
	check_u64("99999999999999999999.5", UINT64_MAX, -EINVAL, 0);
	check_u64("\"1\"", UINT64_MAX, -EINVAL, 0);
	check_u64("null", UINT64_MAX, -EINVAL, 0);
	check_u64("[1]", UINT64_MAX, -EINVAL, 0);
	check_i64("true", INT64_MIN, INT64_MAX, -EINVAL, 0);
	check_i64("1.5", INT64_MIN, INT64_MAX, -EINVAL, 0);
}

static void test_json_numbers_out_of_range(void **state)
{
	(void)state;
	check_u64("-1", UINT64_MAX, -ERANGE, 0);
	check_u64("-1e400", UINT64_MAX, -ERANGE, 0);
	check_u64("1e400", UINT64_MAX, -ERANGE, 0);
	check_u64("1e99999999999999999999", UINT64_MAX, -ERANGE, 0);
	check_u64("18446744073709551616", UINT64_MAX, -ERANGE, 0);
	check_u64("1e20", UINT64_MAX, -ERANGE, 0);
	check_u64("256", 255, -ERANGE, 0);
	check_u64("255", 255, 0, 255);
}

static void test_json_signed_numbers(void **state)
{
	(void)state;
	check_i64("-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN);
	check_i64("9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX);
	check_i64("-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 0);
	check_i64("9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0);
	check_i64("18446744073709551616", INT64_MIN, INT64_MAX, -ERANGE, 0);
	check_i64("-5.12e2", -1000, 1000, 0, -512);
	check_i64("-0", -1000, 1000, 0, 0);
	check_i64("-1001", -1000, 1000, -ERANGE, 0);
	check_i64("1001", -1000, 1000, -ERANGE, 0);
}

static void test_json_booleans(void **state)
{
	bool value = false;

	(void)state;
	assert_int_equal(json_get_bool(read_text(r, "true"), &value), 0);
	assert_true(value);
	assert_int_equal(json_get_bool(read_text(r, "1"), &value), -EINVAL);
	assert_int_equal(json_get_bool(read_text(r, "\"false\""), &value), -EINVAL);
	assert_true(value);
	assert_int_equal(json_get_bool(read_text(r, "false"), &value), 0);
	assert_false(value);
}

static void test_json_members(void **state)
{
	const struct json_value *v =
		read_text(r, "{\"a\":{\"b\":1},\"b\":[2,{\"c\":3}],\"a\":4,\"\":5,\"c\":6}");

	(void)state;
	assert_int_equal(json_member(v, "a")->kind, JSON_KIND_OBJECT);
	assert_int_equal(json_member(v, "b")->kind, JSON_KIND_ARRAY);
	assert_string_equal(json_member(v, "c")->text, "6");
	assert_string_equal(json_member(v, "")->text, "5");
	assert_null(json_member(v, "d"));
	assert_null(json_member(json_member(v, "b"), "c"));
	assert_null(json_member(json_member(v, "c"), "c"));
	assert_null(json_member(read_text(r, "{}"), "a"));
}

static void test_json_foreach(void **state)
{
	const struct json_value *v = read_text(r, "[[1,2],3,{\"a\":{}},[]]");
	unsigned int count = 0;

	(void)state;
	JSON_VALUE_FOREACH (child, v)
		count++;
	assert_int_equal(count, 4);
	assert_int_equal(v->count, 4);
	JSON_VALUE_FOREACH (child, read_text(r, "[]"))
		fail_msg("an empty array has a child");
}

static void test_json_kind_names(void **state)
{
	(void)state;
	assert_string_equal(json_kind_name(read_text(r, "null")->kind), "null");
	assert_string_equal(json_kind_name(read_text(r, "true")->kind), "boolean");
	assert_string_equal(json_kind_name(read_text(r, "false")->kind), "boolean");
	assert_string_equal(json_kind_name(read_text(r, "1")->kind), "number");
	assert_string_equal(json_kind_name(read_text(r, "\"\"")->kind), "string");
	assert_string_equal(json_kind_name(read_text(r, "[]")->kind), "array");
	assert_string_equal(json_kind_name(read_text(r, "{}")->kind), "object");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_whole_numbers),
		cmocka_unit_test(test_json_no_whole_numbers),
		cmocka_unit_test(test_json_numbers_out_of_range),
		cmocka_unit_test(test_json_signed_numbers),
		cmocka_unit_test(test_json_booleans),
		cmocka_unit_test(test_json_members),
		cmocka_unit_test(test_json_foreach),
		cmocka_unit_test(test_json_kind_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as jansson's, and as text. */
#include "json_unit.h"

#include <float.h>
#include <stdlib.h>

static struct json_reader *r;

static int setup(void **state)
{
	(void)state;
	r = reader_of(64 * 1024, 5000, 2000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_reader_destroy(r);
	return 0;
}

static void check_copy(const char *text, const char *dumped)
{
	json_t *copy = json_to_jansson(read_text(r, text));
	char *dump;

	assert_non_null(copy);
	dump = json_dumps(copy, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(dump, dumped);
	free(dump);
	json_decref(copy);
}

static void check_real(const char *text, double expected)
{
	json_t *copy = json_to_jansson(read_text(r, text));

	assert_true(json_is_real(copy));
	assert_true(json_real_value(copy) == expected);
	json_decref(copy);
}

static void test_json_to_jansson(void **state)
{
	(void)state;
	check_copy("{\"a\":[1,-2,true,false,null,\"\\u20ac\\n\",{}],\"\":[]}",
		   "{\"a\":[1,-2,true,false,null,\"\xe2\x82\xac\\n\",{}],\"\":[]}");
	check_copy("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":1,\"b\":2}");
	check_copy("9223372036854775807", "9223372036854775807");
	check_copy("-9223372036854775808", "-9223372036854775808");
}

static void test_json_to_jansson_reals(void **state)
{
	(void)state;
	check_real("1.5", 1.5);
	check_real("1e3", 1000);
	check_real("18446744073709551616", 18446744073709551616.0);
	check_real("1e400", DBL_MAX);
	check_real("-1e400", -DBL_MAX);
	check_real("1e-400", 0);
}

static void test_json_to_jansson_integer_beyond_doubles(void **state)
{
	char text[402];

	(void)state;
	memset(text, '9', sizeof(text));
	text[0] = '-';
	text[sizeof(text) - 1] = '\0';
	check_real(text + 1, DBL_MAX);
	check_real(text, -DBL_MAX);
}

static void test_json_print_counts_as_snprintf(void **state)
{
	const struct json_value *v = read_text(r, "[ \"\\u00e9\", 1.50 ]");
	char buf[32];

	(void)state;
	assert_int_equal(json_print(v, NULL, 0), 15);
	for (size_t size = 1; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		assert_int_equal(json_print(v, buf, size), 15);
		assert_int_equal(strlen(buf), size > 15 ? 15 : size - 1);
		assert_memory_equal(buf, "[\"\\u00E9\",1.50]", strlen(buf));
		assert_int_equal(buf[size], '#');
	}
}

static void test_json_print_escapes(void **state)
{
	char buf[64];

	(void)state;
	json_print(read_text(r, "\"\\u0001\\u001f\\u007f\\u0080/\\b\""), buf, sizeof(buf));
	assert_string_equal(buf, "\"\\u0001\\u001F\\u007F\\u0080/\\b\"");
}

static void test_json_convert_at_full_depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 1], buf[sizeof(text)];
	json_t *copy;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	text[2 * JSON_DEPTH_MAX] = '\0';
	assert_int_equal(json_print(read_text(r, text), buf, sizeof(buf)), sizeof(text) - 1);
	assert_string_equal(buf, text);
	copy = json_to_jansson(json_reader_value(r));
	assert_int_equal(json_array_size(copy), 1);
	json_decref(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_to_jansson),
		cmocka_unit_test(test_json_to_jansson_reals),
		cmocka_unit_test(test_json_to_jansson_integer_beyond_doubles),
		cmocka_unit_test(test_json_print_counts_as_snprintf),
		cmocka_unit_test(test_json_print_escapes),
		cmocka_unit_test(test_json_convert_at_full_depth),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_write() against jansson's own writer: every letter the same.
 *
 * Threading: one thread.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char *const texts[] = {
	"null",
	"true",
	"[]",
	"{}",
	"[[], {}, [[]], {\"a\": {}}]",
	"[0, -0, 1, -1, 9223372036854775807, -9223372036854775808]",
	"[0.0, 1.5, -2.25e-300, 1e308, 123456789.125]",
	"\"\"",
	"\"plain text / with ~ all 09 kinds\"",
	"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"",
	"\"a\\u00e9b\\u20acc\\ud83d\\ude00d\\uffff\"",
	"{\"k\\u00e9y \\\"q\\\"\": [1, {\"x\": null, \"y\": [true, false]}], \"b\": \"c\"}",
	"{\"subsystems\": [{\"subsystem\": \"bdev\", \"config\": [{\"method\": \"m\"}]}]}",
};

static void check(const json_t *v, unsigned int ours, size_t theirs)
{
	char *want = json_dumps(v, theirs | JSON_ENCODE_ANY), *got;
	size_t len;

	got = json_write(v, ours, &len);
	assert_non_null(want);
	assert_string_equal(got, want);
	assert_int_equal(len, strlen(want));
	free(got);
	free(want);
}

static void test_json_write_is_as_jansson(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *v = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		assert_non_null(v);
		check(v, 0, JSON_COMPACT);
		check(v, JSON_WRITE_INDENT, JSON_INDENT(2));
		check(v, JSON_WRITE_ASCII, JSON_COMPACT | JSON_ENSURE_ASCII);
		check(v, JSON_WRITE_ASCII | JSON_WRITE_INDENT, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		json_decref(v);
	}
}

static void test_json_write_of_every_character(void **state)
{
	(void)state;
	for (int c = 0; c < 0x7f; c++) {
		char text[4] = { 'a', (char)c, 'b', '\0' };
		json_t *v = json_stringn(text, 3);

		check(v, 0, JSON_COMPACT);
		check(v, JSON_WRITE_ASCII, JSON_COMPACT | JSON_ENSURE_ASCII);
		json_decref(v);
	}
}

static void test_json_write_escapes_del_in_ascii(void **state)
{
	json_t *v = json_string("a\x7f");
	char *text = json_write(v, JSON_WRITE_ASCII, NULL);

	(void)state;
	assert_string_equal(text, "\"a\\u007F\"");
	free(text);
	check(v, 0, JSON_COMPACT);
	json_decref(v);
	assert_null(json_write(NULL, 0, NULL));
}

/* Larger than any first guess at its room. */
static void test_json_write_of_a_large_value(void **state)
{
	json_t *list = json_array();

	(void)state;
	for (int i = 0; i < 5000; i++)
		json_array_append_new(list, json_pack("{s:i, s:[s, n]}", "number", i, "list",
						      "some words to fill it"));
	check(list, 0, JSON_COMPACT);
	check(list, JSON_WRITE_INDENT, JSON_INDENT(2));
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_write_is_as_jansson),
		cmocka_unit_test(test_json_write_of_every_character),
		cmocka_unit_test(test_json_write_escapes_del_in_ascii),
		cmocka_unit_test(test_json_write_of_a_large_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

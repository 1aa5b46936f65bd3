/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals in words. */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/error.h"

static void test_error_set_returns_the_code(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(error_set(&err, -EINVAL, "bdev %s: %d", "Malloc0", 7), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "bdev Malloc0: 7");
	assert_int_equal(error_set(NULL, -ENODEV, "nobody listens"), -ENODEV);
}

static void test_error_prefix_stands_in_front(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_set(&err, -ENOENT, "no such thing");
	assert_int_equal(error_prefix(&err, "bdev %s: ", "x"), -ENOENT);
	assert_string_equal(err.text, "bdev x: no such thing");
}

static void test_error_long_text_is_cut(void **state)
{
	struct error err = ERROR_INIT;
	char text[2 * ERROR_TEXT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, -EINVAL, "%s", text);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, "ab");
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	assert_memory_equal(err.text, "abx", 3);
}

/* A character of @len bytes at every place around the cut is there whole or not at all. */
static void check_cut(const char *character, size_t len)
{
	struct error err = ERROR_INIT;
	char text[2 * ERROR_TEXT_MAX];

	for (size_t at = ERROR_TEXT_MAX - 8; at < ERROR_TEXT_MAX; at++) {
		size_t fits = at + len <= ERROR_TEXT_MAX - 1 ? at + len : at;

		memset(text, 'x', sizeof(text));
		memcpy(text + at, character, len);
		text[at + len] = '\0';
		error_set(&err, -EINVAL, "%s", text);
		assert_int_equal(strlen(err.text), fits);
		assert_memory_equal(err.text, text, fits);
	}
}

static void test_error_cut_keeps_characters_whole(void **state)
{
	(void)state;
	check_cut("\xc3\xa9", 2);
	check_cut("\xe2\x82\xac", 3);
	check_cut("\xf0\x9f\x98\x80", 4);
}

/* A precision may cut one within the sentence as well. */
static void test_error_is_utf8(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_set(&err, -EINVAL, "id \"%.2s\" and %s", "a\xc3\xa9", "\xff\xc0\x80.");
	assert_string_equal(err.text, "id \"a?\" and ???.");
	error_prefix(&err, "%.1s: ", "\xc3\xa9");
	assert_string_equal(err.text, "?: id \"a?\" and ???.");
}

static void test_error_errno_text(void **state)
{
	(void)state;
	assert_string_equal(error_errno_text(-ENOENT), "No such file or directory");
	assert_string_equal(error_errno_text(0), "Success");
	assert_string_equal(error_errno_text(-100000), "Unknown error");
	assert_string_equal(error_errno_text(5), "Unknown error");
	assert_string_equal(error_errno_text(INT_MIN), "Unknown error");
}

static void test_security_words_from_outside_are_cleaned(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a\x1b[2Jb\r\nc\x7f\n", "a [2Jb  c" },
		{ "a\xc2\x9b"
		  "31mb",
		  "a  31mb" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "caf\xc3", "caf" },
		{ "\xe2\x82", "" },
		{ " \n\t", "" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "%s", rows[i].from);
		error_clean_words(text);
		assert_string_equal(text, rows[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_words_from_outside_are_cleaned),
		cmocka_unit_test(test_error_set_returns_the_code),
		cmocka_unit_test(test_error_prefix_stands_in_front),
		cmocka_unit_test(test_error_long_text_is_cut),
		cmocka_unit_test(test_error_cut_keeps_characters_whole),
		cmocka_unit_test(test_error_is_utf8),
		cmocka_unit_test(test_error_errno_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: what is, what is none, and what becomes of that. */
#include "unit.h"

#include <stdio.h>

#include "base/utf8.h"

static void test_lengths(void **state)
{
	(void)state;
	assert_int_equal(utf8_len("a"), 1);
	assert_int_equal(utf8_len("\xc3\xa9"), 2);
	assert_int_equal(utf8_len("\xe2\x82\xac"), 3);
	assert_int_equal(utf8_len("\xf0\x9f\x98\x80"), 4);
	assert_int_equal(utf8_len("\xf4\x8f\xbf\xbf"), 4);
}

/* A tail alone, a tail that lacks, overlong ones, a surrogate, behind the last. */
static void test_security_what_is_none(void **state)
{
	static const char *const none[] = {
		"\x80",
		"\xc3",
		"\xc3(",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(utf8_len(none[i]), 0);
		assert_false(utf8_is_valid(none[i]));
	}
	assert_true(utf8_is_valid(""));
	assert_true(utf8_is_valid("a\xc3\xa9z"));
	assert_false(utf8_is_valid("a\xc3z"));
}

static void test_mending(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "", "" },	      { "a\xc3\xa9z", "a\xc3\xa9z" }, { "a\xc3z", "a?z" },
		{ "a\xc3", "a" },     { "a\xe2\x82", "a" },	      { "\xf0\x9f\x98", "" },
		{ "\xff\xfe", "??" }, { "\xc0\x80z", "??z" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "%s", rows[i].from);
		utf8_mend(text);
		assert_string_equal(text, rows[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_security_what_is_none),
		cmocka_unit_test(test_mending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

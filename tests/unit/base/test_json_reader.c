/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: splits, texts, limits and refusals. */
#include "json_unit.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static struct json_reader *roomy;

static int setup(void **state)
{
	(void)state;
	roomy = reader_of(64 * 1024, 8192, 64);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_reader_destroy(roomy);
	return 0;
}

/* Feed @text one byte a call; what came of it and how far it got. */
static enum json_feed feed_bytes(struct json_reader *r, const char *text, size_t len, size_t *at,
				 struct error *err)
{
	enum json_feed fed = JSON_FEED_MORE;
	size_t taken;

	for (*at = 0; *at < len && fed == JSON_FEED_MORE; *at += taken) {
		fed = json_reader_feed(r, text + *at, 1, &taken, err);
		if (fed == JSON_FEED_MORE)
			assert_int_equal(taken, 1);
	}
	return fed;
}

/* The same refusal, at the same byte, whether the text comes at once or byte by byte. */
static void refuse_with(struct json_reader *r, const char *text, size_t len, int code,
			const char *words)
{
	struct error once = ERROR_INIT, bytes = ERROR_INIT;
	size_t taken, at;

	json_reader_next(r);
	if (json_reader_feed(r, text, len, &taken, &once) != JSON_FEED_ERROR)
		fail_msg("'%s' was not refused", text);
	assert_int_equal(once.code, code);
	assert_text_has(once.text, words);
	assert_int_equal(json_reader_feed(r, "1", 1, &taken, &bytes), JSON_FEED_ERROR);
	assert_int_equal(taken, 0);
	assert_string_equal(bytes.text, once.text);

	json_reader_next(r);
	assert_int_equal(feed_bytes(r, text, len, &at, &bytes), JSON_FEED_ERROR);
	assert_string_equal(bytes.text, once.text);
	json_reader_next(r);
	assert_int_equal(json_reader_feed(r, text, len, &taken, NULL), JSON_FEED_ERROR);
	json_reader_next(r);
}

static void refuse(const char *text, const char *words)
{
	refuse_with(roomy, text, strlen(text), -EILSEQ, words);
}

static void check_string(const char *text, const char *expected)
{
	const struct json_value *v = read_text(roomy, text);

	assert_int_equal(v->kind, JSON_KIND_STRING);
	assert_string_equal(v->text, expected);
	assert_int_equal(v->len, strlen(expected));
}

static const char everything[] =
	" \t\r\n{\"jsonrpc\":\"2.0\", \"params\" : { \"na\\u006de\":\"Malloc0\", \"n\":[1,-0.5e+3,"
	"[],{ } ,[ null ],true,false] ,\"\":\"\\ud83d\\ude00\\u20AC\xc3\xa9\xe2\x82\xac"
	"\xf0\x9f\x98\x80\\\"\\\\\\/\\b\\f\\n\\r\\t\" } , \"id\":1e3}";

static void check_everything(const struct json_value *v)
{
	static const char printed[] =
		"{\"jsonrpc\":\"2.0\",\"params\":{\"name\":\"Malloc0\",\"n\":[1,-0.5e+3,[],{},"
		"[null],true,false],\"\":\"\\uD83D\\uDE00\\u20AC\\u00E9\\u20AC\\uD83D\\uDE00"
		"\\\"\\\\/\\b\\f\\n\\r\\t\"},\"id\":1e3}";
	char buf[512];

	assert_int_equal(json_print(v, buf, sizeof(buf)), sizeof(printed) - 1);
	assert_string_equal(buf, printed);
}

static void test_json_every_split_in_two(void **state)
{
	size_t len = sizeof(everything) - 1, taken;
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t split = 0; split <= len; split++) {
		enum json_feed fed;

		json_reader_next(roomy);
		fed = json_reader_feed(roomy, everything, split, &taken, &err);
		assert_int_equal(taken, split);
		assert_int_equal(fed, split == len ? JSON_FEED_VALUE : JSON_FEED_MORE);
		fed = json_reader_feed(roomy, everything + split, len - split, &taken, &err);
		assert_int_equal(fed, JSON_FEED_VALUE);
		assert_int_equal(taken, len - split);
		check_everything(json_reader_value(roomy));
	}
}

static void test_json_byte_by_byte(void **state)
{
	struct error err = ERROR_INIT;
	size_t at;

	(void)state;
	json_reader_next(roomy);
	assert_int_equal(feed_bytes(roomy, everything, sizeof(everything) - 1, &at, &err),
			 JSON_FEED_VALUE);
	assert_int_equal(at, sizeof(everything) - 1);
	check_everything(json_reader_value(roomy));
}

static void test_json_document_order(void **state)
{
	const struct json_value *v = read_text(roomy, everything), *params = v + 2;

	(void)state;
	assert_int_equal(v->kind, JSON_KIND_OBJECT);
	assert_int_equal(v->count, 3);
	assert_int_equal(v->next, 15);
	assert_null(v->name);
	assert_null(v->text);
	assert_string_equal(v[1].name, "jsonrpc");
	assert_string_equal(params->name, "params");
	assert_int_equal(params->count, 3);
	assert_int_equal(params->next, 12);
	assert_string_equal(params[1].name, "name");
	assert_string_equal(params[2].name, "n");
	assert_int_equal(params[2].count, 7);
	assert_int_equal(params[2].next, 9);
	assert_null(params[3].name);
	assert_string_equal(params[4].text, "-0.5e+3");
	assert_int_equal(params[4].len, 7);
	assert_string_equal(params[params->next].name, "id");
}

static void test_json_texts_one_after_another(void **state)
{
	static const char text[] = "{}\n[1] 12 -7 \"a\"true\nnull{\"a\":1}false0 ";
	static const char *const printed[] = { "{}",   "[1]",  "12",	    "-7",    "\"a\"",
					       "true", "null", "{\"a\":1}", "false", "0" };
	struct error err = ERROR_INIT;
	size_t at = 0, taken, count = 0;
	char buf[32];

	(void)state;
	json_reader_next(roomy);
	assert_true(json_reader_is_empty(roomy));
	while (json_reader_feed(roomy, text + at, sizeof(text) - 1 - at, &taken, &err) ==
	       JSON_FEED_VALUE) {
		at += taken;
		json_print(json_reader_value(roomy), buf, sizeof(buf));
		assert_true(count < 10);
		assert_string_equal(buf, printed[count++]);
		/* A whole text takes nothing more until the next one is asked for. */
		assert_int_equal(json_reader_feed(roomy, "x", 1, &taken, &err), JSON_FEED_VALUE);
		assert_int_equal(taken, 0);
		json_reader_next(roomy);
	}
	assert_int_equal(count, 10);
	assert_true(json_reader_is_empty(roomy));
}

static void test_json_empty_means_no_byte_of_a_text(void **state)
{
	struct error err = ERROR_INIT;
	size_t taken;

	(void)state;
	json_reader_next(roomy);
	assert_int_equal(json_reader_feed(roomy, NULL, 0, &taken, &err), JSON_FEED_MORE);
	assert_int_equal(json_reader_feed(roomy, " \n", 2, &taken, &err), JSON_FEED_MORE);
	assert_true(json_reader_is_empty(roomy));
	assert_int_equal(json_reader_feed(roomy, "[", 1, &taken, &err), JSON_FEED_MORE);
	assert_false(json_reader_is_empty(roomy));
}

static void test_json_number_at_top_ends_behind(void **state)
{
	struct error err = ERROR_INIT;
	size_t taken;

	(void)state;
	json_reader_next(roomy);
	assert_int_equal(json_reader_feed(roomy, "12", 2, &taken, &err), JSON_FEED_MORE);
	assert_int_equal(json_reader_feed(roomy, "34", 2, &taken, &err), JSON_FEED_MORE);
	assert_int_equal(json_reader_feed(roomy, "{", 1, &taken, &err), JSON_FEED_VALUE);
	assert_int_equal(taken, 0);
	assert_string_equal(json_reader_value(roomy)->text, "1234");
}

static void test_json_numbers_keep_their_spelling(void **state)
{
	static const char *const spelled[] = {
		"0",	  "-0",	  "1000.0", "1e3",
		"5.12e2", "1E+2", "1e-2",   "0e0",
		"1e400",  "-0.0", "0.10",   "12345678901234567890123456789012345678901234567890",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spelled) / sizeof(spelled[0]); i++) {
		const struct json_value *v = read_text(roomy, spelled[i]);

		assert_int_equal(v->kind, JSON_KIND_NUMBER);
		assert_string_equal(v->text, spelled[i]);
		assert_int_equal(v->len, strlen(spelled[i]));
	}
}

static void test_json_refuses_numbers(void **state)
{
	(void)state;
	refuse("[01]", "JSON byte 3: found '1', expected no digit behind a leading 0");
	refuse("[-]", "JSON byte 3: found ']', expected a digit of the number");
	refuse("-01", "no digit behind a leading 0");
	refuse("[1.]", "a digit of the number");
	refuse("[1.e3]", "a digit of the number");
	refuse("[1e]", "a digit of the number");
	refuse("[1e+]", "a digit of the number");
	refuse("[+1]", "found '+', expected a value or ']'");
	refuse("[.5]", "found '.', expected a value or ']'");
	refuse("[0x10]", "found 'x', expected ',' or ']'");
	refuse("[1 2]", "found '2', expected ',' or ']'");
	refuse("[-Infinity]", "found 'I'");
}

static void test_json_refuses_structure(void **state)
{
	(void)state;
	refuse("]", "JSON byte 1: found ']', expected a value");
	refuse("  ]", "JSON byte 1: found ']'");
	refuse("[1,]", "JSON byte 4: found ']', expected a value");
	refuse("[,1]", "found ',', expected a value or ']'");
	refuse("[1}", "found '}', expected ',' or ']'");
	refuse("{\"a\":1]", "found ']', expected ',' or '}'");
	refuse("{\"a\":1,}", "found '}', expected a member's name");
	refuse("{,", "found ',', expected a member's name or '}'");
	refuse("{1:2}", "found '1', expected a member's name or '}'");
	refuse("{\"a\" 1}", "found '1', expected ':' behind the member's name");
	refuse("{\"a\":}", "found '}', expected a value");
	refuse("nulL", "JSON byte 4: found 'L', expected null, true or false");
	refuse("[True]", "found 'T'");
	refuse("[tru]", "found ']', expected null, true or false");
	refuse("[NaN]", "found 'N'");
	refuse("['a']", "found ''', expected a value");
	refuse("/* c */ 1", "found '/', expected a value");
	refuse("\x0b 1", "found the byte 0x0b, expected a value");
	refuse("\xef\xbb\xbf{}", "found the byte 0xef, expected a value");
	refuse_with(roomy, "\0", 1, -EILSEQ, "found the byte 0x00, expected a value");
}

static void test_json_strings(void **state)
{
	(void)state;
	check_string("\"\"", "");
	check_string("\"a b\"", "a b");
	check_string("\"\\u0041\\u00e9\\u20ac\\uFFFF\\u0001\"",
		     "A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf\x01");
	check_string("\"\x7f\"", "\x7f");
}

static void test_json_surrogate_pairs(void **state)
{
	(void)state;
	check_string("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80");
	check_string("\"\\uD800\\uDC00\"", "\xf0\x90\x80\x80");
	check_string("\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf");
	check_string("\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80");
}

static void test_security_json_unpaired_surrogates(void **state)
{
	(void)state;
	refuse("\"\\ud83d\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ud83dx\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ud83d\\n\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ud83d\\u0041\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ud83d\\ud83d\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ud83d\\u0000\"", "the surrogate \\uD83D stands alone");
	refuse("\"\\ude00\"", "the surrogate \\uDE00 stands alone");
	refuse("{\"\\ude00\":1}", "the surrogate \\uDE00 stands alone");
	/* A pair after the refusal is read again as a pair. */
	test_json_surrogate_pairs(state);
}

static void test_security_json_nul_in_strings(void **state)
{
	(void)state;
	refuse("\"a\\u0000b\"", "\\u0000 in a string is not taken");
	refuse("{\"a\\u0000b\":1}", "\\u0000 in a string is not taken");
	refuse_with(roomy, "\"a\0b\"", 5, -EILSEQ, "found the byte 0x00, expected control");
}

static void test_json_refuses_escapes(void **state)
{
	(void)state;
	refuse("\"\\x41\"", "found 'x', expected one of \"\\/bfnrtu behind a backslash");
	refuse("\"\\u12g4\"", "found 'g', expected four hexadecimal digits");
	refuse("\"\\u123\"", "four hexadecimal digits");
	refuse("\"\\u@123\"", "four hexadecimal digits");
	refuse_with(roomy, "\"\\\0\"", 4, -EILSEQ, "found the byte 0x00, expected one of");
}

static void test_json_refuses_control_characters(void **state)
{
	char text[] = "\"a?\"";

	(void)state;
	for (char c = 1; c < 0x20; c++) {
		text[2] = c;
		refuse(text, "expected control characters of a string as \\u escapes");
	}
}

static void test_security_json_invalid_utf8(void **state)
{
	static const char *const wrong[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3(",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xe2\x82\"",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x9f\x98(",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "\"%s\"", wrong[i]);
		refuse(text, "UTF-8");
		snprintf(text, sizeof(text), "{\"%s\":1}", wrong[i]);
		refuse(text, "UTF-8");
	}
	check_string("\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\"",
		     "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80");
}

static void test_json_limit_of_bytes(void **state)
{
	struct json_reader *r = reader_of(8, 100, 10);

	(void)state;
	read_text(r, "\"123456\"");
	read_text(r, "     [1,2,3] ");
	read_text(r, "12345678");
	read_text(r, "[[[[]]]]");
	refuse_with(r, "\"1234567\"", 9, -EMSGSIZE, "JSON byte 9: over the limit of 8 bytes");
	refuse_with(r, "123456789", 9, -EMSGSIZE, "over the limit of 8 bytes");
	refuse_with(r, "[1,2,3  ]", 9, -EMSGSIZE, "over the limit of 8 bytes");
	refuse_with(r, "[        ", 9, -EMSGSIZE, "over the limit of 8 bytes");
	refuse_with(r, "{\"1234567\":1}", 13, -EMSGSIZE, "over the limit of 8 bytes");
	json_reader_destroy(r);
}

static void test_json_limit_of_values(void **state)
{
	struct json_reader *r = reader_of(1000, 4, 10);

	(void)state;
	assert_int_equal(read_text(r, "[1,2,3]")->count, 3);
	assert_int_equal(read_text(r, "{\"a\":1,\"b\":{\"c\":[]}}")->next, 4);
	refuse_with(r, "[1,2,3,4]", 9, -EMSGSIZE, "JSON byte 8: over the limit of 4 values");
	refuse_with(r, "[[],{},[\"", 9, -EMSGSIZE, "JSON byte 9: over the limit of 4 values");
	refuse_with(r, "[[],{},[]null", 13, -EILSEQ, "',' or ']'");
	json_reader_destroy(r);
}

static void test_json_limit_of_depth(void **state)
{
	struct json_reader *r = reader_of(1000, 100, 3);

	(void)state;
	read_text(r, "[[[]],{\"a\":[1]},[]]");
	refuse_with(r, "[[{\"a\":[", 8, -EMSGSIZE,
		    "JSON byte 8: over the limit of 3 arrays and objects in each other");
	refuse_with(r, "{\"a\":{\"a\":{\"a\":{", 16, -EMSGSIZE, "over the limit of 3 arrays");
	json_reader_destroy(r);
	r = reader_of(1000, 100, 0);
	read_text(r, "\"flat\"");
	refuse_with(r, "{", 1, -EMSGSIZE, "over the limit of 0 arrays");
	json_reader_destroy(r);
}

static void test_security_json_deep_nesting(void **state)
{
	struct json_reader *r = reader_of(SIZE_MAX, SIZE_MAX, UINT32_MAX);
	char *text = malloc(1000000);

	(void)state;
	assert_non_null(text);
	memset(text, '[', 1000000);
	refuse_with(r, text, 1000000, -EMSGSIZE,
		    "JSON byte 1025: over the limit of 1024 arrays and objects");
	memset(text + 1024, ']', 1024);
	text[2048] = '\0';
	assert_int_equal(read_text(r, text)->next, 1024);
	free(text);
	json_reader_destroy(r);
}

/* Bytes that never make a whole text: what is kept is bounded by the limits. */
static void check_bounded(const char *start, const char *more)
{
	struct json_reader *r = reader_of(256 * 1024, 8192, 64);
	size_t before = mallinfo2().uordblks, most = before, taken;
	struct error err = ERROR_INIT;
	enum json_feed fed = json_reader_feed(r, start, strlen(start), &taken, &err);

	for (size_t i = 0; i < 1024 * 1024 && fed == JSON_FEED_MORE; i++) {
		size_t now = mallinfo2().uordblks;

		most = now > most ? now : most;
		fed = json_reader_feed(r, more, strlen(more), &taken, &err);
	}
	assert_int_equal(fed, JSON_FEED_ERROR);
	assert_int_equal(err.code, -EMSGSIZE);
	/* Twice the bytes for the doubling of the buffer, and what 8,192 values take. */
	assert_true(most - before <= 2 * 256 * 1024 + 8192 * 64);
	json_reader_destroy(r);
}

static void test_security_json_request_that_never_ends(void **state)
{
	(void)state;
	check_bounded("\"", "a");
	check_bounded("\"", "\\u20ac");
	check_bounded("", "1");
	check_bounded("1e", "0");
	check_bounded("[", "1,");
	check_bounded("[", "{},");
	check_bounded("{", "\"\":0,");
	check_bounded("{\"", "abc");
	check_bounded("[", " \n");
	check_bounded("", "[");
}

static void test_security_json_huge_numbers(void **state)
{
	size_t len = 60000;
	char *text = malloc(len + 1);
	const struct json_value *v;
	uint64_t value;

	(void)state;
	assert_non_null(text);
	memset(text, '9', len);
	text[len] = '\0';
	v = read_text(roomy, text);
	assert_int_equal(v->len, len);
	assert_int_equal(json_get_u64(v, UINT64_MAX, &value), -ERANGE);
	text[1] = 'e';
	assert_int_equal(json_get_u64(read_text(roomy, text), UINT64_MAX, &value), -ERANGE);
	text[2] = '-';
	assert_int_equal(json_get_u64(read_text(roomy, text), UINT64_MAX, &value), -EINVAL);
	free(text);
}

static void test_json_large_buffers_are_given_back(void **state)
{
	struct json_reader *r = reader_of(1 << 20, 8192, 64);
	size_t before = mallinfo2().uordblks, len = 300000;
	char *text = malloc(len + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', len);
	text[0] = text[len - 1] = '"';
	text[len] = '\0';
	assert_int_equal(read_text(r, text)->len, len - 2);
	memset(text, '[', len);
	for (size_t i = 1; i < 16001; i += 2)
		memcpy(text + i, "1,", 2);
	strcpy(text + 16001, "1]");
	assert_int_equal(read_text(r, text)->count, 8001);
	free(text);
	json_reader_next(r);
	assert_true(mallinfo2().uordblks <= before + 64 * 1024);
	json_reader_destroy(r);
	json_reader_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_every_split_in_two),
		cmocka_unit_test(test_json_byte_by_byte),
		cmocka_unit_test(test_json_document_order),
		cmocka_unit_test(test_json_texts_one_after_another),
		cmocka_unit_test(test_json_empty_means_no_byte_of_a_text),
		cmocka_unit_test(test_json_number_at_top_ends_behind),
		cmocka_unit_test(test_json_numbers_keep_their_spelling),
		cmocka_unit_test(test_json_refuses_numbers),
		cmocka_unit_test(test_json_refuses_structure),
		cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_json_surrogate_pairs),
		cmocka_unit_test(test_security_json_unpaired_surrogates),
		cmocka_unit_test(test_security_json_nul_in_strings),
		cmocka_unit_test(test_json_refuses_escapes),
		cmocka_unit_test(test_json_refuses_control_characters),
		cmocka_unit_test(test_security_json_invalid_utf8),
		cmocka_unit_test(test_json_limit_of_bytes),
		cmocka_unit_test(test_json_limit_of_values),
		cmocka_unit_test(test_json_limit_of_depth),
		cmocka_unit_test(test_security_json_deep_nesting),
		cmocka_unit_test(test_security_json_request_that_never_ends),
		cmocka_unit_test(test_security_json_huge_numbers),
		cmocka_unit_test(test_json_large_buffers_are_given_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

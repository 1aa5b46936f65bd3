/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of parameters: every kind, every refusal and its words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "rpc/params.h"

static const char *const colours[] = { "red", "green", "blue", NULL };

struct inner {
	const char *address;
	uint16_t port;
};

struct all {
	bool flag;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	int32_t i32;
	int64_t i64;
	const char *text;
	struct uuid uuid;
	uint8_t hex[4];
	int colour;
	struct rpc_strings strings;
	const char **pairs;
	uint32_t names;
	struct inner inner;
	bool has_u8;
};

static const struct rpc_param inner_rows[] = {
	RPC_PARAM(struct inner, address, RPC_STRING, .required = true),
	RPC_PARAM(struct inner, port, RPC_UINT, .min = 1, .max = 65535),
	RPC_END,
};

static const struct rpc_param rows[] = {
	RPC_PARAM(struct all, flag, RPC_BOOL),
	RPC_PARAM(struct all, u8, RPC_UINT, RPC_GIVEN(struct all, has_u8)),
	RPC_PARAM(struct all, u16, RPC_UINT, .min = 5, .max = 9),
	RPC_PARAM(struct all, u32, RPC_UINT),
	RPC_PARAM(struct all, u64, RPC_UINT, .alias = "size"),
	RPC_PARAM(struct all, i32, RPC_INT),
	RPC_PARAM(struct all, i64, RPC_INT),
	RPC_PARAM(struct all, text, RPC_STRING, .max = 5),
	RPC_PARAM(struct all, uuid, RPC_UUID),
	RPC_PARAM(struct all, hex, RPC_HEX),
	RPC_PARAM(struct all, colour, RPC_ENUM, .names = colours),
	RPC_PARAM(struct all, strings, RPC_STRINGS),
	RPC_PARAM(struct all, pairs, RPC_PAIRS),
	RPC_PARAM(struct all, names, RPC_NAMES, .names = colours),
	RPC_PARAM(struct all, inner, RPC_OBJECT, .members = inner_rows),
	RPC_PARAM_AS(struct all, inner.port, "deep", RPC_UINT),
	RPC_UNUSED("unused", RPC_UINT, 4),
	RPC_REFUSED("secret", "there are no secrets"),
	RPC_END,
};

static const struct rpc_param needy_rows[] = {
	RPC_PARAM(struct inner, address, RPC_STRING, .required = true),
	RPC_END,
};

/** struct decoded - a text, decoded; ended by finish() */
struct decoded {
	struct json_reader *reader;
	struct rpc_arena arena;
	struct all all;
	struct error err;
	int rc;
};

static void decode(struct decoded *d, const struct rpc_param *table, const char *text)
{
	static const struct json_limits limits = { .bytes = 65536, .values = 1000, .depth = 32 };
	size_t taken;

	memset(d, 0, sizeof(*d));
	d->reader = json_reader_create(&limits);
	assert_int_equal(json_reader_feed(d->reader, text, strlen(text), &taken, &d->err),
			 JSON_FEED_VALUE);
	d->rc = rpc_params_decode(table, json_reader_value(d->reader), &d->all, &d->arena, &d->err);
}

static void finish(struct decoded *d)
{
	rpc_arena_free(&d->arena);
	json_reader_destroy(d->reader);
}

static void refused(const struct rpc_param *table, const char *text, const char *words)
{
	struct decoded d;

	decode(&d, table, text);
	assert_int_equal(d.rc, -EINVAL);
	assert_string_equal(d.err.text, words);
	finish(&d);
}

static void test_pairs(void **state)
{
	struct decoded d;

	(void)state;
	decode(&d, rows, "{\"pairs\":{\"a\":\"1\",\"b c\":\"\"}}");
	assert_int_equal(d.rc, 0);
	assert_string_equal(d.all.pairs[0], "a");
	assert_string_equal(d.all.pairs[1], "1");
	assert_string_equal(d.all.pairs[2], "b c");
	assert_string_equal(d.all.pairs[3], "");
	assert_null(d.all.pairs[4]);
	finish(&d);
	decode(&d, rows, "{\"pairs\":{}}");
	assert_int_equal(d.rc, 0);
	assert_null(d.all.pairs[0]);
	finish(&d);
	refused(rows, "{\"pairs\":{\"a\":1}}",
		"parameter \"pairs\" is {\"a\":1}; it must be an object whose members are strings");
	refused(rows, "{\"pairs\":\"a\"}",
		"parameter \"pairs\" is \"a\"; it must be an object whose members are strings");
}

static void test_kinds(void **state)
{
	struct decoded d;

	(void)state;
	decode(&d, rows,
	       "{\"flag\":true,\"u8\":255,\"u16\":7.0,\"u32\":4294967295,"
	       "\"u64\":18446744073709551615,\"i32\":-2147483648,\"i64\":-5,\"text\":\"abcde\","
	       "\"uuid\":\"AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee\",\"hex\":\"00fFaB19\","
	       "\"colour\":\"blue\",\"strings\":[\"x\",\"yy\"],\"names\":[\"red\",\"blue\"],"
	       "\"inner\":{\"address\":\"a\",\"port\":80},\"unused\":3}");
	assert_int_equal(d.rc, 0);
	assert_true(d.all.flag);
	assert_int_equal(d.all.u8, 255);
	assert_true(d.all.has_u8);
	assert_int_equal(d.all.u16, 7);
	assert_int_equal(d.all.u32, UINT32_MAX);
	assert_true(d.all.u64 == UINT64_MAX);
	assert_int_equal(d.all.i32, INT32_MIN);
	assert_int_equal(d.all.i64, -5);
	assert_string_equal(d.all.text, "abcde");
	assert_int_equal(d.all.uuid.raw[0], 0xaa);
	assert_memory_equal(d.all.hex, "\x00\xff\xab\x19", 4);
	assert_int_equal(d.all.colour, 2);
	assert_int_equal(d.all.strings.count, 2);
	assert_string_equal(d.all.strings.items[1], "yy");
	assert_int_equal(d.all.names, 5);
	assert_string_equal(d.all.inner.address, "a");
	assert_int_equal(d.all.inner.port, 80);
	finish(&d);
}

static void test_nothing_given_keeps_defaults(void **state)
{
	struct rpc_arena arena = { NULL };
	struct all all = { .u32 = 17 };
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(rpc_params_decode(rows, NULL, &all, &arena, &err), 0);
	assert_int_equal(all.u32, 17);
	assert_false(all.has_u8);
	assert_int_equal(rpc_params_decode(NULL, NULL, &all, &arena, &err), 0);
}

static void test_alias(void **state)
{
	struct decoded d;

	(void)state;
	decode(&d, rows, "{\"size\":1e3}");
	assert_int_equal(d.rc, 0);
	assert_int_equal(d.all.u64, 1000);
	finish(&d);
	refused(rows, "{\"size\":1,\"u64\":1}", "parameter \"u64\" came twice; give it once");
}

static void test_refused_numbers(void **state)
{
	(void)state;
	refused(rows, "{\"u8\":256}",
		"parameter \"u8\" is 256; it must be a whole number from 0 to 255");
	refused(rows, "{\"u16\":4}",
		"parameter \"u16\" is 4; it must be a whole number from 5 to 9");
	refused(rows, "{\"u16\":10}",
		"parameter \"u16\" is 10; it must be a whole number from 5 to 9");
	refused(rows, "{\"u32\":-1}",
		"parameter \"u32\" is -1; it must be a whole number from 0 to 4294967295");
	refused(rows, "{\"u32\":1.5}",
		"parameter \"u32\" is 1.5; it must be a whole number from 0 to 4294967295");
	refused(rows, "{\"u64\":18446744073709551616}",
		"parameter \"u64\" is 18446744073709551616; it must be a whole number from 0 to "
		"18446744073709551615");
	refused(rows, "{\"u32\":\"7\"}",
		"parameter \"u32\" is \"7\"; it must be a whole number from 0 to 4294967295");
	refused(rows, "{\"i32\":2147483648}",
		"parameter \"i32\" is 2147483648; it must be a whole number from -2147483648 to "
		"2147483647");
	refused(rows, "{\"unused\":-1}",
		"parameter \"unused\" is -1; it must be a whole number from 0 to 4294967295");
}

static void test_refused_others(void **state)
{
	(void)state;
	refused(rows, "{\"flag\":1}", "parameter \"flag\" is 1; it must be true or false");
	refused(rows, "{\"text\":5}",
		"parameter \"text\" is 5; it must be a string of at most 5 bytes");
	refused(rows, "{\"text\":\"abcdef\"}",
		"parameter \"text\" is \"abcdef\"; it must be a string of at most 5 bytes");
	refused(rows, "{\"text\":null}",
		"parameter \"text\" is null; it must be a string of at most 5 bytes");
	refused(rows, "{\"uuid\":\"x\"}",
		"parameter \"uuid\" is \"x\"; it must be a UUID like "
		"01234567-89ab-4cde-8f01-23456789abcd");
	refused(rows, "{\"hex\":\"00fFaB1\"}",
		"parameter \"hex\" is \"00fFaB1\"; it must be a string of 8 hexadecimal digits");
	refused(rows, "{\"hex\":\"00fFaB1g\"}",
		"parameter \"hex\" is \"00fFaB1g\"; it must be a string of 8 hexadecimal digits");
	refused(rows, "{\"colour\":\"Red\"}",
		"parameter \"colour\" is \"Red\"; it must be one of red, green, blue");
	refused(rows, "{\"strings\":\"x\"}",
		"parameter \"strings\" is \"x\"; it must be an array of strings");
	refused(rows, "{\"strings\":[\"x\",1]}",
		"parameter \"strings\" is [\"x\",1]; it must be an array of strings");
	refused(rows, "{\"names\":[\"pink\"]}",
		"parameter \"names\" is [\"pink\"]; it must be an array of red, green, blue");
	refused(rows, "{\"inner\":1}", "parameter \"inner\" is 1; it must be an object");
}

static void test_refused_members(void **state)
{
	(void)state;
	refused(needy_rows, "{}",
		"parameter \"address\" is missing; it must be a string of at most 262144 bytes");
	refused(needy_rows, "{\"address\":\"a\",\"foo\":1}",
		"unknown parameter \"foo\"; allowed: address");
	refused(needy_rows, "{\"address\":\"a\",\"address\":\"a\"}",
		"parameter \"address\" came twice; give it once");
	refused(needy_rows, "[]",
		"parameters came as an array; they must be an object of named values");
	refused(NULL, "{\"foo\":1}", "unknown parameter \"foo\"; allowed: none");
	refused(rows, "{\"inner\":{\"port\":1}}",
		"in \"inner\": parameter \"address\" is missing; it must be a string of at most "
		"262144 bytes");
	refused(rows, "{\"inner\":{\"address\":\"a\",\"port\":0}}",
		"in \"inner\": parameter \"port\" is 0; it must be a whole number from 1 to 65535");
	refused(rows, "{\"inner\":{\"address\":\"a\",\"x\":0}}",
		"in \"inner\": unknown parameter \"x\"; allowed: address, port");
}

static void test_what_is_not_here(void **state)
{
	static const char *const nothing[] = { "null", "false", "0", "\"\"", "[]", "{}" };
	struct decoded d;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		snprintf(text, sizeof(text), "{\"secret\":%s}", nothing[i]);
		decode(&d, rows, text);
		assert_int_equal(d.rc, 0);
		finish(&d);
	}
	refused(rows, "{\"secret\":\"k\"}",
		"parameter \"secret\" is \"k\"; leave it out: there are no secrets");
	refused(rows, "{\"secret\":true}",
		"parameter \"secret\" is true; leave it out: there are no secrets");
}

/* What came is shown cut, in ASCII, and never leaves the message without its end. */
static void test_security_long_values_are_cut(void **state)
{
	char text[4096], *at = text;
	struct decoded d;

	(void)state;
	at += sprintf(at, "{\"text\":\"");
	for (int i = 0; i < 500; i++)
		at += sprintf(at, "\xc3\xa9\\n");
	sprintf(at, "\"}");
	decode(&d, rows, text);
	assert_int_equal(d.rc, -EINVAL);
	assert_null(strchr(d.err.text, '\n'));
	assert_non_null(strstr(d.err.text, "...; it must be a string of at most 5 bytes"));
	for (const char *c = d.err.text; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
	finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_nothing_given_keeps_defaults),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_refused_numbers),
		cmocka_unit_test(test_refused_others),
		cmocka_unit_test(test_refused_members),
		cmocka_unit_test(test_what_is_not_here),
		cmocka_unit_test(test_security_long_values_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

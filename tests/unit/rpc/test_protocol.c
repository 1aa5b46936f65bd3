/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC 2.0 as SPDK speaks it: requests, ids, notifications, batches, any split of bytes. */
#include <sys/socket.h>
#include <unistd.h>

#include "server_unit.h"

#define INVALID "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"

static void assert_exchange(const char *text, const char *expected)
{
	assert_string_equal(unit_exchange(text), expected);
}

static void test_requests(void **state)
{
	(void)state;
	assert_exchange(LEVEL("1"), NOTICE("1") "\n");
	assert_exchange(" \r\n\t" LEVEL("1") "\r\n", NOTICE("1") "\n");
	assert_exchange(LEVEL("1") LEVEL("2") "\n" LEVEL("3"),
			NOTICE("1") "\n" NOTICE("2") "\n" NOTICE("3") "\n");
	assert_exchange(" \n \n", "");
	assert_exchange("{\"id\":1,\"params\":null,\"method\":\"level\"}", NOTICE("1") "\n");
	assert_exchange("{\"method\":\"lev\\u0065l\",\"params\":{},\"id\":1}", NOTICE("1") "\n");
}

/* Ids come back as they were spelled; what is not ASCII comes back escaped. */
static void test_ids(void **state)
{
	static const char *const as_is[] = { "0",    "-5",	"-0",
					     "1.5",  "1e3",	"18446744073709551616",
					     "\"\"", "\"str\"", "9007199254740993" };
	char request[128], answer[128];

	(void)state;
	for (size_t i = 0; i < sizeof(as_is) / sizeof(as_is[0]); i++) {
		snprintf(request, sizeof(request), LEVEL("%s"), as_is[i]);
		snprintf(answer, sizeof(answer), NOTICE("%s") "\n", as_is[i]);
		assert_exchange(request, answer);
	}
	assert_exchange(LEVEL("\"\\u00e9\\n\\\"q\\\"\""), NOTICE("\"\\u00E9\\n\\\"q\\\"\"") "\n");
	assert_exchange(LEVEL("\"\xc3\xa9\""), NOTICE("\"\\u00E9\"") "\n");
	assert_text_has(unit_exchange(LEVEL("true")), INVALID);
	assert_text_has(unit_exchange(LEVEL("[1]")), INVALID);
}

static void test_results_are_ascii(void **state)
{
	(void)state;
	assert_exchange(
		"{\"method\":\"echo\",\"params\":{\"text\":\"\\ud83d\\ude00\xc3\xa9\\u0001\\/"
		"\x7f\"},\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
		"\"\\uD83D\\uDE00\\u00E9\\u0001/\\u007F\"}\n");
}

static void test_notifications(void **state)
{
	(void)state;
	assert_exchange("{\"method\":\"level\"}" LEVEL("null") LEVEL("2"), NOTICE("2") "\n");
	assert_exchange("{\"method\":\"nope\"}",
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,"
			"\"message\":\"Method not found\"}}\n");
}

static void test_invalid_requests(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"1.0\",\"method\":\"level\",\"id\":1}",
		"{\"jsonrpc\":2.0,\"method\":\"level\",\"id\":1}",
		"{\"method\":1,\"id\":1}",
		"{\"method\":\"level\",\"id\":1,\"extra\":1}",
		"{\"METHOD\":\"level\",\"ID\":1}",
		"{\"method\":\"level\",\"id\":1,\"id\":2}",
		"{\"method\":\"level\",\"method\":\"level\",\"id\":2}",
		"{\"method\":\"level\",\"params\":{},\"params\":null,\"id\":2}",
		"1 ",
		"\"x\"",
		"null",
		"[]",
	};
	int fd = unit_connect();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unit_send(fd, bad[i]);
		assert_text_has(unit_lines(fd, 1), INVALID "\"message\":\"Invalid request: ");
	}
	/* The connection stays. */
	unit_send(fd, LEVEL("7"));
	assert_string_equal(unit_lines(fd, 1), NOTICE("7") "\n");
	close(fd);
}

static void test_params_of_other_kinds(void **state)
{
	(void)state;
	assert_text_has(unit_exchange("{\"method\":\"level\",\"params\":1,\"id\":5}"),
			"{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-32600,");
	assert_text_has(unit_exchange("{\"method\":\"echo\",\"params\":[\"x\"],\"id\":5}"),
			"{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-32603,"
			"\"message\":\"echo: parameters came as an array;");
}

static void test_batches(void **state)
{
	(void)state;
	assert_exchange("[" LEVEL("1") "," LEVEL("2") "]", "[" NOTICE("1") "," NOTICE("2") "]\n");
	assert_exchange("[" LEVEL("1") ",{\"method\":\"level\"}]" LEVEL("2"),
			"[" NOTICE("1") "]\n" NOTICE("2") "\n");
	assert_exchange("[{\"method\":\"level\"},{\"method\":\"level\"}]", "");
	assert_text_has(unit_exchange("[1,[" LEVEL("1") "]," LEVEL("3") "]"), NOTICE("3") "]\n");
}

/* A slow member holds its batch, nothing else. */
static void test_order_of_completion(void **state)
{
	(void)state;
	assert_exchange("{\"method\":\"later\",\"params\":{\"number\":50},\"id\":1}" LEVEL("2"),
			NOTICE("2") "\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
	assert_exchange(
		"[{\"method\":\"later\",\"params\":{\"number\":50},\"id\":1}," LEVEL("2") "]" LEVEL(
			"3"),
		NOTICE("3") "\n[" NOTICE("2") ",{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}"
					      "]\n");
}

static void test_any_split(void **state)
{
	static const char text[] = "[" LEVEL("\"\xc3\xa9\"") "," LEVEL("1") "]" LEVEL("2") "nul";
	static const char expected[] =
		"[" NOTICE("\"\\u00E9\"") "," NOTICE("1") "]\n" NOTICE("2") "\n";
	size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t split = 1; split < len; split++) {
		int fd = unit_connect();

		unit_send_bytes(fd, text, split);
		if (split % 8 == 0)
			usleep(100);
		unit_send_bytes(fd, text + split, len - split);
		assert_string_equal(unit_lines(fd, 2), expected);
		close(fd);
	}
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = LEVEL("1") "\n" LEVEL("2");
	int fd = unit_connect();

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		unit_send_bytes(fd, text + i, 1);
	assert_string_equal(unit_lines(fd, 2), NOTICE("1") "\n" NOTICE("2") "\n");
	close(fd);
}

/* Both directions have to move: neither side can keep all of it. */
static void test_many_in_one_write(void **state)
{
	enum { COUNT = 5000 };
	static char text[COUNT * sizeof(LEVEL("7"))];
	const char *at;
	int fd = unit_connect();

	(void)state;
	for (unsigned int i = 0; i < COUNT; i++)
		strcpy(text + i * (sizeof(LEVEL("7")) - 1), LEVEL("7"));
	unit_send(fd, text);
	at = unit_lines(fd, COUNT);
	for (unsigned int i = 0; i < COUNT; i++, at += sizeof(NOTICE("7")))
		assert_memory_equal(at, NOTICE("7") "\n", sizeof(NOTICE("7")));
	close(fd);
}

/* What is owed comes first, then the error, then the end. */
static void test_broken_text(void **state)
{
	static const char *const broken[] = {
		"hello",     "{'a':1}", "}",   "{\"a\":[1}", "[1,]",
		"{\"a\" 1}", "\"\\x\"", "01 ", "\"\xff\"",   "/* c */{}",
	};
	char text[256];
	const char *answer;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		int fd = unit_connect();

		snprintf(text, sizeof(text),
			 "{\"method\":\"later\",\"params\":{\"number\":10},\"id\":1}" LEVEL(
				 "2") "%s" LEVEL("3"),
			 broken[i]);
		unit_send(fd, text);
		answer = unit_rest(fd);
		assert_memory_equal(answer, NOTICE("2") "\n", strlen(NOTICE("2") "\n"));
		assert_text_has(answer,
				"\"id\":1,\"result\":true}\n{\"jsonrpc\":\"2.0\",\"id\":null,"
				"\"error\":{\"code\":-32700,\"message\":\"JSON byte ");
		assert_null(strstr(answer, "\"id\":3"));
		close(fd);
	}
}

static void test_end_inside_a_text(void **state)
{
	(void)state;
	assert_exchange("{\"method\":\"level\"", "");
	assert_exchange(LEVEL("1") "{\"method\":\"level\"", NOTICE("1") "\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup, unit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),	      TEST(test_ids),
		TEST(test_results_are_ascii), TEST(test_notifications),
		TEST(test_invalid_requests),  TEST(test_params_of_other_kinds),
		TEST(test_batches),	      TEST(test_order_of_completion),
		TEST(test_any_split),	      TEST(test_byte_by_byte),
		TEST(test_many_in_one_write), TEST(test_broken_text),
		TEST(test_end_inside_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

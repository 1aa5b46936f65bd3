/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may make the server keep, and what it is told when it wants more. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_unit.h"

static struct rpc_server_limits small_limits(void)
{
	return (struct rpc_server_limits){
		.clients = 4,
		.text = { .bytes = 8192, .values = 100, .depth = 10 },
		.owed = 8,
		.kept = 16384,
		.unread = 65536,
		.batch = 4096,
	};
}

static int setup(void **state)
{
	struct rpc_server_limits limits = small_limits();

	(void)state;
	unit_start(&limits);
	return 0;
}

static void assert_limit(const char *text, const char *words)
{
	const char *answer = unit_exchange(text);

	assert_text_has(answer, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,");
	assert_text_has(answer, words);
}

static char *repeat(const char *head, const char *part, unsigned int count)
{
	size_t len = strlen(part);
	char *text = malloc(strlen(head) + count * len + 1);
	char *at = stpcpy(text, head);

	for (unsigned int i = 0; i < count; i++)
		at = stpcpy(at, part);
	return text;
}

static void test_security_rpc_limits_are_named(void **state)
{
	char *deep = repeat("{\"params\":", "[", 11);
	char *many = repeat("{\"params\":[", "1,", 101);
	char *lengthy = repeat("{\"method\":\"", "x", 9000);

	(void)state;
	assert_limit(deep, "over the limit of 10 arrays and objects in each other");
	assert_limit(many, "over the limit of 100 values");
	assert_limit(lengthy, "over the limit of 8192 bytes");
	free(deep);
	free(many);
	free(lengthy);
}

/* The connection beyond the limit is told, and others are served. */
static void test_clients(void **state)
{
	int fds[4], extra;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		fds[i] = unit_connect();
		unit_send(fds[i], LEVEL("1"));
		unit_lines(fds[i], 1);
	}
	extra = unit_connect();
	assert_text_has(unit_rest(extra),
			"\"code\":-16,\"message\":\"4 clients are connected, which is the limit: "
			"close one first\"");
	close(extra);
	unit_send(fds[2], LEVEL("2"));
	assert_string_equal(unit_lines(fds[2], 1), NOTICE("2") "\n");
	close(fds[0]);
	/* Its end is seen a little later than we close it. */
	do {
		extra = unit_connect();
		unit_send(extra, LEVEL("3"));
	} while (strstr(unit_lines(extra, 1), "NOTICE") == NULL && close(extra) == 0);
	close(extra);
	for (unsigned int i = 1; i < 4; i++)
		close(fds[i]);
}

/* It is not read from while it does not read, and gets everything when it does. */
static void test_security_rpc_client_that_never_reads(void **state)
{
	enum { COUNT = 2000, SIZE = 4000 };
	static const char request[] = "{\"method\":\"big\",\"params\":{\"number\":4000},\"id\":1}";
	char *text = repeat("", request, COUNT);
	int fd = unit_connect(), other;
	size_t len = strlen(text), sent = 0;
	unsigned int before;
	ssize_t got;

	(void)state;
	while (sent < len && (got = send(fd, text + sent, len - sent, MSG_DONTWAIT)) > 0)
		sent += (size_t)got;
	do {
		before = unit_bigs;
		usleep(20000);
	} while (before != unit_bigs);
	/* What waits here, and what the kernel keeps for both ends. */
	assert_in_range(unit_bigs, 1, COUNT / 2);
	other = unit_connect();
	unit_send(other, LEVEL("5"));
	assert_string_equal(unit_lines(other, 1), NOTICE("5") "\n");
	close(other);
	close(fd);
	free(text);
}

static void test_slow_reader_gets_everything(void **state)
{
	enum { COUNT = 1000 };
	static const char request[] = "{\"method\":\"big\",\"params\":{\"number\":4000},\"id\":1}";
	char *text = repeat("", request, 200);
	int fd = unit_connect();
	unsigned int lines = 0;

	(void)state;
	for (unsigned int i = 0; i < COUNT / 200; i++)
		unit_send(fd, text);
	usleep(50000);
	lines = COUNT;
	unit_lines(fd, lines);
	assert_int_equal(unit_bigs, COUNT);
	close(fd);
	free(text);
}

/* With so many in flight nothing more is read; the ninth is not even started. */
static void test_owed(void **state)
{
	char *text = repeat("", "{\"method\":\"later\",\"params\":{\"number\":20},\"id\":1}", 30);
	int fd = unit_connect();

	(void)state;
	unit_send(fd, text);
	unit_send(fd, LEVEL("2"));
	assert_text_has(unit_lines(fd, 31), NOTICE("2"));
	close(fd);
	free(text);
}

static void test_batch_answers(void **state)
{
	const char *answer =
		unit_exchange("[{\"method\":\"big\",\"params\":{\"number\":5000},\"id\":1},"
			      "{\"method\":\"big\",\"params\":{\"number\":5000},\"id\":2}]");

	(void)state;
	assert_text_has(answer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"xxxx");
	assert_text_has(answer,
			"{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32603,"
			"\"message\":\"the answers of this batch are over the limit of 4096 "
			"bytes: ask for less at once\"}}]\n");
}

/* A request that never ends costs its limit, and others go on. */
static void test_security_rpc_request_that_never_ends(void **state)
{
	char *text = repeat("{\"method\":\"", "x", 100000);
	int fd = unit_connect(), other = unit_connect();

	(void)state;
	unit_send(fd, text);
	assert_text_has(unit_rest(fd), "over the limit of 8192 bytes");
	unit_send(other, LEVEL("5"));
	assert_string_equal(unit_lines(other, 1), NOTICE("5") "\n");
	close(other);
	close(fd);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, unit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_security_rpc_limits_are_named),
		TEST(test_clients),
		TEST(test_security_rpc_client_that_never_reads),
		TEST(test_slow_reader_gets_everything),
		TEST(test_owed),
		TEST(test_batch_answers),
		TEST(test_security_rpc_request_that_never_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

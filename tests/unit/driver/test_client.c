/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target client against peers that split, flood, lie, fall silent and die.
 *
 * Threading: the peer of each test is a thread with its end of the socket.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/client.h"

#define ALL_METHODS "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"rpc_get_methods\",\"a\",\"b\"]}\n"

/**
 * struct peer - a scripted target
 * @script: what it does with its connection
 */
struct peer {
	char dir[64], path[96];
	int listener;
	pthread_t thread;
	void (*script)(int fd);
	struct loop *loop;
	struct client *client;
};

static struct peer peer;

static void *peer_main(void *arg)
{
	int fd = accept(peer.listener, NULL, NULL);

	(void)arg;
	if (fd >= 0) {
		peer.script(fd);
		close(fd);
	}
	return NULL;
}

static void start(void (*script)(int fd))
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct error err = ERROR_INIT;

	snprintf(peer.dir, sizeof(peer.dir), "/tmp/cs-peer-XXXXXX");
	assert_non_null(mkdtemp(peer.dir));
	snprintf(peer.path, sizeof(peer.path), "%s/s", peer.dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", peer.path);
	peer.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(peer.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(peer.listener, 1), 0);
	peer.script = script;
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_main, NULL), 0);
	peer.loop = loop_create();
	assert_int_equal(client_connect(peer.loop, peer.path, &peer.client, &err), 0);
}

static void stop(void)
{
	client_destroy(peer.client);
	loop_destroy(peer.loop);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	unlink(peer.path);
	rmdir(peer.dir);
}

/* Take one request, whatever it is. */
static void take(int fd)
{
	char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	(void)n;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void wait_for_close(int fd)
{
	char buf[256];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

/* The connection, learned methods, then the one answer of the test. */
static int ask(void (*script)(int fd), json_t **result, struct error *err)
{
	*err = (struct error)ERROR_INIT;
	start(script);
	return client_wait(peer.client, "a", NULL, result, err);
}

static void say_in_bytes(int fd)
{
	const char *text = ALL_METHODS, *answer = "{\"id\":2,\"result\":{\"x\":\"\\u00e9\"}}";

	take(fd);
	for (const char *c = text; *c; c++)
		send(fd, c, 1, MSG_NOSIGNAL);
	take(fd);
	for (const char *c = answer; *c; c++)
		send(fd, c, 1, MSG_NOSIGNAL);
	wait_for_close(fd);
}

static void test_answer_in_single_bytes(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	assert_int_equal(ask(say_in_bytes, &result, &err), 0);
	assert_string_equal(json_string_value(json_object_get(result, "x")), "\xc3\xa9");
	json_decref(result);
	stop();
}

#define HUGE_TEXT (31 * 1024 * 1024)

static void say_huge(int fd)
{
	char *text = malloc(HUGE_TEXT + 1);

	take(fd);
	say(fd, ALL_METHODS);
	take(fd);
	memset(text, 'x', HUGE_TEXT);
	text[HUGE_TEXT] = '\0';
	say(fd, "{\"id\":2,\"result\":\"");
	say(fd, text);
	say(fd, "\"}\n");
	free(text);
	wait_for_close(fd);
}

static void test_answer_of_31_mib(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	assert_int_equal(ask(say_huge, &result, &err), 0);
	assert_int_equal(json_string_length(result), HUGE_TEXT);
	json_decref(result);
	stop();
}

static void say_endless(int fd)
{
	static char text[1 << 20];

	take(fd);
	say(fd, ALL_METHODS);
	take(fd);
	memset(text, 'x', sizeof(text) - 1);
	say(fd, "{\"id\":2,\"result\":\"");
	for (int i = 0; i < 40; i++)
		say(fd, text);
	wait_for_close(fd);
}

static void test_security_endless_answer_is_given_up(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	assert_int_equal(ask(say_endless, &result, &err), -EMSGSIZE);
	assert_null(result);
	assert_false(client_is_connected(peer.client));
	stop();
}

#define SCRIPT(name, text)                                                                         \
	static void name(int fd)                                                                   \
	{                                                                                          \
		take(fd);                                                                          \
		say(fd, ALL_METHODS);                                                              \
		take(fd);                                                                          \
		say(fd, text);                                                                     \
		wait_for_close(fd);                                                                \
	}

SCRIPT(say_no_json, "hello\n")
SCRIPT(say_no_object, "[1]\n")
SCRIPT(say_unknown_id, "{\"id\":77,\"result\":1}\n")
SCRIPT(say_text_id, "{\"id\":\"2\",\"result\":1}\n")
SCRIPT(say_both, "{\"id\":2,\"result\":1,\"error\":{}}\n")
SCRIPT(say_neither, "{\"id\":2}\n")
SCRIPT(say_bad_error, "{\"id\":2,\"error\":5}\n")

static void test_security_hostile_answers_end_the_connection(void **state)
{
	void (*const scripts[])(int fd) = { say_no_json, say_no_object, say_unknown_id, say_text_id,
					    say_both,	 say_neither,	say_bad_error };
	struct error err;
	json_t *result;

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		assert_int_equal(ask(scripts[i], &result, &err), -EBADMSG);
		assert_null(result);
		assert_true(strlen(err.text) > 0);
		assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ECONNRESET);
		stop();
	}
}

SCRIPT(say_refusal, "{\"id\":2,\"error\":{\"code\":-17,\"message\":\"File exists\"}}\n")
SCRIPT(say_not_found, "{\"id\":2,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}\n")

static void test_refusals_carry_the_targets_words(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ask(say_refusal, NULL, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "refused a: File exists (code -17)"));
	assert_true(client_is_connected(peer.client));
	stop();
	assert_int_equal(ask(say_not_found, NULL, &err), -ENOSYS);
	stop();
}

static void die_in_answer(int fd)
{
	take(fd);
	say(fd, ALL_METHODS);
	take(fd);
	say(fd, "{\"id\":2,\"resu");
}

static void test_target_dies_in_mid_answer(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ask(die_in_answer, NULL, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "in mid-answer"));
	stop();
}

static void answer_late(int fd)
{
	take(fd);
	say(fd, ALL_METHODS);
	take(fd);
	take(fd);
	say(fd, "{\"id\":2,\"result\":\"late\"}\n{\"id\":3,\"result\":\"right\"}\n");
	wait_for_close(fd);
}

static void test_late_answer_is_dropped(void **state)
{
	struct error err = ERROR_INIT;
	json_t *result;

	(void)state;
	start(answer_late);
	assert_int_equal(client_learn(peer.client, &err), 0);
	client_set_timeout(peer.client, 20 * NS_PER_MSEC);
	assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ETIMEDOUT);
	client_set_timeout(peer.client, 30 * NS_PER_SEC);
	assert_int_equal(client_wait(peer.client, "b", NULL, &result, &err), 0);
	assert_string_equal(json_string_value(result), "right");
	json_decref(result);
	stop();
}

/* Answers in the opposite order of the requests, all in one write. */
static void answer_backwards(int fd)
{
	char text[8192] = "", buf[65536];
	size_t at = 0;
	int objects = 0;

	take(fd);
	say(fd, ALL_METHODS);
	while (objects < 100) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		for (ssize_t i = 0; i + 1 < n; i++)
			objects += buf[i] == 'i' && buf[i + 1] == 'd';
	}
	for (int id = 101; id >= 2; id--)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "{\"id\":%d,\"result\":%d}",
				       id, id);
	say(fd, text);
	wait_for_close(fd);
}

static void test_hundred_calls_in_flight(void **state)
{
	struct client_request r[100];
	struct error err = ERROR_INIT;

	(void)state;
	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < 100; i++)
		r[i].method = "a";
	start(answer_backwards);
	assert_int_equal(client_wait_all(peer.client, r, 100, &err), 0);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(json_integer_value(r[i].result), (int)i + 2);
		json_decref(r[i].result);
	}
	stop();
}

/* A release before 19.10: rpc_get_methods itself has its old name. */
static void answer_old(int fd)
{
	take(fd);
	say(fd, "{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
	take(fd);
	say(fd, "{\"id\":2,\"result\":[\"get_rpc_methods\",\"get_bdevs\"]}");
	wait_for_close(fd);
}

static void test_old_names_are_picked(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	start(answer_old);
	assert_int_equal(client_learn(peer.client, &err), 0);
	assert_string_equal(client_name(peer.client, "bdev_get_bdevs"), "get_bdevs");
	assert_true(client_has(peer.client, "bdev_get_bdevs"));
	assert_false(client_has(peer.client, "bdev_uring_create"));
	stop();
}

static void on_done(void *arg, const struct client_answer *answer)
{
	*(int *)arg = answer->status;
}

static void test_destroy_ends_calls(void **state)
{
	int status = 1;

	(void)state;
	start(wait_for_close);
	assert_int_equal(client_call(peer.client, "a", json_object(), NS_PER_SEC, on_done, &status),
			 0);
	assert_int_equal(status, 1);
	client_destroy(peer.client);
	peer.client = NULL;
	assert_int_equal(status, -ECANCELED);
	stop();
}

static void test_nobody_listens(void **state)
{
	struct loop *l = loop_create();
	struct error err = ERROR_INIT;
	struct client *c;
	char long_path[256];

	(void)state;
	assert_int_equal(client_connect(l, "/tmp/cs-no-such-socket", &c, &err), -EHOSTDOWN);
	assert_null(c);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(client_connect(l, long_path, &c, &err), -EINVAL);
	loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_in_single_bytes),
		cmocka_unit_test(test_answer_of_31_mib),
		cmocka_unit_test(test_security_endless_answer_is_given_up),
		cmocka_unit_test(test_security_hostile_answers_end_the_connection),
		cmocka_unit_test(test_refusals_carry_the_targets_words),
		cmocka_unit_test(test_target_dies_in_mid_answer),
		cmocka_unit_test(test_late_answer_is_dropped),
		cmocka_unit_test(test_hundred_calls_in_flight),
		cmocka_unit_test(test_old_names_are_picked),
		cmocka_unit_test(test_destroy_ends_calls),
		cmocka_unit_test(test_nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target client against peers that split, flood, lie, fall silent, die and come back.
 *
 * Threading: the peer of each test is a thread with its ends of the sockets.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "driver/client.h"
#include "driver/dialect.h"
#include "peer.h"

/* Answers of the two requests that learn a target. */
#define LEARNT                                                                                     \
	"{\"id\":1,\"result\":[\"rpc_get_methods\",\"bdev_get_bdevs\",\"bdev_aio_delete\",\"a\"]}" \
	"\n"                                                                                       \
	"{\"id\":2,\"result\":{\"version\":\"SPDK v26.05\"}}\n"
#define SHORT_NS (20 * NS_PER_MSEC)

static const char *words; /* what say_words() says */

static void be_learnt(int fd)
{
	peer_take(fd);
	peer_say(fd, LEARNT);
}

static void say_words(int fd)
{
	be_learnt(fd);
	peer_take(fd);
	peer_say(fd, words);
	peer_wait_for_close(fd);
}

/* Connect, learn, ask: the request of the test has id 3. */
static int ask(peer_script script, json_t **result, struct error *err)
{
	*err = (struct error)ERROR_INIT;
	peer_start(script, NULL);
	return client_wait(peer.client, "a", NULL, result, err);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void say_in_bytes(int fd)
{
	const char *answer = "{\"id\":3,\"result\":{\"x\":\"\\u00e9\"}}";

	peer_take(fd);
	for (const char *c = LEARNT; *c; c++)
		peer_say_bytes(fd, c, 1);
	peer_take(fd);
	for (const char *c = answer; *c; c++)
		peer_say_bytes(fd, c, 1);
	peer_wait_for_close(fd);
}

static void test_answer_in_single_bytes(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	assert_int_equal(ask(say_in_bytes, &result, &err), 0);
	assert_string_equal(json_string_value(json_object_get(result, "x")), "\xc3\xa9");
	json_decref(result);
	peer_stop();
}

static size_t answer_size;

/* A whole answer of answer_size bytes. */
static void say_sized(int fd)
{
	const char begin[] = "{\"id\":3,\"result\":\"", end[] = "\"}";
	size_t len = answer_size - (sizeof(begin) - 1) - (sizeof(end) - 1);
	char *text = malloc(len);

	be_learnt(fd);
	peer_take(fd);
	memset(text, 'x', len);
	peer_say(fd, begin);
	peer_say_bytes(fd, text, len);
	peer_say(fd, end);
	free(text);
	peer_wait_for_close(fd);
}

static void test_answer_of_32_mib(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	answer_size = CLIENT_ANSWER_MAX;
	assert_int_equal(ask(say_sized, &result, &err), 0);
	assert_int_equal(json_string_length(result), CLIENT_ANSWER_MAX - 20);
	json_decref(result);
	peer_stop();
}

static void test_security_larger_answer_is_given_up(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	answer_size = CLIENT_ANSWER_MAX + 1;
	assert_int_equal(ask(say_sized, &result, &err), -EMSGSIZE);
	assert_null(result);
	assert_false(client_is_connected(peer.client));
	peer_stop();
}

/* Small on the wire, large in memory. */
static void say_many_values(int fd)
{
	const size_t len = 2 * 2000100;
	char *text = malloc(len);

	be_learnt(fd);
	peer_take(fd);
	for (size_t i = 0; i < len; i += 2)
		memcpy(text + i, "0,", 2);
	peer_say(fd, "{\"id\":3,\"result\":[");
	peer_say_bytes(fd, text, len);
	free(text);
	peer_wait_for_close(fd);
}

static void test_security_answer_of_too_many_values_is_given_up(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ask(say_many_values, NULL, &err), -EMSGSIZE);
	peer_stop();
}

static const struct {
	const char *words;
	int status;
	const char *text; /* in the message */
} hostile[] = {
	{ "hello\n", -EBADMSG, "connection given up" },
	{ "{\"id\":3,\"result\":\"\xff\"}", -EBADMSG, "UTF-8" },
	{ "{\"id\":3,\"result\":\"\xc0\x80\"}", -EBADMSG, "UTF-8" },
	{ "{\"id\":3,\"result\":\"\xed\xa0\x80\"}", -EBADMSG, "UTF-8" },
	{ "{\"id\":3,\"result\":\"\\ud800\"}", -EBADMSG, "" },
	{ "{\"id\":3,\"result\":\"a\\u0000b\"}", -EBADMSG, "" },
	{ "[1]\n", -EBADMSG, "no object" },
	{ "[{\"id\":3,\"result\":1}]\n", -EBADMSG, "no object" },
	{ "3 ", -EBADMSG, "no object" },
	{ "{\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":\"3\",\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":null,\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":[3],\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":3.5,\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":-3,\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":18446744073709551616,\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":1e999999999,\"result\":1}", -EBADMSG, "usable id" },
	{ "{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"too long\"}}", -EBADMSG,
	  "too long" },
	{ "{\"id\":77,\"result\":1}", -EBADMSG, "nobody waits" },
	{ "{\"id\":0,\"result\":1}", -EBADMSG, "nobody waits" },
	{ "{\"id\":1,\"result\":1}", -EBADMSG, "nobody waits" },
	{ "{\"id\":3}", -EBADMSG, "neither or both" },
	{ "{\"id\":3,\"result\":1,\"error\":{}}", -EBADMSG, "neither or both" },
	{ "{\"id\":3,\"error\":5}", -EBADMSG, "error that is no object" },
	{ "{\"id\":3,\"error\":null}", -EBADMSG, "error that is no object" },
	{ "{\"id\":3,\"error\":[{\"code\":1}]}", -EBADMSG, "error that is no object" },
};

static void test_security_hostile_answers_end_the_connection(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		words = hostile[i].words;
		assert_int_equal(ask(say_words, &result, &err), hostile[i].status);
		assert_null(result);
		assert_non_null(strstr(err.text, hostile[i].text));
		assert_int_equal(client_wait(peer.client, "bdev_get_bdevs", NULL, NULL, &err),
				 -ECONNRESET);
		assert_int_equal(peer.accepted, 1);
		peer_stop();
	}
}

static void say_deep(int fd)
{
	char deep[10000];

	be_learnt(fd);
	peer_take(fd);
	memset(deep, '[', sizeof(deep));
	peer_say(fd, "{\"id\":3,\"result\":");
	peer_say_bytes(fd, deep, sizeof(deep));
	peer_wait_for_close(fd);
}

static void test_security_deep_answer_is_given_up(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ask(say_deep, NULL, &err), -EMSGSIZE);
	peer_stop();
}

static void test_security_second_answer_ends_the_connection(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	words = "{\"id\":3,\"result\":1}{\"id\":3,\"result\":2}";
	assert_int_equal(ask(say_words, &result, &err), 0);
	assert_int_equal(json_integer_value(result), 1);
	json_decref(result);
	assert_false(client_is_connected(peer.client));
	peer_stop();
}

static void test_numbers_beyond_64_bits_become_reals(void **state)
{
	struct error err;
	json_t *result;

	(void)state;
	words = "{\"id\":3.0e0,\"result\":[1e999,123456789012345678901234567890]}";
	assert_int_equal(ask(say_words, &result, &err), 0);
	assert_true(json_is_real(json_array_get(result, 0)));
	assert_true(json_real_value(json_array_get(result, 1)) > 1e29);
	json_decref(result);
	peer_stop();
}

static const struct {
	const char *words;
	int status;
	const char *text;
} refusals[] = {
	{ "{\"id\":3,\"error\":{\"code\":-17,\"message\":\"File exists\"}}", -EREMOTEIO,
	  "refused a: File exists (code -17)" },
	{ "{\"id\":3,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}", -ENOSYS,
	  "refused a: Method not found" },
	{ "{\"id\":3,\"error\":{}}", -EREMOTEIO, "no reason given (code 0)" },
	{ "{\"id\":3,\"error\":{\"message\":\" \\n\"}}", -EREMOTEIO, "no reason given (code 0)" },
	{ "{\"id\":3,\"error\":{\"code\":\"x\",\"message\":[1]}}", -EREMOTEIO,
	  "no reason given (code 0)" },
	{ "{\"id\":3,\"error\":{\"code\":1e999,\"message\":null}}", -EREMOTEIO,
	  "no reason given (code 0)" },
	{ "{\"id\":3,\"error\":{\"code\":1.5,\"message\":\"x\",\"code\":7}}", -EREMOTEIO,
	  "refused a: x (code 0)" },
};

static void test_refusals_carry_the_targets_words(void **state)
{
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		words = refusals[i].words;
		assert_int_equal(ask(say_words, NULL, &err), refusals[i].status);
		assert_non_null(strstr(err.text, refusals[i].text));
		assert_true(client_is_connected(peer.client));
		peer_stop();
	}
}

static void test_security_refusal_cannot_steer_a_terminal(void **state)
{
	struct error err;

	(void)state;
	words = "{\"id\":3,\"error\":{\"code\":-1,\"message\":"
		"\"\\u001b[2Ja\\u009b31mb\\r\\nc\\u007f\\n\"}}";
	assert_int_equal(ask(say_words, NULL, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "refused a:  [2Ja  31mb  c (code -1)"));
	peer_stop();
}

static void test_security_result_of_another_kind_is_refused(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	words = "{\"id\":3,\"result\":{\"name\":\"no array\"}}";
	peer_start(say_words, NULL);
	assert_int_equal(client_wait(peer.client, "bdev_get_bdevs", NULL, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "no array"));
	assert_true(client_is_connected(peer.client));
	peer_stop();
}

static const struct client_pick pick_list = { NULL, { "a", "b" } };
static const struct client_pick pick_inside = { "list", { "a" } };

static json_t *ask_picked(const char *say, const struct client_pick *pick)
{
	struct client_request r = { .method = "a", .pick = pick };
	struct error err = ERROR_INIT;

	words = say;
	peer_start(say_words, NULL);
	assert_int_equal(client_wait_all(peer.client, &r, 1, &err), 0);
	peer_stop();
	return r.result;
}

static void test_only_what_is_picked_is_kept(void **state)
{
	static const struct {
		const char *say, *kept;
		const struct client_pick *pick;
	} rows[] = {
		{ "{\"id\":3,\"result\":[{\"a\":1,\"c\":{\"a\":2}},5,{\"b\":[3],\"a\":4,\"a\":9}]}",
		  "[{\"a\":1},{\"b\":[3],\"a\":4}]", &pick_list },
		{ "{\"id\":3,\"result\":{\"x\":1,\"list\":[{\"a\":1,\"b\":2}]}}",
		  "{\"list\":[{\"a\":1}]}", &pick_inside },
		{ "{\"id\":3,\"result\":{\"x\":1}}", "{\"x\":1}", &pick_inside },
		{ "{\"id\":3,\"result\":{\"a\":1}}", "{\"a\":1}", &pick_list },
		{ "{\"id\":3,\"result\":[]}", "[]", &pick_list },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *result = ask_picked(rows[i].say, rows[i].pick);
		json_t *want = json_loads(rows[i].kept, 0, NULL);

		assert_true(json_equal(result, want));
		json_decref(result);
		json_decref(want);
	}
}

/* --- silence and death ------------------------------------------------------------------------ */

static void die_in_answer(int fd)
{
	be_learnt(fd);
	peer_take(fd);
	peer_say(fd, "{\"id\":3,\"resu");
}

static void die_before_answer(int fd)
{
	be_learnt(fd);
	peer_take(fd);
}

static void test_target_dies(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ask(die_in_answer, NULL, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "in mid-answer"));
	peer_stop();
	assert_int_equal(ask(die_before_answer, NULL, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "before it answered"));
	peer_stop();
}

/* Ids go on over connections: 1 to 3 on the first; methods and version are 4 and 5. */
static void be_learnt_again(int fd)
{
	peer_take(fd);
	peer_say(fd, "{\"id\":4,\"result\":[\"rpc_get_methods\",\"bdev_get_bdevs\"]}"
		     "{\"id\":5,\"result\":{\"version\":\"SPDK v26.05\"}}");
	peer_take(fd);
	peer_say(fd, "{\"id\":6,\"result\":[\"back\"]}");
	peer_wait_for_close(fd);
}

static void test_reads_are_asked_again_over_a_new_connection(void **state)
{
	struct error err = ERROR_INIT;
	json_t *result;

	(void)state;
	peer_start(die_in_answer, be_learnt_again);
	assert_int_equal(client_wait(peer.client, "bdev_get_bdevs", NULL, &result, &err), 0);
	assert_string_equal(json_string_value(json_array_get(result, 0)), "back");
	assert_int_equal(err.code, 0);
	assert_int_equal(peer.accepted, 2);
	json_decref(result);
	peer_stop();
}

static void test_changes_are_not_asked_again(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	peer_start(die_in_answer, peer_wait_for_close);
	assert_int_equal(client_wait(peer.client, "bdev_aio_delete", NULL, NULL, &err),
			 -ECONNRESET);
	assert_int_equal(peer.accepted, 1);
	peer_stop();
}

static void test_reads_are_asked_again_only_once(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	peer_start(die_in_answer, die_in_answer);
	assert_int_equal(client_wait(peer.client, "bdev_get_bdevs", NULL, NULL, &err), -ECONNRESET);
	assert_int_equal(peer.accepted, 2);
	peer_stop();
}

static void answer_late(int fd)
{
	be_learnt(fd);
	peer_take(fd);
	peer_take(fd);
	peer_say(fd, "{\"id\":3,\"result\":\"late\"}\n{\"id\":4,\"result\":\"right\"}\n");
	peer_wait_for_close(fd);
}

static void test_late_answer_is_dropped(void **state)
{
	struct error err = ERROR_INIT;
	json_t *result;

	(void)state;
	peer_start(answer_late, NULL);
	assert_int_equal(client_learn(peer.client, &err), 0);
	client_set_timeout(peer.client, SHORT_NS);
	assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ETIMEDOUT);
	client_set_timeout(peer.client, 30 * NS_PER_SEC);
	assert_int_equal(client_wait(peer.client, "a", NULL, &result, &err), 0);
	assert_string_equal(json_string_value(result), "right");
	json_decref(result);
	peer_stop();
}

static void never_answer(int fd)
{
	be_learnt(fd);
	peer_wait_for_close(fd);
}

static void test_security_target_that_never_answers_is_given_up(void **state)
{
	struct client_request r[CLIENT_LATE_MAX + 1];
	struct error err = ERROR_INIT;

	(void)state;
	peer_start(never_answer, NULL);
	assert_int_equal(client_learn(peer.client, &err), 0);
	client_set_timeout(peer.client, SHORT_NS);
	memset(r, 0, sizeof(r));
	for (size_t i = 0; i <= CLIENT_LATE_MAX; i++)
		r[i].method = "a";
	assert_int_equal(client_wait_all(peer.client, r, CLIENT_LATE_MAX, &err), -ETIMEDOUT);
	assert_true(client_is_connected(peer.client));
	assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ETIMEDOUT);
	assert_false(client_is_connected(peer.client));
	peer_stop();
}

static void flood_with_spaces(int fd)
{
	static char spaces[65536];

	be_learnt(fd);
	peer_take(fd);
	memset(spaces, ' ', sizeof(spaces));
	while (send(fd, spaces, sizeof(spaces), MSG_NOSIGNAL) > 0)
		;
}

static void test_security_endless_spaces_end_with_the_time(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	peer_start(flood_with_spaces, NULL);
	assert_int_equal(client_learn(peer.client, &err), 0);
	client_set_timeout(peer.client, SHORT_NS);
	assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ETIMEDOUT);
	peer_stop();
}

static void on_done(void *arg, const struct client_answer *answer)
{
	*(int *)arg = answer->status;
}

static void test_security_requests_that_nobody_reads_are_bounded(void **state)
{
	char *text = malloc(1 << 20);
	int status = 1, rc = 0, sent = 0;

	(void)state;
	memset(text, 'x', (1 << 20) - 1);
	text[(1 << 20) - 1] = '\0';
	peer_start(peer_wait_for_close, NULL);
	for (; rc == 0 && sent < 100; sent += rc == 0)
		rc = client_call(peer.client, "a", json_pack("{s:s}", "x", text), NS_PER_SEC,
				 on_done, &status);
	assert_int_equal(rc, -ENOBUFS);
	assert_true(sent < 9);
	free(text);
	peer_stop();
	assert_int_equal(status, -ECANCELED);
}

/* --- many calls ------------------------------------------------------------------------------- */

/* Answers in the opposite order of the requests, all in one write. */
static void answer_backwards(int fd)
{
	char text[8192] = "", buf[65536];
	size_t at = 0;
	int objects = 0;

	be_learnt(fd);
	while (objects < 100) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		for (ssize_t i = 0; i + 1 < n; i++)
			objects += buf[i] == 'i' && buf[i + 1] == 'd';
	}
	for (int id = 102; id >= 3; id--)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "{\"id\":%d,\"result\":%d}",
				       id, id);
	peer_say(fd, text);
	peer_wait_for_close(fd);
}

static void test_hundred_calls_in_flight(void **state)
{
	struct client_request r[100];
	struct error err = ERROR_INIT;

	(void)state;
	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < 100; i++)
		r[i].method = "a";
	peer_start(answer_backwards, NULL);
	assert_int_equal(client_wait_all(peer.client, r, 100, &err), 0);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(json_integer_value(r[i].result), (int)i + 3);
		json_decref(r[i].result);
	}
	peer_stop();
}

/* A release before 19.04: old names, and no version. */
static void answer_old(int fd)
{
	const char *no = "{\"id\":%d,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}";
	char text[256];

	peer_take(fd);
	for (int id = 1; id <= 2; id++) {
		snprintf(text, sizeof(text), no, id);
		peer_say(fd, text);
	}
	peer_take(fd);
	peer_say(fd, "{\"id\":3,\"result\":[\"get_rpc_methods\",\"get_bdevs\"]}");
	snprintf(text, sizeof(text), no, 4);
	peer_say(fd, text);
	peer_wait_for_close(fd);
}

static void test_old_names_are_learnt(void **state)
{
	struct error err = ERROR_INIT;
	json_t *result;

	(void)state;
	peer_start(answer_old, NULL);
	assert_null(client_dialect(peer.client));
	assert_int_equal(client_learn(peer.client, &err), 0);
	assert_true(client_has(peer.client, "bdev_get_bdevs"));
	assert_false(client_has(peer.client, "bdev_uring_create"));
	assert_int_equal(client_dialect(peer.client)->release, 1804);
	assert_int_equal(client_wait(peer.client, "spdk_get_version", NULL, &result, &err), 0);
	assert_string_equal(json_string_value(json_object_get(result, "version")),
			    "SPDK v18.04, by its methods");
	json_decref(result);
	assert_int_equal(client_wait(peer.client, "keyring_get_keys", NULL, NULL, &err), -ENOSYS);
	assert_non_null(strstr(err.text, "SPDK v18.04"));
	assert_non_null(strstr(err.text, "came with 24.05"));
	peer_stop();
}

/** struct greeting - how client_learn_begin() ended; @left: of how many, when the last ends */
struct greeting {
	struct error err;
	size_t *left;
	bool *done;
};

static void on_greeted(void *arg, const struct error *err)
{
	struct greeting *g = arg;

	g->err = *err;
	*g->done = --*g->left == 0;
}

/* The one that is silent holds nobody up. */
static void test_many_are_learnt_at_once(void **state)
{
	struct error err = ERROR_INIT;
	struct greeting greetings[2];
	struct client *clients[2];
	size_t left = 2;
	bool done = false;

	(void)state;
	peer_start(be_learnt, peer_wait_for_close);
	clients[0] = peer.client;
	assert_int_equal(client_connect(peer.loop, peer.path, &clients[1], &err), 0);
	for (size_t i = 0; i < 2; i++) {
		greetings[i] = (struct greeting){ ERROR_INIT, &left, &done };
		assert_int_equal(
			client_learn_begin(clients[i], 5 * SHORT_NS, on_greeted, &greetings[i]), 0);
	}
	assert_int_equal(loop_run(peer.loop, &done), 0);
	assert_int_equal(greetings[0].err.code, 0);
	assert_true(client_has(clients[0], "bdev_get_bdevs"));
	assert_int_equal(greetings[1].err.code, -ETIMEDOUT);
	assert_null(client_dialect(clients[1]));
	client_destroy(clients[1]);
	peer_stop();
}

static void ask_again(void *arg, const struct client_answer *answer)
{
	*(int *)arg += 1;
	if (answer->status == -ECONNRESET && *(int *)arg < 3)
		assert_int_equal(client_call(peer.client, "a", NULL, NS_PER_SEC, ask_again, arg),
				 0);
}

static void test_callback_may_call_on_a_broken_connection(void **state)
{
	struct error err = ERROR_INIT;
	int calls = 0;

	(void)state;
	peer_start(die_before_answer, NULL);
	assert_int_equal(client_learn(peer.client, &err), 0);
	assert_int_equal(client_call(peer.client, "a", NULL, NS_PER_SEC, ask_again, &calls), 0);
	assert_int_equal(client_wait(peer.client, "a", NULL, NULL, &err), -ECONNRESET);
	assert_int_equal(loop_sleep(peer.loop, 1), 0);
	assert_int_equal(calls, 3);
	peer_stop();
}

static void test_destroy_ends_calls(void **state)
{
	int status = 1;

	(void)state;
	peer_start(peer_wait_for_close, NULL);
	assert_int_equal(client_call(peer.client, "a", json_object(), NS_PER_SEC, on_done, &status),
			 0);
	assert_int_equal(status, 1);
	client_destroy(peer.client);
	peer.client = NULL;
	assert_int_equal(status, -ECANCELED);
	peer_stop();
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
		cmocka_unit_test(test_answer_of_32_mib),
		cmocka_unit_test(test_security_larger_answer_is_given_up),
		cmocka_unit_test(test_security_answer_of_too_many_values_is_given_up),
		cmocka_unit_test(test_security_hostile_answers_end_the_connection),
		cmocka_unit_test(test_security_deep_answer_is_given_up),
		cmocka_unit_test(test_security_second_answer_ends_the_connection),
		cmocka_unit_test(test_numbers_beyond_64_bits_become_reals),
		cmocka_unit_test(test_refusals_carry_the_targets_words),
		cmocka_unit_test(test_security_refusal_cannot_steer_a_terminal),
		cmocka_unit_test(test_security_result_of_another_kind_is_refused),
		cmocka_unit_test(test_only_what_is_picked_is_kept),
		cmocka_unit_test(test_target_dies),
		cmocka_unit_test(test_reads_are_asked_again_over_a_new_connection),
		cmocka_unit_test(test_changes_are_not_asked_again),
		cmocka_unit_test(test_reads_are_asked_again_only_once),
		cmocka_unit_test(test_late_answer_is_dropped),
		cmocka_unit_test(test_security_target_that_never_answers_is_given_up),
		cmocka_unit_test(test_security_endless_spaces_end_with_the_time),
		cmocka_unit_test(test_security_requests_that_nobody_reads_are_bounded),
		cmocka_unit_test(test_hundred_calls_in_flight),
		cmocka_unit_test(test_old_names_are_learnt),
		cmocka_unit_test(test_many_are_learnt_at_once),
		cmocka_unit_test(test_callback_may_call_on_a_broken_connection),
		cmocka_unit_test(test_destroy_ends_calls),
		cmocka_unit_test(test_nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

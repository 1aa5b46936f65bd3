/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcripts of a real SPDK, replayed to the client: its requests must come as they were recorded,
 * and the recorded answers must mean what they say, in any order, many in flight. They are found by
 * CYBORG_SPDK_REFERENCE, or beside the repository; where there are none, this is skipped.
 *
 * Threading: as peer.h. The peer reads what the test has written before it asked.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"

#define BATCH	     64
#define REQUEST_ROOM (1024 * 1024)

/**
 * struct line - one exchange
 * @raw: the answer behind its id, as the target spelled it
 * @id: of our request, noted by the peer
 */
struct line {
	json_t *request, *answer;
	char *raw;
	json_int_t id;
};

static struct line lines[BATCH];
static size_t line_count;
static json_t *methods;
static glob_t files;
static size_t mismatches; /* of the peer; read after it has ended */

/* --- the peer --------------------------------------------------------------------------------- */

/* The next request, out of what came; NULL when the client has gone. */
static json_t *next_request(int fd, char *buf, size_t *len)
{
	for (;;) {
		json_error_t at;
		json_t *o = json_loadb(buf, *len, JSON_DISABLE_EOF_CHECK, &at);
		ssize_t n;

		if (o) {
			*len -= (size_t)at.position;
			memmove(buf, buf + at.position, *len);
			return o;
		}
		n = recv(fd, buf + *len, REQUEST_ROOM - *len, 0);
		if (n <= 0)
			return NULL;
		*len += (size_t)n;
	}
}

static void answer_learning(int fd, const json_t *request, json_t *result)
{
	json_t *answer =
		json_pack("{s:O, s:o}", "id", json_object_get(request, "id"), "result", result);
	char *text = json_dumps(answer, JSON_COMPACT);

	peer_say(fd, text);
	free(text);
	json_decref(answer);
}

static bool same_member(const json_t *a, const json_t *b, const char *name)
{
	json_t *x = json_object_get(a, name), *y = json_object_get(b, name);

	return (!x && !y) || json_equal(x, y);
}

static void take_line(struct line *l, const json_t *request)
{
	l->id = json_integer_value(json_object_get(request, "id"));
	if (!same_member(request, l->request, "method") ||
	    !same_member(request, l->request, "params"))
		mismatches++;
}

static void replay(int fd)
{
	char *buf = malloc(REQUEST_ROOM), head[64];
	size_t len = 0, taken = 0;
	json_t *request;

	for (int i = 0; i < 2 && (request = next_request(fd, buf, &len)); i++) {
		answer_learning(fd, request,
				i ? json_pack("{s:s}", "version", "SPDK v26.05")
				  : json_deep_copy(methods));
		json_decref(request);
	}
	while ((request = next_request(fd, buf, &len))) {
		take_line(&lines[taken++], request);
		json_decref(request);
		if (taken < line_count)
			continue;
		for (; taken > 0; taken--) {
			snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%lld,",
				 (long long)lines[taken - 1].id);
			peer_say(fd, head);
			peer_say(fd, lines[taken - 1].raw + 1);
		}
	}
	free(buf);
}

/* --- the test --------------------------------------------------------------------------------- */

static void check(const struct line *l, const struct client_request *r)
{
	json_t *error = json_object_get(l->answer, "error");
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	char text[32];

	if (!error) {
		assert_int_equal(r->status, 0);
		assert_true(json_equal(r->result, json_object_get(l->answer, "result")));
		return;
	}
	snprintf(text, sizeof(text), "(code %lld)", (long long)code);
	assert_int_equal(r->status, code == -32601 ? -ENOSYS : -EREMOTEIO);
	assert_non_null(strstr(r->err.text, text));
}

static void ask_batch(void)
{
	struct client_request r[BATCH] = { { .method = NULL } };
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < line_count; i++) {
		json_t *params = json_object_get(lines[i].request, "params");

		r[i].method = json_string_value(json_object_get(lines[i].request, "method"));
		r[i].params = json_deep_copy(params);
	}
	client_wait_all(peer.client, r, line_count, &err);
	for (size_t i = 0; i < line_count; i++) {
		check(&lines[i], &r[i]);
		json_decref(r[i].result);
		json_decref(lines[i].request);
		json_decref(lines[i].answer);
		free(lines[i].raw);
	}
	line_count = 0;
}

/* The answer's own spelling: from behind its name to where its JSON ends. */
static char *raw_answer(const char *text)
{
	const char *at = strstr(text, "\"response\":") + strlen("\"response\":");
	json_error_t end;
	json_t *o = json_loads(at, JSON_DISABLE_EOF_CHECK, &end);

	assert_non_null(o);
	json_decref(o);
	return strndup(at, (size_t)end.position);
}

static void add_line(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);
	json_t *request = json_object_get(o, "request"), *answer = json_object_get(o, "response");

	if (json_is_object(request) && json_is_object(answer))
		lines[line_count++] = (struct line){ json_incref(request), json_incref(answer),
						     raw_answer(text), 0 };
	json_decref(o);
}

static size_t replay_file(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t room = 0, count = 0;
	char *text = NULL;

	assert_non_null(f);
	peer_start(replay, NULL);
	while (getline(&text, &room, f) > 0) {
		add_line(text);
		if (line_count == BATCH) {
			count += line_count;
			ask_batch();
		}
	}
	count += line_count;
	if (line_count)
		ask_batch();
	peer_stop();
	free(text);
	fclose(f);
	return count;
}

/* What the target of the transcripts has. */
static void load_methods(void)
{
	char path[1024], *text = NULL;
	size_t room = 0;
	FILE *f;

	for (size_t i = 0; !methods && i < files.gl_pathc; i++) {
		snprintf(path, sizeof(path), "%s", files.gl_pathv[i]);
		f = fopen(path, "r");
		assert_non_null(f);
		while (!methods && getline(&text, &room, f) > 0) {
			json_t *o = json_loads(text, 0, NULL);
			json_t *list = json_object_get(json_object_get(o, "response"), "result");

			if (strstr(text, "\"method\":\"rpc_get_methods\"") && json_is_array(list))
				methods = json_incref(list);
			json_decref(o);
		}
		fclose(f);
	}
	free(text);
	assert_non_null(methods);
}

static void test_transcripts(void **state)
{
	size_t count = 0;

	(void)state;
	load_methods();
	for (size_t i = 0; i < files.gl_pathc; i++)
		count += replay_file(files.gl_pathv[i]);
	json_decref(methods);
	print_message("%zu exchanges of %zu transcripts\n", count, files.gl_pathc);
	assert_int_equal(mismatches, 0);
	assert_true(count > 1000);
}

/* --- raw bytes -------------------------------------------------------------------------------- */

static const char *said;

static void say_it(int fd)
{
	peer_take(fd);
	peer_say(
		fd,
		"{\"id\":1,\"result\":[\"a\"]}{\"id\":2,\"result\":{\"version\":\"SPDK v26.05\"}}");
	peer_take(fd);
	peer_say(fd, said);
}

/* What SPDK said to the strangest requests, said to one of ours: an answer or an error with words.
 */
static void test_raw_answers(void **state)
{
	char path[1100], *text = NULL;
	size_t room = 0;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%.*s/08_protocol.jsonl",
		 (int)(strrchr(files.gl_pathv[0], '/') - files.gl_pathv[0]), files.gl_pathv[0]);
	f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&text, &room, f) > 0) {
		json_t *o = json_loads(text, 0, NULL);
		struct error err = ERROR_INIT;
		int rc;

		said = json_string_value(json_object_get(json_object_get(o, "out"), "text"));
		if (said) {
			peer_start(say_it, NULL);
			rc = client_wait(peer.client, "a", NULL, NULL, &err);
			assert_true(rc == 0 || err.text[0]);
			peer_stop();
		}
		json_decref(o);
	}
	free(text);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transcripts),
		cmocka_unit_test(test_raw_answers),
	};
	const char *from = getenv("CYBORG_SPDK_REFERENCE");
	char pattern[1024];
	int rc;

	snprintf(pattern, sizeof(pattern), "%s/transcripts/*.jsonl",
		 from ? from : SOURCE_ROOT "/../shared/reference");
	if (glob(pattern, 0, NULL, &files) != 0) {
		print_message("no transcripts at %s: set CYBORG_SPDK_REFERENCE\n", pattern);
		return 77;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	globfree(&files);
	return rc;
}

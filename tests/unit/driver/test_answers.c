/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers with anything changed in them, thousands of them from a fixed seed: whatever comes, each
 * call ends once, and nothing is read or written where it should not (the sanitizers look).
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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/client_internal.h"

#define ROUNDS	  20000
#define CALLS	  4
#define TEXT_ROOM 4096

static const char *const seeds[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":%u,\"result\":[{\"name\":\"a\",\"x\":[1,{\"y\":null}]},7]}\n",
	"{\"id\":%u,\"result\":{\"tick_rate\":1e3,\"bdevs\":[{\"name\":\"\\u00e9\\ud83d\\ude00\"}]}"
	"}",
	"{\"id\":%u,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}",
	"{\"id\":%u,\"error\":{\"code\":-17,\"message\":\"\\u001b[0m\xc3\xa9\"}} ",
	"{\"result\":true,\"id\":%u}",
};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static const struct client_pick pick = { NULL, { "name", "y" } };
static const char *const called[CALLS] = { "bdev_get_bdevs", "bdev_get_iostat", "a",
					   "spdk_get_version" };

static uint64_t random_state = 0x9e3779b97f4a7c15u;
static unsigned int ended, asked;

/* xorshift64: the same on each run. */
static unsigned int random_below(size_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state % n);
}

static void on_end(void *arg, const struct client_answer *answer)
{
	(void)arg;
	assert_true(answer->status == 0 || answer->message[0]);
	assert_true(answer->status < 0 || answer->result);
	ended++;
}

static size_t make_text(char *text, uint64_t first_id)
{
	size_t len = 0, count = 1 + random_below(CALLS);

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, TEXT_ROOM - len, seeds[random_below(SEEDS)],
					(unsigned int)(first_id + random_below(CALLS)));
	return len;
}

static size_t change(char *text, size_t len)
{
	static const char odd[] = "{}[]\",:\\0123456789-+.eEtfn \t\n\x00\x1b\x7f\x80\xc0\xed\xff";
	size_t at = random_below(len), n = 1 + random_below(16);

	switch (random_below(4)) {
	case 0:
		text[at] ^= (char)(1u << random_below(8));
		break;
	case 1:
		text[at] = odd[random_below(sizeof(odd) - 1)];
		break;
	case 2:
		n = n < len - at ? n : len - at;
		memmove(text + at, text + at + n, len - at - n);
		len -= n;
		break;
	default:
		n = n < len - at ? n : len - at;
		if (len + n > TEXT_ROOM)
			break;
		memmove(text + at + n, text + at, len - at);
		len += n;
	}
	return len;
}

static void feed(struct client *c, const char *text, size_t len)
{
	while (len) {
		size_t n = 1 + random_below(len);

		client_take_bytes(c, text, n);
		text += n;
		len -= n;
	}
}

static struct client *connect_to(int listener, struct loop *l, const char *path)
{
	struct error err = ERROR_INIT;
	struct client *c;

	assert_int_equal(client_connect(l, path, &c, &err), 0);
	close(accept(listener, NULL, NULL));
	return c;
}

static void round_with(struct client *c)
{
	char text[TEXT_ROOM];
	uint64_t first = c->next_id;
	size_t len, changes = random_below(4);

	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(client_call_picked(c, called[i], NULL, i ? NULL : &pick,
						    NS_PER_SEC, on_end, NULL),
				 0);
		asked++;
	}
	len = make_text(text, first);
	for (size_t i = 0; i < changes && len; i++)
		len = change(text, len);
	feed(c, text, len);
}

static void test_security_changed_answers(void **state)
{
	char dir[] = "/tmp/cs-answers-XXXXXX", path[64];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct loop *l = loop_create();

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 4), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct client *c = connect_to(listener, l, path);

		round_with(c);
		client_destroy(c);
		assert_int_equal(ended, asked);
	}
	loop_destroy(l);
	close(listener);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_changed_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

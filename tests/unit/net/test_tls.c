/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: who may speak, and what becomes of those who may not. The bytes are test_stream's and
 * others'. */
#include "net_unit.h"

#include <errno.h>

#include "net/tls_session.h"

#define BYTES 300000u

/* Which end speaks what, and what the bytes between them go through. */
enum speaks { TLS, TLS_48, WRONG_KEY, WRONG_IDENTITY, BAD_IDENTITY, PLAIN, GARBAGE, SILENT };

/* With a relay: client - left - right - server; a byte of the client's is changed at @spoil_at. */
static struct {
	struct unit_pair pair, second;
	enum speaks client, server;
	bool relay;
	size_t spoil_at, relayed;
	bool cut;
	struct net_stream *left, *right;
	struct net_stream *client_end, *server_end;
	unsigned int released, ends;
	bool client_gone, server_gone;
	size_t got;
	int client_reason, server_reason;
	char client_words[200], server_words[200], identity[NET_TLS_IDENTITY_MAX];
	struct reactor_timer timer;
} t;

static void gone(void *user)
{
	(void)user;
	if (++t.released == t.ends)
		reactor_system_stop();
}

static void leave(struct net_stream *stream, bool *flag)
{
	if (*flag)
		return;
	*flag = true;
	net_stream_close(stream, gone);
}

static void note(struct net_stream *stream, char *words, size_t size)
{
	const char *text = net_stream_tls_error(stream);

	snprintf(words, size, "%s", text ? text : "");
}

static size_t client_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)stream;
	(void)user;
	(void)data;
	return len;
}

static void client_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	t.client_reason = reason;
	note(stream, t.client_words, sizeof(t.client_words));
	leave(stream, &t.client_gone);
}

static size_t server_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	const char *identity = net_stream_tls_identity(stream);

	(void)user;
	snprintf(t.identity, sizeof(t.identity), "%s", identity ? identity : "");
	unit_check_pattern(data, t.got, len);
	t.got += len;
	if (t.got == BYTES)
		leave(t.client_end, &t.client_gone);
	return len;
}

static void server_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	t.server_reason = reason;
	note(stream, t.server_words, sizeof(t.server_words));
	leave(stream, &t.server_gone);
}

static const struct net_stream_ops client_ops = { client_data, client_closed };
static const struct net_stream_ops server_ops = { server_data, server_closed };

/* --- the relay -------------------------------------------------------------------------------- */

static bool left_gone, right_gone;

static size_t from_client(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len);

	(void)stream;
	(void)user;
	assert_non_null(copy);
	memcpy(copy, data, len);
	if (t.spoil_at >= t.relayed && t.spoil_at < t.relayed + len) {
		copy[t.spoil_at - t.relayed] ^= 0x10;
		if (t.cut)
			leave(t.right, &right_gone);
	}
	t.relayed += len;
	if (!right_gone)
		unit_send(t.right, copy, len, NULL, NULL);
	free(copy);
	return len;
}

static size_t from_server(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)stream;
	(void)user;
	if (!left_gone)
		unit_send(t.left, data, len, NULL, NULL);
	return len;
}

static void relay_closed(struct net_stream *stream, void *user, int reason)
{
	(void)stream;
	(void)user;
	(void)reason;
	leave(t.left, &left_gone);
	leave(t.right, &right_gone);
}

static const struct net_stream_ops left_ops = { from_client, relay_closed };
static const struct net_stream_ops right_ops = { from_server, relay_closed };

/* --- a connection ----------------------------------------------------------------------------- */

static void secure_client(enum speaks how)
{
	struct net_tls_key key;

	unit_key(&key, how == TLS_48 ? 48 : 32);
	if (how == WRONG_KEY)
		key.bytes[7] ^= 1;
	assert_int_equal(net_stream_tls_connect(t.client_end,
						how == WRONG_IDENTITY ? "NVMe0R01 host other"
						: how == BAD_IDENTITY ? "NVMe0R01 \n"
								      : UNIT_IDENTITY,
						&key),
			 0);
}

static void late(struct reactor_timer *timer)
{
	(void)timer;
	leave(t.client_end, &t.client_gone);
}

/* Anything but a ClientHello; the second begins like a record, of more than may be. */
static void send_garbage(void)
{
	uint8_t garbage[2000];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)unit_rand(256);
	if (garbage[0] & 1)
		memcpy(garbage, "\x16\x03\x01\xff\xff", 5);
	unit_send(t.client_end, garbage, sizeof(garbage), NULL, NULL);
}

static void attach_ends(void)
{
	if (t.client < PLAIN)
		secure_client(t.client);
	if (t.server < PLAIN)
		assert_int_equal(net_stream_tls_accept(t.server_end, unit_find_key,
						       t.server == TLS_48 ? &t : NULL),
				 0);
	net_stream_attach(t.server_end, &server_ops, NULL);
	net_stream_attach(t.client_end, &client_ops, NULL);
	t.timer = (struct reactor_timer){ .fn = late };
	/* A length that was changed makes the server wait for bytes that never come. */
	if (t.client == SILENT || t.spoil_at < BYTES)
		reactor_timer_start(&t.timer, 50000000);
	if (t.client == SILENT)
		return;
	if (t.client == GARBAGE)
		send_garbage();
	else
		unit_send_pattern(t.client_end, 0, BYTES);
}

static void second_ready(struct unit_pair *pair)
{
	t.right = pair->client;
	t.server_end = pair->server;
	net_stream_attach(t.left, &left_ops, NULL);
	net_stream_attach(t.right, &right_ops, NULL);
	attach_ends();
}

static void ready(struct unit_pair *pair)
{
	t.client_end = pair->client;
	t.left = t.server_end = pair->server;
	t.second.ready = second_ready;
	if (t.relay)
		unit_pair_start(&t.second);
	else
		attach_ends();
}

static void start(void *arg)
{
	(void)arg;
	t.pair.ready = ready;
	unit_pair_start(&t.pair);
}

static void begin(enum speaks client, enum speaks server)
{
	memset(&t, 0, sizeof(t));
	left_gone = right_gone = false;
	t.client = client;
	t.server = server;
	t.ends = 2;
	t.spoil_at = SIZE_MAX;
}

static void run(enum speaks client, enum speaks server, int client_reason, int server_reason)
{
	begin(client, server);
	unit_run(1, start, NULL);
	assert_int_equal(t.client_reason, client_reason);
	assert_int_equal(t.server_reason, server_reason);
}

static void run_relay(size_t spoil_at, bool cut)
{
	begin(TLS, TLS);
	t.relay = true;
	t.ends = 4;
	t.spoil_at = spoil_at;
	t.cut = cut;
	unit_run(1, start, NULL);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_both_know_the_key(void **state)
{
	(void)state;
	run(TLS, TLS, 0, 0);
	assert_int_equal(t.got, BYTES);
	assert_string_equal(t.identity, UNIT_IDENTITY);
	run(TLS_48, TLS_48, 0, 0);
	assert_int_equal(t.got, BYTES);
	run_relay(SIZE_MAX, false);
	assert_int_equal(t.got, BYTES);
}

static void refused(enum speaks client, enum speaks server)
{
	run(client, server, -EACCES, -EACCES);
	assert_int_equal(t.got, 0);
	assert_text_has(t.client_words, "pre-shared key");
	assert_text_has(t.server_words, "pre-shared key");
}

static void test_security_tls_needs_the_key(void **state)
{
	(void)state;
	refused(WRONG_KEY, TLS);
	refused(WRONG_IDENTITY, TLS);
	refused(BAD_IDENTITY, TLS);
	refused(TLS_48, TLS);
	refused(TLS, TLS_48);
}

static void test_security_tls_is_not_left_away(void **state)
{
	(void)state;
	begin(PLAIN, TLS);
	unit_run(1, start, NULL);
	assert_int_equal(t.server_reason, -EPROTO);
	assert_int_equal(t.got, 0);
	assert_text_has(t.server_words, "does not speak TLS");
}

static void test_security_tls_garbage(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		begin(GARBAGE, TLS);
		unit_run(1, start, NULL);
		assert_true(t.server_reason == -EPROTO || t.server_reason == -EACCES ||
			    t.server_reason == -ECONNRESET);
		assert_int_equal(t.got, 0);
	}
}

static void test_peer_that_says_nothing(void **state)
{
	(void)state;
	run(SILENT, TLS, 0, -ECONNRESET);
	assert_text_has(t.server_words, "before the handshake was over");
}

/* In the ClientHello, in the client's Finished, in the first and the last record of data. */
static void test_security_tls_changed_bytes(void **state)
{
	static const size_t places[] = { 0, 3, 8, 60, 200, 250, 300, 330, 2000, 200000, 300000 };

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		run_relay(places[i], false);
		assert_true(t.server_reason < 0);
		assert_true(t.got < BYTES);
		assert_true(t.got % 16384 == 0 || t.got == 0);
	}
	assert_true(t.got > 0);
	assert_int_equal(t.server_reason, -EPROTO);
}

static void test_security_tls_connection_that_is_cut(void **state)
{
	(void)state;
	run_relay(150000, true);
	assert_int_equal(t.server_reason, -ECONNRESET);
	assert_text_has(t.server_words, "close_notify");
	assert_true(t.got < BYTES);
}

/* --- ClientHellos that are spoilt ------------------------------------------------------------- */

static void hello(struct tls_buffer *out)
{
	struct tls_session client = { .identity = UNIT_IDENTITY };

	unit_key(&client.key, 32);
	assert_int_equal(tls_session_init(&client), 0);
	assert_int_equal(tls_session_handshake(&client), 0);
	assert_true(client.next.len > 100);
	*out = client.next;
	client.next = (struct tls_buffer){ .data = NULL };
	tls_session_fini(&client);
}

/* Return: what a server made of it; it never comes to the end. */
static int offer(const uint8_t *data, size_t len)
{
	struct tls_session server = { .server = true, .find = unit_find_key };
	int rc;

	assert_int_equal(tls_session_init(&server), 0);
	server.in = data;
	server.in_len = len;
	rc = tls_session_handshake(&server);
	assert_true(rc <= 0);
	assert_false(server.ready);
	tls_session_fini(&server);
	return rc;
}

/* Every byte, and every length within, of the identities too; and every part of it. */
static void test_security_tls_spoilt_hellos(void **state)
{
	struct tls_buffer good;
	uint8_t *bad;

	(void)state;
	hello(&good);
	assert_int_equal(offer(good.data, good.len), 0);
	for (size_t i = 0; i < good.len; i++) {
		static const uint8_t flips[] = { 0x01, 0x80, 0xff };

		for (size_t k = 0; k < sizeof(flips); k++) {
			bad = malloc(good.len);
			assert_non_null(bad);
			memcpy(bad, good.data, good.len);
			bad[i] ^= flips[k];
			offer(bad, good.len);
			free(bad);
		}
		/* Of its own memory, so that a byte behind it is noticed. */
		bad = malloc(i + 1);
		assert_non_null(bad);
		memcpy(bad, good.data, i + 1);
		offer(bad, i + 1);
		free(bad);
	}
	free(good.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_know_the_key),
		cmocka_unit_test(test_security_tls_needs_the_key),
		cmocka_unit_test(test_security_tls_is_not_left_away),
		cmocka_unit_test(test_security_tls_garbage),
		cmocka_unit_test(test_peer_that_says_nothing),
		cmocka_unit_test(test_security_tls_changed_bytes),
		cmocka_unit_test(test_security_tls_connection_that_is_cut),
		cmocka_unit_test(test_security_tls_spoilt_hellos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

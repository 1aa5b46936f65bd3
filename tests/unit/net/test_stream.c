/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: bytes both ways in any split, a slow reader, another reactor. */
#include "net_unit.h"

#include <assert.h>
#include <errno.h>

/* --- echo ----------------------------------------------------------------------------------- */

#define ECHO_BYTES (24u << 20)

static struct {
	struct unit_pair pair;
	size_t sent, back, acknowledged;
	unsigned int released;
	bool server_closed;
} e;

static void echo_gone(void *user)
{
	(void)user;
	if (++e.released == 2)
		reactor_system_stop();
}

static size_t echo_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	unit_send(stream, data, len, NULL, NULL);
	return len;
}

static void echo_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	assert_int_equal(reason, 0);
	e.server_closed = true;
	net_stream_close(stream, echo_gone);
}

static void acknowledged(void *arg, int result)
{
	assert_int_equal(result, 0);
	e.acknowledged += (size_t)arg;
}

static void pump(void)
{
	static uint8_t data[200000];

	while (e.sent < ECHO_BYTES && net_stream_unsent(e.pair.client) < 1000000) {
		size_t len = 1 + unit_rand(unit_rand(2) ? 100 : sizeof(data));

		if (len > ECHO_BYTES - e.sent)
			len = ECHO_BYTES - e.sent;
		for (size_t i = 0; i < len; i++)
			data[i] = unit_byte(e.sent + i);
		unit_send(e.pair.client, data, len, acknowledged, (void *)len);
		e.sent += len;
	}
}

static size_t client_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	unit_check_pattern(data, e.back, len);
	e.back += len;
	pump();
	if (e.back == ECHO_BYTES)
		net_stream_close(stream, echo_gone);
	return len;
}

static void client_closed(struct net_stream *stream, void *user, int reason)
{
	(void)stream;
	(void)user;
	fail_msg("closed with %d, though the client closes first", reason);
}

static const struct net_stream_ops echo_server_ops = { echo_data, echo_closed };
static const struct net_stream_ops echo_client_ops = { client_data, client_closed };

static void echo_ready(struct unit_pair *pair)
{
	struct net_addr a, b;

	net_stream_peer_addr(pair->client, &a);
	net_stream_local_addr(pair->server, &b);
	assert_true(net_addr_equal(&a, &b));
	net_stream_attach(pair->server, &echo_server_ops, pair);
	net_stream_attach(pair->client, &echo_client_ops, pair);
	assert_ptr_equal(net_stream_user(pair->client), pair);
	pump();
}

static void echo_start(void *arg)
{
	(void)arg;
	e.pair.ready = echo_ready;
	unit_pair_start(&e.pair);
}

static void test_echo_in_random_splits(void **state)
{
	unsigned int fds = unit_fds();

	(void)state;
	memset(&e, 0, sizeof(e));
	unit_run(1, echo_start, NULL);
	assert_int_equal(e.back, ECHO_BYTES);
	assert_int_equal(e.acknowledged, ECHO_BYTES);
	assert_true(e.server_closed);
	assert_int_equal(unit_fds(), fds);
}

/* --- a slow reader -------------------------------------------------------------------------- */

#define SLOW_BYTES (40u << 20)

static struct {
	struct unit_pair pair;
	struct reactor_timer timer;
	size_t sent, got;
	unsigned int naps, released;
	bool napping;
} slow;

static void slow_gone(void *user)
{
	(void)user;
	if (++slow.released == 2)
		reactor_system_stop();
}

static void slow_wake(struct reactor_timer *timer)
{
	(void)timer;
	slow.napping = false;
	net_stream_resume(slow.pair.server);
	/* Twice does no harm. */
	net_stream_resume(slow.pair.server);
}

/* Takes a part, and nothing more for a while; at first so long that the sender must stall. */
static size_t slow_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	size_t take = len;

	(void)user;
	assert_false(slow.napping);
	if (slow.naps == 0 || unit_rand(100) == 0)
		take = unit_rand(len);
	unit_check_pattern(data, slow.got, take);
	slow.got += take;
	if (slow.got == SLOW_BYTES) {
		net_stream_close(stream, slow_gone);
		return take;
	}
	if (take < len) {
		slow.napping = true;
		reactor_timer_start(&slow.timer, slow.naps++ == 0 ? 100000000 : 100000);
	}
	return take;
}

static void slow_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	assert_int_equal(reason, 0);
	assert_ptr_equal(stream, slow.pair.client);
	net_stream_close(stream, slow_gone);
}

static const struct net_stream_ops slow_ops = { slow_data, slow_closed };

static void slow_ready(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &slow_ops, NULL);
	net_stream_attach(pair->client, &slow_ops, NULL);
	for (size_t i = 0; i < SLOW_BYTES; i += 1u << 20)
		unit_send_pattern(pair->client, i, 1u << 20);
	assert_int_equal(net_stream_unsent(pair->client), SLOW_BYTES);
}

static void slow_start(void *arg)
{
	(void)arg;
	slow.timer.fn = slow_wake;
	slow.pair.ready = slow_ready;
	unit_pair_start(&slow.pair);
}

static void test_slow_reader_loses_nothing(void **state)
{
	(void)state;
	memset(&slow, 0, sizeof(slow));
	unit_run(1, slow_start, NULL);
	assert_int_equal(slow.got, SLOW_BYTES);
	assert_true(slow.naps > 1);
}

/* --- resume inside data() ------------------------------------------------------------------- */

static struct {
	struct unit_pair pair;
	unsigned int calls, released;
	size_t got;
} again;

static void again_gone(void *user)
{
	(void)user;
	if (++again.released == 2)
		reactor_system_stop();
}

static size_t again_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	(void)len;
	unit_check_pattern(data, again.got, 1);
	again.calls++;
	if (++again.got == 100) {
		net_stream_close(stream, again_gone);
		net_stream_close(again.pair.client, again_gone);
	} else {
		net_stream_resume(stream);
	}
	return 1;
}

static const struct net_stream_ops again_ops = { again_data, slow_closed };

static void again_ready(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &again_ops, NULL);
	net_stream_attach(pair->client, &again_ops, NULL);
	unit_send_pattern(pair->client, 0, 100);
}

static void again_start(void *arg)
{
	(void)arg;
	again.pair.ready = again_ready;
	unit_pair_start(&again.pair);
}

static void test_resume_inside_data(void **state)
{
	(void)state;
	memset(&again, 0, sizeof(again));
	unit_run(1, again_start, NULL);
	assert_int_equal(again.calls, 100);
}

/* --- another reactor ------------------------------------------------------------------------ */

static struct {
	struct unit_pair pair;
	struct reactor_msg hand, home;
	size_t back;
	unsigned int released;
} over;

static void over_gone(void *user)
{
	(void)user;
	if (++over.released == 2)
		reactor_system_stop();
}

static void over_home(struct reactor_msg *msg)
{
	(void)msg;
	over_gone(NULL);
}

static void over_server_gone(void *user)
{
	(void)user;
	over.home.fn = over_home;
	reactor_send(reactor_at(0), &over.home);
}

static size_t over_server_data(struct net_stream *stream, void *user, const uint8_t *data,
			       size_t len)
{
	(void)user;
	assert(reactor_index(reactor_self()) == 1);
	unit_send(stream, data, len, NULL, NULL);
	return len;
}

static void over_server_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	assert(reason == 0);
	net_stream_close(stream, over_server_gone);
}

static const struct net_stream_ops over_server_ops = { over_server_data, over_server_closed };

static void over_take(struct reactor_msg *msg)
{
	(void)msg;
	net_stream_attach(over.pair.server, &over_server_ops, NULL);
}

static size_t over_client_data(struct net_stream *stream, void *user, const uint8_t *data,
			       size_t len)
{
	(void)user;
	unit_check_pattern(data, over.back, len);
	over.back += len;
	if (over.back == 1u << 20)
		net_stream_close(stream, over_gone);
	return len;
}

static const struct net_stream_ops over_client_ops = { over_client_data, client_closed };

static void over_ready(struct unit_pair *pair)
{
	net_stream_attach(pair->client, &over_client_ops, NULL);
	unit_send_pattern(pair->client, 0, 1u << 20);
	over.hand.fn = over_take;
	reactor_send(reactor_at(1), &over.hand);
}

static void over_start(void *arg)
{
	(void)arg;
	over.pair.ready = over_ready;
	unit_pair_start(&over.pair);
}

static void test_stream_is_attached_on_another_reactor(void **state)
{
	(void)state;
	memset(&over, 0, sizeof(over));
	unit_run(2, over_start, NULL);
	assert_int_equal(over.back, 1u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_in_random_splits),
		cmocka_unit_test(test_slow_reader_loses_nothing),
		cmocka_unit_test(test_resume_inside_data),
		cmocka_unit_test(test_stream_is_attached_on_another_reactor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

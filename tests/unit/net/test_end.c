/* SPDX-License-Identifier: Apache-2.0 */
/* How streams end: queued bytes, resets, a peer that does not follow, before attaching. */
#include "net_unit.h"

#include <errno.h>

#include "base/clock.h"

static struct {
	struct unit_pair pair;
	size_t bytes, got;
	unsigned int answered, cancelled, released, closes;
	int reason;
	bool abort_inside;
} t;

static void gone(void *user)
{
	(void)user;
	if (++t.released == 2)
		reactor_system_stop();
}

static void answered(void *arg, int result)
{
	(void)arg;
	t.answered++;
	if (result == -ECANCELED || result == -ECONNRESET)
		t.cancelled++;
	else
		assert_int_equal(result, 0);
}

static size_t takes(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)stream;
	(void)user;
	unit_check_pattern(data, t.got, len);
	t.got += len;
	return len;
}

static size_t takes_nothing(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)stream;
	(void)user;
	(void)data;
	(void)len;
	return 0;
}

static void closes(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	t.closes++;
	t.reason = reason;
	net_stream_close(stream, gone);
}

static const struct net_stream_ops take_ops = { takes, closes };
static const struct net_stream_ops lazy_ops = { takes_nothing, closes };

static void queue_bytes(struct net_stream *stream, size_t bytes)
{
	uint8_t *data = malloc(bytes);

	assert_non_null(data);
	for (size_t i = 0; i < bytes; i++)
		data[i] = unit_byte(i);
	for (size_t i = 0; i < bytes; i += 65536)
		unit_send(stream, data + i, bytes - i < 65536 ? bytes - i : 65536, answered, NULL);
	free(data);
}

static void start(void *arg)
{
	(void)arg;
	unit_pair_start(&t.pair);
}

static void run_end(void (*ready)(struct unit_pair *pair))
{
	unsigned int fds = unit_fds();

	memset(&t, 0, sizeof(t));
	t.bytes = 8u << 20;
	t.pair.ready = ready;
	unit_run(1, start, NULL);
	assert_int_equal(t.released, 2);
	assert_int_equal(unit_fds(), fds);
}

/* --- orderly -------------------------------------------------------------------------------- */

static void ready_close_with_queue(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &take_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, t.bytes);
	net_stream_close(pair->client, gone);
}

static void test_close_sends_what_is_queued(void **state)
{
	(void)state;
	run_end(ready_close_with_queue);
	assert_int_equal(t.got, t.bytes);
	assert_int_equal(t.answered, t.bytes / 65536);
	assert_int_equal(t.cancelled, 0);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, 0);
}

static void ready_both_close(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &take_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, 100000);
	queue_bytes(pair->server, 100000);
	net_stream_close(pair->client, gone);
	net_stream_close(pair->server, gone);
}

static void test_both_ends_close(void **state)
{
	(void)state;
	run_end(ready_both_close);
	assert_int_equal(t.closes, 0);
	assert_int_equal(t.cancelled, 0);
}

static size_t close_inside(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	(void)data;
	if (t.abort_inside)
		net_stream_abort(stream, gone);
	else
		net_stream_close(stream, gone);
	return len / 2;
}

static const struct net_stream_ops inside_ops = { close_inside, closes };

static void ready_close_inside(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &inside_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	unit_send_pattern(pair->client, 0, 1000);
}

static void test_close_inside_data(void **state)
{
	(void)state;
	run_end(ready_close_inside);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, 0);
}

/* --- reset ---------------------------------------------------------------------------------- */

static void ready_abort_inside(struct unit_pair *pair)
{
	t.abort_inside = true;
	ready_close_inside(pair);
}

static void test_abort_inside_data(void **state)
{
	(void)state;
	run_end(ready_abort_inside);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, -ECONNRESET);
}

static void ready_abort_with_queue(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &lazy_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, t.bytes);
	net_stream_abort(pair->client, gone);
	net_stream_abort(pair->server, gone);
}

static void test_abort_answers_what_is_queued(void **state)
{
	(void)state;
	run_end(ready_abort_with_queue);
	assert_int_equal(t.answered, t.bytes / 65536);
	assert_true(t.cancelled > 0);
	assert_int_equal(t.closes, 0);
}

static struct reactor_timer late;

static void abort_late(struct reactor_timer *timer)
{
	(void)timer;
	net_stream_abort(t.pair.server, gone);
}

/* The sender finds out by a send or by receiving; all its sends are answered, and it is told. */
static void ready_reset_under_load(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &lazy_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, t.bytes);
	late = (struct reactor_timer){ .fn = abort_late };
	reactor_timer_start(&late, 20 * NS_PER_MSEC);
}

static void test_reset_while_sending(void **state)
{
	(void)state;
	run_end(ready_reset_under_load);
	assert_int_equal(t.answered, t.bytes / 65536);
	assert_true(t.cancelled > 0);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, -ECONNRESET);
}

/* --- while nothing is taken ----------------------------------------------------------------- */

static struct reactor_timer guard;

static void gives_up(struct reactor_timer *timer)
{
	(void)timer;
	reactor_system_stop();
}

static void client_leaves(struct reactor_timer *timer)
{
	(void)timer;
	if (t.abort_inside)
		net_stream_abort(t.pair.client, gone);
	else
		net_stream_close(t.pair.client, gone);
}

static void ready_leave_while_paused(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &lazy_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	unit_send_pattern(pair->client, 0, 1000);
	late = (struct reactor_timer){ .fn = client_leaves };
	reactor_timer_start(&late, 20 * NS_PER_MSEC);
	guard = (struct reactor_timer){ .fn = gives_up };
	reactor_timer_start(&guard, 10 * NS_PER_SEC);
}

static void ready_reset_while_paused(struct unit_pair *pair)
{
	t.abort_inside = true;
	ready_leave_while_paused(pair);
}

static void test_reset_is_noticed_while_paused(void **state)
{
	(void)state;
	run_end(ready_reset_while_paused);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, -ECONNRESET);
}

static struct reactor_timer taking;

static size_t takes_later(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	/* What has come before its time is up is not taken. */
	return reactor_timer_is_started(&taking) ? 0 : takes(stream, user, data, len);
}

static void take_now(struct reactor_timer *timer)
{
	(void)timer;
	assert_int_equal(t.closes, 0);
	net_stream_resume(t.pair.server);
}

static const struct net_stream_ops later_ops = { takes_later, closes };

static void ready_end_behind_bytes(struct unit_pair *pair)
{
	taking = (struct reactor_timer){ .fn = take_now };
	reactor_timer_start(&taking, 100 * NS_PER_MSEC);
	net_stream_attach(pair->server, &later_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	unit_send_pattern(pair->client, 0, 1000);
	late = (struct reactor_timer){ .fn = client_leaves };
	reactor_timer_start(&late, 20 * NS_PER_MSEC);
}

static void test_end_is_told_behind_bytes_that_waited(void **state)
{
	(void)state;
	run_end(ready_end_behind_bytes);
	assert_int_equal(t.got, 1000);
	assert_int_equal(t.closes, 1);
	assert_int_equal(t.reason, 0);
}

static void server_leaves(struct reactor_timer *timer)
{
	(void)timer;
	net_stream_close(t.pair.client, gone);
	net_stream_abort(t.pair.server, gone);
}

/* The stream goes while its socket is watched. */
static void ready_abort_while_paused(struct unit_pair *pair)
{
	ready_leave_while_paused(pair);
	late.fn = server_leaves;
}

static void test_abort_while_paused(void **state)
{
	(void)state;
	run_end(ready_abort_while_paused);
	assert_int_equal(t.got, 0);
}

/* --- a peer that does not follow ------------------------------------------------------------ */

static void first_gone(void *user)
{
	gone(user);
	net_stream_abort(t.pair.server, gone);
}

static void ready_peer_keeps_open(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &lazy_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, t.bytes);
	net_stream_close(pair->client, first_gone);
}

static void test_close_gives_up_on_a_peer_that_does_not_read(void **state)
{
	(void)state;
	run_end(ready_peer_keeps_open);
	assert_int_equal(t.answered, t.bytes / 65536);
	assert_true(t.cancelled > 0);
}

static void never(void *user)
{
	(void)user;
	fail_msg("an abort behind a close brings its own answer");
}

static void ready_close_then_abort(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &lazy_ops, NULL);
	net_stream_attach(pair->client, &take_ops, NULL);
	queue_bytes(pair->client, t.bytes);
	net_stream_close(pair->client, never);
	net_stream_abort(pair->client, first_gone);
}

static void test_abort_behind_a_close(void **state)
{
	(void)state;
	run_end(ready_close_then_abort);
	assert_int_equal(t.answered, t.bytes / 65536);
}

/* --- never attached ------------------------------------------------------------------------- */

static void ready_unattached(struct unit_pair *pair)
{
	net_stream_close(pair->client, gone);
	net_stream_abort(pair->server, gone);
}

static void test_streams_end_without_being_attached(void **state)
{
	(void)state;
	run_end(ready_unattached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_sends_what_is_queued),
		cmocka_unit_test(test_both_ends_close),
		cmocka_unit_test(test_close_inside_data),
		cmocka_unit_test(test_abort_inside_data),
		cmocka_unit_test(test_abort_answers_what_is_queued),
		cmocka_unit_test(test_reset_while_sending),
		cmocka_unit_test(test_reset_is_noticed_while_paused),
		cmocka_unit_test(test_end_is_told_behind_bytes_that_waited),
		cmocka_unit_test(test_abort_while_paused),
		cmocka_unit_test(test_close_gives_up_on_a_peer_that_does_not_read),
		cmocka_unit_test(test_abort_behind_a_close),
		cmocka_unit_test(test_streams_end_without_being_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every order of sending, reading, pausing, closing and aborting that chance finds: each send and
 * read is answered once, nobody is called behind the end, and what arrives is what was sent.
 */
#include "net_unit.h"

#include <errno.h>

#define ROUNDS 400u

struct end {
	struct net_stream *stream;
	struct reactor_timer acts;
	struct net_read read;
	struct iovec iov;
	uint8_t place[100000];
	size_t sent, got;
	unsigned int sends, answers;
	bool reading, paused, closed, ending, released;
	unsigned int steps;
};

static struct {
	struct unit_pair pair;
	struct end ends[2];
	struct reactor_msg again;
	unsigned int rounds;
} z;

/* Sealing and handshakes take their time. */
static unsigned int rounds(void)
{
	return unit_is_tls() ? ROUNDS / 8 : ROUNDS;
}

static void gone(void *user)
{
	struct end *e = user;

	assert_true(e->ending);
	assert_false(e->released);
	assert_int_equal(e->sends, e->answers);
	assert_false(e->reading);
	e->released = true;
	reactor_timer_stop(&e->acts);
	if (!z.ends[0].released || !z.ends[1].released)
		return;
	if (++z.rounds == rounds())
		reactor_system_stop();
	else
		reactor_defer(&z.again);
}

static void finish(struct end *e)
{
	if (e->ending)
		return;
	e->ending = true;
	if (unit_rand(2))
		net_stream_close(e->stream, gone);
	else
		net_stream_abort(e->stream, gone);
}

static void answered(void *arg, int result)
{
	struct end *e = arg;

	assert_false(e->released);
	assert_true(result <= 0);
	e->answers++;
	if (unit_rand(200) == 0)
		finish(e);
}

static void send_some(struct end *e)
{
	static uint8_t data[150000];
	size_t len = 1 + unit_rand(unit_rand(3) ? 300 : sizeof(data));

	for (size_t i = 0; i < len; i++)
		data[i] = unit_byte(e->sent + i);
	e->sent += len;
	e->sends++;
	unit_send(e->stream, data, len, answered, e);
}

static void was_read(struct net_read *read, int result)
{
	struct end *e = container_of(read, struct end, read);

	assert_true(e->reading);
	assert_false(e->released);
	e->reading = false;
	if (result < 0)
		return;
	assert_int_equal(read->filled, e->iov.iov_len);
	unit_check_pattern(e->place, e->got, e->iov.iov_len);
	e->got += e->iov.iov_len;
	if (unit_rand(100) == 0)
		finish(e);
}

static void read_some(struct end *e)
{
	e->iov = (struct iovec){ e->place, 1 + unit_rand(unit_rand(2) ? 100 : sizeof(e->place)) };
	e->read = (struct net_read){ .iov = &e->iov, .iovcnt = 1, .done = was_read };
	e->reading = true;
	e->paused = false;
	net_stream_read_into(e->stream, &e->read);
}

static size_t data_came(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	struct end *e = user;
	size_t take = unit_rand(4) ? len : unit_rand(len + 1);

	assert_ptr_equal(stream, e->stream);
	assert_false(e->ending || e->closed || e->reading);
	unit_check_pattern(data, e->got, take);
	e->got += take;
	if (unit_rand(150) == 0) {
		finish(e);
		return take;
	}
	if (unit_rand(3) == 0)
		read_some(e);
	else if (take < len)
		e->paused = true;
	if (unit_rand(4) == 0)
		send_some(e);
	return take;
}

static void was_closed(struct net_stream *stream, void *user, int reason)
{
	struct end *e = user;

	(void)stream;
	(void)reason;
	assert_false(e->ending || e->closed || e->reading);
	e->closed = true;
	if (unit_rand(2))
		finish(e);
}

static const struct net_stream_ops ops = { data_came, was_closed };

static void act(struct reactor_timer *timer)
{
	struct end *e = container_of(timer, struct end, acts);

	if (e->ending)
		return;
	if (++e->steps > 60 || unit_rand(80) == 0) {
		finish(e);
		return;
	}
	if (e->paused && unit_rand(2)) {
		e->paused = false;
		if (unit_rand(2) && !e->closed)
			read_some(e);
		else
			net_stream_resume(e->stream);
	}
	for (size_t i = unit_rand(4); i > 0; i--)
		send_some(e);
	reactor_timer_start(timer, unit_rand(100000));
}

static void ready(struct unit_pair *pair)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct end *e = &z.ends[i];

		memset(e, 0, sizeof(*e));
		e->stream = i ? pair->server : pair->client;
		e->acts.fn = act;
		net_stream_attach(e->stream, &ops, e);
		reactor_timer_start(&e->acts, unit_rand(50000));
	}
}

static void again(struct reactor_msg *msg)
{
	(void)msg;
	unit_pair_start(&z.pair);
}

static void start(void *arg)
{
	(void)arg;
	z.again.fn = again;
	z.pair.ready = ready;
	unit_pair_start(&z.pair);
}

static void run_fuzz(void **state)
{
	unsigned int fds = unit_fds();
	const char *seed = getenv("CYBORG_SPDK_SEED");

	(void)state;
	memset(&z, 0, sizeof(z));
	srand(seed ? (unsigned int)atoi(seed) : 1);
	unit_run(1, start, NULL);
	assert_int_equal(z.rounds, rounds());
	assert_int_equal(unit_fds(), fds);
}

static void test_any_order_of_events(void **state)
{
	run_fuzz(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order_of_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

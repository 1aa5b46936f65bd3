/* SPDX-License-Identifier: Apache-2.0 */
/* A thousand connections, half of them broken at random points: nothing stays behind. */
#include "net_unit.h"

#include <errno.h>

#include "base/clock.h"

#define TOTAL	 1000u
#define PARALLEL 50u

struct client {
	struct net_connect connect;
	struct net_stream *stream;
	struct reactor_timer breaks;
	size_t sent, back, want;
	bool broken;
	bool over;
};

static struct {
	struct net_listener *listener;
	struct net_addr addr;
	struct client clients[PARALLEL];
	unsigned int begun, ended, served, broken, whole;
} m;

static void client_begin(struct client *cl);

static void listener_gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

static void check_over(void)
{
	if (m.ended == TOTAL && m.served == TOTAL)
		net_listener_close(m.listener, listener_gone);
}

/* --- server --------------------------------------------------------------------------------- */

static void served(void *user)
{
	(void)user;
	m.served++;
	check_over();
}

static size_t server_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	unit_send(stream, data, len, NULL, NULL);
	return len;
}

static void server_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	if (reason == 0)
		net_stream_close(stream, served);
	else
		net_stream_abort(stream, served);
}

static const struct net_stream_ops server_ops = { server_data, server_closed };

static void accepted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	(void)listener;
	(void)user;
	net_stream_attach(stream, &server_ops, NULL);
}

/* --- client --------------------------------------------------------------------------------- */

static void client_gone(void *user)
{
	struct client *cl = user;

	m.ended++;
	if (cl->broken)
		m.broken++;
	else
		m.whole++;
	if (m.begun < TOTAL)
		client_begin(cl);
	check_over();
}

static void client_break(struct reactor_timer *timer)
{
	struct client *cl = container_of(timer, struct client, breaks);

	if (cl->over)
		return;
	cl->over = true;
	net_stream_abort(cl->stream, client_gone);
}

static size_t client_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	struct client *cl = user;

	unit_check_pattern(data, cl->back, len);
	cl->back += len;
	if (cl->back < cl->want || cl->over)
		return len;
	cl->over = true;
	reactor_timer_stop(&cl->breaks);
	if (cl->broken)
		net_stream_abort(stream, client_gone);
	else
		net_stream_close(stream, client_gone);
	return len;
}

static void client_closed(struct net_stream *stream, void *user, int reason)
{
	(void)stream;
	(void)user;
	fail_msg("the server hung up: %d", reason);
}

static const struct net_stream_ops client_ops = { client_data, client_closed };

static void connected(struct net_connect *connect, int result)
{
	struct client *cl = container_of(connect, struct client, connect);

	assert_int_equal(result, 0);
	cl->stream = connect->stream;
	net_stream_attach(cl->stream, &client_ops, cl);
	unit_send_pattern(cl->stream, 0, cl->want);
	if (cl->broken)
		reactor_timer_start(&cl->breaks, unit_rand(2 * NS_PER_MSEC));
}

static void client_begin(struct client *cl)
{
	memset(cl, 0, sizeof(*cl));
	cl->broken = m.begun++ % 2 == 0;
	cl->want = 1 + unit_rand(300000);
	cl->breaks.fn = client_break;
	cl->connect.addr = m.addr;
	cl->connect.timeout_ms = 20000;
	cl->connect.done = connected;
	net_connect_start(&cl->connect);
}

static void start(void *arg)
{
	(void)arg;
	m.listener = unit_listen(accepted, NULL, &m.addr);
	for (unsigned int i = 0; i < PARALLEL; i++)
		client_begin(&m.clients[i]);
}

static void test_a_thousand_connections_leave_nothing(void **state)
{
	unsigned int fds = unit_fds();

	(void)state;
	memset(&m, 0, sizeof(m));
	unit_run(1, start, NULL);
	assert_int_equal(m.broken, TOTAL / 2);
	assert_int_equal(m.whole, TOTAL / 2);
	assert_int_equal(unit_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thousand_connections_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

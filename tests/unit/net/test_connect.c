/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: refused, too late, cancelled, from a given source, IPv6. */
#include "net_unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct net_connect connect;
	struct net_listener *listener;
	struct net_addr peer;
	int result;
	unsigned int calls;
	bool inside;
	bool cancel;
	bool linger; /* stop only when the accepted end is gone */
} c;

static void gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

static void done(struct net_connect *connect, int result)
{
	assert_false(c.inside);
	c.calls++;
	c.result = result;
	if (result == 0) {
		assert_non_null(connect->stream);
		net_stream_abort(connect->stream, c.linger ? NULL : gone);
	} else {
		assert_null(connect->stream);
		reactor_system_stop();
	}
}

static void start_connect(void *arg)
{
	(void)arg;
	c.connect.done = done;
	if (c.connect.timeout_ms == 0)
		c.connect.timeout_ms = 10000;
	c.inside = true;
	net_connect_start(&c.connect);
	if (c.cancel) {
		net_connect_cancel(&c.connect);
		net_connect_cancel(&c.connect);
	}
	c.inside = false;
}

static void run_connect(void)
{
	unsigned int fds = unit_fds();

	unit_run(1, start_connect, NULL);
	assert_int_equal(c.calls, 1);
	assert_int_equal(unit_fds(), fds);
}

/* --- refusals ------------------------------------------------------------------------------- */

/* A port that nobody listens on: bound, and not listening. */
static int closed_port(struct net_addr *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(net_addr_parse(addr, "127.0.0.1", "0", NULL), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr->ss, addr->len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr->ss, &addr->len), 0);
	return fd;
}

static void test_refused(void **state)
{
	int fd;

	(void)state;
	memset(&c, 0, sizeof(c));
	fd = closed_port(&c.connect.addr);
	run_connect();
	assert_int_equal(c.result, -ECONNREFUSED);
	close(fd);
}

static void test_source_that_is_not_ours(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	net_addr_parse(&c.connect.addr, "127.0.0.1", "9", NULL);
	net_addr_parse(&c.connect.source, "192.0.2.1", "0", NULL);
	c.connect.has_source = true;
	run_connect();
	assert_int_equal(c.result, -EADDRNOTAVAIL);
}

/* A listener whose backlog is full answers nothing: the peer's SYN is dropped. */
static int deaf_port(struct net_addr *addr, int *clients, unsigned int count)
{
	int fd = closed_port(addr);

	assert_int_equal(listen(fd, 0), 0);
	for (unsigned int i = 0; i < count; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(clients[i], (struct sockaddr *)&addr->ss, addr->len);
	}
	return fd;
}

static void run_deaf(void)
{
	int clients[4];
	int fd = deaf_port(&c.connect.addr, clients, 4);

	run_connect();
	close(fd);
	for (unsigned int i = 0; i < 4; i++)
		close(clients[i]);
}

static void test_timeout(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	c.connect.timeout_ms = 50;
	run_deaf();
	assert_int_equal(c.result, -ETIMEDOUT);
}

static void test_cancel(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	c.cancel = true;
	run_deaf();
	assert_int_equal(c.result, -ECANCELED);
}

/* --- success -------------------------------------------------------------------------------- */

static void listener_gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

static void accepted_gone(void *user)
{
	(void)user;
	net_listener_close(c.listener, listener_gone);
}

static void accepted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	(void)listener;
	(void)user;
	net_stream_peer_addr(stream, &c.peer);
	net_stream_abort(stream, accepted_gone);
}

static void start_with_listener(void *arg)
{
	const char *host = arg;
	struct error err = ERROR_INIT;

	net_addr_parse(&c.connect.addr, host, "0", NULL);
	if (net_listen(&c.connect.addr, 16, accepted, NULL, &c.listener, &err) < 0)
		fail_msg("%s", err.text);
	net_listener_addr(c.listener, &c.connect.addr);
	assert_true(net_addr_port(&c.connect.addr) > 0);
	start_connect(NULL);
}

static void run_to_listener(const char *host)
{
	static char text[NET_ADDR_TEXT];
	unsigned int fds = unit_fds();

	c.linger = true;
	snprintf(text, sizeof(text), "%s", host);
	unit_run(1, start_with_listener, text);
	assert_int_equal(c.calls, 1);
	assert_int_equal(c.result, 0);
	assert_int_equal(unit_fds(), fds);
}

static void test_source_is_used(void **state)
{
	char host[NET_ADDR_TEXT];

	(void)state;
	memset(&c, 0, sizeof(c));
	net_addr_parse(&c.connect.source, "127.0.0.7", "0", NULL);
	c.connect.has_source = true;
	run_to_listener("127.0.0.1");
	net_addr_host(&c.peer, host, sizeof(host));
	assert_string_equal(host, "127.0.0.7");
}

static void test_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_addr addr;
	char host[NET_ADDR_TEXT];
	bool have;

	(void)state;
	net_addr_parse(&addr, "::1", "0", NULL);
	have = fd >= 0 && bind(fd, (struct sockaddr *)&addr.ss, addr.len) == 0;
	if (fd >= 0)
		close(fd);
	if (!have) {
		print_message("no IPv6 here\n");
		skip();
	}
	memset(&c, 0, sizeof(c));
	run_to_listener("::1");
	net_addr_host(&c.peer, host, sizeof(host));
	assert_string_equal(host, "::1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_source_that_is_not_ours),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_source_is_used),
		cmocka_unit_test(test_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

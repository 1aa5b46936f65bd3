/* SPDX-License-Identifier: Apache-2.0 */
/* Listening: refusals, no descriptors left, IPv6 beside IPv4, closing under load. */
#include "net_unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static void unwanted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	(void)listener;
	(void)user;
	net_stream_abort(stream, NULL);
}

static void gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

/* --- refusals ------------------------------------------------------------------------------- */

static void assert_refused(const struct net_addr *addr, int code, const char *part)
{
	struct net_listener *listener = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(net_listen(addr, 16, unwanted, NULL, &listener, &err), code);
	assert_text_has(err.text, part);
	assert_null(listener);
}

static void start_refusals(void *arg)
{
	struct net_listener *listener;
	struct net_addr addr;
	char text[NET_ADDR_TEXT];

	(void)arg;
	listener = unit_listen(unwanted, NULL, &addr);
	net_addr_text(&addr, text, sizeof(text));
	assert_refused(&addr, -EADDRINUSE, text);
	assert_refused(&addr, -EADDRINUSE, "choose another port");
	net_addr_parse(&addr, "192.0.2.1", "0", NULL);
	assert_refused(&addr, -EADDRNOTAVAIL, "no interface of this machine");
	net_listener_close(listener, gone);
}

static void test_listen_refusals(void **state)
{
	unsigned int fds = unit_fds();

	(void)state;
	unit_run(1, start_refusals, NULL);
	assert_int_equal(unit_fds(), fds);
}

/* --- IPv6 is not IPv4 ----------------------------------------------------------------------- */

static struct net_listener *second;

static void first_gone(void *user)
{
	(void)user;
	net_listener_close(second, gone);
}

static void start_both(void *arg)
{
	struct net_listener *first;
	struct error err = ERROR_INIT;
	struct net_addr addr;
	char port[8];

	(void)arg;
	net_addr_parse(&addr, "::", "0", NULL);
	if (net_listen(&addr, 16, unwanted, NULL, &first, &err) < 0) {
		print_message("no IPv6 here: %s\n", err.text);
		reactor_system_stop();
		return;
	}
	net_listener_addr(first, &addr);
	snprintf(port, sizeof(port), "%u", net_addr_port(&addr));
	net_addr_parse(&addr, "0.0.0.0", port, NULL);
	if (net_listen(&addr, 16, unwanted, NULL, &second, &err) < 0)
		fail_msg("%s", err.text);
	net_listener_close(first, first_gone);
}

static void test_any_addresses_of_both_families_on_one_port(void **state)
{
	(void)state;
	unit_run(1, start_both, NULL);
}

/* --- no descriptors left -------------------------------------------------------------------- */

static struct {
	struct net_listener *listener;
	struct net_addr addr;
	struct rlimit limit;
	struct reactor_timer timer;
	int clients[3];
	unsigned int accepted;
} full;

static void full_gone(void *user)
{
	(void)user;
	net_listener_close(full.listener, gone);
}

static void full_accepted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	(void)listener;
	(void)user;
	full.accepted++;
	net_stream_abort(stream, full_gone);
}

static int full_client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&full.addr.ss, full.addr.len), 0);
	return fd;
}

/* They are hung up on rather than left waiting; then there is room again. */
static void full_look(struct reactor_timer *timer)
{
	char byte;

	for (int i = 0; i < 2; i++) {
		ssize_t n = recv(full.clients[i], &byte, 1, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			reactor_timer_start(timer, 10 * NS_PER_MSEC);
			return;
		}
	}
	assert_int_equal(full.accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full.limit), 0);
	full.clients[2] = full_client();
}

static void full_start(void *arg)
{
	struct rlimit none;

	(void)arg;
	full.listener = unit_listen(full_accepted, NULL, &full.addr);
	full.clients[0] = full_client();
	full.clients[1] = full_client();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &full.limit), 0);
	none = full.limit;
	/* The reserve's own number stays usable. */
	none.rlim_cur = (rlim_t)full.clients[0];
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	full.timer.fn = full_look;
	reactor_timer_start(&full.timer, 10 * NS_PER_MSEC);
}

static void test_no_descriptor_left(void **state)
{
	(void)state;
	memset(&full, 0, sizeof(full));
	unit_run(1, full_start, NULL);
	assert_int_equal(full.accepted, 1);
	for (int i = 0; i < 3; i++)
		close(full.clients[i]);
}

/* --- closing under load --------------------------------------------------------------------- */

static struct {
	struct net_listener *listener;
	struct net_addr addr;
	int clients[64];
	unsigned int accepted;
	bool closed;
} load;

static void load_accepted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	(void)user;
	assert_false(load.closed);
	net_stream_abort(stream, NULL);
	if (++load.accepted == 10) {
		load.closed = true;
		net_listener_close(listener, gone);
	}
}

static void load_start(void *arg)
{
	(void)arg;
	load.listener = unit_listen(load_accepted, NULL, &load.addr);
	for (unsigned int i = 0; i < 64; i++) {
		load.clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
			connect(load.clients[i], (struct sockaddr *)&load.addr.ss, load.addr.len),
			0);
	}
}

static void test_listener_closes_while_peers_wait(void **state)
{
	(void)state;
	memset(&load, 0, sizeof(load));
	unit_run(1, load_start, NULL);
	assert_int_equal(load.accepted, 10);
	for (unsigned int i = 0; i < 64; i++)
		close(load.clients[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen_refusals),
		cmocka_unit_test(test_any_addresses_of_both_families_on_one_port),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_listener_closes_while_peers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

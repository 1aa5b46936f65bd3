/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets and descriptors to watch: repeated receive and accept, single operations, cancellation.
 */
#include "reactor_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* --- receive, stop, start again, end -------------------------------------------------------- */

struct receiving {
	struct reactor_recv recv;
	struct reactor_timer timer;
	int pair[2];
	uint8_t got[64];
	size_t len;
	unsigned int stops;
	bool stopped;
	bool ended;
};

static struct receiving rx;

static void put(const char *text)
{
	assert_int_equal(write(rx.pair[1], text, strlen(text)), strlen(text));
}

static void rx_data(struct reactor_recv *recv, void *buffer, int32_t len)
{
	assert_ptr_equal(recv, &rx.recv);
	assert_false(rx.stopped);
	if (len == 0) {
		assert_null(buffer);
		rx.ended = true;
		reactor_system_stop();
		return;
	}
	assert_true(len > 0 && rx.len + (size_t)len <= sizeof(rx.got));
	memcpy(rx.got + rx.len, buffer, (size_t)len);
	rx.len += (size_t)len;
	reactor_recv_release(buffer);
}

static void rx_go_on(struct reactor_timer *timer)
{
	(void)timer;
	/* What came meanwhile has waited in the socket. */
	assert_int_equal(rx.len, 3);
	rx.stopped = false;
	reactor_recv_start(&rx.recv, rx.pair[0]);
	assert_int_equal(shutdown(rx.pair[1], SHUT_WR), 0);
}

static void rx_stopped(struct reactor_recv *recv)
{
	(void)recv;
	rx.stops++;
	rx.stopped = true;
	put("def");
	rx.timer.fn = rx_go_on;
	reactor_timer_start(&rx.timer, 2000000);
}

static void rx_stop(struct reactor_timer *timer)
{
	(void)timer;
	assert_int_equal(rx.len, 3);
	reactor_recv_stop(&rx.recv, rx_stopped);
	assert_int_equal(rx.stops, 0);
}

static void rx_start(void *arg)
{
	(void)arg;
	rx.recv.data = rx_data;
	reactor_recv_start(&rx.recv, rx.pair[0]);
	put("abc");
	rx.timer.fn = rx_stop;
	reactor_timer_start(&rx.timer, 2000000);
}

static void pair_make(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
}

static void test_receive_stops_and_starts(void **state)
{
	(void)state;
	memset(&rx, 0, sizeof(rx));
	pair_make(rx.pair);
	unit_run(1, rx_start, NULL);
	assert_int_equal(rx.stops, 1);
	assert_true(rx.ended);
	assert_int_equal(rx.len, 6);
	assert_memory_equal(rx.got, "abcdef", 6);
	close(rx.pair[0]);
	close(rx.pair[1]);
}

/* --- a consumer that keeps all buffers ------------------------------------------------------ */

#define HOARD 700u /* more than there are */

struct hoarder {
	struct reactor_recv recv;
	struct reactor_timer timer;
	int pair[2];
	void *buffers[HOARD];
	unsigned int kept;
	unsigned int seen;
	bool generous;
};

static struct hoarder hoard;

/* One byte, and the next when it has come: so each takes a buffer. */
static void hoard_feed(void)
{
	uint8_t byte = (uint8_t)(hoard.seen & 0xff);

	assert_int_equal(write(hoard.pair[1], &byte, 1), 1);
}

static void hoard_release(struct reactor_timer *timer)
{
	hoard.generous = true;
	for (unsigned int i = 0; i < hoard.kept; i++)
		reactor_recv_release(hoard.buffers[i]);
	hoard.kept = 0;
	(void)timer;
}

static void hoard_data(struct reactor_recv *recv, void *buffer, int32_t len)
{
	(void)recv;
	assert_int_equal(len, 1);
	assert_int_equal(*(uint8_t *)buffer, hoard.seen & 0xff);
	if (++hoard.seen == HOARD) {
		reactor_recv_release(buffer);
		reactor_system_stop();
		return;
	}
	if (hoard.generous)
		reactor_recv_release(buffer);
	else
		hoard.buffers[hoard.kept++] = buffer;
	hoard_feed();
}

static void hoard_start(void *arg)
{
	(void)arg;
	hoard.recv.data = hoard_data;
	reactor_recv_start(&hoard.recv, hoard.pair[0]);
	hoard_feed();
	hoard.timer.fn = hoard_release;
	reactor_timer_start(&hoard.timer, 300000000);
}

static void test_receive_goes_on_when_a_buffer_is_released(void **state)
{
	(void)state;
	memset(&hoard, 0, sizeof(hoard));
	pair_make(hoard.pair);
	unit_run(1, hoard_start, NULL);
	assert_true(hoard.generous);
	assert_int_equal(hoard.seen, HOARD);
	close(hoard.pair[0]);
	close(hoard.pair[1]);
}

/* --- accept --------------------------------------------------------------------------------- */

#define CLIENTS 50u

struct accepting {
	struct reactor_accept accept;
	struct reactor_timer timer;
	int fd;
	struct sockaddr_in addr;
	int clients[CLIENTS];
	int accepted[CLIENTS];
	unsigned int count;
	unsigned int refused;
	struct rlimit limit;
};

static struct accepting ac;

static void listen_make(void)
{
	socklen_t len = sizeof(ac.addr);

	memset(&ac, 0, sizeof(ac));
	ac.addr.sin_family = AF_INET;
	ac.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ac.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(ac.fd >= 0);
	assert_int_equal(bind(ac.fd, (struct sockaddr *)&ac.addr, sizeof(ac.addr)), 0);
	assert_int_equal(listen(ac.fd, 128), 0);
	assert_int_equal(getsockname(ac.fd, (struct sockaddr *)&ac.addr, &len), 0);
}

static int client_make(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ac.addr, sizeof(ac.addr)), 0);
	return fd;
}

static void ac_stopped(struct reactor_accept *accept)
{
	(void)accept;
	reactor_system_stop();
}

static void ac_accepted(struct reactor_accept *accept, int32_t fd)
{
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ac.accepted[ac.count++] = fd;
	if (ac.count == CLIENTS)
		reactor_accept_stop(accept, ac_stopped);
}

static void ac_start(void *arg)
{
	(void)arg;
	ac.accept.accepted = ac_accepted;
	reactor_accept_start(&ac.accept, ac.fd);
	for (unsigned int i = 0; i < CLIENTS; i++)
		ac.clients[i] = client_make();
}

static void test_accept_many(void **state)
{
	unsigned int fds = unit_fds();

	(void)state;
	listen_make();
	unit_run(1, ac_start, NULL);
	assert_int_equal(ac.count, CLIENTS);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		close(ac.clients[i]);
		close(ac.accepted[i]);
	}
	close(ac.fd);
	assert_int_equal(unit_fds(), fds);
}

static void ac_refused_or_accepted(struct reactor_accept *accept, int32_t fd)
{
	if (fd < 0) {
		assert_int_equal(fd, -EMFILE);
		ac.refused++;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &ac.limit), 0);
		return;
	}
	ac.accepted[0] = fd;
	reactor_accept_stop(accept, ac_stopped);
}

static void ac_start_full(void *arg)
{
	struct rlimit none;

	(void)arg;
	ac.accept.accepted = ac_refused_or_accepted;
	reactor_accept_start(&ac.accept, ac.fd);
	ac.clients[0] = client_make();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &ac.limit), 0);
	none = ac.limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void test_accept_tries_again_without_descriptors(void **state)
{
	(void)state;
	listen_make();
	unit_run(1, ac_start_full, NULL);
	assert_int_equal(ac.refused, 1);
	close(ac.clients[0]);
	close(ac.accepted[0]);
	close(ac.fd);
}

/* --- single operations ---------------------------------------------------------------------- */

#define BULK (1u << 20)

struct single {
	struct reactor_io poll, recv, send, cancelled;
	struct msghdr in, out;
	struct iovec in_iov[3], out_iov[1];
	uint8_t *from, *to;
	size_t sent;
	unsigned int left;
	int pair[2];
	int idle[2];
};

static struct single one;

static void one_over(void)
{
	if (--one.left == 0)
		reactor_system_stop();
}

static void poll_done(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_true(result & POLLIN);
	one_over();
}

static void recv_done(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, BULK);
	assert_memory_equal(one.from, one.to, BULK);
	one_over();
}

static void send_done(struct reactor_io *io, int32_t result)
{
	assert_true(result > 0);
	one.sent += (size_t)result;
	if (one.sent == BULK) {
		one_over();
		return;
	}
	one.out_iov[0].iov_base = one.from + one.sent;
	one.out_iov[0].iov_len = BULK - one.sent;
	reactor_io_sendmsg(io, one.pair[1], &one.out);
}

static void cancel_done(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, -ECANCELED);
	one_over();
}

static void one_start(void *arg)
{
	(void)arg;
	one.left = 4;
	one.poll.done = poll_done;
	reactor_io_poll(&one.poll, one.idle[1], POLLIN);
	assert_int_equal(write(one.idle[0], "x", 1), 1);
	one.in_iov[0] = (struct iovec){ one.to, 1 };
	one.in_iov[1] = (struct iovec){ one.to + 1, BULK / 2 };
	one.in_iov[2] = (struct iovec){ one.to + 1 + BULK / 2, BULK / 2 - 1 };
	one.in = (struct msghdr){ .msg_iov = one.in_iov, .msg_iovlen = 3 };
	one.recv.done = recv_done;
	reactor_io_recvmsg(&one.recv, one.pair[0], &one.in, MSG_WAITALL);
	one.out_iov[0] = (struct iovec){ one.from, BULK };
	one.out = (struct msghdr){ .msg_iov = one.out_iov, .msg_iovlen = 1 };
	one.send.done = send_done;
	reactor_io_sendmsg(&one.send, one.pair[1], &one.out);
	one.cancelled.done = cancel_done;
	reactor_io_poll(&one.cancelled, one.idle[0], POLLIN);
	reactor_io_cancel(&one.cancelled);
}

static void test_single_operations(void **state)
{
	(void)state;
	memset(&one, 0, sizeof(one));
	pair_make(one.pair);
	pair_make(one.idle);
	one.from = malloc(BULK);
	one.to = calloc(1, BULK);
	assert_non_null(one.from);
	assert_non_null(one.to);
	for (size_t i = 0; i < BULK; i++)
		one.from[i] = (uint8_t)(i * 13 >> 3);
	unit_run(1, one_start, NULL);
	for (int i = 0; i < 2; i++) {
		close(one.pair[i]);
		close(one.idle[i]);
	}
	free(one.from);
	free(one.to);
}

/* --- cancelling what has begun -------------------------------------------------------------- */

static void partial_done(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, 5);
	reactor_system_stop();
}

static void partial_cancel(struct reactor_timer *timer)
{
	(void)timer;
	reactor_io_cancel(&one.recv);
}

static struct reactor_timer partial_timer;

static void partial_start(void *arg)
{
	(void)arg;
	one.in_iov[0] = (struct iovec){ one.to, 100 };
	one.in = (struct msghdr){ .msg_iov = one.in_iov, .msg_iovlen = 1 };
	one.recv.done = partial_done;
	reactor_io_recvmsg(&one.recv, one.pair[0], &one.in, MSG_WAITALL);
	assert_int_equal(write(one.pair[1], "hello", 5), 5);
	partial_timer = (struct reactor_timer){ .fn = partial_cancel };
	reactor_timer_start(&partial_timer, 2000000);
}

static void test_cancelled_receive_tells_what_it_has(void **state)
{
	uint8_t to[100];

	(void)state;
	memset(&one, 0, sizeof(one));
	pair_make(one.pair);
	one.to = to;
	unit_run(1, partial_start, NULL);
	assert_memory_equal(to, "hello", 5);
	close(one.pair[0]);
	close(one.pair[1]);
}

/* --- a number that becomes another file ----------------------------------------------------- */

#define REUSES 20u

struct reuse {
	struct reactor_io io;
	int pair[2];
	unsigned int rounds;
};

static struct reuse reuse;

/* Closed and opened again within the turn, mostly under the same number. */
static void reuse_done(struct reactor_io *io, int32_t result)
{
	assert_true(result & POLLIN);
	close(reuse.pair[0]);
	close(reuse.pair[1]);
	if (++reuse.rounds == REUSES) {
		reactor_system_stop();
		return;
	}
	pair_make(reuse.pair);
	assert_int_equal(write(reuse.pair[1], "x", 1), 1);
	reactor_io_poll(io, reuse.pair[0], POLLIN);
}

static void reuse_start(void *arg)
{
	(void)arg;
	reuse.io.done = reuse_done;
	assert_int_equal(write(reuse.pair[1], "x", 1), 1);
	reactor_io_poll(&reuse.io, reuse.pair[0], POLLIN);
}

static void test_descriptor_number_is_used_again(void **state)
{
	(void)state;
	memset(&reuse, 0, sizeof(reuse));
	pair_make(reuse.pair);
	unit_run(1, reuse_start, NULL);
	assert_int_equal(reuse.rounds, REUSES);
}

/* --- connect -------------------------------------------------------------------------------- */

static void refused(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, -ECONNREFUSED);
	reactor_system_stop();
}

static void connected(struct reactor_io *io, int32_t result)
{
	assert_int_equal(result, 0);
	close(ac.fd);
	close(ac.clients[0]);
	ac.clients[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	io->done = refused;
	reactor_io_connect(io, ac.clients[0], (struct sockaddr *)&ac.addr, sizeof(ac.addr));
}

static void connect_start(void *arg)
{
	(void)arg;
	ac.clients[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	one.send.done = connected;
	reactor_io_connect(&one.send, ac.clients[0], (struct sockaddr *)&ac.addr, sizeof(ac.addr));
}

static void test_connect_and_refusal(void **state)
{
	(void)state;
	listen_make();
	unit_run(1, connect_start, NULL);
	close(ac.clients[0]);
}

/* --- a file that is always ready ------------------------------------------------------------ */

static void file_ready(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, POLLIN);
	reactor_system_stop();
}

static void file_poll_start(void *arg)
{
	one.poll.done = file_ready;
	reactor_io_poll(&one.poll, *(int *)arg, POLLIN);
}

static void test_regular_file_is_always_ready(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	unit_run(1, file_poll_start, &fd);
	close(fd);
}

/* --- what cannot be watched ------------------------------------------------------------------ */

static struct {
	int fd;
	struct reactor_recv recv;
	struct reactor_timer start, late;
	struct reactor_msg msg;
	bool was_late;
} file_recv;

static void file_recv_followed(struct reactor_msg *msg)
{
	(void)msg;
	reactor_system_stop();
}

static void file_recv_ended(struct reactor_recv *recv, void *buffer, int32_t len)
{
	(void)recv;
	assert_null(buffer);
	assert_true(len < 0);
	file_recv.msg.fn = file_recv_followed;
	reactor_defer(&file_recv.msg);
}

static void file_recv_late(struct reactor_timer *timer)
{
	(void)timer;
	file_recv.was_late = true;
	reactor_system_stop();
}

/* From a timer, behind which an idle reactor goes to sleep at once. */
static void file_recv_begin(struct reactor_timer *timer)
{
	(void)timer;
	file_recv.recv.data = file_recv_ended;
	reactor_recv_start(&file_recv.recv, file_recv.fd);
	file_recv.late.fn = file_recv_late;
	reactor_timer_start(&file_recv.late, 5 * NS_PER_SEC);
}

static void file_recv_start(void *arg)
{
	(void)arg;
	file_recv.start.fn = file_recv_begin;
	reactor_timer_start(&file_recv.start, 20 * NS_PER_MSEC);
}

static void test_refused_receive_lets_nobody_sleep(void **state)
{
	(void)state;
	memset(&file_recv, 0, sizeof(file_recv));
	file_recv.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(file_recv.fd >= 0);
	unit_run(1, file_recv_start, NULL);
	assert_false(file_recv.was_late);
	close(file_recv.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receive_stops_and_starts),
		cmocka_unit_test(test_receive_goes_on_when_a_buffer_is_released),
		cmocka_unit_test(test_accept_many),
		cmocka_unit_test(test_accept_tries_again_without_descriptors),
		cmocka_unit_test(test_single_operations),
		cmocka_unit_test(test_cancelled_receive_tells_what_it_has),
		cmocka_unit_test(test_descriptor_number_is_used_again),
		cmocka_unit_test(test_connect_and_refusal),
		cmocka_unit_test(test_regular_file_is_always_ready),
		cmocka_unit_test(test_refused_receive_lets_nobody_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

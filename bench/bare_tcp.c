/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVMe/TCP reads cost at least over kernel sockets: a server and a client that move the same
 * bytes as a 4 KiB read (72 to the server, 24 + 4096 back, from a random place in a little memory)
 * and do nothing else. Both spin on non-blocking sockets, each on a core of its own; whatever came
 * in one receive is answered by one gathered send.
 *
 *   bare_tcp DEPTH SECONDS SERVER-CORE CLIENT-CORE [COUNT]
 *
 * With COUNT the client stops after so many requests. Prints one JSON object.
 *
 * Threading: two processes of one thread each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUEST	   72u
#define HEADER	   24u
#define BLOCK	   4096u
#define RESPONSE   (HEADER + BLOCK)
#define BLOCKS	   256u /* 1 MiB, as the target has in the comparison: the caches hold it */
#define DEPTH_MAX  1024u
#define RECEIVE	   (256u * 1024)
#define SAMPLES	   (1u << 22)
#define GATHER_MAX (IOV_MAX / 2)

/* What the server tells the client's process when it ends. */
struct shared {
	uint64_t server_cpu_ns;
};

static struct shared *shared;
static uint8_t receive_buffer[RECEIVE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (core >= 0 && sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

static void set_up(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("TCP_NODELAY");
}

/* The gathered send of a whole batch, spinning while the socket is full. */
static void send_all(int fd, struct iovec *iov, size_t count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };

	while (msg.msg_iovlen) {
		ssize_t n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("sendmsg");
		while (n > 0 && msg.msg_iovlen && (size_t)n >= msg.msg_iov->iov_len) {
			n -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (n > 0) {
			msg.msg_iov->iov_base = (uint8_t *)msg.msg_iov->iov_base + n;
			msg.msg_iov->iov_len -= (size_t)n;
		}
	}
}

/* Bytes that came; 0 when none did; -1 at the end of the stream. */
static ssize_t receive(int fd, void *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);

	if (n > 0)
		return n;
	if (n == 0 || errno == ECONNRESET)
		return -1;
	if (errno != EAGAIN)
		die("recv");
	return 0;
}

/* --- server ----------------------------------------------------------------------------------- */

static void answer(int fd, const uint8_t *requests, size_t count, uint8_t *memory)
{
	static uint8_t headers[GATHER_MAX][HEADER];
	static struct iovec iov[2 * GATHER_MAX];

	for (size_t i = 0; i < count; i++) {
		uint32_t block;

		memcpy(&block, requests + i * REQUEST, sizeof(block));
		memcpy(headers[i], requests + i * REQUEST, HEADER);
		iov[2 * i] = (struct iovec){ headers[i], HEADER };
		iov[2 * i + 1] = (struct iovec){ memory + (size_t)(block % BLOCKS) * BLOCK, BLOCK };
	}
	send_all(fd, iov, 2 * count);
}

static void server(int listener, int core)
{
	uint8_t *memory = malloc((size_t)BLOCKS * BLOCK);
	size_t have = 0;
	int fd = accept(listener, NULL, NULL);
	uint64_t cpu;

	if (fd < 0 || !memory)
		die("accept");
	memset(memory, 0x5a, (size_t)BLOCKS * BLOCK);
	set_up(fd);
	pin(core);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (;;) {
		ssize_t n = receive(fd, receive_buffer + have, GATHER_MAX * REQUEST - have);
		size_t count;

		if (n < 0)
			break;
		have += (size_t)n;
		count = have / REQUEST;
		if (count == 0)
			continue;
		answer(fd, receive_buffer, count, memory);
		have -= count * REQUEST;
		memmove(receive_buffer, receive_buffer + count * REQUEST, have);
	}
	shared->server_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	exit(0);
}

/* --- client ----------------------------------------------------------------------------------- */

struct client {
	int fd;
	uint32_t depth;
	uint64_t random;
	uint64_t done, limit, end_ns;
	uint64_t *samples; /* of round trips at depth 1 */
	uint64_t sent_ns;
};

static void ask(struct client *c, size_t count)
{
	static uint8_t requests[DEPTH_MAX][REQUEST];
	struct iovec iov = { requests, count * REQUEST };

	for (size_t i = 0; i < count; i++) {
		uint32_t block;

		c->random = c->random * 6364136223846793005u + 1442695040888963407u;
		block = (uint32_t)(c->random >> 33);
		memcpy(requests[i], &block, sizeof(block));
	}
	if (c->depth == 1)
		c->sent_ns = now_ns(CLOCK_MONOTONIC);
	send_all(c->fd, &iov, 1);
}

static void client_loop(struct client *c)
{
	size_t have = 0;

	ask(c, c->depth);
	for (;;) {
		ssize_t n = receive(c->fd, receive_buffer, sizeof(receive_buffer));
		size_t count;

		if (n < 0)
			die("the server is gone");
		have += (size_t)n;
		count = have / RESPONSE;
		if (count == 0)
			continue;
		have -= count * RESPONSE;
		if (c->depth == 1 && c->done < SAMPLES)
			c->samples[c->done] = now_ns(CLOCK_MONOTONIC) - c->sent_ns;
		c->done += count;
		if (c->done >= c->limit || now_ns(CLOCK_MONOTONIC) >= c->end_ns)
			return;
		ask(c, count);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_us(struct client *c)
{
	uint64_t n = c->done < SAMPLES ? c->done : SAMPLES;

	if (c->depth != 1 || n == 0)
		return 0;
	qsort(c->samples, n, sizeof(c->samples[0]), by_value);
	return (double)c->samples[n / 2] / 1e3;
}

static int client(const struct sockaddr_in *addr, uint32_t depth, double seconds, int core,
		  uint64_t limit)
{
	struct client c = { .fd = socket(AF_INET, SOCK_STREAM, 0),
			    .depth = depth,
			    .random = 1,
			    .limit = limit,
			    .samples = calloc(SAMPLES, sizeof(uint64_t)) };
	uint64_t start, cpu, elapsed;

	if (c.fd < 0 || !c.samples ||
	    connect(c.fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		die("connect");
	set_up(c.fd);
	pin(core);
	start = now_ns(CLOCK_MONOTONIC);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	c.end_ns = start + (uint64_t)(seconds * 1e9);
	client_loop(&c);
	elapsed = now_ns(CLOCK_MONOTONIC) - start;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	shutdown(c.fd, SHUT_WR);
	wait(NULL);
	printf("{\"depth\": %u, \"ios\": %lu, \"seconds\": %.6f, \"iops\": %.1f, "
	       "\"server_cpu_share\": %.4f, \"client_cpu_us_per_io\": %.4f, \"p50_us\": %.3f}\n",
	       depth, c.done, (double)elapsed / 1e9, (double)c.done * 1e9 / (double)elapsed,
	       (double)shared->server_cpu_ns / (double)elapsed, (double)cpu / 1e3 / (double)c.done,
	       median_us(&c));
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t depth;
	pid_t pid;

	if (argc < 5 || (depth = (uint32_t)atoi(argv[1])) < 1 || depth > GATHER_MAX) {
		fprintf(stderr, "usage: bare_tcp DEPTH SECONDS SERVER-CORE CLIENT-CORE [COUNT]\n");
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || listener < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&addr, &len) != 0)
		die("listen");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		server(listener, atoi(argv[3]));
	return client(&addr, depth, atof(argv[2]), atoi(argv[4]),
		      argc > 5 ? strtoull(argv[5], NULL, 0) : UINT64_MAX);
}

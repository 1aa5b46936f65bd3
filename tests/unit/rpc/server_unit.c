/* SPDX-License-Identifier: Apache-2.0 */
#include "server_unit.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "reactor/reactor.h"

#define RECEIVE_MAX (8u << 20)

atomic_uint unit_bigs;
atomic_uint unit_gone;

static struct {
	pthread_t thread;
	sem_t up;
	struct error err;
	struct rpc_server *server;
	struct rpc_server_limits limits;
	struct reactor_msg stop;
	char dir[64];
	char path[80];
} unit;

static char received[RECEIVE_MAX + 1];

/* --- methods ---------------------------------------------------------------------------------- */

struct params {
	const char *text;
	uint64_t number;
};

static const struct rpc_param echo_params[] = {
	RPC_PARAM(struct params, text, RPC_STRING, .required = true),
	RPC_END,
};

static const struct rpc_param number_params[] = {
	RPC_PARAM(struct params, number, RPC_UINT, .required = true),
	RPC_END,
};

static void level(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_string("NOTICE"));
}

static void echo(struct rpc_request *req, void *params)
{
	rpc_reply(req, json_string(((struct params *)params)->text));
}

struct pause {
	struct reactor_timer timer;
	struct rpc_request *req;
};

static void pause_over(struct reactor_timer *timer)
{
	rpc_reply_true(container_of(timer, struct pause, timer)->req);
}

static void later(struct rpc_request *req, void *params)
{
	struct pause *p = rpc_arena_alloc(rpc_request_arena(req), sizeof(*p));

	p->req = req;
	p->timer.fn = pause_over;
	reactor_timer_start(&p->timer, ((struct params *)params)->number * NS_PER_MSEC);
}

static void big(struct rpc_request *req, void *params)
{
	size_t len = ((struct params *)params)->number;
	char *text = rpc_arena_alloc(rpc_request_arena(req), len + 1);

	atomic_fetch_add(&unit_bigs, 1);
	memset(text, 'x', len);
	rpc_reply(req, json_string(text));
}

static void gone(struct rpc_request *req, void *arg)
{
	(void)arg;
	atomic_fetch_add(&unit_gone, 1);
	rpc_reply_true(req);
}

static void never(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_on_gone(req, gone, NULL);
}

static const struct rpc_method methods[] = {
	{ .name = "level", .states = RPC_ALWAYS, .decode_code = RPC_INVALID_PARAMS, .call = level },
	{ .name = "echo",
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = echo_params,
	  .size = sizeof(struct params),
	  .call = echo },
	{ .name = "later",
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = number_params,
	  .size = sizeof(struct params),
	  .call = later },
	{ .name = "big",
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = number_params,
	  .size = sizeof(struct params),
	  .call = big },
	{ .name = "never", .states = RPC_ALWAYS, .decode_code = RPC_INVALID_PARAMS, .call = never },
};
static RPC_AREA(unit, methods);

/* --- the server's thread ---------------------------------------------------------------------- */

static void closed(void *arg)
{
	(void)arg;
	reactor_system_stop();
}

static void stop(struct reactor_msg *msg)
{
	(void)msg;
	rpc_server_close(unit.server, closed, NULL);
}

static void start(void *arg)
{
	(void)arg;
	rpc_area_add(&rpc_area_unit);
	rpc_state_set(RPC_RUNTIME);
	if (rpc_server_open(unit.path, &unit.limits, &unit.server, &unit.err) < 0)
		reactor_system_stop();
	else
		rpc_server_start(unit.server);
	sem_post(&unit.up);
}

static void *serve(void *arg)
{
	struct reactor_options opts;

	(void)arg;
	reactor_options_init(&opts);
	opts.share_cores = true;
	if (reactor_system_start(&opts, &unit.err) < 0) {
		sem_post(&unit.up);
		return NULL;
	}
	reactor_system_run(start, NULL);
	rpc_methods_free();
	reactor_system_fini();
	return NULL;
}

void unit_start(const struct rpc_server_limits *limits)
{
	unit.limits = *limits;
	unit.err = (struct error)ERROR_INIT;
	unit.server = NULL;
	unit_bigs = 0;
	unit_gone = 0;
	strcpy(unit.dir, "/tmp/rpc-unit-XXXXXX");
	assert_non_null(mkdtemp(unit.dir));
	snprintf(unit.path, sizeof(unit.path), "%s/sock", unit.dir);
	sem_init(&unit.up, 0, 0);
	assert_int_equal(pthread_create(&unit.thread, NULL, serve, NULL), 0);
	sem_wait(&unit.up);
	if (unit.err.code < 0)
		fail_msg("%s", unit.err.text);
}

void unit_stop(void)
{
	unit.stop.fn = stop;
	reactor_send_foreign(reactor_at(0), &unit.stop);
	pthread_join(unit.thread, NULL);
	sem_destroy(&unit.up);
	assert_int_equal(access(unit.path, F_OK), -1);
	/* Fails when the lock file is still there. */
	assert_int_equal(rmdir(unit.dir), 0);
}

int unit_setup(void **state)
{
	struct rpc_server_limits limits;

	(void)state;
	rpc_server_limits_init(&limits);
	unit_start(&limits);
	return 0;
}

int unit_teardown(void **state)
{
	(void)state;
	unit_stop();
	return 0;
}

const char *unit_path(void)
{
	return unit.path;
}

/* --- the client ------------------------------------------------------------------------------- */

int unit_connect(void)
{
	const struct timeval patience = { .tv_sec = UNIT_PATIENCE_MS / 1000 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", unit.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

/* The server may have hung up on what came before. */
void unit_send_bytes(int fd, const void *data, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		assert_true(sent > 0);
		data = (const char *)data + sent;
		len -= (size_t)sent;
	}
}

void unit_send(int fd, const char *text)
{
	unit_send_bytes(fd, text, strlen(text));
}

const char *unit_lines(int fd, unsigned int count)
{
	unsigned int lines = 0;
	size_t len = 0;

	while (lines < count) {
		ssize_t got = recv(fd, received + len, RECEIVE_MAX - len, 0);

		if (got <= 0)
			fail_msg("%u of %u lines came: %.*s", lines, count, (int)len, received);
		for (ssize_t i = 0; i < got; i++)
			lines += received[len + (size_t)i] == '\n';
		len += (size_t)got;
	}
	received[len] = '\0';
	return received;
}

const char *unit_rest(int fd)
{
	size_t len = 0;
	ssize_t got;

	while ((got = recv(fd, received + len, RECEIVE_MAX - len, 0)) > 0)
		len += (size_t)got;
	/* What we sent behind the end of the server's patience was not read by it. */
	if (got < 0)
		assert_int_equal(errno, ECONNRESET);
	received[len] = '\0';
	return received;
}

const char *unit_exchange(const char *text)
{
	int fd = unit_connect();
	const char *answer;

	unit_send(fd, text);
	shutdown(fd, SHUT_WR);
	answer = unit_rest(fd);
	close(fd);
	return answer;
}

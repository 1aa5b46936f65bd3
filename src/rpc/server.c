/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON-RPC server: accepting clients, and the end.
 *
 * Threading: reactor 0.
 */
#include "rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "rpc/client.h"
#include "rpc/socket.h"

#define CLOSE_GRACE_NS (1000 * NS_PER_MSEC)

/**
 * struct rpc_server
 * @reserve: a descriptor that is given up to tell a client that there are no more
 * @clients: connected; @count of them
 * @accepting: the reactor still has @accept
 */
struct rpc_server {
	struct rpc_socket socket;
	struct rpc_server_limits limits;
	struct reactor_accept accept;
	int reserve;
	TAILQ_HEAD(, rpc_client) clients;
	unsigned int count;
	bool accepting, closing, full;
	struct reactor_timer grace;
	struct reactor_msg finished;
	void (*done)(void *arg);
	void *arg;
};

void rpc_server_limits_init(struct rpc_server_limits *limits)
{
	*limits = (struct rpc_server_limits){
		.clients = 128,
		.text = { .bytes = 1024 * 1024, .values = 65536, .depth = 128 },
		.owed = 1024,
		.kept = 4 * 1024 * 1024,
		.unread = 1024 * 1024,
		.batch = 16 * 1024 * 1024,
	};
}

/* --- accepting -------------------------------------------------------------------------------- */

/* A new socket takes so few bytes without waiting. */
static void turn_away(struct rpc_server *s, int fd, int code, const char *why)
{
	struct rpc_bytes out = { .data = NULL };
	ssize_t sent;

	rpc_envelope_error(&out, code, why);
	sent = send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent;
	rpc_bytes_free(&out);
	close(fd);
	if (!s->full)
		log_warning("RPC socket %s: a client was turned away: %s", s->socket.path, why);
	s->full = true;
}

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Without it clients would wait in the backlog for a descriptor, not knowing why. */
static void turn_away_reserve(struct rpc_server *s)
{
	int fd;

	if (s->reserve < 0)
		return;
	close(s->reserve);
	while ((fd = accept4(s->socket.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		turn_away(s, fd, -EMFILE,
			  "the target has no file descriptor left: see its RLIMIT_NOFILE");
	s->reserve = reserve_open();
}

static void accepted(struct reactor_accept *accept, int32_t fd)
{
	struct rpc_server *s = container_of(accept, struct rpc_server, accept);
	struct rpc_client *c;
	char why[96];

	if (fd < 0) {
		if (fd == -EMFILE || fd == -ENFILE)
			turn_away_reserve(s);
		return;
	}
	if (s->closing) {
		close(fd);
		return;
	}
	if (s->count >= s->limits.clients) {
		snprintf(why, sizeof(why),
			 "%u clients are connected, which is the limit: close one first", s->count);
		turn_away(s, fd, -EBUSY, why);
		return;
	}
	if (s->reserve < 0)
		s->reserve = reserve_open();
	if (rpc_client_start(s, &s->limits, fd, &c) < 0) {
		log_error("RPC socket %s: no memory for another client", s->socket.path);
		return;
	}
	s->full = false;
	s->count++;
	TAILQ_INSERT_TAIL(&s->clients, c, link);
}

int rpc_server_open(const char *path, const struct rpc_server_limits *limits,
		    struct rpc_server **server, struct error *err)
{
	struct rpc_server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "RPC socket %s: no memory", path);
	rc = rpc_socket_open(&s->socket, path, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	s->limits = *limits;
	s->reserve = reserve_open();
	TAILQ_INIT(&s->clients);
	*server = s;
	return 0;
}

void rpc_server_start(struct rpc_server *server)
{
	server->accept.accepted = accepted;
	server->accepting = true;
	reactor_accept_start(&server->accept, server->socket.fd);
}

void rpc_server_abandon(struct rpc_server *server)
{
	rpc_socket_close(&server->socket);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void server_free(struct reactor_msg *msg)
{
	struct rpc_server *s = container_of(msg, struct rpc_server, finished);

	s->done(s->arg);
	free(s);
}

static void finish_when_idle(struct rpc_server *s)
{
	if (s->accepting || s->count > 0)
		return;
	reactor_timer_stop(&s->grace);
	rpc_socket_close(&s->socket);
	if (s->reserve >= 0)
		close(s->reserve);
	s->finished.fn = server_free;
	reactor_defer(&s->finished);
}

void rpc_server_forget(struct rpc_server *s, struct rpc_client *c)
{
	TAILQ_REMOVE(&s->clients, c, link);
	s->count--;
	if (s->closing)
		finish_when_idle(s);
}

static void hang_up_all(struct rpc_server *s, bool now)
{
	struct rpc_client *c = TAILQ_FIRST(&s->clients);

	/* Each may free itself, and no other. */
	while (c) {
		struct rpc_client *next = TAILQ_NEXT(c, link);

		rpc_client_hang_up(c, now);
		c = next;
	}
}

static void grace_over(struct reactor_timer *timer)
{
	hang_up_all(container_of(timer, struct rpc_server, grace), true);
}

static void accept_stopped(struct reactor_accept *accept)
{
	struct rpc_server *s = container_of(accept, struct rpc_server, accept);

	s->accepting = false;
	finish_when_idle(s);
}

void rpc_server_close(struct rpc_server *server, void (*done)(void *arg), void *arg)
{
	server->closing = true;
	server->done = done;
	server->arg = arg;
	server->grace.fn = grace_over;
	if (!server->accepting) {
		finish_when_idle(server);
		return;
	}
	reactor_timer_start(&server->grace, CLOSE_GRACE_NS);
	reactor_accept_stop(&server->accept, accept_stopped);
	hang_up_all(server, false);
}

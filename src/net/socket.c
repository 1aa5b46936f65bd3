/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making TCP sockets, and streams by connecting.
 *
 * Threading: as net.h says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/internal.h"

int socket_make(const struct net_addr *addr)
{
	const int one = 1;
	int fd =
		socket(addr->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return -errno;
	/* Accepted sockets inherit it from the one that listens. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* --- connecting ----------------------------------------------------------------------------- */

static int connect_result(struct net_connect *c, int32_t result)
{
	if (c->cancelled && result < 0)
		return -ECANCELED;
	if (c->timed_out && result < 0)
		return -ETIMEDOUT;
	if (result < 0)
		return result;
	c->stream = stream_create(c->fd);
	c->fd = -1;
	return c->stream ? 0 : -ENOMEM;
}

static void connected(struct reactor_io *io, int32_t result)
{
	struct net_connect *c = container_of(io, struct net_connect, io);
	int rc = connect_result(c, result);

	reactor_timer_stop(&c->timer);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->done(c, rc);
}

static void connect_late(struct reactor_timer *timer)
{
	struct net_connect *c = container_of(timer, struct net_connect, timer);

	c->timed_out = true;
	reactor_io_cancel(&c->io);
}

static void connect_refused(struct reactor_msg *msg)
{
	struct net_connect *c = container_of(msg, struct net_connect, msg);

	c->done(c, c->result);
}

static int connect_socket(const struct net_connect *c)
{
	int fd = socket_make(&c->addr);

	if (fd < 0 || !c->has_source)
		return fd;
	if (bind(fd, (const struct sockaddr *)&c->source.ss, c->source.len) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

void net_connect_start(struct net_connect *connect)
{
	connect->stream = NULL;
	connect->timed_out = false;
	connect->cancelled = false;
	connect->timer = (struct reactor_timer){ .fn = connect_late };
	connect->fd = connect_socket(connect);
	if (connect->fd < 0) {
		connect->result = connect->fd;
		connect->msg.fn = connect_refused;
		reactor_defer(&connect->msg);
		return;
	}
	connect->io.done = connected;
	reactor_timer_start(&connect->timer, connect->timeout_ms * NS_PER_MSEC);
	reactor_io_connect(&connect->io, connect->fd, (struct sockaddr *)&connect->addr.ss,
			   connect->addr.len);
}

void net_connect_cancel(struct net_connect *connect)
{
	if (connect->fd < 0 || connect->cancelled)
		return;
	connect->cancelled = true;
	reactor_io_cancel(&connect->io);
}

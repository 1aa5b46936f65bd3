/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets.
 *
 * When the process has no descriptor left, a peer would wait in the backlog for ever: a reserve
 * descriptor is given up for a moment to accept it and hang up.
 *
 * Threading: a listener belongs to the reactor that made it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/internal.h"

struct net_listener {
	int fd;
	int reserve;
	bool full; /* said so already */
	bool closing;
	struct reactor_accept accept;
	void (*accepted)(struct net_listener *listener, void *user, struct net_stream *stream);
	void (*released)(void *user);
	void *user;
};

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void turn_away(struct net_listener *l)
{
	int fd;

	if (l->reserve < 0)
		return;
	close(l->reserve);
	while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	l->reserve = reserve_open();
}

static void accept_failed(struct net_listener *l, int rc)
{
	struct net_addr addr;
	char text[NET_ADDR_TEXT];

	if (!l->full) {
		net_listener_addr(l, &addr);
		net_addr_text(&addr, text, sizeof(text));
		log_error("listener %s: cannot accept connections: %s; turning them away until "
			  "there is room (see RLIMIT_NOFILE)",
			  text, error_errno_text(rc));
		l->full = true;
	}
	if (rc == -EMFILE || rc == -ENFILE)
		turn_away(l);
}

static void on_accept(struct reactor_accept *accept, int32_t fd)
{
	struct net_listener *l = container_of(accept, struct net_listener, accept);
	struct net_stream *stream;

	if (fd >= 0 && l->closing) {
		close(fd);
		return;
	}
	if (fd < 0) {
		accept_failed(l, fd);
		return;
	}
	l->full = false;
	if (l->reserve < 0)
		l->reserve = reserve_open();
	stream = stream_create(fd);
	if (stream)
		l->accepted(l, l->user, stream);
}

/* --- opening -------------------------------------------------------------------------------- */

static int listen_on(int fd, const struct net_addr *addr, int backlog)
{
	const int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	/* An IPv6 address says nothing about IPv4: that is a listener of its own. */
	if (addr->ss.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0)
		return -errno;
	if (listen(fd, backlog) < 0)
		return -errno;
	return 0;
}

static int listen_refuse(const struct net_addr *addr, int rc, struct error *err)
{
	char text[NET_ADDR_TEXT];
	const char *hint = "";

	net_addr_text(addr, text, sizeof(text));
	if (rc == -EADDRINUSE)
		hint = "; stop the program that listens there, or choose another port";
	else if (rc == -EADDRNOTAVAIL)
		hint = "; no interface of this machine has that address";
	else if (rc == -EACCES)
		hint = "; ports below 1024 need a privilege";
	return error_set(err, rc, "cannot listen on %s: %s%s", text, error_errno_text(rc), hint);
}

int net_listen(const struct net_addr *addr, int backlog,
	       void (*accepted)(struct net_listener *listener, void *user,
				struct net_stream *stream),
	       void *user, struct net_listener **listener, struct error *err)
{
	struct net_listener *l;
	int fd = socket_make(addr);
	int rc;

	if (fd < 0)
		return listen_refuse(addr, fd, err);
	rc = listen_on(fd, addr, backlog);
	if (rc < 0)
		goto close_fd;
	l = calloc(1, sizeof(*l));
	rc = -ENOMEM;
	if (!l)
		goto close_fd;
	l->fd = fd;
	l->reserve = reserve_open();
	l->accepted = accepted;
	l->user = user;
	l->accept.accepted = on_accept;
	reactor_accept_start(&l->accept, fd);
	*listener = l;
	return 0;

close_fd:
	close(fd);
	return listen_refuse(addr, rc, err);
}

void net_listener_addr(const struct net_listener *listener, struct net_addr *addr)
{
	addr->len = sizeof(addr->ss);
	if (getsockname(listener->fd, (struct sockaddr *)&addr->ss, &addr->len) < 0)
		*addr = (struct net_addr){ .len = 0 };
}

/* --- closing -------------------------------------------------------------------------------- */

static void stopped(struct reactor_accept *accept)
{
	struct net_listener *l = container_of(accept, struct net_listener, accept);

	close(l->fd);
	if (l->reserve >= 0)
		close(l->reserve);
	if (l->released)
		l->released(l->user);
	free(l);
}

void net_listener_close(struct net_listener *listener, void (*released)(void *user))
{
	listener->closing = true;
	listener->released = released;
	reactor_accept_stop(&listener->accept, stopped);
}

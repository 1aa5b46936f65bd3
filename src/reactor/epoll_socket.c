/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: single socket operations. Each is tried at the turn's end, and again whenever
 * its descriptor is ready, until it has come to something.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "reactor/epoll.h"

/* --- trying --------------------------------------------------------------------------------- */

/* -EAGAIN: not yet. */
static int32_t try_send(struct epoll_io *x)
{
	ssize_t n = sendmsg(x->fd, x->sock.msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : (int32_t)n;
}

/* What a message has behind its first @skip bytes. */
static size_t iov_behind(const struct msghdr *msg, size_t skip, struct iovec *out)
{
	size_t count = 0;

	for (size_t i = 0; i < msg->msg_iovlen && count < IOV_MAX; i++) {
		const struct iovec *v = &msg->msg_iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		out[count].iov_base = (uint8_t *)v->iov_base + skip;
		out[count].iov_len = v->iov_len - skip;
		count++;
		skip = 0;
	}
	return count;
}

/* MSG_WAITALL goes with waiting, so what has come so far is counted here. */
static int32_t try_recv_all(struct epoll_io *x)
{
	struct iovec iov[IOV_MAX];
	struct msghdr rest = { .msg_iov = iov };

	for (;;) {
		ssize_t n;

		rest.msg_iovlen = iov_behind(x->sock.msg, x->sock.done, iov);
		if (rest.msg_iovlen == 0)
			return (int32_t)x->sock.done;
		n = recvmsg(x->fd, &rest, (x->sock.flags & ~MSG_WAITALL) | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n <= 0 && x->sock.done > 0)
			return (int32_t)x->sock.done;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		x->sock.done += (size_t)n;
	}
}

static int32_t try_recv(struct epoll_io *x)
{
	ssize_t n;

	if (x->sock.flags & MSG_WAITALL)
		return try_recv_all(x);
	n = recvmsg(x->fd, x->sock.msg, x->sock.flags | MSG_DONTWAIT);
	return n < 0 ? -errno : (int32_t)n;
}

/* The first try starts the connection, a later one asks what came of it. */
static int32_t try_connect(struct epoll_io *x)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (x->sock.addr) {
		const struct sockaddr *addr = x->sock.addr;

		x->sock.addr = NULL;
		if (connect(x->fd, addr, x->sock.addr_len) == 0)
			return 0;
		return errno == EINPROGRESS ? -EAGAIN : -errno;
	}
	if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int32_t try_once(struct reactor *r, struct epoll_io *x)
{
	r->stats.syscalls++;
	switch (x->kind) {
	case EPOLL_IO_SEND:
		return try_send(x);
	case EPOLL_IO_RECV:
		return try_recv(x);
	case EPOLL_IO_CONNECT:
		return try_connect(x);
	default:
		return -EAGAIN;
	}
}

void epoll_try_all(struct reactor *r)
{
	struct epoll *e = r->backend;
	struct reactor_io *io;

	while ((io = io_list_take(&e->trying)) != NULL) {
		struct epoll_io *x = epoll_io(io);
		int32_t result = try_once(r, x);

		if (result == -EAGAIN) {
			struct epoll_fd *f = epoll_fd_get(e, x->fd);

			io_list_add(&f->waiting, io);
			epoll_fd_changed(e, f);
		} else {
			epoll_done(e, io, result);
		}
	}
}

/* --- ready ---------------------------------------------------------------------------------- */

uint32_t epoll_io_events(struct reactor_io *io)
{
	const struct epoll_io *x = epoll_io(io);

	if (x->kind == EPOLL_IO_POLL)
		return x->sock.events;
	return x->kind == EPOLL_IO_RECV ? EPOLLIN : EPOLLOUT;
}

void epoll_ready(struct reactor *r, struct epoll_fd *f, uint32_t events)
{
	struct epoll *e = r->backend;
	struct reactor_io *io = f->waiting.head;
	bool changed = false;

	while (io) {
		struct epoll_io *x = epoll_io(io);
		struct reactor_io *next = x->next;
		uint32_t met = events & (epoll_io_events(io) | EPOLLERR | EPOLLHUP);
		int32_t result = -EAGAIN;

		if (met)
			result = x->kind == EPOLL_IO_POLL ? (int32_t)met : try_once(r, x);
		if (result != -EAGAIN) {
			io_list_remove(io);
			epoll_done(e, io, result);
			changed = true;
		}
		io = next;
	}
	if (changed)
		epoll_fd_changed(e, f);
}

/* --- asking --------------------------------------------------------------------------------- */

static struct epoll_io *begin(struct reactor *r, struct reactor_io *io, enum epoll_io_kind kind,
			      int fd)
{
	struct epoll *e = r->backend;
	struct epoll_io *x = epoll_io(io);

	*x = (struct epoll_io){ .kind = (uint8_t)kind, .fd = fd };
	io_list_add(&e->trying, io);
	return x;
}

void epoll_connect(struct reactor *r, struct reactor_io *io, int fd, const struct sockaddr *addr,
		   socklen_t len)
{
	struct epoll_io *x = begin(r, io, EPOLL_IO_CONNECT, fd);

	x->sock.addr = addr;
	x->sock.addr_len = len;
}

void epoll_sendmsg(struct reactor *r, struct reactor_io *io, int fd, const struct msghdr *msg)
{
	/* sendmsg(2) changes nothing in it. */
	begin(r, io, EPOLL_IO_SEND, fd)->sock.msg = (struct msghdr *)(uintptr_t)msg;
}

void epoll_recvmsg(struct reactor *r, struct reactor_io *io, int fd, struct msghdr *msg, int flags)
{
	struct epoll_io *x = begin(r, io, EPOLL_IO_RECV, fd);

	x->sock.msg = msg;
	x->sock.flags = flags;
}

void epoll_poll(struct reactor *r, struct reactor_io *io, int fd, uint32_t events)
{
	_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
			       EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP &&
			       EPOLLPRI == POLLPRI,
		       "one set of bits");
	begin(r, io, EPOLL_IO_POLL, fd)->sock.events = events;
}

void epoll_cancel(struct reactor *r, struct reactor_io *io)
{
	struct epoll *e = r->backend;
	struct epoll_io *x = epoll_io(io);
	struct io_list *list = x->list;
	int32_t result = -ECANCELED;

	/* What libaio or a helper thread has, and what is done, comes to its own end. */
	if (!list || list == &e->done)
		return;
	if (x->kind == EPOLL_IO_RECV && x->sock.done > 0)
		result = (int32_t)x->sock.done;
	io_list_remove(io);
	if (list != &e->trying && list != &e->files)
		epoll_fd_changed(e, epoll_fd_get(e, x->fd));
	epoll_done(e, io, result);
}

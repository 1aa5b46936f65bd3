/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: repeated receive and accept.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "reactor/epoll.h"

/* What one descriptor gets in a turn, so that others get theirs. */
#define RECV_A_TURN   8
#define ACCEPT_A_TURN 64

/* --- buffers -------------------------------------------------------------------------------- */

static void *buffer_take(struct recv_buffers *b)
{
	void *buffer = b->free_head;

	if (buffer)
		b->free_head = *(void **)buffer;
	else if (b->issued < b->total)
		buffer = b->base + (size_t)b->issued++ * REACTOR_RECV_BUFFER;
	else
		return NULL;
	b->held++;
	return buffer;
}

static void buffer_back(struct recv_buffers *b, void *buffer)
{
	*(void **)buffer = b->free_head;
	b->free_head = buffer;
}

void epoll_recv_released(struct reactor *r, void *buffer)
{
	struct epoll *e = r->backend;
	struct reactor_recv *recv;

	buffer_back(&r->recv, buffer);
	recv = recv_starved_take(r);
	if (recv)
		epoll_fd_changed(e, epoll_fd_get(e, recv_state(recv)->fd));
}

/* --- receiving ------------------------------------------------------------------------------ */

static void recv_leave(struct reactor *r, struct epoll_fd *f, struct reactor_recv *recv)
{
	f->recv = NULL;
	recv_state(recv)->armed = false;
	epoll_fd_changed(r->backend, f);
}

/* Return: whether to go on. */
static bool recv_once(struct reactor *r, struct epoll_fd *f)
{
	struct reactor_recv *rx = f->recv;
	void *buffer = buffer_take(&r->recv);
	ssize_t n;

	if (!buffer) {
		recv_starve(r, rx);
		epoll_fd_changed(r->backend, f);
		return false;
	}
	r->stats.syscalls++;
	n = recv(f->fd, buffer, REACTOR_RECV_BUFFER, MSG_DONTWAIT);
	if (n > 0) {
		rx->data(rx, buffer, (int32_t)n);
		return n == REACTOR_RECV_BUFFER && f->recv == rx;
	}
	n = n < 0 ? -errno : 0;
	r->recv.held--;
	buffer_back(&r->recv, buffer);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	recv_leave(r, f, rx);
	recv_end(rx, (int32_t)n);
	return false;
}

void epoll_recv_ready(struct reactor *r, struct epoll_fd *f)
{
	for (int i = 0; i < RECV_A_TURN && f->recv; i++) {
		if (!recv_once(r, f))
			break;
	}
}

void epoll_recv_start(struct reactor *r, struct reactor_recv *recv, int fd)
{
	struct epoll *e = r->backend;
	struct epoll_fd *f = epoll_fd_get(e, fd);

	assert(!f->recv);
	*recv_state(recv) = (struct recv_state){ .fd = fd, .armed = true };
	f->recv = recv;
	epoll_fd_changed(e, f);
}

void epoll_recv_stop(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv))
{
	struct epoll *e = r->backend;

	/* Nothing is under way in the kernel, so the answer is a message. */
	if (recv_state(recv)->armed)
		recv_leave(r, epoll_fd_get(e, recv_state(recv)->fd), recv);
	(void)recv_stop_begin(r, recv, stopped);
}

/* --- accepting ------------------------------------------------------------------------------ */

static void accept_arm(struct reactor *r, struct reactor_accept *accept)
{
	struct epoll *e = r->backend;
	struct epoll_fd *f = epoll_fd_get(e, accept_state(accept)->fd);

	f->accept = accept;
	accept_state(accept)->armed = true;
	epoll_fd_changed(e, f);
}

static void accept_leave(struct reactor *r, struct reactor_accept *accept)
{
	struct epoll *e = r->backend;
	struct epoll_fd *f = epoll_fd_get(e, accept_state(accept)->fd);

	f->accept = NULL;
	accept_state(accept)->armed = false;
	epoll_fd_changed(e, f);
}

void epoll_accept_ready(struct reactor *r, struct epoll_fd *f)
{
	for (int i = 0; i < ACCEPT_A_TURN && f->accept; i++) {
		struct reactor_accept *accept = f->accept;
		int fd = accept4(f->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		r->stats.syscalls++;
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0) {
			fd = -errno;
			accept_leave(r, accept);
		}
		accept_result(r, accept, fd);
	}
}

void epoll_accept_start(struct reactor *r, struct reactor_accept *accept, int fd)
{
	accept_start(r, accept, fd, accept_arm);
}

void epoll_accept_stop(struct reactor *r, struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept))
{
	if (accept_state(accept)->armed)
		accept_leave(r, accept);
	(void)accept_stop_begin(accept, stopped);
}

/* --- descriptors that cannot be watched ----------------------------------------------------- */

void epoll_recv_failed(struct reactor *r, struct epoll_fd *f, int error)
{
	struct reactor_recv *recv = f->recv;
	struct reactor_accept *accept = f->accept;
	struct epoll *e = r->backend;

	e->told |= recv || accept;
	if (recv) {
		recv_leave(r, f, recv);
		recv_end(recv, error);
	}
	if (accept) {
		accept_leave(r, accept);
		accept_result(r, accept, error);
	}
}

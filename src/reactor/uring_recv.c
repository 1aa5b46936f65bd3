/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: multishot receive into provided buffers, and multishot accept.
 *
 * The kernel takes buffers in the order in which they were given, so all that were ever given are
 * walked through: few are given at first, more when a receiver found none.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>

#include "reactor/recv.h"
#include "reactor/uring.h"

/* While fewer are in use, running dry within a turn adds some. */
#define BUFFERS_PLENTY (RECV_BUFFERS_MAX / 4)

/* --- buffers -------------------------------------------------------------------------------- */

static void buffer_give(struct reactor *r, uint32_t index)
{
	struct uring *u = r->backend;

	io_uring_buf_ring_add(u->bufs, r->recv.base + (size_t)index * REACTOR_RECV_BUFFER,
			      REACTOR_RECV_BUFFER, (unsigned short)index,
			      io_uring_buf_ring_mask(RECV_BUFFERS_MAX), 0);
	io_uring_buf_ring_advance(u->bufs, 1);
}

void uring_buffers_issue(struct reactor *r, uint32_t count)
{
	while (count-- > 0 && r->recv.issued < r->recv.total)
		buffer_give(r, r->recv.issued++);
}

static void *buffer_of(struct reactor *r, const struct io_uring_cqe *cqe)
{
	uint32_t index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	assert((cqe->flags & IORING_CQE_F_BUFFER) && index < r->recv.issued);
	r->recv.held++;
	return r->recv.base + (size_t)index * REACTOR_RECV_BUFFER;
}

static void recv_arm(struct reactor *r, struct reactor_recv *recv)
{
	struct recv_state *s = recv_state(recv);
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = URING_BUF_GROUP;
	io_uring_sqe_set_data64(sqe, uring_data(recv, URING_TAG_RECV));
	s->armed = true;
}

void uring_recv_released(struct reactor *r, void *buffer)
{
	size_t offset = (size_t)((uint8_t *)buffer - r->recv.base);
	struct reactor_recv *recv;

	assert(offset % REACTOR_RECV_BUFFER == 0);
	buffer_give(r, (uint32_t)(offset / REACTOR_RECV_BUFFER));
	recv = recv_starved_take(r);
	if (recv)
		recv_arm(r, recv);
}

/* No buffer was there: more are made unless that has just happened, or all are in use. */
static void no_buffer(struct reactor *r, struct reactor_recv *recv)
{
	if (r->recv.held == r->recv.issued) {
		if (r->recv.issued == r->recv.total) {
			recv_starve(r, recv);
			return;
		}
		uring_buffers_issue(r, r->recv.issued);
	} else if (r->recv.issued < BUFFERS_PLENTY) {
		/* The kernel ran dry within one turn, which costs a new submission each time. */
		uring_buffers_issue(r, RECV_BUFFERS_START);
	}
	recv_arm(r, recv);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void recv_bytes(struct reactor *r, struct reactor_recv *recv, const struct io_uring_cqe *cqe)
{
	struct recv_state *s = recv_state(recv);
	bool stopping = s->stopping;

	recv->data(recv, buffer_of(r, cqe), cqe->res);
	if (s->armed)
		return;
	/* A stop inside data() is answered by a message; one before it waits for us. */
	if (stopping)
		recv_stopped(recv);
	else if (!s->stopping)
		recv_arm(r, recv);
}

static bool is_passing(int32_t result)
{
	return result == -ENOBUFS || result == -EINTR || result == -EAGAIN;
}

void uring_recv_done(struct reactor *r, struct reactor_recv *recv, const struct io_uring_cqe *cqe)
{
	struct recv_state *s = recv_state(recv);

	s->armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
	if (cqe->res > 0) {
		recv_bytes(r, recv, cqe);
		return;
	}
	/* A buffer may have been picked for nothing. */
	if (cqe->flags & IORING_CQE_F_BUFFER)
		reactor_recv_release(buffer_of(r, cqe));
	if (!is_passing(cqe->res))
		recv_end(recv, cqe->res);
	else if (!s->armed && s->stopping)
		recv_stopped(recv);
	else if (!s->armed)
		no_buffer(r, recv);
}

void uring_recv_start(struct reactor *r, struct reactor_recv *recv, int fd)
{
	*recv_state(recv) = (struct recv_state){ .fd = fd };
	recv_arm(r, recv);
}

static void cancel(struct reactor *r, uint64_t data)
{
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_cancel64(sqe, data, 0);
	io_uring_sqe_set_data64(sqe, uring_data(NULL, URING_TAG_NONE));
}

void uring_recv_stop(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv))
{
	if (recv_stop_begin(r, recv, stopped))
		cancel(r, uring_data(recv, URING_TAG_RECV));
}

/* --- accepting ------------------------------------------------------------------------------ */

static void accept_arm(struct reactor *r, struct reactor_accept *accept)
{
	struct accept_state *s = accept_state(accept);
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_multishot_accept(sqe, s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, uring_data(accept, URING_TAG_ACCEPT));
	s->armed = true;
}

void uring_accept_done(struct reactor *r, struct reactor_accept *accept,
		       const struct io_uring_cqe *cqe)
{
	accept_state(accept)->armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
	accept_result(r, accept, cqe->res);
}

void uring_accept_start(struct reactor *r, struct reactor_accept *accept, int fd)
{
	accept_start(r, accept, fd, accept_arm);
}

void uring_accept_stop(struct reactor *r, struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept))
{
	if (accept_stop_begin(accept, stopped))
		cancel(r, uring_data(accept, URING_TAG_ACCEPT));
}

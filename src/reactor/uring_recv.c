/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: multishot receive into provided buffers.
 *
 * The kernel takes buffers in the order in which they were given, so all that were ever given are
 * walked through: few are given at first, more when a receiver found none.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "reactor/uring.h"

/**
 * struct uring_recv - a receiver, in struct reactor_recv's priv
 * @armed: the kernel has it
 * @stopping: reactor_recv_stop() was called; @stopped answers it
 * @over: end of stream or an error was told
 */
struct uring_recv {
	int fd;
	bool armed;
	bool starving;
	bool stopping;
	bool over;
	void (*stopped)(struct reactor_recv *recv);
	struct reactor_recv *starved_next;
	struct reactor_msg answer;
};

_Static_assert(sizeof(struct uring_recv) <= sizeof(((struct reactor_recv *)0)->priv), "priv");

static struct uring_recv *state_of(struct reactor_recv *recv)
{
	return (struct uring_recv *)(void *)recv->priv;
}

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

static void arm(struct reactor *r, struct reactor_recv *recv)
{
	struct uring_recv *s = state_of(recv);
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = URING_BUF_GROUP;
	io_uring_sqe_set_data64(sqe, uring_data(recv, URING_TAG_RECV));
	s->armed = true;
}

static void starve(struct reactor *r, struct reactor_recv *recv)
{
	struct uring *u = r->backend;
	struct uring_recv *s = state_of(recv);

	s->starving = true;
	s->starved_next = NULL;
	if (u->starved)
		state_of(u->starved_tail)->starved_next = recv;
	else
		u->starved = recv;
	u->starved_tail = recv;
}

static void starve_no_more(struct reactor *r, struct reactor_recv *recv)
{
	struct uring *u = r->backend;
	struct reactor_recv *prev = NULL;
	struct reactor_recv *at = u->starved;

	while (at != recv) {
		prev = at;
		at = state_of(at)->starved_next;
	}
	if (prev)
		state_of(prev)->starved_next = state_of(recv)->starved_next;
	else
		u->starved = state_of(recv)->starved_next;
	if (u->starved_tail == recv)
		u->starved_tail = prev;
	state_of(recv)->starving = false;
}

void uring_recv_released(struct reactor *r, void *buffer)
{
	struct uring *u = r->backend;
	struct reactor_recv *recv = u->starved;
	size_t offset = (size_t)((uint8_t *)buffer - r->recv.base);

	assert(offset % REACTOR_RECV_BUFFER == 0);
	buffer_give(r, (uint32_t)(offset / REACTOR_RECV_BUFFER));
	if (recv) {
		starve_no_more(r, recv);
		arm(r, recv);
	}
}

/* No buffer was there: more are made unless that has just happened, or all are in use. */
static void no_buffer(struct reactor *r, struct reactor_recv *recv)
{
	if (r->recv.held == r->recv.issued) {
		if (r->recv.issued == r->recv.total) {
			starve(r, recv);
			return;
		}
		uring_buffers_issue(r, r->recv.issued);
	} else if (r->recv.issued < RECV_BUFFERS_MAX / 4) {
		/* The kernel ran dry within one turn, which costs a new submission each time. */
		uring_buffers_issue(r, RECV_BUFFERS_START);
	}
	arm(r, recv);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void *buffer_of(struct reactor *r, const struct io_uring_cqe *cqe)
{
	uint32_t index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	assert((cqe->flags & IORING_CQE_F_BUFFER) && index < r->recv.issued);
	r->recv.held++;
	return r->recv.base + (size_t)index * REACTOR_RECV_BUFFER;
}

static void finish_stop(struct reactor_recv *recv)
{
	struct uring_recv *s = state_of(recv);

	s->stopping = false;
	s->stopped(recv);
}

/* The last call of data(): @recv may be gone behind it unless a stop waits for its answer. */
static void tell_end(struct reactor_recv *recv, int32_t result)
{
	struct uring_recv *s = state_of(recv);
	bool stopping = s->stopping;

	s->over = true;
	if (!(stopping && result == -ECANCELED))
		recv->data(recv, NULL, result);
	if (stopping)
		finish_stop(recv);
}

void uring_recv_done(struct reactor *r, struct reactor_recv *recv, const struct io_uring_cqe *cqe)
{
	struct uring_recv *s = state_of(recv);
	bool stopping = s->stopping;

	s->armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
	if (cqe->res > 0) {
		recv->data(recv, buffer_of(r, cqe), cqe->res);
		if (s->armed)
			return;
		if (stopping)
			finish_stop(recv);
		else if (!s->stopping)
			arm(r, recv);
		return;
	}
	/* A buffer may have been picked for nothing. */
	if (cqe->flags & IORING_CQE_F_BUFFER)
		reactor_recv_release(buffer_of(r, cqe));
	if (cqe->res == -ENOBUFS || cqe->res == -EINTR || cqe->res == -EAGAIN) {
		if (s->armed)
			return;
		if (stopping)
			finish_stop(recv);
		else
			no_buffer(r, recv);
		return;
	}
	tell_end(recv, cqe->res);
}

void uring_recv_start(struct reactor *r, struct reactor_recv *recv, int fd)
{
	struct uring_recv *s = state_of(recv);

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	arm(r, recv);
}

static void stop_answer(struct reactor_msg *msg)
{
	struct uring_recv *s = container_of(msg, struct uring_recv, answer);

	finish_stop(container_of((void *)s, struct reactor_recv, priv));
}

void uring_recv_stop(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv))
{
	struct uring_recv *s = state_of(recv);
	struct io_uring_sqe *sqe;

	assert(!s->stopping);
	s->stopping = true;
	s->stopped = stopped;
	if (s->starving)
		starve_no_more(r, recv);
	if (!s->armed) {
		s->answer.fn = stop_answer;
		reactor_defer(&s->answer);
		return;
	}
	sqe = uring_sqe(r);
	io_uring_prep_cancel64(sqe, uring_data(recv, URING_TAG_RECV), 0);
	io_uring_sqe_set_data64(sqe, uring_data(NULL, URING_TAG_NONE));
}

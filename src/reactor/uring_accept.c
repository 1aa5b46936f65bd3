/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: multishot accept.
 *
 * Threading: the reactor's own thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "reactor/uring.h"

/**
 * struct uring_accept - a listening socket, in struct reactor_accept's priv
 * @armed: the kernel has it
 * @retry: running after an error
 */
struct uring_accept {
	int fd;
	bool armed;
	bool stopping;
	void (*stopped)(struct reactor_accept *accept);
	struct reactor_timer retry;
	struct reactor_msg answer;
};

_Static_assert(sizeof(struct uring_accept) <= sizeof(((struct reactor_accept *)0)->priv), "priv");

static struct uring_accept *state_of(struct reactor_accept *accept)
{
	return (struct uring_accept *)(void *)accept->priv;
}

static struct reactor_accept *accept_of(struct uring_accept *s)
{
	return container_of((void *)s, struct reactor_accept, priv);
}

static void arm(struct reactor *r, struct reactor_accept *accept)
{
	struct uring_accept *s = state_of(accept);
	struct io_uring_sqe *sqe = uring_sqe(r);

	io_uring_prep_multishot_accept(sqe, s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, uring_data(accept, URING_TAG_ACCEPT));
	s->armed = true;
}

static void retry(struct reactor_timer *timer)
{
	struct uring_accept *s = container_of(timer, struct uring_accept, retry);

	arm(reactor_current, accept_of(s));
}

static void finish_stop(struct reactor_accept *accept)
{
	struct uring_accept *s = state_of(accept);

	s->stopping = false;
	s->stopped(accept);
}

static bool is_passing(int32_t result)
{
	return result == -ECONNABORTED || result == -EINTR || result == -EAGAIN;
}

void uring_accept_done(struct reactor *r, struct reactor_accept *accept,
		       const struct io_uring_cqe *cqe)
{
	struct uring_accept *s = state_of(accept);
	bool stopping = s->stopping;

	s->armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
	if (stopping) {
		if (cqe->res >= 0)
			close(cqe->res);
		if (!s->armed)
			finish_stop(accept);
		return;
	}
	if (!is_passing(cqe->res))
		accept->accepted(accept, cqe->res);
	if (s->armed || s->stopping)
		return;
	if (cqe->res >= 0 || is_passing(cqe->res))
		arm(r, accept);
	else
		reactor_timer_start(&s->retry, ACCEPT_RETRY_NS);
}

void uring_accept_start(struct reactor *r, struct reactor_accept *accept, int fd)
{
	struct uring_accept *s = state_of(accept);

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->retry.fn = retry;
	arm(r, accept);
}

static void stop_answer(struct reactor_msg *msg)
{
	finish_stop(accept_of(container_of(msg, struct uring_accept, answer)));
}

void uring_accept_stop(struct reactor *r, struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept))
{
	struct uring_accept *s = state_of(accept);
	struct io_uring_sqe *sqe;

	assert(!s->stopping);
	s->stopping = true;
	s->stopped = stopped;
	reactor_timer_stop(&s->retry);
	if (!s->armed) {
		s->answer.fn = stop_answer;
		reactor_defer(&s->answer);
		return;
	}
	sqe = uring_sqe(r);
	io_uring_prep_cancel64(sqe, uring_data(accept, URING_TAG_ACCEPT), 0);
	io_uring_sqe_set_data64(sqe, uring_data(NULL, URING_TAG_NONE));
}

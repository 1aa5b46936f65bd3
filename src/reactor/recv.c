/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What repeated receiving and accepting is in both backends: who waits for a receive buffer, how a
 * stop is answered, and when accepting is tried again.
 *
 * Threading: the reactor's own thread.
 */
#include "reactor/recv.h"

#include <errno.h>
#include <unistd.h>

/* --- receive buffers ------------------------------------------------------------------------ */

void recv_starve(struct reactor *r, struct reactor_recv *recv)
{
	struct recv_state *s = recv_state(recv);

	s->starving = true;
	s->starved_next = NULL;
	if (r->recv.starved)
		recv_state(r->recv.starved_tail)->starved_next = recv;
	else
		r->recv.starved = recv;
	r->recv.starved_tail = recv;
}

static void starve_no_more(struct reactor *r, struct reactor_recv *recv)
{
	struct reactor_recv *prev = NULL;
	struct reactor_recv *at = r->recv.starved;

	while (at != recv) {
		prev = at;
		at = recv_state(at)->starved_next;
	}
	if (prev)
		recv_state(prev)->starved_next = recv_state(recv)->starved_next;
	else
		r->recv.starved = recv_state(recv)->starved_next;
	if (r->recv.starved_tail == recv)
		r->recv.starved_tail = prev;
	recv_state(recv)->starving = false;
}

struct reactor_recv *recv_starved_take(struct reactor *r)
{
	struct reactor_recv *recv = r->recv.starved;

	if (recv)
		starve_no_more(r, recv);
	return recv;
}

/* --- stop and end --------------------------------------------------------------------------- */

void recv_stopped(struct reactor_recv *recv)
{
	struct recv_state *s = recv_state(recv);

	s->stopping = false;
	s->stopped(recv);
}

static void recv_stop_answer(struct reactor_msg *msg)
{
	struct recv_state *s = container_of(msg, struct recv_state, answer);

	recv_stopped(container_of((void *)s, struct reactor_recv, priv));
}

bool recv_stop_begin(struct reactor *r, struct reactor_recv *recv,
		     void (*stopped)(struct reactor_recv *recv))
{
	struct recv_state *s = recv_state(recv);

	assert(!s->stopping);
	s->stopping = true;
	s->stopped = stopped;
	if (s->starving)
		starve_no_more(r, recv);
	if (s->armed)
		return true;
	s->answer.fn = recv_stop_answer;
	reactor_defer(&s->answer);
	return false;
}

void recv_end(struct reactor_recv *recv, int32_t result)
{
	bool stopping = recv_state(recv)->stopping;

	if (recv_state(recv)->starving)
		starve_no_more(reactor_current, recv);
	/* Behind this call @recv may be gone, unless a stop waits for its answer. */
	if (!(stopping && result == -ECANCELED))
		recv->data(recv, NULL, result);
	if (stopping)
		recv_stopped(recv);
}

/* --- accepting ------------------------------------------------------------------------------ */

static struct reactor_accept *accept_of(struct accept_state *s)
{
	return container_of((void *)s, struct reactor_accept, priv);
}

static void accept_retry(struct reactor_timer *timer)
{
	struct accept_state *s = container_of(timer, struct accept_state, retry);

	s->arm(reactor_current, accept_of(s));
}

static void accept_stopped(struct reactor_accept *accept)
{
	struct accept_state *s = accept_state(accept);

	s->stopping = false;
	s->stopped(accept);
}

static void accept_stop_answer(struct reactor_msg *msg)
{
	accept_stopped(accept_of(container_of(msg, struct accept_state, answer)));
}

static bool is_passing(int32_t result)
{
	return result == -ECONNABORTED || result == -EINTR || result == -EAGAIN;
}

void accept_result(struct reactor *r, struct reactor_accept *accept, int32_t result)
{
	struct accept_state *s = accept_state(accept);

	if (s->stopping) {
		if (result >= 0)
			close(result);
		if (!s->armed)
			accept_stopped(accept);
		return;
	}
	if (!is_passing(result))
		accept->accepted(accept, result);
	if (s->armed || s->stopping)
		return;
	if (result >= 0 || is_passing(result))
		s->arm(r, accept);
	else
		reactor_timer_start(&s->retry, ACCEPT_RETRY_NS);
}

void accept_start(struct reactor *r, struct reactor_accept *accept, int fd,
		  void (*arm)(struct reactor *r, struct reactor_accept *accept))
{
	struct accept_state *s = accept_state(accept);

	*s = (struct accept_state){ .fd = fd, .arm = arm };
	s->retry.fn = accept_retry;
	arm(r, accept);
}

bool accept_stop_begin(struct reactor_accept *accept,
		       void (*stopped)(struct reactor_accept *accept))
{
	struct accept_state *s = accept_state(accept);

	assert(!s->stopping);
	s->stopping = true;
	s->stopped = stopped;
	reactor_timer_stop(&s->retry);
	if (s->armed)
		return true;
	s->answer.fn = accept_stop_answer;
	reactor_defer(&s->answer);
	return false;
}

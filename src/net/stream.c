/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a stream: made, attached, ended by the peer or an error, closed or aborted.
 *
 * A stream is freed only by its own step message, when the reactor has nothing of it any more: so
 * no call of the user's returns into a stream that is gone.
 *
 * Threading: the reactor that attached it; before that, whoever has it.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/stream_tls.h"

LOG_FLAG_DEFINE(net);

static void step(struct reactor_msg *msg);
static void close_late(struct reactor_timer *timer);

struct net_stream *stream_create(int fd)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->step.fn = step;
	s->close_timer.fn = close_late;
	stream_send_init(s);
	stream_recv_init(s);
	return s;
}

void net_stream_attach(struct net_stream *stream, const struct net_stream_ops *ops, void *user)
{
	assert(!stream->ops && !stream->silent);
	stream->ops = ops;
	stream->user = user;
	/* A client of TLS begins. */
	if (stream->tls)
		stream_step_later(stream);
	stream_recv_adjust(stream);
}

void *net_stream_user(const struct net_stream *stream)
{
	return stream->user;
}

void net_stream_local_addr(const struct net_stream *stream, struct net_addr *addr)
{
	addr->len = sizeof(addr->ss);
	if (getsockname(stream->fd, (struct sockaddr *)&addr->ss, &addr->len) < 0)
		*addr = (struct net_addr){ .len = 0 };
}

void net_stream_peer_addr(const struct net_stream *stream, struct net_addr *addr)
{
	addr->len = sizeof(addr->ss);
	if (getpeername(stream->fd, (struct sockaddr *)&addr->ss, &addr->len) < 0)
		*addr = (struct net_addr){ .len = 0 };
}

void stream_step_later(struct net_stream *s)
{
	if (s->step_queued)
		return;
	s->step_queued = true;
	reactor_defer(&s->step);
}

/* --- the end -------------------------------------------------------------------------------- */

/* An end of stream is told behind the bytes before it, an error at once. */
static void tell_end(struct net_stream *s)
{
	int reason = s->end_reason;

	if (s->silent || s->told || !s->ended)
		return;
	if (reason == 0 && (s->held_head || (s->tls && stream_tls_has_more(s))))
		return;
	if (s->receiving == NET_RECEIVING_DIRECT) {
		/* The kernel still writes to the user's place: told when that is over. */
		reactor_io_cancel(&s->read_io);
		return;
	}
	if (s->tls)
		reason = stream_tls_end(s, reason);
	s->told = true;
	stream_recv_drop(s);
	stream_read_fail(s, reason ? reason : -ECONNRESET);
	if (!s->silent)
		s->ops->closed(s, s->user, reason);
}

/*
 * An end of stream may be a reset whose errno somebody else has already got: a send, or the first
 * part of a receive with MSG_WAITALL. The connection's state knows.
 */
static int end_of_stream(const struct net_stream *s)
{
	struct tcp_info info = { .tcpi_state = 0 };
	socklen_t len = sizeof(info);

	if (s->send_error)
		return s->send_error;
	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    info.tcpi_state == TCP_CLOSE)
		return -ECONNRESET;
	return 0;
}

void stream_end(struct net_stream *s, int reason)
{
	if (!s->ended) {
		s->ended = true;
		s->end_reason = reason ? reason : end_of_stream(s);
	}
	stream_step_later(s);
}

/* --- closing -------------------------------------------------------------------------------- */

static void release(struct net_stream *s)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	void (*released)(void *user) = s->released;
	void *user = s->user;

	reactor_timer_stop(&s->close_timer);
	stream_send_fail(s, -ECANCELED);
	stream_read_fail(s, -ECANCELED);
	stream_recv_drop(s);
	if (s->tls)
		stream_tls_free(s);
	if (s->aborting)
		(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(s->fd);
	free(s->send_iov);
	free(s);
	if (released)
		released(user);
}

/* Orderly: what is queued goes out, our end is sent, the peer's is waited for. */
static bool close_is_over(struct net_stream *s)
{
	if (s->send_error) {
		stream_send_fail(s, s->send_error);
		return true;
	}
	if (s->tls && !stream_tls_finish(s))
		return false;
	if (s->send_head)
		return false;
	if (!s->shut) {
		s->shut = true;
		(void)shutdown(s->fd, SHUT_WR);
	}
	return s->ended || !s->ops;
}

static void close_step(struct net_stream *s)
{
	if (!s->aborting && !close_is_over(s)) {
		stream_recv_adjust(s);
		return;
	}
	s->ended = true;
	stream_recv_adjust(s);
	if (!s->sending && s->receiving == NET_RECEIVING_OFF && !s->watching && !s->flush.queued)
		release(s);
}

static void step(struct reactor_msg *msg)
{
	struct net_stream *s = container_of(msg, struct net_stream, step);

	s->step_queued = false;
	if (s->silent) {
		close_step(s);
		return;
	}
	if (s->send_error)
		stream_send_fail(s, s->send_error);
	if (s->resumed) {
		s->resumed = false;
		s->paused = false;
	}
	stream_recv_held(s);
	tell_end(s);
	/* Any of these calls of the user's may have closed it: then the step is queued again. */
	if (!s->silent)
		stream_recv_adjust(s);
}

static void close_late(struct reactor_timer *timer)
{
	net_stream_abort(container_of(timer, struct net_stream, close_timer), NULL);
}

void net_stream_close(struct net_stream *stream, void (*released)(void *user))
{
	assert(!stream->silent);
	stream->silent = true;
	stream->released = released;
	reactor_timer_start(&stream->close_timer, NET_CLOSE_TIMEOUT_MS * NS_PER_MSEC);
	if (stream->receiving == NET_RECEIVING_DIRECT)
		reactor_io_cancel(&stream->read_io);
	stream_step_later(stream);
}

void net_stream_abort(struct net_stream *stream, void (*released)(void *user))
{
	if (released)
		stream->released = released;
	if (stream->aborting)
		return;
	/*
	 * A receive with MSG_WAITALL that has got some of its bytes may take a cancellation for a
	 * mere interruption and wait on; that there is nothing more to receive ends it for certain.
	 */
	if (stream->receiving == NET_RECEIVING_DIRECT) {
		reactor_io_cancel(&stream->read_io);
		(void)shutdown(stream->fd, SHUT_RD);
	}
	stream->silent = true;
	stream->aborting = true;
	if (stream->sending)
		reactor_io_cancel(&stream->send_io);
	stream_step_later(stream);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection: bytes in, bytes out, and when to stop reading.
 *
 * Nothing is read while the client owes us room: too many answers in flight, too many bytes of
 * requests in flight, or answers that it does not read. So what a client can make us keep is
 * bounded, and what it costs others is one small buffer.
 *
 * Threading: reactor 0.
 */
#include "rpc/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"

#define WATCH_NS (100 * NS_PER_MSEC)

static bool must_wait(const struct rpc_client *c)
{
	size_t unread = c->out.len + c->sending.len - c->sent;

	return c->owed >= c->limits->owed || c->kept >= c->limits->kept ||
	       unread >= c->limits->unread;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void client_free(struct rpc_client *c)
{
	json_reader_destroy(c->reader);
	rpc_bytes_free(&c->out);
	rpc_bytes_free(&c->sending);
	free(c);
}

/* What is in flight still points to us. */
static void free_when_idle(struct rpc_client *c)
{
	if (c->receiving || c->in_send || c->owed > 0 || c->processing || c->work.queued)
		return;
	close(c->fd);
	rpc_server_forget(c->server, c);
	client_free(c);
}

static void client_close(struct rpc_client *c)
{
	if (!c->closing) {
		c->closing = true;
		c->ended = true;
		if (c->receiving)
			reactor_io_cancel(&c->recv_io);
		if (c->in_send)
			reactor_io_cancel(&c->send_io);
		reactor_timer_stop(&c->watch);
		shutdown(c->fd, SHUT_RDWR);
		/* What answers now must not free the client below us. */
		c->processing = true;
		rpc_envelope_gone(c);
		c->processing = false;
	}
	free_when_idle(c);
}

static void client_break(struct rpc_client *c)
{
	c->broken = true;
	client_close(c);
}

void rpc_client_hang_up(struct rpc_client *c, bool now)
{
	c->ended = true;
	if (c->receiving && !c->closing)
		reactor_io_cancel(&c->recv_io);
	if (now)
		client_break(c);
	else
		rpc_client_work_later(c);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void sent(struct reactor_io *io, int32_t result)
{
	struct rpc_client *c = container_of(io, struct rpc_client, send_io);

	c->in_send = false;
	if (c->closing) {
		free_when_idle(c);
		return;
	}
	if (result < 0 && result != -EAGAIN && result != -EINTR) {
		client_break(c);
		return;
	}
	if (result > 0)
		c->sent += (size_t)result;
	rpc_client_work_later(c);
}

static void send_more(struct rpc_client *c)
{
	if (c->sent == c->sending.len) {
		struct rpc_bytes empty = c->sending;

		rpc_bytes_clear(&empty);
		c->sending = c->out;
		c->out = empty;
		c->sent = 0;
	}
	if (c->sending.len == 0)
		return;
	c->send_iov = (struct iovec){ .iov_base = c->sending.data + c->sent,
				      .iov_len = c->sending.len - c->sent };
	c->send_msg = (struct msghdr){ .msg_iov = &c->send_iov, .msg_iovlen = 1 };
	c->in_send = true;
	c->send_io.done = sent;
	reactor_io_sendmsg(&c->send_io, c->fd, &c->send_msg);
}

/* --- requests --------------------------------------------------------------------------------- */

static void refuse_rest(struct rpc_client *c, const struct error *err)
{
	c->ended = true;
	c->refusal = err->code == -EILSEQ     ? RPC_PARSE_ERROR
		     : err->code == -EMSGSIZE ? RPC_INVALID_REQUEST
					      : RPC_INTERNAL_ERROR;
	c->refusal_text = *err;
}

static void take_input(struct rpc_client *c)
{
	struct error err = ERROR_INIT;

	c->processing = true;
	while (!c->ended && c->in_at < c->in_len && !must_wait(c)) {
		size_t taken;
		enum json_feed feed = json_reader_feed(c->reader, c->in + c->in_at,
						       c->in_len - c->in_at, &taken, &err);

		c->in_at += taken;
		c->text_bytes += taken;
		if (feed == JSON_FEED_ERROR) {
			refuse_rest(c, &err);
		} else if (feed == JSON_FEED_VALUE) {
			rpc_envelope_take(c, json_reader_value(c->reader), c->text_bytes);
			json_reader_next(c->reader);
			c->text_bytes = 0;
		}
	}
	c->processing = false;
}

static void received(struct reactor_io *io, int32_t result)
{
	struct rpc_client *c = container_of(io, struct rpc_client, recv_io);

	c->receiving = false;
	if (c->closing) {
		free_when_idle(c);
		return;
	}
	if (result == 0) {
		c->ended = true;
	} else if (result > 0) {
		c->in_at = 0;
		c->in_len = (size_t)result;
	} else if (result != -EAGAIN && result != -EINTR && result != -ECANCELED) {
		client_break(c);
		return;
	}
	rpc_client_work_later(c);
}

static void receive(struct rpc_client *c)
{
	c->recv_iov = (struct iovec){ .iov_base = c->in, .iov_len = sizeof(c->in) };
	c->recv_msg = (struct msghdr){ .msg_iov = &c->recv_iov, .msg_iovlen = 1 };
	c->receiving = true;
	reactor_timer_stop(&c->watch);
	c->recv_io.done = received;
	reactor_io_recvmsg(&c->recv_io, c->fd, &c->recv_msg, 0);
}

/* --- a client that is not read from may still go ---------------------------------------------- */

/* A half-closed client gets its answers; only one that is gone shows POLLHUP. */
static bool is_gone(const struct rpc_client *c)
{
	struct pollfd fd = { .fd = c->fd };

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR)) != 0;
}

static void look(struct reactor_timer *timer)
{
	struct rpc_client *c = container_of(timer, struct rpc_client, watch);

	if (is_gone(c))
		client_break(c);
	else
		reactor_timer_start(&c->watch, WATCH_NS);
}

/*
 * By the clock, as io_uring's poll cannot tell a half-closed socket from one that is closed. It
 * ends when the client is read from again.
 */
static void watch(struct rpc_client *c)
{
	if (!reactor_timer_is_started(&c->watch))
		look(&c->watch);
}

/* --- one look at everything ------------------------------------------------------------------- */

static void finish(struct rpc_client *c)
{
	if (c->refusal && c->owed == 0) {
		rpc_envelope_error(&c->out, c->refusal, c->refusal_text.text);
		c->refusal = 0;
	}
	if (!c->in_send)
		send_more(c);
	if (c->owed == 0 && !c->in_send)
		client_close(c);
	else
		watch(c);
}

static void work(struct reactor_flush *flush)
{
	struct rpc_client *c = container_of(flush, struct rpc_client, work);

	if (!c->closing)
		take_input(c);
	if (c->closing) {
		free_when_idle(c);
		return;
	}
	if (c->out.failed) {
		client_break(c);
		return;
	}
	if (c->ended) {
		finish(c);
		return;
	}
	if (!c->in_send)
		send_more(c);
	if (c->receiving)
		return;
	if (c->in_at == c->in_len && !must_wait(c))
		receive(c);
	else
		watch(c);
}

void rpc_client_work_later(struct rpc_client *c)
{
	if (c->closing)
		free_when_idle(c);
	else
		reactor_flush_later(&c->work);
}

int rpc_client_start(struct rpc_server *server, const struct rpc_server_limits *limits, int fd,
		     struct rpc_client **client)
{
	struct rpc_client *c = calloc(1, sizeof(*c));

	if (c)
		c->reader = json_reader_create(&limits->text);
	if (!c || !c->reader) {
		free(c);
		close(fd);
		return -ENOMEM;
	}
	c->server = server;
	c->limits = limits;
	c->fd = fd;
	c->work.fn = work;
	c->watch.fn = look;
	TAILQ_INIT(&c->items);
	rpc_client_work_later(c);
	*client = c;
	return 0;
}

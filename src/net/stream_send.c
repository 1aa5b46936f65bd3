/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending side of a stream: what is queued in a turn goes out as one message; what is queued
 * while that is under way goes out with the next.
 *
 * Threading: the stream's reactor.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "net/stream_tls.h"

static size_t send_total(const struct net_send *send)
{
	size_t total = 0;

	for (uint32_t i = 0; i < send->iovcnt; i++)
		total += send->iov[i].iov_len;
	return total;
}

static struct net_send *send_take(struct net_stream *s)
{
	struct net_send *send = s->send_head;

	if (send)
		s->send_head = send->next;
	return send;
}

void stream_send_fail(struct net_stream *s, int result)
{
	struct net_send *send;

	if (s->sending)
		return;
	while ((send = send_take(s)) != NULL) {
		s->unsent -= send_total(send) - send->sent;
		send->done(send, result);
	}
}

/* --- gathering ------------------------------------------------------------------------------ */

/*
 * The array grows with what is queued, so that an idle stream costs little. With no memory the
 * array stays as it is and the rest goes out with the next message.
 */
static void iov_grow(struct net_stream *s)
{
	uint32_t count = s->send_iov_count ? s->send_iov_count * 2 : SEND_IOV_START;
	struct iovec *iov;

	if (count > SEND_IOV_MAX)
		return;
	iov = reallocarray(s->send_iov, count, sizeof(*iov));
	if (!iov)
		return;
	s->send_iov = iov;
	s->send_iov_count = count;
}

/* Append what @send still has; false when the array or the bound of bytes is full. */
static bool gather_one(struct net_stream *s, const struct net_send *send, uint32_t *count,
		       size_t *bytes)
{
	size_t skip = send->sent;

	for (uint32_t i = 0; i < send->iovcnt; i++) {
		const struct iovec *v = &send->iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		if (*count == s->send_iov_count)
			iov_grow(s);
		if (*count == s->send_iov_count || *bytes >= SEND_BYTES_MAX)
			return false;
		s->send_iov[*count].iov_base = (uint8_t *)v->iov_base + skip;
		s->send_iov[*count].iov_len = v->iov_len - skip;
		*bytes += v->iov_len - skip;
		(*count)++;
		skip = 0;
	}
	return true;
}

/*
 * After a reset what the peer sent before it may still be there (why it hung up, for one): the
 * receiving side comes to the end by itself.
 */
static void send_broke(struct net_stream *s, int error)
{
	s->send_error = error == -EPIPE ? -ECONNRESET : error;
	if (s->send_error == -ECONNRESET && s->receiving != NET_RECEIVING_OFF)
		stream_step_later(s);
	else
		stream_end(s, s->send_error);
}

static void send_out(struct net_stream *s, struct iovec *iov, uint32_t count)
{
	s->send_msg.msg_iov = iov;
	s->send_msg.msg_iovlen = count;
	s->sending = true;
	reactor_io_sendmsg(&s->send_io, s->fd, &s->send_msg);
}

static void gather_plain(struct net_stream *s)
{
	uint32_t count = 0;
	size_t bytes = 0;

	for (const struct net_send *send = s->send_head; send; send = send->next) {
		if (!gather_one(s, send, &count, &bytes))
			break;
	}
	/* Not even the first array could be had. */
	if (s->send_head && count == 0)
		send_broke(s, -ENOMEM);
	else if (s->send_head)
		send_out(s, s->send_iov, count);
}

static void gather_sealed(struct net_stream *s)
{
	struct iovec *iov = stream_tls_gather(s);

	if (iov)
		send_out(s, iov, 1);
}

static void send_flush(struct reactor_flush *flush)
{
	struct net_stream *s = container_of(flush, struct net_stream, flush);

	if (s->silent || s->send_error)
		stream_step_later(s);
	if (s->aborting || s->send_error)
		return;
	if (s->sending)
		return;
	if (s->tls)
		gather_sealed(s);
	else
		gather_plain(s);
}

/* --- completion ----------------------------------------------------------------------------- */

static void account(struct net_stream *s, size_t bytes)
{
	s->unsent -= bytes;
	while (bytes > 0) {
		struct net_send *send = s->send_head;
		size_t left = send_total(send) - send->sent;

		if (bytes < left) {
			send->sent += bytes;
			return;
		}
		bytes -= left;
		send->sent += left;
		(void)send_take(s);
		send->done(send, 0);
	}
}

static void sent(struct reactor_io *io, int32_t result)
{
	struct net_stream *s = container_of(io, struct net_stream, send_io);

	if (result > 0)
		account(s, s->tls ? stream_tls_sent(s, (size_t)result) : (size_t)result);
	/* Only now: sends queued by a done() above wait for the flush below. */
	s->sending = false;
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		send_broke(s, result);
		return;
	}
	if (s->silent)
		stream_step_later(s);
	if (s->send_head || s->tls)
		reactor_flush_later(&s->flush);
}

void net_stream_send(struct net_stream *stream, struct net_send *send)
{
	size_t total = send_total(send);

	assert(total > 0 && stream->ops && !stream->silent);
	send->sent = 0;
	send->next = NULL;
	if (stream->send_head)
		stream->send_tail->next = send;
	else
		stream->send_head = send;
	stream->send_tail = send;
	stream->unsent += total;
	reactor_flush_later(&stream->flush);
}

size_t net_stream_unsent(const struct net_stream *stream)
{
	return stream->unsent;
}

void stream_send_init(struct net_stream *s)
{
	s->flush.fn = send_flush;
	s->send_io.done = sent;
}

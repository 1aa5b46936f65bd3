/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving side of a stream: bytes from the reactor's buffers to data() or into the place of
 * a net_read, bytes that nobody takes yet, and the direct way for large reads.
 *
 * Order: bytes reach the user as they came. While any are held, new ones are held behind them, and
 * a direct receive starts only when nothing is held and the multishot receive has stopped.
 *
 * With TLS what is held is sealed, and there is no direct way.
 *
 * Threading: the stream's reactor.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stream_tls.h"

/* --- reading into a place ------------------------------------------------------------------- */

static size_t read_total(const struct net_read *read)
{
	size_t total = 0;

	for (uint32_t i = 0; i < read->iovcnt; i++)
		total += read->iov[i].iov_len;
	return total;
}

static size_t read_left(const struct net_read *read)
{
	return read_total(read) - read->filled;
}

void stream_read_fail(struct net_stream *s, int result)
{
	struct net_read *read = s->read;

	s->read = NULL;
	if (read)
		read->done(read, result);
}

static void read_finish(struct net_stream *s)
{
	stream_read_fail(s, 0);
}

/* The part of the place that is still empty, in at most READ_DIRECT_IOVS pieces. */
static unsigned int read_rest(const struct net_read *read, struct iovec *out)
{
	size_t skip = read->filled;
	unsigned int count = 0;

	for (uint32_t i = 0; i < read->iovcnt && count < READ_DIRECT_IOVS; i++) {
		const struct iovec *v = &read->iov[i];

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

void stream_read_place(const struct net_stream *s, struct iovec *place)
{
	struct iovec rest[READ_DIRECT_IOVS];

	(void)read_rest(s->read, rest);
	*place = rest[0];
}

void stream_read_took(struct net_stream *s, size_t len)
{
	s->consuming = true;
	s->read->filled += len;
	if (read_left(s->read) == 0)
		read_finish(s);
	s->consuming = false;
}

static size_t read_fill(struct net_read *read, const uint8_t *data, size_t len)
{
	size_t skip = read->filled;
	size_t done = 0;

	for (uint32_t i = 0; i < read->iovcnt && done < len; i++) {
		const struct iovec *v = &read->iov[i];
		size_t n;

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		n = v->iov_len - skip < len - done ? v->iov_len - skip : len - done;
		memcpy((uint8_t *)v->iov_base + skip, data + done, n);
		done += n;
		skip = 0;
	}
	read->filled += done;
	return done;
}

/* --- giving bytes to the user --------------------------------------------------------------- */

size_t stream_consume(struct net_stream *s, const uint8_t *data, size_t len)
{
	size_t off = 0;

	s->consuming = true;
	while (off < len && !s->silent) {
		if (s->read) {
			off += read_fill(s->read, data + off, len - off);
			if (read_left(s->read) == 0)
				read_finish(s);
			continue;
		}
		if (s->paused)
			break;
		off += s->ops->data(s, s->user, data + off, len - off);
		assert(off <= len);
		if (off < len && !s->read)
			s->paused = true;
	}
	s->consuming = false;
	return s->silent ? len : off;
}

static size_t take(struct net_stream *s, const uint8_t *data, size_t len)
{
	return s->tls ? stream_tls_input(s, data, len) : stream_consume(s, data, len);
}

static bool hold(struct net_stream *s, const uint8_t *data, size_t len)
{
	struct held *h = malloc(sizeof(*h) + len);

	if (!h)
		return false;
	h->next = NULL;
	h->len = len;
	h->taken = 0;
	memcpy(h->data, data, len);
	if (s->held_head)
		s->held_tail->next = h;
	else
		s->held_head = h;
	s->held_tail = h;
	return true;
}

static void held_free(struct net_stream *s)
{
	struct held *h = s->held_head;

	s->held_head = h->next;
	free(h);
}

static void held_take(struct net_stream *s)
{
	struct held *h = s->held_head;

	h->taken += take(s, h->data + h->taken, h->len - h->taken);
	if (h->taken == h->len)
		held_free(s);
}

void stream_recv_held(struct net_stream *s)
{
	/* What was opened already, or the beginning of a handshake. */
	if (s->tls && s->ops)
		(void)stream_tls_input(s, NULL, 0);
	while (s->held_head && !s->silent && (s->read || !s->paused))
		held_take(s);
}

void stream_recv_drop(struct net_stream *s)
{
	while (s->held_head)
		held_free(s);
}

static void on_data(struct reactor_recv *recv, void *buffer, int32_t result)
{
	struct net_stream *s = container_of(recv, struct net_stream, recv);
	size_t len, taken = 0;

	if (result <= 0) {
		if (s->receiving == NET_RECEIVING_MULTI)
			s->receiving = NET_RECEIVING_OFF;
		stream_end(s, result);
		return;
	}
	len = (size_t)result;
	if (s->ended || (s->silent && !(s->tls && stream_tls_shakes(s))))
		taken = len;
	else if (!s->held_head)
		taken = take(s, buffer, len);
	/* Copied, so that a user who does not take keeps no buffer from other streams. */
	if (taken < len && !hold(s, (const uint8_t *)buffer + taken, len - taken))
		stream_end(s, -ENOMEM);
	reactor_recv_release(buffer);
	if (s->silent)
		stream_step_later(s);
	else
		stream_recv_adjust(s);
}

/* --- which way to receive ------------------------------------------------------------------- */

static void direct_done(struct reactor_io *io, int32_t result)
{
	struct net_stream *s = container_of(io, struct net_stream, read_io);

	s->receiving = NET_RECEIVING_OFF;
	if (result > 0) {
		s->read->filled += (size_t)result;
		if (read_left(s->read) == 0 && !s->silent)
			read_finish(s);
	} else if (result == 0) {
		stream_end(s, 0);
	} else if (result != -EINTR && result != -EAGAIN && result != -ECANCELED) {
		stream_end(s, result);
	}
	if (s->silent || s->ended)
		stream_step_later(s);
	else
		stream_recv_adjust(s);
}

static void direct_start(struct net_stream *s)
{
	s->read_msg.msg_iov = s->read_iov;
	s->read_msg.msg_iovlen = read_rest(s->read, s->read_iov);
	s->receiving = NET_RECEIVING_DIRECT;
	reactor_io_recvmsg(&s->read_io, s->fd, &s->read_msg, MSG_WAITALL);
}

static enum net_receiving wanted(const struct net_stream *s)
{
	if (s->ended || !s->ops || s->aborting)
		return NET_RECEIVING_OFF;
	if (s->silent)
		return NET_RECEIVING_MULTI; /* to see the peer's end of stream */
	if (s->read && !s->tls && !s->held_head && read_left(s->read) >= READ_DIRECT_MIN)
		return NET_RECEIVING_DIRECT;
	if (s->paused && !s->read)
		return NET_RECEIVING_OFF;
	return NET_RECEIVING_MULTI;
}

static void stopped(struct reactor_recv *recv)
{
	struct net_stream *s = container_of(recv, struct net_stream, recv);

	s->receiving = NET_RECEIVING_OFF;
	if (s->silent || s->ended)
		stream_step_later(s);
	else
		stream_recv_adjust(s);
}

void stream_recv_adjust(struct net_stream *s)
{
	enum net_receiving want = wanted(s);

	if (s->silent && want == NET_RECEIVING_OFF)
		stream_watch_stop(s);
	if (s->receiving == NET_RECEIVING_MULTI && want != NET_RECEIVING_MULTI) {
		s->receiving = NET_RECEIVING_STOPPING;
		reactor_recv_stop(&s->recv, stopped);
		return;
	}
	if (s->receiving != NET_RECEIVING_OFF)
		return;
	if (want == NET_RECEIVING_MULTI) {
		s->receiving = NET_RECEIVING_MULTI;
		reactor_recv_start(&s->recv, s->fd);
	} else if (want == NET_RECEIVING_DIRECT) {
		direct_start(s);
	} else if (s->paused && !s->ended) {
		stream_watch_start(s);
	}
}

void net_stream_read_into(struct net_stream *stream, struct net_read *read)
{
	assert(!stream->read && !stream->silent);
	read->filled = 0;
	assert(read_total(read) > 0);
	stream->read = read;
	stream->paused = false;
	/* Inside data() or a read's done() the caller goes on with what is there. */
	if (!stream->consuming)
		stream_step_later(stream);
}

void net_stream_resume(struct net_stream *stream)
{
	if (stream->silent)
		return;
	stream->resumed = true;
	stream_step_later(stream);
}

void stream_recv_init(struct net_stream *s)
{
	s->recv.data = on_data;
	s->read_io.done = direct_done;
}

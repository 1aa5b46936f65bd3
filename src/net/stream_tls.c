/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS between a stream's user and its socket.
 *
 * Receiving: sealed bytes go through OpenSSL, record by record, to data() or into the place of a
 * net_read. Bytes that the user does not take yet stay sealed, but for the rest of the record that
 * was opened last.
 *
 * Sending: what is queued is sealed, up to a bound, when the batch before is with the kernel; a
 * send is answered when its whole batch is. What TLS says by itself is collected in session.next
 * meanwhile, since the kernel reads @out while it sends.
 *
 * Threading: the stream's reactor.
 */
#include "net/stream_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_session.h"

/* Kept by an idle stream; larger ones come anew with each burst. */
#define OUT_KEPT (32u * 1024)

/**
 * struct stream_tls
 * @out: being sent, from @out_at on; @plain: bytes of the user's that it holds
 * @rest: opened bytes that the user did not take, from @rest_at on
 * @closed: the peer's close_notify came; @failed: nothing more can come or go
 * @finished: ours was made
 */
struct stream_tls {
	struct tls_session session;
	struct tls_buffer out;
	struct iovec iov;
	size_t out_at, plain;
	uint8_t *rest;
	size_t rest_len, rest_at;
	bool closed, failed, finished;
};

static _Thread_local uint8_t record[TLS_RECORD_MAX];

static void fail(struct net_stream *s, int code)
{
	s->tls->failed = true;
	log_info(net, "TLS: %s", s->tls->session.words);
	stream_end(s, code);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool keep_rest(struct stream_tls *tls, const uint8_t *data, size_t len)
{
	tls->rest = malloc(len);
	if (!tls->rest)
		return false;
	memcpy(tls->rest, data, len);
	tls->rest_len = len;
	tls->rest_at = 0;
	return true;
}

/* Return: false while the user does not take it all. */
static bool give_rest(struct net_stream *s)
{
	struct stream_tls *tls = s->tls;

	if (!tls->rest)
		return true;
	if (s->paused && !s->read)
		return false;
	tls->rest_at += stream_consume(s, tls->rest + tls->rest_at, tls->rest_len - tls->rest_at);
	if (tls->rest_at < tls->rest_len)
		return false;
	free(tls->rest);
	tls->rest = NULL;
	return true;
}

static bool give_record(struct net_stream *s, size_t len)
{
	size_t taken = stream_consume(s, record, len);

	if (taken == len)
		return true;
	if (!keep_rest(s->tls, record + taken, len - taken))
		stream_end(s, -ENOMEM);
	return false;
}

/* OpenSSL gave nothing: wait for more bytes, or this is the end. */
static void ended(struct net_stream *s, int result)
{
	struct stream_tls *tls = s->tls;

	switch (SSL_get_error(tls->session.ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return;
	case SSL_ERROR_ZERO_RETURN:
		tls->closed = true;
		stream_end(s, 0);
		return;
	default:
		fail(s, tls_session_failure(&tls->session));
	}
}

/* Return: true when there may be more. */
static bool open_record(struct net_stream *s)
{
	SSL *ssl = s->tls->session.ssl;
	struct iovec place = { .iov_base = record, .iov_len = sizeof(record) };
	int n;

	if (s->read)
		stream_read_place(s, &place);
	if (place.iov_len > TLS_RECORD_MAX)
		place.iov_len = TLS_RECORD_MAX;
	ERR_clear_error();
	n = SSL_read(ssl, place.iov_base, (int)place.iov_len);
	if (n <= 0) {
		ended(s, n);
		return false;
	}
	if (s->read) {
		stream_read_took(s, (size_t)n);
		return true;
	}
	return give_record(s, (size_t)n);
}

static bool handshake(struct net_stream *s)
{
	int rc = tls_session_handshake(&s->tls->session);

	if (rc < 0)
		fail(s, rc);
	/* What was queued meanwhile goes out now. */
	if (rc > 0)
		reactor_flush_later(&s->flush);
	return rc > 0;
}

bool stream_tls_shakes(const struct net_stream *s)
{
	return !s->tls->session.ready && !s->tls->failed;
}

/* A user who closes with bytes queued during the handshake still has them go out. */
static bool is_over(const struct net_stream *s)
{
	return s->tls->closed || s->tls->failed || s->told || (s->silent && s->tls->session.ready);
}

size_t stream_tls_input(struct net_stream *s, const uint8_t *data, size_t len)
{
	struct stream_tls *tls = s->tls;
	bool more = true;

	tls->session.in = data;
	tls->session.in_len = len;
	while (more && !is_over(s)) {
		if (!tls->session.ready)
			more = handshake(s);
		else if (!give_rest(s) || (s->paused && !s->read))
			more = false;
		else if (!is_over(s))
			more = open_record(s);
	}
	len -= is_over(s) ? 0 : tls->session.in_len;
	tls->session.in = NULL;
	tls->session.in_len = 0;
	if (tls->session.next.len)
		reactor_flush_later(&s->flush);
	return len;
}

bool stream_tls_has_more(const struct net_stream *s)
{
	return s->tls->rest ||
	       (s->tls->session.ready && !is_over(s) && SSL_pending(s->tls->session.ssl) > 0);
}

int stream_tls_end(struct net_stream *s, int reason)
{
	struct tls_session *session = &s->tls->session;

	if (reason != 0 || s->tls->closed)
		return reason;
	snprintf(session->words, sizeof(session->words), "%s",
		 session->ready ? "the connection was cut: it ended without a close_notify"
				: "the other side hung up before the handshake was over");
	return -ECONNRESET;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool seal_record(struct net_stream *s, const void *data, size_t len)
{
	struct stream_tls *tls = s->tls;

	ERR_clear_error();
	if (SSL_write(tls->session.ssl, data, (int)len) != (int)len) {
		fail(s, tls_session_failure(&tls->session));
		return false;
	}
	tls->plain += len;
	return true;
}

/* Small pieces (a header, its data, a digest) share a record; @have: bytes of the one at hand. */
static bool seal_piece(struct net_stream *s, const uint8_t *data, size_t len, size_t *have)
{
	while (len > 0) {
		size_t n = TLS_RECORD_MAX - *have < len ? TLS_RECORD_MAX - *have : len;
		bool whole = n == TLS_RECORD_MAX;

		if (!whole)
			memcpy(record + *have, data, n);
		*have += n;
		data += n;
		len -= n;
		if (*have < TLS_RECORD_MAX)
			return true;
		*have = 0;
		if (!seal_record(s, whole ? data - n : record, TLS_RECORD_MAX))
			return false;
	}
	return true;
}

static bool seal_send(struct net_stream *s, const struct net_send *send, size_t *have)
{
	size_t skip = send->sent;

	for (uint32_t i = 0; i < send->iovcnt; i++) {
		const struct iovec *v = &send->iov[i];
		size_t room = TLS_BATCH_BYTES - s->tls->plain - *have;
		size_t len = v->iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len -= skip;
		if (len > room)
			len = room;
		if (!seal_piece(s, (const uint8_t *)v->iov_base + skip, len, have) || len == room)
			return false;
		skip = 0;
	}
	return true;
}

static void seal_queued(struct net_stream *s)
{
	const struct net_send *send = s->send_head;
	size_t have = 0;

	while (send && seal_send(s, send, &have))
		send = send->next;
	if (have > 0 && !s->tls->failed)
		seal_record(s, record, have);
}

static void buffer_shrink(struct tls_buffer *b)
{
	if (b->size <= OUT_KEPT)
		return;
	free(b->data);
	b->data = NULL;
	b->size = 0;
}

struct iovec *stream_tls_gather(struct net_stream *s)
{
	struct stream_tls *tls = s->tls;

	if (tls->out_at == tls->out.len) {
		struct tls_buffer empty = tls->out;

		if (tls->session.ready && !tls->failed && !tls->finished)
			seal_queued(s);
		tls->out = tls->session.next;
		tls->session.next = empty;
		tls->session.next.len = 0;
		tls->out_at = 0;
	}
	if (tls->out_at < tls->out.len) {
		tls->iov.iov_base = tls->out.data + tls->out_at;
		tls->iov.iov_len = tls->out.len - tls->out_at;
		return &tls->iov;
	}
	buffer_shrink(&tls->out);
	buffer_shrink(&tls->session.next);
	return NULL;
}

size_t stream_tls_sent(struct net_stream *s, size_t bytes)
{
	struct stream_tls *tls = s->tls;
	size_t plain = tls->plain;

	tls->out_at += bytes;
	if (tls->out_at < tls->out.len)
		return 0;
	tls->out_at = 0;
	tls->out.len = 0;
	tls->plain = 0;
	return plain;
}

bool stream_tls_finish(struct net_stream *s)
{
	struct stream_tls *tls = s->tls;

	if (stream_tls_shakes(s) && s->send_head) {
		(void)stream_tls_input(s, NULL, 0);
		return tls->failed && stream_tls_finish(s);
	}
	if (!tls->session.ready || tls->failed) {
		stream_send_fail(s, -ECANCELED);
	} else if (s->send_head) {
		return false;
	} else if (!tls->finished) {
		tls->finished = true;
		ERR_clear_error();
		(void)SSL_shutdown(tls->session.ssl);
	}
	if (tls->session.next.len == 0 && tls->out_at == tls->out.len)
		return true;
	reactor_flush_later(&s->flush);
	return false;
}

/* --- life ------------------------------------------------------------------------------------- */

static int secure(struct net_stream *s, struct stream_tls *tls)
{
	if (tls_session_init(&tls->session) < 0) {
		free(tls);
		return -ENOMEM;
	}
	s->tls = tls;
	return 0;
}

int net_stream_tls_connect(struct net_stream *stream, const char *identity,
			   const struct net_tls_key *key)
{
	struct stream_tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	snprintf(tls->session.identity, sizeof(tls->session.identity), "%s", identity);
	tls->session.key = *key;
	return secure(stream, tls);
}

int net_stream_tls_accept(struct net_stream *stream,
			  bool (*find)(void *arg, const char *identity, struct net_tls_key *key),
			  void *arg)
{
	struct stream_tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	tls->session.server = true;
	tls->session.find = find;
	tls->session.arg = arg;
	return secure(stream, tls);
}

void stream_tls_free(struct net_stream *s)
{
	tls_session_fini(&s->tls->session);
	free(s->tls->out.data);
	free(s->tls->rest);
	free(s->tls);
	s->tls = NULL;
}

const char *net_stream_tls_identity(const struct net_stream *stream)
{
	return stream->tls && stream->tls->session.ready ? stream->tls->session.identity : NULL;
}

const char *net_stream_tls_error(const struct net_stream *stream)
{
	return stream->tls && stream->tls->session.words[0] ? stream->tls->session.words : NULL;
}

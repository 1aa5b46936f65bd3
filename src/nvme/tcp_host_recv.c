/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from the controller: cut into PDUs, their data brought to its place.
 *
 * Threading: on the queue pair's reactor.
 */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "net/tls.h"
#include "nvme/tcp_host.h"

/* --- headers ---------------------------------------------------------------------------------- */

static bool take_common(struct tcp_qpair *tq, const uint8_t *header)
{
	const struct nvme_tcp_common *ch = (const struct nvme_tcp_common *)header;
	uint32_t fei = 0;
	int fes;

	/* Nothing but ICResp (or a termination) comes first, and it comes once (3.4.1). */
	if (nvme_tcp_header_len(ch->type) != 0 && ch->type != NVME_TCP_C2H_TERM &&
	    (ch->type == NVME_TCP_IC_RESP) == tq->initialised) {
		tcp_bad_pdu(tq, ch, sizeof(*ch), NVME_TCP_FES_SEQUENCE, 0, "PDU type 0x%02x %s",
			    ch->type, tq->initialised ? "a second time" : "before ICResp");
		return false;
	}
	fes = nvme_tcp_check_common(ch, &tq->rules, &tq->rx.layout, &fei);
	if (fes == 0)
		return true;
	tcp_bad_pdu(tq, ch, sizeof(*ch), (uint16_t)fes, fei,
		    "type 0x%02x, flags 0x%02x, HLEN %u, PDO %u, PLEN %u: wrong at byte %u",
		    ch->type, ch->flags, ch->hlen, ch->pdo, le32_get(&ch->plen), fei);
	return false;
}

static bool header_digest_is_good(struct tcp_qpair *tq, const uint8_t *header)
{
	uint8_t hlen = header[offsetof(struct nvme_tcp_common, hlen)];
	uint32_t digest;

	if (tq->rx.layout.header == hlen)
		return true;
	digest = le32_get(header + hlen);
	if (digest == crc32c_finish(crc32c_update(CRC32C_INIT, header, hlen)))
		return true;
	tcp_bad_pdu(tq, header, hlen, NVME_TCP_FES_HEADER_DIGEST, digest,
		    "header digest 0x%08x of a PDU of type 0x%02x is wrong", digest, header[0]);
	return false;
}

static void header_whole(struct tcp_qpair *tq, const uint8_t *header)
{
	tq->rx.have = 0;
	if (header_digest_is_good(tq, header))
		tcp_take_pdu(tq, header);
}

/* Take up to @want bytes of a header together; true when it has them. */
static bool collect(struct tcp_rx *rx, uint32_t want, const uint8_t **data, size_t *len)
{
	size_t n = want - rx->have;

	if (n > *len)
		n = *len;
	memcpy(rx->header + rx->have, *data, n);
	rx->have += (uint32_t)n;
	*data += n;
	*len -= n;
	return rx->have == want;
}

static size_t rx_header(struct tcp_qpair *tq, const uint8_t *data, size_t len)
{
	struct tcp_rx *rx = &tq->rx;
	size_t whole = len;

	if (rx->have == 0 && len >= sizeof(struct nvme_tcp_common)) {
		if (!take_common(tq, data))
			return whole;
		if (len >= rx->layout.header) {
			header_whole(tq, data);
			return rx->layout.header;
		}
		collect(rx, sizeof(struct nvme_tcp_common), &data, &len);
	}
	if (rx->have < sizeof(struct nvme_tcp_common)) {
		if (!collect(rx, sizeof(struct nvme_tcp_common), &data, &len))
			return whole;
		if (!take_common(tq, rx->header))
			return whole;
	}
	if (collect(rx, rx->layout.header, &data, &len))
		header_whole(tq, rx->header);
	return whole - len;
}

/* --- data ------------------------------------------------------------------------------------- */

static size_t rx_pad(struct tcp_qpair *tq, const uint8_t *data, size_t len)
{
	struct tcp_rx *rx = &tq->rx;

	(void)data;
	if (len > rx->left)
		len = rx->left;
	rx->left -= (uint32_t)len;
	if (rx->left == 0) {
		rx->phase = TCP_RX_DATA;
		rx->left = rx->layout.data_len;
	}
	return len;
}

static void data_whole(struct tcp_qpair *tq)
{
	if (tq->rx.layout.ddgst) {
		tq->rx.phase = TCP_RX_DIGEST;
	} else {
		tq->rx.phase = TCP_RX_HEADER;
		tcp_data_end(tq);
	}
}

static void read_done(struct net_read *read, int result)
{
	struct tcp_qpair *tq = container_of(read, struct tcp_qpair, rx.read);
	struct tcp_rx *rx = &tq->rx;

	rx->reading = false;
	if (tq->base.state > NVME_QPAIR_READY)
		return;
	if (result != 0) {
		nvme_qpair_fail(&tq->base, false, result, "cannot receive: %s",
				error_errno_text(result));
		return;
	}
	for (uint32_t i = 0; rx->layout.ddgst && i < read->iovcnt; i++)
		rx->crc = crc32c_update(rx->crc, rx->iov[i].iov_base, rx->iov[i].iov_len);
	rx->left = 0;
	data_whole(tq);
}

/* A long remainder goes from the socket to its place without a copy. */
static void read_rest(struct tcp_qpair *tq)
{
	struct tcp_rx *rx = &tq->rx;
	struct tcp_slot *slot = rx->slot;
	uint32_t left = rx->left, n = 0;

	while (left) {
		rx->iov[n] = tcp_cursor_take(&slot->cursor, slot->base.req->iov, left);
		left -= (uint32_t)rx->iov[n++].iov_len;
	}
	rx->reading = true;
	rx->read = (struct net_read){ .iov = rx->iov, .iovcnt = n, .done = read_done };
	net_stream_read_into(tq->stream, &rx->read);
}

static size_t rx_data(struct tcp_qpair *tq, const uint8_t *data, size_t len)
{
	struct tcp_rx *rx = &tq->rx;
	struct tcp_slot *slot = rx->slot;

	if (len > rx->left)
		len = rx->left;
	for (size_t n = 0; n < len;) {
		struct iovec to = tcp_cursor_take(&slot->cursor, slot->base.req->iov, len - n);

		memcpy(to.iov_base, data + n, to.iov_len);
		n += to.iov_len;
	}
	if (rx->layout.ddgst)
		rx->crc = crc32c_update(rx->crc, data, len);
	rx->left -= (uint32_t)len;
	if (rx->left == 0)
		data_whole(tq);
	else if (rx->left >= TCP_READ_DIRECT_MIN)
		read_rest(tq);
	return len;
}

/* A wrong data digest costs the command, not the connection (3.3.1.1.2). */
static size_t rx_digest(struct tcp_qpair *tq, const uint8_t *data, size_t len)
{
	struct tcp_rx *rx = &tq->rx;

	if (len > sizeof(rx->digest) - rx->have)
		len = sizeof(rx->digest) - rx->have;
	memcpy(rx->digest + rx->have, data, len);
	rx->have += (uint32_t)len;
	if (rx->have < sizeof(rx->digest))
		return len;
	rx->have = 0;
	rx->phase = TCP_RX_HEADER;
	if (le32_get(rx->digest) != crc32c_finish(rx->crc))
		rx->slot->status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_TRANSIENT_TRANSPORT_ERROR);
	tcp_data_end(tq);
	return len;
}

/* --- the stream ------------------------------------------------------------------------------- */

static size_t data(struct net_stream *stream, void *user, const uint8_t *bytes, size_t len)
{
	static size_t (*const phases[])(struct tcp_qpair *, const uint8_t *, size_t) = {
		[TCP_RX_HEADER] = rx_header,
		[TCP_RX_PAD] = rx_pad,
		[TCP_RX_DATA] = rx_data,
		[TCP_RX_DIGEST] = rx_digest,
	};
	struct tcp_qpair *tq = user;
	size_t used = 0;

	(void)stream;
	while (used < len && !tq->rx.reading && tq->base.state <= NVME_QPAIR_READY)
		used += phases[tq->rx.phase](tq, bytes + used, len - used);
	return tq->rx.reading ? used : len;
}

static void closed(struct net_stream *stream, void *user, int reason)
{
	const char *tls = net_stream_tls_error(stream);
	struct tcp_qpair *tq = user;

	if (tls)
		nvme_qpair_fail(&tq->base, false, reason, "TLS: %s", tls);
	else if (reason == 0)
		nvme_qpair_fail(&tq->base, false, -ECONNRESET,
				"the controller closed the connection");
	else
		nvme_qpair_fail(&tq->base, false, reason, "the connection broke: %s",
				error_errno_text(reason));
}

const struct net_stream_ops tcp_stream_ops = { .data = data, .closed = closed };

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving PDUs: from bytes in any split to headers, data and digests.
 *
 * Everything a PDU says is checked in tcp_check.c when its header is whole, before any of it is
 * used. A PDU is begun only while a request slot is free, so a header never has to be kept back.
 *
 * Threading: the connection's reactor.
 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/crc32c.h"
#include "base/le.h"
#include "net/tls.h"
#include "nvmf/ctrlr.h"
#include "nvmf/tcp.h"

/* With more than this missing the stream receives in place. */
#define READ_IN_PLACE_MIN 2048u

/* --- the end of a PDU ------------------------------------------------------------------------ */

static void pdu_done(struct nvmf_conn *conn)
{
	struct nvmf_rx *rx = &conn->rx;
	struct nvmf_req *req = rx->req;

	rx->state = NVMF_RX_HEADER;
	rx->have = 0;
	rx->req = NULL;
	conn->data_pdus++;
	if (!req)
		return;
	if (rx->type == NVME_TCP_CMD)
		nvmf_cmd_begin(req);
	else if (req->received == req->data_len)
		nvmf_cmd_data_done(req);
}

/* The command fails, the connection stays (TCP 1.0, 3.3.1.1.2). */
static void data_digest_wrong(struct nvmf_conn *conn)
{
	struct nvmf_req *req = conn->rx.req;
	char name[NET_ADDR_TEXT];

	log_warning("nvmf: %s: data digest of command %u of queue %u is wrong",
		    nvmf_conn_name(conn, name, sizeof(name)), req->cid, conn->qid);
	req->fail = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_TRANSIENT_TRANSPORT_ERROR);
}

/* CRC of @len bytes of the request's data from @offset on. */
static uint32_t data_crc(const struct nvmf_req *req, uint32_t offset, uint32_t len)
{
	uint32_t crc = CRC32C_INIT;

	for (unsigned int i = 0; i < req->iovcnt && len > 0; i++) {
		const struct iovec *v = &req->iov[i];
		uint32_t n;

		if (offset >= v->iov_len) {
			offset -= (uint32_t)v->iov_len;
			continue;
		}
		n = (uint32_t)v->iov_len - offset < len ? (uint32_t)v->iov_len - offset : len;
		crc = crc32c_update(crc, (const uint8_t *)v->iov_base + offset, n);
		len -= n;
		offset = 0;
	}
	return crc32c_finish(crc);
}

static size_t recv_digest(struct nvmf_conn *conn, const uint8_t *data, size_t len)
{
	struct nvmf_rx *rx = &conn->rx;
	size_t n = NVME_TCP_DIGEST_BYTES - rx->have;

	if (n > len)
		n = len;
	memcpy(rx->header + rx->have, data, n);
	rx->have += (uint32_t)n;
	if (rx->have < NVME_TCP_DIGEST_BYTES)
		return n;
	if (!rx->drop && data_crc(rx->req, rx->offset - rx->layout.data_len, rx->layout.data_len) !=
				 le32_get(rx->header))
		data_digest_wrong(conn);
	pdu_done(conn);
	return n;
}

/* --- data ------------------------------------------------------------------------------------ */

static void data_done(struct nvmf_conn *conn)
{
	struct nvmf_rx *rx = &conn->rx;

	if (rx->layout.ddgst) {
		rx->state = NVMF_RX_DIGEST;
		rx->have = 0;
	} else {
		pdu_done(conn);
	}
}

/* The pieces of the request's memory that the next rx->left bytes go to. */
static unsigned int data_place(const struct nvmf_rx *rx, struct iovec *out)
{
	const struct nvmf_req *req = rx->req;
	size_t skip = rx->offset;
	size_t left = rx->left;
	unsigned int count = 0;

	for (unsigned int i = 0; i < req->iovcnt && left > 0; i++) {
		const struct iovec *v = &req->iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		out[count].iov_base = (uint8_t *)v->iov_base + skip;
		out[count].iov_len = v->iov_len - skip < left ? v->iov_len - skip : left;
		left -= out[count++].iov_len;
		skip = 0;
	}
	assert(left == 0);
	return count;
}

static void read_done(struct net_read *read, int result)
{
	struct nvmf_conn *conn = container_of(read, struct nvmf_conn, rx.read);
	struct nvmf_rx *rx = &conn->rx;

	rx->reading = false;
	if (result < 0 || conn->state >= NVMF_CONN_TERMINATING)
		return;
	rx->offset += rx->left;
	rx->left = 0;
	data_done(conn);
}

static size_t read_in_place(struct nvmf_conn *conn)
{
	struct nvmf_rx *rx = &conn->rx;

	rx->reading = true;
	rx->read = (struct net_read){
		.iov = rx->read_iov,
		.iovcnt = data_place(rx, rx->read_iov),
		.done = read_done,
	};
	net_stream_read_into(conn->stream, &rx->read);
	return 0;
}

static size_t recv_data(struct nvmf_conn *conn, const uint8_t *data, size_t len)
{
	struct nvmf_rx *rx = &conn->rx;
	size_t n = rx->left;

	if (n > len) {
		if (!rx->drop && n - len >= READ_IN_PLACE_MIN)
			return read_in_place(conn);
		n = len;
	}
	if (!rx->drop) {
		struct iovec place[NVMF_REQ_BUFFERS];
		size_t done = 0;

		data_place(rx, place);
		for (unsigned int i = 0; done < n; i++) {
			size_t part = place[i].iov_len < n - done ? place[i].iov_len : n - done;

			memcpy(place[i].iov_base, data + done, part);
			done += part;
		}
	}
	rx->offset += (uint32_t)n;
	rx->left -= (uint32_t)n;
	if (rx->left == 0)
		data_done(conn);
	return n;
}

static size_t recv_pad(struct nvmf_conn *conn, size_t len)
{
	struct nvmf_rx *rx = &conn->rx;
	size_t n = rx->pad < len ? rx->pad : len;

	rx->pad -= (uint32_t)n;
	if (rx->pad == 0)
		rx->state = NVMF_RX_DATA;
	return n;
}

/* --- what each type begins ---------------------------------------------------------------------
 */

/* From here on the data of the PDU comes, for rx->req from rx->offset on. */
static void expect_data(struct nvmf_conn *conn)
{
	struct nvmf_rx *rx = &conn->rx;

	rx->left = rx->layout.data_len;
	rx->pad = rx->layout.data - rx->layout.header;
	rx->have = 0;
	rx->state = rx->pad ? NVMF_RX_PAD : NVMF_RX_DATA;
}

static void begin_ic_req(struct nvmf_conn *conn, const struct nvme_tcp_ic_req *pdu)
{
	conn->rules.hdgst = pdu->dgst & 1;
	conn->rules.ddgst = pdu->dgst >> 1 & 1;
	conn->c2h_alignment = (pdu->hpda + 1u) * 4;
	conn->state = NVMF_CONN_CONNECT;
	nvmf_tcp_ic_resp(conn, pdu->dgst);
}

static void capsule_buffer(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	req->state = NVMF_REQ_CAPSULE;
	nvmf_tcp_unblock(conn);
}

static void begin_cmd(struct nvmf_conn *conn, const struct nvme_tcp_cmd *pdu)
{
	struct nvmf_rx *rx = &conn->rx;
	struct nvmf_req *req = nvmf_cmd_arrived(conn, &pdu->sqe, rx->layout.data_len);

	if (!req)
		return;
	if (rx->layout.data_len == 0) {
		nvmf_cmd_begin(req);
		return;
	}
	rx->req = req;
	rx->offset = 0;
	rx->drop = !req->in_capsule;
	expect_data(conn);
	if (rx->drop)
		return;
	nvmf_stall_watch(conn);
	if (!nvmf_req_buffers_get(req, rx->layout.data_len, capsule_buffer))
		rx->blocked = true;
}

static void begin_h2c_data(struct nvmf_conn *conn, const struct nvme_tcp_data *pdu)
{
	struct nvmf_rx *rx = &conn->rx;

	rx->req = nvmf_req_at(conn, le16_get(&pdu->ttag));
	rx->offset = le32_get(&pdu->datao);
	rx->req->received += rx->layout.data_len;
	rx->drop = false;
	expect_data(conn);
}

static void begin_term(struct nvmf_conn *conn, const struct nvme_tcp_term *pdu)
{
	char name[NET_ADDR_TEXT];
	uint16_t fes = le16_get(&pdu->fes);

	log_warning("nvmf: %s: host ends the connection: %s (FES %u, FEI 0x%x)",
		    nvmf_conn_name(conn, name, sizeof(name)), nvme_tcp_fes_name(fes), fes,
		    le32_get(&pdu->fei));
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

static void recv_pdu(struct nvmf_conn *conn, const uint8_t *pdu)
{
	struct nvmf_rx *rx = &conn->rx;
	uint32_t fei = 0;
	int fes = nvmf_tcp_check_pdu(conn, pdu, &rx->layout, &fei);

	if (fes) {
		nvmf_tcp_terminate(conn, (uint16_t)fes, fei, pdu, pdu[2]);
		return;
	}
	rx->have = 0;
	rx->req = NULL;
	rx->drop = true;
	rx->type = pdu[0];
	switch (rx->type) {
	case NVME_TCP_IC_REQ:
		begin_ic_req(conn, (const void *)pdu);
		break;
	case NVME_TCP_CMD:
		begin_cmd(conn, (const void *)pdu);
		break;
	case NVME_TCP_H2C_DATA:
		begin_h2c_data(conn, (const void *)pdu);
		break;
	default:
		begin_term(conn, (const void *)pdu);
		break;
	}
}

/* --- headers --------------------------------------------------------------------------------- */

static bool recv_common(struct nvmf_conn *conn, const uint8_t *pdu)
{
	uint32_t fei = 0;
	int fes = nvmf_tcp_check_common(conn, (const void *)pdu, &conn->rx.layout, &fei);

	if (fes)
		nvmf_tcp_terminate(conn, (uint16_t)fes, fei, pdu, sizeof(struct nvme_tcp_common));
	return fes == 0;
}

static size_t recv_header_split(struct nvmf_conn *conn, const uint8_t *data, size_t len)
{
	struct nvmf_rx *rx = &conn->rx;
	bool common = rx->have < sizeof(struct nvme_tcp_common);
	size_t want = (common ? sizeof(struct nvme_tcp_common) : rx->layout.header) - rx->have;

	if (want > len)
		want = len;
	memcpy(rx->header + rx->have, data, want);
	rx->have += (uint32_t)want;
	if (common) {
		if (rx->have == sizeof(struct nvme_tcp_common))
			recv_common(conn, rx->header);
	} else if (rx->have == rx->layout.header) {
		recv_pdu(conn, rx->header);
	}
	return want;
}

static size_t recv_header(struct nvmf_conn *conn, const uint8_t *data, size_t len)
{
	struct nvmf_rx *rx = &conn->rx;

	if (rx->have == 0) {
		if (!nvmf_req_available(conn)) {
			conn->blocked_for_slot = true;
			rx->blocked = true;
			return 0;
		}
		if (len >= sizeof(struct nvme_tcp_common)) {
			if (!recv_common(conn, data))
				return len;
			if (len >= rx->layout.header) {
				size_t taken = rx->layout.header;

				recv_pdu(conn, data);
				return taken;
			}
		}
	}
	return recv_header_split(conn, data, len);
}

/* --- the stream ------------------------------------------------------------------------------ */

static size_t recv_some(struct nvmf_conn *conn, const uint8_t *data, size_t len)
{
	switch (conn->rx.state) {
	case NVMF_RX_HEADER:
		return recv_header(conn, data, len);
	case NVMF_RX_PAD:
		return recv_pad(conn, len);
	case NVMF_RX_DATA:
		return recv_data(conn, data, len);
	default:
		return recv_digest(conn, data, len);
	}
}

static size_t stream_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	struct nvmf_conn *conn = user;
	size_t taken = 0;

	(void)stream;
	while (taken < len && !conn->rx.blocked && !conn->rx.reading) {
		/* Behind an error nothing of this connection means anything. */
		if (conn->state >= NVMF_CONN_TERMINATING)
			return len;
		taken += recv_some(conn, data + taken, len - taken);
	}
	return taken;
}

/* One line a second at most: whoever knocks without a key must not fill the log. */
static void tell_tls(struct nvmf_conn *conn, const char *why)
{
	uint64_t now = reactor_now_ns();
	char name[NET_ADDR_TEXT];

	if (conn->group->tls_logged_ns && now - conn->group->tls_logged_ns < NS_PER_SEC)
		return;
	conn->group->tls_logged_ns = now;
	log_warning("nvmf: %s: TLS: %s", nvmf_conn_name(conn, name, sizeof(name)), why);
}

static void stream_closed(struct net_stream *stream, void *user, int reason)
{
	const char *tls = net_stream_tls_error(stream);
	struct nvmf_conn *conn = user;
	char name[NET_ADDR_TEXT];

	if (tls)
		tell_tls(conn, tls);
	log_info(nvmf, "nvmf: %s: connection ended by the host (%d)",
		 nvmf_conn_name(conn, name, sizeof(name)), reason);
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

void nvmf_tcp_unblock(struct nvmf_conn *conn)
{
	conn->rx.blocked = false;
	if (conn->state < NVMF_CONN_CLOSING)
		net_stream_resume(conn->stream);
}

const struct net_stream_ops nvmf_tcp_ops = {
	.data = stream_data,
	.closed = stream_closed,
};

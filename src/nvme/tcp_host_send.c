/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDUs that the host sends: ICReq, command capsules, H2CData, H2CTermReq.
 *
 * Threading: on the queue pair's reactor.
 *
 * A slot's headers and the caller's data are the stream's until it answers a send. A controller
 * may answer a command before that (a hostile one even before it got the data), so a slot is free
 * only when its answer came and none of its sends is out.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "nvme/tcp_host.h"

void tcp_complete(struct tcp_qpair *tq, struct tcp_slot *slot)
{
	if (!slot->answered || slot->sends || tq->base.state > NVME_QPAIR_READY)
		return;
	nvme_slot_complete(&tq->base, &slot->base, &slot->cpl);
}

static void sent(struct tcp_slot *slot, int result)
{
	struct tcp_qpair *tq = tcp_qpair_of(slot->qp);

	slot->sends--;
	if (result != 0) {
		nvme_qpair_fail(&tq->base, false, result, "cannot send: %s",
				error_errno_text(result));
		return;
	}
	if (slot->answered)
		tcp_complete(tq, slot);
	else if (slot->r2t_count)
		tcp_send_data(tq, slot);
}

static void cmd_sent(struct net_send *send, int result)
{
	sent(container_of(send, struct tcp_slot, cmd_send), result);
}

static void data_sent(struct net_send *send, int result)
{
	struct tcp_slot *slot = container_of(send, struct tcp_slot, data_send);

	slot->data_sending = false;
	sent(slot, result);
}

static void put_header_digest(const struct tcp_qpair *tq, uint8_t *header, uint8_t hlen)
{
	if (tq->rules.hdgst)
		le32_put(header + hlen, crc32c_finish(crc32c_update(CRC32C_INIT, header, hlen)));
}

/* The next @len bytes of the request behind a header, with their digest. */
static uint32_t gather(struct tcp_qpair *tq, struct tcp_slot *slot, void *header, uint32_t pdo,
		       uint32_t len)
{
	const struct iovec *from = slot->base.req->iov;
	uint32_t crc = CRC32C_INIT, n = 0;

	slot->iov[n++] = (struct iovec){ .iov_base = header, .iov_len = pdo };
	while (len) {
		struct iovec piece = tcp_cursor_take(&slot->cursor, from, len);

		slot->iov[n++] = piece;
		len -= (uint32_t)piece.iov_len;
		if (tq->rules.ddgst)
			crc = crc32c_update(crc, piece.iov_base, piece.iov_len);
	}
	if (tq->rules.ddgst) {
		slot->ddgst = htole32(crc32c_finish(crc));
		slot->iov[n++] =
			(struct iovec){ .iov_base = &slot->ddgst, .iov_len = sizeof(slot->ddgst) };
	}
	return n;
}

/* --- commands --------------------------------------------------------------------------------- */

/* In-capsule data lies at an offset of the capsule; all else is the transport's (3.3.2). */
static void fill_sgl(struct nvme_sgl *sgl, const struct tcp_slot *slot, uint32_t len)
{
	sgl->address = 0;
	le32_put(&sgl->length, len);
	memset(sgl->reserved, 0, sizeof(sgl->reserved));
	sgl->type = slot->in_capsule ? NVME_SGL_DATA_BLOCK << 4 | NVME_SGL_SUBTYPE_OFFSET
				     : NVME_SGL_TRANSPORT_DATA << 4 | NVME_SGL_SUBTYPE_TRANSPORT;
}

static void slot_reset(struct tcp_slot *slot)
{
	slot->got = 0;
	slot->asked = 0;
	slot->cursor = (struct tcp_cursor){ 0 };
	slot->status = 0;
	slot->answered = false;
	slot->last = false;
	slot->r2t_first = slot->r2t_count = 0;
}

/* Fabrics commands may have their data in the capsule on every queue (NVMe/TCP 1.0, 3.3.2). */
static uint32_t capsule_room(const struct tcp_qpair *tq, const struct nvme_request *req)
{
	return req->cmd.opc == NVME_OPC_FABRICS ? TCP_FABRICS_CAPSULE : tq->capsule;
}

void tcp_submit(struct nvme_qpair *qp, struct nvme_slot *base)
{
	struct tcp_qpair *tq = tcp_qpair_of(qp);
	struct tcp_slot *slot = tcp_slot_of(base);
	struct nvme_tcp_cmd *pdu = (struct nvme_tcp_cmd *)slot->cmd;
	struct nvme_request *req = base->req;
	struct net_send *send = &slot->cmd_send;
	uint32_t in_capsule;

	slot_reset(slot);
	slot->in_capsule =
		req->direction == NVME_TO_CTRLR && req->len && req->len <= capsule_room(tq, req);
	in_capsule = slot->in_capsule ? req->len : 0;
	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_CMD, 0, tq->rules.hdgst, tq->rules.ddgst, tq->cpda,
			     in_capsule);
	pdu->sqe = req->cmd;
	pdu->sqe.flags |= NVME_CMD_PSDT_SGL;
	fill_sgl(&pdu->sqe.dptr.sgl, slot, req->direction == NVME_NO_DATA ? 0 : req->len);
	put_header_digest(tq, slot->cmd, sizeof(*pdu));
	if (in_capsule) {
		send->iov = slot->iov;
		send->iovcnt = gather(tq, slot, slot->cmd, pdu->ch.pdo, in_capsule);
	} else {
		slot->cmd_iov.iov_base = slot->cmd;
		slot->cmd_iov.iov_len = le32_get(&pdu->ch.plen);
		send->iov = &slot->cmd_iov;
		send->iovcnt = 1;
	}
	send->done = cmd_sent;
	slot->sends++;
	net_stream_send(tq->stream, send);
}

/* --- H2CData ---------------------------------------------------------------------------------- */

void tcp_send_data(struct tcp_qpair *tq, struct tcp_slot *slot)
{
	struct nvme_tcp_data *pdu = (struct nvme_tcp_data *)slot->data;
	struct tcp_r2t *r2t = &slot->r2t[slot->r2t_first];
	uint32_t len = r2t->end - r2t->at;
	bool is_last;

	if (slot->data_sending)
		return;
	is_last = len <= tq->max_h2c;
	if (!is_last)
		len = tq->max_h2c;
	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_H2C_DATA, is_last ? NVME_TCP_FLAG_LAST : 0,
			     tq->rules.hdgst, tq->rules.ddgst, tq->cpda, len);
	le16_put(&pdu->cccid, slot->base.cid);
	le16_put(&pdu->ttag, r2t->ttag);
	le32_put(&pdu->datao, r2t->at);
	le32_put(&pdu->datal, len);
	put_header_digest(tq, slot->data, sizeof(*pdu));
	slot->data_send.iov = slot->iov;
	slot->data_send.iovcnt = gather(tq, slot, slot->data, pdu->ch.pdo, len);
	slot->data_send.done = data_sent;
	r2t->at += len;
	if (is_last) {
		slot->r2t_first = (uint8_t)((slot->r2t_first + 1) % TCP_MAX_R2T);
		slot->r2t_count--;
	}
	slot->data_sending = true;
	slot->sends++;
	net_stream_send(tq->stream, &slot->data_send);
}

/* --- connection PDUs -------------------------------------------------------------------------- */

static void connection_pdu_sent(struct net_send *send, int result)
{
	/* A stream that broke says so by itself. */
	(void)send;
	(void)result;
}

static void send_bytes(struct tcp_qpair *tq, struct net_send *send, struct iovec *iov, void *bytes,
		       size_t len)
{
	*iov = (struct iovec){ .iov_base = bytes, .iov_len = len };
	*send = (struct net_send){ .iov = iov, .iovcnt = 1, .done = connection_pdu_sent };
	net_stream_send(tq->stream, send);
}

void tcp_send_ic_req(struct tcp_qpair *tq)
{
	const struct nvme_ctrlr_options *opts = &tq->base.ctrlr->opts;

	tq->base.phase = "ICResp";
	nvme_tcp_fill_common(&tq->ic.ch, NVME_TCP_IC_REQ, 0, false, false, 0, 0);
	tq->ic.dgst = (uint8_t)((opts->hdgst ? 1 : 0) | (opts->ddgst ? 2 : 0));
	le32_put(&tq->ic.maxr2t, TCP_MAX_R2T - 1);
	send_bytes(tq, &tq->ic_send, &tq->ic_iov, &tq->ic, sizeof(tq->ic));
}

void tcp_bad_pdu(struct tcp_qpair *tq, const void *pdu, size_t len, uint16_t fes, uint32_t fei,
		 const char *fmt, ...)
{
	struct nvme_tcp_term *term = (struct nvme_tcp_term *)tq->term;
	char text[ERROR_TEXT_MAX / 2];
	va_list args;

	if (tq->base.state > NVME_QPAIR_READY)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (len > NVME_TCP_TERM_DATA_MAX)
		len = NVME_TCP_TERM_DATA_MAX;
	nvme_tcp_fill_common(&term->ch, NVME_TCP_H2C_TERM, 0, false, false, 0, 0);
	le32_put(&term->ch.plen, (uint32_t)(sizeof(*term) + len));
	le16_put(&term->fes, fes);
	le32_put(&term->fei, fei);
	memcpy(term->data, pdu, len);
	send_bytes(tq, &tq->term_send, &tq->term_iov, term, sizeof(*term) + len);
	nvme_qpair_fail(&tq->base, true, -EPROTO, "bad PDU from the controller (%s): %s",
			nvme_tcp_fes_name(fes), text);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending PDUs. What belongs to one response (data, its digest, the completion) is one net_send;
 * the stream gathers all of a turn.
 *
 * Threading: the connection's reactor.
 */
#include <string.h>

#include "base/container_of.h"
#include "base/crc32c.h"
#include "base/le.h"
#include "nvmf/ctrlr.h"

static const uint8_t zeroes[NVME_TCP_PDO_MASK_BYTES];

/* Put the digest behind a header where it is wanted; returns the length of both. */
static size_t finish_header(const struct nvmf_conn *conn, void *pdu, size_t len)
{
	if (!conn->rules.hdgst)
		return len;
	le32_put((uint8_t *)pdu + len, crc32c_finish(crc32c_update(CRC32C_INIT, pdu, len)));
	return len + NVME_TCP_DIGEST_BYTES;
}

static void put_iov(struct nvmf_req *req, const void *base, size_t len)
{
	struct iovec *v = &req->send_iov[req->send.iovcnt++];

	v->iov_base = (void *)base;
	v->iov_len = len;
}

static uint32_t iov_crc(const struct iovec *iov, unsigned int count)
{
	uint32_t crc = CRC32C_INIT;

	for (unsigned int i = 0; i < count; i++)
		crc = crc32c_update(crc, iov[i].iov_base, iov[i].iov_len);
	return crc32c_finish(crc);
}

/* --- responses ------------------------------------------------------------------------------- */

static void put_data(struct nvmf_req *req, uint8_t flags)
{
	struct nvmf_conn *conn = req->conn;
	struct nvme_tcp_data *pdu = &req->data_pdu.pdu;
	size_t header;

	memset(pdu, 0, sizeof(*pdu));
	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_C2H_DATA, flags, conn->rules.hdgst,
			     conn->rules.ddgst, conn->c2h_alignment, req->data_len);
	le16_put(&pdu->cccid, req->cid);
	le32_put(&pdu->datal, req->data_len);
	header = finish_header(conn, pdu, sizeof(*pdu));
	put_iov(req, pdu, header);
	if (pdu->ch.pdo > header)
		put_iov(req, zeroes, pdu->ch.pdo - header);
	for (unsigned int i = 0; i < req->iovcnt; i++)
		put_iov(req, req->iov[i].iov_base, req->iov[i].iov_len);
	if (conn->rules.ddgst) {
		le32_put(&req->data_digest, iov_crc(req->iov, req->iovcnt));
		put_iov(req, &req->data_digest, sizeof(req->data_digest));
	}
}

static void put_resp(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;
	struct nvme_tcp_resp *pdu = &req->resp_pdu.pdu;

	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_RESP, 0, conn->rules.hdgst, false, 0, 0);
	le32_put(&pdu->cqe.cdw0, req->cdw0);
	le32_put(&pdu->cqe.cdw1, req->cdw1);
	le16_put(&pdu->cqe.sqhd, conn->sq_flow_off ? 0xffff : conn->sqhd);
	/* Queue identifier and phase tag are reserved in fabrics. */
	le16_put(&pdu->cqe.sqid, 0);
	le16_put(&pdu->cqe.cid, req->cid);
	le16_put(&pdu->cqe.status, req->status);
	put_iov(req, pdu, finish_header(conn, pdu, sizeof(*pdu)));
}

static void sent(struct net_send *send, int result)
{
	struct nvmf_req *req = container_of(send, struct nvmf_req, send);

	(void)result;
	req->sends--;
	nvmf_req_release(req);
}

void nvmf_tcp_respond(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;
	bool success = false;

	req->send.iov = req->send_iov;
	req->send.iovcnt = 0;
	req->send.done = sent;
	if (req->dir == NVMF_DIR_C2H && req->status == 0 && req->data_len > 0) {
		/*
		 * Without a response capsule the host learns no SQHD: only where it does not
		 * want it (3.3.2.1).
		 */
		success = conn->sq_flow_off && conn->tgt->tcp.c2h_success && req->cdw0 == 0 &&
			  req->cdw1 == 0;
		put_data(req,
			 success ? NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS : NVME_TCP_FLAG_LAST);
	}
	if (!success)
		put_resp(req);
	req->sends++;
	net_stream_send(conn->stream, &req->send);
}

/* --- R2T ------------------------------------------------------------------------------------- */

static void r2t_sent(struct net_send *send, int result)
{
	struct nvmf_req *req = container_of(send, struct nvmf_req, r2t_send);

	(void)result;
	req->sends--;
	if (req->state == NVMF_REQ_FREE)
		nvmf_req_release(req);
}

/* One R2T asks for all: buffers for all are there, and the host splits by MAXH2CDATA (3.3.2.2). */
void nvmf_tcp_r2t(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;
	struct nvme_tcp_r2t *pdu = &req->r2t_pdu.pdu;

	memset(pdu, 0, sizeof(*pdu));
	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_R2T, 0, conn->rules.hdgst, false, 0, 0);
	le16_put(&pdu->cccid, req->cid);
	le16_put(&pdu->ttag, req->index);
	le32_put(&pdu->r2tl, req->data_len);
	req->r2t_iov.iov_base = pdu;
	req->r2t_iov.iov_len = finish_header(conn, pdu, sizeof(*pdu));
	req->r2t_send.iov = &req->r2t_iov;
	req->r2t_send.iovcnt = 1;
	req->r2t_send.done = r2t_sent;
	req->received = 0;
	req->state = NVMF_REQ_H2C_DATA;
	req->sends++;
	net_stream_send(conn->stream, &req->r2t_send);
	nvmf_stall_watch(conn);
}

/* --- PDUs of the connection --------------------------------------------------------------------
 */

static void ctl_send(struct nvmf_conn *conn, struct net_send *send, struct iovec *iov, void *pdu,
		     size_t len)
{
	iov->iov_base = pdu;
	iov->iov_len = len;
	send->iov = iov;
	send->iovcnt = 1;
	net_stream_send(conn->stream, send);
}

static void ic_resp_sent(struct net_send *send, int result)
{
	(void)send;
	(void)result;
}

void nvmf_tcp_ic_resp(struct nvmf_conn *conn, uint8_t dgst)
{
	struct nvme_tcp_ic_resp *pdu = &conn->ic_pdu;

	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_IC_RESP, 0, false, false, 0, 0);
	pdu->dgst = dgst;
	le32_put(&pdu->maxh2cdata, NVMF_MAX_H2C_DATA);
	conn->ic_send.done = ic_resp_sent;
	ctl_send(conn, &conn->ic_send, &conn->ic_iov, pdu, sizeof(*pdu));
}

static void term_sent(struct net_send *send, int result)
{
	struct nvmf_conn *conn = container_of(send, struct nvmf_conn, term_send);

	(void)result;
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

void nvmf_tcp_terminate(struct nvmf_conn *conn, uint16_t fes, uint32_t fei, const void *header,
			size_t len)
{
	struct nvme_tcp_term *pdu = (void *)conn->term_pdu;
	char name[NET_ADDR_TEXT];

	if (conn->state >= NVMF_CONN_TERMINATING)
		return;
	log_warning("nvmf: %s: connection of queue %u ended: %s (FES %u, FEI 0x%x)",
		    nvmf_conn_name(conn, name, sizeof(name)), conn->qid, nvme_tcp_fes_name(fes),
		    fes, fei);
	conn->state = NVMF_CONN_TERMINATING;
	if (len > NVME_TCP_HEADER_MAX)
		len = NVME_TCP_HEADER_MAX;
	nvme_tcp_fill_common(&pdu->ch, NVME_TCP_C2H_TERM, 0, false, false, 0, 0);
	le32_put(&pdu->ch.plen, (uint32_t)(sizeof(*pdu) + len));
	le16_put(&pdu->fes, fes);
	le32_put(conn->term_pdu + offsetof(struct nvme_tcp_term, fei), fei);
	memcpy(pdu->data, header, len);
	conn->term_send.done = term_sent;
	ctl_send(conn, &conn->term_send, &conn->term_iov, pdu, sizeof(*pdu) + len);
}

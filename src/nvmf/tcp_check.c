/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of the PDUs of a host (NVMe/TCP 1.0, 3.6.2, and Figure 12 for the termination requests).
 *
 * Threading: the connection's reactor; nothing is changed.
 */
#include <stddef.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "nvmf/tcp.h"

static int wrong(uint32_t *fei, int fes, size_t offset)
{
	*fei = (uint32_t)offset;
	return fes;
}

uint32_t nvmf_tcp_max_plen(const struct nvmf_transport_options *tcp)
{
	uint32_t data = NVMF_MAX_H2C_DATA;

	if (tcp->in_capsule_data_size > data)
		data = tcp->in_capsule_data_size;
	return NVME_TCP_PDO_MASK_BYTES + data + NVME_TCP_DIGEST_BYTES;
}

/* An ICReq is the first PDU and the only one of its kind (3.2). */
static bool type_may_come(const struct nvmf_conn *conn, uint8_t type)
{
	if (type == NVME_TCP_H2C_TERM)
		return true;
	return (type == NVME_TCP_IC_REQ) == (conn->state == NVMF_CONN_ICREQ);
}

int nvmf_tcp_check_common(const struct nvmf_conn *conn, const struct nvme_tcp_common *ch,
			  struct nvme_tcp_layout *layout, uint32_t *fei)
{
	uint32_t type_fei = 0;
	int fes = nvme_tcp_check_common(ch, &conn->rules, layout, fei);

	/* A type that exists but must not come now is told as that, whatever else is wrong. */
	if (fes && *fei == type_fei)
		return fes;
	if (!type_may_come(conn, ch->type))
		return wrong(fei, NVME_TCP_FES_SEQUENCE, 0);
	return fes;
}

static int check_ic_req(const struct nvme_tcp_ic_req *pdu, uint32_t *fei)
{
	if (le16_get(&pdu->pfv) != 0)
		return wrong(fei, NVME_TCP_FES_UNSUPPORTED, offsetof(struct nvme_tcp_ic_req, pfv));
	if (pdu->hpda > NVME_TCP_CPDA_MAX)
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_ic_req, hpda));
	if (pdu->dgst & ~3u)
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_ic_req, dgst));
	return 0;
}

static int check_cmd(const struct nvmf_conn *conn, const struct nvme_tcp_layout *layout,
		     uint32_t *fei)
{
	if (layout->data_len > conn->capsule_data_max)
		return wrong(fei, NVME_TCP_FES_LIMIT_EXCEEDED, 0);
	return 0;
}

/* The tag belongs to a command that waits for this data, from where the last PDU ended. */
static int check_h2c_data(const struct nvmf_conn *conn, const struct nvme_tcp_data *pdu,
			  const struct nvme_tcp_layout *layout, uint32_t *fei)
{
	const struct nvmf_req *req = nvmf_req_at(conn, le16_get(&pdu->ttag));
	uint32_t datal = le32_get(&pdu->datal);
	uint32_t datao = le32_get(&pdu->datao);
	bool last;

	if (!req || req->state != NVMF_REQ_H2C_DATA)
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_data, ttag));
	if (le16_get(&pdu->cccid) != req->cid)
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_data, cccid));
	if (datal != layout->data_len)
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_data, datal));
	if (datal > NVMF_MAX_H2C_DATA)
		return wrong(fei, NVME_TCP_FES_LIMIT_EXCEEDED, 0);
	if (datao != req->received || datal > req->data_len - req->received)
		return wrong(fei, NVME_TCP_FES_DATA_OUT_OF_RANGE, 0);
	last = datal == req->data_len - req->received;
	if (last != !!(pdu->ch.flags & NVME_TCP_FLAG_LAST))
		return wrong(fei, NVME_TCP_FES_INVALID_HEADER,
			     offsetof(struct nvme_tcp_common, flags));
	return 0;
}

int nvmf_tcp_check_pdu(const struct nvmf_conn *conn, const uint8_t *pdu,
		       const struct nvme_tcp_layout *layout, uint32_t *fei)
{
	const struct nvme_tcp_common *ch = (const void *)pdu;

	if (ch->flags & NVME_TCP_FLAG_HDGST) {
		uint32_t digest = le32_get(pdu + ch->hlen);

		if (crc32c_finish(crc32c_update(CRC32C_INIT, pdu, ch->hlen)) != digest)
			return wrong(fei, NVME_TCP_FES_HEADER_DIGEST, digest);
	}
	switch (ch->type) {
	case NVME_TCP_IC_REQ:
		return check_ic_req((const void *)pdu, fei);
	case NVME_TCP_CMD:
		return check_cmd(conn, layout, fei);
	case NVME_TCP_H2C_DATA:
		return check_h2c_data(conn, (const void *)pdu, layout, fei);
	default:
		return 0;
	}
}

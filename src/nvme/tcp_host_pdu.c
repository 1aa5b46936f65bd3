/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller's PDUs say: each field is checked against the command that it is about before
 * it is used. A controller that breaks the rules loses the connection.
 *
 * Threading: on the queue pair's reactor.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/le.h"
#include "nvme/tcp_host.h"

#define FEI_CCCID  ((uint32_t)offsetof(struct nvme_tcp_data, cccid))
#define FEI_OFFSET ((uint32_t)offsetof(struct nvme_tcp_data, datao))
#define FEI_LENGTH ((uint32_t)offsetof(struct nvme_tcp_data, datal))
#define FEI_FLAGS  ((uint32_t)offsetof(struct nvme_tcp_common, flags))
#define FEI_CID	   ((uint32_t)(offsetof(struct nvme_tcp_resp, cqe) + offsetof(struct nvme_cpl, cid)))

/* The command that a PDU is about, if it waits for such a PDU. */
static struct tcp_slot *slot_of(struct tcp_qpair *tq, uint16_t cid, enum nvme_direction direction)
{
	struct nvme_slot *slot = nvme_slot_find(&tq->base, cid);

	if (!slot || slot->req->direction != direction || tcp_slot_of(slot)->answered)
		return NULL;
	return tcp_slot_of(slot);
}

/* --- C2HData ---------------------------------------------------------------------------------- */

static bool c2h_data_is_good(struct tcp_qpair *tq, const struct nvme_tcp_data *pdu,
			     const struct tcp_slot *slot)
{
	uint32_t offset = le32_get(&pdu->datao), len = le32_get(&pdu->datal);
	uint8_t flags = pdu->ch.flags;

	if (!slot || slot->last)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_CCCID,
			    "C2HData for command %u, which expects no data", le16_get(&pdu->cccid));
	else if (len != tq->rx.layout.data_len)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_LENGTH,
			    "C2HData says DATAL %u and carries %u bytes", len,
			    tq->rx.layout.data_len);
	else if (!range_is_within(offset, len, slot->base.req->len))
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_DATA_OUT_OF_RANGE, FEI_OFFSET,
			    "C2HData of %u bytes at %u for a command of %u bytes", len, offset,
			    slot->base.req->len);
	else if (offset != slot->got)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_OFFSET,
			    "C2HData at %u where %u is next", offset, slot->got);
	else if ((flags & NVME_TCP_FLAG_SUCCESS) &&
		 (!(flags & NVME_TCP_FLAG_LAST) ||
		  (offset + len != slot->base.req->len && !slot->base.req->may_be_short)))
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_FLAGS,
			    "C2HData with SUCCESS is not the end of the data");
	else
		return true;
	return false;
}

static void take_c2h_data(struct tcp_qpair *tq, const struct nvme_tcp_data *pdu)
{
	struct tcp_slot *slot = slot_of(tq, le16_get(&pdu->cccid), NVME_FROM_CTRLR);
	struct tcp_rx *rx = &tq->rx;

	if (!c2h_data_is_good(tq, pdu, slot))
		return;
	rx->slot = slot;
	rx->flags = pdu->ch.flags;
	rx->crc = CRC32C_INIT;
	rx->left = rx->layout.data - rx->layout.header;
	rx->phase = TCP_RX_PAD;
	if (rx->left == 0) {
		rx->phase = TCP_RX_DATA;
		rx->left = rx->layout.data_len;
	}
}

static void answer(struct tcp_qpair *tq, struct tcp_slot *slot, const struct nvme_cpl *cpl)
{
	slot->answered = true;
	slot->cpl = *cpl;
	if (slot->status && nvme_status_sc(le16_get(&cpl->status)) == 0)
		slot->cpl.status = htole16(slot->status);
	tcp_complete(tq, slot);
}

void tcp_data_end(struct tcp_qpair *tq)
{
	struct tcp_slot *slot = tq->rx.slot;

	tq->rx.slot = NULL;
	slot->got += tq->rx.layout.data_len;
	slot->last = tq->rx.flags & NVME_TCP_FLAG_LAST;
	if (tq->rx.flags & NVME_TCP_FLAG_SUCCESS) {
		struct nvme_cpl cpl = { .cid = htole16(slot->base.cid) };

		answer(tq, slot, &cpl);
	}
}

/* --- R2T -------------------------------------------------------------------------------------- */

static bool r2t_is_good(struct tcp_qpair *tq, const struct nvme_tcp_r2t *pdu,
			const struct tcp_slot *slot)
{
	uint32_t offset = le32_get(&pdu->r2to), len = le32_get(&pdu->r2tl);

	if (!slot || slot->in_capsule)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_CCCID,
			    "R2T for command %u, which has no data to send", le16_get(&pdu->cccid));
	else if (len == 0)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_LENGTH,
			    "R2T for no bytes");
	else if (!range_is_within(offset, len, slot->base.req->len))
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_DATA_OUT_OF_RANGE, FEI_OFFSET,
			    "R2T for %u bytes at %u of a command of %u bytes", len, offset,
			    slot->base.req->len);
	else if (offset != slot->asked)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_OFFSET,
			    "R2T at %u where %u is next", offset, slot->asked);
	else if (slot->r2t_count == TCP_MAX_R2T)
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_LIMIT_EXCEEDED, 0,
			    "more than %u R2Ts for one command", TCP_MAX_R2T);
	else
		return true;
	return false;
}

static void take_r2t(struct tcp_qpair *tq, const struct nvme_tcp_r2t *pdu)
{
	struct tcp_slot *slot = slot_of(tq, le16_get(&pdu->cccid), NVME_TO_CTRLR);
	uint32_t at = le32_get(&pdu->r2to);

	if (!r2t_is_good(tq, pdu, slot))
		return;
	slot->asked = at + le32_get(&pdu->r2tl);
	slot->r2t[(slot->r2t_first + slot->r2t_count) % TCP_MAX_R2T] = (struct tcp_r2t){
		.ttag = le16_get(&pdu->ttag),
		.at = at,
		.end = slot->asked,
	};
	slot->r2t_count++;
	tcp_send_data(tq, slot);
}

/* --- responses -------------------------------------------------------------------------------- */

/* A command that succeeded has moved all its data; one that failed need not have. */
static bool data_is_complete(const struct tcp_slot *slot)
{
	const struct nvme_request *req = slot->base.req;

	switch (req->direction) {
	case NVME_FROM_CTRLR:
		return slot->got == req->len || req->may_be_short;
	case NVME_TO_CTRLR:
		return slot->in_capsule || (slot->asked == req->len && slot->r2t_count == 0);
	default:
		return true;
	}
}

static void take_response(struct tcp_qpair *tq, const struct nvme_tcp_resp *pdu)
{
	uint16_t cid = le16_get(&pdu->cqe.cid);
	struct nvme_slot *base = nvme_slot_find(&tq->base, cid);
	struct tcp_slot *slot = base ? tcp_slot_of(base) : NULL;

	if (!slot || slot->answered) {
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_INVALID_HEADER, FEI_CID,
			    "response to command %u, which is not outstanding", cid);
		return;
	}
	if ((le16_get(&pdu->cqe.status) & 0x0ffe) == 0 && !data_is_complete(slot)) {
		tcp_bad_pdu(tq, pdu, sizeof(*pdu), NVME_TCP_FES_SEQUENCE, 0,
			    "success of command %u before all its %u bytes were moved", cid,
			    base->req->len);
		return;
	}
	slot->r2t_count = 0;
	answer(tq, slot, &pdu->cqe);
}

static void take_term(struct tcp_qpair *tq, const struct nvme_tcp_term *pdu)
{
	uint16_t fes = le16_get(&pdu->fes);

	nvme_qpair_fail(&tq->base, true, -EPROTO,
			"the controller ended the connection: %s (FES %u, FEI %u)",
			nvme_tcp_fes_name(fes), fes, le32_get(&pdu->fei));
}

void tcp_take_pdu(struct tcp_qpair *tq, const uint8_t *header)
{
	switch (header[0]) {
	case NVME_TCP_C2H_DATA:
		take_c2h_data(tq, (const struct nvme_tcp_data *)header);
		break;
	case NVME_TCP_RESP:
		take_response(tq, (const struct nvme_tcp_resp *)header);
		break;
	case NVME_TCP_R2T:
		take_r2t(tq, (const struct nvme_tcp_r2t *)header);
		break;
	case NVME_TCP_IC_RESP:
		tcp_take_ic_resp(tq, (const struct nvme_tcp_ic_resp *)header);
		break;
	default:
		take_term(tq, (const struct nvme_tcp_term *)header);
		break;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host and target check of every PDU before they look behind its common header.
 *
 * Threading: pure functions.
 */
#include "nvme/tcp_pdu.h"

#include "base/le.h"

#define FEI_TYPE  0u
#define FEI_FLAGS 1u
#define FEI_HLEN  2u
#define FEI_PDO	  3u
#define FEI_PLEN  4u

enum sender {
	SENDER_HOST,
	SENDER_CONTROLLER,
};

/* What a PDU of a type has behind its header. */
enum payload {
	PAYLOAD_NONE,
	PAYLOAD_OPTIONAL, /* at PDO, digested */
	PAYLOAD_ALWAYS,	  /* at PDO, digested */
	PAYLOAD_COPY,	  /* directly behind the header, never digested (3.6.2.5) */
};

struct pdu_form {
	uint8_t hlen;
	uint8_t sender;
	uint8_t payload;
	bool digests; /* IC and termination PDUs never carry any (3.3.1) */
};

static const struct pdu_form forms[] = {
	[NVME_TCP_IC_REQ] = { sizeof(struct nvme_tcp_ic_req), SENDER_HOST, PAYLOAD_NONE, false },
	[NVME_TCP_IC_RESP] = { sizeof(struct nvme_tcp_ic_resp), SENDER_CONTROLLER, PAYLOAD_NONE,
			       false },
	[NVME_TCP_H2C_TERM] = { sizeof(struct nvme_tcp_term), SENDER_HOST, PAYLOAD_COPY, false },
	[NVME_TCP_C2H_TERM] = { sizeof(struct nvme_tcp_term), SENDER_CONTROLLER, PAYLOAD_COPY,
				false },
	[NVME_TCP_CMD] = { sizeof(struct nvme_tcp_cmd), SENDER_HOST, PAYLOAD_OPTIONAL, true },
	[NVME_TCP_RESP] = { sizeof(struct nvme_tcp_resp), SENDER_CONTROLLER, PAYLOAD_NONE, true },
	[NVME_TCP_H2C_DATA] = { sizeof(struct nvme_tcp_data), SENDER_HOST, PAYLOAD_ALWAYS, true },
	[NVME_TCP_C2H_DATA] = { sizeof(struct nvme_tcp_data), SENDER_CONTROLLER, PAYLOAD_ALWAYS,
				true },
	[NVME_TCP_R2T] = { sizeof(struct nvme_tcp_r2t), SENDER_CONTROLLER, PAYLOAD_NONE, true },
};

static const struct pdu_form *form_of(uint8_t type)
{
	if (type >= sizeof(forms) / sizeof(forms[0]) || forms[type].hlen == 0)
		return NULL;
	return &forms[type];
}

uint8_t nvme_tcp_header_len(uint8_t type)
{
	const struct pdu_form *form = form_of(type);

	return form ? form->hlen : 0;
}

static int invalid_field(uint32_t *fei, uint32_t offset)
{
	*fei = offset;
	return NVME_TCP_FES_INVALID_HEADER;
}

static int check_copy(uint32_t plen, struct nvme_tcp_layout *layout, uint32_t *fei)
{
	if (plen < layout->header || plen - layout->header > NVME_TCP_TERM_DATA_MAX)
		return invalid_field(fei, FEI_PLEN);
	layout->data_len = plen - layout->header;
	layout->data = layout->data_len ? layout->header : 0;
	return 0;
}

/* PDO and PLEN of a PDU that has data: PDO is a multiple of what was negotiated (3.6.2.2). */
static int check_data(const struct nvme_tcp_common *ch, uint32_t plen,
		      const struct nvme_tcp_rules *rules, struct nvme_tcp_layout *layout,
		      uint32_t *fei)
{
	uint32_t digest = rules->ddgst ? NVME_TCP_DIGEST_BYTES : 0;

	if (!(ch->flags & NVME_TCP_FLAG_DDGST) != !rules->ddgst)
		return invalid_field(fei, FEI_FLAGS);
	if (ch->pdo < layout->header || ch->pdo > NVME_TCP_PDO_MASK_BYTES ||
	    (rules->alignment > 1 && ch->pdo % rules->alignment != 0))
		return invalid_field(fei, FEI_PDO);
	if (plen <= ch->pdo + digest)
		return invalid_field(fei, FEI_PLEN);
	layout->data = ch->pdo;
	layout->data_len = plen - ch->pdo - digest;
	layout->ddgst = rules->ddgst;
	return 0;
}

static int check_payload(const struct nvme_tcp_common *ch, const struct pdu_form *form,
			 const struct nvme_tcp_rules *rules, struct nvme_tcp_layout *layout,
			 uint32_t *fei)
{
	uint32_t plen = le32_get(&ch->plen);

	if (plen > rules->max_plen)
		return invalid_field(fei, FEI_PLEN);
	if (form->payload == PAYLOAD_COPY)
		return check_copy(plen, layout, fei);
	if (form->payload == PAYLOAD_NONE ||
	    (form->payload == PAYLOAD_OPTIONAL && plen == layout->header)) {
		/* There is no data to have a digest; PDO is reserved and not looked at. */
		if (ch->flags & NVME_TCP_FLAG_DDGST)
			return invalid_field(fei, FEI_FLAGS);
		return plen == layout->header ? 0 : invalid_field(fei, FEI_PLEN);
	}
	return check_data(ch, plen, rules, layout, fei);
}

int nvme_tcp_check_common(const struct nvme_tcp_common *ch, const struct nvme_tcp_rules *rules,
			  struct nvme_tcp_layout *layout, uint32_t *fei)
{
	const struct pdu_form *form = form_of(ch->type);
	bool hdgst;

	if (!form || (form->sender == SENDER_HOST) != rules->from_host)
		return invalid_field(fei, FEI_TYPE);
	if (ch->hlen != form->hlen)
		return invalid_field(fei, FEI_HLEN);
	hdgst = form->digests && rules->hdgst;
	if (!(ch->flags & NVME_TCP_FLAG_HDGST) != !hdgst)
		return invalid_field(fei, FEI_FLAGS);
	*layout = (struct nvme_tcp_layout){
		.header = form->hlen + (hdgst ? NVME_TCP_DIGEST_BYTES : 0),
	};
	return check_payload(ch, form, rules, layout, fei);
}

void nvme_tcp_fill_common(struct nvme_tcp_common *ch, uint8_t type, uint8_t flags, bool hdgst,
			  bool ddgst, uint32_t alignment, uint32_t data_len)
{
	uint32_t len = nvme_tcp_header_len(type);

	ch->type = type;
	ch->flags = flags;
	ch->hlen = (uint8_t)len;
	ch->pdo = 0;
	if (hdgst) {
		ch->flags |= NVME_TCP_FLAG_HDGST;
		len += NVME_TCP_DIGEST_BYTES;
	}
	if (data_len) {
		if (alignment > 1)
			len = (len + alignment - 1) / alignment * alignment;
		ch->pdo = (uint8_t)len;
		len += data_len;
		if (ddgst) {
			ch->flags |= NVME_TCP_FLAG_DDGST;
			len += NVME_TCP_DIGEST_BYTES;
		}
	}
	le32_put(&ch->plen, len);
}

const char *nvme_tcp_fes_name(uint16_t fes)
{
	static const char *const names[] = {
		[NVME_TCP_FES_INVALID_HEADER] = "invalid PDU header field",
		[NVME_TCP_FES_SEQUENCE] = "PDU sequence error",
		[NVME_TCP_FES_HEADER_DIGEST] = "header digest error",
		[NVME_TCP_FES_DATA_OUT_OF_RANGE] = "data transfer out of range",
		[NVME_TCP_FES_LIMIT_EXCEEDED] = "R2T or data transfer limit exceeded",
		[NVME_TCP_FES_UNSUPPORTED] = "unsupported parameter",
	};

	if (fes >= sizeof(names) / sizeof(names[0]) || !names[fes])
		return "unknown fatal error status";
	return names[fes];
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP transport of the host: connections, their initialisation (NVMe/TCP 1.0, 3.4.1) and end.
 *
 * Threading: on the queue pair's reactor.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/le.h"
#include "nvme/tcp_host.h"

#define DWORD 4u

static struct nvme_qpair *tcp_alloc(struct nvme_ctrlr *ctrlr, uint16_t depth)
{
	struct tcp_qpair *tq = calloc(1, sizeof(*tq) + depth * sizeof(tq->slots[0]));

	(void)ctrlr;
	if (!tq)
		return NULL;
	for (uint32_t i = 0; i < depth; i++)
		tq->slots[i].qp = &tq->base;
	return &tq->base;
}

static void tcp_free(struct nvme_qpair *qp)
{
	free(tcp_qpair_of(qp));
}

static struct nvme_slot *tcp_slot(struct nvme_qpair *qp, uint32_t index)
{
	return &tcp_qpair_of(qp)->slots[index].base;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void released(void *user)
{
	struct tcp_qpair *tq = user;

	tq->stream = NULL;
	nvme_qpair_gone(&tq->base);
}

static void gone(struct reactor_msg *msg)
{
	nvme_qpair_gone(&container_of(msg, struct tcp_qpair, gone_msg)->base);
}

static void tcp_close(struct nvme_qpair *qp, bool orderly)
{
	struct tcp_qpair *tq = tcp_qpair_of(qp);

	if (tq->connecting) {
		net_connect_cancel(&tq->connect);
	} else if (!tq->stream) {
		tq->gone_msg.fn = gone;
		reactor_defer(&tq->gone_msg);
	} else if (orderly) {
		net_stream_close(tq->stream, released);
	} else {
		net_stream_abort(tq->stream, released);
	}
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void connected(struct net_connect *connect, int result)
{
	struct tcp_qpair *tq = container_of(connect, struct tcp_qpair, connect);

	tq->connecting = false;
	if (result == 0) {
		tq->stream = connect->stream;
		if (tq->base.ctrlr->opts.psk.len)
			result = tcp_tls_secure(tq);
		net_stream_attach(tq->stream, &tcp_stream_ops, tq);
	}
	/* It was closed, or its time was up, while the connection was made. */
	if (tq->base.state != NVME_QPAIR_CONNECTING)
		tcp_close(&tq->base, false);
	else if (result != 0)
		nvme_qpair_fail(&tq->base, false, result, "cannot connect: %s",
				error_errno_text(result));
	else
		tcp_send_ic_req(tq);
}

static void tcp_connect(struct nvme_qpair *qp)
{
	struct tcp_qpair *tq = tcp_qpair_of(qp);
	const struct nvme_ctrlr_options *opts = &qp->ctrlr->opts;

	tq->rules = (struct nvme_tcp_rules){ .alignment = DWORD, .max_plen = UINT32_MAX };
	tq->connect.addr = opts->path.addr;
	tq->connect.timeout_ms = opts->connect_timeout_ms;
	tq->connect.done = connected;
	tq->connecting = true;
	net_connect_start(&tq->connect);
}

static bool ic_resp_is_good(struct tcp_qpair *tq, const struct nvme_tcp_ic_resp *resp)
{
	uint32_t max_h2c = le32_get(&resp->maxh2cdata);
	uint16_t pfv = le16_get(&resp->pfv);

	if (pfv != 0)
		tcp_bad_pdu(tq, resp, sizeof(*resp), NVME_TCP_FES_UNSUPPORTED,
			    offsetof(struct nvme_tcp_ic_resp, pfv),
			    "ICResp asks for PDU format %u; 0 is known", pfv);
	else if (resp->cpda > NVME_TCP_CPDA_MAX)
		tcp_bad_pdu(tq, resp, sizeof(*resp), NVME_TCP_FES_INVALID_HEADER,
			    offsetof(struct nvme_tcp_ic_resp, cpda),
			    "ICResp has CPDA %u; at most %u is allowed", resp->cpda,
			    NVME_TCP_CPDA_MAX);
	else if (resp->dgst & ~tq->ic.dgst)
		tcp_bad_pdu(tq, resp, sizeof(*resp), NVME_TCP_FES_INVALID_HEADER,
			    offsetof(struct nvme_tcp_ic_resp, dgst),
			    "ICResp turns on digests 0x%x, of which 0x%x were asked for",
			    resp->dgst, tq->ic.dgst);
	else if (max_h2c < NVME_TCP_MAXH2CDATA_MIN || max_h2c % DWORD != 0)
		tcp_bad_pdu(tq, resp, sizeof(*resp), NVME_TCP_FES_INVALID_HEADER,
			    offsetof(struct nvme_tcp_ic_resp, maxh2cdata),
			    "ICResp has MAXH2CDATA %u; a multiple of 4 from %u on is allowed",
			    max_h2c, NVME_TCP_MAXH2CDATA_MIN);
	else if (resp->dgst != tq->ic.dgst)
		nvme_qpair_fail(&tq->base, true, -EPROTO,
				"the controller does not do the %s digest that was asked for",
				(tq->ic.dgst & ~resp->dgst) & 1 ? "header" : "data");
	else
		return true;
	return false;
}

/* Data that a capsule of an I/O queue takes beside its command (Base 2.0, Figure 275: IOCCSZ). */
static uint32_t io_capsule(const struct nvme_ctrlr_info *info)
{
	uint64_t bytes = UINT64_C(16) * le32_get(&info->id.ioccsz);

	bytes = bytes > sizeof(struct nvme_cmd) ? bytes - sizeof(struct nvme_cmd) : 0;
	return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

void tcp_take_ic_resp(struct tcp_qpair *tq, const struct nvme_tcp_ic_resp *resp)
{
	if (!ic_resp_is_good(tq, resp))
		return;
	tq->initialised = true;
	tq->rules.hdgst = resp->dgst & 1;
	tq->rules.ddgst = resp->dgst & 2;
	tq->cpda = (resp->cpda + 1u) * DWORD;
	tq->max_h2c = le32_get(&resp->maxh2cdata);
	tq->capsule = tq->base.qid ? io_capsule(&tq->base.ctrlr->info) : TCP_FABRICS_CAPSULE;
	if (nvme_fabrics_connect(&tq->base) != 0)
		nvme_qpair_fail(&tq->base, true, -ENOMEM, "no memory to connect");
}

const struct nvme_transport nvme_transport_tcp = {
	.name = "TCP",
	.trtype = NVME_TRTYPE_TCP,
	.qpair_alloc = tcp_alloc,
	.qpair_free = tcp_free,
	.qpair_connect = tcp_connect,
	.qpair_close = tcp_close,
	.slot = tcp_slot,
	.submit = tcp_submit,
	.property = nvme_fabrics_property,
	.check = tcp_tls_check,
};

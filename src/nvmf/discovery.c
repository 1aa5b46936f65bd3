/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The discovery log (Base 2.0, 5.16.1.23): the addresses that the discovery service itself was
 * given, the subsystems the asking host may connect to, and referrals; and the notice when it
 * changes.
 *
 * Threading: reactor 0; the notice reaches discovery controllers on their reactors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/container_of.h"
#include "base/le.h"
#include "nvmf/identify.h"

#define ENTRY_BYTES	 sizeof(struct nvme_discovery_log_entry)
#define EFLAG_PERSISTENT (1u << 1) /* explicit persistent connections are taken */

/* --- the notice --------------------------------------------------------------------------------
 */

static void notice_here(struct nvmf_tell_part *part)
{
	struct nvmf_target *tgt = part->tell->arg;
	struct nvmf_group *group = nvmf_group_here(tgt);
	struct nvmf_conn *conn;

	LIST_FOREACH (conn, &group->conns, link) {
		if (conn->state == NVMF_CONN_LIVE && conn->qid == 0 &&
		    conn->ctrlr->subsystem->is_discovery)
			nvmf_event_raise(conn->ctrlr, NVMF_EVENT_DISCOVERY);
	}
	nvmf_tell_answer(part, 0);
}

static void notice_done(struct nvmf_tell *tell)
{
	struct nvmf_target *tgt = tell->arg;

	tgt->notice_running = false;
	if (tgt->notice_again) {
		tgt->notice_again = false;
		tgt->notice_running = true;
		nvmf_tell_start(tgt->notice, notice_here, notice_done, tgt);
	}
}

void nvmf_discovery_changed(struct nvmf_target *tgt)
{
	tgt->genctr++;
	if (tgt->notice_running) {
		tgt->notice_again = true;
		return;
	}
	tgt->notice_running = true;
	nvmf_tell_start(tgt->notice, notice_here, notice_done, tgt);
}

/* --- entries ---------------------------------------------------------------------------------- */

/**
 * struct log - one pass over all entries
 * @w: where to put them; NULL: count only
 */
struct log {
	struct nvmf_target *tgt;
	const struct nvmf_ctrlr *ctrlr;
	const struct nvmf_socket *asked_on;
	struct nvmf_window *w;
	uint64_t count;
};

static uint8_t adrfam_code(const char *adrfam)
{
	if (strcasecmp(adrfam, "IPv4") == 0)
		return NVME_ADRFAM_IPV4;
	return strcasecmp(adrfam, "IPv6") == 0 ? NVME_ADRFAM_IPV6 : 0;
}

static uint8_t trtype_code(const char *trtype)
{
	if (strcasecmp(trtype, "TCP") == 0)
		return NVME_TRTYPE_TCP;
	if (strcasecmp(trtype, "RDMA") == 0)
		return NVME_TRTYPE_RDMA;
	return strcasecmp(trtype, "FC") == 0 ? NVME_TRTYPE_FC : 0;
}

static void entry_put(struct log *log, struct nvme_discovery_log_entry *e, const char *subnqn,
		      const char *traddr, const char *trsvcid)
{
	uint64_t at = sizeof(struct nvme_discovery_log) + log->count * ENTRY_BYTES;

	log->count++;
	if (!log->w)
		return;
	le16_put(&e->cntlid, NVME_CNTLID_DYNAMIC);
	le16_put(&e->asqsz, (uint16_t)log->tgt->tcp.max_aq_depth);
	snprintf(e->subnqn, sizeof(e->subnqn), "%s", subnqn);
	nvmf_pad_text(e->traddr, sizeof(e->traddr), traddr);
	nvmf_pad_text(e->trsvcid, sizeof(e->trsvcid), trsvcid);
	nvmf_window_put(log->w, at, e, sizeof(*e));
}

static void listener_put(struct log *log, const struct nvmf_subsystem *s,
			 const struct nvmf_listener *listener, uint8_t subtype)
{
	struct nvme_discovery_log_entry e;

	memset(&e, 0, sizeof(e));
	e.trtype = NVME_TRTYPE_TCP;
	e.adrfam = adrfam_code(listener->adrfam);
	e.subtype = subtype;
	e.treq = (listener->secure_channel ? NVME_TREQ_REQUIRED : NVME_TREQ_NOT_REQUIRED) |
		 NVME_TREQ_SQ_FLOW_OFF;
	e.tsas[0] = listener->secure_channel ? NVME_TCP_SECURITY_TLS_1_3 : NVME_TCP_SECURITY_NONE;
	if (subtype == NVME_SUBTYPE_DISCOVERY_CUR)
		le16_put(&e.eflags, EFLAG_PERSISTENT);
	le16_put(&e.portid, listener->socket->portid);
	entry_put(log, &e, s->nqn, listener->traddr, listener->trsvcid);
}

/* Is a listener one that this host should see, by the target's filter? */
static bool filter_passes(const struct log *log, const struct nvmf_listener *listener)
{
	const struct net_addr *asked = &log->asked_on->addr;
	const struct net_addr *addr = &listener->socket->addr;
	uint32_t filter = log->tgt->opts.discovery_filter;
	char a[NET_ADDR_TEXT], b[NET_ADDR_TEXT];

	/* Every listener is TCP: NVMF_FILTER_TRTYPE always passes. */
	net_addr_host(asked, a, sizeof(a));
	net_addr_host(addr, b, sizeof(b));
	if ((filter & NVMF_FILTER_TRADDR) && strcmp(a, b) != 0)
		return false;
	return !(filter & NVMF_FILTER_TRSVCID) || net_addr_port(asked) == net_addr_port(addr);
}

static void subsystem_put(struct log *log, const struct nvmf_subsystem *s)
{
	uint8_t subtype = s->is_discovery ? NVME_SUBTYPE_DISCOVERY_CUR : NVME_SUBTYPE_NVM;
	const struct nvmf_listener *listener;

	if (s->deleting || !nvmf_host_is_allowed(s, log->ctrlr->hostnqn))
		return;
	TAILQ_FOREACH (listener, &s->listeners, link) {
		if (filter_passes(log, listener))
			listener_put(log, s, listener, subtype);
	}
}

static void referral_put(struct log *log, const struct nvmf_referral *r)
{
	struct nvme_discovery_log_entry e;

	memset(&e, 0, sizeof(e));
	e.trtype = trtype_code(r->trtype);
	e.adrfam = adrfam_code(r->adrfam);
	e.subtype = strcmp(r->subnqn, NVME_DISCOVERY_NQN) == 0 ? NVME_SUBTYPE_REFERRAL
							       : NVME_SUBTYPE_NVM;
	e.treq = r->secure_channel ? NVME_TREQ_REQUIRED : NVME_TREQ_NOT_SPECIFIED;
	entry_put(log, &e, r->subnqn, r->traddr, r->trsvcid);
}

static uint64_t walk(struct nvmf_target *tgt, const struct nvmf_ctrlr *ctrlr,
		     const struct nvmf_conn *conn, struct nvmf_window *w)
{
	struct log log = {
		.tgt = tgt,
		.ctrlr = ctrlr,
		.asked_on = conn->mgr.socket,
		.w = w,
	};
	const struct nvmf_subsystem *s;
	const struct nvmf_referral *r;

	TAILQ_FOREACH (s, &tgt->subsystems, link)
		subsystem_put(&log, s);
	TAILQ_FOREACH (r, &tgt->referrals, link)
		referral_put(&log, r);
	return log.count;
}

uint64_t nvmf_discovery_log_size(struct nvmf_target *tgt, const struct nvmf_ctrlr *ctrlr,
				 const struct nvmf_conn *conn)
{
	return sizeof(struct nvme_discovery_log) + walk(tgt, ctrlr, conn, NULL) * ENTRY_BYTES;
}

void nvmf_discovery_log_build(struct nvmf_target *tgt, const struct nvmf_ctrlr *ctrlr,
			      const struct nvmf_conn *conn, struct nvmf_window *w)
{
	struct nvme_discovery_log header;

	memset(&header, 0, sizeof(header));
	le64_put(&header.genctr, tgt->genctr);
	le64_put(&header.numrec, walk(tgt, ctrlr, conn, w));
	nvmf_window_put(w, 0, &header, sizeof(header));
}

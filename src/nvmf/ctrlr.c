/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers: properties, enabling, reset, shutdown, and their end.
 *
 * A change of CC that lets I/O queues come or makes them go is carried to reactor 0; CSTS says it
 * is done when reactor 0 has answered. Changes that a host asks for meanwhile are looked at then.
 *
 * Threading: the admin queue's reactor, except what says reactor 0.
 */
#include "nvmf/ctrlr.h"

#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/le.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)

#define READY_TIMEOUT_HALF_SECONDS 30u
#define SQES			   6u
#define CQES			   4u

const struct nvmf_transport_options *nvmf_ctrlr_tcp(const struct nvmf_ctrlr *ctrlr)
{
	return &ctrlr->subsystem->tgt->tcp;
}

/* --- reactor 0: the end ----------------------------------------------------------------------- */

static bool match_ctrlr(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return conn->mgr.ctrlr == wait->subject;
}

static bool match_io_queues(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return conn->mgr.ctrlr == wait->subject && conn->mgr.qid > 0;
}

static void ctrlr_free(struct reactor_msg *msg)
{
	struct nvmf_ctrlr *ctrlr = container_of(msg, struct nvmf_ctrlr, mgr.free_msg);

	free(ctrlr->mgr.queues);
	free(ctrlr);
}

void nvmf_ctrlr_free_later(struct nvmf_ctrlr *ctrlr)
{
	if (!ctrlr->mgr.gone || ctrlr->mgr.queue_count > 0 || ctrlr->mgr.resetting)
		return;
	/* Freed where messages to it may still be on their way before this one. */
	ctrlr->mgr.free_msg.fn = ctrlr_free;
	reactor_send(ctrlr->reactor, &ctrlr->mgr.free_msg);
}

static void counts_add(struct nvmf_conn_counts *to, const struct nvmf_conn_counts *from)
{
	to->reads += from->reads;
	to->writes += from->writes;
	to->blocks_read += from->blocks_read;
	to->blocks_written += from->blocks_written;
	to->media_errors += from->media_errors;
	to->commands += from->commands;
}

void nvmf_ctrlr_forget(struct nvmf_ctrlr *ctrlr, struct nvmf_conn *conn)
{
	struct nvmf_close_wait which = { .match = match_ctrlr, .subject = ctrlr };

	ctrlr->mgr.queues[conn->mgr.qid] = NULL;
	ctrlr->mgr.queue_count--;
	counts_add(&ctrlr->mgr.counts, &conn->counts);
	if (conn->mgr.qid == 0) {
		ctrlr->mgr.gone = true;
		ctrlr->mgr.ready = false;
		TAILQ_REMOVE(&ctrlr->subsystem->ctrlrs, ctrlr, link);
		ctrlr->subsystem->ctrlr_count--;
		nvmf_conns_tell(conn->tgt, NVMF_CLOSE_NOW, &which);
	}
	nvmf_ctrlr_free_later(ctrlr);
}

/* --- reactor 0: I/O queues may come, or go ---------------------------------------------------- */

static void change_answered(struct reactor_msg *msg);

static void change_done(struct nvmf_ctrlr *ctrlr)
{
	ctrlr->mgr.reset_done.fn = change_answered;
	reactor_send(ctrlr->reactor, &ctrlr->mgr.reset_done);
}

static void io_queues_gone(struct nvmf_close_wait *wait)
{
	struct nvmf_ctrlr *ctrlr = container_of(wait, struct nvmf_ctrlr, mgr.reset);

	ctrlr->mgr.resetting = false;
	change_done(ctrlr);
	nvmf_ctrlr_free_later(ctrlr);
}

static bool wants_io(uint32_t cc)
{
	return (cc & NVME_CC_EN) && NVME_CC_SHN(cc) == 0;
}

static void change_at_manager(struct reactor_msg *msg)
{
	struct nvmf_ctrlr *ctrlr = container_of(msg, struct nvmf_ctrlr, change_msg);

	if (wants_io(ctrlr->told_cc)) {
		ctrlr->mgr.ready = !ctrlr->mgr.gone;
		change_done(ctrlr);
		return;
	}
	ctrlr->mgr.ready = false;
	ctrlr->mgr.resetting = true;
	ctrlr->mgr.reset.match = match_io_queues;
	ctrlr->mgr.reset.subject = ctrlr;
	ctrlr->mgr.reset.done = io_queues_gone;
	nvmf_conns_close(ctrlr->subsystem->tgt, NVMF_CLOSE_NOW, &ctrlr->mgr.reset);
}

/* --- properties ------------------------------------------------------------------------------- */

void nvmf_ctrlr_init(struct nvmf_ctrlr *ctrlr)
{
	memset(&ctrlr->features, 0, sizeof(ctrlr->features));
	ctrlr->features.temperature_over = UINT16_MAX;
	ctrlr->events = 0;
	ctrlr->masked = 0;
	ctrlr->changed_count = 0;
}

uint64_t nvmf_ctrlr_cap(const struct nvmf_ctrlr *ctrlr)
{
	return (uint64_t)(nvmf_ctrlr_tcp(ctrlr)->max_queue_depth - 1) | NVME_CAP_CQR |
	       (uint64_t)READY_TIMEOUT_HALF_SECONDS << NVME_CAP_TO_SHIFT | NVME_CAP_CSS_NVM;
}

bool nvmf_ctrlr_is_ready(const struct nvmf_ctrlr *ctrlr)
{
	return ctrlr->csts & NVME_CSTS_RDY;
}

static void change_apply(struct nvmf_ctrlr *ctrlr)
{
	bool up = wants_io(ctrlr->cc);
	bool is_up = (ctrlr->csts & NVME_CSTS_RDY) && !(ctrlr->csts & NVME_CSTS_SHST_MASK);
	bool is_shut = ctrlr->csts & NVME_CSTS_SHST_MASK;
	bool shut = NVME_CC_SHN(ctrlr->cc) != 0;
	bool reset = !(ctrlr->cc & NVME_CC_EN) && (ctrlr->csts & NVME_CSTS_RDY);

	if (ctrlr->changing || (up == is_up && shut == is_shut && !reset))
		return;
	ctrlr->changing = true;
	ctrlr->told_cc = ctrlr->cc;
	ctrlr->change_msg.fn = change_at_manager;
	reactor_send(reactor_at(0), &ctrlr->change_msg);
}

static void change_answered(struct reactor_msg *msg)
{
	struct nvmf_ctrlr *ctrlr = container_of(msg, struct nvmf_ctrlr, mgr.reset_done);

	ctrlr->changing = false;
	ctrlr->csts &= NVME_CSTS_CFS;
	if (ctrlr->told_cc & NVME_CC_EN) {
		ctrlr->csts |= NVME_CSTS_RDY;
	} else {
		/* A reset (Base 2.0, 3.7.2): all but the connection of the admin queue. */
		ctrlr->csts = 0;
		nvmf_ctrlr_init(ctrlr);
	}
	if (NVME_CC_SHN(ctrlr->told_cc) != 0)
		ctrlr->csts |= NVME_CSTS_SHST_DONE;
	change_apply(ctrlr);
}

static bool cc_is_supported(uint32_t cc)
{
	return NVME_CC_CSS(cc) == 0 && NVME_CC_MPS(cc) == 0 && NVME_CC_AMS(cc) == 0 &&
	       NVME_CC_IOSQES(cc) == SQES && NVME_CC_IOCQES(cc) == CQES;
}

static uint16_t set_cc(struct nvmf_ctrlr *ctrlr, uint32_t cc)
{
	bool starts = (cc & NVME_CC_EN) && !(ctrlr->cc & NVME_CC_EN);
	bool discovery = ctrlr->subsystem->is_discovery;

	/* Entry sizes mean nothing to a controller without I/O queues. */
	if (starts && !(discovery ? NVME_CC_MPS(cc) == 0 : cc_is_supported(cc)))
		return GENERIC(NVME_SC_INVALID_FIELD);
	/* CC may only be changed to reset or to shut down after CFS (Base 2.0, 3.1.3.6). */
	ctrlr->cc = cc;
	if (!(cc & NVME_CC_EN) || NVME_CC_SHN(cc) != 0)
		nvmf_event_withdraw_all(ctrlr);
	if (NVME_CC_SHN(cc) != 0)
		reactor_timer_stop(&ctrlr->keep_alive);
	else if (starts)
		nvmf_keep_alive_restart(ctrlr);
	change_apply(ctrlr);
	return 0;
}

struct property {
	uint32_t offset;
	uint8_t bytes;
};

static const struct property properties[] = {
	{ NVME_REG_CAP, 8 },
	{ NVME_REG_VS, 4 },
	{ NVME_REG_CC, 4 },
	{ NVME_REG_CSTS, 4 },
};

/* Offset and size name a property (Base 2.0, 6.5). */
static bool property_exists(const struct nvme_property_cmd *cmd)
{
	uint32_t offset = le32_get(&cmd->offset);
	uint8_t bytes = cmd->attrib & 7 ? 8 : 4;

	if ((cmd->attrib & 7) > 1)
		return false;
	for (unsigned int i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
		if (properties[i].offset == offset)
			return properties[i].bytes == bytes;
	}
	return false;
}

static uint64_t property_value(const struct nvmf_ctrlr *ctrlr, uint32_t offset)
{
	switch (offset) {
	case NVME_REG_CAP:
		return nvmf_ctrlr_cap(ctrlr);
	case NVME_REG_VS:
		return NVME_VERSION(2, 0, 0);
	case NVME_REG_CC:
		return ctrlr->cc;
	default:
		return ctrlr->csts;
	}
}

void nvmf_property_get(struct nvmf_req *req)
{
	const struct nvme_property_cmd *cmd = (const void *)&req->cmd;
	uint64_t value;

	if (!property_exists(cmd)) {
		nvmf_req_complete(req, GENERIC(NVME_SC_INVALID_FIELD));
		return;
	}
	value = property_value(req->conn->ctrlr, le32_get(&cmd->offset));
	req->cdw0 = (uint32_t)value;
	req->cdw1 = (uint32_t)(value >> 32);
	nvmf_req_complete(req, 0);
}

void nvmf_property_set(struct nvmf_req *req)
{
	const struct nvme_property_cmd *cmd = (const void *)&req->cmd;
	uint16_t status = GENERIC(NVME_SC_INVALID_FIELD);

	if (property_exists(cmd) && le32_get(&cmd->offset) == NVME_REG_CC)
		status = set_cc(req->conn->ctrlr, (uint32_t)le64_get(&cmd->value));
	nvmf_req_complete(req, status);
}

/* --- start and stop --------------------------------------------------------------------------- */

void nvmf_ctrlr_start(struct nvmf_ctrlr *ctrlr, uint32_t kato_ms)
{
	nvmf_keep_alive_set(ctrlr, kato_ms);
}

void nvmf_ctrlr_stop(struct nvmf_ctrlr *ctrlr)
{
	reactor_timer_stop(&ctrlr->keep_alive);
}

void nvmf_ctrlr_fatal(struct nvmf_ctrlr *ctrlr, const char *why)
{
	log_warning("nvmf: controller %u of %s, host %s: %s", ctrlr->cntlid, ctrlr->subsystem->nqn,
		    ctrlr->hostnqn, why);
	ctrlr->csts |= NVME_CSTS_CFS;
	nvmf_conn_close(ctrlr->admin, NVMF_CLOSE_NOW);
}

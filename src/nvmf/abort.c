/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Abort (Base 2.0, 5.1): a command of this or of another queue of the controller, on whatever
 * reactor that is. Bit 0 of dw0 says that it was not aborted.
 *
 * Way: the admin queue's reactor, reactor 0 (which knows the queues), the queue's reactor, back.
 *
 * Threading: as each function says.
 */
#include "base/container_of.h"
#include "base/le.h"
#include "nvmf/ctrlr.h"

#define NOT_ABORTED 1u
#define ABORTED_BY_REQUEST                                                                         \
	(NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_BY_REQUEST) | NVME_STATUS_DNR)

/* Admin queue's reactor. */
static void answer(struct nvmf_req *req)
{
	req->conn->ctrlr->abort_count--;
	nvmf_req_complete(req, 0);
}

/* The queue's reactor. */
static void aborted(struct nvmf_req *req)
{
	nvmf_req_return(req, answer);
}

static void abort_in(struct nvmf_conn *conn, struct nvmf_req *req,
		     void (*back)(struct nvmf_req *req))
{
	uint16_t cid = (uint16_t)(le32_get(&req->cmd.cdw10) >> 16);
	struct nvmf_req *target = NULL;

	req->cdw0 = NOT_ABORTED;
	if (conn->state == NVMF_CONN_LIVE)
		target = nvmf_req_by_cid(conn, cid);
	if (target && target != req && target->state == NVMF_REQ_EXECUTING && target->ns) {
		nvmf_io_abort(target, req, back);
		return;
	}
	if (target && target != req && nvmf_req_abort(target, ABORTED_BY_REQUEST))
		req->cdw0 = 0;
	back(req);
}

static void at_queue(struct reactor_msg *msg)
{
	struct nvmf_req *req = container_of(msg, struct nvmf_req, msg);

	/* Reactor 0 put the queue here; it is there as long as messages from 0 go to it. */
	abort_in(req->peer, req, aborted);
}

/* Reactor 0. */
static void at_manager(struct nvmf_req *req)
{
	uint32_t sqid = le32_get(&req->cmd.cdw10) & UINT16_MAX;

	req->peer = req->conn->mgr.ctrlr->mgr.queues[sqid];
	if (!req->peer) {
		req->cdw0 = NOT_ABORTED;
		nvmf_req_return(req, answer);
		return;
	}
	req->msg.fn = at_queue;
	reactor_send(req->peer->reactor, &req->msg);
}

void nvmf_abort(struct nvmf_req *req)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;
	uint32_t sqid = le32_get(&req->cmd.cdw10) & UINT16_MAX;

	if (sqid > nvmf_ctrlr_tcp(ctrlr)->max_io_qpairs) {
		nvmf_req_complete(req, NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INVALID_FIELD) |
					       NVME_STATUS_DNR);
		return;
	}
	if (ctrlr->abort_count == NVMF_ABORT_LIMIT) {
		nvmf_req_complete(req, NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_ABORT_LIMIT));
		return;
	}
	ctrlr->abort_count++;
	if (sqid == 0) {
		abort_in(req->conn, req, answer);
	} else {
		nvmf_req_at_manager(req, at_manager);
	}
}

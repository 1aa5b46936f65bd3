/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command goes through, in order: its slot and CID, the checks that need no data, its data
 * (in the capsule, or by R2T), its execution.
 *
 * Threading: the connection's reactor.
 */
#include "base/le.h"
#include "nvmf/auth.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)

/* --- data and SGL ------------------------------------------------------------------------------
 */

/* Data in the capsule: offset and length lie in what came (TCP 1.0, 3.3.2; Base 2.0, 4.1.2). */
static uint16_t in_capsule_data(struct nvmf_req *req)
{
	const struct nvme_sgl *sgl = &req->cmd.dptr.sgl;
	uint64_t offset = le64_get(&sgl->address);

	if (offset > req->capsule_len)
		return GENERIC(NVME_SC_SGL_OFFSET_INVALID);
	if (le32_get(&sgl->length) > req->capsule_len - offset)
		return GENERIC(NVME_SC_DATA_SGL_LENGTH_INVALID);
	req->in_capsule = true;
	return 0;
}

static uint16_t sgl_type(struct nvmf_req *req, enum nvmf_dir dir)
{
	const struct nvme_sgl *sgl = &req->cmd.dptr.sgl;

	switch (sgl->type) {
	case NVME_SGL_TRANSPORT_DATA << 4 | NVME_SGL_SUBTYPE_TRANSPORT:
		return req->capsule_len == 0 ? 0 : GENERIC(NVME_SC_INVALID_FIELD);
	case NVME_SGL_DATA_BLOCK << 4 | NVME_SGL_SUBTYPE_OFFSET:
		if (dir == NVMF_DIR_H2C)
			return in_capsule_data(req);
		return GENERIC(NVME_SC_SGL_TYPE_INVALID);
	default:
		return GENERIC(NVME_SC_SGL_TYPE_INVALID);
	}
}

uint16_t nvmf_cmd_data(struct nvmf_req *req, enum nvmf_dir dir, uint32_t len, bool exact)
{
	uint32_t sgl_len = le32_get(&req->cmd.dptr.sgl.length);
	uint16_t status;

	req->dir = (uint8_t)dir;
	req->data_len = len;
	if (dir == NVMF_DIR_NONE)
		return req->capsule_len == 0 ? 0 : GENERIC(NVME_SC_INVALID_FIELD);
	if ((req->cmd.flags & NVME_CMD_PSDT_MASK) != NVME_CMD_PSDT_SGL)
		return GENERIC(NVME_SC_INVALID_FIELD);
	status = sgl_type(req, dir);
	if (status)
		return status;
	if (sgl_len < len || (exact && sgl_len != len))
		return GENERIC(NVME_SC_DATA_SGL_LENGTH_INVALID);
	return 0;
}

/* --- arrival ---------------------------------------------------------------------------------
 */

static bool is_connect(const struct nvme_cmd *cmd)
{
	return cmd->opc == NVME_OPC_FABRICS && (cmd->nsid & 0xff) == NVME_FCTYPE_CONNECT;
}

static uint16_t prepare(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	if (conn->state < NVMF_CONN_AUTHENTICATING) {
		/* The first command of a queue, and no other (Base 2.0, 3.3.1). */
		if (conn->state != NVMF_CONN_CONNECT || !is_connect(&req->cmd))
			return GENERIC(NVME_SC_SEQUENCE_ERROR);
		return nvmf_connect_prepare(req);
	}
	if (conn->draining)
		return NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_SQ_DELETION);
	if (conn->state == NVMF_CONN_AUTHENTICATING && !nvmf_auth_is_command(&req->cmd))
		return NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_AUTH_REQUIRED) | NVME_STATUS_DNR;
	if (req->cmd.opc == NVME_OPC_FABRICS)
		return nvmf_fabrics_prepare(req);
	if (conn->qid == 0)
		return nvmf_admin_prepare(req);
	return nvmf_io_prepare(req);
}

/*
 * Hosts that leave give up their Asynchronous Event Requests without a word, and use the CIDs again
 * for what they shut down by: SPDK's does. An answer to the old one would be taken for the new
 * one's.
 */
static void withdraw_forgotten(struct nvmf_conn *conn, uint16_t cid)
{
	struct nvmf_req *old = nvmf_req_by_cid(conn, cid);

	if (old && old->state == NVMF_REQ_EVENT)
		nvmf_event_withdraw(old);
}

/* Is the CID in use? Then this one is refused; the one that runs is not touched (Figure 94). */
static uint16_t enter_queue(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	conn->outstanding++;
	if (nvmf_req_by_cid(conn, req->cid))
		return GENERIC(NVME_SC_CID_CONFLICT);
	nvmf_req_hash(req);
	return 0;
}

struct nvmf_req *nvmf_cmd_arrived(struct nvmf_conn *conn, const struct nvme_cmd *sqe,
				  uint32_t capsule_len)
{
	struct nvmf_req *req;
	uint16_t status;

	withdraw_forgotten(conn, le16_get(&sqe->cid));
	/* More than the queue has entries: the host broke flow control (Base 2.0, 3.3.1.1). */
	if (conn->outstanding + conn->events >= conn->entries) {
		const uint8_t *pdu = (const uint8_t *)sqe - sizeof(struct nvme_tcp_common);

		nvmf_tcp_terminate(conn, NVME_TCP_FES_SEQUENCE, 0, pdu,
				   sizeof(struct nvme_tcp_cmd));
		return NULL;
	}
	req = nvmf_req_get(conn);
	req->cmd = *sqe;
	req->cid = le16_get(&sqe->cid);
	req->capsule_len = capsule_len;
	req->state = NVMF_REQ_CAPSULE;
	conn->counts.commands++;
	status = enter_queue(req);
	if (!status && conn->state == NVMF_CONN_LIVE && conn->qid > 0)
		status = nvmf_fused_arrived(req);
	if (!status)
		status = prepare(req);
	req->status = status;
	if (status)
		req->in_capsule = false;
	return req;
}

/* --- data ------------------------------------------------------------------------------------ */

static void execute(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	if (conn->state < NVMF_CONN_AUTHENTICATING)
		nvmf_connect_execute(req);
	else if (req->cmd.opc == NVME_OPC_FABRICS)
		nvmf_fabrics_execute(req);
	else if (conn->qid == 0)
		nvmf_admin_execute(req);
	else if (req->cmd.flags & NVME_CMD_FUSE_MASK)
		nvmf_fused_execute(req);
	else
		nvmf_io_execute(req);
}

static void fail(struct nvmf_req *req, uint16_t status)
{
	nvmf_fused_failed(req);
	nvmf_req_complete(req, status);
}

void nvmf_cmd_data_done(struct nvmf_req *req)
{
	if (req->fail)
		fail(req, req->fail);
	else
		execute(req);
}

static void buffers_there(struct nvmf_req *req)
{
	if (req->conn->state >= NVMF_CONN_TERMINATING)
		nvmf_req_complete(req, GENERIC(NVME_SC_ABORTED_SQ_DELETION));
	else if (req->dir == NVMF_DIR_H2C)
		nvmf_tcp_r2t(req);
	else
		execute(req);
}

/* The capsule is in one buffer; the data is the part of it that the SGL says. */
static void use_capsule(struct nvmf_req *req)
{
	uint8_t *capsule = req->buffers[0];

	req->iov[0].iov_base = capsule + le64_get(&req->cmd.dptr.sgl.address);
	req->iov[0].iov_len = req->data_len;
	req->iovcnt = 1;
}

static bool wants_buffers(const struct nvmf_req *req)
{
	if (req->data_len == 0 || req->dir == NVMF_DIR_NONE)
		return false;
	return req->dir == NVMF_DIR_H2C || req->conn->qid == 0 || req->cmd.opc == NVME_OPC_FABRICS;
}

void nvmf_cmd_begin(struct nvmf_req *req)
{
	if (req->status || req->fail) {
		fail(req, req->status ? req->status : req->fail);
		return;
	}
	if (req->in_capsule) {
		use_capsule(req);
		execute(req);
		return;
	}
	if (!wants_buffers(req)) {
		execute(req);
		return;
	}
	req->state = NVMF_REQ_WAITING;
	if (nvmf_req_buffers_get(req, req->data_len, buffers_there))
		buffers_there(req);
}

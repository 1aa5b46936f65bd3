/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin and fabrics commands: which there are for which controller, what is checked of all of them,
 * and where they go.
 *
 * Threading: the admin queue's reactor.
 */
#include "base/le.h"
#include "nvmf/auth.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)

/**
 * struct admin_command
 * @discovery: discovery controllers have it too (Base 2.0, Figure 28)
 * @prepare: what it transfers; NULL: nothing
 */
struct admin_command {
	uint8_t opc;
	bool discovery;
	uint16_t (*prepare)(struct nvmf_req *req);
	void (*execute)(struct nvmf_req *req);
};

static void keep_alive(struct nvmf_req *req)
{
	nvmf_keep_alive_restart(req->conn->ctrlr);
	nvmf_req_complete(req, 0);
}

static const struct admin_command commands[] = {
	{ NVME_ADMIN_GET_LOG_PAGE, true, nvmf_log_prepare, nvmf_log },
	{ NVME_ADMIN_IDENTIFY, true, nvmf_identify_prepare, nvmf_identify },
	{ NVME_ADMIN_ABORT, false, NULL, nvmf_abort },
	{ NVME_ADMIN_SET_FEATURES, true, nvmf_feature_set_prepare, nvmf_feature_set },
	{ NVME_ADMIN_GET_FEATURES, true, nvmf_feature_get_prepare, nvmf_feature_get },
	{ NVME_ADMIN_ASYNC_EVENT, true, NULL, nvmf_event_request },
	{ NVME_ADMIN_KEEP_ALIVE, true, NULL, keep_alive },
};

static const struct admin_command *find(const struct nvmf_req *req)
{
	bool discovery = req->conn->ctrlr->subsystem->is_discovery;

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].opc == req->cmd.opc)
			return commands[i].discovery || !discovery ? &commands[i] : NULL;
	}
	return NULL;
}

uint16_t nvmf_admin_prepare(struct nvmf_req *req)
{
	const struct admin_command *command = find(req);

	if (!nvmf_ctrlr_is_ready(req->conn->ctrlr))
		return GENERIC(NVME_SC_SEQUENCE_ERROR);
	if (!command)
		return GENERIC(NVME_SC_INVALID_OPCODE);
	if (req->cmd.flags & NVME_CMD_FUSE_MASK)
		return GENERIC(NVME_SC_INVALID_FIELD);
	if (command->prepare)
		return command->prepare(req);
	return nvmf_cmd_data(req, NVMF_DIR_NONE, 0, false);
}

void nvmf_admin_execute(struct nvmf_req *req)
{
	/* A shutdown or reset may have come while its data did. */
	const struct admin_command *command = find(req);

	command->execute(req);
}

/* --- fabrics ---------------------------------------------------------------------------------- */

static uint8_t fctype(const struct nvmf_req *req)
{
	return (uint8_t)le32_get(&req->cmd.nsid);
}

uint16_t nvmf_fabrics_prepare(struct nvmf_req *req)
{
	bool property =
		fctype(req) == NVME_FCTYPE_PROPERTY_GET || fctype(req) == NVME_FCTYPE_PROPERTY_SET;

	if (req->cmd.flags & NVME_CMD_FUSE_MASK)
		return GENERIC(NVME_SC_INVALID_FIELD);
	/* The queue is connected already (Base 2.0, 6.3). */
	if (fctype(req) == NVME_FCTYPE_CONNECT)
		return GENERIC(NVME_SC_SEQUENCE_ERROR);
	if (nvmf_auth_is_command(&req->cmd))
		return nvmf_auth_prepare(req);
	/* Deleting single queues is not offered. */
	if (!property || req->conn->qid > 0)
		return GENERIC(NVME_SC_INVALID_OPCODE);
	return nvmf_cmd_data(req, NVMF_DIR_NONE, 0, false);
}

void nvmf_fabrics_execute(struct nvmf_req *req)
{
	if (nvmf_auth_is_command(&req->cmd))
		nvmf_auth_execute(req);
	else if (fctype(req) == NVME_FCTYPE_PROPERTY_GET)
		nvmf_property_get(req);
	else if (fctype(req) == NVME_FCTYPE_PROPERTY_SET)
		nvmf_property_set(req);
	else
		/* A Connect whose data came after that of another. */
		nvmf_req_complete(req, GENERIC(NVME_SC_SEQUENCE_ERROR));
}

void nvmf_req_window(struct nvmf_req *req, uint64_t offset, struct nvmf_window *w)
{
	w->iov = req->iov;
	w->iovcnt = req->iovcnt;
	w->offset = offset;
	w->len = req->data_len;
	nvmf_window_clear(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fabrics commands (Base 2.0, 6): Connect with the words for its refusals, and properties.
 *
 * Threading: on the reactor of the queue pair; properties on the controller's home.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "nvme/host_internal.h"

struct fabrics_connect {
	struct nvme_qpair *qp;
	struct nvme_request req;
	struct iovec iov;
	struct nvme_connect_data data;
};

_Static_assert(sizeof(struct nvme_connect_cmd) == sizeof(struct nvme_cmd), "one queue entry");

static struct fabrics_connect *connect_of(struct nvme_request *req)
{
	return container_of(req, struct fabrics_connect, req);
}

/* --- why a Connect was refused ---------------------------------------------------------------- */

struct parameter {
	uint32_t where; /* completion dword 0: offset, and whether in the data */
	int code;
	const char *text;
};

#define IN_DATA(field)                                                                             \
	(NVME_CONNECT_INVALID_IN_DATA | (uint32_t)offsetof(struct nvme_connect_data, field))
#define IN_COMMAND(field) ((uint32_t)offsetof(struct nvme_connect_cmd, field))

static const struct parameter parameters[] = {
	{ IN_DATA(subnqn), ENOENT, "it has no subsystem of this NQN, or not at this address" },
	{ IN_DATA(hostnqn), EINVAL, "it does not take the host NQN" },
	{ IN_DATA(hostid), EINVAL, "it does not take the host identifier" },
	{ IN_DATA(cntlid), EINVAL, "it does not know the controller identifier" },
	{ IN_COMMAND(qid), EINVAL, "it does not take the queue identifier" },
	{ IN_COMMAND(sqsize), EINVAL, "it does not take the queue size" },
	{ IN_COMMAND(recfmt), EINVAL, "it does not know the record format" },
	{ IN_COMMAND(cattr), EINVAL, "it does not take the connect attributes" },
	{ IN_COMMAND(kato), EINVAL, "it does not take the keep-alive timeout" },
};

static const char *parameter_text(uint32_t where, int *code)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		if (parameters[i].where == (where & 0x1ffff)) {
			*code = -parameters[i].code;
			return parameters[i].text;
		}
	*code = -EINVAL;
	return "it does not take a parameter";
}

static const char *refusal(const struct nvme_request *req, int *code)
{
	uint16_t status = nvme_request_status(req);

	*code = -ECONNREFUSED;
	if (nvme_status_sct(status) != NVME_SCT_COMMAND)
		return NULL;
	switch (nvme_status_sc(status)) {
	case NVME_SC_CONNECT_FORMAT:
		return "incompatible format";
	case NVME_SC_CONNECT_BUSY:
		*code = -EBUSY;
		return "controller busy: it has no controller left, or another host has it";
	case NVME_SC_CONNECT_INVALID_PARAMETERS:
		return parameter_text(le32_get(&req->cpl.cdw0), code);
	case NVME_SC_CONNECT_RESTART_DISCOVERY:
		*code = -EAGAIN;
		return "it is somewhere else now: discover it again";
	case NVME_SC_CONNECT_INVALID_HOST:
		*code = -EACCES;
		return "this host is not allowed there: add it to the subsystem's hosts";
	default:
		return NULL;
	}
}

static void refused(struct nvme_qpair *qp, const struct nvme_request *req)
{
	char status[NVME_STATUS_TEXT];
	const char *reason;
	int code;

	reason = refusal(req, &code);
	if (reason)
		snprintf(status, sizeof(status), "status 0x%x/0x%02x",
			 nvme_status_sct(nvme_request_status(req)),
			 nvme_status_sc(nvme_request_status(req)));
	else
		nvme_status_text(nvme_request_status(req), status, sizeof(status));
	nvme_qpair_fail(qp, true, code, "Connect of host %s refused: %s%s%s%s",
			qp->ctrlr->opts.path.hostnqn, reason ? reason : status, reason ? " (" : "",
			reason ? status : "", reason ? ")" : "");
}

/* --- Connect ---------------------------------------------------------------------------------- */

/* Completion dword 0 (Base 2.0, 6.3): controller identifier, and whether it wants to authenticate.
 */
static void accepted(struct nvme_qpair *qp, uint32_t result)
{
	if (qp->qid == 0)
		qp->ctrlr->info.cntlid = (uint16_t)result;
	if (result >> 16 == 0)
		nvme_qpair_connected(qp);
	else if (!qp->ctrlr->opts.dhchap_key.len)
		nvme_qpair_fail(qp, true, -EACCES, "it wants host %s to authenticate: give its key",
				qp->ctrlr->opts.path.hostnqn);
	else if (nvme_auth_start(qp) < 0)
		nvme_qpair_fail(qp, true, -ENOMEM, "no memory to authenticate");
}

static void connect_done(struct nvme_request *req)
{
	struct fabrics_connect *connect = connect_of(req);
	struct nvme_qpair *qp = connect->qp;

	/* A path that broke meanwhile has told its own reason. */
	if (qp->state == NVME_QPAIR_CONNECTING) {
		if (nvme_request_status(req) != 0)
			refused(qp, req);
		else
			accepted(qp, le32_get(&req->cpl.cdw0));
	}
	free(connect);
}

static void fill_command(const struct nvme_qpair *qp, struct nvme_connect_cmd *cmd)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->opc = NVME_OPC_FABRICS;
	cmd->fctype = NVME_FCTYPE_CONNECT;
	cmd->qid = htole16(qp->qid);
	/* 0's based, and a full queue leaves one entry free (Base 2.0, 3.3.1.3). */
	cmd->sqsize = htole16(qp->depth);
	if (qp->qid == 0)
		cmd->kato = htole32(qp->ctrlr->opts.kato_ms);
	else if (!qp->ctrlr->opts.sq_flow)
		cmd->cattr = NVME_CONNECT_ATTR_DISABLE_SQ_FLOW;
}

static void fill_data(const struct nvme_qpair *qp, struct nvme_connect_data *data)
{
	const struct nvme_path *path = &qp->ctrlr->opts.path;

	memcpy(data->hostid, path->hostid.raw, sizeof(data->hostid));
	data->cntlid = htole16(qp->qid == 0 ? NVME_CNTLID_DYNAMIC : qp->ctrlr->info.cntlid);
	snprintf(data->subnqn, sizeof(data->subnqn), "%s", path->subnqn);
	snprintf(data->hostnqn, sizeof(data->hostnqn), "%s", path->hostnqn);
}

int nvme_fabrics_connect(struct nvme_qpair *qp)
{
	struct fabrics_connect *connect = calloc(1, sizeof(*connect));

	if (!connect)
		return -ENOMEM;
	qp->phase = "answer to Connect";
	connect->qp = qp;
	connect->req.done = connect_done;
	fill_command(qp, (struct nvme_connect_cmd *)&connect->req.cmd);
	fill_data(qp, &connect->data);
	nvme_request_data(&connect->req, &connect->iov, &connect->data, sizeof(connect->data),
			  NVME_TO_CTRLR);
	nvme_qpair_submit_now(qp, &connect->req);
	return 0;
}

/* --- properties ------------------------------------------------------------------------------- */

static void property_done(struct nvme_request *req)
{
	struct nvme_property *property = container_of(req, struct nvme_property, req);

	if (nvme_request_status(req) == 0 && !property->set) {
		property->value = le32_get(&req->cpl.cdw0);
		if (property->size == 8)
			property->value |= (uint64_t)le32_get(&req->cpl.cdw1) << 32;
	}
	property->done(property, nvme_status_errno(nvme_request_status(req)));
}

void nvme_fabrics_property(struct nvme_ctrlr *ctrlr, struct nvme_property *property)
{
	struct nvme_property_cmd *cmd = (struct nvme_property_cmd *)&property->req.cmd;

	property->req = (struct nvme_request){ .done = property_done };
	cmd->opc = NVME_OPC_FABRICS;
	cmd->fctype = property->set ? NVME_FCTYPE_PROPERTY_SET : NVME_FCTYPE_PROPERTY_GET;
	cmd->attrib = property->size == 8 ? 1 : 0;
	cmd->offset = htole32(property->offset);
	if (property->set)
		cmd->value = htole64(property->value);
	nvme_submit(ctrlr->admin, &property->req);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect (Base 2.0, 6.3): the queue pair of a connection, with all that may be wrong in it.
 *
 * What the command says by itself is checked on the connection's reactor. Who may connect to what,
 * and which queues there are, is decided on reactor 0, which sees all Connects and all ends one
 * after the other.
 *
 * Threading: as above; each function says where it runs.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "net/tls.h"
#include "nvmf/auth.h"

#define COMMAND(sc) (NVME_STATUS(NVME_SCT_COMMAND, (sc)) | NVME_STATUS_DNR)
#define IN_DATA(field)                                                                             \
	(NVME_CONNECT_INVALID_IN_DATA | (uint32_t)offsetof(struct nvme_connect_data, field))
#define IN_CMD(field) ((uint32_t)offsetof(struct nvme_connect_cmd, field))

#define CATTR_KNOWN                                                                                \
	(NVME_CONNECT_ATTR_PRIORITY_MASK | NVME_CONNECT_ATTR_DISABLE_SQ_FLOW |                     \
	 NVME_CONNECT_ATTR_QUEUE_DELETION)

static uint16_t invalid(uint32_t *where, uint32_t offset)
{
	*where = offset;
	return COMMAND(NVME_SC_CONNECT_INVALID_PARAMETERS);
}

/* --- what can be checked alone ---------------------------------------------------------------- */

uint16_t nvmf_connect_check_cmd(const struct nvme_connect_cmd *cmd,
				const struct nvmf_transport_options *tcp, uint32_t *where)
{
	uint16_t qid = le16_get(&cmd->qid);
	uint32_t depth = qid == 0 ? tcp->max_aq_depth : tcp->max_queue_depth;
	uint16_t sqsize = le16_get(&cmd->sqsize);

	if (le16_get(&cmd->recfmt) != 0)
		return COMMAND(NVME_SC_CONNECT_FORMAT);
	if (qid > tcp->max_io_qpairs)
		return invalid(where, IN_CMD(qid));
	if (sqsize == 0 || sqsize >= depth)
		return invalid(where, IN_CMD(sqsize));
	if (cmd->cattr & ~CATTR_KNOWN)
		return invalid(where, IN_CMD(cattr));
	return 0;
}

static bool is_nqn(const char field[static NVME_NQN_FIELD])
{
	return memchr(field, 0, NVME_NQN_FIELD) && nvmf_nqn_check(field, NULL) == 0;
}

uint16_t nvmf_connect_check_data(const struct nvme_connect_data *data, uint32_t *where)
{
	if (!is_nqn(data->subnqn))
		return invalid(where, IN_DATA(subnqn));
	/* Hosts in the field, SPDK's own among them, send names of other forms, or none. */
	if (!memchr(data->hostnqn, 0, NVME_NQN_FIELD))
		return invalid(where, IN_DATA(hostnqn));
	return 0;
}

uint16_t nvmf_connect_prepare(struct nvmf_req *req)
{
	uint16_t status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INVALID_FIELD) | NVME_STATUS_DNR;
	char name[NET_ADDR_TEXT];

	if (!(req->cmd.flags & NVME_CMD_FUSE_MASK))
		status = nvmf_cmd_data(req, NVMF_DIR_H2C, sizeof(struct nvme_connect_data), false);
	if (status)
		log_warning("nvmf: %s: Connect refused: it is fused, or its SGL is not of the %zu "
			    "bytes of its data (status %x/%02x)",
			    nvmf_conn_name(req->conn, name, sizeof(name)),
			    sizeof(struct nvme_connect_data), nvme_status_sct(status),
			    nvme_status_sc(status));
	return status;
}

/* --- telling --------------------------------------------------------------------------------- */

static const char *field_reason(uint32_t where)
{
	static const struct {
		uint32_t where;
		const char *why;
	} fields[] = {
		{ IN_CMD(qid), "there is no such queue" },
		{ IN_CMD(sqsize), "the submission queue's size is 0 or over the allowed" },
		{ IN_CMD(cattr), "an unknown attribute is set" },
		{ IN_DATA(cntlid), "the host has no controller of that id" },
		{ IN_DATA(subnqn), "no such subsystem listens on this address" },
		{ IN_DATA(hostnqn), "the host's name has no end, or is not its controller's" },
		{ IN_DATA(hostid), "the host's id is not its controller's" },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].where == where)
			return fields[i].why;
	}
	return "a parameter is wrong";
}

static const char *reason(uint16_t status, uint32_t where)
{
	if (nvme_status_sct(status) != NVME_SCT_COMMAND)
		return nvme_status_sc(status) == NVME_SC_SEQUENCE_ERROR
			       ? "the controller is not enabled, or has this queue already"
			       : "no memory";
	switch (nvme_status_sc(status)) {
	case NVME_SC_CONNECT_FORMAT:
		return "the record format is not 0";
	case NVME_SC_CONNECT_BUSY:
		return "the target is leaving, or all controller ids are taken";
	case NVME_SC_CONNECT_INVALID_HOST:
		return "the host is not allowed there, or its TLS key is of another host or "
		       "subsystem; nvmf_subsystem_add_host allows it";
	default:
		return field_reason(where);
	}
}

/* The names may lack an end: that is one of the reasons. */
static void tell_refusal(const struct nvmf_req *req, const struct nvme_connect_data *data,
			 uint16_t status)
{
	const struct nvme_connect_cmd *cmd = (const void *)&req->cmd;
	char name[NET_ADDR_TEXT];

	log_warning("nvmf: %s: Connect of host '%.*s' to '%.*s', queue %u, refused: %s "
		    "(status %x/%02x, 0x%x)",
		    nvmf_conn_name(req->conn, name, sizeof(name)), (int)NVME_NQN_FIELD,
		    data->hostnqn, (int)NVME_NQN_FIELD, data->subnqn, le16_get(&cmd->qid),
		    reason(status, req->cdw0), nvme_status_sct(status), nvme_status_sc(status),
		    req->cdw0);
}

/* --- on reactor 0 ----------------------------------------------------------------------------- */

static struct nvmf_ctrlr *ctrlr_by_id(const struct nvmf_subsystem *s, uint16_t cntlid)
{
	struct nvmf_ctrlr *ctrlr;

	TAILQ_FOREACH (ctrlr, &s->ctrlrs, link) {
		if (ctrlr->cntlid == cntlid)
			return ctrlr;
	}
	return NULL;
}

/* Ids go round, so that the id of a controller that is gone is not at once another's. */
static uint16_t take_cntlid(struct nvmf_subsystem *s)
{
	uint32_t count = (uint32_t)s->max_cntlid - s->min_cntlid + 1;

	for (uint32_t i = 0; i < count; i++) {
		uint16_t id = s->next_cntlid;

		s->next_cntlid = id == s->max_cntlid ? s->min_cntlid : (uint16_t)(id + 1);
		if (!ctrlr_by_id(s, id))
			return id;
	}
	return 0;
}

static uint32_t auth_ms(const struct nvmf_target *tgt, uint32_t kato)
{
	uint32_t ms = nvmf_keep_alive_round(&tgt->tcp, kato);

	return ms == 0 || ms > NVMF_AUTH_TIMEOUT_MS ? NVMF_AUTH_TIMEOUT_MS : ms;
}

static struct nvmf_ctrlr *ctrlr_create(struct nvmf_subsystem *s, struct nvmf_req *req,
				       const struct nvme_connect_data *data, uint16_t cntlid)
{
	const struct nvme_connect_cmd *cmd = (const void *)&req->cmd;
	struct nvmf_ctrlr *ctrlr = calloc(1, sizeof(*ctrlr));

	if (!ctrlr)
		return NULL;
	ctrlr->mgr.queues = calloc(s->tgt->tcp.max_io_qpairs + 1u, sizeof(struct nvmf_conn *));
	if (!ctrlr->mgr.queues) {
		free(ctrlr);
		return NULL;
	}
	ctrlr->subsystem = s;
	ctrlr->cntlid = cntlid;
	ctrlr->admin = req->conn;
	ctrlr->reactor = req->conn->reactor;
	ctrlr->created_ns = reactor_now_ns();
	ctrlr->auth_ms = auth_ms(s->tgt, le32_get(&cmd->kato));
	memcpy(ctrlr->hostnqn, data->hostnqn, sizeof(ctrlr->hostnqn));
	memcpy(ctrlr->hostid, data->hostid, sizeof(ctrlr->hostid));
	nvmf_ctrlr_init(ctrlr);
	TAILQ_INSERT_TAIL(&s->ctrlrs, ctrlr, link);
	s->ctrlr_count++;
	return ctrlr;
}

static void queue_enter(struct nvmf_ctrlr *ctrlr, struct nvmf_conn *conn, uint16_t qid)
{
	ctrlr->mgr.queues[qid] = conn;
	ctrlr->mgr.queue_count++;
	conn->mgr.ctrlr = ctrlr;
	conn->mgr.qid = qid;
}

static uint16_t connect_admin(struct nvmf_req *req, struct nvmf_subsystem *s,
			      const struct nvme_connect_data *data)
{
	struct nvmf_ctrlr *ctrlr;
	uint16_t cntlid;

	/* Controllers are made as hosts come: there is none to ask for (dynamic model). */
	if (le16_get(&data->cntlid) != NVME_CNTLID_DYNAMIC)
		return invalid(&req->cdw0, IN_DATA(cntlid));
	cntlid = take_cntlid(s);
	if (cntlid == 0)
		return NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_CONNECT_BUSY);
	ctrlr = ctrlr_create(s, req, data, cntlid);
	if (!ctrlr)
		return NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR);
	queue_enter(ctrlr, req->conn, 0);
	return 0;
}

static uint16_t connect_io(struct nvmf_req *req, struct nvmf_subsystem *s,
			   const struct nvme_connect_data *data, uint16_t qid)
{
	struct nvmf_ctrlr *ctrlr = ctrlr_by_id(s, le16_get(&data->cntlid));

	if (s->is_discovery)
		return invalid(&req->cdw0, IN_CMD(qid));
	if (!ctrlr)
		return invalid(&req->cdw0, IN_DATA(cntlid));
	if (strcmp(ctrlr->hostnqn, data->hostnqn) != 0)
		return invalid(&req->cdw0, IN_DATA(hostnqn));
	if (memcmp(ctrlr->hostid, data->hostid, sizeof(ctrlr->hostid)) != 0)
		return invalid(&req->cdw0, IN_DATA(hostid));
	if (!ctrlr->mgr.ready || ctrlr->mgr.queues[qid])
		return NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_SEQUENCE_ERROR) | NVME_STATUS_DNR;
	queue_enter(ctrlr, req->conn, qid);
	return 0;
}

static uint16_t connect_decide(struct nvmf_req *req, const struct nvme_connect_data *data)
{
	const struct nvme_connect_cmd *cmd = (const void *)&req->cmd;
	struct nvmf_conn *conn = req->conn;
	struct nvmf_target *tgt = conn->tgt;
	struct nvmf_subsystem *s = nvmf_subsystem_find(tgt, data->subnqn);
	uint16_t qid = le16_get(&cmd->qid);

	if (tgt->draining || conn->mgr.told)
		return NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_CONNECT_BUSY);
	if (!s || s->deleting)
		return invalid(&req->cdw0, IN_DATA(subnqn));
	if (!s->is_discovery && !nvmf_listener_of(s, conn->mgr.socket))
		return invalid(&req->cdw0, IN_DATA(subnqn));
	if (!nvmf_host_is_allowed(s, data->hostnqn) ||
	    (conn->mgr.socket->secure && !nvmf_host_proved(s, data->hostnqn, conn->identity)))
		return COMMAND(NVME_SC_CONNECT_INVALID_HOST);
	conn->mgr.must_authenticate = nvmf_host_must_authenticate(s, data->hostnqn);
	return qid == 0 ? connect_admin(req, s, data) : connect_io(req, s, data, qid);
}

static void connect_answer(struct nvmf_req *req);

static void connect_at_manager(struct nvmf_req *req)
{
	const struct nvme_connect_data *data = req->iov[0].iov_base;

	req->status = connect_decide(req, data);
	if (req->status)
		tell_refusal(req, data, req->status);
	nvmf_req_return(req, connect_answer);
}

/* --- on the connection's reactor ---------------------------------------------------------------
 */

static void enter_stats(struct nvmf_conn *conn)
{
	struct nvmf_group_stats *stats = &conn->group->stats;

	stats->current_unassociated_qpairs--;
	if (conn->qid == 0) {
		stats->admin_qpairs++;
		stats->current_admin_qpairs++;
	} else {
		stats->io_qpairs++;
		stats->current_io_qpairs++;
	}
}

static int become_queue(struct nvmf_conn *conn, const struct nvme_connect_cmd *cmd)
{
	/* Reactor 0 wrote these before it answered, and never changes them. */
	conn->ctrlr = conn->mgr.ctrlr;
	conn->qid = conn->mgr.qid;
	conn->part = &conn->ctrlr->subsystem->parts[conn->group->index];
	conn->sq_flow_off = cmd->cattr & NVME_CONNECT_ATTR_DISABLE_SQ_FLOW;
	if (conn->qid > 0)
		conn->capsule_data_max = conn->tgt->tcp.in_capsule_data_size;
	conn->state = NVMF_CONN_LIVE;
	enter_stats(conn);
	reactor_timer_stop(&conn->timer);
	if (conn->qid == 0)
		nvmf_ctrlr_start(conn->ctrlr, le32_get(&cmd->kato));
	if (!conn->mgr.must_authenticate)
		return 0;
	conn->state = NVMF_CONN_AUTHENTICATING;
	return nvmf_auth_begin(conn);
}

static void connect_answer(struct nvmf_req *req)
{
	const struct nvme_connect_cmd *cmd = (const void *)&req->cmd;
	struct nvmf_conn *conn = req->conn;

	if (req->status) {
		if (conn->state == NVMF_CONN_CONNECTING)
			conn->state = NVMF_CONN_CONNECT;
		nvmf_req_complete(req, req->status);
		return;
	}
	if (conn->state != NVMF_CONN_CONNECTING) {
		nvmf_req_complete(req, 0);
		return;
	}
	if (nvmf_conn_set_depth(conn, le16_get(&cmd->sqsize) + 1u) || become_queue(conn, cmd)) {
		log_error("nvmf: no memory for a queue of %u entries", le16_get(&cmd->sqsize) + 1u);
		nvmf_conn_close(conn, NVMF_CLOSE_NOW);
		nvmf_req_complete(req, 0);
		return;
	}
	req->cdw0 = conn->ctrlr->cntlid;
	if (conn->state == NVMF_CONN_AUTHENTICATING)
		req->cdw0 |= NVME_CONNECT_AUTHENTICATE;
	nvmf_req_complete(req, 0);
}

/* A copy: the stream may be gone when reactor 0 looks at it. */
static uint16_t take_identity(struct nvmf_conn *conn)
{
	const char *identity = net_stream_tls_identity(conn->stream);

	if (!identity || conn->identity)
		return 0;
	conn->identity = strdup(identity);
	return conn->identity ? 0 : NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR);
}

void nvmf_connect_execute(struct nvmf_req *req)
{
	const struct nvme_connect_data *data = req->iov[0].iov_base;
	uint16_t status =
		nvmf_connect_check_cmd((const void *)&req->cmd, &req->conn->tgt->tcp, &req->cdw0);

	/* Another one may have come whose data was there first. */
	if (!status && req->conn->state != NVMF_CONN_CONNECT)
		status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_SEQUENCE_ERROR) | NVME_STATUS_DNR;
	if (!status)
		status = nvmf_connect_check_data(data, &req->cdw0);
	if (!status)
		status = take_identity(req->conn);
	if (status) {
		tell_refusal(req, data, status);
		nvmf_req_complete(req, status);
		return;
	}
	req->conn->state = NVMF_CONN_CONNECTING;
	nvmf_req_at_manager(req, connect_at_manager);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identify (Base 2.0, 5.17): the forms that an NVMe 2.0 host asks a controller of the NVM command
 * set for.
 *
 * Threading: the admin queue's reactor; lists of controllers are made on reactor 0.
 */
#include "nvmf/identify.h"

#include <string.h>

#include "base/le.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)
#define LIST_MAX    (NVME_IDENTIFY_BYTES / 4)
#define CTRLRS_MAX  (NVME_IDENTIFY_BYTES / 2 - 1)

static uint8_t cns(const struct nvmf_req *req)
{
	return (uint8_t)le32_get(&req->cmd.cdw10);
}

static uint8_t csi(const struct nvmf_req *req)
{
	return (uint8_t)(le32_get(&req->cmd.cdw11) >> 24);
}

/* --- what there is of a namespace here -------------------------------------------------------- */

static struct nvmf_ns_part *ns_at(const struct nvmf_req *req, uint32_t nsid)
{
	const struct nvmf_conn *conn = req->conn;
	struct nvmf_ns_part *part;

	if (nsid == 0 || nsid > conn->part->count)
		return NULL;
	part = conn->part->ns[nsid - 1];
	if (!part || part->removed || !nvmf_ns_sees(part, conn->ctrlr->hostnqn))
		return NULL;
	return part;
}

static bool nsid_is_valid(const struct nvmf_req *req, uint32_t nsid)
{
	return nsid > 0 && nsid <= req->conn->ctrlr->subsystem->max_namespaces;
}

static void active_list(struct nvmf_req *req, struct nvmf_window *w)
{
	uint32_t from = le32_get(&req->cmd.nsid);
	uint32_t count = 0;

	for (uint32_t i = from; i < req->conn->part->count && count < LIST_MAX; i++) {
		uint32_t nsid = htole32(i + 1);

		if (ns_at(req, i + 1))
			nvmf_window_put(w, 4ull * count++, &nsid, sizeof(nsid));
	}
}

static void put_ns(struct nvmf_req *req, struct nvmf_window *w)
{
	struct nvmf_ns_part *part = ns_at(req, le32_get(&req->cmd.nsid));
	struct nvme_id_ns id;

	/* An inactive namespace has a page of zeroes (Base 2.0, 5.17.2.1). */
	if (!part)
		return;
	nvmf_identify_ns(part, &id);
	nvmf_window_put(w, 0, &id, sizeof(id));
}

/* What is common to all NSIDs: capabilities without a size. */
static void put_ns_common(struct nvmf_window *w)
{
	static const uint8_t nmic = 1;

	nvmf_window_put(w, offsetof(struct nvme_id_ns, nmic), &nmic, sizeof(nmic));
}

static void put_ctrlr(struct nvmf_req *req, struct nvmf_window *w)
{
	struct nvme_id_ctrlr id;

	nvmf_identify_ctrlr(req->conn->ctrlr, &id);
	nvmf_window_put(w, 0, &id, sizeof(id));
}

static void put_ctrlr_nvm(struct nvmf_req *req, struct nvmf_window *w)
{
	const struct nvmf_subsystem *s = req->conn->ctrlr->subsystem;
	struct nvme_id_ctrlr_nvm id;

	memset(&id, 0, sizeof(id));
	id.wzsl = s->wzsl;
	le32_put(&id.dmrsl, s->dmrsl);
	nvmf_window_put(w, 0, &id, sizeof(id));
}

/* I/O Command Set Independent Identify Namespace (CNS 08h). */
static void put_ns_independent(struct nvmf_window *w)
{
	static const uint8_t nmic = 1;
	static const uint8_t nstat = 1; /* ready */

	nvmf_window_put(w, 1, &nmic, sizeof(nmic));
	nvmf_window_put(w, 14, &nstat, sizeof(nstat));
}

/* --- lists of controllers (reactor 0) --------------------------------------------------------- */

static void list_done(struct nvmf_req *req)
{
	nvmf_req_complete(req, req->status);
}

static void ctrlr_list(struct nvmf_req *req)
{
	struct nvmf_subsystem *s = req->conn->ctrlr->subsystem;
	uint32_t from = le32_get(&req->cmd.cdw10) >> 16;
	uint16_t count = 0;
	struct nvmf_window w;

	nvmf_req_window(req, 0, &w);
	/* Ascending: one pass for each, there are few. */
	for (;;) {
		uint32_t least = UINT32_MAX;
		struct nvmf_ctrlr *ctrlr;
		uint16_t id;

		TAILQ_FOREACH (ctrlr, &s->ctrlrs, link) {
			if (ctrlr->cntlid >= from && ctrlr->cntlid < least)
				least = ctrlr->cntlid;
		}
		if (least == UINT32_MAX || count == CTRLRS_MAX)
			break;
		id = htole16((uint16_t)least);
		nvmf_window_put(&w, 2ull + 2ull * count++, &id, sizeof(id));
		from = least + 1;
	}
	count = htole16(count);
	nvmf_window_put(&w, 0, &count, sizeof(count));
	nvmf_req_return(req, list_done);
}

/* --- the command ------------------------------------------------------------------------------ */

uint16_t nvmf_identify_prepare(struct nvmf_req *req)
{
	return nvmf_cmd_data(req, NVMF_DIR_C2H, NVME_IDENTIFY_BYTES, false);
}

/* A form about one namespace: the status when its NSID is not right. */
static uint16_t check_nsid(const struct nvmf_req *req, bool must_be_active)
{
	uint32_t nsid = le32_get(&req->cmd.nsid);

	if (!nsid_is_valid(req, nsid))
		return GENERIC(NVME_SC_INVALID_NAMESPACE);
	if (must_be_active && !ns_at(req, nsid))
		return GENERIC(NVME_SC_INVALID_NAMESPACE);
	return 0;
}

static uint16_t check_list(const struct nvmf_req *req)
{
	return le32_get(&req->cmd.nsid) >= 0xfffffffeu ? GENERIC(NVME_SC_INVALID_NAMESPACE) : 0;
}

static uint16_t ns_form(struct nvmf_req *req, struct nvmf_window *w)
{
	uint16_t status;

	if (le32_get(&req->cmd.nsid) == NVME_NSID_ALL) {
		put_ns_common(w);
		return 0;
	}
	status = check_nsid(req, false);
	if (!status)
		put_ns(req, w);
	return status;
}

static uint16_t list_form(struct nvmf_req *req, struct nvmf_window *w)
{
	uint16_t status = check_list(req);

	if (!status)
		active_list(req, w);
	return status;
}

static uint16_t descriptor_form(struct nvmf_req *req, struct nvmf_window *w)
{
	uint16_t status = check_nsid(req, true);

	if (!status)
		nvmf_identify_ns_descriptors(ns_at(req, le32_get(&req->cmd.nsid)), w);
	return status;
}

static uint16_t independent_form(struct nvmf_req *req, struct nvmf_window *w)
{
	uint16_t status = check_nsid(req, true);

	if (!status)
		put_ns_independent(w);
	return status;
}

/* The I/O command set combination: NVM alone, at index 0. */
static uint16_t command_sets_form(struct nvmf_window *w)
{
	uint64_t nvm = htole64(1);

	nvmf_window_put(w, 0, &nvm, sizeof(nvm));
	return 0;
}

static uint16_t nvm_form(struct nvmf_req *req, struct nvmf_window *w)
{
	switch (cns(req)) {
	case NVME_CNS_CSI_NS:
		/* No protection information, no larger metadata: a page of zeroes. */
		return check_nsid(req, true);
	case NVME_CNS_CSI_CTRLR:
		put_ctrlr_nvm(req, w);
		return 0;
	default:
		return list_form(req, w);
	}
}

static uint16_t form(struct nvmf_req *req, struct nvmf_window *w)
{
	switch (cns(req)) {
	case NVME_CNS_NS:
		return ns_form(req, w);
	case NVME_CNS_ACTIVE_NS_LIST:
		return list_form(req, w);
	case NVME_CNS_NS_DESCRIPTORS:
		return descriptor_form(req, w);
	case NVME_CNS_CSI_INDEPENDENT_NS:
		return independent_form(req, w);
	case NVME_CNS_CSI_NS:
	case NVME_CNS_CSI_CTRLR:
	case NVME_CNS_CSI_ACTIVE_NS_LIST:
		return csi(req) == NVME_CSI_NVM ? nvm_form(req, w) : GENERIC(NVME_SC_INVALID_FIELD);
	case NVME_CNS_COMMAND_SETS:
		return command_sets_form(w);
	default:
		return GENERIC(NVME_SC_INVALID_FIELD);
	}
}

void nvmf_identify(struct nvmf_req *req)
{
	bool discovery = req->conn->ctrlr->subsystem->is_discovery;
	struct nvmf_window w;

	nvmf_req_window(req, 0, &w);
	if (cns(req) == NVME_CNS_CTRLR) {
		put_ctrlr(req, &w);
		nvmf_req_complete(req, 0);
		return;
	}
	if (discovery) {
		nvmf_req_complete(req, GENERIC(NVME_SC_INVALID_FIELD));
		return;
	}
	if (cns(req) == NVME_CNS_CTRLR_LIST || cns(req) == NVME_CNS_NS_CTRLR_LIST) {
		uint16_t status = cns(req) == NVME_CNS_NS_CTRLR_LIST ? check_nsid(req, true) : 0;

		if (status)
			nvmf_req_complete(req, status);
		else
			nvmf_req_at_manager(req, ctrlr_list);
		return;
	}
	nvmf_req_complete(req, form(req, &w));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of a controller: the active list, then Identify and the identification descriptors of
 * each (Base 2.0, 5.17.2).
 *
 * Threading: on the controller's home reactor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "nvme/host_internal.h"

#define LIST_ENTRIES	(NVME_IDENTIFY_BYTES / 4)
#define BLOCK_SHIFT_MIN 9u
#define BLOCK_SHIFT_MAX 24u
#define FLBAS_INDEX(f)	(((f)&0x0fu) | ((f) >> 1 & 0x30u))

struct nvme_scan {
	struct nvme_ctrlr *ctrlr;
	struct nvme_request req;
	struct iovec iov;
	uint32_t list[LIST_ENTRIES];
	uint32_t index;
	struct nvme_ns *first, **tail;
	struct nvme_ns *now;
	uint8_t descriptors[NVME_IDENTIFY_BYTES];
	void (*done)(void *arg, int result);
	void *arg;
};

static void next_ns(struct nvme_scan *scan);
static void identify_ns(struct nvme_scan *scan);

static struct nvme_scan *scan_of(struct nvme_request *req)
{
	return container_of(req, struct nvme_scan, req);
}

static void free_list(struct nvme_ns *ns)
{
	while (ns) {
		struct nvme_ns *next = ns->next;

		free(ns);
		ns = next;
	}
}

void nvme_ctrlr_scan_free(struct nvme_ctrlr *ctrlr)
{
	free_list(ctrlr->ns);
	ctrlr->ns = NULL;
}

static void scan_end(struct nvme_scan *scan, int result)
{
	struct nvme_ctrlr *ctrlr = scan->ctrlr;
	void (*done)(void *arg, int result) = scan->done;
	void *arg = scan->arg;

	free(scan->now);
	if (result == 0) {
		nvme_ctrlr_scan_free(ctrlr);
		ctrlr->ns = scan->first;
	} else {
		free_list(scan->first);
	}
	ctrlr->scan = NULL;
	free(scan);
	done(arg, result);
}

static void ask(struct nvme_scan *scan, uint8_t cns, uint32_t nsid, void *data,
		void (*done)(struct nvme_request *req))
{
	scan->req = (struct nvme_request){ .done = done };
	nvme_cmd_identify(&scan->req, cns, nsid);
	nvme_request_data(&scan->req, &scan->iov, data, NVME_IDENTIFY_BYTES, NVME_FROM_CTRLR);
	nvme_submit(scan->ctrlr->admin, &scan->req);
}

/* --- identification descriptors --------------------------------------------------------------- */

static void take_descriptor(struct nvme_ns *ns, const struct nvme_ns_id_desc *desc)
{
	if (desc->nidt == NVME_NIDT_UUID && desc->nidl == sizeof(ns->uuid.raw))
		memcpy(ns->uuid.raw, desc->nid, sizeof(ns->uuid.raw));
	else if (desc->nidt == NVME_NIDT_NGUID && desc->nidl == sizeof(ns->nguid))
		memcpy(ns->nguid, desc->nid, sizeof(ns->nguid));
	else if (desc->nidt == NVME_NIDT_EUI64 && desc->nidl == sizeof(ns->eui64))
		memcpy(ns->eui64, desc->nid, sizeof(ns->eui64));
}

/* A length of 0 ends the list (5.17.2.4); one that runs past the page does too. */
static void take_descriptors(struct nvme_ns *ns, const uint8_t *page)
{
	size_t at = 0;

	while (at + sizeof(struct nvme_ns_id_desc) <= NVME_IDENTIFY_BYTES) {
		const struct nvme_ns_id_desc *desc = (const void *)(page + at);

		at += sizeof(*desc);
		if (desc->nidl == 0 || !range_is_within(at, desc->nidl, NVME_IDENTIFY_BYTES))
			return;
		take_descriptor(ns, desc);
		at += desc->nidl;
	}
}

static void descriptors_done(struct nvme_request *req)
{
	struct nvme_scan *scan = scan_of(req);
	uint16_t status = nvme_request_status(req);

	if (nvme_status_sct(status) == NVME_SCT_PATH) {
		scan_end(scan, nvme_status_errno(status));
		return;
	}
	/* Controllers before 1.3 have no descriptors: what Identify said stands. */
	if (status == 0)
		take_descriptors(scan->now, scan->descriptors);
	*scan->tail = scan->now;
	scan->tail = &scan->now->next;
	scan->now = NULL;
	scan->index++;
	next_ns(scan);
}

/* --- Identify Namespace ----------------------------------------------------------------------- */

static bool take_ns(struct nvme_ns *ns)
{
	uint8_t index = (uint8_t)FLBAS_INDEX(ns->id.flbas);
	const struct nvme_lbaf *format = &ns->id.lbaf[index];
	uint64_t bytes;

	if (format->lbads < BLOCK_SHIFT_MIN || format->lbads > BLOCK_SHIFT_MAX)
		return false;
	ns->block_size = UINT32_C(1) << format->lbads;
	ns->metadata = le16_get(&format->ms);
	ns->blocks = le64_get(&ns->id.nsze);
	memcpy(ns->nguid, ns->id.nguid, sizeof(ns->nguid));
	memcpy(ns->eui64, ns->id.eui64, sizeof(ns->eui64));
	return checked_mul_u64(ns->blocks, ns->block_size, &bytes);
}

static void skip_ns(struct nvme_scan *scan)
{
	free(scan->now);
	scan->now = NULL;
	scan->index++;
	next_ns(scan);
}

static void ns_done(struct nvme_request *req)
{
	struct nvme_scan *scan = scan_of(req);
	uint16_t status = nvme_request_status(req);

	/* It went between the list and here. */
	if (status == NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INVALID_NAMESPACE) ||
	    (status == 0 && le64_get(&scan->now->id.nsze) == 0)) {
		skip_ns(scan);
		return;
	}
	if (status != 0) {
		scan_end(scan, nvme_status_errno(status));
		return;
	}
	if (!take_ns(scan->now)) {
		log_warning("%s: namespace %u has a size or block size that cannot be; left out",
			    scan->ctrlr->opts.path.subnqn, scan->now->nsid);
		skip_ns(scan);
		return;
	}
	ask(scan, NVME_CNS_NS_DESCRIPTORS, scan->now->nsid, scan->descriptors, descriptors_done);
}

static void identify_ns(struct nvme_scan *scan)
{
	scan->now = calloc(1, sizeof(*scan->now));
	if (!scan->now) {
		scan_end(scan, -ENOMEM);
		return;
	}
	scan->now->nsid = le32_get(&scan->list[scan->index]);
	ask(scan, NVME_CNS_NS, scan->now->nsid, &scan->now->id, ns_done);
}

/* --- the active list -------------------------------------------------------------------------- */

/* The list ascends (5.17.2.3): one that does not could be read for ever. */
static bool list_ascends(const struct nvme_scan *scan, uint32_t last)
{
	for (uint32_t i = 0; i < LIST_ENTRIES; i++) {
		uint32_t nsid = le32_get(&scan->list[i]);

		if (nsid == 0)
			return true;
		if (nsid <= last || nsid >= NVME_NSID_ALL - 1)
			return false;
		last = nsid;
	}
	return true;
}

static void list_done(struct nvme_request *req)
{
	struct nvme_scan *scan = scan_of(req);
	uint16_t status = nvme_request_status(req);

	if (status != 0)
		scan_end(scan, nvme_status_errno(status));
	else if (!list_ascends(scan, le32_get(&req->cmd.nsid)))
		scan_end(scan, -EPROTO);
	else
		next_ns(scan);
}

static void next_ns(struct nvme_scan *scan)
{
	if (scan->index == LIST_ENTRIES) {
		uint32_t last = le32_get(&scan->list[LIST_ENTRIES - 1]);

		scan->index = 0;
		ask(scan, NVME_CNS_ACTIVE_NS_LIST, last, scan->list, list_done);
	} else if (scan->list[scan->index] == 0) {
		scan_end(scan, 0);
	} else {
		identify_ns(scan);
	}
}

int nvme_ctrlr_scan(struct nvme_ctrlr *ctrlr, void (*done)(void *arg, int result), void *arg)
{
	struct nvme_scan *scan;

	if (ctrlr->scan)
		return -EBUSY;
	scan = calloc(1, sizeof(*scan));
	if (!scan)
		return -ENOMEM;
	scan->ctrlr = ctrlr;
	scan->tail = &scan->first;
	scan->done = done;
	scan->arg = arg;
	ctrlr->scan = scan;
	ask(scan, NVME_CNS_ACTIVE_NS_LIST, 0, scan->list, list_done);
	return 0;
}

const struct nvme_ns *nvme_ctrlr_first_ns(const struct nvme_ctrlr *ctrlr)
{
	return ctrlr->ns;
}

const struct nvme_ns *nvme_ctrlr_ns(const struct nvme_ctrlr *ctrlr, uint32_t nsid)
{
	const struct nvme_ns *ns = ctrlr->ns;

	while (ns && ns->nsid != nsid)
		ns = ns->next;
	return ns;
}

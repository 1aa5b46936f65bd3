/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous events (Base 2.0, 5.2): a notice is told once, then masked until its log was read.
 *
 * Threading: the admin queue's reactor.
 */
#include "nvmf/ctrlr.h"

struct event_kind {
	uint32_t bit;
	uint32_t wanted; /* bit of the feature Asynchronous Event Configuration */
	uint32_t result;
};

static const struct event_kind kinds[] = {
	{ NVMF_EVENT_NS, NVME_OAES_NS_ATTR,
	  NVME_AEN_RESULT(NVME_AEN_TYPE_NOTICE, NVME_AEN_INFO_NS_CHANGED, NVME_LOG_CHANGED_NS) },
	{ NVMF_EVENT_DISCOVERY, NVME_OAES_DISCOVERY,
	  NVME_AEN_RESULT(NVME_AEN_TYPE_NOTICE, NVME_AEN_INFO_DISCOVERY, NVME_LOG_DISCOVERY) },
};

static struct nvmf_req *take_request(struct nvmf_ctrlr *ctrlr)
{
	struct nvmf_req *req = ctrlr->event_reqs[0];

	ctrlr->event_count--;
	for (uint32_t i = 0; i < ctrlr->event_count; i++)
		ctrlr->event_reqs[i] = ctrlr->event_reqs[i + 1];
	return req;
}

static void deliver(struct nvmf_ctrlr *ctrlr)
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct nvmf_req *req;

		if (!(ctrlr->events & ~ctrlr->masked & kinds[i].bit) || ctrlr->event_count == 0)
			continue;
		ctrlr->events &= ~kinds[i].bit;
		ctrlr->masked |= kinds[i].bit;
		req = take_request(ctrlr);
		req->cdw0 = kinds[i].result;
		nvmf_req_complete(req, 0);
	}
}

void nvmf_event_raise(struct nvmf_ctrlr *ctrlr, uint32_t event)
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].bit == event && (ctrlr->features.async_events & kinds[i].wanted))
			ctrlr->events |= event;
	}
	deliver(ctrlr);
}

void nvmf_event_unmask(struct nvmf_ctrlr *ctrlr, uint32_t event)
{
	/* One that was not told yet is cleared with it: the host has just read what it would say.
	 */
	ctrlr->masked &= ~event;
	ctrlr->events &= ~event;
}

void nvmf_event_request(struct nvmf_req *req)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;

	if (ctrlr->event_count == NVMF_EVENT_LIMIT) {
		nvmf_req_complete(req, NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_AER_LIMIT) |
					       NVME_STATUS_DNR);
		return;
	}
	req->state = NVMF_REQ_EVENT;
	req->conn->outstanding--;
	req->conn->events++;
	ctrlr->event_reqs[ctrlr->event_count++] = req;
	deliver(ctrlr);
}

/* False when it is not among those that wait. */
static bool forget_request(struct nvmf_ctrlr *ctrlr, const struct nvmf_req *req)
{
	for (uint32_t i = 0; i < ctrlr->event_count; i++) {
		if (ctrlr->event_reqs[i] != req)
			continue;
		ctrlr->event_count--;
		for (; i < ctrlr->event_count; i++)
			ctrlr->event_reqs[i] = ctrlr->event_reqs[i + 1];
		return true;
	}
	return false;
}

bool nvmf_event_abort(struct nvmf_req *req, uint16_t status)
{
	if (!forget_request(req->conn->ctrlr, req))
		return false;
	nvmf_req_complete(req, status);
	return true;
}

void nvmf_event_withdraw(struct nvmf_req *req)
{
	if (forget_request(req->conn->ctrlr, req))
		nvmf_req_drop(req);
}

void nvmf_event_withdraw_all(struct nvmf_ctrlr *ctrlr)
{
	while (ctrlr->event_count > 0)
		nvmf_req_drop(take_request(ctrlr));
}

void nvmf_event_abort_all(struct nvmf_ctrlr *ctrlr)
{
	while (ctrlr->event_count > 0)
		nvmf_req_complete(take_request(ctrlr),
				  NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_SQ_DELETION));
}

/* The log holds so many; with one more it says only that there are more (Base 2.0, 5.16.1.5). */
void nvmf_event_changed_ns(struct nvmf_ctrlr *ctrlr, uint32_t nsid)
{
	for (uint32_t i = 0; i < ctrlr->changed_count && i < NVMF_CHANGED_NS; i++) {
		if (ctrlr->changed_ns[i] == nsid)
			return;
	}
	if (ctrlr->changed_count < NVMF_CHANGED_NS)
		ctrlr->changed_ns[ctrlr->changed_count++] = nsid;
	else
		ctrlr->changed_count = NVMF_CHANGED_NS + 1;
	nvmf_event_raise(ctrlr, NVMF_EVENT_NS);
}

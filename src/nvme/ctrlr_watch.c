/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs beside the commands of a ready controller: keep-alive (Base 2.0, 3.9) and asynchronous
 * events (5.2).
 *
 * Threading: on the controller's home reactor.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/le.h"
#include "nvme/host_internal.h"

#define AEN_TYPE(result) ((result)&7)
#define AEN_INFO(result) ((result) >> 8 & 0xff)

/* --- keep-alive ------------------------------------------------------------------------------- */

static void kato_done(struct nvme_request *req)
{
	struct nvme_ctrlr *ctrlr = container_of(req, struct nvme_ctrlr, kato_req);
	uint16_t status = nvme_request_status(req);
	char text[NVME_STATUS_TEXT];

	ctrlr->kato_busy = false;
	if (status == 0 || ctrlr->state != NVME_CTRLR_READY)
		return;
	nvme_status_text(status, text, sizeof(text));
	nvme_ctrlr_fail(ctrlr, -EPROTO, "Keep Alive failed: %s", text);
}

/* Twice in each timeout, so that one late command does not cost the controller. */
static void kato_due(struct reactor_timer *timer)
{
	struct nvme_ctrlr *ctrlr = container_of(timer, struct nvme_ctrlr, watch_timer);
	uint64_t kato_ns = ctrlr->opts.kato_ms * NS_PER_MSEC;

	if (ctrlr->kato_busy) {
		if (reactor_now_ns() - ctrlr->kato_sent_ns >= kato_ns) {
			nvme_ctrlr_fail(ctrlr, -ETIMEDOUT,
					"Keep Alive is not answered within %u ms",
					ctrlr->opts.kato_ms);
			return;
		}
	} else {
		ctrlr->kato_req = (struct nvme_request){ .done = kato_done };
		ctrlr->kato_req.cmd.opc = NVME_ADMIN_KEEP_ALIVE;
		ctrlr->kato_busy = true;
		ctrlr->kato_sent_ns = reactor_now_ns();
		nvme_submit(ctrlr->admin, &ctrlr->kato_req);
	}
	reactor_timer_start(timer, kato_ns / 2);
}

/* --- events ----------------------------------------------------------------------------------- */

static void ask_for_event(struct nvme_ctrlr *ctrlr, struct nvme_request *req);

static void tell_event(struct nvme_ctrlr *ctrlr, uint32_t result)
{
	if (ctrlr->ops->event && ctrlr->state == NVME_CTRLR_READY)
		ctrlr->ops->event(ctrlr, ctrlr->user, result);
}

static void changed_done(struct nvme_request *req)
{
	struct nvme_ctrlr *ctrlr = container_of(req, struct nvme_ctrlr, changed_req);

	ctrlr->changed_busy = false;
	tell_event(ctrlr, ctrlr->changed_result);
}

/* The next change is told only after the log page of this one was read (5.16.1.5). */
static void read_changed(struct nvme_ctrlr *ctrlr, uint32_t result)
{
	if (ctrlr->changed_busy)
		return;
	ctrlr->changed_busy = true;
	ctrlr->changed_result = result;
	ctrlr->changed_req = (struct nvme_request){ .done = changed_done };
	nvme_cmd_get_log_page(&ctrlr->changed_req, NVME_LOG_CHANGED_NS, 0, NVME_IDENTIFY_BYTES);
	nvme_request_data(&ctrlr->changed_req, &ctrlr->changed_iov, ctrlr->changed,
			  NVME_IDENTIFY_BYTES, NVME_FROM_CTRLR);
	nvme_submit(ctrlr->admin, &ctrlr->changed_req);
}

static struct nvme_ctrlr *ctrlr_of_event(struct nvme_request *req)
{
	return (struct nvme_ctrlr *)req->user;
}

static void event_done(struct nvme_request *req)
{
	struct nvme_ctrlr *ctrlr = ctrlr_of_event(req);
	uint32_t result = le32_get(&req->cpl.cdw0);

	/* A controller that takes fewer requests than it said (AERL) is not asked again. */
	if (ctrlr->state != NVME_CTRLR_READY || nvme_request_status(req) != 0)
		return;
	ask_for_event(ctrlr, req);
	if (AEN_TYPE(result) == NVME_AEN_TYPE_NOTICE &&
	    AEN_INFO(result) == NVME_AEN_INFO_NS_CHANGED)
		read_changed(ctrlr, result);
	else
		tell_event(ctrlr, result);
}

static void ask_for_event(struct nvme_ctrlr *ctrlr, struct nvme_request *req)
{
	*req = (struct nvme_request){ .done = event_done, .user = ctrlr };
	req->cmd.opc = NVME_ADMIN_ASYNC_EVENT;
	nvme_submit(ctrlr->admin, req);
}

/* AERL is 0's based; events never take the last admin slots. */
static unsigned int events_at_once(const struct nvme_ctrlr *ctrlr)
{
	unsigned int n = ctrlr->info.id.aerl + 1u;
	unsigned int depth = ctrlr->admin->depth;

	if (depth <= NVME_ADMIN_SPARE)
		return 0;
	if (n > depth - NVME_ADMIN_SPARE)
		n = depth - NVME_ADMIN_SPARE;
	return n < NVME_AER_MAX ? n : NVME_AER_MAX;
}

void nvme_ctrlr_watch(struct nvme_ctrlr *ctrlr)
{
	unsigned int events;

	if (ctrlr->opts.kato_ms == 0)
		return;
	ctrlr->watch_timer.fn = kato_due;
	reactor_timer_start(&ctrlr->watch_timer, ctrlr->opts.kato_ms * NS_PER_MSEC / 2);
	events = events_at_once(ctrlr);
	for (unsigned int i = 0; i < events; i++)
		ask_for_event(ctrlr, &ctrlr->aer[i]);
}

void nvme_ctrlr_unwatch(struct nvme_ctrlr *ctrlr)
{
	reactor_timer_stop(&ctrlr->watch_timer);
}

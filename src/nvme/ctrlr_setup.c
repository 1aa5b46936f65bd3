/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a connected admin queue pair to a ready controller (Base 2.0, 3.5.2): a table of exchanges,
 * one after the other.
 *
 * Threading: on the controller's home reactor.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/le.h"
#include "nvme/host_internal.h"

#define POLL_NS		 NS_PER_MSEC
#define CC_QUEUE_ENTRIES (UINT32_C(6) << 16 | UINT32_C(4) << 20) /* 64 and 16 bytes */
#define CAP_MPSMIN(cap)	 ((cap) >> 48 & 15)
#define MDTS_SHIFT_MAX	 31u
#define TAKE_AGAIN	 1 /* the exchange is to be repeated a little later */
#define COMMAND_DWORDS16 4u
#define EVENTS_ASKED_FOR (NVME_OAES_NS_ATTR | NVME_OAES_DISCOVERY)
#define CAP_TO_UNIT_NS	 (500 * NS_PER_MSEC)
#define CAP_TO(cap)	 ((cap) >> NVME_CAP_TO_SHIFT & 0xff)

/**
 * struct step - one exchange
 * @what: for the words of a failure
 * @wanted: NULL: always
 * @issue: send the property access or command
 * @take: look at the answer: 0, TAKE_AGAIN, or a negative errno after nvme_ctrlr_fail()
 */
struct step {
	const char *what;
	bool (*wanted)(const struct nvme_ctrlr *ctrlr);
	void (*issue)(struct nvme_ctrlr *ctrlr);
	int (*take)(struct nvme_ctrlr *ctrlr);
};

static void next_step(struct nvme_ctrlr *ctrlr);
static void step_answered(struct nvme_ctrlr *ctrlr, int result, uint16_t status);

static void property_answered(struct nvme_property *property, int result)
{
	step_answered(container_of(property, struct nvme_ctrlr, property), result,
		      nvme_request_status(&property->req));
}

static void property_get(struct nvme_ctrlr *ctrlr, uint32_t offset, uint8_t size)
{
	ctrlr->property = (struct nvme_property){
		.offset = offset,
		.size = size,
		.done = property_answered,
	};
	ctrlr->transport->property(ctrlr, &ctrlr->property);
}

static void property_set(struct nvme_ctrlr *ctrlr, uint32_t offset, uint32_t value)
{
	ctrlr->property = (struct nvme_property){
		.set = true,
		.offset = offset,
		.size = 4,
		.value = value,
		.done = property_answered,
	};
	ctrlr->transport->property(ctrlr, &ctrlr->property);
}

static void request_answered(struct nvme_request *req)
{
	uint16_t status = nvme_request_status(req);

	step_answered(container_of(req, struct nvme_ctrlr, req), nvme_status_errno(status), status);
}

/* --- properties ------------------------------------------------------------------------------- */

static void get_cap(struct nvme_ctrlr *ctrlr)
{
	property_get(ctrlr, NVME_REG_CAP, 8);
}

static int take_cap(struct nvme_ctrlr *ctrlr)
{
	ctrlr->info.cap = ctrlr->property.value;
	if (NVME_CAP_MQES(ctrlr->info.cap) == 0) {
		nvme_ctrlr_fail(ctrlr, -EPROTO, "CAP.MQES is 0; a queue has at least 2 entries");
		return -EPROTO;
	}
	return 0;
}

static void get_version(struct nvme_ctrlr *ctrlr)
{
	property_get(ctrlr, NVME_REG_VS, 4);
}

static int take_version(struct nvme_ctrlr *ctrlr)
{
	ctrlr->info.version = (uint32_t)ctrlr->property.value;
	return 0;
}

static void enable(struct nvme_ctrlr *ctrlr)
{
	uint64_t wait = CAP_TO(ctrlr->info.cap) * CAP_TO_UNIT_NS;

	if (wait < CAP_TO_UNIT_NS)
		wait = CAP_TO_UNIT_NS;
	ctrlr->deadline_ns = reactor_now_ns() + wait;
	property_set(ctrlr, NVME_REG_CC, CC_QUEUE_ENTRIES | NVME_CC_EN);
}

static void get_status(struct nvme_ctrlr *ctrlr)
{
	property_get(ctrlr, NVME_REG_CSTS, 4);
}

static int take_ready(struct nvme_ctrlr *ctrlr)
{
	uint32_t csts = (uint32_t)ctrlr->property.value;

	if (csts & NVME_CSTS_CFS) {
		nvme_ctrlr_fail(ctrlr, -EIO, "the controller has a fatal status (CSTS 0x%x)", csts);
		return -EIO;
	}
	if (csts & NVME_CSTS_RDY)
		return 0;
	if (reactor_now_ns() < ctrlr->deadline_ns)
		return TAKE_AGAIN;
	nvme_ctrlr_fail(ctrlr, -ETIMEDOUT, "not ready within CAP.TO after it was enabled");
	return -ETIMEDOUT;
}

/* --- Identify and features -------------------------------------------------------------------- */

static void identify(struct nvme_ctrlr *ctrlr)
{
	nvme_cmd_identify(&ctrlr->req, NVME_CNS_CTRLR, 0);
	nvme_request_data(&ctrlr->req, &ctrlr->iov, &ctrlr->info.id, NVME_IDENTIFY_BYTES,
			  NVME_FROM_CTRLR);
	nvme_submit(ctrlr->admin, &ctrlr->req);
}

/* MDTS is a power of two in units of the smallest page (Base 2.0, Figure 275). */
static uint32_t max_transfer(const struct nvme_ctrlr_info *info)
{
	uint64_t shift = info->id.mdts + 12u + CAP_MPSMIN(info->cap);

	return info->id.mdts == 0 || shift > MDTS_SHIFT_MAX ? UINT32_MAX : UINT32_C(1) << shift;
}

static int take_identify(struct nvme_ctrlr *ctrlr)
{
	struct nvme_ctrlr_info *info = &ctrlr->info;
	uint16_t maxcmd = le16_get(&info->id.maxcmd);

	ctrlr->discovery = info->id.cntrltype == NVME_CNTRLTYPE_DISCOVERY;
	info->max_transfer = max_transfer(info);
	info->max_depth = NVME_CAP_MQES(info->cap);
	if (maxcmd && maxcmd < info->max_depth)
		info->max_depth = maxcmd;
	if (info->max_depth > NVME_QUEUE_MAX - 1)
		info->max_depth = NVME_QUEUE_MAX - 1;
	if (!ctrlr->discovery && ctrlr->opts.io_queues &&
	    (le32_get(&info->id.ioccsz) < COMMAND_DWORDS16 || le16_get(&info->id.icdoff) != 0)) {
		nvme_ctrlr_fail(
			ctrlr, -EPROTO, "IOCCSZ is %u and ICDOFF %u; at least %u and 0 are needed",
			le32_get(&info->id.ioccsz), le16_get(&info->id.icdoff), COMMAND_DWORDS16);
		return -EPROTO;
	}
	return 0;
}

static bool wants_queues(const struct nvme_ctrlr *ctrlr)
{
	return !ctrlr->discovery && ctrlr->opts.io_queues;
}

static void set_queues(struct nvme_ctrlr *ctrlr)
{
	uint32_t n = ctrlr->opts.io_queues - 1u;

	ctrlr->req.iovcnt = ctrlr->req.len = 0;
	nvme_cmd_set_feature(&ctrlr->req, NVME_FEAT_QUEUES, n | n << 16);
	nvme_submit(ctrlr->admin, &ctrlr->req);
}

static int take_queues(struct nvme_ctrlr *ctrlr)
{
	uint32_t granted = le32_get(&ctrlr->req.cpl.cdw0);
	uint32_t sq = granted & 0xffff, cq = granted >> 16;
	uint32_t n = (sq < cq ? sq : cq) + 1;

	ctrlr->info.io_queues = (uint16_t)(n < ctrlr->opts.io_queues ? n : ctrlr->opts.io_queues);
	return 0;
}

static uint32_t events_wanted(const struct nvme_ctrlr *ctrlr)
{
	return le32_get(&ctrlr->info.id.oaes) & EVENTS_ASKED_FOR;
}

static bool wants_events(const struct nvme_ctrlr *ctrlr)
{
	return ctrlr->opts.kato_ms && events_wanted(ctrlr);
}

static void set_events(struct nvme_ctrlr *ctrlr)
{
	ctrlr->req.iovcnt = ctrlr->req.len = 0;
	nvme_cmd_set_feature(&ctrlr->req, NVME_FEAT_ASYNC_EVENTS, events_wanted(ctrlr));
	nvme_submit(ctrlr->admin, &ctrlr->req);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct step setup_steps[] = {
	{ "Property Get of CAP", NULL, get_cap, take_cap },
	{ "Property Get of VS", NULL, get_version, take_version },
	{ "Property Set of CC", NULL, enable, NULL },
	{ "Property Get of CSTS", NULL, get_status, take_ready },
	{ "Identify Controller", NULL, identify, take_identify },
	{ "Set Features Number of Queues", wants_queues, set_queues, take_queues },
	{ "Set Features Asynchronous Event Configuration", wants_events, set_events, NULL },
};
#define SETUP_STEPS (sizeof(setup_steps) / sizeof(setup_steps[0]))

static void again(struct reactor_timer *timer)
{
	struct nvme_ctrlr *ctrlr = container_of(timer, struct nvme_ctrlr, timer);

	setup_steps[ctrlr->step].issue(ctrlr);
}

static void step_answered(struct nvme_ctrlr *ctrlr, int result, uint16_t status)
{
	const struct step *step = &setup_steps[ctrlr->step];
	char text[NVME_STATUS_TEXT];

	/* A path that broke has its own words, and so has the one who leaves. */
	if (ctrlr->state != NVME_CTRLR_SETUP || ctrlr->admin->state != NVME_QPAIR_READY)
		return;
	if (result != 0) {
		nvme_status_text(status, text, sizeof(text));
		nvme_ctrlr_fail(ctrlr, result, "%s failed: %s", step->what, text);
		return;
	}
	result = step->take ? step->take(ctrlr) : 0;
	if (result == TAKE_AGAIN) {
		ctrlr->timer.fn = again;
		reactor_timer_start(&ctrlr->timer, POLL_NS);
	} else if (result == 0) {
		ctrlr->step++;
		next_step(ctrlr);
	}
}

static void next_step(struct nvme_ctrlr *ctrlr)
{
	while (ctrlr->step < SETUP_STEPS && setup_steps[ctrlr->step].wanted &&
	       !setup_steps[ctrlr->step].wanted(ctrlr))
		ctrlr->step++;
	if (ctrlr->step < SETUP_STEPS)
		setup_steps[ctrlr->step].issue(ctrlr);
	else
		nvme_ctrlr_setup_done(ctrlr);
}

void nvme_ctrlr_setup(struct nvme_ctrlr *ctrlr)
{
	/* A user who leaves before the first answer closes the admin queue pair. */
	if (ctrlr->state != NVME_CTRLR_SETUP)
		return;
	ctrlr->req.done = request_answered;
	ctrlr->step = 0;
	next_step(ctrlr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving a controller in order (Base 2.0, 3.6.2): CC.SHN, CSTS.SHST, then the admin queue pair.
 *
 * Threading: on the controller's home reactor.
 */
#include "base/clock.h"
#include "nvme/host_internal.h"

#define POLL_NS	      NS_PER_MSEC
#define CC_SHN_MASK   (UINT64_C(3) << 14)
#define CC_SHN_NORMAL (UINT64_C(1) << 14)

static void access_property(struct nvme_ctrlr *ctrlr, bool set, uint32_t offset, uint64_t value,
			    void (*done)(struct nvme_property *property, int result))
{
	ctrlr->property = (struct nvme_property){
		.set = set,
		.size = 4,
		.offset = offset,
		.value = value,
		.done = done,
	};
	ctrlr->transport->property(ctrlr, &ctrlr->property);
}

static void take_status(struct nvme_property *property, int result);

static void look_again(struct reactor_timer *timer)
{
	struct nvme_ctrlr *ctrlr = container_of(timer, struct nvme_ctrlr, timer);

	access_property(ctrlr, false, NVME_REG_CSTS, 0, take_status);
}

/* Whatever goes wrong here, the next thing to do is to close. */
static bool goes_on(struct nvme_ctrlr *ctrlr, int result)
{
	if (result == 0 && reactor_now_ns() < ctrlr->deadline_ns)
		return true;
	nvme_ctrlr_close_admin(ctrlr);
	return false;
}

static void take_status(struct nvme_property *property, int result)
{
	struct nvme_ctrlr *ctrlr = container_of(property, struct nvme_ctrlr, property);

	if (!goes_on(ctrlr, result))
		return;
	if ((property->value & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_DONE) {
		nvme_ctrlr_close_admin(ctrlr);
		return;
	}
	ctrlr->timer.fn = look_again;
	reactor_timer_start(&ctrlr->timer, POLL_NS);
}

static void take_set(struct nvme_property *property, int result)
{
	struct nvme_ctrlr *ctrlr = container_of(property, struct nvme_ctrlr, property);

	if (goes_on(ctrlr, result))
		access_property(ctrlr, false, NVME_REG_CSTS, 0, take_status);
}

static void take_cc(struct nvme_property *property, int result)
{
	struct nvme_ctrlr *ctrlr = container_of(property, struct nvme_ctrlr, property);

	if (goes_on(ctrlr, result))
		access_property(ctrlr, true, NVME_REG_CC,
				(property->value & ~CC_SHN_MASK) | CC_SHN_NORMAL, take_set);
}

static void give_up(struct reactor_timer *timer)
{
	nvme_ctrlr_close_admin(container_of(timer, struct nvme_ctrlr, watch_timer));
}

void nvme_ctrlr_shutdown(struct nvme_ctrlr *ctrlr)
{
	ctrlr->deadline_ns = reactor_now_ns() + ctrlr->opts.shutdown_timeout_ms * NS_PER_MSEC;
	ctrlr->watch_timer.fn = give_up;
	reactor_timer_start(&ctrlr->watch_timer, ctrlr->opts.shutdown_timeout_ms * NS_PER_MSEC);
	/* A controller that was never enabled, or whose path is gone, cannot be asked. */
	if (!ctrlr->ready_told || ctrlr->err.code != 0 || ctrlr->admin->state != NVME_QPAIR_READY)
		nvme_ctrlr_close_admin(ctrlr);
	else
		access_property(ctrlr, false, NVME_REG_CC, 0, take_cc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep Alive (Base 2.0, 3.9), command based: a host that sends none within its timeout is gone, and
 * its controller with all connections goes too.
 *
 * Threading: the admin queue's reactor.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "nvmf/ctrlr.h"

#define KAS_MS 100u

static void expired(struct reactor_timer *timer)
{
	struct nvmf_ctrlr *ctrlr = container_of(timer, struct nvmf_ctrlr, keep_alive);
	char why[64];

	snprintf(why, sizeof(why), "no Keep Alive within %u ms", ctrlr->kato_ms);
	nvmf_ctrlr_fatal(ctrlr, why);
}

void nvmf_keep_alive_restart(struct nvmf_ctrlr *ctrlr)
{
	if (ctrlr->kato_ms == 0)
		return;
	ctrlr->keep_alive.fn = expired;
	reactor_timer_start(&ctrlr->keep_alive, ctrlr->kato_ms * NS_PER_MSEC);
}

uint32_t nvmf_keep_alive_round(const struct nvmf_transport_options *tcp, uint32_t ms)
{
	uint64_t unit = (tcp->kas ? tcp->kas : 1u) * KAS_MS;
	uint64_t rounded = ms < tcp->min_kato ? tcp->min_kato : ms;

	if (ms == 0)
		return 0;
	rounded = (rounded + unit - 1) / unit * unit;
	return rounded > UINT32_MAX ? UINT32_MAX : (uint32_t)rounded;
}

void nvmf_keep_alive_set(struct nvmf_ctrlr *ctrlr, uint32_t ms)
{
	reactor_timer_stop(&ctrlr->keep_alive);
	ctrlr->kato_ms = nvmf_keep_alive_round(nvmf_ctrlr_tcp(ctrlr), ms);
	nvmf_keep_alive_restart(ctrlr);
}

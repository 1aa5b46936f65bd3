/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving in good order: no new connections, commands in flight are answered, then connections end.
 * What is not done in time is cut off.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "nvmf/ctrlr.h"

/* What was cut off has so long to end; a bdev that holds an I/O even then does not hold us. */
#define LAST_GRACE_MS 1000u

/**
 * struct drain
 * @told: the caller was answered (by the time, not by the end)
 */
struct drain {
	struct nvmf_target *tgt;
	nvmf_done *done;
	void *arg;
	bool cut_off, told;
	struct nvmf_close_wait wait;
	struct reactor_timer timer;
};

static void answer(struct drain *d, int result)
{
	struct error err = ERROR_INIT;

	if (d->told)
		return;
	d->told = true;
	if (result)
		error_set(&err, result, "target %s: %u connections did not end in time",
			  d->tgt->name, d->tgt->conn_count);
	if (d->done)
		d->done(d->arg, result, &err);
}

static void all_gone(struct nvmf_close_wait *wait)
{
	struct drain *d = container_of(wait, struct drain, wait);

	reactor_timer_stop(&d->timer);
	d->tgt->draining_now = false;
	answer(d, d->cut_off ? -ETIMEDOUT : 0);
	free(d);
}

static void too_late(struct reactor_timer *timer)
{
	struct drain *d = container_of(timer, struct drain, timer);
	struct nvmf_close_wait all = { .match = nvmf_match_all };

	if (d->cut_off) {
		answer(d, -ETIMEDOUT);
		return;
	}
	d->cut_off = true;
	log_warning("nvmf: target %s: %u connections are cut off, they did not end in time",
		    d->tgt->name, d->tgt->conn_count);
	nvmf_conns_tell(d->tgt, NVMF_CLOSE_ABORT, &all);
	reactor_timer_start(&d->timer, LAST_GRACE_MS * NS_PER_MSEC);
}

void nvmf_target_drain(struct nvmf_target *tgt, uint32_t timeout_ms, nvmf_done *done, void *arg)
{
	struct drain *d = tgt->draining ? NULL : calloc(1, sizeof(*d));
	struct error err = ERROR_INIT;

	if (!d) {
		error_set(&err, tgt->draining ? -EALREADY : -ENOMEM, "target %s: %s", tgt->name,
			  tgt->draining ? "it is leaving already" : "no memory to drain");
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	tgt->draining = true;
	tgt->draining_now = true;
	d->tgt = tgt;
	d->done = done;
	d->arg = arg;
	d->wait.match = nvmf_match_all;
	d->wait.done = all_gone;
	d->timer.fn = too_late;
	reactor_timer_start(&d->timer, timeout_ms * NS_PER_MSEC);
	nvmf_sockets_close(tgt);
	nvmf_conns_close(tgt, NVMF_CLOSE_DRAIN, &d->wait);
}

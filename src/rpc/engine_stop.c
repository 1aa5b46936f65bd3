/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the engine down: hosts first, then targets, then stores of logical volumes, which are
 * unloaded cleanly, then bdevs, the last made first, then connections to Ceph.
 *
 * Threading: reactor 0.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "bdev/module.h"
#include "bdev_modules/rbd.h"
#include "lvol/lvol.h"
#include "nvmf/nvmf.h"
#include "reactor/fiber.h"
#include "rpc/areas.h"
#include "rpc/framework.h"

static struct {
	uint32_t drain_ms;
	void (*done)(void *arg);
	void *arg;
} stopping;

static void unregister_next(void);

static void unregistered(void *arg, int result)
{
	(void)arg;
	(void)result;
	unregister_next();
}

static struct bdev *last_bdev(void)
{
	struct bdev *last = NULL;

	for (struct bdev *b = bdev_first(); b; b = bdev_next(b))
		last = b;
	return last;
}

/* Somebody else takes the bdev away and is told of its end, not we. */
static void look_again(struct reactor_timer *timer)
{
	(void)timer;
	unregister_next();
}

static void unregister_next(void)
{
	static struct reactor_timer again = { .fn = look_again };
	struct bdev *bdev = last_bdev();

	if (!bdev)
		bdev_rbd_stop(stopping.done, stopping.arg);
	else if (bdev_unregister(bdev, unregistered, NULL) < 0)
		reactor_timer_start(&again, NS_PER_MSEC);
}

static void close_stores(void *arg)
{
	(void)arg;
	lvol_shutdown();
	unregister_next();
}

static void stores_next(struct reactor_timer *timer)
{
	static struct reactor_timer again = { .fn = stores_next };

	(void)timer;
	if (fiber_start(close_stores, NULL) < 0)
		reactor_timer_start(&again, NS_PER_MSEC);
}

static void destroy_next(void);

static void destroyed(void *arg, int result, const struct error *err)
{
	(void)arg;
	if (result < 0)
		log_error("NVMe-oF target: cannot go: %s", err->text);
	destroy_next();
}

static void destroy_next(void)
{
	struct nvmf_target *tgt = nvmf_target_first();

	if (tgt)
		nvmf_target_destroy(tgt, destroyed, NULL);
	else
		stores_next(NULL);
}

static void drain_next(struct nvmf_target *tgt);

static void drained(void *arg, int result, const struct error *err)
{
	struct nvmf_target *tgt = arg;

	if (result < 0)
		log_warning("NVMe-oF target %s: %s", nvmf_target_name(tgt), err->text);
	drain_next(nvmf_target_next(tgt));
}

static void drain_next(struct nvmf_target *tgt)
{
	if (tgt)
		nvmf_target_drain(tgt, stopping.drain_ms, drained, tgt);
	else
		destroy_next();
}

void rpc_engine_stop(uint32_t drain_ms, void (*done)(void *arg), void *arg)
{
	bdev_limits_end();
	stopping.drain_ms = drain_ms;
	stopping.done = done;
	stopping.arg = arg;
	drain_next(nvmf_target_first());
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_*: looking at bdevs of all modules.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "bdev/module.h"
#include "rpc/areas.h"

/* --- bdev_get_bdevs --------------------------------------------------------------------------- */

struct get_bdevs {
	const char *name;
	uint64_t timeout;
};

/* As long as a timer can count. */
#define TIMEOUT_MAX_MS (UINT64_MAX / 2 / NS_PER_MSEC)

static const struct rpc_param get_bdevs_params[] = {
	RPC_PARAM(struct get_bdevs, name, RPC_STRING),
	RPC_PARAM(struct get_bdevs, timeout, RPC_UINT, .alias = "timeout_ms",
		  .max = TIMEOUT_MAX_MS),
	RPC_END,
};

/** struct wait - a request that waits for a bdev; in its own arena */
struct wait {
	TAILQ_ENTRY(wait) link;
	struct rpc_request *req;
	const struct get_bdevs *params;
	struct reactor_timer timer;
};

static TAILQ_HEAD(, wait) waits = TAILQ_HEAD_INITIALIZER(waits);
static bool looking;

static json_t *one_bdev(const struct bdev *bdev)
{
	return json_pack("[o]", bdev_to_json(bdev));
}

static void wait_end(struct wait *w, int code)
{
	struct bdev *bdev = bdev_find(w->params->name);

	TAILQ_REMOVE(&waits, w, link);
	reactor_timer_stop(&w->timer);
	if (bdev)
		rpc_reply(w->req, one_bdev(bdev));
	else
		rpc_fail(w->req, code, "bdev \"%.64s\" did not appear within %" PRIu64 " ms: %s",
			 w->params->name, w->params->timeout, error_errno_text(code));
}

static void wait_timeout(struct reactor_timer *timer)
{
	wait_end(container_of(timer, struct wait, timer), -ETIMEDOUT);
}

static void wait_gone(struct rpc_request *req, void *arg)
{
	(void)req;
	wait_end(arg, -ECANCELED);
}

static void look_again(struct reactor_msg *msg)
{
	struct wait *w = TAILQ_FIRST(&waits);

	(void)msg;
	looking = false;
	while (w) {
		struct wait *next = TAILQ_NEXT(w, link);

		if (bdev_find(w->params->name))
			wait_end(w, 0);
		w = next;
	}
}

static struct reactor_msg look_msg = { .fn = look_again };

/* Later, so that whoever makes the bdev is answered first. */
static void changed(struct bdev_watcher *watcher, struct bdev *bdev, enum bdev_change change)
{
	(void)watcher;
	(void)bdev;
	if (change != BDEV_CHANGE_ADDED || TAILQ_EMPTY(&waits) || looking)
		return;
	looking = true;
	reactor_defer(&look_msg);
}

static struct bdev_watcher watcher = { .changed = changed };

void rpc_bdev_start(void)
{
	bdev_watch(&watcher);
}

void rpc_bdev_fini(void)
{
	bdev_unwatch(&watcher);
}

void rpc_bdev_waits_end(void)
{
	while (!TAILQ_EMPTY(&waits))
		wait_end(TAILQ_FIRST(&waits), -ECANCELED);
}

static void wait_start(struct rpc_request *req, const struct get_bdevs *p)
{
	struct wait *w = rpc_arena_alloc(rpc_request_arena(req), sizeof(*w));

	if (!w) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	w->req = req;
	w->params = p;
	w->timer.fn = wait_timeout;
	reactor_timer_start(&w->timer, p->timeout * NS_PER_MSEC);
	TAILQ_INSERT_TAIL(&waits, w, link);
	rpc_on_gone(req, wait_gone, w);
}

static void get_bdevs(struct rpc_request *req, void *params)
{
	const struct get_bdevs *p = params;
	struct bdev *bdev = p->name ? bdev_find(p->name) : NULL;
	json_t *array;

	if (bdev) {
		rpc_reply(req, one_bdev(bdev));
	} else if (p->name && p->timeout > 0) {
		wait_start(req, p);
	} else if (p->name) {
		rpc_fail(req, -ENODEV, "there is no bdev \"%.64s\": %s", p->name,
			 error_errno_text(-ENODEV));
	} else {
		array = json_array();
		for (bdev = bdev_first(); bdev; bdev = bdev_next(bdev))
			json_array_append_new(array, bdev_to_json(bdev));
		rpc_reply(req, array);
	}
}

/* --- examination ------------------------------------------------------------------------------ */

/** struct examine_wait - in its request's arena */
struct examine_wait {
	struct reactor_msg msg;
	struct rpc_request *req;
};

static void examined(struct reactor_msg *msg)
{
	rpc_reply_true(container_of(msg, struct examine_wait, msg)->req);
}

static void wait_for_examine(struct rpc_request *req, void *params)
{
	struct examine_wait *w = rpc_arena_alloc(rpc_request_arena(req), sizeof(*w));

	(void)params;
	if (!w) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	w->req = req;
	w->msg.fn = examined;
	bdev_wait_for_examine(&w->msg);
}

struct examine {
	const char *name;
};

static const struct rpc_param examine_params[] = {
	RPC_PARAM(struct examine, name, RPC_STRING, .required = true),
	RPC_END,
};

static void examine(struct rpc_request *req, void *params)
{
	const struct examine *p = params;

	rpc_fail(req, -EINVAL,
		 "bdev_examine: \"%.64s\" is not for you to examine: this target examines every "
		 "bdev by "
		 "itself; bdev_wait_for_examine waits for it",
		 p->name);
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_get_bdevs",
	  .aliases = { "get_bdevs" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = get_bdevs_params,
	  .size = sizeof(struct get_bdevs),
	  .call = get_bdevs },
	{ .name = "bdev_wait_for_examine",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = wait_for_examine },
	{ .name = "bdev_examine",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = examine_params,
	  .size = sizeof(struct examine),
	  .call = examine },
};
RPC_AREA(bdev, methods);

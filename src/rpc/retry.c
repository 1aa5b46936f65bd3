/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trying a call again, see retry.h.
 *
 * Threading: reactor 0.
 */
#include "rpc/retry.h"

#include <errno.h>

#include "base/clock.h"
#include "base/container_of.h"

#define LONGEST_NS NS_PER_SEC
#define PAUSE_NS   (20 * NS_PER_MSEC)

static void again(struct reactor_timer *timer)
{
	struct rpc_retry *r = container_of(timer, struct rpc_retry, timer);

	rpc_on_gone(r->req, NULL, NULL);
	r->attempt(r);
}

static void gone(struct rpc_request *req, void *arg)
{
	struct rpc_retry *r = arg;

	reactor_timer_stop(&r->timer);
	rpc_done(req, -ECANCELED, 0, NULL);
}

void rpc_retry_start(struct rpc_request *req, void *params, rpc_retry_fn *attempt)
{
	struct rpc_retry *r = rpc_arena_alloc(rpc_request_arena(req), sizeof(*r));

	if (!r) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	*r = (struct rpc_retry){ .req = req,
				 .params = params,
				 .attempt = attempt,
				 .until_ns = clock_ns() + LONGEST_NS,
				 .timer.fn = again };
	attempt(r);
}

bool rpc_retry_later(struct rpc_retry *r)
{
	if (clock_ns() >= r->until_ns || rpc_state() == RPC_LEAVING)
		return false;
	rpc_on_gone(r->req, gone, r);
	reactor_timer_start(&r->timer, PAUSE_NS);
	return true;
}

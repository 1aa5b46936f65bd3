/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framework_monitor_context_switch: a line in the log for each reactor that was switched within the
 * last second, under the flag reactor.
 *
 * A reactor that sleeps for want of work gives its core up by itself; involuntary switches are what
 * costs latency.
 *
 * Threading: reactor 0; each reactor counts for itself while it is asked, and answers by a message.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "reactor/reactor.h"
#include "rpc/areas.h"

LOG_FLAG_DECLARE(reactor);

/* Of this thread, when it was asked last. */
static _Thread_local struct {
	unsigned int round;
	long voluntary, involuntary;
} last;

static void count(struct reactor_each *each);
static void counted(struct reactor_each *each);
static void look(struct reactor_timer *timer);

static struct {
	bool enabled;
	bool asking;	    /* reactors have not all answered yet */
	unsigned int round; /* of being enabled: what came before is not counted */
	struct reactor_timer timer;
	struct reactor_each each;
} monitor = {
	.timer = { .fn = look },
	.each = { .fn = count, .done = counted },
};

static void count(struct reactor_each *each)
{
	struct rusage now = { .ru_nvcsw = 0 };

	getrusage(RUSAGE_THREAD, &now);
	if (last.round == monitor.round &&
	    (now.ru_nvcsw != last.voluntary || now.ru_nivcsw != last.involuntary))
		log_info(reactor,
			 "reactor %u: %ld voluntary and %ld involuntary context switches in the "
			 "last second",
			 reactor_index(reactor_self()), now.ru_nvcsw - last.voluntary,
			 now.ru_nivcsw - last.involuntary);
	last.round = monitor.round;
	last.voluntary = now.ru_nvcsw;
	last.involuntary = now.ru_nivcsw;
	reactor_each_next(each);
}

static void counted(struct reactor_each *each)
{
	(void)each;
	monitor.asking = false;
}

static void look(struct reactor_timer *timer)
{
	reactor_timer_start(timer, NS_PER_SEC);
	if (monitor.asking)
		return;
	monitor.asking = true;
	reactor_for_each(&monitor.each);
}

void rpc_context_switch_stop(void)
{
	monitor.enabled = false;
	reactor_timer_stop(&monitor.timer);
}

struct monitor_params {
	bool enabled;
	bool given;
};

static const struct rpc_param monitor_params[] = {
	RPC_PARAM(struct monitor_params, enabled, RPC_BOOL,
		  RPC_GIVEN(struct monitor_params, given)),
	RPC_END,
};

static void monitor_call(struct rpc_request *req, void *params)
{
	const struct monitor_params *p = params;

	if (p->given && !p->enabled)
		rpc_context_switch_stop();
	if (p->given && p->enabled && !monitor.enabled) {
		monitor.enabled = true;
		monitor.round++;
		look(&monitor.timer);
	}
	rpc_reply(req, json_pack("{s:b}", "enabled", monitor.enabled));
}

static const struct rpc_method methods[] = {
	{ .name = "framework_monitor_context_switch",
	  .aliases = { "context_switch_monitor" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = monitor_params,
	  .size = sizeof(struct monitor_params),
	  .call = monitor_call },
};
RPC_AREA(context_switch, methods);

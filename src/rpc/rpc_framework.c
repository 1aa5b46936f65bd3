/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framework_*, rpc_get_methods, spdk_get_version, spdk_kill_instance.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/version.h"
#include "reactor/reactor.h"
#include "rpc/areas.h"
#include "rpc/framework.h"
#include "rpc/rpc.h"

/* The release of SPDK whose interface this is. */
#define SPDK_MAJOR 26
#define SPDK_MINOR 5

/* --- methods and version ---------------------------------------------------------------------- */

struct get_methods {
	bool current;
	bool include_aliases;
};

static const struct rpc_param get_methods_params[] = {
	RPC_PARAM(struct get_methods, current, RPC_BOOL),
	RPC_PARAM(struct get_methods, include_aliases, RPC_BOOL),
	RPC_END,
};

static void get_methods(struct rpc_request *req, void *params)
{
	const struct get_methods *p = params;

	rpc_reply(req, rpc_methods_to_json(p->current, p->include_aliases));
}

/* Clients look for "SPDK v" and the numbers; who reads on learns what it is. */
static void get_version(struct rpc_request *req, void *params)
{
	char version[160], suffix[64];

	(void)params;
	snprintf(suffix, sizeof(suffix), "-cyborg-spdk-%s", version_release());
	snprintf(version, sizeof(version), "SPDK v%d.%02d%s git sha1 %s", SPDK_MAJOR, SPDK_MINOR,
		 suffix, version_commit());
	rpc_reply(req, json_pack("{s:s,s:{s:i,s:i,s:i,s:s,s:s}}", "version", version, "fields",
				 "major", SPDK_MAJOR, "minor", SPDK_MINOR, "patch", 0, "suffix",
				 suffix, "commit", version_commit()));
}

/* --- signals ---------------------------------------------------------------------------------- */

static const char *const signal_names[] = { "SIGINT",  "SIGTERM", "SIGQUIT", "SIGHUP",
					    "SIGKILL", "SIGUSR1", NULL };
static const int signal_numbers[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1 };

struct kill_instance {
	int sig_name;
};

static const struct rpc_param kill_instance_params[] = {
	RPC_PARAM(struct kill_instance, sig_name, RPC_ENUM, .required = true,
		  .names = signal_names),
	RPC_END,
};

static void kill_instance(struct rpc_request *req, void *params)
{
	const struct kill_instance *p = params;
	int rc = kill(getpid(), signal_numbers[p->sig_name]) < 0 ? -errno : 0;

	rpc_done(req, rc, 0, NULL);
}

/* --- start ------------------------------------------------------------------------------------ */

/** struct waiter - a framework_wait_init that has no answer yet; in its request's arena */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct rpc_request *req;
};

static TAILQ_HEAD(, waiter) waiters = TAILQ_HEAD_INITIALIZER(waiters);

static void waiter_answer(struct waiter *w)
{
	TAILQ_REMOVE(&waiters, w, link);
	if (rpc_state() == RPC_RUNTIME)
		rpc_reply_true(w->req);
	else
		rpc_fail(w->req, RPC_INVALID_STATE,
			 "framework_wait_init: the target leaves before it was initialised");
}

static void answer_waiters(void)
{
	while (!TAILQ_EMPTY(&waiters))
		waiter_answer(TAILQ_FIRST(&waiters));
}

int framework_start(struct error *err)
{
	int rc = rpc_engine_start(err);

	if (rc < 0)
		return rc;
	rpc_state_set(RPC_RUNTIME);
	answer_waiters();
	return 0;
}

void framework_leave(void)
{
	rpc_state_set(RPC_LEAVING);
	answer_waiters();
	rpc_bdev_waits_end();
	rpc_context_switch_stop();
}

static void start_init(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;

	(void)params;
	if (framework_start(&err) < 0)
		rpc_fail(req, RPC_INTERNAL_ERROR, "framework_start_init: %s", err.text);
	else
		rpc_reply_true(req);
}

static void wait_gone(struct rpc_request *req, void *arg)
{
	(void)req;
	waiter_answer(arg);
}

static void wait_init(struct rpc_request *req, void *params)
{
	struct waiter *w;

	(void)params;
	if (rpc_state() == RPC_RUNTIME) {
		rpc_reply_true(req);
		return;
	}
	w = rpc_arena_alloc(rpc_request_arena(req), sizeof(*w));
	if (!w) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	w->req = req;
	TAILQ_INSERT_TAIL(&waiters, w, link);
	rpc_on_gone(req, wait_gone, w);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void get_subsystems(struct rpc_request *req, void *params)
{
	json_t *array = json_array();

	(void)params;
	for (const struct framework_subsystem *s = framework_subsystems(); s->name; s++) {
		json_t *depends = json_array();

		for (const char *const *d = s->depends_on; *d; d++)
			json_array_append_new(depends, json_string(*d));
		json_array_append_new(
			array, json_pack("{s:s,s:o}", "subsystem", s->name, "depends_on", depends));
	}
	rpc_reply(req, array);
}

struct get_config {
	const char *name;
	bool with_batches;
};

static const struct rpc_param get_config_params[] = {
	RPC_PARAM(struct get_config, name, RPC_STRING, .required = true),
	RPC_PARAM(struct get_config, with_batches, RPC_BOOL),
	RPC_END,
};

/* Batches: the engine saves single methods only, which is what either form may hold. */
static void get_config(struct rpc_request *req, void *params)
{
	const struct get_config *p = params;
	json_t *array;

	for (const struct framework_subsystem *s = framework_subsystems(); s->name; s++) {
		if (strcmp(s->name, p->name) != 0)
			continue;
		array = json_array();
		s->save(array);
		rpc_reply(req, array);
		return;
	}
	rpc_fail(req, RPC_INVALID_PARAMS,
		 "Subsystem '%.64s' not found; framework_get_subsystems lists them", p->name);
}

/* --- what an engine without PCI devices and schedulers can truly say -------------------------- */

static void get_pci_devices(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_array());
}

/* Nothing here sets the frequency of cores; SPDK's answer without a governor. */
static void get_governor(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_object());
}

/* --- locks of cores --------------------------------------------------------------------------- */

static void enable_cpumask_locks(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;

	(void)params;
	if (reactor_cores_lock(&err) < 0)
		rpc_fail(req, RPC_INTERNAL_ERROR, "Failed to claim CPU core: %s", err.text);
	else
		rpc_reply_true(req);
}

static void disable_cpumask_locks(struct rpc_request *req, void *params)
{
	(void)params;
	reactor_cores_unlock();
	rpc_reply_true(req);
}

static const struct rpc_method methods[] = {
	{ .name = "spdk_get_version",
	  .aliases = { "get_spdk_version" },
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_version },
	{ .name = "rpc_get_methods",
	  .aliases = { "get_rpc_methods" },
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = get_methods_params,
	  .size = sizeof(struct get_methods),
	  .call = get_methods },
	{ .name = "spdk_kill_instance",
	  .aliases = { "kill_instance" },
	  .states = RPC_ALWAYS,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = kill_instance_params,
	  .size = sizeof(struct kill_instance),
	  .call = kill_instance },
	{ .name = "framework_start_init",
	  .aliases = { "start_subsystem_init" },
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = start_init },
	{ .name = "framework_wait_init",
	  .aliases = { "wait_subsystem_init" },
	  .states = RPC_STARTUP | RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = wait_init },
	{ .name = "framework_get_subsystems",
	  .aliases = { "get_subsystems" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_subsystems },
	{ .name = "framework_get_config",
	  .aliases = { "get_subsystem_config" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = get_config_params,
	  .size = sizeof(struct get_config),
	  .call = get_config },
	{ .name = "framework_get_pci_devices",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_pci_devices },
	{ .name = "framework_get_governor",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_governor },
	{ .name = "framework_enable_cpumask_locks",
	  .states = RPC_STARTUP | RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = enable_cpumask_locks },
	{ .name = "framework_disable_cpumask_locks",
	  .states = RPC_STARTUP | RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = disable_cpumask_locks },
};
RPC_AREA(framework, methods);

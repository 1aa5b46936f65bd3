/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach: take an export back, after its host has left.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "driver/verb.h"

#define WAIT_DEFAULT_NS (30 * NS_PER_SEC)
#define WAIT_POLL_NS	(50 * NS_PER_MSEC)

static int wait_for_host(struct driver *d, struct client *c, const struct attachment *a,
			 uint64_t wait_ns, struct error *err)
{
	uint64_t until = clock_ns() + wait_ns;
	int hosts;

	while ((hosts = export_hosts(c, a->nqn, err)) > 0 && clock_ns() < until) {
		if (loop_sleep(d->loop, WAIT_POLL_NS) < 0)
			return error_set(err, -EIO, "poll failed");
	}
	if (hosts <= 0)
		return hosts;
	return error_set(err, -EBUSY,
			 "instance %s: its host %s is still connected (%d controller%s): "
			 "disconnect there (nvme disconnect -n %s), or detach with --force",
			 a->instance, a->host, hosts, hosts == 1 ? "" : "s", a->nqn);
}

static int check_host(struct verb_run *v, const struct accelerator *acc, const struct attachment *a,
		      uint64_t wait_ns, struct error *err)
{
	struct client *c;
	int rc = target_connect(v->d, acc, &c, err);

	driver_step(v->d, "wait for the host to disconnect", 0, 2);
	if (rc == 0)
		rc = wait_for_host(v->d, c, a, wait_ns, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "instance", "wait_ns", "force", "dry_run", NULL };
	const char *instance = request_text(request, "instance", err);
	bool force = request_flag(request, "force", err);
	uint64_t wait_ns = request_u64(request, "wait_ns", WAIT_DEFAULT_NS, err);
	struct accelerator acc;
	struct attachment a;
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0 && !instance)
		rc = error_set(err, -EINVAL, "detach needs --instance ID");
	if (rc == 0)
		rc = check_instance(instance, err);
	if (rc == 0)
		rc = state_attachment(v->d->state, instance, &a, err);
	if (rc == -ENOENT && verb_done_before(v, instance, err) == 0)
		return 0;
	if (rc == -ENOENT)
		return error_set(
			err, rc,
			"instance %s is not attached and never was: `cyborg-spdk status` shows "
			"which are",
			instance);
	if (rc == 0)
		rc = load_accelerator(v->d, a.accelerator, &acc, err);
	if (rc == 0 && !force && !json_is_true(json_object_get(request, "dry_run")))
		rc = check_host(v, &acc, &a, wait_ns, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", instance);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&acc));
	json_object_set_new(v->argument, "attachment", attachment_json(&a));
	return 0;
}

/* Also out of the saved configuration, first: a target that starts meanwhile must not show it. */
static int unexport(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	rc = target_paths(v->d, acc.id, &paths, err);
	if (rc == 0)
		rc = config_drop_subsystem(paths.config, a.nqn, err);
	if (rc < 0)
		return rc;
	rc = target_connect(v->d, &acc, &c, err);
	if (rc == 0)
		rc = export_remove(c, a.nqn, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc;
}

static int forget(struct verb_run *v, struct error *err)
{
	struct attachment a;

	verb_attachment(v, &a);
	return state_drop_attachment(v->d->state, a.instance, err);
}

static int finish(struct verb_run *v, struct error *err)
{
	(void)err;
	json_object_set(v->answer, "detached", json_object_get(v->argument, "attachment"));
	json_object_set_new(v->answer, "already", json_boolean(v->already));
	return 0;
}

static const struct verb_step steps[] = {
	{ "unexport", "remove the export and save the target's configuration", unexport, NULL },
	{ "forget", "forget the attachment", forget, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_detach = { "detach", true, steps, plan, finish };

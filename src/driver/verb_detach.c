/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach: take an export back after its host has left; keep, delete or wipe the volume.
 *
 * Data is kept unless its deletion is asked for. Only what attach made and no host could write to
 * (a snapshot or clone shown read-only) goes by itself.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "driver/attach.h"

#define WAIT_DEFAULT_NS (30 * NS_PER_SEC)
#define WAIT_POLL_NS	(50 * NS_PER_MSEC)

static int wait_for_host(struct driver *d, struct client *c, const struct attachment *a,
			 uint64_t wait_ns, struct error *err)
{
	bool vhost = !strcmp(a->transport, TRANSPORT_VHOST);
	uint64_t until = clock_ns() + wait_ns;
	int hosts;

	while ((hosts = export_hosts(c, a, err)) > 0 && clock_ns() < until) {
		if (loop_sleep(d->loop, WAIT_POLL_NS) < 0)
			return error_set(err, -EIO, "poll failed");
	}
	if (hosts <= 0)
		return hosts;
	if (vhost)
		return error_set(
			err, -EBUSY,
			"instance %s: a machine still has %s open: stop it, or detach with "
			"--force",
			a->instance, a->socket);
	return error_set(err, -EBUSY,
			 "instance %s: its host %s is still connected (%d controller%s): "
			 "disconnect there (nvme disconnect -n %s), or detach with --force",
			 a->instance, a->host, hosts, hosts == 1 ? "" : "s", a->nqn);
}

/* Several clones stand on a snapshot that cannot go then; one takes its data over. */
static int check_clones(struct client *c, const struct attachment *a, struct error *err)
{
	json_t *found = NULL, *clones;
	char *text;
	int rc =
		client_wait(c, "bdev_get_bdevs", json_pack("{s:s}", "name", a->bdev), &found, NULL);

	clones = json_object_get(
		json_object_get(json_object_get(json_array_get(found, 0), "driver_specific"),
				"lvol"),
		"clones");
	if (rc == 0 && json_array_size(clones) > 1) {
		text = json_dumps(clones, JSON_COMPACT);
		rc = error_set(err, -EBUSY,
			       "volume %s cannot be deleted: the clones %.200s stand on it; detach "
			       "without --delete",
			       a->volume, text ? text : "");
		free(text);
	}
	json_decref(found);
	return rc == -EBUSY ? rc : 0;
}

struct patience {
	bool force;
	uint64_t wait_ns;
};

static int check_target(struct verb_run *v, const struct accelerator *acc,
			const struct attachment *a, const struct patience *p, bool deletes,
			struct error *err)
{
	struct client *c;
	int rc = target_connect(v->d, acc, &c, err);

	driver_step(v->d, "wait for the host to disconnect", 0, 4);
	if (rc == 0 && deletes)
		rc = check_clones(c, a, err);
	/* SPDK answers nobody while it closes an image of a cluster that is silent. */
	if (rc == 0 && !p->force && !strcmp(a->source, SOURCE_RBD) &&
	    rbd_drift(v->d, acc, NULL, err) < 0)
		rc = error_prefix(err,
				  "image %s can be closed when its cluster answers: ", a->volume);
	if (rc == 0 && !p->force)
		rc = wait_for_host(v->d, c, a, p->wait_ns, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc;
}

/* What becomes of the volume. */
struct fate {
	bool keep, delete, wipe;
};

static int settle_fate(const struct attachment *a, struct fate *f, struct error *err)
{
	bool is_volume = a->volume[0] && strcmp(a->source, SOURCE_RBD) != 0;

	if (f->keep && (f->delete || f->wipe))
		return error_set(err, -EINVAL, "--keep excludes --delete and --wipe");
	if (f->delete &&!is_volume)
		return error_set(err, -EINVAL, "instance %s has %s, which detach cannot delete: %s",
				 a->instance, a->volume[0] ? a->volume : "a whole backing",
				 a->volume[0] ? "delete the image in its cluster"
					      : "uninstall removes what install made");
	if (f->wipe && a->read_only)
		return error_set(err, -EINVAL,
				 "instance %s has %s read-only: it cannot be wiped through that",
				 a->instance, a->volume);
	f->delete = is_volume && (f->delete || f->wipe || (!f->keep && volume_is_ours(a)));
	return 0;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "instance", "wait_ns", "force",   "keep",
					     "delete",	 "wipe",    "dry_run", NULL };
	const char *instance = request_text(request, "instance", err);
	struct fate f = { .keep = request_flag(request, "keep", err),
			  .delete = request_flag(request, "delete", err),
			  .wipe = request_flag(request, "wipe", err) };
	struct patience p = { .force = request_flag(request, "force", err),
			      .wait_ns = request_u64(request, "wait_ns", WAIT_DEFAULT_NS, err) };
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
	if (rc == 0)
		rc = settle_fate(&a, &f, err);
	if (rc == 0 && !json_is_true(json_object_get(request, "dry_run")))
		rc = check_target(v, &acc, &a, &p, f.delete, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", instance);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&acc));
	json_object_set_new(v->argument, "attachment", attachment_json(&a));
	json_object_set_new(v->argument, "force", json_boolean(p.force));
	json_object_set_new(v->argument, "delete", json_boolean(f.delete));
	json_object_set_new(v->argument, "wipe", json_boolean(f.wipe));
	return 0;
}

static bool asked(const struct verb_run *v, const char *what)
{
	return json_is_true(json_object_get(v->argument, what));
}

/* From here on nobody brings it back, also when what follows fails. */
static int leave(struct verb_run *v, struct error *err)
{
	struct attachment a;
	int rc;

	verb_attachment(v, &a);
	rc = state_attachment(v->d->state, a.instance, &a, err);
	a.leaving = true;
	return rc == 0 ? state_put_attachment(v->d->state, &a, err) : rc == -ENOENT ? 0 : rc;
}

/* Out of the saved configuration first: a target that starts meanwhile must not show it. */
static int unexport(struct verb_run *v, struct error *err)
{
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc = leave(v, err);

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	if (rc == 0)
		rc = export_forget(v->d, &acc, &a, err);
	if (rc < 0)
		return rc;
	rc = target_connect(v->d, &acc, &c, err);
	if (rc == 0)
		rc = export_remove(c, &a, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc == -EBUSY && asked(v, "force") ? vhost_cut_off(v->d, &acc, &a, err) : rc;
}

static int wipe(struct verb_run *v, struct error *err)
{
	struct accelerator acc;
	struct attachment a;
	bool gone;
	struct client *c;
	int rc;

	if (!asked(v, "wipe"))
		return 0;
	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	rc = target_ensure(v->d, &acc, &c, err);
	/* Deleted already, by a call that was interrupted behind that. */
	gone = rc == 0 && strcmp(a.source, SOURCE_RBD) != 0 &&
	       client_wait(c, "bdev_get_bdevs", json_pack("{s:s}", "name", a.bdev), NULL, NULL) ==
		       -EREMOTEIO;
	if (rc == 0 && !gone)
		rc = wipe_run(v->d, c, &acc, &a, err);
	client_destroy(c);
	return rc;
}

static int delete (struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc;

	if (!asked(v, "delete"))
		return 0;
	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	rc = target_ensure(v->d, &acc, &c, err);
	if (rc == 0)
		rc = volume_delete(c, &acc, &a, err);
	if (rc == 0)
		rc = target_paths(v->d, acc.id, &paths, err);
	if (rc == 0)
		rc = config_save(c, paths.config, err);
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
	struct attachment a;

	(void)err;
	verb_attachment(v, &a);
	json_object_set(v->answer, "detached", json_object_get(v->argument, "attachment"));
	json_object_set_new(v->answer, "already", json_boolean(v->already));
	json_object_set_new(v->answer, "volume",
			    !a.volume[0]	 ? json_null()
			    : asked(v, "delete") ? json_string("deleted")
						 : json_string("kept"));
	json_object_set_new(v->answer, "wiped", json_boolean(asked(v, "wipe")));
	return 0;
}

static const struct verb_step steps[] = {
	{ "unexport", "remove the export and save the target's configuration", unexport, NULL },
	{ "wipe", "wipe the volume, where that is asked for", wipe, NULL },
	{ "delete", "delete the volume, where that is asked for", delete, NULL },
	{ "forget", "forget the attachment", forget, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_detach = { "detach", true, steps, plan, finish };

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update: replace the running target by another build of it. All exports come back as they were,
 * or the old build does.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "driver/verb.h"

/* "accelerator" in the argument is the row as it was; these are the new build's. */
static void new_row(const struct verb_run *v, struct accelerator *out)
{
	verb_accelerator(v, out);
	snprintf(out->target, sizeof(out->target), "%s",
		 json_string_value(json_object_get(v->argument, "new_target")));
	snprintf(out->version, sizeof(out->version), "%s",
		 json_string_value(json_object_get(v->argument, "new_version")));
}

static int choose_kit(struct driver *d, const char *path, struct kit *out, struct error *err)
{
	struct kit *kits;
	ssize_t n;

	if (path)
		return kit_ask(d, path, out, err);
	n = kits_find(d, &kits);
	if (n > 0)
		*out = kits[0];
	free(kits);
	if (n <= 0)
		return error_set(err, -ENOENT,
				 "no target program was found: name one with --target");
	return 0;
}

static int check_volatile(struct driver *d, const struct accelerator *a, bool lose,
			  struct error *err)
{
	struct attachment *list;
	ssize_t n = 0;

	if (strcmp(a->kind, "memory") != 0 || lose)
		return 0;
	n = state_attachments(d->state, a->id, &list, err);
	free(list);
	if (n < 0)
		return (int)n;
	return error_set(
		err, -EPERM,
		"accelerator %s is in memory only (%zd attached): its content is lost when "
		"the target is replaced; if that may be, add --lose-volatile",
		a->id, n);
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "id",	"target", "type", "lose_volatile",
					     "dry_run", NULL };
	const char *id = request_text(request, "id", err);
	const char *target = request_text(request, "target", err);
	bool lose = request_flag(request, "lose_volatile", err);
	struct accelerator a;
	struct kit kit;
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc == 0)
		rc = only_accelerator(v->d, id, &a, err);
	if (rc == 0)
		rc = choose_kit(v->d, target, &kit, err);
	if (rc == 0)
		rc = check_volatile(v->d, &a, lose, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", a.id);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	json_object_set_new(v->argument, "new_target", json_string(kit.path));
	json_object_set_new(v->argument, "new_version", json_string(kit.version));
	return 0;
}

/* Of a target that is down the configuration saved last is the best there is. */
static int save(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator a;
	struct client *c;
	int rc;

	verb_accelerator(v, &a);
	rc = target_paths(v->d, a.id, &paths, err);
	if (rc < 0)
		return rc;
	rc = target_connect(v->d, &a, &c, err);
	if (rc == 0)
		rc = config_save(c, paths.config, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc;
}

static int stop_old(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	json_object_set_new(v->answer, "stopped_at_ns", json_integer((json_int_t)clock_ns()));
	return target_stop(v->d, &a, err);
}

static int prove_all(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0; i++)
		rc = proof_run(d, &list[i], err);
	free(list);
	return rc;
}

/* Whatever runs now is stopped, so that this is right after any interruption. */
static int start_old(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct client *c;
	int rc;

	verb_accelerator(v, &a);
	rc = target_stop(v->d, &a, err);
	if (rc == 0)
		rc = state_put_accelerator(v->d->state, &a, err);
	if (rc == 0)
		rc = target_ensure(v->d, &a, &c, err);
	if (rc == 0) {
		client_destroy(c);
		rc = prove_all(v->d, &a, err);
	}
	return rc;
}

static int start_new(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	new_row(v, &a);
	return target_start(v->d, &a, err);
}

/* Nothing may be different: what is missing is made, what differs is a reason to go back. */
static int compare(struct driver *d, struct client *c, const struct accelerator *a,
		   struct error *err)
{
	json_t *drift = json_array();
	struct attachment *list = NULL;
	ssize_t n = 0;
	struct view v;
	int rc = view_take(c, &v, err);

	if (rc == 0) {
		n = state_attachments(d->state, a->id, &list, err);
		rc = n < 0 ? (int)n : 0;
		backing_drift(&v, a, drift);
		for (ssize_t i = 0; i < n; i++)
			export_drift(&v, &list[i], drift);
		view_fini(&v);
	}
	if (rc == 0 && json_array_size(drift))
		rc = error_set(err, -EPROTO, "%s", json_string_value(json_array_get(drift, 0)));
	free(list);
	json_decref(drift);
	return rc;
}

static int restore(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator a;
	struct client *c;
	int rc;

	new_row(v, &a);
	rc = target_paths(v->d, a.id, &paths, err);
	if (rc < 0)
		return rc;
	rc = target_ensure(v->d, &a, &c, err);
	if (rc == 0)
		rc = compare(v->d, c, &a, err);
	if (rc == 0)
		rc = prove_all(v->d, &a, err);
	if (rc == 0) {
		json_int_t since = json_integer_value(json_object_get(v->answer, "stopped_at_ns"));

		json_object_set_new(v->answer, "stall_ns",
				    json_integer((json_int_t)clock_ns() - since));
		json_object_del(v->answer, "stopped_at_ns");
		rc = config_save(c, paths.config, err);
	}
	client_destroy(c);
	return rc;
}

static int record(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	new_row(v, &a);
	return state_put_accelerator(v->d->state, &a, err);
}

static int finish(struct verb_run *v, struct error *err)
{
	struct accelerator old, new;

	(void)err;
	verb_accelerator(v, &old);
	new_row(v, &new);
	json_object_set_new(v->answer, "accelerator", accelerator_json(&new));
	json_object_set_new(v->answer, "old_target", json_string(old.target));
	json_object_set_new(v->answer, "old_version", json_string(old.version));
	return 0;
}

static const struct verb_step steps[] = {
	{ "save", "save the target's configuration", save, NULL },
	{ "stop", "drain and stop the old target", stop_old, start_old },
	{ "start", "start the new target", start_new, NULL },
	{ "restore", "bring the exports back and prove each", restore, NULL },
	{ "record", "record the new target", record, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_update = { "update", false, steps, plan, finish };

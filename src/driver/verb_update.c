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
#include <unistd.h>

#include "base/clock.h"
#include "driver/dialect.h"
#include "driver/export.h"
#include "driver/function.h"
#include "driver/verb.h"

/* "accelerator" in the argument is the row as it was, "new" as it is to be. */
static void new_row(const struct verb_run *v, struct accelerator *out)
{
	accelerator_from(json_object_get(v->argument, "new"), out);
}

static void read_environment(const struct verb_run *v, const char *name, struct environment *out)
{
	env_from(json_object_get(v->argument, name), out);
}

/** struct files - the configuration, the one for the new target, and the old one meanwhile */
struct files {
	char now[PATH_MAX], next[PATH_MAX + 8], old[PATH_MAX + 8];
};

static int find_files(const struct verb_run *v, struct files *out, struct error *err)
{
	struct target_paths paths;
	int rc = target_paths(v->d, v->intent.object, &paths, err);

	if (rc < 0)
		return rc;
	snprintf(out->now, sizeof(out->now), "%s", paths.config);
	snprintf(out->next, sizeof(out->next), "%s.next", paths.config);
	snprintf(out->old, sizeof(out->old), "%s.old", paths.config);
	return 0;
}

static int rename_if_there(const char *from, const char *to, struct error *err)
{
	if (rename(from, to) == 0 || errno == ENOENT)
		return 0;
	return error_set(err, -errno, "%s cannot be renamed to %s: %s", from, to,
			 error_errno_text(-errno));
}

static bool is_older(const struct kit *a, const struct kit *b)
{
	for (int i = 0; i < 3; i++) {
		if (a->release[i] != b->release[i])
			return a->release[i] < b->release[i];
	}
	return false;
}

/* Without a name: the newest stable one of the same kind, and never an older one. */
static int choose_kit(struct driver *d, const char *path, const struct accelerator *a,
		      struct kit *out, struct error *err)
{
	struct kit running;
	int rc;

	if (path)
		return kit_ask(d, path, out, err);
	kit_read_version(a->version, &running);
	rc = kit_newest(d, running.kind, out, err);
	if (rc == 0 && is_older(out, &running))
		rc = error_set(err, -ENOENT,
			       "the newest stable release that is installed, %s (%.60s), is older "
			       "than what runs (%.60s): to go back to it, name it with --target",
			       out->path, out->version, a->version);
	return rc;
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

/* Arguments are a kit's own: another kind gets none but those that are given now. */
static int plan_row(struct accelerator *a, const struct kit *kit, const json_t *request,
		    struct error *err)
{
	struct kit old;

	kit_read_version(a->version, &old);
	snprintf(a->target, sizeof(a->target), "%s", kit->path);
	snprintf(a->version, sizeof(a->version), "%s", kit->version);
	if (!strcmp(old.kind, kit->kind) && !json_object_get(request, "arguments"))
		return 0;
	return request_arguments(request, a->arguments, sizeof(a->arguments), err);
}

/* "release": what the old target's environment is to be put back to, as things are now. */
static int plan_environment(struct verb_run *v, const struct accelerator *a, const struct kit *kit,
			    const json_t *request, struct error *err)
{
	struct environment old, release, new;
	int rc = env_load(v->d, a->id, &old, err);

	if (rc == 0)
		rc = env_plan(v->d, request, kit, NULL, &old, &new, err);
	if (rc < 0)
		return rc;
	release = old;
	env_plan_release("", &release);
	json_object_set_new(v->argument, "environment", env_json(&old));
	json_object_set_new(v->argument, "release", env_json(&release));
	json_object_set_new(v->argument, "new_environment", env_json(&new));
	return 0;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "id",	  "target",	   "type",
					     "arguments", "lose_volatile", "hugepages",
					     "no_huge",	  "dry_run",	   NULL };
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
		rc = choose_kit(v->d, target, &a, &kit, err);
	if (rc == 0)
		rc = check_volatile(v->d, &a, lose, err);
	/* A file that was deleted is there as long as the old target has it open, and no longer. */
	if (rc == 0 && backing_look(&a, err) < 0)
		rc = error_prefix(
			err,
			"the target of %s stays, another would not find what it serves: ", a.id);
	if (rc == 0 && is_function(&a))
		rc = function_check_kit(v, &a, &kit, err);
	if (rc == 0)
		rc = plan_environment(v, &a, &kit, request, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", a.id);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	rc = plan_row(&a, &kit, request, err);
	json_object_set_new(v->argument, "new", accelerator_json(&a));
	return rc;
}

/* What no kit can bring back: a volume that is not there any more, or not as it was. */
static int check_volume(const struct view *v, const struct accelerator *a,
			const struct attachment *at, struct error *err)
{
	const json_t *b = view_bdev(v->bdevs, at->bdev);

	if (at->leaving || !at->volume[0] || !strcmp(at->source, SOURCE_RBD))
		return 0;
	if (!b)
		return error_set(err, -EPROTO,
				 "instance %s: volume %s is not in store %s any more: detach the "
				 "instance, then update",
				 at->instance, at->volume, a->store);
	if (view_bdev_size(b) == at->size)
		return 0;
	return error_set(err, -EPROTO,
			 "instance %s: volume %s has %llu bytes, recorded are %llu: detach and "
			 "attach it again, then update",
			 at->instance, at->volume, (unsigned long long)view_bdev_size(b),
			 (unsigned long long)at->size);
}

/* Where the store itself is missing, another kit may be the remedy. */
static int check_volumes(struct driver *d, struct client *c, const struct accelerator *a,
			 struct error *err)
{
	struct attachment *list = NULL;
	ssize_t n = 0;
	struct view v;
	int rc = a->store_uuid[0] ? view_take(c, &v, err) : 0;

	if (rc < 0 || !a->store_uuid[0])
		return rc;
	if (view_by(v.stores, "uuid", a->store_uuid))
		n = state_attachments(d->state, a->id, &list, err);
	rc = n < 0 ? (int)n : 0;
	for (ssize_t i = 0; i < n && rc == 0; i++)
		rc = check_volume(&v, a, &list[i], err);
	free(list);
	view_fini(&v);
	return rc;
}

/* As recorded, as far as the old target can: what somebody changed is not to be kept for ever. */
static int connect_old(struct driver *d, const struct accelerator *a, struct client **c,
		       struct error *err)
{
	struct error ignored = ERROR_INIT;
	int rc = target_connect(d, a, c, err);

	if (rc < 0)
		return rc;
	client_destroy(*c);
	return target_ensure(d, a, c, &ignored) == 0 ? 0 : target_connect(d, a, c, err);
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
	rc = connect_old(v->d, &a, &c, err);
	if (rc == 0) {
		rc = check_volumes(v->d, c, &a, err);
		if (rc == 0)
			rc = config_save(c, paths.config, err);
	} else if (rc == -EHOSTDOWN) {
		rc = 0;
	}
	client_destroy(c);
	return rc;
}

static void trial_arguments(struct verb_run *v, const struct environment *e, char *out, size_t size)
{
	char core[ENV_CORE_SIZE];
	struct kit_options o;
	struct kit kit = { .kind = "spdk" };
	struct accelerator a;

	snprintf(out, size, "%s", e->arguments);
	new_row(v, &a);
	snprintf(kit.path, sizeof(kit.path), "%s", a.target);
	if (e->memory == ENV_MEMORY_OWN || kit_options(v->d, &kit, &o, NULL) < 0)
		return;
	/* Hugepages and functions are the old target's still, and so may its core be. */
	env_core_keep(e, core);
	if (o.no_huge)
		snprintf(out, size, "--no-huge\n-s\n%llu\n%s%s%s%s",
			 (unsigned long long)(e->size >> 20), core, o.no_pci ? "--no-pci\n" : "",
			 o.disable_cpumask_locks ? "--disable-cpumask-locks\n" : "",
			 o.limit_coredump ? "--limit-coredump\n" : "");
}

static int preflight(struct verb_run *v, struct error *err)
{
	char arguments[ENV_ARGUMENTS_SIZE];
	struct environment e;
	struct accelerator a;
	struct files f;
	int rc = find_files(v, &f, err);

	if (rc < 0)
		return rc;
	new_row(v, &a);
	/* Neither the new target nor the old one would come to its images again. */
	if (!strcmp(a.kind, "ceph") && rbd_drift(v->d, &a, NULL, err) < 0)
		return err->code;
	read_environment(v, "new_environment", &e);
	trial_arguments(v, &e, arguments, sizeof(arguments));
	unlink(f.next);
	return preflight_run(v->d, &a, arguments, f.now, f.next, err);
}

static int unpreflight(struct verb_run *v, struct error *err)
{
	struct files f;
	int rc = find_files(v, &f, err);

	if (rc == 0)
		unlink(f.next);
	return rc < 0 ? rc : preflight_clean(v->d, err);
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
		rc = list[i].leaving ? 0 : proof_run(d, &list[i], err);
	free(list);
	return rc;
}

static int serve_old(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct client *c;
	int rc = target_ensure(d, a, &c, err);

	if (rc < 0)
		return rc;
	client_destroy(c);
	return prove_all(d, a, err);
}

/*
 * Whatever runs now is stopped, so that this is right after any interruption. An old target that
 * cannot serve any more, because its program or a volume is gone, say, is as one that died: a verb
 * that could not end by it would keep all others from their work.
 */
static int start_old(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	rc = target_stop(v->d, &a, err);
	if (rc == 0)
		rc = state_put_accelerator(v->d->state, &a, err);
	if (rc == 0)
		serve_old(v->d, &a, &v->left);
	return rc;
}

/* From the one's pages to the other's. Devices stay bound: both targets use them. */
static int change_pages(struct environment *from, struct environment *to, struct error *err)
{
	int rc;

	/* What was given back might not be had again. */
	if (env_same_memory(from, to))
		return 0;
	from->device_count = 0;
	rc = env_restore("", from, err);
	return rc < 0 ? rc : env_apply("", to, err);
}

static int switch_environment(struct verb_run *v, struct error *err)
{
	struct environment old, new;
	int rc;

	read_environment(v, "release", &old);
	read_environment(v, "new_environment", &new);
	rc = change_pages(&old, &new, err);
	return rc < 0 ? rc : env_record(v->d, v->intent.object, &new, err);
}

static int switch_environment_back(struct verb_run *v, struct error *err)
{
	struct environment old, release, new;
	int rc;

	read_environment(v, "environment", &old);
	read_environment(v, "release", &release);
	read_environment(v, "new_environment", &new);
	rc = change_pages(&new, &release, err);
	return rc < 0 ? rc : env_record(v->d, v->intent.object, &old, err);
}

static int start_new(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct files f;
	int rc = find_files(v, &f, err);

	new_row(v, &a);
	if (rc == 0 && access(f.next, F_OK) == 0) {
		rc = rename_if_there(f.now, f.old, err);
		if (rc == 0)
			rc = rename_if_there(f.next, f.now, err);
	}
	return rc < 0 ? rc : target_start(v->d, &a, err);
}

static int stop_new(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct files f;
	int rc = find_files(v, &f, err);

	new_row(v, &a);
	if (rc == 0)
		rc = target_stop(v->d, &a, err);
	return rc < 0 ? rc : rename_if_there(f.old, f.now, err);
}

static int missing(const char *what, const char *nqn, struct error *err)
{
	return error_set(err, -EPROTO, "%s %s, which the saved configuration has, is missing", what,
			 nqn);
}

static int check_entry(const struct view *v, const json_t *entry, struct error *err)
{
	const char *method = dialect_today(view_text(entry, "method"));
	const json_t *params = json_object_get(entry, "params"), *ns, *s;
	bool adds = !strcmp(method, "nvmf_subsystem_add_ns");
	json_int_t nsid;

	if (!adds && strcmp(method, "nvmf_create_subsystem") != 0)
		return 0;
	s = view_by(v->subsystems, "nqn", view_text(params, "nqn"));
	if (!s)
		return missing("subsystem", view_text(params, "nqn"), err);
	ns = json_object_get(params, "namespace");
	nsid = json_integer_value(json_object_get(ns, "nsid"));
	return adds && nsid > 0 && !export_namespace(s, (uint32_t)nsid)
		       ? missing("a namespace of subsystem", view_text(params, "nqn"), err)
		       : 0;
}

/* Also what others export by RPC, and no record tells of: a kit may have left it out. */
static int check_kept(struct driver *d, const struct view *v, const struct accelerator *a,
		      struct error *err)
{
	json_t *config, *subsystem, *entry;
	struct target_paths paths;
	int rc = target_paths(d, a->id, &paths, err);
	size_t i, e;

	config = rc == 0 ? json_load_file(paths.config, 0, NULL) : NULL;
	json_array_foreach (json_object_get(config, "subsystems"), i, subsystem) {
		json_array_foreach (json_object_get(subsystem, "config"), e, entry) {
			if (rc == 0)
				rc = check_entry(v, entry, err);
		}
	}
	json_decref(config);
	return rc;
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
		rc = n < 0 ? (int)n : tls_look(c, &v, list, (size_t)n, err);
		backing_drift(&v, a, drift);
		for (ssize_t i = 0; i < n; i++) {
			if (!list[i].leaving)
				export_drift(&v, &list[i], drift);
		}
		if (rc == 0 && !json_array_size(drift))
			rc = check_kept(d, &v, a, err);
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

/* The old configuration goes last: until the verb is done it may be undone. */
static int finish(struct verb_run *v, struct error *err)
{
	struct accelerator old, new;
	struct files f;
	int rc = find_files(v, &f, err);

	if (rc < 0)
		return rc;
	unlink(f.old);
	verb_accelerator(v, &old);
	new_row(v, &new);
	json_object_set_new(v->answer, "accelerator", accelerator_json(&new));
	json_object_set_new(v->answer, "old_target", json_string(old.target));
	json_object_set_new(v->answer, "old_version", json_string(old.version));
	return 0;
}

static const struct verb_step steps[] = {
	{ "save", "save the target's configuration", save, NULL },
	{ "preflight", "start the new target beside the old one and ask what it can", preflight,
	  unpreflight },
	{ "stop", "drain and stop the old target", stop_old, start_old },
	{ "environment", "give the new target what it needs of the node", switch_environment,
	  switch_environment_back },
	{ "start", "start the new target", start_new, stop_new },
	{ "restore", "bring the exports back and prove each", restore, NULL },
	{ "record", "record the new target", record, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_update = { "update", false, steps, plan, finish };

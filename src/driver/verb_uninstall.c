/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uninstall: stop the target and remove what install made: a store of its own, whose volumes go
 * only by consent, its file, the target's files. A store that was adopted stays as it is.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/function.h"

#define LOOK_NS (5 * NS_PER_SEC)

static int check_unattached(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	if (n > 0)
		rc = error_set(err, -ENOTEMPTY,
			       "accelerator %s is attached to instance %s%s: detach first", a->id,
			       list[0].instance, n > 1 ? " and others" : "");
	free(list);
	return rc;
}

static int check_hosts(struct client *c, const json_t *subsystem, const struct accelerator *a,
		       struct error *err)
{
	const char *nqn = view_text(subsystem, "nqn");
	json_t *list = NULL;
	int rc = 0;

	if (client_wait(c, "nvmf_subsystem_get_controllers", json_pack("{s:s}", "nqn", nqn), &list,
			NULL) == 0 &&
	    json_array_size(list) > 0)
		rc = error_set(err, -EBUSY,
			       "the target of accelerator %s also serves subsystem %s, which no "
			       "attachment made, and host %s is connected to it: disconnect there "
			       "(nvme disconnect -n %s), or remove it by RPC",
			       a->id, nqn, view_text(json_array_get(list, 0), "hostnqn"), nqn);
	json_decref(list);
	return rc;
}

/* What others export by RPC goes with the target; one that does not answer tells of nobody. */
static int check_others(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct client *c;
	struct view v;
	json_t *s;
	size_t i;
	int rc = 0;

	if (target_connect_within(d, a, LOOK_NS, &c, &ignored) < 0)
		return 0;
	if (client_has(c, "nvmf_subsystem_get_controllers") && view_take(c, &v, &ignored) == 0) {
		json_array_foreach (v.subsystems, i, s) {
			if (rc == 0 && !strcmp(view_text(s, "subtype"), "NVMe"))
				rc = check_hosts(c, s, a, err);
		}
		view_fini(&v);
	}
	client_destroy(c);
	return rc;
}

static int find_volumes(struct driver *d, const struct accelerator *a, bool dry_run, json_t **out,
			struct error *err)
{
	struct client *c = NULL;
	struct view v;
	int rc = dry_run ? target_connect(d, a, &c, err) : target_ensure(d, a, &c, err);

	*out = NULL;
	if (rc == 0)
		rc = view_take(c, &v, err);
	if (rc == 0) {
		*out = store_volumes(v.bdevs, a);
		view_fini(&v);
	}
	client_destroy(c);
	return rc;
}

/* What detach kept is data that nobody asked to lose yet. */
static int check_volumes(struct driver *d, const struct accelerator *a, bool dry_run,
			 struct error *err)
{
	json_t *volumes;
	char *text;
	int rc = find_volumes(d, a, dry_run, &volumes, err);

	if (rc < 0)
		return error_prefix(err,
				    "what store %s of accelerator %s holds cannot be told; "
				    "--keep-backing leaves it, --delete loses it: ",
				    a->store, a->id);
	if (json_array_size(volumes) > 0) {
		text = json_dumps(volumes, JSON_COMPACT);
		rc = error_set(
			err, -ENOTEMPTY,
			"store %s of accelerator %s holds the volumes %.300s: add --delete to "
			"lose them, or --keep-backing to leave the store as it is",
			a->store, a->id, text ? text : "");
		free(text);
	}
	json_decref(volumes);
	return rc;
}

/* What of the request is more than stopping the target. */
struct consent {
	bool keep, delete, wipe;
};

static int check_consent(struct driver *d, const struct accelerator *a, const struct consent *k,
			 bool dry_run, struct error *err)
{
	if (k->keep && (k->delete || k->wipe))
		return error_set(err, -EINVAL, "--keep-backing excludes --delete and --wipe");
	if (k->wipe && !a->path[0])
		return error_set(err, -EINVAL,
				 "accelerator %s is in memory: there is nothing to wipe", a->id);
	if (k->wipe && a->store_uuid[0] && !a->store_made && !k->delete)
		return error_set(
			err, -EPERM,
			"store %s of accelerator %s was there before install: --wipe loses "
			"it; if you mean that, add --delete",
			a->store, a->id);
	if (!a->store_made || k->keep || k->delete || k->wipe)
		return 0;
	return check_volumes(d, a, dry_run, err);
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "id",	"type", "keep_backing", "delete", "wipe",
					     "dry_run", NULL };
	const char *id = request_text(request, "id", err);
	struct consent k = { .keep = request_flag(request, "keep_backing", err),
			     .delete = request_flag(request, "delete", err),
			     .wipe = request_flag(request, "wipe", err) };
	bool dry_run = request_flag(request, "dry_run", err);
	struct environment e;
	struct accelerator a;
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0)
		rc = check_type(request, err);
	if (rc == 0 && !id)
		rc = error_set(err, -EINVAL, "uninstall needs the accelerator's id");
	if (rc == 0)
		rc = load_accelerator(v->d, id, &a, err);
	if (rc == -ENOENT && verb_done_before(v, id, NULL) == 0)
		return 0;
	if (rc == 0)
		rc = check_unattached(v->d, &a, err);
	if (rc == 0)
		rc = check_others(v->d, &a, err);
	if (rc == 0)
		rc = check_consent(v->d, &a, &k, dry_run, err);
	if (rc == 0)
		rc = env_load(v->d, a.id, &e, err);
	if (rc < 0)
		return rc;
	env_plan_release("", &e);
	json_object_set_new(v->argument, "environment", env_json(&e));
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", a.id);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	json_object_set_new(v->argument, "keep_backing", json_boolean(k.keep));
	json_object_set_new(v->argument, "wipe", json_boolean(k.wipe));
	return 0;
}

static bool asked(const struct verb_run *v, const char *what)
{
	return json_is_true(json_object_get(v->argument, what));
}

/* Whatever was on it, once the kernel has it again it is no business of this verb any more. */
static bool is_held(struct driver *d, const struct accelerator *a)
{
	struct environment e;

	return is_function(a) && env_load(d, a->id, &e, NULL) == 0 && e.device_count > 0;
}

/* A store that is gone already is no reason to stop: its super block may be there still. */
static int clear_function(struct driver *d, const struct accelerator *a, bool wipe,
			  struct error *err)
{
	struct accelerator bare = *a;
	struct client *c;
	int rc;

	bare.store_uuid[0] = '\0';
	rc = target_ensure(d, &bare, &c, err);
	if (rc == 0)
		rc = function_clear(d, c, a, wipe, err);
	if (rc == 0)
		rc = function_close(c, a, err);
	client_destroy(c);
	return rc < 0 ? error_prefix(err,
				     "what is on PCI function %s cannot be cleared; --keep-backing "
				     "leaves it: ",
				     a->path)
		      : 0;
}

/* The bytes of a function are reached through its target only. */
static int release(struct verb_run *v, const struct accelerator *a, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct client *c;

	if (!is_held(v->d, a))
		return 0;
	if (asked(v, "wipe") || (a->store_made && !asked(v, "keep_backing")))
		return clear_function(v->d, a, asked(v, "wipe"), err);
	/* A target that is down has let go of it, and one that does not listen is stopped next. */
	if (target_connect(v->d, a, &c, &ignored) == 0)
		function_close(c, a, &ignored);
	client_destroy(c);
	return 0;
}

static int stop(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	rc = release(v, &a, err);
	if (rc == 0)
		rc = target_stop(v->d, &a, err);
	return rc == 0 ? service_forget(v->d, a.id, err) : rc;
}

/*
 * With the target gone nothing else writes there. A store is gone with its super block; deleting it
 * through the target would ask every volume first, and would need a target that starts.
 */
static int clear(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	if (asked(v, "wipe"))
		return backing_wipe(v->d, &a, err);
	if (a.store_made && !asked(v, "keep_backing"))
		return backing_clear_store(&a, err);
	return 0;
}

static int remove_files(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	if (a.made && !asked(v, "keep_backing") && unlink(a.path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "backing %s cannot be removed: %s", a.path,
				 error_errno_text(-errno));
	return target_remove_files(v->d, a.id, err);
}

static int forget(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	return state_drop_accelerator(v->d->state, a.id, err);
}

static int finish(struct verb_run *v, struct error *err)
{
	(void)err;
	json_object_set(v->answer, "uninstalled", json_object_get(v->argument, "accelerator"));
	json_object_set_new(v->answer, "already", json_boolean(v->already));
	json_object_set_new(v->answer, "wiped", json_boolean(asked(v, "wipe")));
	return 0;
}

static const struct verb_step steps[] = {
	{ "stop", "drain and stop the target", stop, NULL },
	{ "environment", "give back what it had of the node", env_verb_restore, NULL },
	{ "clear",
	  "remove the store that install made, or wipe the backing where that is asked for", clear,
	  NULL },
	{ "remove", "remove the files that install made", remove_files, NULL },
	{ "forget", "forget the accelerator", forget, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_uninstall = { "uninstall", true, steps, plan, finish };

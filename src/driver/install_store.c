/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What install makes of a backing: nothing (it is attached whole), a store of volumes, or a door to
 * a Ceph cluster, which has no backing here.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/function.h"
#include "driver/install.h"

#define CEPH_CONFIG  "/etc/ceph/ceph.conf"
#define CEPH_USER    "admin"
#define CLUSTER_STEP 4096

static const char *const scenarios[] = { SCENARIO_WHOLE, SCENARIO_BLOBSTORE, SCENARIO_CEPH, NULL };
static const char *const clear_methods[] = { "none", "unmap", "write_zeroes", NULL };

static bool is_among(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (!strcmp(word, *words))
			return true;
	}
	return false;
}

/* --- the request ------------------------------------------------------------------------------ */

static int take_scenario(const json_t *request, struct accelerator *a, struct error *err)
{
	const char *scenario = request_text(request, "scenario", err);
	const char *store = request_text(request, "store", err);

	if (err->code)
		return err->code;
	if (!scenario)
		scenario = store ? SCENARIO_BLOBSTORE : SCENARIO_WHOLE;
	if (!is_among(scenario, scenarios))
		return error_set(err, -EINVAL,
				 "scenario \"%.50s\" is not supported: " SCENARIO_WHOLE
				 ", " SCENARIO_BLOBSTORE " and " SCENARIO_CEPH " are",
				 scenario);
	snprintf(a->scenario, sizeof(a->scenario), "%s", scenario);
	return 0;
}

static int refuse_members(const json_t *request, const char *const *names, const char *scenario,
			  struct error *err)
{
	for (; *names; names++) {
		const json_t *value = json_object_get(request, *names);

		if (value && !json_is_null(value))
			return error_set(err, -EINVAL, "\"%s\" does not go with the scenario %s",
					 *names, scenario);
	}
	return 0;
}

static int take_store(struct verb_run *v, const json_t *request, struct accelerator *a,
		      struct error *err)
{
	const char *store = request_text(request, "store", err);
	const char *clear = request_text(request, "clear_method", err);
	uint64_t cluster = request_u64(request, "cluster_size", 0, err);

	if (err->code)
		return err->code;
	if (cluster % CLUSTER_STEP || cluster > UINT32_MAX)
		return error_set(
			err, -EINVAL,
			"cluster size of %llu bytes: it must be a multiple of %d, and less "
			"than 4 GiB",
			(unsigned long long)cluster, CLUSTER_STEP);
	if (clear && !is_among(clear, clear_methods))
		return error_set(
			err, -EINVAL,
			"clear method \"%.50s\" is not known: none, unmap and write_zeroes are",
			clear);
	if (store && (strlen(store) >= sizeof(a->store) || strchr(store, '/')))
		return error_set(
			err, -EINVAL,
			"store \"%.80s\": a store's name has 1 to %zu characters without '/'",
			store, sizeof(a->store) - 1);
	snprintf(a->store, sizeof(a->store), "%s", store ? store : "");
	a->cluster_size = (uint32_t)cluster;
	a->store_made = true;
	if (clear)
		json_object_set_new(v->argument, "clear_method", json_string(clear));
	return 0;
}

static int take_cluster(const json_t *request, struct accelerator *a, struct error *err)
{
	const char *config = request_text(request, "ceph_config", err);
	const char *user = request_text(request, "ceph_user", err);
	char *real;

	if (err->code)
		return err->code;
	config = config ? config : CEPH_CONFIG;
	real = realpath(config, NULL);
	if (!real || strlen(real) >= sizeof(a->path)) {
		free(real);
		return error_set(err, -ENOENT,
				 "Ceph configuration %s: %s; name another with --ceph-config",
				 config, error_errno_text(-errno));
	}
	snprintf(a->path, sizeof(a->path), "%s", real);
	free(real);
	if (user && strlen(user) >= sizeof(a->ceph_user))
		return error_set(err, -EINVAL, "Ceph user \"%.80s\" is too long", user);
	snprintf(a->kind, sizeof(a->kind), "ceph");
	snprintf(a->ceph_user, sizeof(a->ceph_user), "%s", user ? user : CEPH_USER);
	snprintf(a->serial, sizeof(a->serial), "CEPH-%s", a->id);
	return 0;
}

int scenario_plan(struct verb_run *v, const json_t *request, struct accelerator *a,
		  struct error *err)
{
	static const char *const of_store[] = { "store", "cluster_size", "clear_method", NULL };
	static const char *const of_ceph[] = { "ceph_config", "ceph_user", NULL };
	static const char *const of_backing[] = { "backing", "memory", "size", "force", NULL };
	int rc = take_scenario(request, a, err);
	bool blobstore = !strcmp(a->scenario, SCENARIO_BLOBSTORE);
	bool ceph = !strcmp(a->scenario, SCENARIO_CEPH);

	if (rc == 0 && !blobstore)
		rc = refuse_members(request, of_store, a->scenario, err);
	if (rc == 0)
		rc = refuse_members(request, ceph ? of_backing : of_ceph, a->scenario, err);
	if (rc == 0 && blobstore && json_object_get(request, "memory"))
		rc = error_set(err, -EINVAL,
			       "memory keeps no store over a restart: give a --backing, or leave "
			       "the store away");
	if (rc == 0 && blobstore)
		rc = take_store(v, request, a, err);
	if (rc == 0 && ceph)
		rc = take_cluster(request, a, err);
	return rc;
}

int scenario_repeat(const struct accelerator *a, const json_t *request, struct error *err)
{
	const char *scenario = request_text(request, "scenario", err);
	const char *store = request_text(request, "store", err);
	uint64_t cluster = request_u64(request, "cluster_size", 0, err);

	if (err->code)
		return err->code;
	if ((scenario && strcmp(scenario, a->scenario) != 0) ||
	    (store && strcmp(store, a->store) != 0) || (cluster && cluster != a->cluster_size))
		return error_set(
			err, -EEXIST,
			"accelerator %s is installed already, scenario %s%s%s: uninstall it "
			"first, or take another id",
			a->id, a->scenario, a->store[0] ? ", store " : "", a->store);
	return 0;
}

/* --- adoption --------------------------------------------------------------------------------- */

static int adopt(const struct probe_device *dev, const struct store_found *f, struct accelerator *a,
		 struct error *err)
{
	char *text;

	if (!a->store[0] || !strcmp(a->store, f->name)) {
		snprintf(a->store, sizeof(a->store), "%s", f->name);
		snprintf(a->store_uuid, sizeof(a->store_uuid), "%s", f->uuid);
		a->store_made = false;
		a->cluster_size = 0;
		return 0;
	}
	text = json_dumps(f->volumes, JSON_COMPACT);
	error_set(
		err, -EEXIST,
		"%s holds the store \"%s\" with the volumes %.200s: name that with --store to take "
		"it over; to lose it, add --force %s",
		dev->path, f->name, text ? text : "", dev->serial);
	free(text);
	return -EEXIST;
}

int store_adopt(struct driver *d, const struct probe_device *dev, const char *force,
		struct accelerator *a, struct error *err)
{
	struct error why = ERROR_INIT;
	struct store_found found;
	int rc;

	if (force)
		return -ENOENT;
	rc = store_inspect(d, dev->path, &found, &why);
	if (rc < 0)
		return error_set(err, -ENOTEMPTY, "%.380s; to lose it, add --force %s", why.text,
				 dev->serial);
	rc = adopt(dev, &found, a, err);
	json_decref(found.volumes);
	return rc;
}

/* --- steps ------------------------------------------------------------------------------------ */

int store_make(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct client *c;
	int rc;

	verb_accelerator(v, &a);
	if (strcmp(a.scenario, SCENARIO_BLOBSTORE) != 0)
		return 0;
	rc = target_connect(v->d, &a, &c, err);
	if (rc == 0)
		rc = store_ensure(c, &a,
				  json_string_value(json_object_get(v->argument, "clear_method")),
				  err);
	client_destroy(c);
	if (rc < 0)
		return rc;
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	return state_put_accelerator(v->d->state, &a, err);
}

/*
 * The row tells more than the plan did: the target had to tell what is there. Where no target can
 * be had the store stays, to be taken over by the next install.
 */
static int unmake_on_function(struct driver *d, const char *id, struct error *err)
{
	struct error down = ERROR_INIT;
	struct accelerator a;
	struct client *c;
	int rc = state_accelerator(d->state, id, &a, err);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	a.store_uuid[0] = '\0';
	if (!a.size || !a.store_made || target_ensure(d, &a, &c, &down) < 0)
		return 0;
	rc = function_clear(d, c, &a, false, err);
	client_destroy(c);
	return rc;
}

/* The plan found no store there, or consent to lose it: the one that is there now is this verb's.
 */
int store_unmake(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	if (!a.store_made || a.made)
		return 0;
	if (is_function(&a))
		return unmake_on_function(v->d, a.id, err);
	rc = target_stop(v->d, &a, err);
	return rc == 0 ? backing_clear_store(&a, err) : rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ceph as a backing: clusters, and where an RBD image could be attached.
 *
 * Threading: as driver.h.
 */
#include <stdio.h>
#include <string.h>

#include "driver/look.h"

#define RBD_METHOD "bdev_rbd_create"

/* Of a candidate: usable now; the pool is there, and a target for it is to be started; not usable.
 */
#define SCORE_NOW   100
#define SCORE_LATER 50

json_t *look_ceph(struct driver *d)
{
	json_t *list = json_array();
	struct probe_ceph *clusters;
	ssize_t n = probe_ceph(d->probe, &clusters);

	for (ssize_t i = 0; i < n; i++)
		json_array_append_new(list, probe_ceph_json(&clusters[i]));
	if (n > 0)
		probe_ceph_free(clusters, (size_t)n);
	return list;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static bool has_method(const json_t *target)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(target, "features"), i, f) {
		if (!strcmp(json_string_value(f), RBD_METHOD))
			return true;
	}
	return false;
}

/* The engine always has the method, and librbd where that is installed. */
static bool has_rbd(const json_t *target, bool librbd)
{
	return has_method(target) && (librbd || strcmp(text_of(target, "kind"), "engine") != 0);
}

void look_insert(json_t *list, json_t *candidate)
{
	json_int_t score = json_integer_value(json_object_get(candidate, "score"));
	size_t i = 0;

	while (i < json_array_size(list) &&
	       json_integer_value(json_object_get(json_array_get(list, i), "score")) >= score)
		i++;
	json_array_insert_new(list, i, candidate);
}

static json_t *candidate(const char *path, const char *kind, bool eligible, bool attach, int score,
			 const char *reason, const char *remedy)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:i, s:s, s:s}", "path", path, "kind", kind,
			 "eligible", eligible, "attach", attach, "score", score, "reason", reason,
			 "remedy", remedy);
}

static void add_target(json_t *list, const json_t *target, bool librbd, bool reachable)
{
	const char *socket = text_of(target, "socket");
	bool method = has_method(target), has = has_rbd(target, librbd), use = has && reachable;
	char text[512];

	if (!json_is_true(json_object_get(target, "answers")))
		snprintf(text, sizeof(text), "the target does not answer: %.400s",
			 text_of(target, "error"));
	else
		snprintf(text, sizeof(text), "the target at %.200s has %s" RBD_METHOD "%s%s",
			 socket, method ? "" : "no ",
			 method && !has ? ", but librbd is not installed" : "",
			 has && !reachable ? ", and no Ceph cluster is reachable" : "");
	look_insert(list, candidate(socket, "target", has, use, use ? SCORE_NOW : 0, text,
				    !method ? "run an SPDK built with --with-rbd, or the engine"
				    : !has  ? "install librbd1"
				    : !use  ? "configure a cluster in /etc/ceph"
					    : ""));
}

static void add_pool(json_t *list, const json_t *cluster, const char *pool, const char *target)
{
	const char *name = text_of(cluster, "name");
	bool librbd = json_is_true(json_object_get(cluster, "librbd"));
	char path[256], text[512], remedy[512] = "";
	json_t *o;

	snprintf(path, sizeof(path), "%.63s/%.127s", name, pool);
	if (target)
		snprintf(text, sizeof(text),
			 "the pool %.127s of the cluster %.63s can be used through the target at "
			 "%.200s",
			 pool, name, target);
	else
		snprintf(text, sizeof(text),
			 "the pool %.127s of the cluster %.63s can be reached, and no target that "
			 "runs here has " RBD_METHOD "%s",
			 pool, name, librbd ? " yet" : "; librbd is not installed either");
	if (!target && librbd)
		snprintf(remedy, sizeof(remedy),
			 "cyborg-spdk install ID --scenario ceph --ceph-config %.400s",
			 text_of(cluster, "configuration"));
	else if (!target)
		snprintf(remedy, sizeof(remedy),
			 "install librbd1, or run an SPDK built with --with-rbd");
	o = candidate(path, "ceph-pool", target || librbd, target || librbd,
		      target ? SCORE_NOW : SCORE_LATER, text, remedy);
	json_object_set(o, "fsid", json_object_get(cluster, "fsid"));
	json_object_set_new(o, "cluster", json_string(name));
	json_object_set_new(o, "pool", json_string(pool));
	json_object_set_new(o, "target", json_string(target ? target : ""));
	look_insert(list, o);
}

static void add_cluster(json_t *list, const json_t *cluster, const char *target)
{
	json_t *pool;
	char text[512];
	size_t i;

	json_array_foreach (json_object_get(cluster, "pools"), i, pool)
		add_pool(list, cluster, json_string_value(pool), target);
	if (i)
		return;
	snprintf(text, sizeof(text), "the cluster %.63s: %.400s", text_of(cluster, "name"),
		 text_of(cluster, "error")[0] ? text_of(cluster, "error") : "it has no pool");
	look_insert(list,
		    candidate(text_of(cluster, "name"), "ceph-cluster", false, false, 0, text,
			      json_is_true(json_object_get(cluster, "reachable"))
				      ? "give this user a keyring, or make a pool"
				      : "look at its monitors, and mon_host in its configuration"));
}

json_t *look_ceph_candidates(const json_t *targets, const json_t *clusters)
{
	json_t *list = json_array(), *o;
	const char *target = NULL;
	/* Whether librbd is here is looked at where there is a cluster for it. */
	bool reachable = false, librbd = json_array_size(clusters) == 0;
	size_t i;

	json_array_foreach ((json_t *)clusters, i, o) {
		reachable = reachable || json_is_true(json_object_get(o, "reachable"));
		librbd = librbd || json_is_true(json_object_get(o, "librbd"));
	}
	json_array_foreach ((json_t *)targets, i, o) {
		if (!target && has_rbd(o, librbd))
			target = text_of(o, "socket");
	}
	json_array_foreach ((json_t *)clusters, i, o)
		add_cluster(list, o, target);
	json_array_foreach ((json_t *)targets, i, o)
		add_target(list, o, librbd, reachable);
	return list;
}

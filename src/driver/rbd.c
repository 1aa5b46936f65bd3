/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of a Ceph cluster as bdevs, on a target that was built with librbd.
 *
 * Threading: as driver.h.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "driver/driver.h"

#define RBD_BLOCK_SIZE 512
#define CLUSTER	       "cyborg-spdk"
#define DEFAULT_CONFIG "/etc/ceph/ceph.conf"
/* Of librados, in seconds: SPDK answers nobody while it waits for a cluster. */
#define CONNECT_LIMIT "10"

int rbd_check(const char *image, struct error *err)
{
	const char *slash = strchr(image, '/');
	bool good = slash && slash != image && slash[1] && !strchr(slash + 1, '/') &&
		    strlen(image) < STATE_VOLUME_SIZE;

	for (const char *c = image; good && *c; c++)
		good = !iscntrl((unsigned char)*c) && *c != '@';
	return good ? 0
		    : error_set(err, -EINVAL,
				"image \"%.200s\": write POOL/IMAGE, without '@' and control "
				"characters",
				image);
}

/* --- the cluster, asked from here ----------------------------------------------------------------
 */

/* Where librbd is not installed nothing is known, and the target's own answer has to do. */
static int ask(struct driver *d, const struct accelerator *acc, const char *image,
	       struct probe_ceph_image *out, struct error *err)
{
	char pool[STATE_VOLUME_SIZE];
	int rc;

	snprintf(pool, sizeof(pool), "%s", image ? image : "");
	pool[strcspn(pool, "/")] = '\0';
	rc = probe_ceph_image(d->probe, acc->path, acc->ceph_user, image ? pool : NULL,
			      image ? image + strlen(pool) + 1 : NULL, out);
	if (rc == 0 || rc == -ENOSYS)
		return 0;
	return error_set(err, rc, "the Ceph cluster of %s, as user %s: %s", acc->path,
			 acc->ceph_user, out->error);
}

int rbd_reach(struct driver *d, const struct accelerator *acc, const char *image, struct error *err)
{
	struct probe_ceph_image found;

	return ask(d, acc, image, &found, err);
}

/* Whoever only looks need not be let in: a cluster that says so is alive. */
int rbd_drift(struct driver *d, const struct accelerator *acc, const char *image, struct error *err)
{
	struct probe_ceph_image found;
	int rc = ask(d, acc, image, &found, err);

	return found.entered || rc == -ETIMEDOUT ? rc : 0;
}

int rbd_unused(struct driver *d, const struct accelerator *acc, const struct attachment *a,
	       size_t own, struct error *err)
{
	struct probe_ceph_image found;
	int rc = ask(d, acc, a->volume, &found, err);

	if (rc < 0)
		return rc;
	if (found.watchers > own)
		return error_set(err, -EBUSY,
				 "image %s is open for writing elsewhere (client at %s; `rbd "
				 "status %s` shows who; one that died is forgotten after 30 s): "
				 "close it there, or attach a clone",
				 a->volume, found.watcher, a->volume);
	if (found.locker[0])
		return error_set(err, -EBUSY,
				 "image %s is locked by %s: whoever did so removes the lock (`rbd "
				 "lock ls %s`)",
				 a->volume, found.locker, a->volume);
	return 0;
}

/* --- the target ----------------------------------------------------------------------------------
 */

static int register_cluster(struct client *c, const struct accelerator *acc, struct error *err)
{
	json_t *clusters = NULL;
	int rc;

	/* SPDK refuses the question while there is no cluster. */
	rc = client_wait(c, "bdev_rbd_get_clusters_info", NULL, &clusters, NULL);
	if (rc < 0 && rc != -EREMOTEIO)
		return error_set(err, rc, "target %s does not tell its Ceph clusters",
				 client_path(c));
	rc = 0;
	if (!view_by(clusters, "cluster_name", CLUSTER))
		rc = client_wait(c, "bdev_rbd_register_cluster",
				 json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "name", CLUSTER,
					   "user_id", acc->ceph_user, "config_file", acc->path,
					   "config_param", "client_mount_timeout", CONNECT_LIMIT,
					   "rados_mon_op_timeout", CONNECT_LIMIT),
				 NULL, err);
	json_decref(clusters);
	return rc;
}

/* Before 21.07 there are no clusters by name, and no other file than librados's own. */
static int name_cluster(struct client *c, const struct accelerator *acc, json_t *params,
			struct error *err)
{
	if (client_has(c, "bdev_rbd_register_cluster")) {
		json_object_set_new(params, "cluster_name", json_string(CLUSTER));
		return register_cluster(c, acc, err);
	}
	json_object_set_new(params, "user_id", json_string(acc->ceph_user));
	if (strcmp(acc->path, DEFAULT_CONFIG) != 0)
		return error_set(err, -ENOTSUP,
				 "target %s reads " DEFAULT_CONFIG " only, and accelerator %s has "
				 "%s: update it to SPDK 21.07 or later",
				 client_path(c), acc->id, acc->path);
	return 0;
}

int rbd_create(struct client *c, const struct accelerator *acc, const struct attachment *a,
	       struct error *err)
{
	char pool[STATE_VOLUME_SIZE];
	json_t *params;
	int rc = need_method(c, "bdev_rbd_create", "images of a Ceph cluster", err);

	if (rc < 0)
		return rc;
	snprintf(pool, sizeof(pool), "%s", a->volume);
	pool[strcspn(pool, "/")] = '\0';
	params = json_pack("{s:s, s:s, s:s, s:i, s:s}", "name", a->bdev, "pool_name", pool,
			   "rbd_name", a->volume + strlen(pool) + 1, "block_size", RBD_BLOCK_SIZE,
			   "uuid", a->uuid);
	if (a->read_only)
		json_object_set_new(params, "read_only", json_true());
	rc = name_cluster(c, acc, params, err);
	if (rc < 0) {
		json_decref(params);
		return rc;
	}
	rc = client_wait(c, "bdev_rbd_create", params, NULL, err);
	return rc < 0 ? error_prefix(err, "image %s: ", a->volume) : 0;
}

int rbd_remove(struct client *c, const struct view *v, const struct attachment *a,
	       struct error *err)
{
	if (!view_bdev(v->bdevs, a->bdev))
		return 0;
	return client_wait(c, "bdev_rbd_delete", json_pack("{s:s}", "name", a->bdev), NULL, err);
}

/* --- the saved configuration ---------------------------------------------------------------------
 */

static bool has_entry(const json_t *entries, const char *method, const char *name)
{
	json_t *e;
	size_t i;

	json_array_foreach ((json_t *)entries, i, e) {
		if (!strcmp(view_text(e, "method"), method) &&
		    !strcmp(view_text(json_object_get(e, "params"), "name"), name))
			return true;
	}
	return false;
}

/* The cluster that is ours, ahead of what uses it. */
static void add_clusters(json_t *entries, const json_t *clusters)
{
	json_t *o, *params;
	size_t i;

	json_array_foreach ((json_t *)clusters, i, o) {
		if (has_entry(entries, "bdev_rbd_register_cluster", view_text(o, "cluster_name")))
			continue;
		params = json_copy(o);
		json_object_del(params, "cluster_name");
		json_object_set(params, "name", json_object_get(o, "cluster_name"));
		json_array_insert_new(entries, 0,
				      json_pack("{s:s, s:o}", "method", "bdev_rbd_register_cluster",
						"params", params));
	}
}

static void amend(json_t *entries, const json_t *bdevs)
{
	json_t *e, *params;
	size_t i;

	json_array_foreach (entries, i, e) {
		params = json_object_get(e, "params");
		if (strcmp(view_text(e, "method"), "bdev_rbd_create") != 0)
			continue;
		if (!json_object_get(params, "user_id") && !json_object_get(params, "cluster_name"))
			json_object_set_new(params, "cluster_name", json_string(CLUSTER));
		if (!view_bdev_writes(view_bdev(bdevs, view_text(params, "name"))))
			json_object_set_new(params, "read_only", json_true());
	}
}

int rbd_amend_config(struct client *c, json_t *subsystems, struct error *err)
{
	json_t *entries = json_object_get(view_by(subsystems, "subsystem", "bdev"), "config");
	json_t *clusters = NULL, *bdevs = NULL;
	int rc;

	if (!client_has(c, "bdev_rbd_get_clusters_info") ||
	    client_wait(c, "bdev_rbd_get_clusters_info", NULL, &clusters, NULL) < 0)
		return 0;
	rc = client_wait(c, "bdev_get_bdevs", NULL, &bdevs, err);
	if (rc == 0) {
		amend(entries, bdevs);
		add_clusters(entries, clusters);
	}
	json_decref(bdevs);
	json_decref(clusters);
	return rc;
}

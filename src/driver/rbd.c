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

int rbd_check(const char *image, struct error *err)
{
	const char *slash = strchr(image, '/');
	bool good = slash && slash != image && slash[1] && !strchr(slash + 1, '/') &&
		    strlen(image) < STATE_VOLUME_SIZE;

	for (const char *c = image; good && *c; c++)
		good = isgraph((unsigned char)*c) && *c != '@';
	return good ? 0
		    : error_set(err, -EINVAL,
				"image \"%.200s\": write POOL/IMAGE, without blanks and '@'",
				image);
}

static int register_cluster(struct client *c, const struct accelerator *acc, struct error *err)
{
	json_t *clusters = NULL;
	int rc;

	if (!client_has(c, "bdev_rbd_register_cluster"))
		return 0;
	/* SPDK refuses the question while there is no cluster. */
	rc = client_wait(c, "bdev_rbd_get_clusters_info", NULL, &clusters, NULL);
	if (rc < 0 && rc != -EREMOTEIO)
		return error_set(err, rc, "target %s does not tell its Ceph clusters",
				 client_path(c));
	if (!view_by(clusters, "cluster_name", CLUSTER))
		rc = client_wait(c, "bdev_rbd_register_cluster",
				 json_pack("{s:s, s:s, s:s}", "name", CLUSTER, "user_id",
					   acc->ceph_user, "config_file", acc->path),
				 NULL, err);
	else
		rc = 0;
	json_decref(clusters);
	return rc;
}

int rbd_create(struct client *c, const struct accelerator *acc, const struct attachment *a,
	       struct error *err)
{
	char pool[STATE_VOLUME_SIZE];
	const char *image;
	json_t *params;
	int rc = need_method(c, "bdev_rbd_create", "images of a Ceph cluster", err);

	if (rc == 0)
		rc = register_cluster(c, acc, err);
	if (rc < 0)
		return rc;
	snprintf(pool, sizeof(pool), "%s", a->volume);
	pool[strcspn(pool, "/")] = '\0';
	image = a->volume + strlen(pool) + 1;
	params = json_pack("{s:s, s:s, s:s, s:i}", "name", a->bdev, "pool_name", pool, "rbd_name",
			   image, "block_size", RBD_BLOCK_SIZE);
	if (client_has(c, "bdev_rbd_register_cluster"))
		json_object_set_new(params, "cluster_name", json_string(CLUSTER));
	else
		json_object_set_new(params, "user_id", json_string(acc->ceph_user));
	if (a->read_only)
		json_object_set_new(params, "read_only", json_true());
	return client_wait(c, "bdev_rbd_create", params, NULL, err);
}

int rbd_remove(struct client *c, const struct view *v, const struct attachment *a,
	       struct error *err)
{
	if (!view_bdev(v->bdevs, a->bdev))
		return 0;
	return client_wait(c, "bdev_rbd_delete", json_pack("{s:s}", "name", a->bdev), NULL, err);
}

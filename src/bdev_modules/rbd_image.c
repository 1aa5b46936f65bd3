/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing an image: what of it blocks.
 *
 * Threading: threads of calls.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "bdev_modules/rbd_internal.h"

static int refuse_pool(const struct rbd_bdev *r, int rc, struct error *err)
{
	return error_set(err, rc, "pool \"%s\" of the Ceph cluster cannot be used: %s%s", r->pool,
			 error_errno_text(rc),
			 rc == -ENOENT ? ": `ceph osd pool ls` shows which there are" : "");
}

static int refuse_image(const struct rbd_bdev *r, int rc, struct error *err)
{
	const char *advice = "";

	if (rc == -ENOENT)
		advice = ": `rbd ls` shows which there are";
	else if (rc == -EPERM || rc == -EACCES)
		advice = ": the user needs `profile rbd` for the pool";
	return error_set(err, rc, "image \"%s/%s\" cannot be opened: %s%s", r->pool, r->image_name,
			 error_errno_text(rc), advice);
}

static int identify(struct rbd_bdev *r, struct error *err)
{
	const struct rbd_lib *lib = r->cluster->lib;
	char fsid[40] = "", id[64] = "";
	struct rbd_info info;
	int rc = lib->rbd_stat(r->image, &info, sizeof(info));

	if (rc == 0)
		rc = lib->rbd_get_id(r->image, id, sizeof(id));
	if (rc < 0)
		return refuse_image(r, rc, err);
	rc = lib->rados_cluster_fsid(r->cluster->rados, fsid, sizeof(fsid));
	if (rc < 0)
		return error_set(err, rc, "the Ceph cluster does not tell its fsid: %s",
				 error_errno_text(rc));
	snprintf(r->identity, sizeof(r->identity), "%s/%" PRId64 "/%s", fsid,
		 lib->rados_ioctx_get_id(r->ioctx), id);
	r->bytes = info.size;
	return 0;
}

/* librbd's own thread; what it has to say is asked for on another. */
static void image_changed(void *arg)
{
	struct rbd_bdev *r = arg;

	if (!atomic_exchange(&r->changed_sent, true))
		reactor_send_foreign(reactor_at(0), &r->changed);
}

static int open_image(struct rbd_bdev *r, struct error *err)
{
	const struct rbd_lib *lib = r->cluster->lib;
	int rc = lib->rados_ioctx_create(r->cluster->rados, r->pool, &r->ioctx);

	if (rc < 0) {
		r->ioctx = NULL;
		return refuse_pool(r, rc, err);
	}
	if (r->bdev.read_only)
		rc = lib->rbd_open_read_only(r->ioctx, r->image_name, &r->image, NULL);
	else
		rc = lib->rbd_open(r->ioctx, r->image_name, &r->image, NULL);
	if (rc < 0) {
		r->image = NULL;
		return refuse_image(r, rc, err);
	}
	return identify(r, err);
}

int rbd_image_open(struct rbd_bdev *r, struct error *err)
{
	int rc = r->cluster->rados != NULL ? 0 : rbd_cluster_connect(r->cluster, err);

	if (rc == 0)
		rc = open_image(r, err);
	if (rc < 0) {
		(void)rbd_image_close(r);
		return rc;
	}
	if (r->cluster->lib->rbd_update_watch(r->image, &r->watch, image_changed, r) < 0) {
		r->watch = 0;
		log_notice("image \"%s/%s\": a new size of it will not be noticed", r->pool,
			   r->image_name);
	}
	return 0;
}

int rbd_image_close(struct rbd_bdev *r)
{
	const struct rbd_lib *lib = r->cluster->lib;
	int rc = 0;

	/* No image_changed() comes after this. */
	if (r->watch != 0)
		(void)lib->rbd_update_unwatch(r->image, r->watch);
	if (r->image != NULL)
		rc = lib->rbd_close(r->image);
	if (r->ioctx != NULL)
		lib->rados_ioctx_destroy(r->ioctx);
	r->watch = 0;
	r->image = r->ioctx = NULL;
	if (r->cluster->name == NULL)
		rbd_cluster_disconnect(r->cluster);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New volumes: created, snapshots, clones, clones of other bdevs.
 *
 * Each takes its name first, so that nobody else gets it while the blob is made, and appears when
 * all of it is there.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <string.h>

#include "lvol/internal.h"

/* A volume with its name and what its blob is to have. */
static int begin(struct lvol_store *store, const char *name, const struct uuid *uuid,
		 struct lvol **lvol, struct lvol_xattrs *x, struct error *err)
{
	int rc = lvol_check_name(store, name, err);

	if (rc == 0)
		rc = lvol_new(store, name, lvol, err);
	if (rc < 0)
		return rc;
	(*lvol)->uuid = *uuid;
	if (uuid_is_nil(uuid))
		uuid_make(&(*lvol)->uuid);
	lvol_xattrs_fill(x, *lvol);
	return 0;
}

/*
 * @rc: of making the blob @id. A volume that cannot be shown is not left behind, but for a
 * snapshot, which another volume stands on by then: @keep.
 */
static int end(struct lvol *lvol, int rc, uint64_t id, bool keep, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (rc == 0) {
		rc = lvol_attach(lvol, id, err);
		if (rc < 0 && !keep)
			(void)blob_delete(lvol->store->blobs, id, &ignored);
	}
	if (rc < 0)
		lvol_forget(lvol);
	return rc;
}

static const struct uuid any_uuid;

/* --- create ----------------------------------------------------------------------------------- */

static int check_uuid(const struct uuid *uuid, struct error *err)
{
	char text[UUID_TEXT_SIZE];

	if (uuid_is_nil(uuid))
		return 0;
	uuid_to_text(uuid, text);
	if (bdev_find(text) == NULL)
		return 0;
	return error_set(err, -EEXIST, "UUID %s is that of bdev \"%s\" already", text,
			 bdev_name(bdev_find(text)));
}

static int create(struct lvol_store *store, const struct lvol_options *o, struct lvol **out,
		  struct error *err)
{
	struct blob_options opts = { .thin = o->thin, .clear = o->clear };
	struct lvol_xattrs x;
	uint64_t id = 0;
	int rc = lvol_clusters_of(store, o->size, &opts.clusters, err);

	if (rc == 0)
		rc = check_uuid(&o->uuid, err);
	if (rc == 0)
		rc = begin(store, o->name, &o->uuid, out, &x, err);
	if (rc < 0)
		return rc;
	opts.xattrs = x.list;
	opts.xattr_count = 2;
	rc = blob_create(store->blobs, &opts, &id, err);
	return end(*out, rc, id, false, err);
}

int lvol_create(struct lvol_store *store, const struct lvol_options *opts, struct lvol **lvol,
		struct error *err)
{
	int rc = lvol_store_enter_change(store, err);

	if (rc < 0)
		return rc;
	rc = create(store, opts, lvol, err);
	if (rc < 0)
		error_prefix(err, "lvol store \"%s\": ", lvol_store_name(store));
	lvol_store_exit(store);
	return rc;
}

/* --- of another volume ------------------------------------------------------------------------ */

typedef int derive_fn(struct blob *blob, const struct blob_xattr *xattrs, size_t count,
		      uint64_t *id, struct error *err);

static int derive(struct lvol *from, const char *name, derive_fn *fn, bool keep, struct lvol **out,
		  struct error *err)
{
	struct lvol_xattrs x;
	uint64_t id = 0;
	int rc = lvol_enter_change(from, err);

	if (rc < 0)
		return rc;
	rc = begin(from->store, name, &any_uuid, out, &x, err);
	if (rc == 0) {
		rc = fn(from->blob, x.list, 2, &id, err);
		rc = end(*out, rc, id, keep, err);
	}
	if (rc < 0)
		error_prefix(err, "volume \"%s\": ", lvol_name(from));
	lvol_exit(from);
	return rc;
}

int lvol_snapshot(struct lvol *lvol, const char *name, struct lvol **snapshot, struct error *err)
{
	return derive(lvol, name, blob_snapshot, true, snapshot, err);
}

int lvol_clone(struct lvol *snapshot, const char *name, struct lvol **clone, struct error *err)
{
	return derive(snapshot, name, blob_clone, false, clone, err);
}

/* --- of another bdev -------------------------------------------------------------------------- */

static int clone_held(struct lvol_store *store, const struct lvol_esnap_hold *hold,
		      const char *name, struct lvol **out, struct error *err)
{
	const struct bdev *bdev = bdev_of(hold->desc);
	struct blob_options opts = {
		.clusters = bdev_num_blocks(bdev) * bdev_block_size(bdev) /
			    lvol_store_cluster_size(store),
		.thin = true,
		.esnap_id = hold->id,
		.esnap_id_len = sizeof(hold->id),
	};
	struct lvol_xattrs x;
	uint64_t id = 0;
	int rc = begin(store, name, &any_uuid, out, &x, err);

	if (rc < 0)
		return rc;
	opts.xattrs = x.list;
	opts.xattr_count = 2;
	rc = blob_create(store->blobs, &opts, &id, err);
	return end(*out, rc, id, false, err);
}

int lvol_clone_bdev(struct lvol_store *store, const char *bdev, const char *name,
		    struct lvol **clone, struct error *err)
{
	struct lvol_esnap_hold hold;
	int rc = lvol_store_enter_change(store, err);

	if (rc < 0)
		return rc;
	rc = lvol_check_name(store, name, err);
	if (rc == 0)
		rc = lvol_esnap_hold(store, bdev, &hold, err);
	if (rc == 0) {
		rc = clone_held(store, &hold, name, clone, err);
		lvol_esnap_release(&hold);
	}
	lvol_store_exit(store);
	return rc;
}

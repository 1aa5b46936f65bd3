/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a volume: delete, rename, resize, read-only, and what it stands on.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lvol/internal.h"

/* The end of each: words name the volume. */
static int finish(struct lvol *lvol, int rc, struct error *err)
{
	if (rc < 0)
		error_prefix(err, "volume \"%s\": ", lvol_name(lvol));
	lvol_exit(lvol);
	return rc;
}

/* --- delete ----------------------------------------------------------------------------------- */

/* Not deleted after all: it is there as before, if it can be. */
static void restore(struct lvol *lvol)
{
	struct error err = ERROR_INIT;
	int rc = blob_open(lvol->store->blobs, lvol->id, &lvol->blob, &err);

	if (rc == 0)
		rc = lvol_show(lvol, &err);
	lvol_mark(lvol, lvol->blob != NULL, lvol->shown);
	if (rc < 0)
		log_error("volume \"%s\" is not there until its store is loaded again: %s",
			  lvol_name(lvol), err.text);
}

static int delete_entered(struct lvol *lvol, struct error *err)
{
	struct blob_info info;
	int rc = blob_store_check_known(lvol->store->blobs, err);

	if (rc < 0)
		return rc;
	blob_info_get(lvol->blob, &info);
	if (info.children > 1)
		return error_set(err, -EPERM,
				 "it is the snapshot of %" PRIu32
				 " clones; inflate, decouple or delete all but one of them first",
				 info.children);
	lvol_hide(lvol);
	lvol_mark(lvol, false, lvol->shown);
	blob_close(lvol->blob);
	lvol->blob = NULL;
	rc = blob_delete(lvol->store->blobs, lvol->id, err);
	if (rc < 0)
		restore(lvol);
	return rc;
}

int lvol_delete(struct lvol *lvol, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	if (rc < 0)
		return rc;
	rc = delete_entered(lvol, err);
	if (rc < 0)
		return finish(lvol, rc, err);
	lvol_forget(lvol);
	lvol_exit(lvol);
	return 0;
}

/* --- rename ----------------------------------------------------------------------------------- */

static void take_name(struct lvol *lvol, struct lvol_name *name)
{
	char old[LVOL_ALIAS_SIZE], new[LVOL_ALIAS_SIZE];
	struct error err = ERROR_INIT;

	lvol_alias(lvol, lvol_name(lvol), old);
	lvol_alias(lvol, name->text, new);
	lvol_name_give(&lvol->store->names, lvol->name);
	lvol->name = name;
	if (!lvol->shown)
		return;
	(void)bdev_alias_remove(&lvol->bdev, old);
	if (bdev_alias_add(&lvol->bdev, new, &err) < 0)
		log_warning("volume \"%s\" has no alias \"%s\": %s", lvol_name(lvol), new,
			    err.text);
}

static int rename_entered(struct lvol *lvol, const char *text, struct error *err)
{
	struct blob_xattr xattr = { "name", text, (uint16_t)(strlen(text) + 1) };
	struct lvol_store *store = lvol->store;
	struct lvol_name *name;
	struct blob_info info;
	int rc;

	blob_info_get(lvol->blob, &info);
	if (info.read_only)
		return error_set(err, -EPERM,
				 "it is read-only, as snapshots are, and cannot be renamed");
	rc = lvol_check_name(store, text, err);
	if (rc == 0 && (rc = lvol_name_take(&store->names, text, lvol, &name)) < 0)
		error_set(err, rc, "no memory for a name");
	if (rc < 0)
		return rc;
	rc = blob_xattr_set(lvol->blob, &xattr, 1, err);
	if (rc == 0)
		take_name(lvol, name);
	else
		lvol_name_give(&store->names, name);
	return rc;
}

int lvol_rename(struct lvol *lvol, const char *name, struct error *err)
{
	struct lvol_store *store = lvol->store;
	int rc = lvol_store_enter(store, err);

	if (rc < 0)
		return rc;
	lvol->refs++;
	fiber_lock(&store->naming);
	rc = lvol_enter_change(lvol, err);
	if (rc == 0)
		rc = finish(lvol, rename_entered(lvol, name, err), err);
	fiber_unlock(&store->naming);
	lvol_unref(lvol);
	lvol_store_exit(store);
	return rc;
}

/* --- resize ----------------------------------------------------------------------------------- */

static int grow(struct lvol *lvol, uint64_t clusters, uint64_t blocks, struct error *err)
{
	int rc = blob_resize(lvol->blob, clusters, err);

	if (rc == 0 && lvol->shown)
		rc = bdev_resize(&lvol->bdev, blocks, err);
	return rc;
}

/* The bdev first: it refuses while somebody has it open, and nothing was changed then. */
static int shrink(struct lvol *lvol, uint64_t clusters, uint64_t blocks, struct error *err)
{
	uint64_t before = bdev_num_blocks(&lvol->bdev);
	struct error ignored = ERROR_INIT;
	int rc = lvol->shown ? bdev_resize(&lvol->bdev, blocks, err) : 0;

	if (rc < 0)
		return rc;
	rc = blob_resize(lvol->blob, clusters, err);
	if (rc < 0 && lvol->shown)
		(void)bdev_resize(&lvol->bdev, before, &ignored);
	return rc;
}

static int resize_entered(struct lvol *lvol, uint64_t size, struct error *err)
{
	struct blob_store_info store;
	struct blob_info info;
	uint64_t clusters, blocks;
	int rc = lvol_clusters_of(lvol->store, size, &clusters, err);

	if (rc < 0)
		return rc;
	blob_info_get(lvol->blob, &info);
	blob_store_info_get(lvol->store->blobs, &store);
	if (info.read_only)
		return error_set(err, -EPERM, "it is read-only and keeps its size");
	blocks = clusters * (store.cluster_size / store.io_unit_size);
	return clusters < info.clusters ? shrink(lvol, clusters, blocks, err)
					: grow(lvol, clusters, blocks, err);
}

int lvol_resize(struct lvol *lvol, uint64_t size, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	return rc < 0 ? rc : finish(lvol, resize_entered(lvol, size, err), err);
}

/* --- read-only -------------------------------------------------------------------------------- */

static int read_only_entered(struct lvol *lvol, struct error *err)
{
	struct blob_info info;
	int rc;

	blob_info_get(lvol->blob, &info);
	if (info.read_only)
		return 0;
	rc = blob_set_read_only(lvol->blob, err);
	/* Channels that are open get the refusal from the blob itself. */
	if (rc == 0)
		__atomic_store_n(&lvol->bdev.read_only, true, __ATOMIC_RELAXED);
	return rc;
}

int lvol_set_read_only(struct lvol *lvol, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	return rc < 0 ? rc : finish(lvol, read_only_entered(lvol, err), err);
}

/* --- what it stands on ------------------------------------------------------------------------ */

/* With another parent, or none, a degraded volume may be whole again. */
static int stands_anew(struct lvol *lvol, int rc, struct error *err)
{
	return rc == 0 ? lvol_show(lvol, err) : rc;
}

int lvol_inflate(struct lvol *lvol, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	if (rc < 0)
		return rc;
	rc = blob_inflate(lvol->blob, err);
	return finish(lvol, stands_anew(lvol, rc, err), err);
}

int lvol_decouple(struct lvol *lvol, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	if (rc < 0)
		return rc;
	rc = blob_decouple(lvol->blob, err);
	return finish(lvol, stands_anew(lvol, rc, err), err);
}

/* Both are held, the one with the lower blob id first, so that no two fibers wait in a circle. */
static int enter_both(struct lvol *a, struct lvol *b, struct error *err)
{
	struct lvol *first = a->id < b->id ? a : b, *second = first == a ? b : a;
	int rc;

	/* The second must still be there when the first one's turn has come. */
	second->refs++;
	rc = lvol_enter_change(first, err);
	if (rc == 0) {
		rc = lvol_enter_change(second, err);
		if (rc < 0)
			lvol_exit(first);
	}
	lvol_unref(second);
	return rc;
}

int lvol_set_parent(struct lvol *lvol, struct lvol *parent, struct error *err)
{
	int rc;

	if (lvol == parent || lvol->store != parent->store)
		return error_set(err, -EINVAL,
				 "volume \"%s\": its parent must be another volume of the store "
				 "\"%s\", not \"%s\" of \"%s\"",
				 lvol_name(lvol), lvol_store_name(lvol->store), lvol_name(parent),
				 lvol_store_name(parent->store));
	rc = enter_both(lvol, parent, err);
	if (rc < 0)
		return rc;
	rc = blob_set_parent(lvol->blob, parent->blob, err);
	rc = finish(lvol, stands_anew(lvol, rc, err), err);
	lvol_exit(parent);
	return rc;
}

static int set_parent_bdev_entered(struct lvol *lvol, const char *bdev, struct error *err)
{
	struct lvol_esnap_hold hold;
	int rc = lvol_esnap_hold(lvol->store, bdev, &hold, err);

	if (rc < 0)
		return rc;
	rc = blob_set_esnap_parent(lvol->blob, hold.id, sizeof(hold.id), err);
	lvol_esnap_release(&hold);
	return stands_anew(lvol, rc, err);
}

int lvol_set_parent_bdev(struct lvol *lvol, const char *bdev, struct error *err)
{
	int rc = lvol_enter_change(lvol, err);

	return rc < 0 ? rc : finish(lvol, set_parent_bdev_entered(lvol, bdev, err), err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: create, delete, rename, grow.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "lvol/internal.h"

#define CLUSTER_SIZE_DEFAULT (4u * 1024 * 1024)
#define RATIO_DEFAULT	     100u

/* --- create ----------------------------------------------------------------------------------- */

static uint32_t cluster_size_of(const struct lvol_store_options *opts)
{
	return opts->cluster_size == 0 ? CLUSTER_SIZE_DEFAULT : opts->cluster_size;
}

static int check_sizes(const struct bdev *bdev, const struct lvol_store_options *opts,
		       struct error *err)
{
	uint32_t block = bdev_block_size(bdev), page = opts->md_page_size;

	if (cluster_size_of(opts) % block != 0)
		return error_set(err, -EINVAL,
				 "cluster size %" PRIu32 ": a multiple of %" PRIu32
				 ", the block size of bdev \"%s\", is needed",
				 cluster_size_of(opts), block, bdev_name(bdev));
	if (page != 0 &&
	    (page < BLOB_PAGE_BYTES || page > BLOB_PAGE_BYTES_MAX || !is_power_of_two(page)))
		return error_set(err, -EINVAL,
				 "metadata page size %" PRIu32
				 ": 0 (the default) or a power of two from %u to %u is needed",
				 page, BLOB_PAGE_BYTES, BLOB_PAGE_BYTES_MAX);
	return 0;
}

static int check_claim(const char *base, struct error *err)
{
	struct bdev_desc *desc;
	int rc = bdev_open(base, false, NULL, NULL, &desc, err);

	if (rc < 0)
		return rc;
	rc = bdev_claim(desc, &lvol_module, err);
	bdev_close(desc);
	return rc;
}

int lvol_store_check(const char *base, const struct lvol_store_options *opts, struct error *err)
{
	const struct bdev *bdev = bdev_find(base);
	int rc = lvol_name_check_text("store", opts->name, err);

	if (rc < 0)
		return rc;
	if (bdev == NULL)
		return error_set(err, -ENODEV, "there is no bdev with name, alias or UUID \"%s\"",
				 base);
	if (bdev->read_only)
		return error_set(err, -EROFS,
				 "bdev \"%s\" is read-only: no lvol store can be made on it",
				 bdev_name(bdev));
	rc = check_sizes(bdev, opts, err);
	if (rc == 0)
		rc = check_claim(base, err);
	if (rc < 0)
		return rc;
	if (lvol_name_owner(&lvol_store_names, opts->name) != NULL)
		return error_set(err, -EEXIST, "there is an lvol store \"%s\" already", opts->name);
	return 0;
}

/* Metadata pages, as SPDK counts them: so many for a hundred clusters. */
static int count_pages(const struct bdev *bdev, const struct lvol_store_options *opts,
		       uint32_t *pages, struct error *err)
{
	uint32_t ratio = opts->md_pages_per_cluster_ratio;
	uint64_t clusters = bdev_num_blocks(bdev) * bdev_block_size(bdev) / cluster_size_of(opts);
	uint64_t product = 0;

	if (ratio == 0)
		ratio = RATIO_DEFAULT;
	if (!checked_mul_u64(clusters, ratio, &product) || product / 100 > UINT32_MAX ||
	    product < 100)
		return error_set(err, -EINVAL,
				 "%" PRIu64 " clusters of %" PRIu32 " bytes with %" PRIu32
				 " metadata pages for 100 of them: that is no page at all, or more "
				 "than 2^32 - 1",
				 clusters, cluster_size_of(opts), ratio);
	*pages = (uint32_t)(product / 100);
	return 0;
}

static int make_super(struct lvol_store *store, struct error *err)
{
	const char *name = lvol_store_name(store);
	char uuid[UUID_TEXT_SIZE];
	struct blob_xattr xattrs[] = {
		{ "uuid", uuid, sizeof(uuid) },
		{ "name", name, (uint16_t)(strlen(name) + 1) },
	};
	struct blob_options opts = { .xattrs = xattrs, .xattr_count = 2 };
	uint64_t id;
	int rc;

	uuid_make(&store->uuid);
	uuid_to_text(&store->uuid, uuid);
	rc = blob_create(store->blobs, &opts, &id, err);
	if (rc == 0)
		rc = blob_store_set_super(store->blobs, id, err);
	if (rc == 0)
		rc = blob_open(store->blobs, id, &store->super, err);
	return rc;
}

/*
 * Order: an empty Blobstore => root blob with UUID and name => super block that names it.
 * A cut before the last leaves a Blobstore that no lvol store is found on.
 */
static int make(struct lvol_store *store, const struct lvol_store_options *o, struct error *err)
{
	struct blob_store_options opts;
	int rc = lvol_store_name_set(store, o->name, err);

	if (rc < 0)
		return rc;
	lvol_store_blob_options(store, &opts);
	opts.cluster_size = cluster_size_of(o);
	opts.md_page_size = o->md_page_size;
	opts.clear = o->clear;
	rc = count_pages(bdev_of(store->base), o, &opts.md_pages, err);
	if (rc == 0)
		rc = blob_store_init(store->base, &opts, &store->blobs, err);
	return rc == 0 ? make_super(store, err) : rc;
}

int lvol_store_create(const char *base, const struct lvol_store_options *opts,
		      struct lvol_store **out, struct error *err)
{
	struct lvol_store *store;
	int rc = lvol_store_check(base, opts, err);

	if (rc == 0)
		rc = lvol_store_new(base, &store, err);
	if (rc < 0)
		return rc;
	rc = make(store, opts, err);
	if (rc < 0) {
		lvol_store_drop(store);
		return rc;
	}
	lvol_store_appear(store);
	*out = store;
	return 0;
}

/* --- delete ----------------------------------------------------------------------------------- */

/* The youngest volume without clones: there is one as long as there are volumes. */
static struct lvol *find_deletable(struct lvol_store *store)
{
	struct lvol *lvol;

	TAILQ_FOREACH_REVERSE(lvol, &store->lvols, lvol_list, link)
	{
		struct blob_info info;

		if (lvol->blob == NULL)
			continue;
		blob_info_get(lvol->blob, &info);
		if (info.children == 0)
			return lvol;
	}
	return NULL;
}

/* Volumes that cannot be deleted, because a clone is damaged, go with the store. */
static void delete_volumes(struct lvol_store *store)
{
	struct error err = ERROR_INIT;
	struct lvol *lvol;

	while ((lvol = find_deletable(store)) != NULL) {
		blob_close(lvol->blob);
		lvol->blob = NULL;
		if (blob_delete(store->blobs, lvol->id, &err) < 0)
			log_warning("lvol store \"%s\": volume \"%s\" goes with the store: %s",
				    lvol_store_name(store), lvol_name(lvol), err.text);
		lvol_forget(lvol);
	}
	lvol_store_close_blobs(store);
}

/*
 * Order: volumes, those without clones first => super block is zeroes.
 * A cut before the last leaves a store with fewer volumes. Their clusters are cleared as each asked
 * for.
 */
int lvol_store_delete(struct lvol_store *store, struct error *err)
{
	struct blob_store *blobs = store->blobs;
	int rc = lvol_store_check_change(store, err);

	if (rc == 0)
		rc = lvol_store_leave(store, err);
	if (rc < 0)
		return rc;
	lvol_hide_all(store);
	delete_volumes(store);
	rc = blob_store_destroy(blobs, err);
	if (rc < 0)
		/* What is left of it is unloaded as well as it can be. */
		(void)blob_store_unload(blobs, NULL);
	store->blobs = NULL;
	lvol_store_free(store);
	return rc;
}

/* --- rename ----------------------------------------------------------------------------------- */

/* Fiber-wise at once: nobody sees some of the aliases changed and others not. */
static void take_name(struct lvol_store *store, struct lvol_name *name)
{
	char alias[LVOL_ALIAS_SIZE];
	struct lvol_name *old = store->name;
	struct error err = ERROR_INIT;

	for (struct lvol *l = lvol_first(store); l != NULL; l = lvol_next(l)) {
		lvol_alias(l, lvol_name(l), alias);
		if (l->shown)
			(void)bdev_alias_remove(&l->bdev, alias);
	}
	store->name = name;
	lvol_name_give(&lvol_store_names, old);
	for (struct lvol *l = lvol_first(store); l != NULL; l = lvol_next(l)) {
		lvol_alias(l, lvol_name(l), alias);
		if (l->shown && bdev_alias_add(&l->bdev, alias, &err) < 0)
			log_warning("volume \"%s\" has no alias \"%s\": %s", lvol_name(l), alias,
				    err.text);
	}
}

static int rename_locked(struct lvol_store *store, const char *text, struct error *err)
{
	struct blob_xattr xattr = { "name", text, (uint16_t)(strlen(text) + 1) };
	struct lvol_name *name;
	int rc;

	if (strcmp(text, store->name->text) == 0)
		return 0;
	rc = lvol_name_take(&lvol_store_names, text, store, &name);
	if (rc == -EEXIST)
		return error_set(err, rc, "there is an lvol store \"%s\" already", text);
	if (rc < 0)
		return error_set(err, rc, "no memory for a name");
	rc = blob_xattr_set(store->super, &xattr, 1, err);
	if (rc == 0)
		take_name(store, name);
	else
		lvol_name_give(&lvol_store_names, name);
	return rc;
}

int lvol_store_rename(struct lvol_store *store, const char *name, struct error *err)
{
	int rc = lvol_name_check_text("store", name, err);

	if (rc == 0)
		rc = lvol_store_enter_change(store, err);
	if (rc < 0)
		return rc;
	fiber_lock(&store->naming);
	rc = rename_locked(store, name, err);
	fiber_unlock(&store->naming);
	lvol_store_exit(store);
	return rc;
}

/* --- grow ------------------------------------------------------------------------------------- */

int lvol_store_grow(struct lvol_store *store, struct error *err)
{
	int rc = lvol_store_enter_change(store, err);

	if (rc < 0)
		return rc;
	rc = blob_store_grow(store->blobs, err);
	lvol_store_exit(store);
	return rc;
}

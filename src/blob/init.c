/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a store on a device, and unmaking it.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

static int plan(struct blob_store *store, const struct blob_store_options *opts, struct error *err)
{
	const struct bdev *bdev = store->bdev;
	struct blob_geometry *geo = &store->geo;
	uint32_t page = opts->md_page_size;

	if (page == 0)
		page = bdev->physical_block_size > BLOB_PAGE_BYTES ? bdev->physical_block_size
								   : BLOB_PAGE_BYTES;
	*geo = (struct blob_geometry){
		.super_blob = BLOB_ID_NONE,
		.cluster_size = opts->cluster_size,
		.page_size = page,
		.io_unit_size = store->block_size,
		.md.len = opts->md_pages,
	};
	memcpy(geo->bstype, opts->bstype, sizeof(geo->bstype));
	return blob_layout_plan(bdev_num_blocks(bdev) * store->block_size, geo, err);
}

static int zero_super(struct blob_store *store)
{
	memset(store->super, 0, BLOB_PAGE_BYTES);
	int rc = md_write(store, store->super, 0, BLOB_PAGE_BYTES);

	return rc == 0 ? md_flush(store) : rc;
}

static void clear_data(struct md_batch *batch, enum blob_clear clear, uint64_t from)
{
	struct blob_store *store = batch->store;
	uint64_t end = bdev_num_blocks(store->bdev);
	struct md_slot *slot;

	if (from >= end || clear == BLOB_CLEAR_NONE)
		return;
	if (clear != BLOB_CLEAR_WRITE_ZEROES && !bdev_supports(store->bdev, BDEV_IO_UNMAP))
		return;
	slot = md_batch_slot(batch, NULL);
	if (clear == BLOB_CLEAR_WRITE_ZEROES)
		bdev_write_zeroes(store->md, &slot->io, from, end - from, 0);
	else
		bdev_unmap(store->md, &slot->io, from, end - from);
}

static int clear_device(struct blob_store *store, enum blob_clear clear)
{
	uint64_t end = blob_page_offset(&store->geo, store->geo.md.len) / store->block_size;
	struct md_batch *batch = md_batch_begin(store);
	int rc;

	if (batch == NULL)
		return -ENOMEM;
	md_batch_zero(batch, 0, end, NULL);
	clear_data(batch, clear, end);
	rc = md_batch_end(batch);
	return rc == 0 ? md_flush(store) : rc;
}

static void note_zeroed(struct blob_store *store, enum blob_clear clear)
{
	bool zeroed = clear == BLOB_CLEAR_WRITE_ZEROES ||
		      (clear != BLOB_CLEAR_NONE && store->unmap_zeroes);

	for (uint32_t i = store->geo.md_clusters; zeroed && i < store->geo.total_clusters; i++)
		bit_array_set(store->zeroed, i);
}

/*
 * Order: the old super block is zeroes => metadata region is zeroes, data region is cleared
 *   => super block, clean=0.
 * A cut before the last leaves a device without a store; behind it an empty, dirty one.
 */
static int write_store(struct blob_store *store, enum blob_clear clear, struct error *err)
{
	int rc = zero_super(store);

	if (rc == 0)
		rc = clear_device(store, clear);
	if (rc < 0)
		return error_set(err, rc, "the device could not be cleared: %s",
				 error_errno_text(rc));
	note_zeroed(store, clear);
	blob_super_build(&store->geo, store->super);
	return super_write(store, err);
}

int blob_store_init(struct bdev_desc *desc, const struct blob_store_options *opts,
		    struct blob_store **out, struct error *err)
{
	struct blob_store *store;
	int rc = blob_store_create(desc, opts, &store, err);

	if (rc < 0)
		return rc;
	rc = plan(store, opts, err);
	if (rc == 0)
		rc = blob_store_size(store, err);
	if (rc == 0)
		rc = write_store(store, opts->clear, err);
	if (rc < 0) {
		error_prefix(err, "bdev \"%s\": ", bdev_name(store->bdev));
		blob_store_free(store);
		return rc;
	}
	*out = store;
	return 0;
}

/* Order: super block is zeroes. Nothing else refers to what is on the device. */
int blob_store_destroy(struct blob_store *store, struct error *err)
{
	int rc = blob_store_check_idle(store, err);

	if (rc == 0)
		rc = blob_check_writable(store, err);
	if (rc < 0)
		return rc;
	rc = zero_super(store);
	if (rc < 0)
		return error_set(err, rc, "bdev \"%s\": the super block could not be zeroed: %s",
				 bdev_name(store->bdev), error_errno_text(rc));
	blob_store_free(store);
	return 0;
}

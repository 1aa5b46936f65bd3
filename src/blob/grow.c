/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that takes the space of a device that has grown (format page, section 18).
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>

#include "blob/internal.h"

static int grow_bits(struct blob_store *store, uint32_t clusters, struct error *err)
{
	if (bit_array_resize(&store->clusters, clusters) < 0 ||
	    bit_array_resize(&store->zeroed, clusters) < 0)
		return error_set(err, -ENOMEM, "no memory for the masks of the larger store");
	return 0;
}

/*
 * Order: super block with the new size and clean=0.
 * One write is all: behind it the store is dirty, and recovery sizes everything by the super block.
 */
int blob_store_grow(struct blob_store *store, struct error *err)
{
	uint64_t bytes = bdev_num_blocks(store->bdev) * store->block_size;
	struct blob_geometry before, after;
	int rc = blob_check_writable(store, err);

	if (rc < 0)
		return rc;
	fiber_lock(&store->super_lock);
	before = after = store->geo;
	rc = bytes == before.size ? 0 : blob_layout_grow(bytes, &after, err);
	if (rc < 0 || bytes == before.size)
		goto out;
	rc = grow_bits(store, after.total_clusters, err);
	if (rc < 0)
		goto out;
	after.clean = false;
	store->geo = after;
	rc = super_write(store, err);
	if (rc < 0)
		store->geo = before;
out:
	fiber_unlock(&store->super_lock);
	return rc;
}

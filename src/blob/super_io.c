/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The super block on the device: dirty before the first change, clean after the last.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <string.h>

#include "blob/internal.h"

/* One write of one page, durable when this returns: each caller's arrow. */
int super_write(struct blob_store *store, struct error *err)
{
	int rc;

	blob_super_update(&store->geo, store->super);
	rc = md_write(store, store->super, 0, BLOB_PAGE_BYTES);
	if (rc == 0)
		rc = md_flush(store);
	if (rc < 0) {
		store->suspect = true;
		return error_set(err, rc, "bdev \"%s\": the super block could not be written: %s",
				 bdev_name(store->bdev), error_errno_text(rc));
	}
	store->dirty = !store->geo.clean;
	return 0;
}

/*
 * Order: super block, clean=0 => any change of metadata.
 * A cut before it leaves a clean store; one behind it a store that is recovered from its pages,
 * with the same content. Without it the masks of the last unload would be believed.
 */
int blob_store_mark_dirty(struct blob_store *store, struct error *err)
{
	int rc = 0;

	if (store->dirty)
		return 0;
	fiber_lock(&store->super_lock);
	if (!store->dirty) {
		store->geo.clean = false;
		rc = super_write(store, err);
	}
	fiber_unlock(&store->super_lock);
	return rc;
}

int blob_store_set_super(struct blob_store *store, uint64_t id, struct error *err)
{
	uint64_t before = store->geo.super_blob;
	int rc = blob_check_writable(store, err);

	if (rc < 0)
		return rc;
	fiber_lock(&store->super_lock);
	store->geo.super_blob = id;
	store->geo.clean = false;
	rc = super_write(store, err);
	if (rc < 0)
		store->geo.super_blob = before;
	fiber_unlock(&store->super_lock);
	return rc;
}

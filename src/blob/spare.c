/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of root pages, for devices that may tear the page.
 *
 * A root that says all in its first sector can be torn only into one state or the other under a
 * wrong checksum. A longer one is written to a free page first (sync.c); when the root is found
 * torn after a cut, the copy takes its place. SPDK passes over it, since its id is not that of its
 * place.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

/* The copy of root page @root, if there is one and no other. */
static const struct blob_scan_spare *copy_of(const struct blob_scan *scan, uint32_t root)
{
	uint32_t low = 0, high = scan->spare_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (scan->spares[middle].root < root)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == scan->spare_count || scan->spares[low].root != root ||
	    (low + 1 < scan->spare_count && scan->spares[low + 1].root == root))
		return NULL;
	return &scan->spares[low];
}

/* Order: (dirty mark) => the root page. The copy stays until that is durable. */
static int put_in_place(struct blob_store *store, const void *page, uint32_t index,
			struct error *err)
{
	int rc = blob_store_mark_dirty(store, err);

	if (rc < 0)
		return rc;
	rc = md_write_page(store, page, index);
	if (rc == 0)
		rc = md_flush(store);
	return rc < 0 ? error_set(err, rc, "root page %" PRIu32 ": %s", index, error_errno_text(rc))
		      : 0;
}

static int mend(struct blob_store *store, struct blob_scan_root *root, uint8_t *page,
		const struct blob_scan_spare *spare, struct error *err)
{
	uint32_t of;
	int rc = md_read_page(store, page, spare->page);

	if (rc < 0)
		return error_set(err, rc, "page %" PRIu32 ": %s", spare->page,
				 error_errno_text(rc));
	if (!blob_page_is_spare(page, spare->page, &of) || of != root->page)
		return 0;
	if (!store->read_only)
		rc = put_in_place(store, page, root->page, err);
	if (rc < 0)
		return rc;
	log_notice("bdev \"%s\": root page %" PRIu32 " was torn; its copy in page %" PRIu32
		   " takes its place",
		   bdev_name(store->bdev), root->page, spare->page);
	return blob_scan_root_parse(root, page, &store->geo);
}

int blob_spares_mend(struct blob_store *store, struct blob_scan *scan, struct error *err)
{
	uint8_t *page = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);
	int rc = page == NULL ? error_set(err, -ENOMEM, "no memory for a page") : 0;

	for (uint32_t i = 0; i < scan->root_count && scan->spare_count > 0 && rc == 0; i++) {
		struct blob_scan_root *root = &scan->roots[i];
		const struct blob_scan_spare *spare = root->torn ? copy_of(scan, root->page) : NULL;

		if (spare != NULL)
			rc = mend(store, root, page, spare, err);
	}
	free(page);
	return rc;
}

/* A copy left behind would be taken for newer than what others write to the root later. */
void blob_spares_erase(struct blob_store *store, const struct blob_scan_spare *spares,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count && !blob_store_is_fixed(store); i++) {
		if (!bit_array_get(store->pages, spares[i].page) &&
		    blob_store_mark_dirty(store, NULL) == 0)
			blob_pages_erase(store, &spares[i].page, 1);
	}
}

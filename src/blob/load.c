/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a store, clean or after a power cut, and unloading it.
 *
 * Both kinds of load are the same way: read the metadata once, take the blobs from it, put right
 * what a cut left half-way, count who owns what. A clean store tells in its masks what to read; one
 * to be recovered is read whole, and its masks are what the blobs own.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"
#include "blob/mask.h"

/* --- the super block -------------------------------------------------------------------------- */

static int check_device(const struct blob_store *store, struct error *err)
{
	uint64_t bytes = bdev_num_blocks(store->bdev) * store->block_size;

	if (store->block_size > BLOB_BLOCK_BYTES_MAX || BLOB_PAGE_BYTES % store->block_size != 0)
		return error_set(err, -EINVAL,
				 "blocks of %" PRIu32 " bytes; a store needs a divisor of %u",
				 store->block_size, BLOB_PAGE_BYTES);
	if (bytes < BLOB_PAGE_BYTES)
		return error_set(err, -EILSEQ, "%" PRIu64 " bytes are less than a super block",
				 bytes);
	return 0;
}

/* SPDK hangs, or answers errors, where the units of a store are not the blocks of the device. */
static int check_unit(const struct blob_store *store, struct error *err)
{
	const uint8_t *field = store->super + offsetof(struct blob_disk_super, io_unit_size);
	uint32_t unit = store->geo.io_unit_size;

	if (unit == store->block_size)
		return 0;
	/* Images that do not say had 4096, whatever the device; smaller blocks carry that. */
	if (memcmp(field, "\0\0\0\0", 4) == 0 && unit % store->block_size == 0)
		return 0;
	return error_set(err, -EINVAL,
			 "the store was made with blocks of %" PRIu32
			 " bytes, the device has %" PRIu32 "; attach it with %" PRIu32,
			 unit, store->block_size, unit);
}

static int read_super(struct blob_store *store, const struct blob_store_options *opts,
		      struct error *err)
{
	uint64_t bytes = bdev_num_blocks(store->bdev) * store->block_size;
	int rc = check_device(store, err);
	bool torn;

	if (rc < 0)
		return rc;
	rc = md_read(store, store->super, 0, BLOB_PAGE_BYTES);
	if (rc < 0)
		return error_set(err, rc, "super block: %s", error_errno_text(rc));
	torn = blob_super_mend(store->super);
	rc = blob_super_parse(store->super, bytes, &store->geo, err);
	if (rc == 0)
		rc = blob_super_check_type(&store->geo, opts->bstype, err);
	if (rc == 0)
		rc = check_unit(store, err);
	store->was_clean = store->geo.clean;
	/* One that was torn is written anew before the first change. */
	store->dirty = !store->geo.clean && !torn;
	if (rc == 0 && torn)
		log_warning("bdev \"%s\": the super block was torn between clean and dirty",
			    bdev_name(store->bdev));
	return rc;
}

/* --- masks ------------------------------------------------------------------------------------ */

/* In pieces that any module takes. */
#define MASK_IO_BYTES (1024u * 1024)

static int mask_io(struct blob_store *store, const struct blob_region *region, uint8_t *buffer,
		   bool write)
{
	uint64_t bytes = (uint64_t)region->len * store->geo.page_size, done = 0;
	uint64_t base = (uint64_t)region->start * store->geo.page_size;
	int rc = 0;

	while (done < bytes && rc == 0) {
		size_t len = bytes - done < MASK_IO_BYTES ? (size_t)(bytes - done) : MASK_IO_BYTES;

		rc = write ? md_write(store, buffer + done, base + done, len)
			   : md_read(store, buffer + done, base + done, len);
		done += len;
	}
	return rc;
}

static uint8_t *mask_buffer(const struct blob_store *store, const struct blob_region *region,
			    size_t *len)
{
	*len = (size_t)region->len * store->geo.page_size;
	return aligned_alloc(BLOB_PAGE_BYTES, *len);
}

/* What a mask needs of its region; a region can be far longer, in an image that means harm. */
static struct blob_region mask_region(const struct blob_store *store,
				      const struct blob_region *region, uint32_t bits)
{
	uint64_t need = blob_mask_pages(bits, store->geo.page_size);

	return (struct blob_region){ region->start, (uint32_t)need };
}

static int mask_read(struct blob_store *store, const struct blob_region *whole, const char *name,
		     enum blob_disk_mask_type type, struct bit_array *to, struct error *err)
{
	struct blob_region region = mask_region(store, whole, (uint32_t)bit_array_size(to));
	size_t len;
	uint8_t *buffer = mask_buffer(store, &region, &len);
	int rc;

	if (buffer == NULL)
		return error_set(err, -ENOMEM, "no memory for the %s mask", name);
	rc = mask_io(store, &region, buffer, false);
	if (rc < 0)
		error_set(err, rc, "%s mask: %s", name, error_errno_text(rc));
	else if ((rc = blob_mask_parse(buffer, len, type, to, err)) < 0)
		error_prefix(err, "%s mask: ", name);
	free(buffer);
	return rc;
}

static int mask_write(struct blob_store *store, const struct blob_region *region,
		      enum blob_disk_mask_type type, const struct bit_array *from)
{
	size_t len;
	uint8_t *buffer = mask_buffer(store, region, &len);
	int rc;

	if (buffer == NULL)
		return -ENOMEM;
	blob_mask_build(buffer, len, type, from);
	rc = mask_io(store, region, buffer, true);
	free(buffer);
	return rc;
}

static int read_masks(struct blob_store *store, struct bit_array *ids, struct error *err)
{
	const struct blob_geometry *geo = &store->geo;
	int rc = mask_read(store, &geo->pages, "used page", BLOB_MASK_PAGES, store->pages, err);

	if (rc == 0)
		rc = mask_read(store, &geo->clusters, "used cluster", BLOB_MASK_CLUSTERS,
			       store->clusters, err);
	if (rc == 0)
		rc = mask_read(store, &geo->ids, "used blob id", BLOB_MASK_BLOBIDS, ids, err);
	return rc;
}

/* --- the blobs -------------------------------------------------------------------------------- */

static void masks_forget(struct blob_store *store)
{
	for (uint64_t i = 0; (i = bit_array_find_set(store->pages, i)) != UINT64_MAX; i++)
		bit_array_clear(store->pages, i);
	for (uint64_t i = store->geo.md_clusters;
	     (i = bit_array_find_set(store->clusters, i)) != UINT64_MAX; i++)
		bit_array_clear(store->clusters, i);
}

/* Roots that the mask of a clean store does not have are no blobs: SPDK does not see them. */
static void keep_roots_of_mask(struct blob_scan *scan, const struct bit_array *ids)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < scan->root_count; i++) {
		struct blob_scan_root *root = &scan->roots[i];

		if (bit_array_get(ids, root->page)) {
			scan->roots[kept++] = *root;
		} else {
			blob_content_free(&root->content);
			free(root->text);
		}
	}
	scan->root_count = kept;
}

static int scan_clean(struct blob_store *store, struct blob_scan *scan, const struct bit_array *ids,
		      struct error *err)
{
	int rc;

	for (uint64_t i = bit_array_find_set(ids, 0); i != UINT64_MAX;
	     i = bit_array_find_set(ids, i + 1))
		bit_array_set(store->pages, i);
	rc = blob_scan_run(store, store->pages, scan, err);
	if (rc < 0)
		return rc;
	keep_roots_of_mask(scan, ids);
	if (bit_array_count_set(ids) > scan->root_count)
		log_warning("bdev \"%s\": %" PRIu64 " ids of the blob id mask have no blob",
			    bdev_name(store->bdev), bit_array_count_set(ids) - scan->root_count);
	return 0;
}

/* The masks of a clean store, when they can be believed. */
static bool masks_usable(struct blob_store *store, struct bit_array *ids)
{
	struct error err = ERROR_INIT;

	if (!store->geo.clean || store->geo.ids.len == 0)
		return false;
	if (read_masks(store, ids, &err) == 0)
		return true;
	log_warning("bdev \"%s\": %s; the store is recovered from its pages",
		    bdev_name(store->bdev), err.text);
	masks_forget(store);
	return false;
}

static int scan(struct blob_store *store, struct blob_scan *found, struct error *err)
{
	struct bit_array *ids = bit_array_create(store->geo.md.len);
	int rc;

	if (ids == NULL)
		return error_set(err, -ENOMEM, "no memory for the blob id mask");
	if (masks_usable(store, ids)) {
		rc = scan_clean(store, found, ids, err);
	} else {
		log_notice("bdev \"%s\": recovering the store from its metadata pages",
			   bdev_name(store->bdev));
		store->was_recovered = true;
		rc = blob_scan_run(store, NULL, found, err);
		if (rc == 0)
			rc = blob_spares_mend(store, found, err);
	}
	bit_array_destroy(ids);
	return rc;
}

/*
 * Recovery counts what is in use by what the blobs say. One that cannot be read, whose pages a cut
 * may have torn, would seem to have nothing: its clusters would be another's before it is mended.
 * The masks of a clean store have what it has.
 */
static int note_unknown(struct blob_store *store, struct error *err)
{
	const struct blob *b = blob_next(store, 0);
	struct error why = ERROR_INIT;

	while (b != NULL && b->damage == NULL)
		b = blob_next(store, b->id + 1);
	if (b == NULL || !store->was_recovered)
		return 0;
	if (asprintf(&store->unknown, "blob 0x%" PRIx64 ", %s", b->id, b->damage->text) < 0) {
		store->unknown = NULL;
		return error_set(err, -ENOMEM, "no memory");
	}
	(void)blob_store_check_known(store, &why);
	log_error("%s", why.text);
	return 0;
}

static int load_blobs(struct blob_store *store, struct error *err)
{
	struct blob_scan found = { 0 };
	int rc = scan(store, &found, err);
	struct blob_scan_spare *spares = found.spares;
	uint32_t spare_count = found.spare_count;

	if (rc == 0)
		rc = blob_attach_all(store, &found, err);
	found.spares = NULL;
	blob_scan_free(&found);
	if (rc == 0)
		rc = note_unknown(store, err);
	if (rc == 0) {
		blob_claim_pages(store);
		rc = blob_fixup_all(store, err);
	}
	if (rc == 0)
		rc = blob_claim_all(store, err);
	if (rc == 0)
		rc = blob_link_all(store, err);
	if (rc == 0)
		blob_spares_erase(store, spares, spare_count);
	free(spares);
	return rc;
}

int blob_store_load(struct bdev_desc *desc, const struct blob_store_options *opts,
		    struct blob_store **out, struct error *err)
{
	struct blob_store *store;
	int rc = blob_store_create(desc, opts, &store, err);

	if (rc < 0)
		return rc;
	rc = read_super(store, opts, err);
	if (rc == 0)
		rc = blob_store_size(store, err);
	if (rc == 0)
		rc = load_blobs(store, err);
	if (rc == 0 && opts->grow && !opts->read_only)
		rc = blob_store_grow(store, err);
	if (rc < 0) {
		error_prefix(err, "bdev \"%s\": ", bdev_name(store->bdev));
		blob_store_free(store);
		return rc;
	}
	*out = store;
	return 0;
}

/* --- unload ----------------------------------------------------------------------------------- */

int blob_store_check_idle(struct blob_store *store, struct error *err)
{
	for (struct blob *b = blob_next(store, 0); b != NULL; b = blob_next(store, b->id + 1)) {
		if (b->refs > 0)
			return error_set(err, -EBUSY, "blob 0x%" PRIx64 " is open; close it first",
					 b->id);
	}
	if (store->changes > 0)
		return error_set(err, -EBUSY, "%" PRIu32 " changes of the store are under way",
				 store->changes);
	/* Nobody asks for anything any more: what was answered comes to its end. */
	while (store->workers > 0 || store->reaping)
		fiber_yield();
	for (unsigned int i = 0; i < reactor_count(); i++) {
		if (atomic_load(&store->channel[i].refs) > 0)
			return error_set(err, -EBUSY, "reactor %u has a channel of the store", i);
	}
	return 0;
}

static int write_id_mask(struct blob_store *store)
{
	struct bit_array *ids = bit_array_create(store->geo.md.len);
	int rc;

	if (ids == NULL)
		return -ENOMEM;
	for (struct blob *b = blob_next(store, 0); b != NULL; b = blob_next(store, b->id + 1))
		bit_array_set(ids, blob_root(b));
	rc = mask_write(store, &store->geo.ids, BLOB_MASK_BLOBIDS, ids);
	bit_array_destroy(ids);
	return rc;
}

/*
 * Order: masks of pages, blob ids, clusters => super block, clean=1.
 * A cut before the super block leaves a dirty store, whose masks nobody reads.
 */
static int write_clean(struct blob_store *store, struct error *err)
{
	const struct blob_geometry *geo = &store->geo;
	int rc = mask_write(store, &geo->pages, BLOB_MASK_PAGES, store->pages);

	if (rc == 0 && geo->ids.len > 0)
		rc = write_id_mask(store);
	if (rc == 0)
		rc = mask_write(store, &geo->clusters, BLOB_MASK_CLUSTERS, store->clusters);
	if (rc == 0)
		rc = md_flush(store);
	if (rc < 0)
		return error_set(err, rc, "the masks could not be written: %s",
				 error_errno_text(rc));
	store->geo.clean = true;
	return super_write(store, err);
}

int blob_store_unload(struct blob_store *store, struct error *err)
{
	int rc = blob_store_check_idle(store, err);

	if (rc < 0)
		return error_prefix(err, "bdev \"%s\": ", bdev_name(store->bdev));
	/*
	 * Nothing was changed: what is on the device is clean as it was. Masks that lack what a
	 * blob has would be believed.
	 */
	if (store->dirty && !store->suspect && !blob_store_is_fixed(store))
		rc = write_clean(store, err);
	if (rc < 0)
		log_warning("bdev \"%s\": %s; the store will be recovered when it is loaded",
			    bdev_name(store->bdev),
			    err != NULL ? err->text : "not unloaded cleanly");
	blob_store_free(store);
	return rc;
}

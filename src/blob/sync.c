/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a blob's metadata: continuation pages are always fresh, the root page in its place is the
 * commit. Where a device could tear that into neither state a copy comes first (spare.c).
 *
 * Threading: reactor 0, inside fibers; the caller holds the blob's md_lock, or the blob is not
 * known to anybody yet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

#define NO_SPARE UINT32_MAX

/* --- pages ------------------------------------------------------------------------------------ */

int blob_page_take(struct blob_store *store, uint32_t from, uint32_t *page, struct error *err)
{
	int rc = blob_store_check_known(store, err);
	uint64_t found;

	if (rc < 0)
		return rc;
	found = bit_array_find_clear(store->pages, from);
	if (found == UINT64_MAX)
		return error_set(err, -ENOMEM,
				 "bdev \"%s\": all %" PRIu32
				 " metadata pages of the store are in use; delete blobs",
				 bdev_name(store->bdev), store->geo.md.len);
	bit_array_set(store->pages, found);
	*page = (uint32_t)found;
	return 0;
}

static void pages_give(struct blob_store *store, const uint32_t *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		bit_array_clear(store->pages, pages[i]);
}

static int pages_take(struct blob_store *store, uint32_t *pages, uint32_t count, struct error *err)
{
	for (uint32_t i = 0; i < count; i++) {
		int rc = blob_page_take(store, 0, &pages[i], err);

		if (rc < 0) {
			pages_give(store, pages, i);
			return rc;
		}
	}
	return 0;
}

/*
 * Zeroes are for order's sake only: no reader relies on them. So a failure is noted and costs the
 * pages until the next recovery.
 */
void blob_pages_erase(struct blob_store *store, const uint32_t *pages, uint32_t count)
{
	struct md_batch *batch;
	int rc;

	if (count == 0)
		return;
	batch = md_batch_begin(store);
	for (uint32_t i = 0; batch != NULL && i < count; i++)
		md_batch_zero_page(batch, pages[i]);
	rc = batch != NULL ? md_batch_end(batch) : -ENOMEM;
	if (rc == 0)
		pages_give(store, pages, count);
	else
		log_warning("bdev \"%s\": %" PRIu32
			    " unused metadata pages could not be zeroed: %s",
			    bdev_name(store->bdev), count, error_errno_text(rc));
}

/* --- state ------------------------------------------------------------------------------------ */

int blob_state_begin(struct blob_state *st, const struct blob *b)
{
	*st = (struct blob_state){
		.invalid = b->invalid, .data_ro = b->data_ro, .md_ro = b->md_ro, .map = blob_map(b)
	};
	return blob_xattrs_copy(&st->xattrs, &b->xattrs);
}

void blob_state_end(struct blob_state *st)
{
	blob_xattrs_free(&st->xattrs);
}

void blob_state_adopt(struct blob *b, struct blob_state *st)
{
	struct blob_xattrs old = b->xattrs;

	blob_set_flags(b, st->invalid, st->data_ro, st->md_ro);
	b->xattrs = st->xattrs;
	st->xattrs = old;
}

/* --- the chain -------------------------------------------------------------------------------- */

static int build(struct blob_chain *chain, const struct blob *b, struct blob_state *st)
{
	struct blob_source src = {
		.id = b->id,
		.data_ro = st->data_ro,
		.md_ro = st->md_ro,
		.table = b->table,
		.map = st->map,
		.xattrs = &st->xattrs,
	};

	st->invalid &= ~(BLOB_INVALID_XATTRS | BLOB_INVALID_EXTENT_TABLE);
	if (blob_xattrs_has_internal(&st->xattrs))
		st->invalid |= BLOB_INVALID_XATTRS;
	if (b->table)
		st->invalid |= BLOB_INVALID_EXTENT_TABLE;
	src.invalid = st->invalid;
	return blob_chain_build(chain, &src);
}

/* What is written to pages that were free; @spare: a copy of the root too, NO_SPARE: none */
static int write_fresh(struct blob_store *store, const struct blob_chain *chain,
		       const uint32_t *pages, uint32_t spare)
{
	struct md_batch *batch;
	int rc;

	if (chain->count == 1 && spare == NO_SPARE)
		return 0;
	batch = md_batch_begin(store);
	if (batch == NULL)
		return -ENOMEM;
	for (uint32_t i = 1; i < chain->count; i++)
		md_batch_write_page(batch, blob_chain_page(chain, i), pages[i - 1]);
	if (spare != NO_SPARE)
		md_batch_write_page(batch, blob_chain_page(chain, 0), spare);
	rc = md_batch_end(batch);
	return rc == 0 ? md_flush(store) : rc;
}

static int write_root(struct blob *b, const void *page)
{
	int rc = md_write_page(b->store, page, blob_root(b));

	if (rc == 0)
		rc = md_flush(b->store);
	if (rc < 0)
		b->store->suspect = true;
	return rc;
}

/*
 * continuation pages, a copy of the root => root page => (the copy and old continuation pages are
 * zeroed, later)
 *
 * A cut at the first arrow leaves pages that nobody refers to; at the second the new state is
 * there. When the root page fails nobody knows which one is on the device: the fresh pages stay in
 * use.
 */
static int write_chain(struct blob *b, struct blob_chain *chain, uint32_t *pages, uint32_t spare,
		       struct error *err)
{
	int rc = write_fresh(b->store, chain, pages, spare);

	if (rc < 0) {
		pages_give(b->store, pages, chain->count - 1);
		return error_set(err, rc,
				 "blob 0x%" PRIx64 ": its metadata could not be written: %s", b->id,
				 error_errno_text(rc));
	}
	rc = write_root(b, blob_chain_page(chain, 0));
	if (rc < 0)
		return error_set(err, rc,
				 "blob 0x%" PRIx64 ": its root page could not be written: %s",
				 b->id, error_errno_text(rc));
	return 0;
}

/*
 * A page for a copy of the root, where a device could tear that into what is neither the old one
 * nor the new. Without a free page it goes without.
 */
static uint32_t take_spare(const struct blob *b, const struct blob_chain *chain)
{
	uint32_t page;

	if (!b->store->tears || (!b->long_root && !blob_page_is_long(blob_chain_page(chain, 0))) ||
	    blob_page_take(b->store, 0, &page, NULL) < 0)
		return NO_SPARE;
	return page;
}

static int take_and_write(struct blob *b, struct blob_chain *chain, struct error *err)
{
	uint32_t fresh = chain->count - 1, *pages = calloc(chain->count, sizeof(*pages));
	uint32_t *old = b->chain, old_len = b->chain_len, spare = NO_SPARE;
	bool suspect = b->store->suspect;
	int rc;

	if (pages == NULL)
		return error_set(err, -ENOMEM, "no memory");
	rc = pages_take(b->store, pages, fresh, err);
	if (rc == 0) {
		blob_chain_link(chain, pages);
		spare = take_spare(b, chain);
		rc = write_chain(b, chain, pages, spare, err);
	}
	/* When the root page failed the copy may be what the next load needs. */
	if (spare != NO_SPARE && b->store->suspect == suspect)
		blob_pages_erase(b->store, &spare, 1);
	if (rc < 0) {
		free(pages);
		return rc;
	}
	if (fresh == 0) {
		free(pages);
		pages = NULL;
	}
	b->chain = pages;
	b->chain_len = fresh;
	b->long_root = blob_page_is_long(blob_chain_page(chain, 0));
	blob_pages_erase(b->store, old, old_len);
	free(old);
	return 0;
}

int blob_sync(struct blob *b, struct blob_state *st, struct error *err)
{
	struct blob_chain chain;
	int rc = blob_store_mark_dirty(b->store, err);

	if (rc < 0)
		return rc;
	if (build(&chain, b, st) < 0)
		return error_set(err, -ENOMEM, "blob 0x%" PRIx64 ": no memory for its metadata",
				 b->id);
	rc = take_and_write(b, &chain, err);
	blob_chain_free(&chain);
	if (rc == 0)
		blob_state_adopt(b, st);
	return rc;
}

int blob_erase_root(struct blob *b, struct error *err)
{
	struct blob_store *store = b->store;
	struct md_batch *batch;
	int rc = blob_store_mark_dirty(store, err);

	if (rc < 0)
		return rc;
	batch = md_batch_begin(store);
	if (batch == NULL)
		return error_set(err, -ENOMEM, "no memory");
	md_batch_zero_page(batch, blob_root(b));
	rc = md_batch_end(batch);
	if (rc == 0)
		rc = md_flush(store);
	if (rc < 0) {
		store->suspect = true;
		return error_set(err, rc,
				 "blob 0x%" PRIx64 ": its root page could not be zeroed: %s", b->id,
				 error_errno_text(rc));
	}
	blob_pages_erase(store, b->chain, b->chain_len);
	free(b->chain);
	b->chain = NULL;
	b->chain_len = 0;
	return 0;
}

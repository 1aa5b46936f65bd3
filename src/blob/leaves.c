/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent pages of a map that is to replace another, and the replacing.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <stdlib.h>

#include "blob/internal.h"

#define WRITE_PAGES 64u

static bool is_new(const struct blob_map *map, const struct blob_map *old, uint64_t i)
{
	const struct blob_leaf *leaf = blob_map_leaf(map, i);

	return leaf != NULL && (old == NULL || leaf != blob_map_leaf(old, i));
}

int blob_leaves_take_pages(struct blob_store *store, struct blob_map *map,
			   const struct blob_map *old, struct error *err)
{
	for (uint64_t i = 0; i < map->leaves; i++) {
		struct blob_leaf *leaf = blob_map_leaf(map, i);
		int rc;

		if (!is_new(map, old, i) || leaf->page != 0)
			continue;
		/* 0 in a table says that there is none. */
		rc = blob_page_take(store, 1, &leaf->page, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_some(struct blob *b, const struct blob_map *map, const struct blob_map *old,
		      struct md_batch *batch, uint8_t *pages)
{
	uint32_t n = 0;
	int rc = 0;

	for (uint64_t i = 0; i < map->leaves && rc == 0; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);
		uint8_t *page = pages + (size_t)n * BLOB_PAGE_BYTES;

		if (!is_new(map, old, i))
			continue;
		blob_extents_write(page, b->id, i, leaf, blob_map_entries(map->clusters, i));
		md_batch_write_page(batch, page, leaf->page);
		if (++n == WRITE_PAGES) {
			rc = md_batch_wait(batch);
			n = 0;
		}
	}
	return rc;
}

int blob_leaves_write(struct blob *b, const struct blob_map *map, const struct blob_map *old)
{
	uint8_t *pages = aligned_alloc(BLOB_PAGE_BYTES, (size_t)WRITE_PAGES * BLOB_PAGE_BYTES);
	struct md_batch *batch = md_batch_begin(b->store);
	int rc = -ENOMEM;

	if (pages != NULL && batch != NULL)
		rc = write_some(b, map, old, batch, pages);
	if (batch != NULL) {
		int ended = md_batch_end(batch);

		rc = rc < 0 ? rc : ended;
	}
	free(pages);
	return rc == 0 ? md_flush(b->store) : rc;
}

void blob_leaves_undo(struct blob_store *store, struct blob_map *map, const struct blob_map *old,
		      bool pages)
{
	if (map == NULL)
		return;
	for (uint64_t i = 0; i < map->leaves; i++) {
		struct blob_leaf *leaf = blob_map_leaf(map, i);
		const struct blob_leaf *was = old != NULL ? blob_map_leaf(old, i) : NULL;

		if (!is_new(map, old, i))
			continue;
		if (pages && leaf->page != 0 && (was == NULL || was->page != leaf->page))
			bit_array_clear(store->pages, leaf->page);
		free(leaf);
	}
	free(map);
}

void blob_publish(struct blob *b, struct blob_map *map)
{
	struct blob_map *old = blob_map(b);

	atomic_store_explicit(&b->map, map, memory_order_release);
	for (uint64_t i = 0; i < old->leaves; i++) {
		struct blob_leaf *leaf = blob_map_leaf(old, i);

		if (leaf != blob_map_leaf(map, i))
			blob_retire(b->store, leaf);
	}
	blob_retire(b->store, old);
}

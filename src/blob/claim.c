/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which metadata page and cluster, counted from the blobs themselves.
 *
 * A cluster or page that two sound blobs claim makes both damaged: whichever shows it might show
 * the other's data. One case is harmless and is put right: a clone that lists a cluster of its own
 * snapshot at the same place, which SPDK leaves behind when a deletion is cut short. The clone gets
 * a hole there and reads the same bytes through the snapshot.
 *
 * What damaged blobs claim is kept from use as far as nobody else has it.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

/* struct claims - what is owned, and what twice */
struct claims {
	struct blob_store *store;
	struct bit_array *pages, *clusters;
	struct bit_array *pages_twice, *clusters_twice;
	uint64_t twice;
};

static void claim(struct claims *c, struct bit_array *owned, struct bit_array *owned_twice,
		  uint32_t i)
{
	if (!bit_array_get(owned, i)) {
		bit_array_set(owned, i);
		return;
	}
	bit_array_set(owned_twice, i);
	c->twice++;
}

static void claim_blob(struct claims *c, const struct blob *b)
{
	const struct blob_map *map = blob_map(b);

	claim(c, c->pages, c->pages_twice, blob_root(b));
	for (uint32_t i = 0; i < b->chain_len; i++)
		claim(c, c->pages, c->pages_twice, b->chain[i]);
	for (uint64_t i = 0; map != NULL && i < map->leaves; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);

		if (leaf != NULL && leaf->page != 0)
			claim(c, c->pages, c->pages_twice, leaf->page);
	}
	if (map == NULL)
		return;
	for (uint64_t i = blob_map_next(map, 0); i != UINT64_MAX; i = blob_map_next(map, i + 1))
		claim(c, c->clusters, c->clusters_twice, blob_map_get(map, i));
}

static void claims_free(struct claims *c)
{
	bit_array_destroy(c->pages);
	bit_array_destroy(c->clusters);
	bit_array_destroy(c->pages_twice);
	bit_array_destroy(c->clusters_twice);
}

static int claims_make(struct claims *c, struct blob_store *store, bool damaged)
{
	*c = (struct claims){
		.store = store,
		.pages = bit_array_create(store->geo.md.len),
		.clusters = bit_array_create(store->geo.total_clusters),
		.pages_twice = bit_array_create(store->geo.md.len),
		.clusters_twice = bit_array_create(store->geo.total_clusters),
	};
	if (c->pages == NULL || c->clusters == NULL || c->pages_twice == NULL ||
	    c->clusters_twice == NULL) {
		claims_free(c);
		return -ENOMEM;
	}
	for (struct blob *b = blob_next(store, 0); b != NULL; b = blob_next(store, b->id + 1)) {
		if ((b->damage != NULL) == damaged)
			claim_blob(c, b);
	}
	return 0;
}

/* --- a clone that lists clusters of its snapshot ---------------------------------------------- */

static bool give_back_leaf(const struct blob_map *map, struct blob_leaf *leaf, uint64_t table,
			   uint32_t entries, uint64_t *count)
{
	bool any = false;

	for (uint32_t i = 0; i < entries; i++) {
		uint64_t index = table * BLOB_EXTENT_CLUSTERS + i;
		uint32_t cluster = blob_leaf_get(leaf, i);

		if (cluster == 0 || index >= map->clusters || blob_map_get(map, index) != cluster)
			continue;
		blob_leaf_set(leaf, i, 0);
		(*count)++;
		any = true;
	}
	return any;
}

static int write_leaf(struct blob *b, uint64_t table, const struct blob_leaf *leaf,
		      uint32_t entries)
{
	uint8_t *page = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);
	int rc;

	if (page == NULL)
		return -ENOMEM;
	blob_extents_write(page, b->id, table, leaf, entries);
	rc = md_write_page(b->store, page, leaf->page);
	free(page);
	return rc;
}

/*
 * Order: (dirty mark) => extent pages of the clone, each by itself.
 * Each cut leaves the rest for the next load: the clone reads the same either way.
 */
static int give_back(struct blob *clone, const struct blob_map *of_parent, struct error *err)
{
	struct blob_map *map = blob_map(clone);
	uint64_t count = 0;
	int rc = 0;

	for (uint64_t i = 0; i < map->leaves && rc == 0; i++) {
		struct blob_leaf *leaf = blob_map_leaf(map, i);
		uint32_t entries = blob_map_entries(map->clusters, i);

		if (leaf == NULL || leaf->page == 0 ||
		    !give_back_leaf(of_parent, leaf, i, entries, &count) ||
		    blob_store_is_fixed(clone->store))
			continue;
		rc = blob_store_mark_dirty(clone->store, err);
		if (rc == 0 && (rc = write_leaf(clone, i, leaf, entries)) < 0)
			error_set(err, rc, "extent page %" PRIu32 ": %s", leaf->page,
				  error_errno_text(rc));
	}
	clone->allocated -= count;
	if (count > 0)
		log_notice("bdev \"%s\": blob 0x%" PRIx64 " had %" PRIu64
			   " clusters of its snapshot 0x%" PRIx64
			   " after an interrupted deletion; it reads them there again",
			   bdev_name(clone->store->bdev), clone->id, count, blob_parent_id(clone));
	return rc;
}

static int give_back_all(struct blob_store *store, struct error *err)
{
	int rc = 0;

	for (struct blob *b = blob_next(store, 0); b != NULL && rc == 0;
	     b = blob_next(store, b->id + 1)) {
		struct blob *parent = blob_find(store, blob_parent_id(b));

		if (parent == NULL || parent == b || b->damage != NULL || parent->damage != NULL)
			continue;
		rc = give_back(b, blob_map(parent), err);
	}
	return rc == 0 ? md_flush(store) : rc;
}

/* --- conflicts -------------------------------------------------------------------------------- */

static void damage_twice(struct claims *c, struct blob *b)
{
	const struct blob_map *map = blob_map(b);

	for (uint64_t i = 0; map != NULL && i < map->leaves; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);

		if (leaf != NULL && leaf->page != 0 && bit_array_get(c->pages_twice, leaf->page)) {
			blob_damage_set(b, -EILSEQ, "extent page %" PRIu32 " is claimed twice",
					leaf->page);
			return;
		}
	}
	for (uint64_t i = blob_map_next(map, 0); i != UINT64_MAX; i = blob_map_next(map, i + 1)) {
		uint32_t cluster = blob_map_get(map, i);

		if (bit_array_get(c->clusters_twice, cluster)) {
			blob_damage_set(b, -EILSEQ,
					"its cluster %" PRIu64 " is cluster %" PRIu32
					" of the device, which is claimed twice",
					i, cluster);
			return;
		}
	}
	if (bit_array_get(c->pages_twice, blob_root(b)))
		blob_damage_set(b, -EILSEQ, "root page %" PRIu32 " is claimed twice", blob_root(b));
	for (uint32_t i = 0; i < b->chain_len; i++) {
		if (bit_array_get(c->pages_twice, b->chain[i]))
			blob_damage_set(b, -EILSEQ, "page %" PRIu32 " is claimed twice",
					b->chain[i]);
	}
}

static void damage_all_twice(struct claims *c)
{
	for (struct blob *b = blob_next(c->store, 0); b != NULL;
	     b = blob_next(c->store, b->id + 1)) {
		if (b->damage == NULL)
			damage_twice(c, b);
	}
}

static void bits_or(struct bit_array *to, const struct bit_array *from)
{
	for (uint64_t i = bit_array_find_set(from, 0); i != UINT64_MAX;
	     i = bit_array_find_set(from, i + 1))
		bit_array_set(to, i);
}

static int take_over(struct claims *c)
{
	struct blob_store *store = c->store;
	struct claims damaged;
	int rc;

	bits_or(store->pages, c->pages);
	bits_or(store->clusters, c->clusters);
	rc = claims_make(&damaged, store, true);
	if (rc < 0)
		return rc;
	bits_or(store->pages, damaged.pages);
	bits_or(store->clusters, damaged.clusters);
	claims_free(&damaged);
	return 0;
}

static void set_pages(struct blob_store *store, const struct blob *b, bool used)
{
	void (*change)(struct bit_array *, uint64_t) = used ? bit_array_set : bit_array_clear;
	const struct blob_map *map = blob_map(b);

	change(store->pages, blob_root(b));
	for (uint32_t i = 0; i < b->chain_len; i++)
		change(store->pages, b->chain[i]);
	for (uint64_t i = 0; map != NULL && i < map->leaves; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);

		if (leaf != NULL && leaf->page != 0)
			change(store->pages, leaf->page);
	}
}

void blob_claim_pages(struct blob_store *store)
{
	for (struct blob *b = blob_next(store, 0); b != NULL; b = blob_next(store, b->id + 1))
		set_pages(store, b, true);
}

void blob_claim_drop(struct blob *b)
{
	const struct blob_map *map = blob_map(b);

	set_pages(b->store, b, false);
	for (uint64_t i = blob_map_next(map, 0); i != UINT64_MAX; i = blob_map_next(map, i + 1))
		bit_array_clear(b->store->clusters, blob_map_get(map, i));
}

/* Masks of a clean store stay as they are, and what the blobs own is added to them. */
int blob_claim_all(struct blob_store *store, struct error *err)
{
	struct claims c;
	int rc = claims_make(&c, store, false);

	if (rc == 0 && c.twice > 0) {
		claims_free(&c);
		rc = give_back_all(store, err);
		if (rc < 0)
			return rc;
		rc = claims_make(&c, store, false);
	}
	if (rc < 0)
		return error_set(err, rc, "no memory for masks");
	if (c.twice > 0)
		damage_all_twice(&c);
	rc = take_over(&c);
	claims_free(&c);
	return rc < 0 ? error_set(err, rc, "no memory for masks") : 0;
}

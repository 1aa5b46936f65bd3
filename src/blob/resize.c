/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the size of a blob.
 *
 * Order, in both directions:
 *   (growing: new clusters of a thick blob, and those in which a clone's parent would show, are
 *    zeroed)
 *     => fresh extent pages: new ones, and one in place of that in which the new or old end lies
 *     => chain and root page: the new table and size                    (the commit)
 *     => (shrinking: I/O to what is cut off is over) clusters are cleared and free, extent pages
 *        that are not needed any more are zeroed
 * Since the page with the end in it is not changed but replaced, the size is the old one up to the
 * root page and the new one behind it, also for SPDK, which believes the extent pages.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

/* struct change - @taken: new clusters; @where: of which clusters of the blob */
struct change {
	struct blob *blob;
	struct blob_map *old, *map;
	struct blob_clusters taken, where, freed;
	uint32_t *pages;
	uint32_t page_count;
};

/*
 * What a blob gets reads as zeroes, also where its parent has something: a clone that shrank and
 * grows again does not show what it had cut off.
 */
static int find_where(struct change *ch, uint64_t from, uint64_t to, struct error *err)
{
	const struct blob *b = ch->blob;
	const struct blob_back *back = &blob_map(b)->back;
	bool thick = (b->invalid & BLOB_INVALID_THIN) == 0;
	uint64_t reach = thick ? to : blob_back_reach(b->store, back);
	int rc = 0;

	if (reach == UINT64_MAX)
		return error_set(err, -ENODEV,
				 "blob 0x%" PRIx64
				 ": its external snapshot is missing, so that how "
				 "far it reaches is not known; bring it back first",
				 b->id);
	for (uint64_t i = from; i < to && i < reach && rc == 0; i++) {
		if (thick || blob_back_shows(b->store, back, i))
			rc = blob_clusters_add(&ch->where, (uint32_t)i);
	}
	return rc < 0 ? error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id) : 0;
}

/* The table with the lower of both ends in it, when that lies within a page. */
static int replace_boundary(struct change *ch)
{
	uint64_t low =
		ch->old->clusters < ch->map->clusters ? ch->old->clusters : ch->map->clusters;
	uint64_t table = low / BLOB_EXTENT_CLUSTERS;
	struct blob_leaf *was = blob_map_leaf(ch->old, table), *leaf;

	if (low % BLOB_EXTENT_CLUSTERS == 0 || was == NULL || table >= ch->map->leaves)
		return 0;
	leaf = blob_leaf_copy(was, (uint32_t)(low % BLOB_EXTENT_CLUSTERS),
			      blob_map_entries(ch->map->clusters, table));
	if (leaf == NULL)
		return -ENOMEM;
	leaf->page = 0;
	blob_map_set_leaf(ch->map, table, leaf);
	return 0;
}

static int make_map(struct change *ch, uint64_t clusters)
{
	uint64_t tables = blob_map_tables(clusters), leaves = ch->old->leaves;
	int rc;

	if (leaves > tables || ch->taken.count > 0)
		leaves = tables;
	ch->map = blob_map_clone(ch->old, clusters, leaves);
	if (ch->map == NULL)
		return -ENOMEM;
	rc = replace_boundary(ch);
	for (uint64_t i = 0; i < ch->taken.count && rc == 0; i++)
		rc = blob_map_put(ch->map, ch->where.at[i], ch->taken.at[i]);
	return rc;
}

/* Pages of the old map that the new one has not. */
static int find_unused(struct change *ch)
{
	ch->pages = calloc(ch->old->leaves + 1, sizeof(*ch->pages));
	if (ch->pages == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < ch->old->leaves; i++) {
		const struct blob_leaf *was = blob_map_leaf(ch->old, i);

		if (was != NULL && was->page != 0 && was != blob_map_leaf(ch->map, i))
			ch->pages[ch->page_count++] = was->page;
	}
	if (ch->map->clusters < ch->old->clusters)
		return blob_clusters_add_map(&ch->freed, ch->old, ch->map->clusters);
	return 0;
}

static int write(struct change *ch, struct error *err)
{
	struct blob *b = ch->blob;
	struct blob_state st;
	int rc = 0;

	if (b->table)
		rc = blob_leaves_take_pages(b->store, ch->map, ch->old, err);
	if (rc < 0)
		return rc;
	if (b->table)
		rc = blob_leaves_write(b, ch->map, ch->old);
	else if (ch->taken.count > 0)
		/* Runs stand in the root page: no extent page's flush covers the zeroing. */
		rc = md_flush(b->store);
	if (rc < 0)
		return error_set(err, rc, "blob 0x%" PRIx64 ": new clusters or extent pages: %s",
				 b->id, error_errno_text(rc));
	rc = blob_state_begin(&st, b);
	if (rc < 0)
		return error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id);
	st.map = ch->map;
	rc = blob_sync(b, &st, err);
	blob_state_end(&st);
	return rc;
}

static int commit(struct change *ch, uint64_t clusters, struct error *err)
{
	struct blob *b = ch->blob;
	int rc;

	fiber_lock(&b->md_lock);
	ch->old = blob_map(b);
	rc = blob_store_mark_dirty(b->store, err);
	if (rc == 0) {
		rc = make_map(ch, clusters);
		if (rc == 0)
			rc = find_unused(ch);
		if (rc < 0)
			error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id);
	}
	if (rc == 0)
		rc = write(ch, err);
	if (rc == 0) {
		b->allocated += ch->taken.count;
		b->allocated -= ch->freed.count;
		blob_publish(b, ch->map);
	} else {
		blob_leaves_undo(b->store, ch->map, ch->old, !b->store->suspect);
	}
	fiber_unlock(&b->md_lock);
	return rc;
}

static void after_commit(struct change *ch)
{
	struct blob_store *store = ch->blob->store;

	if (ch->freed.count > 0)
		blob_io_barrier(store);
	blob_pages_erase(store, ch->pages, ch->page_count);
	blob_clusters_give(store, &ch->freed, blob_clear_of(ch->blob));
}

static void change_end(struct change *ch, bool failed)
{
	struct blob_store *store = ch->blob->store;

	for (uint64_t i = 0; failed && !store->suspect && i < ch->taken.count; i++)
		blob_cluster_untake(store, ch->taken.at[i]);
	blob_clusters_end(&ch->taken);
	blob_clusters_end(&ch->where);
	blob_clusters_end(&ch->freed);
	free(ch->pages);
}

static int resize(struct blob *b, uint64_t clusters, struct error *err)
{
	struct change ch = { .blob = b };
	uint64_t before = blob_map(b)->clusters;
	int rc;

	if (clusters == before)
		return 0;
	rc = find_where(&ch, before, clusters, err);
	blob_clusters_await(b->store, ch.where.count);
	if (rc == 0 && ch.where.count > 0)
		rc = blob_clusters_take_zeroed(b->store, ch.where.count, &ch.taken, err);
	if (rc == 0)
		rc = commit(&ch, clusters, err);
	if (rc == 0)
		after_commit(&ch);
	change_end(&ch, rc < 0);
	return rc;
}

int blob_resize(struct blob *b, uint64_t clusters, struct error *err)
{
	int rc = blob_check_change(b, err);

	if (rc == 0)
		rc = blob_store_check_known(b->store, err);
	if (rc < 0)
		return rc;
	if (clusters > UINT32_MAX)
		return error_set(err, -EINVAL, "%" PRIu64 " clusters; a blob has at most 2^32 - 1",
				 clusters);
	blob_lock_op(b);
	rc = resize(b, clusters, err);
	blob_unlock_op(b);
	return rc;
}

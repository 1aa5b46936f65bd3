/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting blobs.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

/* struct pages - metadata pages to be zeroed and freed */
struct pages {
	uint32_t *at;
	uint32_t count;
};

static int pages_add(struct pages *p, uint32_t page)
{
	uint32_t *more = realloc(p->at, ((size_t)p->count + 1) * sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	p->at = more;
	p->at[p->count++] = page;
	return 0;
}

/* Extent pages of @map, but for those that @kept has too. Without memory they stay in use. */
static void pages_of(struct pages *p, const struct blob_map *map, const struct blob_map *kept)
{
	for (uint64_t i = 0; i < map->leaves; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);
		const struct blob_leaf *other = kept != NULL ? blob_map_leaf(kept, i) : NULL;

		if (leaf == NULL || leaf->page == 0 || (other != NULL && other->page == leaf->page))
			continue;
		if (pages_add(p, leaf->page) < 0)
			return;
	}
}

/* Those that @map still has are not to be freed. */
static void keep_pages_of(struct pages *p, const struct blob_map *map)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		bool has = false;

		for (uint64_t j = 0; j < map->leaves && !has; j++) {
			const struct blob_leaf *leaf = blob_map_leaf(map, j);

			has = leaf != NULL && leaf->page == p->at[i];
		}
		if (!has)
			p->at[n++] = p->at[i];
	}
	p->count = n;
}

static void pages_end(struct blob_store *store, struct pages *p)
{
	blob_pages_erase(store, p->at, p->count);
	free(p->at);
}

/* --- a blob without clones -------------------------------------------------------------------- */

/*
 * Order: (dirty mark) => root page is zeroes => continuation and extent pages are, clusters are
 * cleared as the blob's method says.
 * A cut before the root page leaves the blob whole; behind it pages that nobody refers to, and free
 * clusters.
 */
static int delete_alone(struct blob *b, struct error *err)
{
	struct blob_store *store = b->store;
	struct blob_clusters freed = { 0 };
	struct pages pages = { 0 };
	int rc = blob_clusters_add_map(&freed, blob_map(b), 0);

	if (rc < 0) {
		blob_clusters_end(&freed);
		return error_set(err, rc, "no memory to delete blob 0x%" PRIx64, b->id);
	}
	rc = blob_erase_root(b, err);
	if (rc < 0) {
		blob_clusters_end(&freed);
		return rc;
	}
	pages_of(&pages, blob_map(b), NULL);
	pages_end(store, &pages);
	blob_clusters_give(store, &freed, blob_clear_of(b));
	bit_array_clear(store->pages, blob_root(b));
	blob_forget(b);
	return 0;
}

/* What else it had is not known for sure; it is free after the next recovery. */
static int delete_damaged(struct blob *b, struct error *err)
{
	struct blob_store *store = b->store;
	int rc;

	/* Its continuation pages may be another blob's. */
	b->chain_len = 0;
	rc = blob_erase_root(b, err);
	if (rc < 0)
		return rc;
	bit_array_clear(store->pages, blob_root(b));
	blob_forget(b);
	return 0;
}

/* --- a snapshot with one clone ---------------------------------------------------------------- */

static bool contributes(const struct blob_leaf *from, const struct blob_leaf *to, uint32_t entries)
{
	for (uint32_t i = 0; i < entries; i++) {
		if (blob_leaf_get(from, i) != 0 && blob_leaf_get(to, i) == 0)
			return true;
	}
	return false;
}

/*
 * A table of the clone's next map: its own leaf where the snapshot has nothing to add, the
 * snapshot's where the clone has none and the entries are as many, a new one else.
 */
static int merge_leaf(struct blob_map *merged, const struct blob *s, const struct blob *c,
		      uint64_t i)
{
	const struct blob_map *sm = blob_map(s), *cm = blob_map(c);
	struct blob_leaf *from = blob_map_leaf(sm, i), *own = blob_map_leaf(cm, i), *leaf;
	uint32_t has = blob_map_entries(sm->clusters, i);
	uint32_t wants = blob_map_entries(cm->clusters, i), both = has < wants ? has : wants;

	if (own != NULL && !contributes(from, own, both))
		return 0;
	if (own == NULL && has == wants && (from->page != 0) == c->table) {
		blob_map_set_leaf(merged, i, from);
		return 0;
	}
	leaf = blob_leaf_copy(own, wants, wants);
	if (leaf == NULL)
		return -ENOMEM;
	leaf->page = 0;
	for (uint32_t j = 0; j < both; j++) {
		if (blob_leaf_get(leaf, j) == 0)
			blob_leaf_set(leaf, j, blob_leaf_get(from, j));
	}
	blob_map_set_leaf(merged, i, leaf);
	return 0;
}

/*
 * struct handover - a snapshot @s whose clone @c inherits; @map: the clone's next one
 * @taken: zeroed clusters for those @where what is behind @s would show
 */
struct handover {
	struct blob *s, *c;
	struct blob_map *map;
	struct blob_clusters freed, taken, where;
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A clone that is longer than its snapshot reads zeroes behind the end of that, whatever a longer
 * snapshot further behind has there. It shall not show when the one between goes.
 */
static int take_zeroed(struct handover *h, struct error *err)
{
	const struct blob_map *sm = blob_map(h->s), *cm = blob_map(h->c);
	uint64_t reach = smaller(blob_back_reach(h->s->store, &sm->back), cm->clusters);
	int rc = 0;

	for (uint64_t i = sm->clusters; i < reach && rc == 0; i++) {
		if (blob_map_get(cm, i) == 0 && blob_back_shows(h->s->store, &sm->back, i))
			rc = blob_clusters_add(&h->where, (uint32_t)i);
	}
	if (rc < 0)
		return error_set(err, rc, "no memory to delete snapshot 0x%" PRIx64, h->s->id);
	if (h->where.count == 0)
		return 0;
	return blob_clusters_take_zeroed(h->s->store, h->where.count, &h->taken, err);
}

/* In a leaf that neither the clone nor the snapshot has. */
static int put_zeroed(struct handover *h, uint64_t index, uint32_t cluster)
{
	const struct blob_map *sm = blob_map(h->s), *cm = blob_map(h->c);
	uint64_t table = index / BLOB_EXTENT_CLUSTERS;
	struct blob_leaf *leaf = blob_map_leaf(h->map, table);

	if (leaf != NULL &&
	    (leaf == blob_map_leaf(cm, table) || leaf == blob_map_leaf(sm, table))) {
		uint32_t entries = blob_map_entries(cm->clusters, table);

		leaf = blob_leaf_copy(leaf, entries, entries);
		if (leaf == NULL)
			return -ENOMEM;
		leaf->page = 0;
		blob_map_set_leaf(h->map, table, leaf);
	}
	return blob_map_put(h->map, index, cluster);
}

static int merge_maps(struct handover *h)
{
	const struct blob_map *sm = blob_map(h->s), *cm = blob_map(h->c);
	uint64_t tables = smaller(sm->leaves, blob_map_tables(cm->clusters)), leaves = tables;
	int rc = 0;

	if (h->where.count > 0)
		leaves = blob_map_tables(cm->clusters);
	h->map = blob_map_clone(cm, cm->clusters, leaves > cm->leaves ? leaves : cm->leaves);
	if (h->map == NULL)
		return -ENOMEM;
	h->map->back = sm->back;
	for (uint64_t i = 0; i < tables && rc == 0; i++) {
		if (blob_map_leaf(sm, i) != NULL)
			rc = merge_leaf(h->map, h->s, h->c, i);
	}
	for (uint64_t i = 0; i < h->taken.count && rc == 0; i++)
		rc = put_zeroed(h, h->where.at[i], h->taken.at[i]);
	return rc;
}

/* Clusters that the clone does not take over: it has its own there, or is shorter. */
static int find_freed(struct handover *h)
{
	const struct blob_map *sm = blob_map(h->s), *cm = blob_map(h->c);
	int rc = 0;

	for (uint64_t i = blob_map_next(sm, 0); i != UINT64_MAX && rc == 0;
	     i = blob_map_next(sm, i + 1)) {
		if (i >= cm->clusters || blob_map_get(cm, i) != 0)
			rc = blob_clusters_add(&h->freed, blob_map_get(sm, i));
	}
	return rc;
}

/* Leaves that are neither the clone's nor the snapshot's go; so do pages and clusters if @pages. */
static void undo_merge(struct handover *h, bool pages)
{
	const struct blob_map *sm = blob_map(h->s), *cm = blob_map(h->c);

	for (uint64_t i = 0; h->map != NULL && i < h->map->leaves; i++) {
		struct blob_leaf *leaf = blob_map_leaf(h->map, i);

		if (leaf == NULL || leaf == blob_map_leaf(cm, i) || leaf == blob_map_leaf(sm, i))
			continue;
		if (pages && leaf->page != 0)
			bit_array_clear(h->s->store->pages, leaf->page);
		free(leaf);
	}
	free(h->map);
	h->map = NULL;
	for (uint64_t i = 0; pages && i < h->taken.count; i++)
		blob_cluster_untake(h->s->store, h->taken.at[i]);
}

/* New clusters and fresh extent pages, durable; those that are taken over by reference have theirs.
 */
static int write_merged(struct handover *h, struct error *err)
{
	struct blob *c = h->c;
	int rc = 0;

	if (!c->table && h->taken.count > 0)
		rc = md_flush(c->store);
	if (rc < 0)
		return error_set(err, rc, "blob 0x%" PRIx64 ": new clusters: %s", c->id,
				 error_errno_text(rc));
	if (!c->table)
		return 0;
	rc = blob_leaves_take_pages(c->store, h->map, blob_map(c), err);
	if (rc < 0)
		return rc;
	rc = blob_leaves_write(c, h->map, blob_map(c));
	if (rc < 0)
		return error_set(err, rc, "blob 0x%" PRIx64 ": extent pages: %s", c->id,
				 error_errno_text(rc));
	return 0;
}

static int inherit_back(struct blob_state *st, const struct blob *s, struct error *err)
{
	struct blob_xattr_ref ref;

	blob_xattrs_remove(&st->xattrs, true, BLOB_XATTR_SNAP);
	if (s->esnap != NULL) {
		st->invalid |= BLOB_INVALID_ESNAP;
		blob_xattrs_find(&s->xattrs, true, BLOB_XATTR_EXTSNAP,
				 sizeof(BLOB_XATTR_EXTSNAP) - 1, &ref);
		return blob_xattrs_set(&st->xattrs, true, ref.name, ref.name_len, ref.value,
				       ref.value_len, err);
	}
	if (s->parent != NULL)
		return blob_xattrs_set_id(&st->xattrs, BLOB_XATTR_SNAP, s->parent->id, err);
	return 0;
}

static int write_clone_root(struct handover *h, struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, h->c);

	if (rc < 0)
		return error_set(err, rc, "no memory");
	st.map = h->map;
	rc = inherit_back(&st, h->s, err);
	if (rc == 0)
		rc = blob_sync(h->c, &st, err);
	blob_state_end(&st);
	return rc;
}

static int set_mark(struct blob *s, uint64_t for_clone, struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, s);

	if (rc < 0)
		return error_set(err, rc, "no memory");
	if (for_clone == BLOB_ID_NONE)
		blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAPRM);
	else
		rc = blob_xattrs_set_id(&st.xattrs, BLOB_XATTR_SNAPRM, for_clone, err);
	if (rc == 0)
		rc = blob_sync(s, &st, err);
	blob_state_end(&st);
	return rc;
}

/* In memory: the clone stands where the snapshot stood. */
static void take_place(struct handover *h)
{
	struct blob *s = h->s, *c = h->c, *parent = s->parent;

	blob_set_parent_of(c, NULL);
	blob_set_parent_of(s, NULL);
	blob_set_parent_of(c, parent);
	c->esnap = s->esnap;
	s->esnap = NULL;
	c->allocated = blob_map_count(h->map);
	blob_publish(c, h->map);
}

static int hand_over(struct handover *h, struct error *err)
{
	struct blob_store *store = h->s->store;
	int rc;

	fiber_lock(&h->c->md_lock);
	rc = take_zeroed(h, err);
	if (rc == 0) {
		rc = merge_maps(h);
		if (rc == 0)
			rc = find_freed(h);
		if (rc < 0)
			error_set(err, rc, "no memory to delete snapshot 0x%" PRIx64, h->s->id);
	}
	if (rc == 0)
		rc = write_merged(h, err);
	if (rc == 0)
		rc = write_clone_root(h, err);
	if (rc == 0)
		take_place(h);
	else
		undo_merge(h, !store->suspect);
	fiber_unlock(&h->c->md_lock);
	return rc;
}

/* Leaves that the clone took over by reference are its own now. */
static void forget_leaves(struct blob_map *sm, const struct blob_map *cm)
{
	for (uint64_t i = 0; i < sm->leaves; i++) {
		struct blob_leaf *leaf = blob_map_leaf(sm, i);

		if (leaf != NULL && leaf == blob_map_leaf(cm, i))
			blob_map_set_leaf(sm, i, NULL);
	}
}

/*
 * Order:
 *   root page of S with SNAPRM=C
 *     => (clusters of C behind the end of S where S's parent would show are zeroed)
 *     => fresh extent pages for what C has with what S adds (others are taken by reference)
 *     => root page of C: the new table, S's parent as its parent       (the commit)
 *     => root page of S is zeroes
 *     => (I/O that reads through S is over) clusters only S had are cleared and free, extent pages
 *        that neither needs are zeroed
 * A cut up to the commit leaves S and C as they were: at load C's parent is S, so S is kept and the
 * mark goes; fresh pages are nobody's. Behind it S is dropped at load without what C has. C and S
 * never both own a cluster in a state that is kept, since C's own extent pages are not touched.
 */
static int delete_snapshot(struct blob *s, struct blob *c, struct error *err)
{
	struct blob_store *store = s->store;
	struct handover h = { .s = s, .c = c };
	struct pages pages = { 0 };
	int rc = set_mark(s, c->id, err);

	if (rc < 0)
		return rc;
	pages_of(&pages, blob_map(c), NULL);
	rc = hand_over(&h, err);
	blob_clusters_end(&h.taken);
	blob_clusters_end(&h.where);
	if (rc < 0) {
		blob_clusters_end(&h.freed);
		free(pages.at);
		/* The mark does no harm if it stays: at load S is kept. */
		(void)set_mark(s, BLOB_ID_NONE, NULL);
		return rc;
	}
	rc = blob_erase_root(s, err);
	if (rc < 0) {
		/* At load S is dropped; until then it only holds what nobody else has. */
		blob_clusters_end(&h.freed);
		free(pages.at);
		return rc;
	}
	blob_io_barrier(store);
	keep_pages_of(&pages, blob_map(c));
	pages_of(&pages, blob_map(s), blob_map(c));
	forget_leaves(blob_map(s), blob_map(c));
	pages_end(store, &pages);
	blob_clusters_give(store, &h.freed, blob_clear_of(s));
	bit_array_clear(store->pages, blob_root(s));
	blob_forget(s);
	return 0;
}

/* --- which of them ---------------------------------------------------------------------------- */

static int delete_with_clone(struct blob *s, struct error *err)
{
	struct blob *c = LIST_FIRST(&s->children);
	int rc;

	if (c->hidden)
		return error_set(err, -EBUSY,
				 "blob 0x%" PRIx64 ": its clone 0x%" PRIx64
				 " is just being made or deleted",
				 s->id, c->id);
	/* A reference keeps the clone from being deleted while this waits for its turn. */
	c->refs++;
	blob_lock_op(c);
	if (s->child_count == 1 && LIST_FIRST(&s->children) == c)
		rc = delete_snapshot(s, c, err);
	else if (s->child_count == 0)
		rc = delete_alone(s, err);
	else
		rc = error_set(err, -EBUSY, "blob 0x%" PRIx64 " has other clones now", s->id);
	blob_unlock_op(c);
	c->refs--;
	return rc;
}

static int delete_any(struct blob *b, struct error *err)
{
	if (b->damage != NULL)
		return delete_damaged(b, err);
	if (b->child_count == 0)
		return delete_alone(b, err);
	return delete_with_clone(b, err);
}

/* A damaged clone is not linked to its snapshot, but it will need it when it is mended. */
static const struct blob *damaged_clone_of(const struct blob_store *store, uint64_t id)
{
	const struct blob *b = store->damaged > 0 ? blob_next(store, 0) : NULL;

	while (b != NULL && (b->damage == NULL || blob_parent_id(b) != id))
		b = blob_next(store, b->id + 1);
	return b;
}

int blob_delete(struct blob_store *store, uint64_t id, struct error *err)
{
	struct blob *b = blob_find(store, id);
	const struct blob *clone = damaged_clone_of(store, id);
	int rc = blob_check_writable(store, err);

	if (rc < 0)
		return rc;
	if (b == NULL || b->hidden)
		return error_set(err, -ENOENT, "bdev \"%s\": there is no blob 0x%" PRIx64,
				 bdev_name(store->bdev), id);
	if (b->refs > 0)
		return error_set(err, -EBUSY, "blob 0x%" PRIx64 " is open", id);
	if (b->child_count > 1)
		return error_set(err, -EBUSY,
				 "blob 0x%" PRIx64 " is the snapshot of %" PRIu32
				 " clones; delete all but one first",
				 id, b->child_count);
	if (clone != NULL)
		return error_set(err, -EBUSY,
				 "blob 0x%" PRIx64 " is the snapshot of blob 0x%" PRIx64
				 ", which is damaged; delete that first, or mend it",
				 id, clone->id);
	/* To delete what cannot be read is one way to put the store in order. */
	rc = b->damage == NULL ? blob_store_check_known(store, err) : 0;
	if (rc < 0)
		return rc;
	b->hidden = true;
	store->changes++;
	rc = delete_any(b, err);
	store->changes--;
	/* After a success @b is gone. */
	if (rc < 0)
		b->hidden = false;
	return rc;
}

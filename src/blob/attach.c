/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From pages that were scanned to blobs with cluster maps. What is wrong with a blob costs that
 * blob: it is kept, marked as damaged, with what is known of its pages and clusters.
 *
 * The size of a blob is what its extent pages list (format page, section 10.3). SPDK shortens
 * extent pages before it writes the root page of a blob that shrinks; a cut between leaves a page
 * that is short, or lists nothing, in the middle of the table. The blob ends there: its content is
 * the one after the shrink. The table on disk is put right by blob_fixup_all().
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

#define CHAIN_FIBERS 32u

/* Top levels of all maps together: without a bound an image of a few pages could ask for anything.
 */
#define MAP_BYTES_BASE	  (UINT64_C(256) << 20)
#define MAP_BYTES_CLUSTER 16u

struct attach {
	struct blob_store *store;
	struct blob_scan *scan;
	uint32_t next_root;
	struct bit_array *claimed, *contested; /* pages of chains */
	uint64_t map_bytes;
	int result;
};

static int out_of_memory(struct error *err)
{
	return error_set(err, -ENOMEM, "no memory for the blobs");
}

/* --- chains ----------------------------------------------------------------------------------- */

static int chain_add(struct blob *b, uint32_t page)
{
	uint32_t *more = realloc(b->chain, (b->chain_len + 1) * sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	more[b->chain_len] = page;
	b->chain = more;
	b->chain_len++;
	return 0;
}

static int chain_page(struct attach *a, struct blob_scan_root *root, uint8_t *page, uint32_t index,
		      struct error *err)
{
	int rc = md_read_page(a->store, page, index);

	if (rc < 0)
		return error_set(err, rc, "page %" PRIu32 ": %s", index, error_errno_text(rc));
	if (!blob_page_crc_is_right(page))
		return error_set(err, -EILSEQ, "page %" PRIu32 ": the checksum is wrong", index);
	rc = blob_content_add(&root->content, page, &a->store->geo, err);
	if (rc < 0)
		return error_prefix(err, "page %" PRIu32 ": ", index);
	rc = chain_add(root->blob, index);
	if (rc < 0)
		return out_of_memory(err);
	root->next = blob_page_next(page);
	return 0;
}

static bool is_in_chain(const struct blob_scan_root *root, uint32_t index)
{
	for (uint32_t i = 0; i < root->blob->chain_len; i++) {
		if (root->blob->chain[i] == index)
			return true;
	}
	return index == root->page;
}

/*
 * A page continues one chain only. A second claim ends the walk, so that all chains together cost
 * no more than the metadata region has pages; if it is another blob's, neither can be believed.
 */
static int chain_claim(struct attach *a, struct blob_scan_root *root, uint32_t index,
		       struct error *err)
{
	if (!bit_array_get(a->claimed, index)) {
		bit_array_set(a->claimed, index);
		return 0;
	}
	if (is_in_chain(root, index))
		return error_set(err, -EILSEQ,
				 "its chain of pages goes in a circle, through page %" PRIu32,
				 index);
	bit_array_set(a->contested, index);
	return error_set(err, -EILSEQ, "page %" PRIu32 " of its chain is another blob's too",
			 index);
}

static int chain_walk(struct attach *a, struct blob_scan_root *root, uint8_t *page,
		      struct error *err)
{
	int rc = 0;

	while (rc == 0 && root->next != BLOB_NEXT_NONE) {
		uint32_t index = root->next;

		if (index >= a->store->geo.md.len)
			return error_set(err, -EILSEQ,
					 "next page %" PRIu32 ", the store has %" PRIu32
					 " metadata pages",
					 index, a->store->geo.md.len);
		rc = chain_claim(a, root, index, err);
		if (rc == 0)
			rc = chain_page(a, root, page, index, err);
	}
	return rc;
}

static void chain_read(struct attach *a, struct blob_scan_root *root, uint8_t *page)
{
	struct error err = ERROR_INIT;
	int rc = chain_walk(a, root, page, &err);

	if (rc == -ENOMEM)
		a->result = rc;
	if (rc < 0)
		blob_damage_set(root->blob, rc, "%s", err.text);
}

static void chains_read(void *arg)
{
	struct attach *a = arg;
	uint8_t *page = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);

	if (page == NULL) {
		a->result = -ENOMEM;
		return;
	}
	while (a->next_root < a->scan->root_count) {
		struct blob_scan_root *root = &a->scan->roots[a->next_root++];

		if (root->blob->damage == NULL && root->next != BLOB_NEXT_NONE)
			chain_read(a, root, page);
	}
	free(page);
}

static bool any_chain(const struct blob_scan *scan)
{
	for (uint32_t i = 0; i < scan->root_count; i++) {
		if (scan->roots[i].next != BLOB_NEXT_NONE)
			return true;
	}
	return false;
}

/* Whoever came first to a contested page may be the wrong one. */
static void damage_contested(struct attach *a)
{
	for (uint32_t i = 0; i < a->scan->root_count; i++) {
		struct blob *b = a->scan->roots[i].blob;

		for (uint32_t j = 0; j < b->chain_len; j++) {
			if (bit_array_get(a->contested, b->chain[j]))
				blob_damage_set(b, -EILSEQ,
						"page %" PRIu32
						" of its chain is another blob's too",
						b->chain[j]);
		}
	}
}

static int read_chains(struct attach *a)
{
	int rc = 0;

	if (!any_chain(a->scan))
		return 0;
	a->claimed = bit_array_create(a->store->geo.md.len);
	a->contested = bit_array_create(a->store->geo.md.len);
	if (a->claimed == NULL || a->contested == NULL)
		rc = -ENOMEM;
	for (uint32_t i = 0; i < a->scan->root_count && rc == 0; i++)
		bit_array_set(a->claimed, a->scan->roots[i].page);
	if (rc == 0)
		rc = blob_parallel(CHAIN_FIBERS, chains_read, a);
	if (rc == 0 && bit_array_count_set(a->contested) > 0)
		damage_contested(a);
	bit_array_destroy(a->claimed);
	bit_array_destroy(a->contested);
	return rc < 0 ? rc : a->result;
}

/* --- maps from runs --------------------------------------------------------------------------- */

static int map_budget(struct attach *a, uint64_t leaves, struct error *err)
{
	uint64_t limit =
		MAP_BYTES_BASE + (uint64_t)a->store->geo.total_clusters * MAP_BYTES_CLUSTER;

	a->map_bytes += blob_map_bytes(leaves);
	if (a->map_bytes <= limit)
		return 0;
	a->map_bytes -= blob_map_bytes(leaves);
	return error_set(err, -EFBIG,
			 "its map and those before it need more than %" PRIu64
			 " bytes of memory, which is the limit for a device of this size",
			 limit);
}

static int put_run(struct blob_map *map, uint64_t index, const struct blob_pair *run)
{
	for (uint32_t i = 0; i < run->b; i++) {
		uint64_t at = index + i, table = at / BLOB_EXTENT_CLUSTERS;
		struct blob_leaf *leaf = blob_map_leaf(map, table);

		if (leaf == NULL) {
			leaf = blob_leaf_create(blob_map_entries(map->clusters, table));
			if (leaf == NULL)
				return -ENOMEM;
			blob_map_set_leaf(map, table, leaf);
		}
		blob_leaf_set(leaf, at % BLOB_EXTENT_CLUSTERS, run->a + i);
	}
	return 0;
}

static uint64_t runs_allocated_end(const struct blob_content *c)
{
	uint64_t index = 0, end = 0;

	for (uint32_t i = 0; i < c->pairs.count; i++) {
		index += c->pairs.pair[i].b;
		if (c->pairs.pair[i].a != 0)
			end = index;
	}
	return end;
}

static int map_from_runs(struct attach *a, struct blob *b, const struct blob_content *c,
			 struct error *err)
{
	uint64_t leaves = blob_map_tables(runs_allocated_end(c)), index = 0;
	struct blob_map *map;
	int rc = map_budget(a, leaves, err);

	if (rc < 0)
		return rc;
	map = blob_map_create(c->clusters, leaves);
	if (map == NULL)
		return out_of_memory(err);
	atomic_store(&b->map, map);
	for (uint32_t i = 0; i < c->pairs.count; i++) {
		if (c->pairs.pair[i].a != 0 && put_run(map, index, &c->pairs.pair[i]) < 0)
			return out_of_memory(err);
		index += c->pairs.pair[i].b;
	}
	return 0;
}

/* --- maps from extent tables ------------------------------------------------------------------ */

/* A page that the scan did not see (not in the mask), or that another blob took already. */
static int read_leaf(struct attach *a, uint32_t index, struct blob_scan_leaf *leaf,
		     struct error *err)
{
	uint8_t *page = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);
	struct blob_extents extents;
	int rc;

	if (page == NULL)
		return out_of_memory(err);
	rc = md_read_page(a->store, page, index);
	if (rc < 0)
		error_set(err, rc, "%s", error_errno_text(rc));
	else
		rc = blob_extents_parse(page, &a->store->geo, &extents, err);
	if (rc == 0 && blob_scan_leaf_make(&extents, index, leaf) < 0)
		rc = out_of_memory(err);
	free(page);
	return rc < 0 ? error_prefix(err, "extent page %" PRIu32 ": ", index) : 0;
}

static int check_leaf(const struct blob *b, const struct blob_scan_leaf *leaf, uint64_t start,
		      struct error *err)
{
	if (leaf->start != start)
		return error_set(err, -EILSEQ,
				 "extent page %" PRIu32 ": starts at cluster %" PRIu32
				 ", should at %" PRIu64,
				 leaf->leaf->page, leaf->start, start);
	for (uint32_t i = 0; (b->invalid & BLOB_INVALID_THIN) == 0 && i < leaf->count; i++) {
		if (blob_leaf_get(leaf->leaf, i) == 0)
			return error_set(err, -EILSEQ,
					 "extent page %" PRIu32 ": entry %" PRIu32
					 " is a hole in a blob that is not thin",
					 leaf->leaf->page, i);
	}
	return 0;
}

static int take_leaf(struct attach *a, struct blob *b, struct blob_map *map, uint32_t page,
		     uint64_t start, uint32_t *count, struct error *err)
{
	struct blob_scan_leaf leaf;
	int rc = 0;

	if (!blob_scan_take(a->scan, page, &leaf))
		rc = read_leaf(a, page, &leaf, err);
	if (rc < 0)
		return rc;
	*count = leaf.count;
	rc = check_leaf(b, &leaf, start, err);
	if (rc < 0 || leaf.count == 0) {
		free(leaf.leaf);
		return rc;
	}
	blob_map_set_leaf(map, start / BLOB_EXTENT_CLUSTERS, leaf.leaf);
	return 0;
}

static uint64_t table_leaves(const struct blob_content *c)
{
	uint64_t index = 0, end = 0;

	for (uint32_t i = 0; i < c->pairs.count; i++) {
		index += c->pairs.pair[i].b;
		if (c->pairs.pair[i].a != 0)
			end = index;
	}
	return end;
}

/* Missing pages cover what num_clusters still has. */
static uint64_t missing_clusters(const struct blob_content *c, uint64_t so_far, uint32_t tables)
{
	uint64_t left = c->table_clusters > so_far ? c->table_clusters - so_far : 0;
	uint64_t most = (uint64_t)tables * BLOB_EXTENT_CLUSTERS;

	return left < most ? left : most;
}

static int fill_from_table(struct attach *a, struct blob *b, struct blob_map *map,
			   const struct blob_content *c, struct error *err)
{
	for (uint32_t i = 0; i < c->pairs.count; i++) {
		const struct blob_pair *p = &c->pairs.pair[i];
		uint32_t count;
		int rc;

		if (p->a == 0) {
			map->clusters += missing_clusters(c, map->clusters, p->b);
			continue;
		}
		rc = take_leaf(a, b, map, p->a, map->clusters, &count, err);
		if (rc < 0)
			return rc;
		map->clusters += count;
		if (count < BLOB_EXTENT_CLUSTERS)
			break;
	}
	return 0;
}

static int map_from_table(struct attach *a, struct blob *b, const struct blob_content *c,
			  struct error *err)
{
	uint64_t leaves = table_leaves(c);
	struct blob_map *map;
	int rc = map_budget(a, leaves, err);

	if (rc < 0)
		return rc;
	map = blob_map_create(0, leaves);
	if (map == NULL)
		return out_of_memory(err);
	atomic_store(&b->map, map);
	b->table = true;
	rc = fill_from_table(a, b, map, c, err);
	b->cut = rc == 0 && blob_map_tables(map->clusters) < blob_map_tables(c->table_clusters);
	blob_map_settle(map);
	return rc;
}

/* --- blobs ------------------------------------------------------------------------------------ */

static int begin_blob(struct attach *a, struct blob_scan_root *root)
{
	root->blob = blob_new(a->store, root->page);
	if (root->blob == NULL)
		return -ENOMEM;
	root->blob->long_root = root->is_long;
	if (root->code < 0)
		blob_damage_set(root->blob, root->code, "root page %" PRIu32 ": %s", root->page,
				root->text != NULL ? root->text : "unreadable");
	return 0;
}

static int end_blob(struct attach *a, struct blob_scan_root *root)
{
	struct blob_content *c = &root->content;
	struct blob *b = root->blob;
	struct error err = ERROR_INIT;
	int rc;

	blob_set_flags(b, c->invalid, c->data_ro, c->md_ro);
	b->xattrs = c->xattrs;
	c->xattrs = (struct blob_xattrs){ 0 };
	if (c->form == BLOB_FORM_TABLE)
		rc = map_from_table(a, b, c, &err);
	else
		rc = map_from_runs(a, b, c, &err);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		blob_damage_set(b, rc, "%s", err.text);
	b->allocated = blob_map(b) != NULL ? blob_map_count(blob_map(b)) : 0;
	blob_content_free(c);
	return 0;
}

int blob_attach_all(struct blob_store *store, struct blob_scan *scan, struct error *err)
{
	struct attach a = { .store = store, .scan = scan };

	for (uint32_t i = 0; i < scan->root_count && a.result == 0; i++)
		a.result = begin_blob(&a, &scan->roots[i]);
	if (a.result == 0)
		a.result = read_chains(&a);
	for (uint32_t i = 0; i < scan->root_count && a.result == 0; i++)
		a.result = end_blob(&a, &scan->roots[i]);
	if (a.result < 0)
		return error_set(err, a.result, "blobs could not be read: %s",
				 error_errno_text(a.result));
	return 0;
}

uint64_t blob_parent_id(const struct blob *b)
{
	uint64_t id;

	/* A stale SNAP may stand beside EXTSNAP (format page, section 9). */
	if ((b->invalid & BLOB_INVALID_ESNAP) != 0 || (b->invalid & BLOB_INVALID_THIN) == 0 ||
	    !blob_xattrs_get_id(&b->xattrs, BLOB_XATTR_SNAP, &id))
		return BLOB_ID_NONE;
	return id;
}

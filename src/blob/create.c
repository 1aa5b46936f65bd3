/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New blobs: thick, thin, clones of a snapshot, clones of an external snapshot.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

void blob_lock_op(struct blob *b)
{
	b->store->changes++;
	fiber_lock(&b->op_lock);
}

void blob_unlock_op(struct blob *b)
{
	b->store->changes--;
	fiber_unlock(&b->op_lock);
}

int blob_draft(struct blob_store *store, struct blob **out, struct error *err)
{
	uint32_t root;
	int rc = blob_page_take(store, 0, &root, err);

	if (rc < 0)
		return rc;
	*out = blob_new(store, root);
	if (*out == NULL) {
		bit_array_clear(store->pages, root);
		return error_set(err, -ENOMEM, "no memory for a blob");
	}
	(*out)->hidden = true;
	(*out)->table = true;
	store->changes++;
	return 0;
}

/* When a write failed the device may have the blob: its pages and clusters stay in use then. */
void blob_draft_drop(struct blob *b)
{
	struct blob_store *store = b->store;

	store->changes--;
	if (store->suspect)
		return;
	if (blob_map(b) != NULL)
		blob_claim_drop(b);
	bit_array_clear(store->pages, blob_root(b));
	blob_forget(b);
}

static void draft_done(struct blob *b)
{
	b->hidden = false;
	b->store->changes--;
}

int blob_xattrs_add_all(struct blob_xattrs *set, const struct blob_xattr *xattrs, size_t count,
			struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = blob_xattrs_set(set, false, xattrs[i].name, strlen(xattrs[i].name),
				     xattrs[i].value, xattrs[i].len, err);
	return rc;
}

void blob_set_parent_of(struct blob *b, struct blob *parent)
{
	blob_abandon(b);
	if (parent != NULL)
		blob_adopt(parent, b);
}

/* --- create ----------------------------------------------------------------------------------- */

/* Zeroed clusters for the whole of a thick blob, in a map with leaves that have pages. */
static int make_thick_map(struct blob *b, uint64_t clusters, struct error *err)
{
	struct blob_clusters list = { 0 };
	struct blob_map *map;
	int rc;

	blob_clusters_await(b->store, clusters);
	rc = blob_clusters_take_zeroed(b->store, clusters, &list, err);
	if (rc < 0)
		return rc;
	map = blob_map_create(clusters, blob_map_tables(clusters));
	rc = map == NULL ? -ENOMEM : blob_map_fill(map, 0, &list);
	atomic_store_explicit(&b->map, map, memory_order_release);
	if (rc < 0) {
		for (uint64_t i = 0; i < list.count; i++)
			blob_cluster_untake(b->store, list.at[i]);
		error_set(err, rc, "no memory for a map of %" PRIu64 " clusters", clusters);
	} else {
		rc = blob_leaves_take_pages(b->store, map, NULL, err);
		blob_map_settle(map);
	}
	blob_clusters_end(&list);
	return rc;
}

static int make_thin_map(struct blob *b, uint64_t clusters, struct error *err)
{
	struct blob_map *map = blob_map_create(clusters, 0);

	if (map == NULL)
		return error_set(err, -ENOMEM, "no memory for a blob");
	map->back = (struct blob_back){ .parent = b->parent, .esnap = b->esnap };
	atomic_store_explicit(&b->map, map, memory_order_release);
	return 0;
}

static int check_size(uint64_t clusters, struct error *err)
{
	if (clusters <= UINT32_MAX)
		return 0;
	return error_set(err, -EINVAL, "%" PRIu64 " clusters; a blob has at most 2^32 - 1",
			 clusters);
}

static int set_esnap(struct blob *b, const void *id, uint16_t len, struct error *err)
{
	int rc = blob_xattrs_set(&b->xattrs, true, BLOB_XATTR_EXTSNAP, strlen(BLOB_XATTR_EXTSNAP),
				 id, len, err);

	if (rc < 0)
		return rc;
	b->esnap = blob_esnap_get(b->store, id, len);
	return b->esnap == NULL ? error_set(err, -ENOMEM, "no memory for a blob") : 0;
}

/*
 * Order: new clusters are zeroed, extent pages => root page (continuation pages before it).
 * A cut before the root page leaves nothing that anybody refers to; behind it the blob is there,
 * with all its xattrs, and reads as zeroes.
 */
static int write_new(struct blob *b, struct error *err)
{
	struct blob_state st;
	int rc;

	if (blob_map(b)->leaves > 0) {
		rc = blob_leaves_write(b, blob_map(b), NULL);
		if (rc < 0)
			return error_set(err, rc, "the extent pages could not be written: %s",
					 error_errno_text(rc));
	}
	rc = blob_state_begin(&st, b);
	if (rc < 0)
		return error_set(err, rc, "no memory for a blob");
	rc = blob_sync(b, &st, err);
	blob_state_end(&st);
	return rc;
}

static int fill_draft(struct blob *b, const struct blob_options *opts, struct error *err)
{
	bool thin = opts->thin || opts->esnap_id != NULL;
	uint64_t invalid = thin ? BLOB_INVALID_THIN : 0;
	int rc = blob_xattrs_add_all(&b->xattrs, opts->xattrs, opts->xattr_count, err);

	if (rc == 0 && opts->esnap_id != NULL) {
		invalid |= BLOB_INVALID_ESNAP;
		rc = set_esnap(b, opts->esnap_id, opts->esnap_id_len, err);
	}
	blob_set_flags(b, invalid, 0, opts->clear & BLOB_MD_RO_CLEAR_MASK);
	if (rc == 0)
		rc = thin ? make_thin_map(b, opts->clusters, err)
			  : make_thick_map(b, opts->clusters, err);
	if (rc == 0)
		rc = blob_store_mark_dirty(b->store, err);
	return rc == 0 ? write_new(b, err) : rc;
}

int blob_create(struct blob_store *store, const struct blob_options *opts, uint64_t *id,
		struct error *err)
{
	struct blob *b;
	int rc = blob_check_writable(store, err);

	if (rc == 0)
		rc = check_size(opts->clusters, err);
	if (rc == 0)
		rc = blob_draft(store, &b, err);
	if (rc < 0)
		return rc;
	rc = fill_draft(b, opts, err);
	if (rc < 0) {
		blob_draft_drop(b);
		return rc;
	}
	b->allocated = opts->thin || opts->esnap_id != NULL ? 0 : opts->clusters;
	*id = b->id;
	draft_done(b);
	return 0;
}

/* --- clone ------------------------------------------------------------------------------------ */

static int fill_clone(struct blob *b, struct blob *parent, const struct blob_xattr *xattrs,
		      size_t count, struct error *err)
{
	int rc = blob_xattrs_add_all(&b->xattrs, xattrs, count, err);

	if (rc == 0)
		rc = blob_xattrs_set_id(&b->xattrs, BLOB_XATTR_SNAP, parent->id, err);
	blob_set_flags(b, BLOB_INVALID_THIN, 0, 0);
	b->table = parent->table;
	blob_adopt(parent, b);
	if (rc == 0)
		rc = make_thin_map(b, blob_map(parent)->clusters, err);
	return rc == 0 ? write_new(b, err) : rc;
}

/* Order: (dirty mark) => root page of the clone. It is there with it, and not before. */
int blob_clone(struct blob *parent, const struct blob_xattr *xattrs, size_t count, uint64_t *id,
	       struct error *err)
{
	struct blob *b;
	int rc = blob_check_writable(parent->store, err);

	if (rc < 0)
		return rc;
	if (!parent->read_only)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64
				 " can be written to; only a read-only blob, as a "
				 "snapshot is, has clones",
				 parent->id);
	rc = blob_draft(parent->store, &b, err);
	if (rc < 0)
		return rc;
	rc = fill_clone(b, parent, xattrs, count, err);
	if (rc < 0) {
		blob_draft_drop(b);
		return rc;
	}
	*id = b->id;
	draft_done(b);
	return 0;
}

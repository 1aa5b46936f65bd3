/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving a blob another parent.
 *
 * Order of each: (dirty mark) => continuation pages => root page, which names the parent. It is the
 * commit; before it the old parent stands, behind it the new one.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

int blob_stand_on(struct blob *b, struct blob_state *st, struct blob_back back, struct error *err)
{
	struct blob_map *map =
		blob_map_clone(blob_map(b), blob_map(b)->clusters, blob_map(b)->leaves);
	int rc;

	if (map == NULL)
		return error_set(err, -ENOMEM, "blob 0x%" PRIx64 ": no memory", b->id);
	map->back = back;
	st->map = map;
	rc = blob_sync(b, st, err);
	if (rc < 0) {
		blob_leaves_undo(b->store, map, blob_map(b), false);
		return rc;
	}
	blob_publish(b, map);
	blob_set_parent_of(b, back.parent);
	b->esnap = back.esnap;
	return 0;
}

static int stand_on_esnap(struct blob *b, const void *id, uint16_t len, struct blob_esnap *e,
			  struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, b);

	if (rc < 0)
		error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id);
	st.invalid |= BLOB_INVALID_ESNAP;
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAP);
	if (rc == 0)
		rc = blob_xattrs_set(&st.xattrs, true, BLOB_XATTR_EXTSNAP,
				     strlen(BLOB_XATTR_EXTSNAP), id, len, err);
	if (rc == 0)
		rc = blob_stand_on(b, &st, (struct blob_back){ .esnap = e }, err);
	blob_state_end(&st);
	return rc;
}

/* With the old external snapshot, if any, given back when no I/O reads it any more. */
static int change_esnap(struct blob *b, const void *id, uint16_t len, struct error *err)
{
	struct blob_esnap *old = b->esnap, *e = blob_esnap_get(b->store, id, len);
	int rc;

	if (e == NULL)
		return error_set(err, -ENOMEM, "blob 0x%" PRIx64 ": no memory", b->id);
	rc = blob_esnap_open(b->store, e, err);
	if (rc == 0 && e->bytes % b->store->geo.cluster_size != 0)
		rc = error_set(err, -EINVAL,
			       "the external snapshot has %" PRIu64
			       " bytes, which is no multiple of the cluster size %" PRIu32,
			       e->bytes, b->store->geo.cluster_size);
	if (rc == 0) {
		fiber_lock(&b->md_lock);
		rc = stand_on_esnap(b, id, len, e, err);
		fiber_unlock(&b->md_lock);
	}
	if (rc < 0) {
		blob_esnap_put(b->store, e);
		return rc;
	}
	if (old != NULL) {
		blob_io_barrier(b->store);
		blob_esnap_put(b->store, old);
	}
	return 0;
}

int blob_stand_on_esnap_of(struct blob *b, const struct blob *parent, struct error *err)
{
	struct blob_esnap *e = blob_esnap_get(b->store, parent->esnap->id, parent->esnap->id_len);
	int rc;

	if (e == NULL)
		return error_set(err, -ENOMEM, "blob 0x%" PRIx64 ": no memory", b->id);
	fiber_lock(&b->md_lock);
	rc = stand_on_esnap(b, e->id, e->id_len, e, err);
	fiber_unlock(&b->md_lock);
	if (rc < 0)
		blob_esnap_put(b->store, e);
	return rc;
}

int blob_set_esnap_parent(struct blob *b, const void *id, uint16_t len, struct error *err)
{
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	if ((b->invalid & BLOB_INVALID_THIN) == 0)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64 " is not thin, so nothing behind it shows",
				 b->id);
	if (b->esnap != NULL && b->esnap->id_len == len && memcmp(b->esnap->id, id, len) == 0)
		return error_set(err, -EEXIST,
				 "blob 0x%" PRIx64 " stands on this external snapshot already",
				 b->id);
	blob_lock_op(b);
	rc = change_esnap(b, id, len, err);
	blob_unlock_op(b);
	return rc;
}

/* --- a snapshot of the same store ------------------------------------------------------------- */

static bool is_above(const struct blob *b, const struct blob *other)
{
	for (; other != NULL; other = other->parent) {
		if (other == b)
			return true;
	}
	return false;
}

static int check_parent(const struct blob *b, const struct blob *parent, struct error *err)
{
	if ((b->invalid & BLOB_INVALID_THIN) == 0)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64 " is not thin, so nothing behind it shows",
				 b->id);
	if (!parent->read_only)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64
				 " can be written to; only a read-only one can be a parent",
				 parent->id);
	if (b->parent == parent)
		return error_set(err, -EEXIST,
				 "blob 0x%" PRIx64 " is the parent of 0x%" PRIx64 " already",
				 parent->id, b->id);
	if (is_above(b, parent))
		return error_set(err, -EINVAL, "blob 0x%" PRIx64 " stands on 0x%" PRIx64 " itself",
				 parent->id, b->id);
	if (blob_map(parent)->clusters != blob_map(b)->clusters)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64 " has %" PRIu64 " clusters, 0x%" PRIx64
				 " has %" PRIu64 "; they must be the same",
				 parent->id, blob_map(parent)->clusters, b->id,
				 blob_map(b)->clusters);
	return 0;
}

static int change_parent(struct blob *b, struct blob *parent, struct error *err)
{
	struct blob_esnap *old = b->esnap;
	struct blob_state st;
	int rc = check_parent(b, parent, err);

	if (rc < 0)
		return rc;
	fiber_lock(&b->md_lock);
	rc = blob_state_begin(&st, b);
	if (rc < 0)
		error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id);
	st.invalid &= ~BLOB_INVALID_ESNAP;
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_EXTSNAP);
	if (rc == 0)
		rc = blob_xattrs_set_id(&st.xattrs, BLOB_XATTR_SNAP, parent->id, err);
	if (rc == 0)
		rc = blob_stand_on(b, &st, (struct blob_back){ .parent = parent }, err);
	blob_state_end(&st);
	fiber_unlock(&b->md_lock);
	if (rc == 0 && old != NULL) {
		blob_io_barrier(b->store);
		blob_esnap_put(b->store, old);
	}
	return rc;
}

int blob_set_parent(struct blob *b, struct blob *parent, struct error *err)
{
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	rc = change_parent(b, parent, err);
	blob_unlock_op(b);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: the content of a blob goes over to a new, read-only one; the blob becomes its clone.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

static int copy_back(struct blob *s, const struct blob *x, struct error *err)
{
	static const char *const names[] = { BLOB_XATTR_SNAP, BLOB_XATTR_EXTSNAP };
	struct blob_xattr_ref ref;
	int rc = 0;

	for (unsigned int i = 0; i < 2 && rc == 0; i++) {
		if (blob_xattrs_find(&x->xattrs, true, names[i], strlen(names[i]), &ref))
			rc = blob_xattrs_set(&s->xattrs, true, ref.name, ref.name_len, ref.value,
					     ref.value_len, err);
	}
	return rc;
}

/* S with what X has now, and the mark that it is not finished. */
static int write_draft(struct blob *s, struct blob *x, const struct blob_xattr *xattrs,
		       size_t count, struct error *err)
{
	struct blob_state st;
	int rc = blob_xattrs_add_all(&s->xattrs, xattrs, count, err);

	if (rc == 0)
		rc = blob_xattrs_set_id(&s->xattrs, BLOB_XATTR_SNAPTMP, x->id, err);
	if (rc == 0)
		rc = copy_back(s, x, err);
	if (rc < 0)
		return rc;
	blob_set_flags(s, x->invalid, 0, x->md_ro);
	s->table = x->table;
	rc = blob_state_begin(&st, s);
	if (rc < 0)
		return error_set(err, rc, "no memory for a snapshot");
	st.map = blob_map(x);
	rc = blob_sync(s, &st, err);
	blob_state_end(&st);
	return rc;
}

/* X as a clone of S, with nothing of its own. */
static int write_clone(struct blob *x, struct blob *s, struct blob_map *empty, struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, x);

	if (rc < 0)
		return error_set(err, rc, "no memory for a snapshot");
	st.map = empty;
	st.invalid = (st.invalid & ~BLOB_INVALID_ESNAP) | BLOB_INVALID_THIN;
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_EXTSNAP);
	rc = blob_xattrs_set_id(&st.xattrs, BLOB_XATTR_SNAP, s->id, err);
	if (rc == 0)
		rc = blob_sync(x, &st, err);
	blob_state_end(&st);
	return rc;
}

/* No wait in here: whoever looks sees all of it or nothing. */
static void change_places(struct blob *s, struct blob *x, struct blob_map *empty)
{
	struct blob *parent = x->parent;

	s->esnap = x->esnap;
	x->esnap = NULL;
	s->allocated = x->allocated;
	x->allocated = 0;
	atomic_store_explicit(&s->map, blob_map(x), memory_order_release);
	empty->back = (struct blob_back){ .parent = s };
	atomic_store_explicit(&x->map, empty, memory_order_release);
	blob_set_parent_of(x, NULL);
	blob_set_parent_of(s, parent);
	blob_set_parent_of(x, s);
}

static int finish(struct blob *s, struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, s);

	if (rc < 0)
		return error_set(err, rc, "no memory for a snapshot");
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAPTMP);
	st.data_ro |= BLOB_DATA_RO;
	rc = blob_sync(s, &st, err);
	blob_state_end(&st);
	return rc;
}

/*
 * Order, while writes to X wait and none is under way:
 *   root page of S: X's flags, table, parent, and SNAPTMP=X
 *     => root page of X: thin, SNAP=S, an empty table                  (the commit)
 *     => root page of S: read-only, no SNAPTMP
 * S refers to X's own extent pages, which nothing changes before the commit and only S has behind
 * it. A cut before the commit: X's parent is not S, S is dropped at load. Behind it S is kept and
 * finished.
 */
static int snapshot_frozen(struct blob *x, struct blob *s, const struct blob_xattr *xattrs,
			   size_t count, struct error *err)
{
	struct blob_map *empty = blob_map_create(blob_map(x)->clusters, 0);
	int rc;

	if (empty == NULL)
		return error_set(err, -ENOMEM, "no memory for a snapshot");
	rc = write_draft(s, x, xattrs, count, err);
	if (rc == 0)
		rc = write_clone(x, s, empty, err);
	if (rc < 0) {
		blob_map_destroy(empty);
		return rc;
	}
	change_places(s, x, empty);
	return finish(s, err);
}

/*
 * After an error before the commit. When a write of a root page failed nobody knows whether X is a
 * clone of S on the device: then S stays there, and load decides.
 */
static void drop_snapshot(struct blob *s)
{
	struct error ignored = ERROR_INIT;

	if (!s->store->suspect)
		(void)blob_erase_root(s, &ignored);
	blob_draft_drop(s);
}

static int snapshot(struct blob *x, const struct blob_xattr *xattrs, size_t count, uint64_t *id,
		    struct error *err)
{
	struct blob_store *store = x->store;
	struct blob *s;
	int rc = blob_draft(store, &s, err);

	if (rc < 0)
		return rc;
	blob_freeze(x);
	fiber_lock(&x->md_lock);
	rc = snapshot_frozen(x, s, xattrs, count, err);
	fiber_unlock(&x->md_lock);
	blob_thaw(x);
	/* Without a map of its own it is still a draft. */
	if (blob_map(s) == NULL) {
		drop_snapshot(s);
		return rc;
	}
	s->hidden = false;
	store->changes--;
	*id = s->id;
	return rc;
}

int blob_snapshot(struct blob *x, const struct blob_xattr *xattrs, size_t count, uint64_t *id,
		  struct error *err)
{
	int rc = blob_check_writable(x->store, err);

	if (rc < 0)
		return rc;
	if (x->read_only)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64
				 " is read-only, and so its own snapshot; clone it instead",
				 x->id);
	rc = blob_check_change(x, err);
	if (rc < 0)
		return rc;
	blob_lock_op(x);
	rc = snapshot(x, xattrs, count, id, err);
	blob_unlock_op(x);
	return rc;
}

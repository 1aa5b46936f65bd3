/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cut left half-way is finished or undone at load: snapshots under construction, snapshots
 * under deletion (format page, section 14), and blobs that were shrinking (attach.c).
 *
 * A snapshot S with SNAPRM or SNAPTMP naming a blob C:
 *   C is not there          S stays as it is
 *   C cannot be read        S stays as it is, and nobody writes to it: it may be C's content
 *   the parent of C is S    S stays: the marks go, it is read-only
 *   otherwise               S goes, and what only S had is free: the root page of C that was
 *                           written does not, or not yet, know S
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>

#include "blob/internal.h"

static uint64_t marked_for(const struct blob *s)
{
	uint64_t id;

	if (blob_xattrs_get_id(&s->xattrs, BLOB_XATTR_SNAPRM, &id) ||
	    blob_xattrs_get_id(&s->xattrs, BLOB_XATTR_SNAPTMP, &id))
		return id;
	return BLOB_ID_NONE;
}

/* Who is somebody's parent, by root page. */
static struct bit_array *parents(struct blob_store *store)
{
	struct bit_array *set = bit_array_create(store->geo.md.len);

	if (set == NULL)
		return NULL;
	for (struct blob *b = blob_next(store, 0); b != NULL; b = blob_next(store, b->id + 1)) {
		struct blob *parent = blob_find(store, blob_parent_id(b));

		if (parent != NULL)
			bit_array_set(set, blob_root(parent));
	}
	return set;
}

/* Order: (dirty mark) => root page of S, read-only and without marks: the operation is over. */
static int keep(struct blob *s, struct error *err)
{
	struct blob_state st;
	int rc = blob_state_begin(&st, s);

	if (rc < 0)
		return error_set(err, rc, "no memory");
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAPRM);
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAPTMP);
	st.data_ro |= BLOB_DATA_RO;
	if (blob_store_is_fixed(s->store))
		blob_state_adopt(s, &st);
	else
		rc = blob_sync(s, &st, err);
	blob_state_end(&st);
	if (rc == 0)
		log_notice("bdev \"%s\": snapshot 0x%" PRIx64
			   " of an interrupted operation is kept",
			   bdev_name(s->store->bdev), s->id);
	return rc;
}

/*
 * Order: (dirty mark) => root page of S is zeroes => its other pages are, and what only it had is
 * free. A cut before the root page leaves all for the next load; one behind it leaves pages that
 * nobody refers to.
 */
static int drop(struct blob *s, struct error *err)
{
	struct blob_store *store = s->store;
	int rc = 0;

	if (!blob_store_is_fixed(store))
		rc = blob_erase_root(s, err);
	if (rc < 0)
		return rc;
	log_notice("bdev \"%s\": snapshot 0x%" PRIx64 " of an interrupted operation goes",
		   bdev_name(store->bdev), s->id);
	/* Bits of the masks of a clean store; what others own is set again by blob_claim_all(). */
	blob_claim_drop(s);
	blob_forget(s);
	return 0;
}

enum verdict { LEAVE, WAIT, KEEP, DROP };

static enum verdict judge(const struct blob *s, const struct bit_array *are_parents)
{
	const struct blob *c = blob_find(s->store, marked_for(s));

	if (s->damage != NULL || c == NULL || c == s)
		return LEAVE;
	if (c->damage != NULL)
		return WAIT;
	if (blob_parent_id(c) == s->id)
		return KEEP;
	return bit_array_get(are_parents, blob_root(s)) ? LEAVE : DROP;
}

/* Order: (dirty mark) => root page with the shorter table. What it dropped is claimed by nobody. */
static int fix_cut(struct blob *b, struct error *err)
{
	struct blob_state st;
	int rc;

	b->cut = false;
	log_notice("bdev \"%s\": blob 0x%" PRIx64 " was shrinking; it has %" PRIu64 " clusters now",
		   bdev_name(b->store->bdev), b->id, blob_map(b)->clusters);
	if (blob_store_is_fixed(b->store))
		return 0;
	rc = blob_state_begin(&st, b);
	if (rc < 0)
		return error_set(err, rc, "no memory");
	rc = blob_sync(b, &st, err);
	blob_state_end(&st);
	return rc;
}

/* What is kept may need a free page, so nothing becomes free before all of that is written. */
static int fix_kept(struct blob_store *store, const struct bit_array *are_parents,
		    struct error *err)
{
	int rc = 0;

	for (struct blob *b = blob_next(store, 0); b != NULL && rc == 0;
	     b = blob_next(store, b->id + 1)) {
		enum verdict verdict = judge(b, are_parents);

		if (b->damage == NULL && b->cut)
			rc = fix_cut(b, err);
		if (rc == 0 && verdict == KEEP)
			rc = keep(b, err);
		else if (verdict == WAIT)
			b->read_only = true;
	}
	return rc;
}

static int fix_dropped(struct blob_store *store, const struct bit_array *are_parents,
		       struct error *err)
{
	struct blob *b = blob_next(store, 0);
	int rc = 0;

	while (b != NULL && rc == 0) {
		uint64_t id = b->id;

		if (judge(b, are_parents) == DROP)
			rc = drop(b, err);
		b = blob_next(store, id + 1);
	}
	return rc;
}

int blob_fixup_all(struct blob_store *store, struct error *err)
{
	struct bit_array *are_parents = parents(store);
	int rc;

	if (are_parents == NULL)
		return error_set(err, -ENOMEM, "no memory for the tree of blobs");
	rc = fix_kept(store, are_parents, err);
	if (rc == 0)
		rc = fix_dropped(store, are_parents, err);
	bit_array_destroy(are_parents);
	return rc;
}

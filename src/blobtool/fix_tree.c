/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupted snapshots, finished or undone as a load does it, and blobs whose snapshot is lost.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>

#include "blobtool/repair.h"

static int keep(struct repair *r, const struct volume *v, struct error *err)
{
	int rc = fix_xattr_remove(r, v, true, BLOB_XATTR_SNAPRM, err);

	repair_step(r,
		    "blob 0x%" PRIx64
		    ": a snapshot whose making or deletion was interrupted; it stays, read-only",
		    v->id);
	if (rc == 0)
		rc = fix_xattr_remove(r, v, true, BLOB_XATTR_SNAPTMP, err);
	if (rc == 0)
		rc = fix_flags(r, v, 0, 0, BLOB_DATA_RO, err);
	return rc;
}

static int drop(struct repair *r, const struct volume *v, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES] = { 0 };
	int rc = 0;

	repair_step(r,
		    "blob 0x%" PRIx64
		    ": a snapshot whose making or deletion was interrupted; it goes, "
		    "its origin has the content",
		    v->id);
	for (uint32_t i = 0; i < v->chain_len && rc == 0; i++)
		rc = image_stage(r->img, blob_page_offset(&r->m.geo, v->chain[i]), page, err);
	r->changed = true;
	return rc;
}

/* Whose snapshot it was is gone: what it has is all that is left. */
static bool lost_clone(const struct repair *r, const struct volume *v)
{
	uint32_t clone;
	uint64_t id;

	if (v->fate != FATE_LEAVE)
		return false;
	if (!blob_xattrs_get_id(&v->content.xattrs, BLOB_XATTR_SNAPRM, &id) &&
	    !blob_xattrs_get_id(&v->content.xattrs, BLOB_XATTR_SNAPTMP, &id))
		return true;
	clone = model_find(&r->m, id);
	return clone == NO_BLOB || !r->m.blobs[clone].listed || &r->m.blobs[clone] == v;
}

static bool lost_parent(const struct volume *v)
{
	return v->damage == DAMAGE_PARENT && v->parent == NO_BLOB;
}

static int detach(struct repair *r, const struct volume *v, struct error *err)
{
	int rc;

	if ((r->allow & ALLOW_DETACH) == 0) {
		repair_left(r,
			    "blob 0x%" PRIx64
			    ": %s; --allow detach lets what was there read as zeroes",
			    v->id, v->damage_text != NULL ? v->damage_text : "");
		return 0;
	}
	repair_step(r, "blob 0x%" PRIx64 ": it stands on nothing any more", v->id);
	rc = fix_xattr_remove(r, v, true, BLOB_XATTR_SNAP, err);
	if (rc == 0 && (v->content.invalid & BLOB_INVALID_ESNAP) != 0)
		rc = fix_flags(r, v, 0, BLOB_INVALID_ESNAP, 0, err);
	return rc;
}

int fix_tree(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0 && !r->changed; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (!v->listed)
			continue;
		if (v->damage == DAMAGE_NONE && (v->fate == FATE_KEEP || lost_clone(r, v)))
			rc = keep(r, v, err);
		else if (v->damage == DAMAGE_NONE && v->fate == FATE_DROP)
			rc = drop(r, v, err);
		else if (lost_parent(v))
			rc = detach(r, v, err);
	}
	return rc;
}

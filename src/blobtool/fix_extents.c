/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent pages that are lost or wrong, and tables that an interrupted shrink left too long.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

/* An extent page of nobody that this blob wrote for this place; 0: none, or several. */
static uint32_t find_orphan(struct repair *r, const struct volume *v, uint64_t start)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct error ignored = ERROR_INIT;
	struct blob_extents e;
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->m.page_count; i++) {
		const struct md_page *p = &r->m.pages[i];

		if (p->kind != BLOB_PAGE_EXTENTS || p->owner != NO_BLOB ||
		    fix_read(r, p->index, page, NULL) < 0 || le64_get(page) != v->id ||
		    blob_extents_parse(page, &r->m.geo, &e, &ignored) < 0 || e.start != start ||
		    e.count == 0)
			continue;
		if (found != 0)
			return 0;
		found = p->index;
	}
	return found;
}

/* Entries beyond the data clusters become holes. */
static bool clean_entries(uint8_t *page, const struct blob_geometry *geo)
{
	struct desc d = { 0 };
	bool changed = false;

	if (!desc_next(page, &d) || d.type != BLOB_DESC_EXTENT_PAGE || d.payload == NULL ||
	    d.length < 4)
		return false;
	for (uint32_t i = 4; i + 4 <= d.length; i += 4) {
		uint32_t cluster = le32_get(d.payload + i);

		if (cluster == 0 || (cluster >= geo->md_clusters && cluster < geo->total_clusters))
			continue;
		le32_put(d.payload + i, 0);
		changed = true;
	}
	return changed;
}

static bool is_good(struct repair *r, uint8_t *page, uint64_t start, bool *has_hole)
{
	struct error ignored = ERROR_INIT;
	struct blob_extents e;

	if (blob_extents_parse(page, &r->m.geo, &e, &ignored) < 0 || e.start != start)
		return false;
	for (uint32_t i = 0; i < e.count; i++) {
		if (le32_get(e.entries + (size_t)4 * i) == 0)
			*has_hole = true;
	}
	return true;
}

static int make_thin(struct repair *r, const struct volume *v, struct error *err)
{
	int rc;

	if ((v->content.invalid & BLOB_INVALID_THIN) != 0)
		return 0;
	rc = fix_flags(r, v, BLOB_INVALID_THIN, 0, 0, err);
	if (rc == -ENOSPC) {
		repair_left(r, "blob 0x%" PRIx64 ": no room for flags that make it thin", v->id);
		return 0;
	}
	return rc;
}

/* One page of the table; what is lost there was agreed to. */
static int open_holes(struct repair *r, const struct volume *v, uint32_t index, uint64_t start,
		      uint8_t *page, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct blob_extents e;
	int rc;

	if (blob_page_crc_is_right(page) && clean_entries(page, &r->m.geo)) {
		desc_seal(page);
		if (blob_extents_parse(page, &r->m.geo, &e, &ignored) == 0 && e.start == start) {
			repair_step(r,
				    "blob 0x%" PRIx64 ": entries of extent page %" PRIu32
				    " that name no data cluster become holes",
				    v->id, index);
			rc = fix_write(r, index, page, err);
			return rc < 0 ? rc : make_thin(r, v, err);
		}
	}
	repair_step(r,
		    "blob 0x%" PRIx64 ": extent page %" PRIu32
		    " is lost; 512 clusters from %" PRIu64 " on read as zeroes",
		    v->id, index, start);
	rc = make_thin(r, v, err);
	return rc < 0 ? rc : fix_table_entry(r, v, index, 0, err);
}

static int fix_entry(struct repair *r, const struct volume *v, uint32_t index, uint64_t start,
		     struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	bool has_hole = false;
	uint32_t orphan;
	int rc = fix_read(r, index, page, err);

	if (rc < 0)
		return rc;
	if (is_good(r, page, start, &has_hole) &&
	    !(has_hole && (v->content.invalid & BLOB_INVALID_THIN) == 0))
		return 0;
	orphan = has_hole ? 0 : find_orphan(r, v, start);
	if (orphan != 0) {
		repair_step(r,
			    "blob 0x%" PRIx64 ": extent page %" PRIu32 " is wrong; page %" PRIu32
			    ", which it wrote for this place, takes over",
			    v->id, index, orphan);
		return fix_table_entry(r, v, index, orphan, err);
	}
	if ((r->allow & ALLOW_HOLES) == 0) {
		repair_left(r,
			    "blob 0x%" PRIx64 ", page %" PRIu32
			    ": %s; --allow holes lets what is lost read as zeroes",
			    v->id, index, v->damage_text != NULL ? v->damage_text : "");
		return 0;
	}
	if (has_hole) {
		repair_step(r, "blob 0x%" PRIx64 ": it has holes, so it becomes thin", v->id);
		return make_thin(r, v, err);
	}
	return open_holes(r, v, index, start, page, err);
}

static int fix_table(struct repair *r, const struct volume *v, struct error *err)
{
	const struct blob_pairs *pairs = &v->content.pairs;
	uint64_t start = 0;
	int rc = 0;

	for (uint32_t i = 0; i < pairs->count && rc == 0; i++) {
		if (pairs->pair[i].a != 0)
			rc = fix_entry(r, v, pairs->pair[i].a, start, err);
		start += (uint64_t)pairs->pair[i].b * BLOB_EXTENT_CLUSTERS;
	}
	return rc;
}

int fix_extents(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (!volume_claims(v))
			continue;
		if (v->damage == DAMAGE_EXTENTS)
			rc = fix_table(r, v, err);
		else if (v->cut) {
			repair_step(r,
				    "blob 0x%" PRIx64
				    ": it was shrinking; its table ends at %" PRIu64
				    " clusters, as its extent pages do",
				    v->id, v->clusters);
			rc = fix_table_size(r, v, v->clusters, err);
		}
	}
	return rc;
}

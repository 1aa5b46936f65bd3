/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of pages that are broken: closed where nothing is missing, spliced over a lost page, cut
 * with consent.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

static bool is_complete(const struct blob_content *c)
{
	return c->form == BLOB_FORM_TABLE && c->clusters >= c->table_clusters;
}

static int set_next(struct repair *r, const struct volume *v, uint32_t next, struct error *err)
{
	uint32_t last = v->chain[v->chain_len - 1];
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = fix_read(r, last, page, err);

	if (rc < 0)
		return rc;
	le32_put(page + offsetof(struct blob_disk_page, next), next);
	return fix_write(r, last, page, err);
}

/* --- splicing --------------------------------------------------------------------------------- */

/* The chain from its good pages on, over @next: whether it is whole then. */
static bool would_be_whole(struct repair *r, const struct volume *v, uint32_t next)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct error ignored = ERROR_INIT;
	struct blob_content c = { 0 };
	uint32_t steps = 0;
	bool whole = true;

	for (uint32_t i = 0; i < v->chain_len && whole; i++)
		whole = fix_read(r, v->chain[i], page, NULL) == 0 &&
			blob_content_add(&c, page, &r->m.geo, &ignored) == 0;
	while (whole && next != BLOB_NEXT_NONE && ++steps <= r->m.page_count) {
		whole = next < r->m.geo.md.len && fix_read(r, next, page, NULL) == 0 &&
			blob_page_crc_is_right(page) && le64_get(page) == v->id &&
			blob_content_add(&c, page, &r->m.geo, &ignored) == 0;
		next = blob_page_next(page);
	}
	whole = whole && next == BLOB_NEXT_NONE && is_complete(&c);
	blob_content_free(&c);
	return whole;
}

/* A continuation page of this blob that nobody has, behind the one that is lost. */
static uint32_t find_successor(struct repair *r, const struct volume *v)
{
	uint8_t page[BLOB_PAGE_BYTES];

	for (uint32_t i = 0; i < r->m.page_count; i++) {
		const struct md_page *p = &r->m.pages[i];

		if (p->kind != BLOB_PAGE_CHAIN || p->owner != NO_BLOB ||
		    fix_read(r, p->index, page, NULL) < 0 || le64_get(page) != v->id ||
		    le32_get(page + 8) != v->chain_len + 1)
			continue;
		if (would_be_whole(r, v, p->index))
			return p->index;
	}
	return BLOB_NEXT_NONE;
}

/* The pages behind the lost one move up. */
static int splice(struct repair *r, const struct volume *v, uint32_t next, struct error *err)
{
	uint32_t sequence = v->chain_len;
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = set_next(r, v, next, err);

	while (rc == 0 && next != BLOB_NEXT_NONE) {
		rc = fix_read(r, next, page, err);
		if (rc < 0)
			break;
		le32_put(page + offsetof(struct blob_disk_page, sequence), sequence++);
		rc = fix_write(r, next, page, err);
		next = blob_page_next(page);
	}
	return rc;
}

/* --- a lost extent table ---------------------------------------------------------------------- */

static bool is_whole_with(struct repair *r, const struct volume *v, const uint8_t *last)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct error ignored = ERROR_INIT;
	struct blob_content c = { 0 };
	bool whole = true;

	for (uint32_t i = 0; i < v->chain_len && whole; i++)
		whole = fix_read(r, v->chain[i], page, NULL) == 0 &&
			blob_content_add(&c, page, &r->m.geo, &ignored) == 0;
	whole = whole && blob_content_add(&c, last, &r->m.geo, &ignored) == 0 && is_complete(&c);
	blob_content_free(&c);
	return whole;
}

/* The lost page itself is written again, unless it is somebody else's. */
static int rebuild_table(struct repair *r, const struct volume *v, bool *done, struct error *err)
{
	const struct md_page *p = model_page(&r->m, v->bad_page);
	uint8_t page[BLOB_PAGE_BYTES] = { 0 };
	bool in_place = p != NULL && p->kind == BLOB_PAGE_EMPTY;
	uint32_t index = v->bad_page;
	int rc = in_place ? fix_read(r, index, page, err) : 0;

	*done = rc == 0 && table_of_chain(r, v, page) && is_whole_with(r, v, page);
	if (rc < 0 || !*done)
		return rc;
	if (!in_place)
		rc = fix_new_page(r, &index, err);
	if (rc == 0 && !in_place)
		rc = set_next(r, v, index, err);
	if (rc < 0)
		return rc;
	repair_step(r,
		    "blob 0x%" PRIx64 ": page %" PRIu32 " of its chain is lost; its extent pages "
		    "tell its extent table, which page %" PRIu32 " gets",
		    v->id, v->bad_page, index);
	return fix_write(r, index, page, err);
}

int fix_close_chain(struct repair *r, const struct volume *v, struct error *err)
{
	bool done = false;
	uint32_t next;
	int rc;

	if (is_complete(&v->content)) {
		repair_step(r,
			    "blob 0x%" PRIx64 ": its chain ends at page %" PRIu32
			    ", which completes it",
			    v->id, v->chain[v->chain_len - 1]);
		return set_next(r, v, BLOB_NEXT_NONE, err);
	}
	next = v->damage == DAMAGE_CHAIN_PAGE ? find_successor(r, v) : BLOB_NEXT_NONE;
	if (next != BLOB_NEXT_NONE) {
		repair_step(r,
			    "blob 0x%" PRIx64 ": page %" PRIu32 " of its chain is lost, with the "
			    "xattrs on it; the chain goes on at page %" PRIu32
			    ", and no cluster is missing",
			    v->id, v->bad_page, next);
		return splice(r, v, next, err);
	}
	rc = rebuild_table(r, v, &done, err);
	if (rc < 0 || done)
		return rc;
	if ((r->allow & ALLOW_TRUNCATE) == 0 || v->content.form != BLOB_FORM_TABLE) {
		repair_left(r,
			    "blob 0x%" PRIx64 ": its chain breaks at page %" PRIu32
			    " before its extents are complete; --allow %s",
			    v->id, v->bad_page,
			    v->content.form == BLOB_FORM_TABLE ? "truncate keeps what comes before"
							       : "drop deletes it");
		return 0;
	}
	repair_step(r, "blob 0x%" PRIx64 ": truncated from %" PRIu64 " to %" PRIu64 " clusters",
		    v->id, v->content.table_clusters, v->content.clusters);
	rc = fix_table_size(r, v, v->content.clusters, err);
	return rc < 0 ? rc : set_next(r, v, BLOB_NEXT_NONE, err);
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* The name and the value of an xattr tell its length a second time. */
static bool fix_length(uint8_t *page)
{
	struct desc d = { 0 };
	uint32_t length;
	uint8_t *p;

	while (desc_next(page, &d)) {
		struct desc_xattr x;

		if (d.type != BLOB_DESC_XATTR && d.type != BLOB_DESC_XATTR_INTERNAL)
			continue;
		if (desc_xattr(&d, &x))
			continue;
		p = page + offsetof(struct blob_disk_page, descriptors) + d.at;
		length = 4u + le16_get(p + DESC_HEADER) + le16_get(p + DESC_HEADER + 2);
		if (d.at + DESC_HEADER + length > BLOB_DESCRIPTORS_BYTES)
			return false;
		le32_put(p + 1, length);
		return true;
	}
	return false;
}

/* Sound when the whole chain, with this page instead of the bad one, is complete. */
static bool chain_is_whole(struct repair *r, const struct volume *v, const uint8_t *instead)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct error ignored = ERROR_INIT;
	struct blob_content c = { 0 };
	uint32_t next = v->root, steps = 0;
	bool whole = true;

	while (whole && next != BLOB_NEXT_NONE && ++steps <= r->m.page_count) {
		if (next == v->bad_page)
			memcpy(page, instead, sizeof(page));
		else
			whole = next < r->m.geo.md.len && fix_read(r, next, page, NULL) == 0 &&
				blob_page_crc_is_right(page);
		whole = whole && blob_content_add(&c, page, &r->m.geo, &ignored) == 0;
		next = blob_page_next(page);
	}
	whole = whole && next == BLOB_NEXT_NONE && is_complete(&c);
	blob_content_free(&c);
	return whole;
}

static int fix_content(struct repair *r, const struct volume *v, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	const struct blob_content *c = &v->content;
	int rc = fix_read(r, v->bad_page, page, err);

	if (rc < 0)
		return rc;
	if (fix_length(page) && chain_is_whole(r, v, page)) {
		repair_step(r,
			    "page %" PRIu32 ": the length of an xattr becomes what its name and "
			    "value have",
			    v->bad_page);
		return fix_write(r, v->bad_page, page, err);
	}
	if (c->form == BLOB_FORM_TABLE && c->clusters < c->table_clusters &&
	    (r->allow & ALLOW_TRUNCATE) != 0) {
		repair_step(
			r, "blob 0x%" PRIx64 ": truncated from %" PRIu64 " to %" PRIu64 " clusters",
			v->id, c->table_clusters, c->clusters);
		return fix_table_size(r, v, c->clusters, err);
	}
	repair_left(r, "blob 0x%" PRIx64 ", page %" PRIu32 ": %s; --allow drop deletes it", v->id,
		    v->bad_page, v->damage_text != NULL ? v->damage_text : "");
	return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

static bool is_chain_damage(const struct volume *v)
{
	switch (v->damage) {
	case DAMAGE_ROOT:
	case DAMAGE_CHAIN_PAGE:
	case DAMAGE_CHAIN_LOOP:
	case DAMAGE_CONTENT:
		return true;
	default:
		return false;
	}
}

static int drop(struct repair *r, const struct volume *v, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES] = { 0 };

	repair_step(r, "blob 0x%" PRIx64 ": deleted, its root page %" PRIu32 " becomes zeroes",
		    v->id, v->root);
	r->changed = true;
	return image_stage(r->img, blob_page_offset(&r->m.geo, v->root), page, err);
}

static int fix_chain(struct repair *r, const struct volume *v, struct error *err)
{
	uint32_t planned = r->steps.count;
	int rc = 0;

	if (v->damage == DAMAGE_CONTENT)
		rc = fix_content(r, v, err);
	else if (v->damage != DAMAGE_ROOT && v->chain_len > 0)
		rc = fix_close_chain(r, v, err);
	else
		repair_left(r,
			    "blob 0x%" PRIx64 ": its root page %" PRIu32
			    " cannot be read; --allow page believes it against its checksum if it "
			    "is plausible, --allow drop deletes it",
			    v->id, v->root);
	if (rc == 0 && r->steps.count == planned && (r->allow & ALLOW_DROP) != 0 &&
	    !model_is_super(&r->m, v))
		rc = drop(r, v, err);
	return rc;
}

int fix_chains(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (v->listed && is_chain_damage(v))
			rc = fix_chain(r, v, err);
	}
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An extent table made anew from extent pages: each tells who wrote it and where in the blob it
 * belongs.
 *
 * Only pages that nobody else has are taken, of this blob or of one that stands on it (a snapshot's
 * pages were written by its origin), and only where one page alone comes into question for a place.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

#define ENTRIES_MAX ((BLOB_DESCRIPTORS_BYTES - DESC_HEADER - 8) / 8)
#define UNDECIDED   UINT32_MAX
#define DEPTH_MAX   64u

/**
 * struct slots - what a table, or the rest of one from @first on, lists
 * @clusters: size of the blob; @count: of tables; @page: [count - first]; 0: a hole
 * @listed: so many of them could be read from the old table
 * @torn: the page on which the table stood, as it is now
 */
struct slots {
	uint64_t clusters;
	uint32_t first, count, listed;
	uint32_t *page;
	const uint8_t *torn;
};

/* --- whose page ------------------------------------------------------------------------------- */

static bool is_being_made_of(const struct volume *s, const struct volume *v)
{
	uint64_t id;

	return blob_xattrs_get_id(&s->content.xattrs, BLOB_XATTR_SNAPTMP, &id) && id == v->id;
}

static bool wrote(const struct repair *r, const struct volume *v, uint64_t id)
{
	for (uint32_t depth = 0; depth < DEPTH_MAX; depth++) {
		uint32_t blob;

		if (id == v->id)
			return true;
		blob = model_find(&r->m, id);
		if (blob == NO_BLOB || r->m.blobs[blob].parent_id == BLOB_ID_NONE)
			return false;
		id = r->m.blobs[blob].parent_id;
	}
	return false;
}

static bool read_orphan(const struct repair *r, const struct volume *v, uint32_t index,
			uint8_t *page, struct blob_extents *e)
{
	const struct md_page *p = model_page(&r->m, index);
	struct error ignored = ERROR_INIT;

	if (p == NULL || p->kind != BLOB_PAGE_EXTENTS)
		return false;
	if (p->owner != NO_BLOB && &r->m.blobs[p->owner] != v &&
	    !is_being_made_of(&r->m.blobs[p->owner], v))
		return false;
	return fix_read(r, index, page, NULL) == 0 &&
	       blob_extents_parse(page, &r->m.geo, e, &ignored) == 0 && e->count > 0 &&
	       e->start % BLOB_EXTENT_CLUSTERS == 0 && wrote(r, v, le64_get(page));
}

/* --- filling the slots ------------------------------------------------------------------------ */

static uint32_t *slot_of(const struct slots *s, const struct blob_extents *e)
{
	uint32_t i = e->start / BLOB_EXTENT_CLUSTERS;

	if (i < s->first || i >= s->count || e->count != blob_map_entries(s->clusters, i))
		return NULL;
	return &s->page[i - s->first];
}

/* Entries that can be read are believed as far as they name pages of their place. Holes have none:
 * those behind the last such page are believed only if they complete the table. */
static void take_listed(const struct repair *r, const struct volume *v, struct slots *s,
			const uint8_t *entries, uint32_t bytes)
{
	uint8_t page[BLOB_PAGE_BYTES];
	uint32_t at = 0;

	for (uint32_t i = 0; i + 8 <= bytes && at < s->count - s->first; i += 8) {
		uint32_t index = le32_get(entries + i), holes = le32_get(entries + i + 4);
		struct blob_extents e;

		if (index == 0 && (holes == 0 || holes > s->count - s->first - at))
			return;
		if (index == 0) {
			at += holes;
			continue;
		}
		if (!read_orphan(r, v, index, page, &e) || slot_of(s, &e) != &s->page[at])
			return;
		s->page[at++] = index;
		s->listed = at;
	}
	if (at == s->count - s->first)
		s->listed = at;
}

/* Its number can be read somewhere on the torn page, whatever was written around it. */
static bool is_seen(const struct slots *s, uint32_t index)
{
	uint8_t entry[8];

	le32_put(entry, index);
	le32_put(entry + 4, 1);
	return s->torn != NULL && memmem(s->torn, BLOB_PAGE_BYTES, entry, sizeof(entry)) != NULL;
}

static void take_orphans(const struct repair *r, const struct volume *v, struct slots *s)
{
	uint8_t page[BLOB_PAGE_BYTES];

	for (uint32_t i = 0; i < r->m.page_count; i++) {
		uint32_t index = r->m.pages[i].index, *slot;
		struct blob_extents e;

		if (r->m.pages[i].kind != BLOB_PAGE_EXTENTS || !read_orphan(r, v, index, page, &e))
			continue;
		slot = slot_of(s, &e);
		if (slot == NULL || slot < &s->page[s->listed] || *slot == index)
			continue;
		if (*slot == 0 || (is_seen(s, index) && !is_seen(s, *slot)))
			*slot = index;
		else if (is_seen(s, index) == is_seen(s, *slot))
			*slot = UNDECIDED;
	}
}

/* --- writing the table ------------------------------------------------------------------------ */

static uint32_t encode(const struct slots *s, uint8_t *entries)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->count - s->first; i++) {
		uint32_t index = s->page[i];

		if (index == UNDECIDED || n == ENTRIES_MAX)
			return UINT32_MAX;
		if (index == 0 && n > 0 && le32_get(entries + 8 * (n - 1)) == 0) {
			uint8_t *holes = entries + 8 * (n - 1) + 4;

			le32_put(holes, le32_get(holes) + 1);
			continue;
		}
		le32_put(entries + (size_t)8 * n, index);
		le32_put(entries + (size_t)8 * n++ + 4, 1);
	}
	return n;
}

static bool put_table(const struct slots *s, uint8_t *page)
{
	uint8_t entries[8 * ENTRIES_MAX], *payload;
	uint32_t n = encode(s, entries);

	payload = n == UINT32_MAX ? NULL : desc_add(page, false, BLOB_DESC_EXTENT_TABLE, 8 + 8 * n);
	if (payload == NULL)
		return false;
	le64_put(payload, s->clusters);
	memcpy(payload + 8, entries, (size_t)8 * n);
	le32_put(page + offsetof(struct blob_disk_page, next), BLOB_NEXT_NONE);
	return true;
}

static bool find_table(uint8_t *page, struct desc *d)
{
	*d = (struct desc){ 0 };
	while (desc_next(page, d)) {
		if (d->type == BLOB_DESC_EXTENT_TABLE)
			return true;
		if (d->payload == NULL)
			return false;
	}
	return false;
}

static bool make_slots(struct slots *s)
{
	if (s->clusters > UINT32_MAX)
		return false;
	s->count = (uint32_t)blob_map_tables(s->clusters);
	if (s->first > s->count)
		return false;
	s->page = calloc(s->count - s->first + 1u, sizeof(*s->page));
	return s->page != NULL;
}

/* From the descriptor at @at on to the end of the page: where the table stands. */
static bool fill(const struct repair *r, const struct volume *v, struct slots *s, uint8_t *page,
		 uint32_t at, bool has_entries)
{
	uint8_t *descriptors = page + offsetof(struct blob_disk_page, descriptors);
	uint32_t from = at + DESC_HEADER + 8;
	bool done;

	if (!make_slots(s))
		return false;
	if (has_entries)
		take_listed(r, v, s, descriptors + from, BLOB_DESCRIPTORS_BYTES - from);
	take_orphans(r, v, s);
	memset(descriptors + at, 0, BLOB_DESCRIPTORS_BYTES - at);
	done = put_table(s, page);
	free(s->page);
	return done;
}

bool table_of_root(const struct repair *r, const struct volume *v, uint8_t *page)
{
	uint8_t torn[BLOB_PAGE_BYTES];
	struct slots s = { .torn = torn };
	struct desc d;

	memcpy(torn, page, sizeof(torn));
	if (!find_table(page, &d) || d.at + DESC_HEADER + 8 > BLOB_DESCRIPTORS_BYTES)
		return false;
	s.clusters =
		le64_get(page + offsetof(struct blob_disk_page, descriptors) + d.at + DESC_HEADER);
	return fill(r, v, &s, page, d.at, true);
}

/* --- a lost page of a chain ------------------------------------------------------------------- */

static uint32_t covered(const struct blob_content *c)
{
	uint32_t tables = 0;

	for (uint32_t i = 0; c->form == BLOB_FORM_TABLE && i < c->pairs.count; i++)
		tables += c->pairs.pair[i].b;
	return tables;
}

/* The last extent page is the only one that is not full. */
static uint64_t size_by_pages(const struct repair *r, const struct volume *v)
{
	uint8_t page[BLOB_PAGE_BYTES];
	uint64_t size = 0;

	for (uint32_t i = 0; i < r->m.page_count; i++) {
		struct blob_extents e;

		if (r->m.pages[i].kind == BLOB_PAGE_EXTENTS &&
		    read_orphan(r, v, r->m.pages[i].index, page, &e) &&
		    e.count < BLOB_EXTENT_CLUSTERS && (uint64_t)e.start + e.count > size)
			size = (uint64_t)e.start + e.count;
	}
	return size;
}

bool table_of_chain(const struct repair *r, const struct volume *v, uint8_t *page)
{
	struct slots s = { .clusters = v->content.table_clusters, .first = covered(&v->content) };
	uint8_t torn[BLOB_PAGE_BYTES];
	bool is_listed = false;
	struct desc d;

	if (v->content.form == BLOB_FORM_RUNS)
		return false;
	memcpy(torn, page, sizeof(torn));
	if (find_table(torn, &d) && d.at == 0) {
		uint64_t clusters =
			le64_get(torn + offsetof(struct blob_disk_page, descriptors) + DESC_HEADER);

		is_listed = v->content.form == BLOB_FORM_NONE || clusters == s.clusters;
		s.clusters = is_listed ? clusters : s.clusters;
		s.torn = torn;
	}
	if (v->content.form == BLOB_FORM_NONE && !is_listed)
		s.clusters = size_by_pages(r, v);
	if (s.clusters == 0)
		return false;
	if (!is_listed)
		memset(page, 0, BLOB_PAGE_BYTES);
	le64_put(page, v->id);
	le32_put(page + offsetof(struct blob_disk_page, sequence), v->chain_len);
	le32_put(page + offsetof(struct blob_disk_page, reserved), 0);
	return fill(r, v, &s, page, 0, is_listed);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs from their pages: roots, chains, descriptors.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/model.h"

static const char *damage_rule(enum damage damage)
{
	static const char *const rules[] = {
		[DAMAGE_NONE] = "",
		[DAMAGE_ROOT] = "root.crc",
		[DAMAGE_CHAIN_PAGE] = "chain.page",
		[DAMAGE_CHAIN_LOOP] = "chain.loop",
		[DAMAGE_CONTENT] = "descriptor",
		[DAMAGE_EXTENTS] = "extents",
		[DAMAGE_SHARED] = "page.shared",
		[DAMAGE_CLUSTER] = "cluster.shared",
		[DAMAGE_PARENT] = "parent",
	};

	return rules[damage];
}

/* The first reason stays: what follows from it is less telling. */
void volume_spoil(struct volume *v, enum damage damage, uint32_t page, char *text)
{
	if (v->damage != DAMAGE_NONE) {
		free(text);
		return;
	}
	v->damage = damage;
	v->bad_page = page;
	v->damage_text = text;
}

void model_damage(struct model *m, struct volume *v, enum damage damage, uint32_t page,
		  const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	finding_add(m->f, SEVERITY_ERROR, damage_rule(damage), v->id, page, FINDING_NONE, "%s",
		    text != NULL ? text : "");
	volume_spoil(v, damage, page, text);
}

uint32_t model_find(const struct model *m, uint64_t id)
{
	uint32_t low = 0, high = m->blob_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->blobs[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->blob_count && m->blobs[low].id == id ? low : NO_BLOB;
}

/* --- roots ------------------------------------------------------------------------------------ */

static int add_blob(struct model *m, struct md_page *page)
{
	struct volume *v;

	if (m->blob_count == m->blob_room) {
		uint32_t room = m->blob_room == 0 ? 64 : m->blob_room * 2;
		struct volume *more = realloc(m->blobs, (size_t)room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		m->blobs = more;
		m->blob_room = room;
	}
	v = &m->blobs[m->blob_count];
	*v = (struct volume){ .id = BLOB_ID_BASE + page->index,
			      .root = page->index,
			      .listed = true,
			      .parent = NO_BLOB,
			      .parent_id = BLOB_ID_NONE,
			      .name_len = UINT32_MAX };
	page->owner = m->blob_count++;
	return 0;
}

static int find_roots(struct model *m)
{
	const struct mask *ids = &m->masks[BLOB_MASK_BLOBIDS];

	for (uint32_t i = 0; i < m->page_count; i++) {
		struct md_page *page = &m->pages[i];
		bool has_id =
			ids->sound && page->index < ids->count && mask_get(ids->bits, page->index);
		struct volume *v;

		/* A broken page that the mask calls a root is one. */
		if (page->kind != BLOB_PAGE_ROOT && page->kind != BLOB_PAGE_BROKEN &&
		    !(has_id && page->kind == BLOB_PAGE_EMPTY))
			continue;
		if (add_blob(m, page) < 0)
			return -ENOMEM;
		v = &m->blobs[m->blob_count - 1];
		v->listed = !ids->sound || has_id;
		if (!v->listed)
			finding_add(m->f, SEVERITY_WARNING, "root.unlisted", v->id, v->root,
				    FINDING_NONE,
				    "a root page that the mask of blob ids does not have: no load "
				    "finds this blob");
	}
	return 0;
}

static void find_missing_roots(struct model *m)
{
	const struct mask *ids = &m->masks[BLOB_MASK_BLOBIDS];

	for (uint64_t i = 0; ids->sound && i < ids->count; i++) {
		const struct md_page *page;

		if (ids->bits[i / 8] == 0) {
			i |= 7;
			continue;
		}
		page = mask_get(ids->bits, i) ? model_page(m, (uint32_t)i) : NULL;
		if (!mask_get(ids->bits, i) || (page != NULL && page->kind != BLOB_PAGE_CHAIN &&
						page->kind != BLOB_PAGE_EXTENTS))
			continue;
		finding_add(m->f, SEVERITY_ERROR, "root.missing", BLOB_ID_BASE + i, i, FINDING_NONE,
			    "the mask of blob ids has it, its root page is %s",
			    page == NULL ? "empty" : "another kind of page");
	}
}

/* --- chains ----------------------------------------------------------------------------------- */

/* Types that SPDK passes over when it opens a blob, and stumbles over when it recovers. */
static void note_unknown(struct model *m, const struct volume *v, uint32_t index, uint8_t *page)
{
	struct desc d = { 0 };

	while (desc_next(page, &d)) {
		if (d.type > BLOB_DESC_EXTENT_PAGE)
			finding_add(m->f, SEVERITY_WARNING, "descriptor.type", v->id, index,
				    FINDING_NONE,
				    "a descriptor of unknown type %u: SPDK cannot recover the "
				    "store from a power cut with it",
				    d.type);
	}
}

static int chain_add(struct volume *v, uint32_t page)
{
	uint32_t *more = realloc(v->chain, (v->chain_len + 1) * sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	more[v->chain_len++] = page;
	v->chain = more;
	return 0;
}

static void note_place(struct model *m, const struct volume *v, uint32_t index, const uint8_t *page)
{
	uint64_t id = le64_get(page);
	uint32_t sequence = le32_get(page + 8);

	if (sequence != v->chain_len)
		finding_add(m->f, SEVERITY_WARNING, "chain.sequence", v->id, index, FINDING_NONE,
			    "sequence %" PRIu32 " at place %" PRIu32 " of the chain", sequence,
			    v->chain_len);
	if (id != v->id)
		finding_add(m->f, SEVERITY_WARNING, "chain.id", v->id, index, FINDING_NONE,
			    "page of the chain with the id 0x%" PRIx64, id);
}

static int take_page(struct model *m, struct volume *v, uint32_t index, uint8_t *page,
		     struct error *err)
{
	struct error why = ERROR_INIT;
	int rc = model_read_page(m, index, page, err);

	if (rc < 0)
		return rc;
	if (!blob_page_crc_is_right(page)) {
		model_damage(m, v, index == v->root ? DAMAGE_ROOT : DAMAGE_CHAIN_PAGE, index,
			     "the checksum of its %s page is wrong",
			     index == v->root ? "root" : "chain's");
		return 0;
	}
	if (index == v->root && (le64_get(page) != v->id || le32_get(page + 8) != 0)) {
		model_damage(m, v, DAMAGE_ROOT, index, "this is not its root page");
		return 0;
	}
	note_place(m, v, index, page);
	note_unknown(m, v, index, page);
	rc = blob_content_add(&v->content, page, &m->geo, &why);
	if (rc == -ENOMEM)
		return error_set(err, rc, "%s", why.text);
	if (rc < 0)
		model_damage(m, v, DAMAGE_CONTENT, index, "%s", why.text);
	if (chain_add(v, index) < 0)
		return error_set(err, -ENOMEM, "no memory for a chain of pages");
	return 0;
}

/* Whether the chain may go on at @index; if not, the blob is damaged. */
static bool claim(struct model *m, uint32_t blob, uint32_t index)
{
	struct volume *v = &m->blobs[blob];
	struct md_page *page = index < m->geo.md.len ? model_page(m, index) : NULL;

	if (index >= m->geo.md.len) {
		model_damage(m, v, DAMAGE_CHAIN_PAGE, index,
			     "its chain goes on at page %" PRIu32 ", the store has %" PRIu32, index,
			     m->geo.md.len);
	} else if (page == NULL) {
		model_damage(m, v, DAMAGE_CHAIN_PAGE, index, "the next page of its chain is empty");
	} else if (page->owner == blob) {
		model_damage(m, v, DAMAGE_CHAIN_LOOP, index, "its chain goes in a circle");
	} else if (page->owner != NO_BLOB) {
		struct volume *other = &m->blobs[page->owner];

		model_damage(m, v, DAMAGE_SHARED, index,
			     "the page is in the chain of blob 0x%" PRIx64 " too", other->id);
		model_damage(m, other, DAMAGE_SHARED, index,
			     "the page is in the chain of blob 0x%" PRIx64 " too", v->id);
	} else {
		page->owner = blob;
		return true;
	}
	return false;
}

static int read_chain(struct model *m, uint32_t blob, uint8_t *page, struct error *err)
{
	struct volume *v = &m->blobs[blob];
	uint32_t index = v->root;
	int rc;

	do {
		rc = take_page(m, v, index, page, err);
		if (rc < 0 || v->damage != DAMAGE_NONE)
			return rc;
		index = blob_page_next(page);
	} while (index != BLOB_NEXT_NONE && claim(m, blob, index));
	return 0;
}

int model_read_blobs(struct model *m, struct error *err)
{
	uint8_t *page = malloc(BLOB_PAGE_BYTES);
	int rc = page == NULL || find_roots(m) < 0 ? -ENOMEM : 0;

	if (rc < 0)
		error_set(err, rc, "no memory for the blobs");
	for (uint32_t i = 0; i < m->blob_count && rc == 0; i++)
		rc = read_chain(m, i, page, err);
	find_missing_roots(m);
	free(page);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing metadata pages, in the order of descriptors that SPDK writes: flags, xattrs, internal
 * xattrs, then the extent table or the runs.
 *
 * Threading: pure functions but for memory.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/page.h"

#define OFFSET(field) offsetof(struct blob_disk_page, field)
#define DESC_HEADER   ((uint32_t)sizeof(struct blob_disk_desc))

static void frame(uint8_t *page, uint64_t id, uint32_t sequence)
{
	le64_put(page + OFFSET(id), id);
	le32_put(page + OFFSET(sequence), sequence);
	le32_put(page + OFFSET(next), BLOB_NEXT_NONE);
}

static void seal(uint8_t *page)
{
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, page, OFFSET(crc)));

	le32_put(page + OFFSET(crc), crc);
}

void blob_extents_write(void *page, uint64_t id, uint64_t table, const struct blob_leaf *leaf,
			uint32_t entries)
{
	uint8_t *p = page, *desc = p + OFFSET(descriptors);

	memset(p, 0, BLOB_PAGE_BYTES);
	frame(p, id, 0);
	desc[0] = BLOB_DESC_EXTENT_PAGE;
	le32_put(desc + 1, 4 + 4 * entries);
	le32_put(desc + DESC_HEADER, (uint32_t)(table * BLOB_EXTENT_CLUSTERS));
	for (uint32_t i = 0; i < entries; i++)
		le32_put(desc + DESC_HEADER + 4 + (size_t)4 * i, blob_leaf_get(leaf, i));
	seal(p);
}

/* --- chains ----------------------------------------------------------------------------------- */

/* struct writer - the chain so far; @at: used bytes of the last page's descriptors */
struct writer {
	struct blob_chain *chain;
	uint64_t id;
	uint32_t room; /* pages allocated */
	uint32_t at;
};

static int grow(struct writer *w)
{
	uint32_t room = w->room == 0 ? 1 : w->room * 2;
	uint8_t *pages = aligned_alloc(BLOB_PAGE_BYTES, (size_t)room * BLOB_PAGE_BYTES);

	if (pages == NULL)
		return -ENOMEM;
	if (w->chain->count > 0)
		memcpy(pages, w->chain->pages, (size_t)w->chain->count * BLOB_PAGE_BYTES);
	free(w->chain->pages);
	w->chain->pages = pages;
	w->room = room;
	return 0;
}

static int next_page(struct writer *w)
{
	uint8_t *page;

	if (w->chain->count == w->room) {
		int rc = grow(w);

		if (rc < 0)
			return rc;
	}
	page = blob_chain_page(w->chain, w->chain->count);
	memset(page, 0, BLOB_PAGE_BYTES);
	frame(page, w->id, w->chain->count);
	w->chain->count++;
	w->at = 0;
	return 0;
}

static uint32_t bytes_left(const struct writer *w)
{
	return BLOB_DESCRIPTORS_BYTES - w->at;
}

static uint8_t *here(const struct writer *w)
{
	uint8_t *page = blob_chain_page(w->chain, w->chain->count - 1);

	return page + OFFSET(descriptors) + w->at;
}

/* A descriptor that lies on one page: room for its payload, or NULL without memory. */
static uint8_t *descriptor(struct writer *w, uint8_t type, uint32_t length)
{
	uint8_t *desc;

	assert(length <= BLOB_DESCRIPTORS_BYTES - DESC_HEADER);
	if (bytes_left(w) < DESC_HEADER + length && next_page(w) < 0)
		return NULL;
	desc = here(w);
	desc[0] = type;
	le32_put(desc + 1, length);
	w->at += DESC_HEADER + length;
	return desc + DESC_HEADER;
}

static int put_flags(struct writer *w, const struct blob_source *src)
{
	uint8_t *p = descriptor(w, BLOB_DESC_FLAGS, 24);

	if (p == NULL)
		return -ENOMEM;
	le64_put(p, src->invalid);
	le64_put(p + 8, src->data_ro);
	le64_put(p + 16, src->md_ro);
	return 0;
}

static int put_xattr(struct writer *w, const struct blob_xattr_ref *x)
{
	uint8_t type = x->internal ? BLOB_DESC_XATTR_INTERNAL : BLOB_DESC_XATTR;
	uint8_t *p = descriptor(w, type, 4u + x->name_len + x->value_len);

	if (p == NULL)
		return -ENOMEM;
	le16_put(p, x->name_len);
	le16_put(p + 2, x->value_len);
	memcpy(p + 4, x->name, x->name_len);
	if (x->value_len > 0)
		memcpy(p + 4 + x->name_len, x->value, x->value_len);
	return 0;
}

static int put_xattrs(struct writer *w, const struct blob_xattrs *set, bool internal)
{
	struct blob_xattr_ref ref;
	int rc = 0;

	for (uint32_t at = 0; rc == 0 && blob_xattrs_at(set, at, &ref); at = ref.next) {
		if (ref.internal == internal)
			rc = put_xattr(w, &ref);
	}
	return rc;
}

/*
 * struct pairs_writer - descriptors full of pairs, one a page
 * @head: payload bytes in front of the pairs: 8 of a table, with @clusters in them
 * @length: where the length of the open descriptor stands; NULL: none is open
 */
struct pairs_writer {
	struct writer *w;
	uint8_t type;
	uint32_t head;
	uint64_t clusters;
	uint8_t *length;
};

static int pairs_open(struct pairs_writer *pw)
{
	uint8_t *p;

	/* Without room for one pair the descriptor goes to the next page. */
	if (bytes_left(pw->w) < DESC_HEADER + pw->head + 8 && next_page(pw->w) < 0)
		return -ENOMEM;
	p = descriptor(pw->w, pw->type, pw->head);
	if (p == NULL)
		return -ENOMEM;
	if (pw->head > 0)
		le64_put(p, pw->clusters);
	pw->length = p - 4;
	return 0;
}

static int pairs_put(struct pairs_writer *pw, uint32_t a, uint32_t b)
{
	if (pw->length == NULL || bytes_left(pw->w) < 8) {
		int rc = pairs_open(pw);

		if (rc < 0)
			return rc;
	}
	le32_put(here(pw->w), a);
	le32_put(here(pw->w) + 4, b);
	pw->w->at += 8;
	le32_put(pw->length, le32_get(pw->length) + 8);
	return 0;
}

static int put_table(struct writer *w, const struct blob_map *map)
{
	struct pairs_writer pw = {
		.w = w, .type = BLOB_DESC_EXTENT_TABLE, .head = 8, .clusters = map->clusters
	};
	uint64_t tables = blob_map_tables(map->clusters), missing = 0;
	int rc = pairs_open(&pw);

	for (uint64_t i = 0; i < map->leaves && i < tables && rc == 0; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);

		if (leaf == NULL || leaf->page == 0) {
			missing++;
			continue;
		}
		if (missing > 0)
			rc = pairs_put(&pw, 0, (uint32_t)missing);
		missing = 0;
		if (rc == 0)
			rc = pairs_put(&pw, leaf->page, 1);
	}
	if (map->leaves < tables)
		missing += tables - map->leaves;
	if (rc == 0 && missing > 0)
		rc = pairs_put(&pw, 0, (uint32_t)missing);
	return rc;
}

/* The run that begins at @index: successive clusters, or a hole. */
static uint64_t run_length(const struct blob_map *map, uint64_t index, uint32_t cluster)
{
	uint64_t n = 1;

	if (cluster == 0) {
		uint64_t next = blob_map_next(map, index);

		return (next == UINT64_MAX ? map->clusters : next) - index;
	}
	while (index + n < map->clusters && blob_map_get(map, index + n) == cluster + n)
		n++;
	return n;
}

static int put_runs(struct writer *w, const struct blob_map *map)
{
	struct pairs_writer pw = { .w = w, .type = BLOB_DESC_EXTENT_RLE };
	uint64_t index = 0;
	int rc = 0;

	while (index < map->clusters && rc == 0) {
		uint32_t cluster = blob_map_get(map, index);
		uint64_t n = run_length(map, index, cluster);

		rc = pairs_put(&pw, cluster, (uint32_t)n);
		index += n;
	}
	return rc;
}

int blob_chain_build(struct blob_chain *chain, const struct blob_source *src)
{
	struct writer w = { .chain = chain, .id = src->id };
	int rc;

	*chain = (struct blob_chain){ 0 };
	rc = next_page(&w);
	if (rc == 0)
		rc = put_flags(&w, src);
	if (rc == 0)
		rc = put_xattrs(&w, src->xattrs, false);
	if (rc == 0)
		rc = put_xattrs(&w, src->xattrs, true);
	if (rc == 0)
		rc = src->table ? put_table(&w, src->map) : put_runs(&w, src->map);
	if (rc < 0)
		blob_chain_free(chain);
	return rc;
}

void blob_chain_link(struct blob_chain *chain, const uint32_t *continuation)
{
	for (uint32_t i = 0; i < chain->count; i++) {
		uint8_t *page = blob_chain_page(chain, i);

		if (i + 1 < chain->count)
			le32_put(page + OFFSET(next), continuation[i]);
		seal(page);
	}
}

void blob_chain_free(struct blob_chain *chain)
{
	free(chain->pages);
	*chain = (struct blob_chain){ 0 };
}

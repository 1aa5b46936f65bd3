/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading metadata pages: any bytes in, sound numbers or an error out.
 *
 * Threading: pure functions but for memory.
 */
#include "blob/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/le.h"

#define OFFSET(field) offsetof(struct blob_disk_page, field)
#define DESC_HEADER   sizeof(struct blob_disk_desc)

static uint64_t page_id(const uint8_t *page)
{
	return le64_get(page + OFFSET(id));
}

static uint32_t page_sequence(const uint8_t *page)
{
	return le32_get(page + OFFSET(sequence));
}

uint32_t blob_page_next(const void *page)
{
	return le32_get((const uint8_t *)page + OFFSET(next));
}

bool blob_page_crc_is_right(const void *page)
{
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, page, OFFSET(crc)));

	return le32_get((const uint8_t *)page + OFFSET(crc)) == crc;
}

bool blob_page_is_long(const void *page)
{
	static const uint8_t zeroes[BLOB_PAGE_BYTES];

	/* The number of the next page stands in the last sector. */
	return blob_page_next(page) != BLOB_NEXT_NONE ||
	       memcmp((const uint8_t *)page + BLOB_SECTOR_BYTES, zeroes,
		      OFFSET(next) - BLOB_SECTOR_BYTES) != 0;
}

bool blob_page_is_spare(const void *page, uint32_t index, uint32_t *root)
{
	const uint8_t *p = page;
	uint64_t id = page_id(p);

	if (id < BLOB_ID_BASE || id - BLOB_ID_BASE > UINT32_MAX || id == BLOB_ID_BASE + index ||
	    page_sequence(p) != 0 || p[OFFSET(descriptors)] != BLOB_DESC_FLAGS ||
	    !blob_page_crc_is_right(page))
		return false;
	*root = (uint32_t)(id - BLOB_ID_BASE);
	return true;
}

enum blob_page_kind blob_page_classify(const void *page, uint32_t index)
{
	const uint8_t *p = page;
	bool is_root = page_id(p) == BLOB_ID_BASE + index && page_sequence(p) == 0;
	bool has_extents = p[OFFSET(descriptors)] == BLOB_DESC_EXTENT_PAGE;

	/* Neither an id nor a first descriptor: no page was ever written like that. */
	if (page_id(p) == 0 && p[OFFSET(descriptors)] == 0)
		return BLOB_PAGE_EMPTY;
	if (!blob_page_crc_is_right(page))
		return is_root && !has_extents ? BLOB_PAGE_BROKEN : BLOB_PAGE_EMPTY;
	if (has_extents && page_sequence(p) == 0)
		return BLOB_PAGE_EXTENTS;
	if (is_root)
		return BLOB_PAGE_ROOT;
	return page_sequence(p) != 0 ? BLOB_PAGE_CHAIN : BLOB_PAGE_EMPTY;
}

/* --- extent pages ----------------------------------------------------------------------------- */

static int check_cluster(uint32_t cluster, const struct blob_geometry *geo, struct error *err)
{
	if (cluster >= geo->md_clusters && cluster < geo->total_clusters)
		return 0;
	return error_set(err, -EILSEQ,
			 "cluster %" PRIu32 " is not one of the data clusters %" PRIu32
			 " to %" PRIu32,
			 cluster, geo->md_clusters, geo->total_clusters - 1);
}

static int check_extents_frame(const uint8_t *p, struct error *err)
{
	if (!blob_page_crc_is_right(p))
		return error_set(err, -EILSEQ, "the checksum is wrong");
	if (p[OFFSET(descriptors)] != BLOB_DESC_EXTENT_PAGE)
		return error_set(err, -EILSEQ, "it is no extent page: descriptor type %u",
				 p[OFFSET(descriptors)]);
	if (page_sequence(p) != 0)
		return error_set(err, -EILSEQ, "sequence %" PRIu32 ", should be 0",
				 page_sequence(p));
	if (blob_page_next(p) != BLOB_NEXT_NONE)
		return error_set(err, -EILSEQ, "next is %" PRIu32 ", an extent page has none",
				 blob_page_next(p));
	return 0;
}

int blob_extents_parse(const void *page, const struct blob_geometry *geo, struct blob_extents *out,
		       struct error *err)
{
	const uint8_t *p = page, *payload = p + OFFSET(descriptors) + DESC_HEADER;
	uint32_t length = le32_get(p + OFFSET(descriptors) + 1);
	int rc = check_extents_frame(p, err);

	if (rc < 0)
		return rc;
	if (length < 4 || length % 4 != 0 || length > BLOB_DESCRIPTORS_BYTES - DESC_HEADER ||
	    (length - 4) / 4 > BLOB_EXTENT_CLUSTERS)
		return error_set(err, -EILSEQ,
				 "descriptor length %" PRIu32 ", should be 4 to %u in steps of 4",
				 length, 4 + 4 * BLOB_EXTENT_CLUSTERS);
	out->start = le32_get(payload);
	out->count = (length - 4) / 4;
	out->entries = payload + 4;
	for (uint32_t i = 0; i < out->count; i++) {
		uint32_t cluster = le32_get(out->entries + 4 * i);

		if (cluster != 0 && check_cluster(cluster, geo, err) < 0)
			return error_prefix(err, "entry %" PRIu32 ": ", i);
	}
	return 0;
}

/* --- chains ----------------------------------------------------------------------------------- */

static int pairs_add(struct blob_pairs *pairs, uint32_t a, uint32_t b, struct error *err)
{
	if (pairs->count == pairs->room) {
		uint32_t room = pairs->room == 0 ? 4 : pairs->room * 2;
		struct blob_pair *more = realloc(pairs->pair, room * sizeof(*more));

		if (more == NULL)
			return error_set(err, -ENOMEM, "no memory for %" PRIu32 " extents", room);
		pairs->pair = more;
		pairs->room = room;
	}
	pairs->pair[pairs->count++] = (struct blob_pair){ a, b };
	return 0;
}

static int add_flags(struct blob_content *c, const uint8_t *payload, uint32_t length,
		     struct error *err)
{
	if (length != 24)
		return error_set(err, -EILSEQ, "flags of %" PRIu32 " bytes, should be 24", length);
	if (c->has_flags)
		return error_set(err, -EILSEQ, "flags a second time");
	c->has_flags = true;
	c->invalid = le64_get(payload);
	c->data_ro = le64_get(payload + 8);
	c->md_ro = le64_get(payload + 16);
	if ((c->invalid & ~BLOB_INVALID_KNOWN) != 0)
		return error_set(err, -EINVAL,
				 "flags 0x%" PRIx64
				 " ask for something that this release does not know",
				 c->invalid);
	return 0;
}

static int add_xattr(struct blob_content *c, bool internal, const uint8_t *payload, uint32_t length,
		     struct error *err)
{
	struct blob_xattr_ref ref;
	uint32_t name_len, value_len;
	const char *name;

	if (length < 4)
		return error_set(err, -EILSEQ, "xattr of %" PRIu32 " bytes", length);
	name_len = le16_get(payload);
	value_len = le16_get(payload + 2);
	if (length != 4 + name_len + value_len)
		return error_set(err, -EILSEQ,
				 "xattr of %" PRIu32 " bytes with a name of %" PRIu32
				 " and a value of %" PRIu32,
				 length, name_len, value_len);
	if (++c->xattr_count > BLOB_XATTRS_MAX)
		return error_set(err, -EILSEQ, "more than %u xattrs", BLOB_XATTRS_MAX);
	name = (const char *)payload + 4;
	/* Of two with one name the first counts (format page, section 9). */
	if (blob_xattrs_find(&c->xattrs, internal, name, name_len, &ref))
		return 0;
	return blob_xattrs_set(&c->xattrs, internal, name, name_len, payload + 4 + name_len,
			       value_len, err);
}

static int set_form(struct blob_content *c, enum blob_form form, struct error *err)
{
	if (c->form != BLOB_FORM_NONE && c->form != form)
		return error_set(err, -EILSEQ, "both an extent table and runs");
	c->form = form;
	return 0;
}

static int add_run(struct blob_content *c, uint32_t cluster, uint32_t count,
		   const struct blob_geometry *geo, struct error *err)
{
	if (count == 0)
		return error_set(err, -EILSEQ, "a run of no clusters");
	if (cluster == 0 && (c->invalid & BLOB_INVALID_THIN) == 0)
		return error_set(err, -EILSEQ, "a hole in a blob that is not thin");
	if (cluster != 0) {
		int rc = check_cluster(cluster, geo, err);

		if (rc < 0)
			return rc;
		if (count > geo->total_clusters - cluster)
			return error_set(err, -EILSEQ,
					 "a run of %" PRIu32 " clusters from %" PRIu32
					 " on, the store has %" PRIu32,
					 count, cluster, geo->total_clusters);
	}
	c->clusters += count;
	if (c->clusters > UINT32_MAX)
		return error_set(err, -EILSEQ, "more than 2^32 - 1 clusters");
	return pairs_add(&c->pairs, cluster, count, err);
}

static int add_runs(struct blob_content *c, const uint8_t *payload, uint32_t length,
		    const struct blob_geometry *geo, struct error *err)
{
	int rc = set_form(c, BLOB_FORM_RUNS, err);

	if (rc == 0 && (length == 0 || length % 8 != 0))
		rc = error_set(err, -EILSEQ, "runs of %" PRIu32 " bytes, should be multiple of 8",
			       length);
	for (uint32_t i = 0; i < length && rc == 0; i += 8)
		rc = add_run(c, le32_get(payload + i), le32_get(payload + i + 4), geo, err);
	return rc;
}

static int add_table_entry(struct blob_content *c, uint32_t page, uint32_t count,
			   const struct blob_geometry *geo, struct error *err)
{
	/* SPDK opens pages with another count than 1 as one (format page, section 10.3). */
	uint32_t tables = page == 0 ? count : 1;

	if (page >= geo->md.len)
		return error_set(err, -EILSEQ,
				 "extent page %" PRIu32 ", the store has %" PRIu32
				 " metadata pages",
				 page, geo->md.len);
	if (page == 0 && (c->invalid & BLOB_INVALID_THIN) == 0)
		return error_set(err, -EILSEQ, "no extent page in a blob that is not thin");
	c->clusters += (uint64_t)tables * BLOB_EXTENT_CLUSTERS;
	if (c->clusters >= c->table_clusters + BLOB_EXTENT_CLUSTERS)
		return error_set(err, -EILSEQ,
				 "an extent table of %" PRIu64 " clusters for a blob of %" PRIu64,
				 c->clusters, c->table_clusters);
	return tables == 0 ? 0 : pairs_add(&c->pairs, page, tables, err);
}

static int add_table(struct blob_content *c, const uint8_t *payload, uint32_t length,
		     const struct blob_geometry *geo, struct error *err)
{
	bool first = c->form == BLOB_FORM_NONE;
	uint64_t clusters;
	int rc = set_form(c, BLOB_FORM_TABLE, err);

	if (rc < 0)
		return rc;
	if (length < 8 || length % 8 != 0)
		return error_set(err, -EILSEQ,
				 "extent table of %" PRIu32 " bytes, should be a multiple of 8",
				 length);
	clusters = le64_get(payload);
	if (clusters > UINT32_MAX)
		return error_set(err, -EILSEQ,
				 "%" PRIu64 " clusters, at most 2^32 - 1 are possible", clusters);
	if (!first && clusters != c->table_clusters)
		return error_set(err, -EILSEQ,
				 "an extent table of %" PRIu64 " clusters and one of %" PRIu64,
				 c->table_clusters, clusters);
	c->table_clusters = clusters;
	for (uint32_t i = 8; i < length && rc == 0; i += 8)
		rc = add_table_entry(c, le32_get(payload + i), le32_get(payload + i + 4), geo, err);
	return rc;
}

static int add_descriptor(struct blob_content *c, uint8_t type, const uint8_t *payload,
			  uint32_t length, const struct blob_geometry *geo, struct error *err)
{
	switch (type) {
	case BLOB_DESC_FLAGS:
		return add_flags(c, payload, length, err);
	case BLOB_DESC_XATTR:
		return add_xattr(c, false, payload, length, err);
	case BLOB_DESC_XATTR_INTERNAL:
		return add_xattr(c, true, payload, length, err);
	case BLOB_DESC_EXTENT_RLE:
		return add_runs(c, payload, length, geo, err);
	case BLOB_DESC_EXTENT_TABLE:
		return add_table(c, payload, length, geo, err);
	case BLOB_DESC_EXTENT_PAGE:
		return error_set(err, -EILSEQ, "an extent page in the middle of a chain");
	default:
		/* Padding with a length, and types of later releases, are passed over. */
		return 0;
	}
}

int blob_content_add(struct blob_content *c, const void *page, const struct blob_geometry *geo,
		     struct error *err)
{
	const uint8_t *desc = (const uint8_t *)page + OFFSET(descriptors);
	uint32_t at = 0;

	while (BLOB_DESCRIPTORS_BYTES - at >= DESC_HEADER) {
		uint8_t type = desc[at];
		uint32_t length = le32_get(desc + at + 1);
		int rc;

		if (type == BLOB_DESC_PADDING && length == 0)
			break;
		if (length > BLOB_DESCRIPTORS_BYTES - DESC_HEADER - at)
			return error_set(err, -EILSEQ,
					 "descriptor at byte %zu: type %u with %" PRIu32
					 " bytes goes beyond the page",
					 OFFSET(descriptors) + at, type, length);
		rc = add_descriptor(c, type, desc + at + DESC_HEADER, length, geo, err);
		if (rc < 0)
			return error_prefix(err,
					    "descriptor at byte %zu: ", OFFSET(descriptors) + at);
		at += (uint32_t)DESC_HEADER + length;
	}
	return 0;
}

void blob_content_free(struct blob_content *c)
{
	free(c->pairs.pair);
	blob_xattrs_free(&c->xattrs);
	*c = (struct blob_content){ 0 };
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The super block: checked before use, built and updated.
 *
 * Threading: pure functions.
 */
#include "blob/super.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/le.h"
#include "blob/mask.h"

#define IO_UNIT_OLD 4096u /* of images that do not say */

/* Fields of a packed structure are read where they lie. */
#define get32(s, field)	   le32_get((const uint8_t *)(s) + offsetof(struct blob_disk_super, field))
#define get64(s, field)	   le64_get((const uint8_t *)(s) + offsetof(struct blob_disk_super, field))
#define put32(s, field, v) le32_put((uint8_t *)(s) + offsetof(struct blob_disk_super, field), (v))
#define put64(s, field, v) le64_put((uint8_t *)(s) + offsetof(struct blob_disk_super, field), (v))

static uint32_t super_crc(const void *page)
{
	return crc32c_finish(crc32c_update(CRC32C_INIT, page, BLOB_PAGE_BYTES - 4));
}

/* --- checks ----------------------------------------------------------------------------------- */

/* In SPDK's order: version, signature, checksum (format page, section 2.1). */
static int check_identity(const struct blob_disk_super *s, struct error *err)
{
	uint32_t version = get32(s, version);

	if (memcmp(s->signature, BLOB_SIGNATURE, sizeof(s->signature)) != 0)
		return error_set(err, -EILSEQ, "super block: no signature \"%s\"", BLOB_SIGNATURE);
	if (version < BLOB_VERSION_MIN || version > BLOB_VERSION)
		return error_set(err, -EILSEQ,
				 "super block: version %" PRIu32 ", versions %u to %u are known",
				 version, BLOB_VERSION_MIN, BLOB_VERSION);
	if (get32(s, crc) != super_crc(s))
		return error_set(err, -EILSEQ,
				 "super block: checksum is 0x%08" PRIx32 ", should be 0x%08" PRIx32,
				 get32(s, crc), super_crc(s));
	return 0;
}

static int check_sizes(struct blob_geometry *geo, uint64_t device_bytes, struct error *err)
{
	if (geo->size > device_bytes)
		return error_set(err, -EILSEQ,
				 "super block: the store has %" PRIu64
				 " bytes, the device only %" PRIu64,
				 geo->size, device_bytes);
	if (!is_power_of_two(geo->page_size) || geo->page_size < BLOB_PAGE_BYTES ||
	    geo->page_size > BLOB_PAGE_BYTES_MAX)
		return error_set(err, -EILSEQ,
				 "super block: metadata page size %" PRIu32
				 ", a power of two from %u to %u is allowed",
				 geo->page_size, BLOB_PAGE_BYTES, BLOB_PAGE_BYTES_MAX);
	if (!is_power_of_two(geo->io_unit_size) || geo->io_unit_size < 512 ||
	    geo->io_unit_size > BLOB_BLOCK_BYTES_MAX)
		return error_set(err, -EILSEQ,
				 "super block: I/O unit %" PRIu32
				 ", a power of two from 512 to %u is allowed",
				 geo->io_unit_size, BLOB_BLOCK_BYTES_MAX);
	if (geo->cluster_size == 0 || geo->cluster_size % BLOB_PAGE_BYTES != 0 ||
	    geo->cluster_size < geo->page_size)
		return error_set(err, -EILSEQ,
				 "super block: cluster size %" PRIu32
				 ", a multiple of %u not below the page size %" PRIu32
				 " is allowed",
				 geo->cluster_size, BLOB_PAGE_BYTES, geo->page_size);
	return 0;
}

static int check_region(const struct blob_geometry *geo, const char *name,
			const struct blob_region *r, struct error *err)
{
	uint64_t pages = geo->size / geo->page_size;

	if (r->len == 0)
		return error_set(err, -EILSEQ, "super block: %s has no pages", name);
	if (r->start == 0 || !range_is_within(r->start, r->len, pages))
		return error_set(err, -EILSEQ,
				 "super block: %s, pages %" PRIu32 " + %" PRIu32
				 ", is not within pages 1 to %" PRIu64,
				 name, r->start, r->len, pages - 1);
	return 0;
}

static bool regions_overlap(const struct blob_region *a, const struct blob_region *b)
{
	return a->start < (uint64_t)b->start + b->len && b->start < (uint64_t)a->start + a->len;
}

static int check_overlaps(const struct blob_region *const *regions, const char *const *names,
			  unsigned int count, struct error *err)
{
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int j = i + 1; j < count; j++) {
			if (regions_overlap(regions[i], regions[j]))
				return error_set(err, -EILSEQ, "super block: %s and %s overlap",
						 names[i], names[j]);
		}
	}
	return 0;
}

static int check_mask(const struct blob_geometry *geo, const char *name,
		      const struct blob_region *r, uint32_t bits, struct error *err)
{
	uint64_t need = blob_mask_pages(bits, geo->page_size);

	if (r->len >= need)
		return 0;
	return error_set(err, -EILSEQ,
			 "super block: %s has %" PRIu32 " pages, %" PRIu32 " items need %" PRIu64,
			 name, r->len, bits, need);
}

static int check_regions(const struct blob_geometry *geo, struct error *err)
{
	static const char *const names[] = { "metadata", "used page mask", "used cluster mask",
					     "used blob id mask" };
	const struct blob_region *const regions[] = { &geo->md, &geo->pages, &geo->clusters,
						      &geo->ids };
	/* Images from before 2017-12 have no blob id mask. */
	unsigned int count = geo->ids.len == 0 ? 3 : 4;
	int rc = 0;

	for (unsigned int i = 0; i < count && rc == 0; i++)
		rc = check_region(geo, names[i], regions[i], err);
	if (rc == 0)
		rc = check_overlaps(regions, names, count, err);
	if (rc == 0)
		rc = check_mask(geo, names[1], &geo->pages, geo->md.len, err);
	if (rc == 0)
		rc = check_mask(geo, names[2], &geo->clusters, geo->total_clusters, err);
	if (rc == 0 && count == 4)
		rc = check_mask(geo, names[3], &geo->ids, geo->md.len, err);
	return rc;
}

/* --- from derived numbers --------------------------------------------------------------------- */

static uint32_t mask_room(const struct blob_geometry *geo)
{
	const struct blob_region *const others[] = { &geo->md, &geo->pages, &geo->ids };
	uint32_t next = UINT32_MAX;

	for (unsigned int i = 0; i < 3; i++) {
		if (others[i]->len > 0 && others[i]->start > geo->clusters.start &&
		    others[i]->start < next)
			next = others[i]->start;
	}
	return next == UINT32_MAX ? geo->clusters.len : next - geo->clusters.start;
}

static int derive(struct blob_geometry *geo, struct error *err)
{
	uint64_t total = geo->size / geo->cluster_size;
	uint64_t md_end, md_clusters;

	if (total >= UINT32_MAX)
		return error_set(err, -EILSEQ,
				 "super block: %" PRIu64 " clusters of %" PRIu32
				 " bytes, fewer than 2^32 - 1 are possible",
				 total, geo->cluster_size);
	md_end = ((uint64_t)geo->md.start + geo->md.len) * geo->page_size;
	md_clusters = md_end / geo->cluster_size + (md_end % geo->cluster_size != 0);
	if (md_clusters > total)
		return error_set(err, -EILSEQ,
				 "super block: metadata ends at byte %" PRIu64
				 ", behind the %" PRIu64 " clusters of %" PRIu32 " bytes",
				 md_end, total, geo->cluster_size);
	geo->total_clusters = (uint32_t)total;
	geo->md_clusters = (uint32_t)md_clusters;
	geo->cluster_mask_room = mask_room(geo);
	return 0;
}

/* --- reading and writing ---------------------------------------------------------------------- */

/* Fields that came with later releases are 0 before (format page, sections 12 and 19). */
static void read_fields(const struct blob_disk_super *s, uint64_t device_bytes,
			struct blob_geometry *geo)
{
	*geo = (struct blob_geometry){
		.version = get32(s, version),
		.clean = get32(s, clean) != 0,
		.super_blob = get64(s, super_blob),
		.cluster_size = get32(s, cluster_size),
		.page_size = get32(s, md_page_size),
		.io_unit_size = get32(s, io_unit_size),
		.size = get64(s, size),
		.pages = { get32(s, used_page_mask_start), get32(s, used_page_mask_len) },
		.clusters = { get32(s, used_cluster_mask_start), get32(s, used_cluster_mask_len) },
		.ids = { get32(s, used_blobid_mask_start), get32(s, used_blobid_mask_len) },
		.md = { get32(s, md_start), get32(s, md_len) },
	};
	memcpy(geo->bstype, s->bstype, sizeof(geo->bstype));
	if (geo->size == 0)
		geo->size = device_bytes;
	if (geo->io_unit_size == 0)
		geo->io_unit_size = IO_UNIT_OLD;
	if (geo->page_size == 0)
		geo->page_size = BLOB_PAGE_BYTES;
}

int blob_super_parse(const void *page, uint64_t device_bytes, struct blob_geometry *geo,
		     struct error *err)
{
	int rc = check_identity(page, err);

	if (rc < 0)
		return rc;
	read_fields(page, device_bytes, geo);
	rc = check_sizes(geo, device_bytes, err);
	if (rc == 0)
		rc = derive(geo, err);
	if (rc == 0)
		rc = check_regions(geo, err);
	return rc;
}

int blob_super_check_type(const struct blob_geometry *geo, const uint8_t want[16],
			  struct error *err)
{
	static const uint8_t any[16];

	if (memcmp(want, any, sizeof(any)) == 0 || memcmp(want, geo->bstype, sizeof(any)) == 0)
		return 0;
	return error_set(err, -ENXIO, "super block: the store's type is \"%.16s\", not \"%.16s\"",
			 (const char *)geo->bstype, (const char *)want);
}

bool blob_super_mend(void *page)
{
	struct blob_disk_super *s = page;
	uint32_t crc = get32(s, crc), clean = get32(s, clean);
	bool torn = false;

	if (crc == super_crc(s))
		return false;
	for (uint32_t other = 0; other < 2 && !torn; other++) {
		put32(s, clean, other);
		torn = crc == super_crc(s);
	}
	put32(s, clean, torn ? 0 : clean);
	if (torn)
		put32(s, crc, super_crc(s));
	return torn;
}

void blob_super_update(const struct blob_geometry *geo, void *page)
{
	struct blob_disk_super *s = page;

	put32(s, clean, geo->clean ? 1 : 0);
	put64(s, super_blob, geo->super_blob);
	put32(s, used_cluster_mask_len, geo->clusters.len);
	put64(s, size, geo->size);
	memcpy(s->bstype, geo->bstype, sizeof(s->bstype));
	put32(s, crc, super_crc(s));
}

void blob_super_build(const struct blob_geometry *geo, void *page)
{
	struct blob_disk_super *s = page;

	memset(s, 0, sizeof(*s));
	memcpy(s->signature, BLOB_SIGNATURE, sizeof(s->signature));
	put32(s, version, BLOB_VERSION);
	put32(s, length, BLOB_PAGE_BYTES);
	put32(s, cluster_size, geo->cluster_size);
	put32(s, used_page_mask_start, geo->pages.start);
	put32(s, used_page_mask_len, geo->pages.len);
	put32(s, used_cluster_mask_start, geo->clusters.start);
	put32(s, used_blobid_mask_start, geo->ids.start);
	put32(s, used_blobid_mask_len, geo->ids.len);
	put32(s, md_start, geo->md.start);
	put32(s, md_len, geo->md.len);
	put32(s, io_unit_size, geo->io_unit_size);
	put32(s, md_page_size, geo->page_size);
	blob_super_update(geo, page);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The super block and the layout of a store: what is where on the device.
 *
 * Threading: pure functions.
 */
#ifndef BLOB_SUPER_H
#define BLOB_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blob/format.h"

/* What SPDK's blobstore and lvol stores offer; larger ones have not been seen to work there. */
#define BLOB_BLOCK_BYTES_MAX 4096u

/**
 * struct blob_region - pages of the device that follow each other
 * @start, @len: in metadata pages
 */
struct blob_region {
	uint32_t start;
	uint32_t len;
};

/**
 * struct blob_geometry - what a super block says, checked and with old images' gaps filled
 * @size: bytes covered
 * @total_clusters: whole clusters in @size
 * @md_clusters: clusters from 0 on that the metadata takes
 * @ids: length 0 in images from before 2017-12: there is no such mask, and masks are not trusted
 * @cluster_mask_room: pages between the cluster mask and what follows: how far it can grow
 */
struct blob_geometry {
	uint32_t version;
	bool clean;
	uint64_t super_blob;
	uint8_t bstype[16];
	uint32_t cluster_size;
	uint32_t page_size;
	uint32_t io_unit_size;
	uint64_t size;
	uint32_t total_clusters;
	uint32_t md_clusters;
	struct blob_region pages, clusters, ids, md;
	uint32_t cluster_mask_room;
};

/**
 * blob_super_parse() - check a super block, every field before it is used
 * @page: BLOB_PAGE_BYTES from byte 0 of the device
 *
 * Return: 0; -EILSEQ with @err naming the field.
 */
int blob_super_parse(const void *page, uint64_t device_bytes, struct blob_geometry *geo,
		     struct error *err);
/**
 * blob_super_mend() - of a write that only says clean, or dirty, a device may have torn one half
 * from the other: then the checksum is right with the other value. Says dirty, with a new checksum
 *
 * Return: whether it was so; otherwise the page is as it was.
 */
bool blob_super_mend(void *page);
/** blob_super_check_type() - all zero accepts any; -ENXIO */
int blob_super_check_type(const struct blob_geometry *geo, const uint8_t want[16],
			  struct error *err);
/** blob_super_build() - a super block of version 3 */
void blob_super_build(const struct blob_geometry *geo, void *page);
/** blob_super_update() - what changes in a store's life, the rest of @page stays; a new checksum */
void blob_super_update(const struct blob_geometry *geo, void *page);

/**
 * blob_layout_plan() - where everything goes in a new store; @geo has bstype, cluster_size,
 * page_size, io_unit_size and md.len (0: a page for each cluster)
 *
 * Return: 0; -EINVAL a size that cannot be, -ENOSPC the device is too small, with @err filled.
 */
int blob_layout_plan(uint64_t device_bytes, struct blob_geometry *geo, struct error *err);
/**
 * blob_layout_grow() - cover @device_bytes; nothing changes in @geo when it cannot
 *
 * Return: 0; -ENOSPC when the cluster mask has no room, or the device has shrunk.
 */
int blob_layout_grow(uint64_t device_bytes, struct blob_geometry *geo, struct error *err);
/** blob_layout_max_size() - how far a store can grow, in bytes, as SPDK reports it */
uint64_t blob_layout_max_size(const struct blob_geometry *geo);

/** blob_page_offset() - byte of the device where a metadata page begins */
static inline uint64_t blob_page_offset(const struct blob_geometry *geo, uint32_t index)
{
	return ((uint64_t)geo->md.start + index) * geo->page_size;
}

#endif

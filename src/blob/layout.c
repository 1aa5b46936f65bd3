/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a new store, and of one that grows (format page, sections 4 and 18).
 *
 * Threading: pure functions.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "blob/mask.h"
#include "blob/super.h"

static int check_request(const struct blob_geometry *geo, struct error *err)
{
	if (!is_power_of_two(geo->io_unit_size) || geo->io_unit_size < 512 ||
	    geo->io_unit_size > BLOB_BLOCK_BYTES_MAX)
		return error_set(err, -EINVAL,
				 "the device has blocks of %" PRIu32
				 " bytes; a store needs a power of two from 512 to %u",
				 geo->io_unit_size, BLOB_BLOCK_BYTES_MAX);
	if (!is_power_of_two(geo->page_size) || geo->page_size < BLOB_PAGE_BYTES ||
	    geo->page_size > BLOB_PAGE_BYTES_MAX)
		return error_set(err, -EINVAL,
				 "metadata page size %" PRIu32
				 "; a power of two from %u to %u is allowed",
				 geo->page_size, BLOB_PAGE_BYTES, BLOB_PAGE_BYTES_MAX);
	if (geo->cluster_size == 0 || geo->cluster_size % BLOB_PAGE_BYTES != 0)
		return error_set(err, -EINVAL,
				 "cluster size %" PRIu32 "; a multiple of %u bytes is allowed",
				 geo->cluster_size, BLOB_PAGE_BYTES);
	if (geo->cluster_size < geo->page_size)
		return error_set(err, -EINVAL,
				 "cluster size %" PRIu32
				 " is below the metadata page size %" PRIu32,
				 geo->cluster_size, geo->page_size);
	return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Super block, page mask, cluster mask with room to grow, blob id mask, metadata. The room for the
 * cluster mask is what the other masks take, so that a store can grow to 8 clusters a metadata page
 * byte even if few clusters are there now.
 */
int blob_layout_plan(uint64_t device_bytes, struct blob_geometry *geo, struct error *err)
{
	uint64_t total, items, mask, cluster_mask, room, md_start, md_end, md_clusters;
	int rc = check_request(geo, err);

	if (rc < 0)
		return rc;
	total = device_bytes / geo->cluster_size;
	if (total == 0)
		return error_set(err, -ENOSPC,
				 "the device has %" PRIu64
				 " bytes, less than a cluster of %" PRIu32,
				 device_bytes, geo->cluster_size);
	if (total >= UINT32_MAX)
		return error_set(err, -EINVAL,
				 "%" PRIu64 " clusters of %" PRIu32
				 " bytes are too many; use larger clusters",
				 total, geo->cluster_size);
	items = geo->md.len == 0 ? total : geo->md.len;
	mask = blob_mask_pages(items, geo->page_size);
	cluster_mask = blob_mask_pages(total, geo->page_size);
	room = larger(cluster_mask, mask);
	md_start = 1 + mask + room + mask;
	md_end = (md_start + items) * geo->page_size;
	md_clusters = md_end / geo->cluster_size + (md_end % geo->cluster_size != 0);
	if (md_clusters > total)
		return error_set(err, -ENOSPC,
				 "%" PRIu64 " metadata pages take %" PRIu64
				 " clusters, the device has %" PRIu64,
				 items, md_clusters, total);

	geo->version = BLOB_VERSION;
	geo->size = device_bytes;
	geo->total_clusters = (uint32_t)total;
	geo->md_clusters = (uint32_t)md_clusters;
	geo->pages = (struct blob_region){ 1, (uint32_t)mask };
	geo->clusters = (struct blob_region){ (uint32_t)(1 + mask), (uint32_t)cluster_mask };
	geo->cluster_mask_room = (uint32_t)room;
	geo->ids = (struct blob_region){ (uint32_t)(1 + mask + room), (uint32_t)mask };
	geo->md = (struct blob_region){ (uint32_t)md_start, (uint32_t)items };
	return 0;
}

int blob_layout_grow(uint64_t device_bytes, struct blob_geometry *geo, struct error *err)
{
	uint64_t total = device_bytes / geo->cluster_size, mask;

	if (device_bytes < geo->size)
		return error_set(err, -ENOSPC,
				 "the device has shrunk to %" PRIu64
				 " bytes, the store has %" PRIu64,
				 device_bytes, geo->size);
	mask = blob_mask_pages(total, geo->page_size);
	if (total >= UINT32_MAX || mask > geo->cluster_mask_room)
		return error_set(err, -ENOSPC,
				 "%" PRIu64 " clusters need a mask of %" PRIu64
				 " pages, the store was made with room for %" PRIu32
				 "; the most it can cover is %" PRIu64 " bytes",
				 total, mask, geo->cluster_mask_room, blob_layout_max_size(geo));
	geo->size = device_bytes;
	geo->total_clusters = (uint32_t)total;
	geo->clusters.len = (uint32_t)mask;
	return 0;
}

uint64_t blob_layout_max_size(const struct blob_geometry *geo)
{
	uint64_t bytes = blob_mask_pages(geo->md.len, geo->page_size) * geo->page_size;

	return (bytes - sizeof(struct blob_disk_mask)) * 8 * geo->cluster_size;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second opinion on a store: its pages walked byte by byte.
 *
 * Threading: see walk.h.
 */
#include "walk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/format.h"
#include "kit.h"

#define super32(d, field) le32_get((d) + offsetof(struct blob_disk_super, field))

__attribute__((format(printf, 2, 3))) static bool wrong(struct walk *w, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, args);
	va_end(args);
	return false;
}

static bool crc_is_right(const uint8_t *page)
{
	return le32_get(page + BLOB_PAGE_BYTES - 4) ==
	       crc32c_finish(crc32c_update(CRC32C_INIT, page, BLOB_PAGE_BYTES - 4));
}

static const uint8_t *page_at(const struct walk *w, const uint8_t *device, uint32_t index)
{
	return device + ((uint64_t)w->md_start + index) * w->page_bytes;
}

static bool own_page(struct walk *w, uint32_t page)
{
	if (page >= w->md_len)
		return wrong(w, "metadata page %" PRIu32 " is referred to, there are %" PRIu32,
			     page, w->md_len);
	if (w->pages[page]++ > 0)
		return wrong(w, "metadata page %" PRIu32 " has two owners", page);
	return true;
}

static bool own_cluster(struct walk *w, uint32_t cluster)
{
	if (cluster < w->md_clusters || cluster >= w->total_clusters)
		return wrong(w,
			     "cluster %" PRIu32 " is referred to, data is %" PRIu32 " to %" PRIu32,
			     cluster, w->md_clusters, w->total_clusters - 1);
	if (w->clusters[cluster]++ > 0)
		return wrong(w, "cluster %" PRIu32 " has two owners", cluster);
	w->owned++;
	return true;
}

static bool walk_extents(struct walk *w, const uint8_t *device, uint32_t index)
{
	const uint8_t *page, *desc;
	uint32_t length;

	if (!own_page(w, index))
		return false;
	page = page_at(w, device, index);
	desc = page + offsetof(struct blob_disk_page, descriptors);
	length = le32_get(desc + 1);
	if (!crc_is_right(page) || desc[0] != BLOB_DESC_EXTENT_PAGE || length <= 4 ||
	    length > 4 + 4 * BLOB_EXTENT_CLUSTERS)
		return wrong(w, "extent page %" PRIu32 " is none", index);
	for (uint32_t i = 4; i < length; i += 4) {
		uint32_t cluster = le32_get(desc + 5 + i);

		if (cluster != 0 && !own_cluster(w, cluster))
			return false;
	}
	return true;
}

static bool walk_table(struct walk *w, const uint8_t *device, const uint8_t *p, uint32_t length)
{
	for (uint32_t i = 8; i + 8 <= length; i += 8) {
		uint32_t page = le32_get(p + i);

		if (page != 0 && !walk_extents(w, device, page))
			return false;
	}
	return true;
}

static bool walk_runs(struct walk *w, const uint8_t *p, uint32_t length)
{
	for (uint32_t i = 0; i + 8 <= length; i += 8) {
		uint32_t cluster = le32_get(p + i), count = le32_get(p + i + 4);

		for (uint32_t j = 0; cluster != 0 && j < count; j++) {
			if (!own_cluster(w, cluster + j))
				return false;
		}
	}
	return true;
}

static bool is_mark(const uint8_t *p)
{
	return le16_get(p) > 4 && memcmp(p + 4, "SNAP", 4) == 0;
}

static bool walk_descriptors(struct walk *w, const uint8_t *device, const uint8_t *page)
{
	const uint8_t *desc = page + offsetof(struct blob_disk_page, descriptors);
	uint32_t at = 0;
	bool good = true;

	while (good && at + 5 <= BLOB_DESCRIPTORS_BYTES) {
		uint8_t type = desc[at];
		uint32_t length = le32_get(desc + at + 1);
		const uint8_t *p = desc + at + 5;

		if (type == 0 && length == 0)
			break;
		if (length > BLOB_DESCRIPTORS_BYTES - 5 - at)
			return wrong(w, "a descriptor goes beyond its page");
		if (type == BLOB_DESC_EXTENT_TABLE)
			good = walk_table(w, device, p, length);
		else if (type == BLOB_DESC_EXTENT_RLE)
			good = walk_runs(w, p, length);
		else if (type == BLOB_DESC_XATTR_INTERNAL && is_mark(p))
			good = wrong(w, "SNAPTMP or SNAPRM is left behind");
		at += 5 + length;
	}
	return good;
}

static bool walk_chain(struct walk *w, const uint8_t *device, uint32_t root)
{
	uint32_t index = root, sequence = 0;

	for (;;) {
		const uint8_t *page = page_at(w, device, index);

		if (!own_page(w, index) || !walk_descriptors(w, device, page))
			return false;
		index = le32_get(page + offsetof(struct blob_disk_page, next));
		if (index == BLOB_NEXT_NONE)
			return true;
		if (index >= w->md_len)
			return wrong(w, "root page %" PRIu32 ": its chain leaves the store", root);
		page = page_at(w, device, index);
		if (!crc_is_right(page) || le32_get(page + 8) != ++sequence ||
		    le64_get(page) != BLOB_ID_BASE + root)
			return wrong(w, "root page %" PRIu32 ": its chain breaks at %" PRIu32, root,
				     index);
	}
}

/* Of the write that says clean or dirty one half may be there: nothing else is in doubt then. */
static bool is_sound(const uint8_t *device)
{
	uint8_t page[BLOB_PAGE_BYTES];

	memcpy(page, device, sizeof(page));
	for (uint32_t clean = 0; clean < 2; clean++) {
		le32_put(page + offsetof(struct blob_disk_super, clean), clean);
		if (crc_is_right(page))
			return true;
	}
	return false;
}

static void walk_super(struct walk *w, const uint8_t *device, uint64_t bytes)
{
	uint64_t size = le64_get(device + offsetof(struct blob_disk_super, size)), end;

	*w = (struct walk){
		.page_bytes = super32(device, md_page_size),
		.cluster_bytes = super32(device, cluster_size),
		.md_start = super32(device, md_start),
		.md_len = super32(device, md_len),
		.clean = super32(device, clean) != 0 && crc_is_right(device),
	};
	if (!is_sound(device) || size > bytes || w->cluster_bytes == 0)
		kit_die("walk_run() of something that is no store");
	end = ((uint64_t)w->md_start + w->md_len) * w->page_bytes;
	w->total_clusters = (uint32_t)(size / w->cluster_bytes);
	w->md_clusters = (uint32_t)((end + w->cluster_bytes - 1) / w->cluster_bytes);
	w->pages = kit_alloc(w->md_len);
	w->ids = kit_alloc(w->md_len);
	w->clusters = kit_alloc(w->total_clusters);
}

bool walk_run(struct walk *w, const uint8_t *device, uint64_t bytes)
{
	walk_super(w, device, bytes);
	for (uint32_t i = 0; i < w->md_len; i++) {
		const uint8_t *page = page_at(w, device, i);

		if (le64_get(page) != BLOB_ID_BASE + i || le32_get(page + 8) != 0 ||
		    page[offsetof(struct blob_disk_page, descriptors)] == BLOB_DESC_EXTENT_PAGE ||
		    !crc_is_right(page))
			continue;
		w->ids[i] = 1;
		if (!walk_chain(w, device, i))
			return false;
	}
	return true;
}

static bool mask_is(struct walk *w, const uint8_t *region, const char *name, uint8_t type,
		    const uint8_t *used, uint32_t bits, uint32_t all_below)
{
	if (region[0] != type || le32_get(region + 1) != bits)
		return wrong(w,
			     "%s mask: type %u with %" PRIu32 " bits, should be %u with %" PRIu32,
			     name, region[0], le32_get(region + 1), type, bits);
	for (uint32_t i = 0; i < bits; i++) {
		bool set = (region[5 + i / 8] & 1u << (i % 8)) != 0;

		if (set != (used[i] != 0 || i < all_below))
			return wrong(w, "%s mask: item %" PRIu32 " is %s and should not", name, i,
				     set ? "in use" : "free");
	}
	return true;
}

bool walk_masks(struct walk *w, const uint8_t *device)
{
	uint64_t page = w->page_bytes;

	if (!w->clean)
		return wrong(w, "the store was unloaded and is not clean");
	return mask_is(w, device + super32(device, used_page_mask_start) * page, "page",
		       BLOB_MASK_PAGES, w->pages, w->md_len, 0) &&
	       mask_is(w, device + super32(device, used_cluster_mask_start) * page, "cluster",
		       BLOB_MASK_CLUSTERS, w->clusters, w->total_clusters, w->md_clusters) &&
	       mask_is(w, device + super32(device, used_blobid_mask_start) * page, "blob id",
		       BLOB_MASK_BLOBIDS, w->ids, w->md_len, 0);
}

void walk_free(struct walk *w)
{
	free(w->pages);
	free(w->clusters);
	free(w->ids);
}

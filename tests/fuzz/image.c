/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short form of images, and the images that are made here.
 *
 * Threading: see image.h.
 */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/format.h"
#include "disk.h"
#include "kit.h"

uint32_t image_number(const uint8_t *bytes, uint32_t i)
{
	return le32_get(bytes + IMAGE_HEAD + (size_t)i * IMAGE_ENTRY);
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Where metadata ends, by what the super block says; sound or not, it is bounded. */
static uint32_t metadata_pages(const uint8_t *disk, uint64_t bytes)
{
	const uint8_t *md_start = disk + offsetof(struct blob_disk_super, md_start);
	uint64_t size = le32_get(disk + offsetof(struct blob_disk_super, md_page_size));
	uint64_t end = (uint64_t)le32_get(md_start) + le32_get(md_start + 4);

	end *= size < PAGE || size > BLOB_PAGE_BYTES_MAX ? 1 : size / PAGE;
	return end == 0 || end > bytes / PAGE ? (uint32_t)(bytes / PAGE) : (uint32_t)end;
}

struct image image_pack(const uint8_t *disk, uint64_t bytes)
{
	struct image image = { .bytes = kit_alloc(IMAGE_BYTES_MAX), .len = IMAGE_HEAD };
	uint32_t end = metadata_pages(disk, bytes);

	le32_put(image.bytes, end);
	for (uint32_t i = 0; i < end && image.len + IMAGE_ENTRY <= IMAGE_BYTES_MAX; i++) {
		if (is_zero(disk + (size_t)i * PAGE))
			continue;
		le32_put(image.bytes + image.len, i);
		memcpy(image.bytes + image.len + 4, disk + (size_t)i * PAGE, PAGE);
		image.len += IMAGE_ENTRY;
	}
	return image;
}

/* --- seeds ------------------------------------------------------------------------------------ */

struct seed {
	const char *name;
	uint32_t cluster_size, md_page_size;
	bool clean;
};

static const struct seed seeds[] = {
	{ "clean", 8192, 4096, true },
	{ "dirty", 8192, 4096, false },
	{ "no-power-of-two", 12288, 4096, false },
	{ "large-pages", 65536, 8192, true },
	{ "large-clusters", 1048576, 4096, false },
};

static uint64_t make(struct blob_store *store, uint64_t clusters, bool thin, bool padded)
{
	static const uint8_t pad[3900];
	const struct blob_xattr xattrs[] = { { .name = "name", .value = "volume", .len = 7 },
					     { .name = "pad1", .value = pad, .len = sizeof(pad) } };
	struct blob_options opts = { .clusters = clusters, .thin = thin, .xattrs = xattrs };
	struct error err = ERROR_INIT;
	uint64_t id;

	opts.xattr_count = padded ? 2 : 1;
	kit_must(blob_create(store, &opts, &id, &err), &err);
	return id;
}

static void put(struct blob *blob, uint64_t unit)
{
	uint8_t buffer[BLOCK] __attribute__((aligned(64))) = { 1 };

	kit_must(kit_io(blob, BDEV_IO_WRITE, buffer, unit, 1), NULL);
}

/* A thick volume, a thin one with two extent pages, a tree of snapshot and clones. */
static void fill(struct blob_store *store, uint32_t cluster_size)
{
	uint64_t units = cluster_size / BLOCK, id;
	struct blob *thin, *thick, *snapshot;
	struct error err = ERROR_INIT;

	kit_must(blob_open(store, make(store, 3, false, true), &thick, &err), &err);
	kit_must(blob_open(store, make(store, 700, true, false), &thin, &err), &err);
	put(thin, units);
	put(thin, 600 * units);
	kit_must(blob_snapshot(thick, NULL, 0, &id, &err), &err);
	kit_must(blob_open(store, id, &snapshot, &err), &err);
	put(thick, 0);
	kit_must(blob_clone(snapshot, NULL, 0, &id, &err), &err);
	blob_close(snapshot);
	blob_close(thin);
	blob_close(thick);
}

bool image_seed(unsigned int number, const char **name, struct image *image)
{
	struct blob_store_options opts;
	struct error err = ERROR_INIT;
	const struct seed *seed = &seeds[number];
	struct blob_store *store;
	struct bdev_desc *desc;
	struct disk *disk;

	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return false;
	*name = seed->name;
	disk = disk_create("seed", IMAGE_DISK_BYTES, IMAGE_DISK_BYTES, true);
	desc = kit_open("seed");
	blob_store_options_init(&opts);
	opts.cluster_size = seed->cluster_size;
	opts.md_page_size = seed->md_page_size;
	opts.md_pages = 24;
	kit_must(blob_store_init(desc, &opts, &store, &err), &err);
	kit_attach(store);
	fill(store, seed->cluster_size);
	if (!seed->clean)
		*image = image_pack(disk_data(disk), disk_bytes(disk));
	kit_detach();
	kit_must(blob_store_unload(store, &err), &err);
	if (seed->clean)
		*image = image_pack(disk_data(disk), disk_bytes(disk));
	bdev_close(desc);
	disk_delete(disk);
	return true;
}

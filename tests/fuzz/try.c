/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trial of an image.
 *
 * Threading: a fiber of reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/page.h"
#include "blob/super.h"
#include "disk.h"
#include "image.h"
#include "kit.h"

#define STAMP	   UINT64_C(0x5354414d00000000)
#define READ_UNITS 2048u
#define BLOBS_MAX  64u

/* What is written to a volume, to see that it goes nowhere else. */
#define OWN 0xa5

/**
 * struct trial
 * @owner: by cluster of 4 KiB: the tree whose volumes showed its stamp, plus one
 */
static struct trial {
	struct disk *disk;
	struct bdev_desc *desc;
	struct blob_store *store;
	uint64_t ids[BLOBS_MAX];
	uint32_t count;
	uint64_t *owner;
} trial;

void image_open(void)
{
	uint8_t *data;

	trial.disk = disk_create("image", IMAGE_DISK_BYTES, IMAGE_DISK_BYTES, true);
	trial.desc = kit_open("image");
	trial.owner = kit_alloc(IMAGE_DISK_BYTES / BLOCK * sizeof(*trial.owner));
	kit_glass_open(BLOCK);
	data = disk_data(trial.disk);
	for (uint64_t i = 0; i < IMAGE_DISK_BYTES / 8; i++)
		((uint64_t *)(void *)data)[i] = STAMP | (i / (BLOCK / 8));
}

void image_close(void)
{
	kit_glass_close();
	bdev_close(trial.desc);
	disk_delete(trial.disk);
	free(trial.owner);
}

/* --- the image on the disk -------------------------------------------------------------------- */

static void put_page(uint64_t page, const uint8_t *bytes)
{
	static const uint8_t zeroes[BLOCK];

	for (unsigned int i = 0; i < PAGE_BLOCKS; i++)
		disk_put(trial.disk, page * PAGE_BLOCKS + i,
			 bytes != NULL ? bytes + (size_t)i * BLOCK : zeroes);
}

static void put_image(const uint8_t *bytes, size_t len)
{
	uint32_t zero = len < IMAGE_HEAD ? 0 : le32_get(bytes);

	for (uint32_t i = 0; i < zero && i < IMAGE_DISK_BYTES / PAGE; i++)
		put_page(i, NULL);
	for (uint32_t i = 0; i < image_pages(len); i++) {
		uint32_t number = image_number(bytes, i);

		if (number < IMAGE_DISK_BYTES / PAGE)
			put_page(number, image_page((uint8_t *)(uintptr_t)bytes, i));
	}
}

/* --- parsers ---------------------------------------------------------------------------------- */

static void parse_page(const uint8_t *page, uint32_t index, const struct blob_geometry *geo)
{
	struct blob_content content = { 0 };
	struct error err = ERROR_INIT;
	struct blob_extents extents;

	(void)blob_page_classify(page, index);
	(void)blob_content_add(&content, page, geo, &err);
	(void)blob_content_add(&content, page, geo, &err);
	blob_content_free(&content);
	if (blob_extents_parse(page, geo, &extents, &err) == 0 &&
	    extents.count > BLOB_EXTENT_CLUSTERS)
		kit_die("an extent page with %" PRIu32 " entries", extents.count);
}

static void parse_all(const uint8_t *bytes, size_t len)
{
	struct blob_geometry geo = { .cluster_size = PAGE,
				     .page_size = PAGE,
				     .total_clusters = 1000,
				     .md_clusters = 20,
				     .md = { 4, 16 } };
	struct error err = ERROR_INIT;

	for (uint32_t i = 0; i < image_pages(len); i++) {
		/* A copy of its own, so that a byte too many is seen. */
		uint8_t *page = malloc(PAGE);

		memcpy(page, image_page((uint8_t *)(uintptr_t)bytes, i), PAGE);
		(void)blob_super_parse(page, IMAGE_DISK_BYTES, &geo, &err);
		parse_page(page, image_number(bytes, i) - geo.md.start, &geo);
		free(page);
	}
}

/* --- the store -------------------------------------------------------------------------------- */

static bool note_blob(const struct blob_summary *b, void *arg)
{
	(void)arg;
	if (b->damage != 0 && (b->damage_text == NULL || b->damage_text[0] == '\0'))
		kit_die("blob 0x%" PRIx64 " is damaged without a reason", b->id);
	trial.ids[trial.count++] = b->id;
	return trial.count < BLOBS_MAX;
}

/* The oldest ancestor: volumes of a tree share clusters, others never do. */
static uint64_t tree_of(uint64_t id)
{
	struct error err = ERROR_INIT;
	struct blob_info info;
	struct blob *b;

	for (uint32_t depth = 0; depth < 1000 && blob_open(trial.store, id, &b, &err) == 0;
	     depth++) {
		blob_info_get(b, &info);
		blob_close(b);
		if (info.parent == BLOB_ID_NONE)
			break;
		id = info.parent;
	}
	return id;
}

static void check_block(const uint8_t *block, uint64_t tree)
{
	uint64_t stamp = le64_get(block), number = stamp & UINT32_MAX;

	/* What is no stamp is zeroes, or was written. */
	if ((stamp & ~(uint64_t)UINT32_MAX) != STAMP || number >= IMAGE_DISK_BYTES / BLOCK)
		return;
	if (trial.owner[number] != 0 && trial.owner[number] != tree)
		kit_die("block %" PRIu64 " of the disk shows in blobs of trees 0x%" PRIx64
			" and 0x%" PRIx64,
			number, trial.owner[number], tree);
	trial.owner[number] = tree;
}

static void read_range(struct blob *b, uint64_t unit, uint64_t units, uint64_t tree)
{
	uint8_t *buffer = malloc(units * BLOCK);

	memset(buffer, 0, units * BLOCK);
	(void)kit_io(b, BDEV_IO_READ, buffer, unit, units);
	for (uint64_t i = 0; i < units; i++)
		check_block(buffer + i * BLOCK, tree);
	free(buffer);
}

/* I/O units of the glass are blocks; a store with larger ones refuses what is not whole. */
static uint64_t units_of(struct blob *b)
{
	struct blob_store_info store;
	struct blob_info info;

	blob_store_info_get(trial.store, &store);
	blob_info_get(b, &info);
	return store.io_unit_size == BLOCK ? info.clusters * (store.cluster_size / BLOCK) : 0;
}

static void use_blob(uint64_t id, bool write)
{
	uint8_t buffer[BLOCK] __attribute__((aligned(64)));
	struct error err = ERROR_INIT;
	uint64_t units, tree = tree_of(id);
	struct blob *b;

	if (blob_open(trial.store, id, &b, &err) < 0) {
		if (err.text[0] == '\0')
			kit_die("blob 0x%" PRIx64 " is refused without a reason", id);
		return;
	}
	units = units_of(b);
	if (units > 0 && !write) {
		read_range(b, 0, units < READ_UNITS ? units : READ_UNITS, tree);
		read_range(b, units - 1, 1, tree);
	} else if (units > 0) {
		memset(buffer, OWN, sizeof(buffer));
		(void)kit_io(b, BDEV_IO_WRITE, buffer, units / 2, 1);
		(void)kit_io(b, BDEV_IO_FLUSH, NULL, 0, 1);
	}
	blob_close(b);
}

static int load(bool read_only)
{
	struct blob_store_options opts;
	struct error err = ERROR_INIT;
	int rc;

	blob_store_options_init(&opts);
	opts.read_only = read_only;
	rc = blob_store_load(trial.desc, &opts, &trial.store, &err);
	if (rc < 0 && err.text[0] == '\0')
		kit_die("the image is refused without a reason");
	if (rc == 0)
		kit_attach(trial.store);
	return rc;
}

static void unload(void)
{
	struct error err = ERROR_INIT;

	kit_detach();
	kit_must(blob_store_unload(trial.store, &err), &err);
}

static void change_store(void)
{
	struct blob_options opts = { .clusters = 2 };
	struct error err = ERROR_INIT;
	uint64_t id;

	if (blob_create(trial.store, &opts, &id, &err) < 0)
		return;
	use_blob(id, false);
	if (trial.count > 0)
		(void)blob_delete(trial.store, trial.ids[trial.count / 2], &err);
}

static void look(bool write)
{
	trial.count = 0;
	memset(trial.owner, 0, IMAGE_DISK_BYTES / BLOCK * sizeof(*trial.owner));
	blob_store_each(trial.store, note_blob, NULL);
	for (uint32_t i = 0; i < trial.count; i++)
		use_blob(trial.ids[i], false);
	for (uint32_t i = 0; write && i < trial.count; i++)
		use_blob(trial.ids[i], true);
}

void image_try(const uint8_t *bytes, size_t len)
{
	struct disk_mark mark = disk_mark(trial.disk);
	uint64_t changes;

	parse_all(bytes, len);
	put_image(bytes, len);
	changes = disk_changes(trial.disk);
	if (load(true) == 0) {
		look(false);
		unload();
	}
	if (disk_changes(trial.disk) != changes)
		kit_die("a load to read only wrote");
	if (load(false) == 0) {
		look(true);
		change_store();
		unload();
		if (load(false) < 0)
			kit_die("a store that was used cannot be loaded again");
		look(false);
		unload();
	}
	disk_undo(trial.disk, mark);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on a disk in memory, and short words for what tests do with it.
 *
 * Threading: a fiber on reactor 0.
 */
#ifndef TESTS_UNIT_BLOB_FIXTURE_H
#define TESTS_UNIT_BLOB_FIXTURE_H

#include "blob_unit.h"

#define CLUSTER 16384u
#define UNIT	512u

static struct disk *disk;
static struct bdev_desc *desc;
static struct blob_store *store;
static struct error err;
static uint8_t *buffer;

/* --- plumbing --------------------------------------------------------------------------------- */

static inline void begin_with(uint64_t bytes, uint32_t cluster, bool zeroing_unmap)
{
	struct blob_store_options opts;

	disk = disk_create(bytes, UNIT, true, zeroing_unmap);
	desc = unit_open("disk");
	buffer = malloc(1 << 20);
	blob_store_options_init(&opts);
	opts.cluster_size = cluster;
	opts.md_pages = 128;
	assert_done(blob_store_init(desc, &opts, &store, &err), err);
}

static inline void begin(void)
{
	begin_with(4 << 20, CLUSTER, false);
}

static inline void unload(void)
{
	assert_done(blob_store_unload(store, &err), err);
}

static inline void load(void)
{
	struct blob_store_options opts;

	blob_store_options_init(&opts);
	assert_done(blob_store_load(desc, &opts, &store, &err), err);
}

static inline void finish(void)
{
	unload();
	bdev_close(desc);
	disk_delete(disk);
	free(buffer);
}

static inline uint64_t create(uint64_t clusters, bool thin)
{
	struct blob_options opts = { .clusters = clusters, .thin = thin };
	uint64_t id;

	assert_done(blob_create(store, &opts, &id, &err), err);
	return id;
}

static inline struct blob *open_blob(uint64_t id)
{
	struct blob *b;

	assert_done(blob_open(store, id, &b, &err), err);
	return b;
}

static inline struct blob_info info_of(struct blob *b)
{
	struct blob_info info;

	blob_info_get(b, &info);
	return info;
}

static inline uint64_t free_clusters(struct blob_store *of)
{
	struct blob_store_info info;

	blob_store_info_get(of, &info);
	return info.free_clusters;
}

static inline int io(struct blob *b, enum bdev_io_type type, uint64_t offset, uint64_t bytes)
{
	struct view *v = view_create(store, b, UNIT);
	int rc = view_io(v, reactor_count() - 1, type, buffer, offset, bytes);

	view_delete(v);
	return rc;
}

static inline void write_at(struct blob *b, uint64_t offset, uint64_t bytes, uint32_t seed)
{
	pattern(buffer, bytes, seed);
	assert_int_equal(io(b, BDEV_IO_WRITE, offset, bytes), 0);
}

static inline void expect_at(struct blob *b, uint64_t offset, uint64_t bytes, uint32_t seed)
{
	memset(buffer, 0xee, bytes);
	assert_int_equal(io(b, BDEV_IO_READ, offset, bytes), 0);
	if (seed == 0)
		assert_true(is_zero(buffer, bytes));
	else
		assert_true(is_pattern(buffer, bytes, seed));
}

static inline uint64_t snapshot(struct blob *b)
{
	const struct blob_xattr x = { .name = "name", .value = "snap", .len = 5 };
	uint64_t id;

	assert_done(blob_snapshot(b, &x, 1, &id, &err), err);
	return id;
}

static inline void delete_blob(uint64_t id)
{
	assert_done(blob_delete(store, id, &err), err);
}

#endif

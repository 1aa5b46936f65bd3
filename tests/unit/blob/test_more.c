/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots, growing, shallow copies, and sizes out of the ordinary.
 *
 * Threading: a fiber on reactor 0.
 */
#include "blob_unit.h"

#include "bdev_modules/malloc.h"

static struct disk *disk;
static struct bdev_desc *desc;
static struct blob_store *store;
static struct error err;
static uint8_t *buffer;

static int esnap_open(void *arg, const void *id, size_t len, struct bdev_desc **out,
		      struct error *why)
{
	(void)arg;
	(void)len;
	if (bdev_find(id) == NULL)
		return error_set(why, -ENODEV, "no bdev \"%s\"", (const char *)id);
	*out = unit_open(id);
	return 0;
}

static void esnap_close(void *arg, struct bdev_desc *d)
{
	(void)arg;
	bdev_close(d);
}

static struct blob_store_options options(uint32_t cluster, uint32_t page)
{
	struct blob_store_options opts;

	blob_store_options_init(&opts);
	opts.cluster_size = cluster;
	opts.md_page_size = page;
	opts.md_pages = 64;
	opts.esnap = (struct blob_esnap_ops){ .open = esnap_open, .close = esnap_close };
	return opts;
}

static void begin(uint64_t bytes, uint32_t block, uint32_t cluster, uint32_t page)
{
	struct blob_store_options opts = options(cluster, page);

	disk = disk_create(bytes, block, true, false);
	desc = unit_open("disk");
	buffer = malloc(1 << 20);
	assert_done(blob_store_init(desc, &opts, &store, &err), err);
}

static void reload(void)
{
	struct blob_store_options opts = options(0, 0);

	assert_done(blob_store_unload(store, &err), err);
	assert_done(blob_store_load(desc, &opts, &store, &err), err);
}

static void finish(void)
{
	assert_done(blob_store_unload(store, &err), err);
	bdev_close(desc);
	disk_delete(disk);
	free(buffer);
}

static struct blob *open_blob(uint64_t id)
{
	struct blob *b;

	assert_done(blob_open(store, id, &b, &err), err);
	return b;
}

static struct blob_info info_of(struct blob *b)
{
	struct blob_info info;

	blob_info_get(b, &info);
	return info;
}

static int io(struct blob *b, enum bdev_io_type type, uint64_t offset, uint64_t bytes)
{
	struct blob_store_info si;
	struct view *v;
	int rc;

	blob_store_info_get(store, &si);
	v = view_create(store, b, si.io_unit_size);
	rc = view_io(v, reactor_count() - 1, type, buffer, offset, bytes);
	view_delete(v);
	return rc;
}

static void expect_at(struct blob *b, uint64_t offset, uint64_t bytes, uint32_t seed)
{
	assert_int_equal(io(b, BDEV_IO_READ, offset, bytes), 0);
	assert_true(seed == 0 ? is_zero(buffer, bytes) : is_pattern(buffer, bytes, seed));
}

/* --- external snapshots ----------------------------------------------------------------------- */

/* A bdev of 128 KiB with pattern @seed in it. */
static struct bdev *outside(const char *name, uint32_t seed)
{
	struct bdev_malloc_options o;
	struct bdev *bdev;

	bdev_malloc_options_init(&o);
	o.name = name;
	o.block_size = 512;
	o.num_blocks = 256;
	assert_done(bdev_malloc_create(&o, &bdev, &err), err);
	unit_fill(name, seed, 128 << 10);
	return bdev;
}

static uint64_t create_on(const char *name, uint64_t clusters)
{
	struct blob_options o = { .clusters = clusters,
				  .esnap_id = name,
				  .esnap_id_len = (uint16_t)(strlen(name) + 1) };
	uint64_t id;

	assert_done(blob_create(store, &o, &id, &err), err);
	return id;
}

static void external(void)
{
	struct bdev *one, *two;
	struct blob *b, *c;
	uint64_t id, snap;
	uint16_t len;

	begin(4 << 20, 512, 16384, 0);
	one = outside("one", 1);
	two = outside("two", 2);
	id = create_on("one", 8);
	b = open_blob(id);
	assert_true(info_of(b).esnap_clone && !info_of(b).degraded && info_of(b).thin);
	expect_at(b, 0, 128 << 10, 1);
	memset(buffer, 0, 1024);
	assert_int_equal(io(b, BDEV_IO_WRITE, 16384 + 512, 1024), 0);
	expect_at(b, 16384 + 512, 1024, 0);
	expect_at(b, 0, 16384 + 512, 1);

	/* The snapshot takes the external parent over, and gives it back. */
	assert_done(blob_snapshot(b, NULL, 0, &snap, &err), err);
	assert_true(info_of(b).clone && !info_of(b).esnap_clone);
	c = open_blob(snap);
	assert_string_equal(blob_esnap_id(c, &len), "one");
	blob_close(c);
	expect_at(b, 0, 16384 + 512, 1);
	assert_done(blob_delete(store, snap, &err), err);
	assert_true(info_of(b).esnap_clone && !info_of(b).clone);
	expect_at(b, 0, 16384 + 512, 1);

	assert_done(blob_set_esnap_parent(b, "two", 4, &err), err);
	assert_int_equal(blob_set_esnap_parent(b, "two", 4, &err), -EEXIST);
	assert_int_equal(blob_set_esnap_parent(b, "three", 6, &err), -ENODEV);
	expect_at(b, 0, 16384, 2);
	assert_done(blob_resize(b, 10, &err), err);
	expect_at(b, 128 << 10, 32768, 0);
	assert_done(blob_inflate(b, &err), err);
	assert_false(info_of(b).esnap_clone);
	unit_delete_bdev(two);
	expect_at(b, 0, 16384, 2);
	blob_close(b);

	/* Without its external bdev a blob is degraded, until that appears. */
	id = create_on("one", 8);
	unit_delete_bdev(one);
	reload();
	b = open_blob(id);
	assert_true(info_of(b).degraded);
	assert_int_equal(io(b, BDEV_IO_READ, 0, 512), -ENODEV);
	assert_int_equal(blob_esnap_retry(b, &err), -ENODEV);
	one = outside("one", 3);
	assert_done(blob_esnap_retry(b, &err), err);
	expect_at(b, 0, 16384, 3);
	blob_close(b);
	assert_done(blob_delete(store, id, &err), err);
	unit_delete_bdev(one);
	finish();
}

static void test_external_snapshots(void **state)
{
	(void)state;
	unit_fiber(2, external);
}

/* --- growing ---------------------------------------------------------------------------------- */

static void growing(void)
{
	struct blob_store_info before, after;
	struct blob_options o = { .clusters = 300 };
	uint64_t id;

	begin(4 << 20, 512, 16384, 0);
	blob_store_info_get(store, &before);
	assert_int_equal(blob_create(store, &o, &id, &err), -ENOSPC);
	assert_done(blob_store_grow(store, &err), err);
	blob_store_info_get(store, &after);
	assert_int_equal(before.total_clusters, after.total_clusters);
	disk->data = realloc(disk->data, 8 << 20);
	memset(disk->data + (4 << 20), 0xd5, 4 << 20);
	disk->bytes = 8 << 20;
	assert_done(bdev_resize(&disk->bdev, (8 << 20) / 512, &err), err);
	assert_done(blob_store_grow(store, &err), err);
	assert_done(blob_create(store, &o, &id, &err), err);
	blob_store_info_get(store, &after);
	assert_int_equal(after.total_clusters, 512);
	assert_int_equal(after.free_clusters, before.free_clusters + 256 - 300);
	reload();
	blob_store_info_get(store, &before);
	assert_int_equal(after.free_clusters, before.free_clusters);
	finish();
}

static void test_store_grows_with_its_device(void **state)
{
	(void)state;
	unit_fiber(1, growing);
}

/* --- shallow copy ----------------------------------------------------------------------------- */

static unsigned int steps;

static bool one_step(uint64_t done, uint64_t total, void *arg)
{
	steps++;
	assert_int_equal(done, steps);
	assert_int_equal(total, 2);
	return arg == NULL;
}

static void shallow(void)
{
	struct blob_options o = { .clusters = 8, .thin = true };
	struct bdev *to;
	struct bdev_desc *td;
	struct blob *b;
	uint64_t id;

	begin(4 << 20, 512, 16384, 0);
	to = outside("to", 9);
	td = unit_open("to");
	assert_done(blob_create(store, &o, &id, &err), err);
	b = open_blob(id);
	pattern(buffer, 32768, 4);
	assert_int_equal(io(b, BDEV_IO_WRITE, 2 * 16384, 32768), 0);
	assert_int_equal(blob_shallow_copy(b, td, one_step, NULL, &err), -EPERM);
	assert_done(blob_set_read_only(b, &err), err);
	assert_done(blob_shallow_copy(b, td, one_step, NULL, &err), err);
	assert_int_equal(steps, 2);
	unit_read("to", buffer, 128 << 10);
	assert_true(is_pattern(buffer + 32768, 32768, 4));
	assert_true(is_pattern(buffer, 32768, 9));
	steps = 0;
	assert_int_equal(blob_shallow_copy(b, td, one_step, &steps, &err), -ECANCELED);
	assert_int_equal(steps, 1);
	blob_close(b);
	bdev_close(td);
	unit_delete_bdev(to);
	finish();
}

static void test_shallow_copy(void **state)
{
	(void)state;
	unit_fiber(1, shallow);
}

/* --- sizes out of the ordinary ---------------------------------------------------------------- */

static void use(uint64_t bytes, uint32_t block, uint32_t cluster, uint32_t page)
{
	struct blob_options o = { .clusters = 7, .thin = true };
	struct blob *b;
	uint64_t id, snap;

	begin(bytes, block, cluster, page);
	assert_done(blob_create(store, &o, &id, &err), err);
	b = open_blob(id);
	pattern(buffer, 3 * cluster, 6);
	assert_int_equal(io(b, BDEV_IO_WRITE, cluster - 4096, 3 * cluster), 0);
	assert_done(blob_snapshot(b, NULL, 0, &snap, &err), err);
	memset(buffer, 0, 4096);
	assert_int_equal(io(b, BDEV_IO_WRITE, 5 * cluster, 4096), 0);
	blob_close(b);
	reload();
	b = open_blob(id);
	expect_at(b, cluster - 4096, 3 * cluster, 6);
	expect_at(b, 0, cluster - 4096, 0);
	assert_int_equal(info_of(b).allocated_clusters, 1);
	blob_close(b);
	assert_done(blob_delete(store, snap, &err), err);
	b = open_blob(id);
	expect_at(b, cluster - 4096, 3 * cluster, 6);
	blob_close(b);
	finish();
}

static void odd_sizes(void)
{
	use(4 << 20, 512, 3 * 4096, 0);
	use(4 << 20, 4096, 5 * 4096, 0);
	use(4 << 20, 4096, 16384, 8192);
	use(8 << 20, 512, 65536, 16384);
	use((4 << 20) + 7 * 512, 512, 16384, 0);
}

static void test_odd_clusters_pages_and_blocks(void **state)
{
	(void)state;
	unit_fiber(1, odd_sizes);
}

static void wrong_block(void)
{
	struct blob_store_options opts = options(0, 0);
	uint8_t *data;

	begin(4 << 20, 512, 16384, 0);
	data = malloc(4 << 20);
	assert_done(blob_store_unload(store, &err), err);
	memcpy(data, disk->data, 4 << 20);
	bdev_close(desc);
	disk_delete(disk);
	disk = disk_create(4 << 20, 4096, true, false);
	memcpy(disk->data, data, 4 << 20);
	desc = unit_open("disk");
	assert_int_equal(blob_store_load(desc, &opts, &store, &err), -EINVAL);
	assert_non_null(strstr(err.text, "attach it with 512"));
	bdev_close(desc);
	disk_delete(disk);
	free(data);
	free(buffer);
}

static void test_wrong_block_size_is_refused(void **state)
{
	(void)state;
	unit_fiber(1, wrong_block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_external_snapshots),
		cmocka_unit_test(test_store_grows_with_its_device),
		cmocka_unit_test(test_shallow_copy),
		cmocka_unit_test(test_odd_clusters_pages_and_blocks),
		cmocka_unit_test(test_wrong_block_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores with a metadata page that cannot be read: what it had is not given to others.
 *
 * Threading: a fiber on reactor 0.
 */
#include "fixture.h"

#include <stdio.h>

#include "base/le.h"
#include "blob/super.h"

#define PAGE  4096u
#define CLEAN 16u

static uint64_t thick, thin, torn;
static struct disk *cut;
static struct bdev_desc *cut_desc;

static uint64_t page_at(uint64_t index)
{
	return (le32_get(disk->data + 48) + index) * PAGE;
}

/* Three volumes, and what the device holds at once when the power goes. */
static void make(void)
{
	struct blob *b;

	begin();
	thick = create(3, false);
	thin = create(4, true);
	torn = create(5, false);
	b = open_blob(thick);
	write_at(b, 0, 3 * CLUSTER, 1);
	blob_close(b);
	b = open_blob(thin);
	write_at(b, CLUSTER, CLUSTER, 2);
	blob_close(b);
	b = open_blob(torn);
	write_at(b, 0, 5 * CLUSTER, 3);
	blob_close(b);
}

static void load_cut(void)
{
	struct blob_store_options opts;

	blob_store_options_init(&opts);
	assert_done(blob_store_load(cut_desc, &opts, &store, &err), err);
}

static void pull_the_plug(uint64_t page)
{
	struct blob_store *running = store;

	cut = disk_copy(disk, disk->data);
	cut->data[page_at(page) + 600] ^= 0x5a;
	cut_desc = unit_open("copy");
	load_cut();
	assert_done(blob_store_unload(running, &err), err);
}

static void end(void)
{
	unload();
	bdev_close(cut_desc);
	disk_delete(cut);
	bdev_close(desc);
	disk_delete(disk);
	free(buffer);
}

static const char *unknown(void)
{
	struct blob_store_info info;

	blob_store_info_get(store, &info);
	return info.unknown;
}

static void assert_refused(int rc)
{
	assert_int_equal(rc, -EUCLEAN);
	assert_non_null(strstr(err.text, "cyborg-spdk blob repair"));
	assert_non_null(strstr(err.text, "page"));
}

static void nothing_is_taken(void)
{
	struct blob_options opts = { .clusters = 1 };
	uint64_t id;

	assert_refused(blob_create(store, &opts, &id, &err));
	opts.thin = true;
	assert_refused(blob_create(store, &opts, &id, &err));
}

static void volumes_are_usable(void)
{
	uint64_t id, left = free_clusters(store);
	struct blob *b = open_blob(thick);

	expect_at(b, 0, 3 * CLUSTER, 1);
	write_at(b, CLUSTER, CLUSTER, 4);
	assert_refused(blob_snapshot(b, NULL, 0, &id, &err));
	assert_refused(blob_resize(b, 2, &err));
	blob_close(b);
	assert_refused(blob_delete(store, thick, &err));
	b = open_blob(thin);
	expect_at(b, CLUSTER, CLUSTER, 2);
	write_at(b, CLUSTER, UNIT, 5);
	assert_int_equal(io(b, BDEV_IO_WRITE, 0, UNIT), -EUCLEAN);
	assert_int_equal(io(b, BDEV_IO_UNMAP, CLUSTER, CLUSTER), 0);
	assert_int_equal(info_of(b).allocated_clusters, 1);
	assert_refused(blob_inflate(b, &err));
	blob_close(b);
	assert_int_equal(free_clusters(store), left);
}

static uint64_t root_page(void)
{
	return torn & UINT32_MAX;
}

static uint64_t extent_page(void)
{
	uint64_t page = 1;

	while (le64_get(disk->data + page_at(page)) != torn ||
	       disk->data[page_at(page) + 16] != BLOB_DESC_EXTENT_PAGE)
		page++;
	return page;
}

static void guarded(uint64_t (*which)(void))
{
	uint64_t page;
	char words[32];

	make();
	page = which();
	pull_the_plug(page);
	snprintf(words, sizeof(words), "page %" PRIu64 ":", page);
	assert_non_null(unknown());
	assert_non_null(strstr(unknown(), words));
	nothing_is_taken();
	volumes_are_usable();
	/* Masks that lack what the torn volume has are not to be believed later. */
	unload();
	assert_int_equal(le32_get(cut->data + CLEAN), 0);
	load_cut();
	assert_non_null(unknown());
	/* Who gives the volume up has a store that is known again. */
	delete_blob(torn);
	unload();
	load_cut();
	assert_null(unknown());
	create(2, false);
	end();
}

static void torn_root(void)
{
	guarded(root_page);
}

static void torn_extents(void)
{
	guarded(extent_page);
}

/* The masks of a clean store have what the page had. */
static void clean_store(void)
{
	uint64_t total;
	struct blob *b;

	make();
	total = free_clusters(store);
	unload();
	disk->data[page_at(root_page()) + 600] ^= 0x5a;
	load();
	assert_null(unknown());
	assert_int_equal(free_clusters(store), total);
	b = open_blob(create(total, false));
	write_at(b, 0, CLUSTER, 7);
	blob_close(b);
	unload();
	disk->data[page_at(root_page()) + 600] ^= 0x5a;
	load();
	b = open_blob(torn);
	expect_at(b, 0, 5 * CLUSTER, 3);
	blob_close(b);
	finish();
}

/* The dirty mark is the one write of the super block that each load is followed by. */
static void torn_super(void)
{
	struct error unheard = ERROR_INIT;
	struct blob_geometry geo;
	struct blob *b;

	make();
	unload();
	for (uint32_t clean = 0; clean < 2; clean++) {
		/* The sector with the mark is there, and that with its checksum is not. */
		le32_put(disk->data + CLEAN, clean);
		assert_int_equal(blob_super_parse(disk->data, disk->bytes, &geo, &unheard),
				 clean == 0 ? -EILSEQ : 0);
		load();
		b = open_blob(torn);
		expect_at(b, 0, 5 * CLUSTER, 3);
		blob_close(b);
		create(1, true);
		assert_int_equal(blob_super_parse(disk->data, disk->bytes, &geo, &unheard), 0);
		assert_false(geo.clean);
		unload();
	}
	/* Any other field is not guessed. */
	disk->data[100] ^= 1;
	assert_false(blob_super_mend(disk->data));
	disk->data[100] ^= 1;
	load();
	finish();
}

#define COPY 60u /* a metadata page that is free */

/* A root page that says something in several sectors, torn in the middle, and @copies of it. */
static void tear_long_root(unsigned int copies)
{
	struct blob_xattr xattr = { .name = "long", .len = 1500 };
	uint8_t *root;
	struct blob *b;

	make();
	pattern(buffer, xattr.len, 9);
	xattr.value = buffer;
	b = open_blob(torn);
	assert_done(blob_xattr_set(b, &xattr, 1, &err), err);
	blob_close(b);
	root = disk->data + page_at(root_page());
	for (unsigned int i = 0; i < copies; i++)
		memcpy(disk->data + page_at(COPY + i), root, PAGE);
	memset(root + 1024, 0, PAGE - 1024);
	root[600] ^= 0x5a; /* which pull_the_plug() takes back */
	pull_the_plug(root_page());
}

static void copied_root(void)
{
	struct blob_store_options opts;
	struct blob *b;
	uint16_t len;

	tear_long_root(1);
	assert_null(unknown());
	b = open_blob(torn);
	expect_at(b, 0, 5 * CLUSTER, 3);
	pattern(buffer, 1500, 9);
	assert_memory_equal(blob_xattr_get(b, "long", &len), buffer, 1500);
	assert_int_equal(len, 1500);
	blob_close(b);
	create(1, false);
	assert_true(is_zero(cut->data + page_at(COPY), PAGE));
	unload();
	blob_store_options_init(&opts);
	opts.read_only = true;
	assert_done(blob_store_load(cut_desc, &opts, &store, &err), err);
	assert_null(unknown());
	end();
}

/* Which of two is the newer one nobody knows. */
static void two_copies(void)
{
	tear_long_root(2);
	assert_non_null(unknown());
	end();
}

static void test_torn_long_root_is_mended_by_its_copy(void **state)
{
	(void)state;
	unit_fiber(1, copied_root);
	unit_fiber(1, two_copies);
}

static void test_torn_dirty_mark_is_mended(void **state)
{
	(void)state;
	unit_fiber(1, torn_super);
}

static void test_torn_root_page_guards_the_store(void **state)
{
	(void)state;
	unit_fiber(1, torn_root);
}

static void test_torn_extent_page_guards_the_store(void **state)
{
	(void)state;
	unit_fiber(1, torn_extents);
}

static void test_masks_of_a_clean_store_have_what_is_unreadable(void **state)
{
	(void)state;
	unit_fiber(1, clean_store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_long_root_is_mended_by_its_copy),
		cmocka_unit_test(test_torn_dirty_mark_is_mended),
		cmocka_unit_test(test_torn_root_page_guards_the_store),
		cmocka_unit_test(test_torn_extent_page_guards_the_store),
		cmocka_unit_test(test_masks_of_a_clean_store_have_what_is_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

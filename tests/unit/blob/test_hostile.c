/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that mean harm: every field of every metadata page, of the super block and of the masks is
 * set to values that hurt, with the checksum put right, and loaded, clean and for recovery. Each
 * gives an error or works: all blobs that can be opened are read, and the store is unloaded.
 *
 * Threading: a fiber on reactor 0.
 */
#include "blob_unit.h"

#include "base/crc32c.h"
#include "base/le.h"
#include "base/log.h"
#include "blob/format.h"

#define CLUSTER	 16384u
#define UNIT	 512u
#define BYTES	 (1u << 20)
#define MD_PAGES 24u
#define MD_START 4u

static struct disk *disk;
static struct bdev_desc *desc;
static struct error err;
static uint8_t *image, *buffer;
static unsigned int loads, refused;

/* --- a store with some of everything ---------------------------------------------------------- */

static void write_some(struct blob_store *store, struct blob *b, uint64_t bytes, uint32_t seed)
{
	struct view *v = view_create(store, b, UNIT);

	pattern(buffer, bytes, seed);
	assert_int_equal(view_io(v, 0, BDEV_IO_WRITE, buffer, 0, bytes), 0);
	view_delete(v);
}

static struct blob *make_blob(struct blob_store *store, const char *name, uint64_t clusters,
			      bool thin)
{
	static const char big[3000] = "x";
	const struct blob_xattr xattrs[] = {
		{ "name", name, (uint16_t)(strlen(name) + 1) },
		{ "big", big, sizeof(big) },
		{ "bigger", big, sizeof(big) },
	};
	struct blob_options opts = { .clusters = clusters, .thin = thin, .xattrs = xattrs };
	struct blob *b;
	uint64_t id;

	opts.xattr_count = strcmp(name, "chain") == 0 ? 3 : 1;
	assert_done(blob_create(store, &opts, &id, &err), err);
	assert_done(blob_open(store, id, &b, &err), err);
	write_some(store, b, 2 * CLUSTER, (uint32_t)id);
	return b;
}

static void make_image(void)
{
	struct blob_store_options opts;
	struct blob_store *store;
	struct blob *b;
	uint64_t id;

	blob_store_options_init(&opts);
	opts.cluster_size = CLUSTER;
	opts.md_pages = MD_PAGES;
	assert_done(blob_store_init(desc, &opts, &store, &err), err);
	blob_close(make_blob(store, "thick", 3, false));
	blob_close(make_blob(store, "chain", 2, false));
	b = make_blob(store, "thin", 600, true);
	assert_done(blob_snapshot(b, NULL, 0, &id, &err), err);
	write_some(store, b, CLUSTER, 77);
	assert_done(blob_snapshot(b, NULL, 0, &id, &err), err);
	blob_close(b);
	assert_done(blob_store_set_super(store, BLOB_ID_BASE, &err), err);
	assert_done(blob_store_unload(store, &err), err);
	image = malloc(BYTES);
	memcpy(image, disk->data, BYTES);
}

static void begin(void)
{
	disk = disk_create(BYTES, UNIT, false, true);
	desc = unit_open("disk");
	buffer = malloc(1 << 20);
	loads = refused = 0;
	make_image();
}

static void finish(void)
{
	bdev_close(desc);
	disk_delete(disk);
	free(buffer);
	free(image);
}

/* --- loading it ------------------------------------------------------------------------------- */

static uint64_t ids[MD_PAGES];
static size_t id_count;

static bool note_id(const struct blob_summary *b, void *arg)
{
	(void)arg;
	assert_true(id_count < MD_PAGES);
	ids[id_count++] = b->id;
	return true;
}

static void read_some(struct blob_store *store, struct blob *b)
{
	struct blob_store_info si;
	struct blob_info info;
	struct view *v;
	uint64_t size;

	blob_store_info_get(store, &si);
	blob_info_get(b, &info);
	size = info.clusters * si.cluster_size;
	if (size == 0)
		return;
	v = view_create(store, b, si.io_unit_size);
	if (size > 4 * CLUSTER) {
		(void)view_io(v, 0, BDEV_IO_READ, buffer, size - CLUSTER, CLUSTER);
		size = 4 * CLUSTER;
	}
	(void)view_io(v, 0, BDEV_IO_READ, buffer, 0, size);
	(void)view_io(v, 0, BDEV_IO_WRITE, buffer, 0, UNIT);
	view_delete(v);
}

static void use_all(struct blob_store *store)
{
	id_count = 0;
	blob_store_each(store, note_id, NULL);
	for (size_t i = 0; i < id_count; i++) {
		struct blob *b;

		if (blob_open(store, ids[i], &b, &err) < 0) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		read_some(store, b);
		blob_close(b);
	}
}

static void try_load(void)
{
	struct blob_store_options opts;
	struct blob_store *store;

	loads++;
	blob_store_options_init(&opts);
	if (blob_store_load(desc, &opts, &store, &err) < 0) {
		assert_true(err.text[0] != '\0');
		refused++;
		return;
	}
	use_all(store);
	assert_int_equal(blob_store_unload(store, &err), 0);
}

static void seal(uint8_t *page)
{
	le32_put(page + 4092, crc32c_finish(crc32c_update(CRC32C_INIT, page, 4092)));
}

/* --- every field ------------------------------------------------------------------------------ */

static const uint32_t harm[] = { 0,	     1,		 2,	     3,		 MD_PAGES - 1,
				 MD_PAGES,   63,	 64,	     512,	 0xffff,
				 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x01000001,
				 0x00000700 };

static void try_value(uint32_t page, uint32_t offset, uint32_t value, bool dirty)
{
	uint8_t *at = disk->data + (size_t)page * 4096;

	memcpy(disk->data, image, BYTES);
	if (dirty) {
		le32_put(disk->data + 16, 0);
		seal(disk->data);
	}
	le32_put(at + offset, value);
	/* Masks have no checksum. */
	if (page == 0 || page >= MD_START)
		seal(at);
	try_load();
}

static void try_field(uint32_t page, uint32_t offset)
{
	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
		try_value(page, offset, harm[i], false);
		try_value(page, offset, harm[i], true);
	}
}

static bool is_used(uint32_t page)
{
	return !is_zero(image + (size_t)page * 4096, 4096);
}

static void fields_of_super(void)
{
	begin();
	for (uint32_t offset = 0; offset < 100; offset += 4)
		try_field(0, offset);
	for (uint32_t page = 1; page < MD_START; page++) {
		for (uint32_t offset = 0; offset < 12; offset++)
			try_field(page, offset);
	}
	assert_true(refused > 100 && refused < loads);
	finish();
}

static void test_security_super_block_and_masks(void **state)
{
	(void)state;
	log_set_print_level(LOG_DISABLED);
	unit_fiber(1, fields_of_super);
}

static void fields_of_pages(void)
{
	begin();
	for (uint32_t page = MD_START; page < MD_START + MD_PAGES; page++) {
		if (!is_used(page))
			continue;
		/* Headers, and the descriptors at their beginning. */
		for (uint32_t offset = 0; offset < 100; offset++)
			try_field(page, offset);
		try_field(page, 4088);
	}
	finish();
}

static void test_security_fields_of_metadata_pages(void **state)
{
	(void)state;
	log_set_print_level(LOG_DISABLED);
	unit_fiber(1, fields_of_pages);
}

/* --- any bytes -------------------------------------------------------------------------------- */

static uint32_t random_state;

static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static void scramble(void)
{
	memcpy(disk->data, image, BYTES);
	if (next_random() % 2 == 0)
		le32_put(disk->data + 16, 0);
	for (uint32_t n = next_random() % 6 + 1; n > 0; n--) {
		uint32_t page = next_random() % (MD_START + MD_PAGES);
		uint8_t *at = disk->data + (size_t)page * 4096;

		if (next_random() % 8 == 0)
			memcpy(at, image + (size_t)(next_random() % (MD_START + MD_PAGES)) * 4096,
			       4096);
		for (uint32_t k = next_random() % 4; k > 0; k--)
			at[next_random() % (next_random() % 4 == 0 ? 4092 : 160)] =
				(uint8_t)next_random();
		if (page == 0 || page >= MD_START)
			seal(at);
	}
	seal(disk->data);
}

static void any_bytes(void)
{
	begin();
	random_state = 20260101;
	for (unsigned int i = 0; i < 4000; i++) {
		scramble();
		try_load();
	}
	finish();
}

static void test_security_scrambled_pages(void **state)
{
	(void)state;
	log_set_print_level(LOG_DISABLED);
	unit_fiber(1, any_bytes);
}

/* --- what is only found by looking at all ----------------------------------------------------- */

static void parents_in_a_circle(void)
{
	unsigned int edits = 0;

	begin();
	memcpy(disk->data, image, BYTES);
	/* Every blob names the one with the highest id, which names itself, over one more. */
	for (uint32_t page = MD_START; page < MD_START + MD_PAGES; page++) {
		uint8_t *at = disk->data + (size_t)page * 4096;
		uint8_t *snap = memmem(at, 4092, "SNAP", 4);

		if (snap == NULL || le64_get(at) != BLOB_ID_BASE + page - MD_START)
			continue;
		le64_put(snap + 4, le64_get(at));
		seal(at);
		edits++;
	}
	assert_true(edits > 0);
	try_load();
	assert_int_equal(refused, 0);
	finish();
}

static void test_security_parents_in_a_circle(void **state)
{
	(void)state;
	log_set_print_level(LOG_DISABLED);
	unit_fiber(1, parents_in_a_circle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_super_block_and_masks),
		cmocka_unit_test(test_security_fields_of_metadata_pages),
		cmocka_unit_test(test_security_scrambled_pages),
		cmocka_unit_test(test_security_parents_in_a_circle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

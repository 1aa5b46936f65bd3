/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tool's parts without a store: what a checksum tells, descriptors.
 *
 * Threading: one thread.
 */
#include "blobtool_unit.h"

#include <stdlib.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/torn.h"

#define FIRST_ENTRY 25u

/* --- checksums -------------------------------------------------------------------------------- */

static void fill(uint8_t *page)
{
	for (uint32_t i = 0; i < BLOB_PAGE_BYTES; i++)
		page[i] = (uint8_t)random();
	desc_seal(page);
}

static void test_word_that_explains_a_checksum(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES];

	(void)state;
	srandom(1);
	fill(page);
	assert_int_equal(torn_difference(page), 0);
	for (uint32_t at = 0; at <= BLOB_PAGE_BYTES - 8; at += 37) {
		uint32_t change = (uint32_t)random() | 1, old = le32_get(page + at);

		le32_put(page + at, old ^ change);
		assert_int_equal(torn_word(torn_difference(page), at), change);
		le32_put(page + at, old);
	}
}

static void make_extents(uint8_t *page, uint32_t entries)
{
	memset(page, 0, BLOB_PAGE_BYTES);
	le64_put(page, BLOB_ID_BASE + 3);
	le32_put(page + offsetof(struct blob_disk_page, next), BLOB_NEXT_NONE);
	page[16] = BLOB_DESC_EXTENT_PAGE;
	le32_put(page + 17, 4 + 4 * entries);
	for (uint32_t i = 0; i < entries; i++)
		le32_put(page + FIRST_ENTRY + 4 * i, 1000 + i);
	desc_seal(page);
}

static bool is_in_range(uint32_t cluster, void *arg)
{
	(void)arg;
	return cluster == 0 || (cluster >= 100 && cluster < 5000);
}

static void test_entry_that_explains_a_checksum(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct torn_entry found[4];

	(void)state;
	for (uint32_t i = 0; i < 512; i += 7) {
		make_extents(page, 512);
		le32_put(page + FIRST_ENTRY + 4 * i, i % 2 == 0 ? 0 : 0xffffffff);
		assert_int_equal(torn_entries(page, is_in_range, NULL, found, 4), 1);
		assert_int_equal(found[0].entry, i);
		assert_int_equal(found[0].cluster, 1000 + i);
	}
	make_extents(page, 512);
	assert_int_equal(torn_entries(page, is_in_range, NULL, found, 4), 0);
	/* A length that goes beyond the page is no list of entries. */
	le32_put(page + 17, 0xfffffffc);
	assert_int_equal(torn_entries(page, is_in_range, NULL, found, 4), 0);
	make_extents(page, 0);
	page[0] ^= 1;
	assert_int_equal(torn_entries(page, is_in_range, NULL, found, 4), 0);
}

static void test_run_of_entries_that_were_written(void **state)
{
	uint8_t old[BLOB_PAGE_BYTES], page[BLOB_PAGE_BYTES];

	(void)state;
	for (uint32_t first = 0; first < 500; first += 83) {
		for (uint32_t n = 2; n < 12; n += 3) {
			make_extents(old, 512);
			memset(old + FIRST_ENTRY + (size_t)4 * first, 0, (size_t)4 * n);
			desc_seal(old);
			make_extents(page, 512);
			memcpy(page + BLOB_PAGE_BYTES - 4, old + BLOB_PAGE_BYTES - 4, 4);
			assert_true(torn_empty_run(page));
			assert_memory_equal(page, old, BLOB_PAGE_BYTES);
		}
	}
	make_extents(page, 512);
	page[2] ^= 0x40;
	assert_false(torn_empty_run(page));
}

static void test_one_byte(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct mend mend;

	(void)state;
	for (uint32_t at = 0; at < BLOB_PAGE_BYTES; at += 61) {
		make_extents(page, 300);
		page[at] ^= 0x15;
		assert_true(mend_page(page, &mend));
		assert_int_equal(mend.at, at);
		assert_int_equal(torn_difference(page), 0);
	}
	assert_false(mend_page(page, &mend));
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void test_trim(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES] = { 0 }, same[BLOB_PAGE_BYTES];

	(void)state;
	assert_non_null(desc_add(page, false, BLOB_DESC_FLAGS, 24));
	assert_non_null(desc_add(page, false, BLOB_DESC_EXTENT_TABLE, 16));
	memcpy(same, page, sizeof(page));
	assert_true(torn_trim(page));
	assert_memory_equal(page, same, sizeof(page));
	/* Behind the end, and what looks like a descriptor behind a table. */
	page[1000] = 7;
	assert_true(torn_trim(page));
	assert_memory_equal(page, same, sizeof(page));
	page[16 + desc_used(page)] = 99;
	assert_true(torn_trim(page));
	assert_memory_equal(page, same, sizeof(page));
	le32_put(page + 17, 5000);
	assert_false(torn_trim(page));
}

static void test_descriptors_come_and_go(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES] = { 0 }, empty[BLOB_PAGE_BYTES] = { 0 };
	struct desc d = { 0 };
	uint8_t *payload;

	(void)state;
	payload = desc_add(page, false, BLOB_DESC_XATTR, 4 + 1 + 2);
	assert_non_null(payload);
	le16_put(payload, 1);
	le16_put(payload + 2, 2);
	memcpy(payload + 4, "nvv", 3);
	assert_non_null(desc_add(page, true, BLOB_DESC_FLAGS, 24));
	assert_int_equal(desc_used(page), 29 + 12);
	assert_true(desc_next(page, &d));
	assert_int_equal(d.type, BLOB_DESC_FLAGS);
	assert_true(desc_next(page, &d));
	assert_true(desc_xattr_is(&d, false, "n"));
	assert_false(desc_xattr_is(&d, true, "n"));
	assert_false(desc_xattr_is(&d, false, "nv"));
	desc_remove(page, &d);
	assert_false(desc_next(page, &d));
	d = (struct desc){ 0 };
	assert_true(desc_next(page, &d));
	desc_shorten(page, &d, 8);
	assert_int_equal(desc_used(page), 13);
	d = (struct desc){ 0 };
	desc_next(page, &d);
	desc_remove(page, &d);
	assert_memory_equal(page, empty, sizeof(page));
}

static void test_page_that_is_full(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES] = { 0 };

	(void)state;
	assert_null(desc_add(page, false, BLOB_DESC_XATTR, BLOB_DESCRIPTORS_BYTES - 4));
	assert_non_null(desc_add(page, false, BLOB_DESC_XATTR, BLOB_DESCRIPTORS_BYTES - 5));
	assert_null(desc_add(page, false, BLOB_DESC_XATTR, 0));
}

/* Any length anywhere: the walk ends, and stays on the page. */
static void test_security_blobtool_descriptor_lengths(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES];

	(void)state;
	srandom(2);
	for (int round = 0; round < 2000; round++) {
		struct desc d = { 0 };
		uint32_t steps = 0;

		fill(page);
		for (uint32_t at = 16; at < 4080; at += 1 + (uint32_t)random() % 200)
			le32_put(page + at, (uint32_t)random() % 300);
		while (desc_next(page, &d)) {
			struct desc_xattr x;

			assert_true(d.next <= BLOB_DESCRIPTORS_BYTES && ++steps < 1000);
			if (d.payload != NULL)
				assert_true(d.payload + d.length <=
					    page + 16 + BLOB_DESCRIPTORS_BYTES);
			if (desc_xattr(&d, &x))
				assert_true(x.value + x.value_len <= d.payload + d.length);
		}
		torn_trim(page);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_word_that_explains_a_checksum),
		cmocka_unit_test(test_entry_that_explains_a_checksum),
		cmocka_unit_test(test_run_of_entries_that_were_written),
		cmocka_unit_test(test_one_byte),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_descriptors_come_and_go),
		cmocka_unit_test(test_page_that_is_full),
		cmocka_unit_test(test_security_blobtool_descriptor_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

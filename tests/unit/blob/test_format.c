/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format without I/O: layouts, masks, pages there and back.
 *
 * Threading: the test's own.
 */
#include "blob_unit.h"

#include "base/bit_array.h"
#include "base/le.h"
#include "blob/mask.h"
#include "blob/page.h"
#include "blob/super.h"

static struct error err;

static struct blob_geometry plan(uint64_t bytes, uint32_t cluster, uint32_t md_pages)
{
	struct blob_geometry geo = {
		.super_blob = BLOB_ID_NONE,
		.cluster_size = cluster,
		.page_size = 4096,
		.io_unit_size = 512,
		.md.len = md_pages,
	};

	assert_done(blob_layout_plan(bytes, &geo, &err), err);
	return geo;
}

/* --- layouts ---------------------------------------------------------------------------------- */

/* Layouts that a real SPDK made. */
static void test_layouts_are_spdks(void **state)
{
	static const struct {
		uint64_t bytes;
		uint32_t cluster, md_pages;
		uint32_t md_start, md_len, data;
	} known[] = {
		{ UINT64_C(1) << 30, 4 << 20, 0, 4, 256, 255 },
		{ 64 << 20, 65536, 0, 4, 1024, 959 },
		{ 64 << 20, 4096, 4096, 4, 4096, 12284 },
		{ UINT64_C(256) << 30, 4 << 20, 0, 10, 65536, 65471 },
		{ 4 << 20, 4 << 20, 0, 4, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct blob_geometry geo =
			plan(known[i].bytes, known[i].cluster, known[i].md_pages);

		assert_int_equal(geo.md.start, known[i].md_start);
		assert_int_equal(geo.md.len, known[i].md_len);
		assert_int_equal(geo.total_clusters - geo.md_clusters, known[i].data);
	}
}

static void test_super_block_there_and_back(void **state)
{
	struct blob_geometry geo = plan(64 << 20, 1 << 20, 0), back;
	uint8_t page[4096];

	(void)state;
	memcpy(geo.bstype, "LVOLSTORE", 9);
	blob_super_build(&geo, page);
	assert_done(blob_super_parse(page, 64 << 20, &back, &err), err);
	assert_memory_equal(&geo, &back, sizeof(geo));
	assert_int_equal(blob_layout_max_size(&geo), UINT64_C(34317795328));
	assert_int_equal(
		blob_super_check_type(&geo, (const uint8_t *)"LVOLSTORE\0\0\0\0\0\0\1", &err),
		-ENXIO);
	assert_int_equal(blob_super_parse(page, (64 << 20) - 512, &back, &err), -EILSEQ);
	page[100] ^= 1;
	assert_int_equal(blob_super_parse(page, 64 << 20, &back, &err), -EILSEQ);
}

static void test_growing_ends_where_the_mask_does(void **state)
{
	struct blob_geometry geo = plan(81 * 8192, 8192, 0);

	(void)state;
	assert_done(blob_layout_grow(268107776, &geo, &err), err);
	assert_int_equal(blob_layout_grow(268107776 + 8192, &geo, &err), -ENOSPC);
	assert_int_equal(geo.size, 268107776);
	assert_int_equal(blob_layout_grow(8192, &geo, &err), -ENOSPC);
}

static void test_layouts_that_cannot_be(void **state)
{
	struct blob_geometry geo = { .cluster_size = 4097, .page_size = 4096, .io_unit_size = 512 };

	(void)state;
	assert_int_equal(blob_layout_plan(1 << 20, &geo, &err), -EINVAL);
	geo.cluster_size = 4096;
	geo.page_size = 8192;
	assert_int_equal(blob_layout_plan(1 << 20, &geo, &err), -EINVAL);
	geo.page_size = 4096;
	geo.io_unit_size = 8192;
	assert_int_equal(blob_layout_plan(1 << 20, &geo, &err), -EINVAL);
	geo.io_unit_size = 512;
	assert_int_equal(blob_layout_plan(2048, &geo, &err), -ENOSPC);
	geo.md.len = 300;
	assert_int_equal(blob_layout_plan(1 << 20, &geo, &err), -ENOSPC);
}

static void test_masks(void **state)
{
	struct bit_array *a = bit_array_create(1000), *b = bit_array_create(1000);
	struct bit_array *shorter = bit_array_create(100);
	uint8_t region[4096];

	(void)state;
	bit_array_set(a, 0);
	bit_array_set(a, 99);
	bit_array_set(a, 999);
	blob_mask_build(region, sizeof(region), BLOB_MASK_CLUSTERS, a);
	assert_int_equal(region[0], 1);
	assert_int_equal(le32_get(region + 1), 1000);
	assert_int_equal(region[5], 1);
	assert_done(blob_mask_parse(region, sizeof(region), BLOB_MASK_CLUSTERS, b, &err), err);
	assert_int_equal(bit_array_count_set(b), 3);
	assert_true(bit_array_get(b, 99) && bit_array_get(b, 999));
	assert_done(blob_mask_parse(region, sizeof(region), BLOB_MASK_CLUSTERS, shorter, &err),
		    err);
	assert_int_equal(bit_array_count_set(shorter), 2);
	assert_int_equal(blob_mask_parse(region, sizeof(region), BLOB_MASK_PAGES, b, &err),
			 -EILSEQ);
	le32_put(region + 1, 4096 * 8);
	assert_int_equal(blob_mask_parse(region, sizeof(region), BLOB_MASK_CLUSTERS, b, &err),
			 -EILSEQ);
	assert_int_equal(blob_mask_pages(32728, 4096), 1);
	assert_int_equal(blob_mask_pages(32729, 4096), 2);
	bit_array_destroy(a);
	bit_array_destroy(b);
	bit_array_destroy(shorter);
}

/* --- chains ----------------------------------------------------------------------------------- */

/* A map with clusters here and there: every third table, every other entry. */
static struct blob_map *scattered(uint64_t clusters, uint32_t first_cluster, bool runs)
{
	struct blob_map *map = blob_map_create(clusters, blob_map_tables(clusters));

	for (uint64_t t = 0; t < map->leaves; t += 3) {
		struct blob_leaf *leaf = blob_leaf_create(blob_map_entries(clusters, t));

		leaf->page = runs ? 0 : (uint32_t)(100 + t);
		for (uint32_t i = 0; i < blob_map_entries(clusters, t); i += 2)
			blob_leaf_set(leaf, i, first_cluster++);
		blob_map_set_leaf(map, t, leaf);
	}
	return map;
}

static void parse_chain(const struct blob_chain *chain, const struct blob_geometry *geo,
			struct blob_content *c)
{
	*c = (struct blob_content){ 0 };
	for (uint32_t i = 0; i < chain->count; i++) {
		const uint8_t *page = blob_chain_page(chain, i);

		assert_true(blob_page_crc_is_right(page));
		assert_int_equal(blob_page_next(page),
				 i + 1 < chain->count ? 1000 + i : BLOB_NEXT_NONE);
		assert_done(blob_content_add(c, page, geo, &err), err);
	}
}

static void chain_there_and_back(bool table, uint64_t clusters, unsigned int min_pages)
{
	struct blob_geometry geo = plan(UINT64_C(64) << 30, 65536, 0);
	struct blob_map *map = scattered(clusters, geo.md_clusters + 7, !table);
	struct blob_xattrs xattrs = { 0 };
	struct blob_source src = {
		.id = BLOB_ID_BASE + 9, .invalid = 5, .data_ro = 1, .md_ro = 2, .table = table
	};
	uint32_t *next = malloc(10000 * sizeof(*next));
	struct blob_xattr_ref ref;
	struct blob_content c;
	struct blob_chain chain;
	uint64_t id;

	for (uint32_t i = 0; i < 10000; i++)
		next[i] = 1000 + i;
	assert_done(blob_xattrs_set(&xattrs, false, "name", 4, "vol", 4, &err), err);
	assert_done(blob_xattrs_set_id(&xattrs, "SNAP", BLOB_ID_BASE + 3, &err), err);
	assert_done(blob_xattrs_set(&xattrs, false, "empty", 5, NULL, 0, &err), err);
	src.map = map;
	src.xattrs = &xattrs;
	assert_int_equal(blob_chain_build(&chain, &src), 0);
	assert_true(chain.count >= min_pages);
	blob_chain_link(&chain, next);
	assert_int_equal(blob_page_classify(blob_chain_page(&chain, 0), 9), BLOB_PAGE_ROOT);
	assert_int_equal(blob_page_classify(blob_chain_page(&chain, 0), 8), BLOB_PAGE_EMPTY);
	if (chain.count > 1)
		assert_int_equal(blob_page_classify(blob_chain_page(&chain, 1), 9),
				 BLOB_PAGE_CHAIN);

	parse_chain(&chain, &geo, &c);
	assert_int_equal(c.invalid, 5);
	assert_int_equal(c.data_ro, 1);
	assert_int_equal(c.md_ro, 2);
	assert_int_equal(c.form, table ? BLOB_FORM_TABLE : BLOB_FORM_RUNS);
	assert_int_equal(table ? c.table_clusters : c.clusters, clusters);
	assert_true(blob_xattrs_get_id(&c.xattrs, "SNAP", &id) && id == BLOB_ID_BASE + 3);
	assert_true(blob_xattrs_find(&c.xattrs, false, "empty", 5, &ref) && ref.value_len == 0);
	assert_false(blob_xattrs_find(&c.xattrs, true, "name", 4, &ref));
	blob_content_free(&c);
	blob_chain_free(&chain);
	blob_map_destroy(map);
	blob_xattrs_free(&xattrs);
	free(next);
}

static void test_chains_there_and_back(void **state)
{
	(void)state;
	chain_there_and_back(true, 0, 1);
	chain_there_and_back(true, 1000, 1);
	chain_there_and_back(true, 512 * 1700, 2);
	chain_there_and_back(false, 3, 1);
	chain_there_and_back(false, 512 * 7, 3);
}

static void test_extent_pages_there_and_back(void **state)
{
	struct blob_geometry geo = plan(UINT64_C(64) << 30, 65536, 0);
	struct blob_leaf *leaf = blob_leaf_create(512);
	struct blob_extents out;
	uint8_t page[4096];

	(void)state;
	for (uint32_t i = 1; i < 512; i++)
		blob_leaf_set(leaf, i, geo.md_clusters + i);
	blob_extents_write(page, BLOB_ID_BASE + 4, 3, leaf, 512);
	assert_int_equal(blob_page_classify(page, 4), BLOB_PAGE_EXTENTS);
	assert_done(blob_extents_parse(page, &geo, &out, &err), err);
	assert_int_equal(out.start, 3 * 512);
	assert_int_equal(out.count, 512);
	assert_int_equal(le32_get(out.entries + 4 * 511), geo.md_clusters + 511);

	/* A cluster of the metadata, and one behind the end. */
	blob_leaf_set(leaf, 7, geo.md_clusters - 1);
	blob_extents_write(page, BLOB_ID_BASE + 4, 3, leaf, 512);
	assert_int_equal(blob_extents_parse(page, &geo, &out, &err), -EILSEQ);
	blob_leaf_set(leaf, 7, geo.total_clusters);
	blob_extents_write(page, BLOB_ID_BASE + 4, 3, leaf, 512);
	assert_int_equal(blob_extents_parse(page, &geo, &out, &err), -EILSEQ);
	page[4000] ^= 1;
	assert_int_equal(blob_extents_parse(page, &geo, &out, &err), -EILSEQ);
	free(leaf);
}

/* --- descriptors that are wrong --------------------------------------------------------------- */

static int add_raw(const uint8_t *descriptors, size_t len)
{
	struct blob_geometry geo = plan(64 << 20, 65536, 0);
	struct blob_content c = { 0 };
	uint8_t page[4096] = { 0 };
	int rc;

	memcpy(page + 16, descriptors, len);
	rc = blob_content_add(&c, page, &geo, &err);
	blob_content_free(&c);
	return rc;
}

#define ADD(...) add_raw((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define THIN	 3, 24, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static void test_wrong_descriptors_are_named(void **state)
{
	(void)state;
	assert_int_equal(ADD(0), 0);
	assert_int_equal(ADD(0, 4, 0, 0, 0, 9, 9, 9, 9), 0);
	assert_int_equal(ADD(77, 4, 0, 0, 0, 9, 9, 9, 9), 0);
	assert_int_equal(ADD(3, 23, 0, 0, 0), -EILSEQ);
	assert_int_equal(ADD(THIN, THIN), -EILSEQ);
	assert_int_equal(ADD(3, 24, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(ADD(2, 0xff, 0xff, 0, 0), -EILSEQ);
	assert_int_equal(ADD(2, 3, 0, 0, 0, 0, 0, 0), -EILSEQ);
	assert_int_equal(ADD(2, 6, 0, 0, 0, 1, 0, 2, 0, 'a', 'b'), -EILSEQ);
	assert_int_equal(ADD(2, 5, 0, 0, 0, 1, 0, 0, 0, 'a'), 0);
	assert_int_equal(ADD(2, 4, 0, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(ADD(1, 0, 0, 0, 0), -EILSEQ);
	/* A hole in a thick blob, in a thin one; a run of nothing; one behind the end. */
	assert_int_equal(ADD(1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), -EILSEQ);
	assert_int_equal(ADD(THIN, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), 0);
	assert_int_equal(ADD(1, 8, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0), -EILSEQ);
	assert_int_equal(ADD(1, 8, 0, 0, 0, 0xff, 3, 0, 0, 1, 0, 0, 0), 0);
	assert_int_equal(ADD(1, 8, 0, 0, 0, 0xff, 3, 0, 0, 2, 0, 0, 0), -EILSEQ);
	/* A table longer than the blob, with a page that is not there, beside runs. */
	assert_int_equal(ADD(THIN, 5, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0),
			 0);
	assert_int_equal(ADD(THIN, 5, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0),
			 -EILSEQ);
	assert_int_equal(ADD(THIN, 5, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0),
			 -EILSEQ);
	assert_int_equal(ADD(THIN, 5, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 8), -EILSEQ);
	assert_int_equal(ADD(THIN, 5, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0), -EILSEQ);
	assert_int_equal(ADD(6, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), -EILSEQ);
}

static void test_first_of_two_xattrs_counts(void **state)
{
	struct blob_geometry geo = plan(64 << 20, 65536, 0);
	static const uint8_t two[] = { 2, 6, 0, 0, 0, 1, 0, 1, 0, 'a', '1',
				       2, 6, 0, 0, 0, 1, 0, 1, 0, 'a', '2' };
	struct blob_content c = { 0 };
	uint8_t page[4096] = { 0 };
	struct blob_xattr_ref ref;

	(void)state;
	memcpy(page + 16, two, sizeof(two));
	assert_done(blob_content_add(&c, page, &geo, &err), err);
	assert_true(blob_xattrs_find(&c.xattrs, false, "a", 1, &ref));
	assert_int_equal(*(const char *)ref.value, '1');
	blob_content_free(&c);
}

static void test_xattrs_keep_their_order(void **state)
{
	struct blob_xattrs x = { 0 }, y;
	struct blob_xattr_ref ref;

	(void)state;
	assert_done(blob_xattrs_set(&x, false, "a", 1, "1", 1, &err), err);
	assert_done(blob_xattrs_set(&x, false, "b", 1, "2", 1, &err), err);
	assert_done(blob_xattrs_set(&x, true, "b", 1, "i", 1, &err), err);
	assert_done(blob_xattrs_set(&x, false, "a", 1, "longer", 6, &err), err);
	assert_true(blob_xattrs_at(&x, 0, &ref));
	assert_string_equal(ref.name, "a");
	assert_int_equal(ref.value_len, 6);
	assert_int_equal(blob_xattrs_copy(&y, &x), 0);
	blob_xattrs_remove(&x, false, "b");
	assert_true(blob_xattrs_has_internal(&x));
	blob_xattrs_remove(&x, true, "b");
	assert_false(blob_xattrs_has_internal(&x));
	assert_true(blob_xattrs_find(&y, true, "b", 1, &ref));
	assert_int_equal(blob_xattrs_set(&x, false, "a\0b", 3, "", 0, &err), -EINVAL);
	assert_int_equal(blob_xattrs_set(&x, false, "", 0, "", 0, &err), -EINVAL);
	blob_xattrs_free(&x);
	blob_xattrs_free(&y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts_are_spdks),
		cmocka_unit_test(test_super_block_there_and_back),
		cmocka_unit_test(test_growing_ends_where_the_mask_does),
		cmocka_unit_test(test_layouts_that_cannot_be),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_chains_there_and_back),
		cmocka_unit_test(test_extent_pages_there_and_back),
		cmocka_unit_test(test_wrong_descriptors_are_named),
		cmocka_unit_test(test_first_of_two_xattrs_counts),
		cmocka_unit_test(test_xattrs_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

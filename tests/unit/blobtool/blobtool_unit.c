/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threading: one thread.
 */
#include "blobtool_unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/le.h"
#include "blobtool/descriptors.h"

static struct error err;

void store_open(struct store *s, bool clean)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int fd = memfd_create("store", MFD_CLOEXEC);

	*s = (struct store){ .geo = { .super_blob = BLOB_ID_NONE,
				      .cluster_size = STORE_CLUSTER,
				      .page_size = BLOB_PAGE_BYTES,
				      .io_unit_size = 512,
				      .clean = clean,
				      .md.len = STORE_PAGES } };
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)STORE_CLUSTERS * STORE_CLUSTER), 0);
	assert_int_equal(image_adopt(&s->img, "memory", fd, true, &err), 0);
	assert_int_equal(blob_layout_plan(s->img.bytes, &s->geo, &err), 0);
	blob_super_build(&s->geo, page);
	assert_int_equal(image_write(&s->img, page, 0, sizeof(page), &err), 0);
}

void store_close(struct store *s)
{
	image_close(&s->img);
}

void store_write(struct store *s, uint32_t index, const void *page)
{
	assert_int_equal(
		image_write(&s->img, page, blob_page_offset(&s->geo, index), BLOB_PAGE_BYTES, &err),
		0);
}

void store_read(struct store *s, uint32_t index, void *page)
{
	assert_int_equal(
		image_read(&s->img, page, blob_page_offset(&s->geo, index), BLOB_PAGE_BYTES, &err),
		0);
}

void store_extents(struct store *s, uint32_t index, uint32_t root, uint32_t table,
		   const uint32_t *cluster, uint32_t count)
{
	struct blob_leaf *leaf = blob_leaf_create(count);
	uint8_t page[BLOB_PAGE_BYTES];

	assert_non_null(leaf);
	for (uint32_t i = 0; i < count; i++)
		blob_leaf_set(leaf, i, cluster[i]);
	blob_extents_write(page, BLOB_ID_BASE + root, table, leaf, count);
	free(leaf);
	store_write(s, index, page);
}

static struct blob_map *make_map(const struct blob_spec *spec)
{
	uint64_t tables = blob_map_tables(spec->clusters);
	struct blob_map *map = blob_map_create(spec->clusters, tables);

	assert_non_null(map);
	for (uint64_t i = 0; spec->leaf_page != NULL && i < tables; i++) {
		struct blob_leaf *leaf;

		if (spec->leaf_page[i] == 0)
			continue;
		leaf = blob_leaf_create(blob_map_entries(spec->clusters, i));
		assert_non_null(leaf);
		leaf->page = spec->leaf_page[i];
		blob_map_set_leaf(map, i, leaf);
	}
	return map;
}

static void make_xattrs(const struct blob_spec *spec, struct blob_xattrs *set)
{
	static uint8_t extra[4096];
	char name[64] = "";

	memset(extra, 'x', sizeof(extra));
	strcpy(name, spec->name);
	assert_int_equal(blob_xattrs_set(set, false, "name", 4, name, spec->name_bytes, &err), 0);
	if (spec->extra > 0)
		assert_int_equal(blob_xattrs_set(set, false, "extra", 5, extra, spec->extra, &err),
				 0);
	if (spec->parent != 0)
		assert_int_equal(blob_xattrs_set_id(set, BLOB_XATTR_SNAP, spec->parent, &err), 0);
	if (spec->snaptmp != 0)
		assert_int_equal(blob_xattrs_set_id(set, BLOB_XATTR_SNAPTMP, spec->snaptmp, &err),
				 0);
}

/* The engine's own writer makes tables; runs are put where its empty ones would be. */
static void put_runs(const struct blob_spec *spec, uint8_t *page)
{
	uint8_t *to = desc_add(page, false, BLOB_DESC_EXTENT_RLE, 8 * spec->run_count);

	assert_non_null(to);
	for (uint32_t i = 0; i < spec->run_count; i++) {
		le32_put(to + (size_t)8 * i, spec->runs[i].a);
		le32_put(to + (size_t)8 * i + 4, spec->runs[i].b);
	}
	desc_seal(page);
}

void spec_root(struct store *s, const struct blob_spec *spec, uint8_t *page)
{
	struct blob_map *map = make_map(spec);
	struct blob_xattrs xattrs = { 0 };
	struct blob_chain chain = { 0 };
	struct blob_source src = {
		.id = BLOB_ID_BASE + spec->root,
		.invalid = spec->invalid | (spec->runs == NULL ? BLOB_INVALID_EXTENT_TABLE : 0),
		.data_ro = spec->data_ro,
		.table = spec->runs == NULL,
		.map = map,
		.xattrs = &xattrs,
	};

	make_xattrs(spec, &xattrs);
	assert_int_equal(blob_chain_build(&chain, &src), 0);
	blob_chain_link(&chain, spec->next);
	memcpy(page, blob_chain_page(&chain, 0), BLOB_PAGE_BYTES);
	for (uint32_t i = 1; i < chain.count; i++)
		store_write(s, spec->next[i - 1], blob_chain_page(&chain, i));
	if (spec->runs != NULL)
		put_runs(spec, page);
	blob_chain_free(&chain);
	blob_xattrs_free(&xattrs);
	blob_map_destroy(map);
}

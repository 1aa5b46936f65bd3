/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Torn pages: each mixture of the sectors of an old and of a new page becomes the old or the new
 * volume, and no other volume changes.
 *
 * Threading: one thread.
 */
#include "blobtool_unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/torn.h"

#define SECTORS	 (BLOB_PAGE_BYTES / TORN_SECTOR)
#define ROOT	 5u
#define OTHER	 6u
#define SNAPSHOT 7u
#define EXTENTS	 20u  /* the first extent page */
#define DATA	 600u /* the first data cluster that is used */
#define TABLES	 100u
#define THIN	 BLOB_INVALID_THIN

static struct error err;

/* --- what a store says ------------------------------------------------------------------------ */

static void tell_volume(const struct model *m, const struct volume *v, FILE *out)
{
	struct blob_xattr_ref ref = { 0 };

	if (blob_xattrs_find(&v->content.xattrs, false, "name", 4, &ref))
		fprintf(out, "\"%.*s\" ", (int)strnlen(ref.value, ref.value_len),
			(const char *)ref.value);
	fprintf(out, "%" PRIx64 " damage %d thin %d read-only %d clusters %" PRIu64, v->id,
		v->damage, (v->content.invalid & THIN) != 0, volume_is_read_only(v), v->clusters);
	if (v->parent != NO_BLOB)
		fprintf(out, " on %" PRIx64, m->blobs[v->parent].id);
	for (uint32_t i = 0; i < v->run_count; i++)
		for (uint32_t j = 0; j < v->runs[i].count; j++)
			fprintf(out, " %" PRIu64 "=%u", v->runs[i].index + j,
				v->runs[i].cluster + j);
	fputc('\n', out);
}

static char *tell(const struct model *m)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].listed && m->blobs[i].fate != FATE_DROP)
			tell_volume(m, &m->blobs[i], out);
	}
	fclose(out);
	return text;
}

static char *tell_with(struct store *s, uint32_t index, const uint8_t *page)
{
	struct findings f = { 0 };
	struct model m;
	char *text;

	store_write(s, index, page);
	assert_int_equal(model_load(&m, &s->img, &f, &err), 0);
	text = tell(&m);
	model_free(&m);
	findings_free(&f);
	return text;
}

/* What the store says when it is repaired; @left: what could not be. */
static char *tell_repaired(struct store *s, uint32_t *left)
{
	struct repair r = { .img = &s->img };
	char *text;

	assert_int_equal(repair_plan(&r, &err), 0);
	*left = r.left.count;
	text = tell(&r.m);
	image_unstage(&s->img);
	repair_free(&r);
	return text;
}

/* --- mixtures --------------------------------------------------------------------------------- */

static void mix(uint8_t *page, const uint8_t *old, const uint8_t *new, unsigned int mask)
{
	for (unsigned int i = 0; i < SECTORS; i++)
		memcpy(page + (size_t)i * TORN_SECTOR,
		       ((mask >> i & 1) != 0 ? new : old) + (size_t)i * TORN_SECTOR, TORN_SECTOR);
}

/* Returns how many mixtures were neither, and are not old or new now. */
static unsigned int try_all(struct store *s, uint32_t index, const uint8_t *old, const uint8_t *new,
			    unsigned int *torn)
{
	char *before = tell_with(s, index, old), *after = tell_with(s, index, new);
	unsigned int lost = 0;

	*torn = 0;
	for (unsigned int mask = 1; mask < (1u << SECTORS) - 1; mask++) {
		uint8_t page[BLOB_PAGE_BYTES];
		uint32_t left;
		char *text;

		mix(page, old, new, mask);
		if (torn_difference(page) == 0 || memcmp(page, old, sizeof(page)) == 0)
			continue;
		++*torn;
		store_write(s, index, page);
		text = tell_repaired(s, &left);
		if (strcmp(text, before) != 0 && strcmp(text, after) != 0) {
			print_message("mask %02x: %u left\n%sold:\n%snew:\n%s", mask, left, text,
				      before, after);
			lost++;
		}
		free(text);
	}
	free(before);
	free(after);
	return lost;
}

/* --- stores ----------------------------------------------------------------------------------- */

/* Another volume, that must stay as it is. */
static void put_other(struct store *s)
{
	static const uint32_t leaf[] = { EXTENTS - 1 }, clusters[] = { DATA - 2, 0, DATA - 1 };
	const struct blob_spec spec = { .root = OTHER,
					.name = "other",
					.name_bytes = 64,
					.invalid = THIN,
					.clusters = 3,
					.leaf_page = leaf };
	uint8_t page[BLOB_PAGE_BYTES];

	store_extents(s, EXTENTS - 1, OTHER, 0, clusters, 3);
	spec_root(s, &spec, page);
	store_write(s, OTHER, page);
}

/* Extent pages of TABLES tables, each with two clusters, of which @leaf names every @step th. */
static void put_leaves(struct store *s, uint32_t *leaf, uint32_t step)
{
	for (uint32_t i = 0; i < TABLES; i++) {
		uint32_t clusters[BLOB_EXTENT_CLUSTERS] = { DATA + 2 * i, [17] = DATA + 2 * i + 1 };

		leaf[i] = i % step == 0 ? EXTENTS + i : 0;
		if (leaf[i] != 0)
			store_extents(s, leaf[i], ROOT, i, clusters, BLOB_EXTENT_CLUSTERS);
	}
}

struct scene {
	struct store s;
	uint32_t leaf[TABLES], new_leaf[TABLES];
	struct blob_spec old, new;
};

static void open_scene(struct scene *c, uint32_t step)
{
	store_open(&c->s, false);
	put_other(&c->s);
	put_leaves(&c->s, c->leaf, step);
	memcpy(c->new_leaf, c->leaf, sizeof(c->leaf));
	c->old = (struct blob_spec){ .root = ROOT,
				     .name = "the-old-name",
				     .name_bytes = 64,
				     .invalid = THIN,
				     .clusters = UINT64_C(512) * TABLES,
				     .leaf_page = c->leaf };
	c->new = c->old;
	c->new.leaf_page = c->new_leaf;
}

static void play(struct scene *c, unsigned int at_least)
{
	uint8_t old[BLOB_PAGE_BYTES], new[BLOB_PAGE_BYTES];
	unsigned int torn;

	spec_root(&c->s, &c->old, old);
	spec_root(&c->s, &c->new, new);
	assert_int_equal(try_all(&c->s, ROOT, old, new, &torn), 0);
	assert_true(torn >= at_least);
	store_close(&c->s);
}

/* --- operations on a root --------------------------------------------------------------------- */

/* The table behind the name moves, over two sector boundaries. */
static void test_rename(void **state)
{
	static const struct {
		const char *name;
		uint16_t bytes;
	} names[] = { { "n", 2 }, { "the-new-name", 13 }, { "sixty-three", 60 } };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct scene c;

		open_scene(&c, 2);
		c.new.name = names[i].name;
		c.new.name_bytes = names[i].bytes;
		play(&c, 14);
	}
}

/* A name that grows again, of a table without holes. */
static void test_rename_to_a_longer_name(void **state)
{
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	c.old.name_bytes = 13;
	c.new.name = "a-name-of-more";
	c.new.name_bytes = 40;
	play(&c, 14);
}

/* {0, n} becomes {0, a}, {page, 1}, {0, b}: the entries behind move. The new page is durable. */
static void test_first_write_in_a_hole(void **state)
{
	(void)state;
	for (uint32_t at = 1; at < 90; at += 22) {
		const uint32_t clusters[BLOB_EXTENT_CLUSTERS] = { [3] = DATA + 1000 };
		struct scene c;

		open_scene(&c, 3);
		at += at % 3 == 0;
		store_extents(&c.s, 200, ROOT, at, clusters, BLOB_EXTENT_CLUSTERS);
		c.new_leaf[at] = 200;
		play(&c, 2);
	}
}

static void test_grow_and_shrink(void **state)
{
	(void)state;
	for (int grows = 0; grows < 2; grows++) {
		struct scene c;

		open_scene(&c, 1);
		(grows ? &c.old : &c.new)->clusters = UINT64_C(512) * 40;
		play(&c, 14);
	}
}

static void test_read_only(void **state)
{
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	c.new.data_ro = BLOB_DATA_RO;
	play(&c, 2);
}

/* The snapshot has the same table, and is marked. */
static void test_snapshot(void **state)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct blob_spec snapshot;
	uint32_t none[TABLES] = { 0 };
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	snapshot = c.old;
	snapshot.root = SNAPSHOT;
	snapshot.name = "snapshot";
	snapshot.snaptmp = BLOB_ID_BASE + ROOT;
	spec_root(&c.s, &snapshot, page);
	store_write(&c.s, SNAPSHOT, page);
	c.new.leaf_page = none;
	c.new.parent = BLOB_ID_BASE + SNAPSHOT;
	play(&c, 14);
}

static void test_create_and_delete(void **state)
{
	(void)state;
	for (int creates = 0; creates < 2; creates++) {
		uint8_t page[BLOB_PAGE_BYTES], zeroes[BLOB_PAGE_BYTES] = { 0 };
		unsigned int torn;
		struct scene c;

		open_scene(&c, 1);
		spec_root(&c.s, &c.old, page);
		assert_int_equal(try_all(&c.s, ROOT, creates ? zeroes : page,
					 creates ? page : zeroes, &torn),
				 0);
		assert_true(torn >= 14);
		store_close(&c.s);
	}
}

/* An xattr of 3.5 KiB pushes the table to another page, which is fresh each time. */
static void test_chain(void **state)
{
	static const uint32_t old_next[] = { 300 }, new_next[] = { 301 };
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	c.old.extra = c.new.extra = 3600;
	c.old.next = old_next;
	c.new.next = new_next;
	c.new.name = "renamed-to-a-name";
	play(&c, 2);
}

static void test_runs_in_one_sector(void **state)
{
	static const struct blob_pair old[] = { { DATA, 3 }, { 0, 20 } },
				      new[] = { { DATA, 3 }, { 0, 5 }, { DATA + 9, 1 }, { 0, 14 } };
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	c.old.clusters = c.new.clusters = 0;
	c.old.runs = old;
	c.old.run_count = 2;
	c.new.runs = new;
	c.new.run_count = 4;
	play(&c, 2);
}

/* Nothing tells old and new runs apart: the volume is named as lost, or is old or new. */
static void test_runs_over_several_sectors_are_not_guessed(void **state)
{
	struct blob_pair old[200], new[200];
	uint8_t a[BLOB_PAGE_BYTES], b[BLOB_PAGE_BYTES], page[BLOB_PAGE_BYTES];
	char *before, *after;
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	for (uint32_t i = 0; i < 200; i++) {
		old[i] = (struct blob_pair){ DATA + 3 * i, 1 };
		new[i] = (struct blob_pair){ DATA + 3 * ((i + 1) % 200), 1 };
	}
	c.old.clusters = c.new.clusters = 0;
	c.old.runs = old;
	c.new.runs = new;
	c.old.run_count = c.new.run_count = 200;
	spec_root(&c.s, &c.old, a);
	spec_root(&c.s, &c.new, b);
	before = tell_with(&c.s, ROOT, a);
	after = tell_with(&c.s, ROOT, b);
	for (unsigned int mask = 1; mask < 16; mask++) {
		uint32_t left;
		char *text;

		mix(page, a, b, mask);
		store_write(&c.s, ROOT, page);
		text = tell_repaired(&c.s, &left);
		assert_true(left > 0 || !strcmp(text, before) || !strcmp(text, after));
		assert_non_null(strstr(text, "\"other\" 100000006 damage 0"));
		free(text);
	}
	free(before);
	free(after);
	store_close(&c.s);
}

/* --- extent pages ----------------------------------------------------------------------------- */

/* Each entry is old or new: what is new was durable before, what is old is still there. */
static void check_entries(struct store *s, uint32_t index, const uint8_t *old, const uint8_t *new)
{
	struct repair r = { .img = &s->img };
	uint8_t page[BLOB_PAGE_BYTES];

	assert_int_equal(repair_plan(&r, &err), 0);
	assert_int_equal(r.left.count, 0);
	assert_int_equal(r.f.total[SEVERITY_ERROR], 0);
	store_read(s, index, page);
	assert_int_equal(torn_difference(page), 0);
	for (uint32_t at = 0; at < BLOB_PAGE_BYTES - 4; at++)
		assert_true(page[at] == old[at] || page[at] == new[at]);
	image_unstage(&s->img);
	repair_free(&r);
}

static void tear_extents(struct store *s, const uint32_t *before, const uint32_t *after)
{
	uint8_t old[BLOB_PAGE_BYTES], new[BLOB_PAGE_BYTES], page[BLOB_PAGE_BYTES];

	store_extents(s, EXTENTS, ROOT, 0, before, BLOB_EXTENT_CLUSTERS);
	store_read(s, EXTENTS, old);
	store_extents(s, EXTENTS, ROOT, 0, after, BLOB_EXTENT_CLUSTERS);
	store_read(s, EXTENTS, new);
	for (unsigned int mask = 0; mask < 1u << SECTORS; mask += 1 + mask % 3) {
		mix(page, old, new, mask);
		store_write(s, EXTENTS, page);
		check_entries(s, EXTENTS, old, new);
	}
}

static void test_writes_and_unmaps(void **state)
{
	uint8_t root[BLOB_PAGE_BYTES];
	struct scene c;

	(void)state;
	open_scene(&c, 1);
	c.old.clusters = 512;
	spec_root(&c.s, &c.old, root);
	store_write(&c.s, ROOT, root);
	srandom(7);
	for (unsigned int round = 0; round < 6; round++) {
		uint32_t a[BLOB_EXTENT_CLUSTERS], b[BLOB_EXTENT_CLUSTERS];

		for (uint32_t i = 0; i < BLOB_EXTENT_CLUSTERS; i++) {
			a[i] = random() % 2 != 0 ? DATA + 200 + i : 0;
			b[i] = random() % (round + 1) == 0 ? DATA + 200 + i : a[i];
			if (round == 5)
				b[i] = random() % 3 == 0 ? 0 : a[i];
		}
		tear_extents(&c.s, a, b);
	}
	store_close(&c.s);
}

/* An entry that names another volume's cluster is not believed, torn or not. */
static void test_entry_of_another_is_not_taken(void **state)
{
	uint32_t clusters[BLOB_EXTENT_CLUSTERS] = { DATA, [200] = DATA - 2, [400] = DATA + 1 };
	uint8_t root[BLOB_PAGE_BYTES], page[BLOB_PAGE_BYTES];
	struct scene c;
	uint32_t left;
	char *text;

	(void)state;
	open_scene(&c, 1);
	c.old.clusters = 512;
	spec_root(&c.s, &c.old, root);
	store_write(&c.s, ROOT, root);
	store_extents(&c.s, EXTENTS, ROOT, 0, clusters, BLOB_EXTENT_CLUSTERS);
	store_read(&c.s, EXTENTS, page);
	le32_put(page + BLOB_PAGE_BYTES - 4, 0x12345678);
	store_write(&c.s, EXTENTS, page);
	text = tell_repaired(&c.s, &left);
	assert_int_equal(left, 1);
	assert_non_null(strstr(text, "\"other\" 100000006 damage 0"));
	free(text);
	store_close(&c.s);
}

/* Nothing was under way in a clean store: a wrong checksum is damage. */
static void test_clean_store_is_not_guessed(void **state)
{
	uint8_t root[BLOB_PAGE_BYTES];
	struct scene c;
	uint32_t left;

	(void)state;
	open_scene(&c, 1);
	store_close(&c.s);
	store_open(&c.s, true);
	put_other(&c.s);
	put_leaves(&c.s, c.leaf, 1);
	spec_root(&c.s, &c.old, root);
	le32_put(root + BLOB_PAGE_BYTES - 4, 0x12345678);
	store_write(&c.s, ROOT, root);
	free(tell_repaired(&c.s, &left));
	assert_true(left > 0);
	store_close(&c.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_to_a_longer_name),
		cmocka_unit_test(test_first_write_in_a_hole),
		cmocka_unit_test(test_grow_and_shrink),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_create_and_delete),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_runs_in_one_sector),
		cmocka_unit_test(test_runs_over_several_sectors_are_not_guessed),
		cmocka_unit_test(test_writes_and_unmaps),
		cmocka_unit_test(test_entry_of_another_is_not_taken),
		cmocka_unit_test(test_clean_store_is_not_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

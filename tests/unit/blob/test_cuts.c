/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts after each single write of each operation, with what was not flushed there, lost, or
 * there in part.
 *
 * Threading: a fiber on reactor 0.
 */
#include "fixture.h"

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/format.h"

/* --- power cuts ------------------------------------------------------------------------------- */

/*
 * After each single write of an operation the disk is what a cut there leaves, with all of what was
 * not flushed, or parts of it, or nothing. Each is loaded and must show one of two states.
 */
struct scene {
	const char *name;
	void (*prepare)(void);
	void (*act)(void);
	void (*check)(struct blob_store *of, bool *after);
	bool is_io; /* promises nothing before a flush */
};

static struct blob *subject, *snap;
static uint64_t other_id;

static struct blob_store *swap_store(struct blob_store *to)
{
	struct blob_store *was = store;

	store = to;
	return was;
}

static void check_cut(const struct scene *scene, const uint8_t *data, unsigned int rounds,
		      bool *after)
{
	struct disk *copy = disk_copy(disk, data);
	struct bdev_desc *cd = unit_open("copy");
	struct blob_store_options opts;
	struct blob_store *cut, *was;
	uint64_t used[2];

	blob_store_options_init(&opts);
	for (unsigned int round = 0; round < rounds; round++) {
		if (blob_store_load(cd, &opts, &cut, &err) < 0)
			fail_msg("%s: %s", scene->name, err.text);
		was = swap_store(cut);
		scene->check(cut, after);
		used[round] = free_clusters(cut);
		swap_store(was);
		assert_done(blob_store_unload(cut, &err), err);
	}
	if (rounds > 1)
		assert_int_equal(used[0], used[1]);
	bdev_close(cd);
	disk_delete(copy);
}

/* A store that was unloaded cleanly: its masks must not be believed behind the first change. */
static void load_cleanly(void)
{
	uint64_t id = subject != NULL ? blob_id(subject) : 0;

	if (subject != NULL)
		blob_close(subject);
	unload();
	load();
	subject = subject != NULL ? open_blob(id) : NULL;
}

/* The disk after @upto events, of which those without a flush behind them are there by @keep. */
static uint8_t *disk_after(unsigned int upto, bool (*keep)(unsigned int i, unsigned int which),
			   unsigned int which)
{
	uint8_t *data = malloc(disk->bytes);

	memcpy(data, disk->base, disk->bytes);
	for (unsigned int i = 0; i < upto; i++) {
		if (keep == NULL || disk_is_durable(disk, i, upto) || keep(i, which))
			disk_apply(disk, i, data);
	}
	return data;
}

static bool keep_none(unsigned int i, unsigned int which)
{
	(void)i;
	(void)which;
	return false;
}

static bool keep_only(unsigned int i, unsigned int which)
{
	return i == which;
}

static bool keep_others(unsigned int i, unsigned int which)
{
	return i != which;
}

static bool keep_at_random(unsigned int i, unsigned int which)
{
	return ((i + 1) * 2654435761u ^ (which + 1) * 40503u) >> 15 & 1;
}

static bool cut_at(const struct scene *scene, unsigned int upto,
		   bool (*keep)(unsigned int i, unsigned int which), unsigned int which)
{
	uint8_t *data = disk_after(upto, keep, which);
	bool after = false;

	check_cut(scene, data, 1, &after);
	free(data);
	return after;
}

/* Unflushed writes are lost: all, all but one, one, some. */
static void cut_with_losses(const struct scene *scene)
{
	for (unsigned int upto = 1; upto <= disk->event_count; upto++) {
		cut_at(scene, upto, keep_none, 0);
		for (unsigned int i = 0; i < upto; i++) {
			if (disk->events[i].data == NULL || disk_is_durable(disk, i, upto))
				continue;
			cut_at(scene, upto, keep_only, i);
			cut_at(scene, upto, keep_others, i);
			cut_at(scene, upto, keep_at_random, i);
		}
	}
	/* What returned is durable. */
	if (!scene->is_io)
		assert_true(cut_at(scene, disk->event_count, keep_none, 0));
}

static void cut_in_order(const struct scene *scene)
{
	bool after = false;

	for (unsigned int upto = 1; upto <= disk->event_count; upto++) {
		uint8_t *data = disk_after(upto, NULL, 0);

		check_cut(scene, data, 2, &after);
		free(data);
	}
	/* The last state is the one that the operation told of. */
	assert_true(after);
}

/* With a store that is clean before, or dirty; on a disk whose unmap zeroes, or does not. */
static void run_scene(const struct scene *scene, bool clean, bool zeroing_unmap)
{
	begin_with(3 << 20, 4096, zeroing_unmap);
	scene->prepare();
	if (clean)
		load_cleanly();
	disk_record(disk);
	scene->act();
	disk->recording = false;
	assert_true(disk->event_count > 0);
	cut_in_order(scene);
	if (!clean || zeroing_unmap)
		cut_with_losses(scene);
	disk_forget(disk);
	if (snap != NULL)
		blob_close(snap);
	if (subject != NULL)
		blob_close(subject);
	snap = subject = NULL;
	finish();
}

static bool is_there(struct blob_store *of, uint64_t id)
{
	struct blob *b;

	if (blob_open(of, id, &b, &err) < 0)
		return false;
	blob_close(b);
	return true;
}

/* Once a state after the operation was seen no later cut may show the one before. */
static void note_after(bool *after, bool now)
{
	assert_true(now || !*after);
	*after = now;
}

static void prepare_nothing(void)
{
	other_id = BLOB_ID_BASE;
}

static void act_create_thick(void)
{
	other_id = create(20, false);
}

static void check_create_thick(struct blob_store *of, bool *after)
{
	bool there = is_there(of, BLOB_ID_BASE);
	struct blob *b;

	note_after(after, there);
	if (!there)
		return;
	b = open_blob(BLOB_ID_BASE);
	assert_int_equal(info_of(b).clusters, 20);
	expect_at(b, 0, 20 * 4096, 0);
	blob_close(b);
}

static void prepare_thin(void)
{
	subject = open_blob(create(20, true));
}

static void act_first_write(void)
{
	write_at(subject, 4096 + 512, 1024, 5);
}

static void check_first_write(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);

	(void)of;
	note_after(after, info_of(b).allocated_clusters == 1);
	expect_at(b, 0, 4096 + 512, 0);
	if (*after)
		expect_at(b, 4096 + 512, 1024, 5);
	expect_at(b, 8192, 4096, 0);
	blob_close(b);
}

static void prepare_first_written(void)
{
	prepare_thin();
	write_at(subject, 0, 4096, 4);
}

static void check_second_write(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);

	(void)of;
	note_after(after, info_of(b).allocated_clusters == 2);
	expect_at(b, 0, 4096, 4);
	expect_at(b, 4096, 512, 0);
	if (*after)
		expect_at(b, 4096 + 512, 1024, 5);
	expect_at(b, 4096 + 1536, 4096, 0);
	blob_close(b);
}

static void prepare_written(void)
{
	subject = open_blob(create(600, true));
	write_at(subject, 0, 8 * 4096, 1);
	write_at(subject, 590 * 4096, 4096, 2);
}

static void expect_written(struct blob *b)
{
	expect_at(b, 0, 8 * 4096, 1);
	expect_at(b, 8 * 4096, 4096, 0);
	expect_at(b, 590 * 4096, 4096, 2);
}

static void act_snapshot(void)
{
	other_id = snapshot(subject);
}

static void check_snapshot(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE), *s;
	bool there = info_of(b).clone;

	note_after(after, there);
	expect_written(b);
	if (there) {
		s = open_blob(info_of(b).parent);
		assert_true(info_of(s).read_only);
		expect_written(s);
		blob_close(s);
	}
	assert_int_equal(free_clusters(of), free_clusters(store));
	blob_close(b);
}

static void prepare_clone(void)
{
	prepare_written();
	other_id = snapshot(subject);
	write_at(subject, 4096, 4096, 7);
}

static void expect_cloned(struct blob *b)
{
	expect_at(b, 4096, 4096, 7);
	expect_at(b, 8 * 4096, 4096, 0);
	expect_at(b, 590 * 4096, 4096, 2);
}

static void act_delete_snapshot(void)
{
	delete_blob(other_id);
}

static void check_delete_snapshot(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE), *s;
	bool gone = info_of(b).parent == BLOB_ID_NONE;

	note_after(after, gone);
	expect_cloned(b);
	assert_int_equal(is_there(of, other_id), !gone);
	if (!gone) {
		s = open_blob(other_id);
		expect_written(s);
		/* Nothing is shared: a write to the clone leaves the snapshot alone. */
		write_at(b, 0, 4096, 9);
		expect_written(s);
		blob_close(s);
		write_at(b, 0, 4096, 1);
	}
	blob_close(b);
}

static void act_delete(void)
{
	uint64_t id = blob_id(subject);

	blob_close(subject);
	subject = NULL;
	delete_blob(id);
}

static void check_delete(struct blob_store *of, bool *after)
{
	bool there = is_there(of, BLOB_ID_BASE);
	struct blob *b;

	note_after(after, !there);
	if (!there) {
		struct blob_store_info info;

		blob_store_info_get(of, &info);
		assert_int_equal(info.free_clusters, info.data_clusters);
		return;
	}
	b = open_blob(BLOB_ID_BASE);
	expect_written(b);
	blob_close(b);
}

static void act_shrink(void)
{
	assert_done(blob_resize(subject, 5, &err), err);
}

static void check_shrink(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);
	uint64_t clusters = info_of(b).clusters;

	(void)of;
	assert_true(clusters == 600 || clusters == 5);
	note_after(after, clusters == 5);
	if (clusters == 600)
		expect_written(b);
	else
		expect_at(b, 0, 5 * 4096, 1);
	blob_close(b);
}

static void act_grow(void)
{
	assert_done(blob_resize(subject, 1500, &err), err);
}

static void check_grow(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);
	uint64_t clusters = info_of(b).clusters;

	(void)of;
	assert_true(clusters == 600 || clusters == 1500);
	note_after(after, clusters == 1500);
	expect_written(b);
	blob_close(b);
}

/* Each hole costs a write, and each write many cuts. */
static void prepare_small_clone(void)
{
	subject = open_blob(create(12, true));
	write_at(subject, 0, 8 * 4096, 1);
	other_id = snapshot(subject);
	write_at(subject, 4096, 4096, 7);
}

static void act_inflate(void)
{
	assert_done(blob_inflate(subject, &err), err);
}

static void check_inflate(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);

	(void)of;
	note_after(after, !info_of(b).thin);
	expect_at(b, 0, 4096, 1);
	expect_at(b, 4096, 4096, 7);
	expect_at(b, 8 * 4096, 4 * 4096, 0);
	blob_close(b);
}

static void act_decouple(void)
{
	assert_done(blob_decouple(subject, &err), err);
}

static void check_decouple(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);

	(void)of;
	note_after(after, info_of(b).parent == BLOB_ID_NONE);
	expect_cloned(b);
	blob_close(b);
}

static void act_unmap(void)
{
	assert_int_equal(io(subject, BDEV_IO_UNMAP, 4096, 2 * 4096), 0);
	while (info_of(subject).allocated_clusters != 7)
		fiber_yield();
}

static void check_unmap(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);

	(void)of;
	note_after(after, info_of(b).allocated_clusters == 7);
	if (*after)
		expect_at(b, 4096, 2 * 4096, 0);
	else
		expect_written(b);
	blob_close(b);
}

static void act_xattrs(void)
{
	static const char big[3000];
	const struct blob_xattr x[2] = { { "one", big, 3000 }, { "two", big, 2999 } };

	assert_done(blob_xattr_set(subject, x, 2, &err), err);
}

static void check_xattrs(struct blob_store *of, bool *after)
{
	struct blob *b = open_blob(BLOB_ID_BASE);
	uint16_t len;
	bool one = blob_xattr_get(b, "one", &len) != NULL;

	(void)of;
	assert_int_equal(one, blob_xattr_get(b, "two", &len) != NULL);
	note_after(after, one);
	expect_written(b);
	blob_close(b);
}

static const struct scene scenes[] = {
	{ "create thick", prepare_nothing, act_create_thick, check_create_thick, false },
	{ "first write", prepare_thin, act_first_write, check_first_write, true },
	{ "second write", prepare_first_written, act_first_write, check_second_write, true },
	{ "snapshot", prepare_written, act_snapshot, check_snapshot, false },
	{ "delete snapshot", prepare_clone, act_delete_snapshot, check_delete_snapshot, false },
	{ "delete", prepare_written, act_delete, check_delete, false },
	{ "shrink", prepare_written, act_shrink, check_shrink, false },
	{ "grow", prepare_written, act_grow, check_grow, false },
	{ "inflate", prepare_small_clone, act_inflate, check_inflate, false },
	{ "decouple", prepare_clone, act_decouple, check_decouple, false },
	{ "unmap", prepare_written, act_unmap, check_unmap, true },
	{ "xattrs", prepare_written, act_xattrs, check_xattrs, false },
};

static const struct scene *scene_now;

static void play(void)
{
	run_scene(scene_now, true, false);
	run_scene(scene_now, true, true);
	run_scene(scene_now, false, false);
}

static void test_power_cut_after_each_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		scene_now = &scenes[i];
		print_message("cutting: %s\n", scene_now->name);
		unit_fiber(1, play);
	}
}

/* --- a cut of SPDK's -------------------------------------------------------------------------- */

/* The extent page whose first entry, 25 bytes behind its start, is a hole, or is none. */
static uint8_t *extent_page(bool hole)
{
	for (uint64_t at = 4 * 4096; at < 132 * 4096; at += 4096) {
		uint8_t *page = disk->data + at;

		if (page[16] == BLOB_DESC_EXTENT_PAGE && (le32_get(page + 25) == 0) == hole)
			return page;
	}
	fail_msg("no extent page");
	return NULL;
}

/*
 * SPDK merges a snapshot's clusters into its clone's extent page in place: cut behind that, both
 * own them. The clone gives them back, so that a write to it leaves the snapshot alone.
 */
static void merge_in_place(void)
{
	uint64_t parent;
	uint8_t *clone_page;
	struct blob *b, *s;

	begin_with(3 << 20, 4096, false);
	b = open_blob(create(4, true));
	write_at(b, 0, 4096, 1);
	write_at(b, 4096, 4096, 2);
	parent = snapshot(b);
	write_at(b, 4096, 4096, 3);
	blob_close(b);
	unload();

	clone_page = extent_page(true);
	le32_put(clone_page + 25, le32_get(extent_page(false) + 25));
	le32_put(clone_page + 4092, crc32c_finish(crc32c_update(CRC32C_INIT, clone_page, 4092)));

	for (int round = 0; round < 2; round++) {
		load();
		b = open_blob(BLOB_ID_BASE);
		s = open_blob(parent);
		assert_int_equal(info_of(b).allocated_clusters, 1);
		assert_int_equal(info_of(s).allocated_clusters, 2);
		expect_at(b, 0, 4096, 1);
		expect_at(b, 4096, 4096, 3);
		expect_at(s, 0, 4096, 1);
		if (round == 1)
			write_at(b, 0, 4096, 9);
		expect_at(s, 0, 4096, 1);
		blob_close(s);
		blob_close(b);
		unload();
	}
	load();
	finish();
}

static void test_merge_of_spdk_is_undone(void **state)
{
	(void)state;
	unit_fiber(1, merge_in_place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cut_after_each_write),
		cmocka_unit_test(test_merge_of_spdk_is_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and volumes under what the running target seldom shows: a disk that fails in the middle of
 * an operation, operations that meet, and stores that go while somebody works in them.
 *
 * Threading: a fiber on reactor 0, and those that it starts.
 */
#include "blob_unit.h"

#include <stdio.h>

#include "base/container_of.h"
#include "lvol/lvol.h"

#define MIB    (1024u * 1024)
#define EXTRAS 8u

static struct disk *disk;
static struct error err;

/* --- plumbing --------------------------------------------------------------------------------- */

static struct lvol_store *make_store(const char *base, const char *name)
{
	struct lvol_store_options opts = { .name = name, .cluster_size = 65536 };
	struct lvol_store *store;

	assert_done(lvol_store_create(base, &opts, &store, &err), err);
	return store;
}

static struct lvol_store *begin(void)
{
	disk = disk_create(16 * MIB, 512, true, false);
	return make_store("disk", "s");
}

static void finish(void)
{
	lvol_shutdown();
	assert_null(lvol_store_first());
	disk_delete(disk);
}

static struct lvol *make(struct lvol_store *store, const char *name, uint64_t size, bool thin)
{
	struct lvol_options opts = { .name = name, .size = size, .thin = thin };
	struct lvol *lvol;

	assert_done(lvol_create(store, &opts, &lvol, &err), err);
	return lvol;
}

struct look {
	struct reactor_msg msg;
	struct fiber_event over;
};

static void looked(struct reactor_msg *msg)
{
	fiber_event_set(&container_of(msg, struct look, msg)->over, 0);
}

/* The store unloaded, because its disk goes, and found again on a copy of the disk. */
static struct lvol_store *reload(void)
{
	struct look look = { .msg.fn = looked, .over = FIBER_EVENT_INIT };
	struct disk *next;

	lvol_shutdown();
	next = disk_copy(disk, disk->data);
	bdev_wait_for_examine(&look.msg);
	fiber_event_wait(&look.over);
	disk_delete(disk);
	disk = next;
	return lvol_store_find("s");
}

/* --- a disk that fails ------------------------------------------------------------------------ */

struct failing {
	const char *name;
	int (*fn)(struct lvol_store *store, struct lvol *lvol);
};

static int do_create(struct lvol_store *store, struct lvol *lvol)
{
	struct lvol_options opts = { .name = "new", .size = MIB };
	struct lvol *made;

	(void)lvol;
	return lvol_create(store, &opts, &made, &err);
}

static int do_delete(struct lvol_store *store, struct lvol *lvol)
{
	(void)store;
	return lvol_delete(lvol, &err);
}

static int do_rename(struct lvol_store *store, struct lvol *lvol)
{
	(void)store;
	return lvol_rename(lvol, "new", &err);
}

static int do_rename_store(struct lvol_store *store, struct lvol *lvol)
{
	(void)lvol;
	return lvol_store_rename(store, "new", &err);
}

static int do_grow(struct lvol_store *store, struct lvol *lvol)
{
	(void)store;
	return lvol_resize(lvol, 2 * MIB, &err);
}

static int do_shrink(struct lvol_store *store, struct lvol *lvol)
{
	(void)store;
	return lvol_resize(lvol, 65536, &err);
}

static int do_snapshot(struct lvol_store *store, struct lvol *lvol)
{
	struct lvol *made;

	(void)store;
	return lvol_snapshot(lvol, "new", &made, &err);
}

static int do_read_only(struct lvol_store *store, struct lvol *lvol)
{
	(void)store;
	return lvol_set_read_only(lvol, &err);
}

static void check_unchanged(const char *what)
{
	struct lvol_store *store = lvol_store_find("s");
	const struct bdev *bdev = bdev_find("s/v");

	if (store == NULL || bdev == NULL || lvol_find("s/v") == NULL)
		fail_msg("%s: the volume is gone", what);
	assert_null(bdev_find("s/new"));
	assert_null(bdev_find("new/v"));
	assert_int_equal(bdev_num_blocks(bdev) * bdev_block_size(bdev), MIB);
	assert_false(bdev->read_only);
	assert_ptr_equal(lvol_first(store), lvol_find("s/v"));
	assert_null(lvol_next(lvol_first(store)));
	assert_int_equal(lvol_check_name(store, "new", &err), 0);
}

/* Refused with words, and as if nobody had asked; also when the store is loaded again. */
static void fail_one(const struct failing *f)
{
	struct lvol_store *store = begin();
	struct lvol *lvol = make(store, "v", MIB, false);

	disk->fail_after = 0;
	assert_true(f->fn(store, lvol) < 0);
	assert_true(strlen(err.text) > 8);
	disk->fail_after = -1;
	check_unchanged(f->name);
	assert_non_null(reload());
	check_unchanged(f->name);
	finish();
}

static void failing_disk(void)
{
	static const struct failing all[] = {
		{ "create", do_create },     { "delete", do_delete },
		{ "rename", do_rename },     { "rename of the store", do_rename_store },
		{ "grow", do_grow },	     { "shrink", do_shrink },
		{ "snapshot", do_snapshot }, { "read-only", do_read_only },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		fail_one(&all[i]);
}

static void failing_creation(void)
{
	struct lvol_store_options opts = { .name = "s", .cluster_size = 65536 };
	struct lvol_store *store;

	disk = disk_create(16 * MIB, 512, true, false);
	for (int64_t writes = 0; writes < 6; writes++) {
		disk->fail_after = writes;
		if (lvol_store_create("disk", &opts, &store, &err) == 0)
			assert_done(lvol_store_delete(store, &err), err);
		disk->fail_after = -1;
		assert_null(lvol_store_first());
		assert_int_equal(lvol_store_check("disk", &opts, &err), 0);
	}
	finish();
}

/* --- operations that meet --------------------------------------------------------------------- */

struct many {
	uint32_t left;
	struct fiber_event over;
	unsigned int done, gone, cut;
};

struct one {
	struct many *many;
	struct lvol *lvol;
	unsigned int number;
};

static void note(struct one *one, int rc)
{
	struct many *many = one->many;

	if (rc == 0)
		many->done++;
	else if (rc == -ENODEV)
		many->gone++;
	else if (rc == -ECANCELED)
		many->cut++;
	else
		fail_msg("%d: %s", rc, err.text);
	if (--many->left == 0)
		fiber_event_set(&many->over, 0);
}

static void run_work(void *arg)
{
	struct one *one = arg;
	struct lvol *lvol = one->lvol;
	char name[16];

	snprintf(name, sizeof(name), "n%u", one->number);
	if (one->number == EXTRAS / 2)
		note(one, lvol_delete(lvol, &err));
	else if (one->number % 2 == 0)
		note(one, lvol_rename(lvol, name, &err));
	else
		note(one, lvol_resize(lvol, MIB + one->number * 65536, &err));
}

static void start_all(struct one *ones, unsigned int count, struct many *many, struct lvol *lvol,
		      void (*fn)(void *arg))
{
	*many = (struct many){ .left = count, .over = FIBER_EVENT_INIT };
	for (unsigned int i = 0; i < count; i++) {
		ones[i] = (struct one){ .many = many, .lvol = lvol, .number = i };
		assert_int_equal(fiber_start(fn, &ones[i]), 0);
	}
}

/* Who comes behind the deletion is told that the volume is gone; nobody touches freed memory. */
static void one_volume(void)
{
	struct lvol_store *store = begin();
	struct one ones[EXTRAS];
	struct many many;

	start_all(ones, EXTRAS, &many, make(store, "v", MIB, false), run_work);
	fiber_event_wait(&many.over);
	assert_int_equal(many.done + many.gone, EXTRAS);
	assert_true(many.done >= 1 && many.gone >= 1);
	assert_null(lvol_first(store));
	finish();
}

static void run_inflate(void *arg)
{
	struct one *one = arg;

	note(one, lvol_inflate(one->lvol, &err));
}

/* What is under way ends, cut short, then the store goes; what comes later finds nothing. */
static void leaving_while_at_work(void)
{
	struct lvol_store *store = begin();
	struct lvol *lvol = make(store, "v", 8 * MIB, true);
	struct one ones[EXTRAS];
	struct many many;

	start_all(ones, EXTRAS, &many, lvol, run_inflate);
	fiber_yield();
	fiber_yield();
	assert_done(lvol_store_delete(store, &err), err);
	while (many.left > 0)
		fiber_yield();
	assert_int_equal(many.done + many.gone + many.cut, EXTRAS);
	assert_null(lvol_store_first());
	assert_null(bdev_find("s/v"));
	finish();
}

static void shutdown_while_at_work(void)
{
	struct lvol_store *store = begin();
	struct lvol *lvol = make(store, "v", 8 * MIB, true);
	struct one ones[EXTRAS];
	struct many many;

	start_all(ones, EXTRAS, &many, lvol, run_inflate);
	fiber_yield();
	store = reload();
	while (many.left > 0)
		fiber_yield();
	assert_non_null(store);
	assert_non_null(lvol_find("s/v"));
	finish();
}

/* --- odd names on disk ------------------------------------------------------------------------ */

static uint64_t id_of(struct blob_store *blobs, const char *name)
{
	uint64_t id;

	for (id = BLOB_ID_BASE; id < BLOB_ID_BASE + 8; id++) {
		struct blob *blob;
		const char *text;
		uint16_t len;
		bool same;

		assert_done(blob_open(blobs, id, &blob, &err), err);
		text = blob_xattr_get(blob, "name", &len);
		same = text != NULL && strcmp(text, name) == 0;
		blob_close(blob);
		if (same)
			return id;
	}
	fail_msg("no volume \"%s\"", name);
	return 0;
}

static void spoil(struct blob_store *blobs, const char *name, const char *xattr, const char *value,
		  size_t len)
{
	struct blob_xattr x = { xattr, value, (uint16_t)len };
	struct blob *blob;

	assert_done(blob_open(blobs, id_of(blobs, name), &blob, &err), err);
	if (value == NULL)
		assert_done(blob_xattr_remove(blob, xattr, &err), err);
	else
		assert_done(blob_xattr_set(blob, &x, 1, &err), err);
	blob_close(blob);
}

static void spoil_all(const char *long_name)
{
	struct blob_store_options opts;
	struct bdev_desc *desc = unit_open("disk");
	struct blob_store *blobs;

	blob_store_options_init(&opts);
	assert_done(blob_store_load(desc, &opts, &blobs, &err), err);
	spoil(blobs, "anonymous", "uuid", NULL, 0);
	spoil(blobs, "anonymous", "name", NULL, 0);
	spoil(blobs, "second", "name", "first", sizeof("first"));
	spoil(blobs, "nameless", "name", NULL, 0);
	spoil(blobs, "long", "name", long_name, strlen(long_name) + 1);
	spoil(blobs, "unknown", "uuid", "not a UUID", sizeof("not a UUID"));
	assert_done(blob_store_unload(blobs, &err), err);
	bdev_close(desc);
}

static void check_there(const char *alias)
{
	struct lvol *lvol = lvol_find(alias);

	if (lvol == NULL || lvol_of_bdev(bdev_find(alias)) != lvol)
		fail_msg("\"%s\" is not there", alias);
}

/* None of them costs another volume, nor itself. */
static void odd_names(void)
{
	static const char *const names[] = { "first", "second",	   "nameless",
					     "long",  "anonymous", "unknown" };
	char long_name[80], cut[LVOL_NAME_MAX + 1], alias[100], ids[6][LVOL_UNIQUE_ID_SIZE];
	struct lvol_store *store = begin();
	char uuid[UUID_TEXT_SIZE];

	memset(long_name, 'z', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	snprintf(cut, sizeof(cut), "%.63s", long_name);
	for (unsigned int i = 0; i < 6; i++)
		lvol_unique_id(make(store, names[i], 65536, true), ids[i]);
	uuid_to_text(lvol_store_uuid(store), uuid);
	lvol_shutdown();
	spoil_all(long_name);
	store = reload();
	assert_non_null(store);
	check_there("s/first");
	for (unsigned int i = 1; i < 3; i++) {
		snprintf(alias, sizeof(alias), "s/%s", ids[i]);
		check_there(alias);
	}
	snprintf(alias, sizeof(alias), "s/%s", cut);
	check_there(alias);
	snprintf(alias, sizeof(alias), "s/%s_%" PRIu64, uuid, BLOB_ID_BASE + 5);
	check_there(alias);
	check_there(alias + 2);
	check_there("s/unknown");
	assert_done(lvol_rename(lvol_find(ids[1]), "second", &err), err);
	check_there("s/second");
	finish();
}

/* --- the base goes ---------------------------------------------------------------------------- */

static void base_goes(void)
{
	struct lvol_store *store = begin();
	struct bdev_desc *user;

	make(store, "v", MIB, false);
	user = unit_open("s/v");
	bdev_close(user);
	disk_delete(disk);
	assert_null(lvol_store_first());
	assert_null(bdev_find("s/v"));
	lvol_shutdown();
}

static void run_make(void *arg)
{
	struct one *one = arg;
	struct lvol_options opts = { .name = "w", .size = 4 * MIB };
	struct lvol *lvol;
	int rc = lvol_create(lvol_store_first(), &opts, &lvol, &err);

	note(one, rc);
}

/* While a volume is being zeroed. */
static void base_goes_during_creation(void)
{
	struct one ones[1];
	struct many many;

	begin();
	start_all(ones, 1, &many, NULL, run_make);
	fiber_yield();
	disk_delete(disk);
	assert_int_equal(many.left, 0);
	assert_null(lvol_store_first());
	lvol_shutdown();
}

#define TEST(name)                                                                                 \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		unit_fiber(1, name);                                                               \
	}

TEST(failing_disk)
TEST(failing_creation)
TEST(one_volume)
TEST(leaving_while_at_work)
TEST(shutdown_while_at_work)
TEST(odd_names)
TEST(base_goes)
TEST(base_goes_during_creation)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failing_disk),
		cmocka_unit_test(test_failing_creation),
		cmocka_unit_test(test_one_volume),
		cmocka_unit_test(test_leaving_while_at_work),
		cmocka_unit_test(test_shutdown_while_at_work),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_base_goes),
		cmocka_unit_test(test_base_goes_during_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

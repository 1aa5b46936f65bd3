/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on blobs: what they do, and what a store loaded again shows.
 *
 * Threading: a fiber on reactor 0.
 */
#include "fixture.h"

/* --- stores ----------------------------------------------------------------------------------- */

static void stores(void)
{
	struct blob_store_options opts;
	struct blob_store_info info;

	begin();
	blob_store_info_get(store, &info);
	assert_int_equal(info.total_clusters, 256);
	assert_int_equal(info.free_clusters, info.data_clusters);
	assert_int_equal(info.md_pages, 128);
	assert_done(blob_store_set_super(store, BLOB_ID_BASE + 5, &err), err);
	unload();
	load();
	assert_int_equal(blob_store_super(store), BLOB_ID_BASE + 5);
	blob_store_info_get(store, &info);
	assert_true(info.was_clean && !info.was_recovered);
	assert_done(blob_store_destroy(store, &err), err);
	blob_store_options_init(&opts);
	assert_int_equal(blob_store_load(desc, &opts, &store, &err), -EILSEQ);
	opts.cluster_size = 5000;
	assert_int_equal(blob_store_init(desc, &opts, &store, &err), -EINVAL);
	opts.cluster_size = 8 << 20;
	assert_int_equal(blob_store_init(desc, &opts, &store, &err), -ENOSPC);
	opts.cluster_size = CLUSTER;
	assert_done(blob_store_init(desc, &opts, &store, &err), err);
	finish();
}

static void test_store_is_made_loaded_and_destroyed(void **state)
{
	(void)state;
	unit_fiber(1, stores);
}

static void refusals(void)
{
	struct blob_options opts = { .clusters = 1000 };
	struct blob *b;
	uint64_t id;

	begin();
	assert_int_equal(blob_create(store, &opts, &id, &err), -ENOSPC);
	assert_int_equal(free_clusters(store), 256 - 33);
	b = open_blob(create(2, false));
	assert_int_equal(blob_delete(store, blob_id(b), &err), -EBUSY);
	assert_int_equal(blob_store_unload(store, &err), -EBUSY);
	assert_int_equal(blob_clone(b, NULL, 0, &id, &err), -EINVAL);
	assert_int_equal(blob_decouple(b, &err), -EINVAL);
	assert_int_equal(blob_set_parent(b, b, &err), -EINVAL);
	assert_int_equal(blob_xattr_remove(b, "none", &err), -ENOENT);
	assert_done(blob_set_read_only(b, &err), err);
	assert_int_equal(blob_resize(b, 3, &err), -EPERM);
	assert_int_equal(blob_snapshot(b, NULL, 0, &id, &err), -EINVAL);
	assert_int_equal(io(b, BDEV_IO_WRITE, 0, UNIT), -EROFS);
	blob_close(b);
	assert_int_equal(blob_open(store, BLOB_ID_BASE + 77, &b, &err), -ENOENT);
	assert_int_equal(blob_open(store, 3, &b, &err), -ENOENT);
	finish();
}

static void test_refusals(void **state)
{
	(void)state;
	unit_fiber(1, refusals);
}

/* --- what was never written reads as zeroes --------------------------------------------------- */

static void old_data(void)
{
	uint64_t before, id;
	struct blob *b;

	for (int round = 0; round < 2; round++) {
		begin_with(4 << 20, CLUSTER, round == 1);
		before = free_clusters(store);
		/* Clusters of a deleted blob, whose method leaves everything where it is. */
		id = create(4, false);
		b = open_blob(id);
		expect_at(b, 0, 4 * CLUSTER, 0);
		write_at(b, 0, 4 * CLUSTER, 9);
		blob_close(b);
		delete_blob(id);
		assert_int_equal(free_clusters(store), before);

		b = open_blob(create(4, false));
		expect_at(b, 0, 4 * CLUSTER, 0);
		write_at(b, 0, 4 * CLUSTER, 9);
		id = blob_id(b);
		blob_close(b);
		delete_blob(id);

		b = open_blob(create(4, true));
		write_at(b, CLUSTER + 1024, 512, 3);
		expect_at(b, 0, CLUSTER + 1024, 0);
		expect_at(b, CLUSTER + 1024, 512, 3);
		expect_at(b, CLUSTER + 1536, 2 * CLUSTER, 0);
		assert_int_equal(info_of(b).allocated_clusters, 1);
		assert_done(blob_inflate(b, &err), err);
		assert_int_equal(info_of(b).allocated_clusters, 4);
		assert_false(info_of(b).thin);
		expect_at(b, CLUSTER + 1536, 2 * CLUSTER, 0);
		assert_done(blob_resize(b, 6, &err), err);
		expect_at(b, 4 * CLUSTER, 2 * CLUSTER, 0);
		blob_close(b);
		finish();
	}
}

static void test_security_new_space_never_shows_old_data(void **state)
{
	(void)state;
	unit_fiber(1, old_data);
}

/* --- I/O -------------------------------------------------------------------------------------- */

static void odd_segments(void)
{
	struct blob *b;
	struct view *v;
	struct iovec iov[200];
	uint8_t *out = malloc(5 * CLUSTER);

	begin();
	b = open_blob(create(8, true));
	v = view_create(store, b, UNIT);
	pattern(buffer, 5 * CLUSTER, 4);
	/* Segments that fit neither blocks nor clusters, many of them in the first block. */
	for (unsigned int i = 0; i < 199; i++)
		iov[i] = (struct iovec){ buffer + (size_t)i * 3, 3 };
	iov[199] = (struct iovec){ buffer + 597, 5 * CLUSTER - 597 };
	assert_int_equal(view_iov(v, 0, BDEV_IO_WRITE, iov, 200, 2048, 5 * CLUSTER), 0);
	assert_int_equal(view_iov(v, 0, BDEV_IO_WRITE, iov, 200, 2048, 5 * CLUSTER), 0);
	for (unsigned int i = 0; i < 199; i++)
		iov[i] = (struct iovec){ out + (size_t)i * 3, 3 };
	iov[199] = (struct iovec){ out + 597, 5 * CLUSTER - 597 };
	assert_int_equal(view_iov(v, 0, BDEV_IO_READ, iov, 200, 2048, 5 * CLUSTER), 0);
	assert_true(is_pattern(out, 5 * CLUSTER, 4));
	view_delete(v);
	expect_at(b, 0, 2048, 0);
	expect_at(b, 2048 + 5 * CLUSTER, CLUSTER, 0);
	assert_int_equal(info_of(b).allocated_clusters, 6);
	blob_close(b);
	finish();
	free(out);
}

static void test_io_over_clusters_with_odd_segments(void **state)
{
	(void)state;
	unit_fiber(1, odd_segments);
}

static void zeroes_and_unmap(void)
{
	uint64_t before;
	struct view *v;
	struct blob *b;

	begin();
	before = free_clusters(store);
	b = open_blob(create(8, true));
	write_at(b, 0, 4 * CLUSTER, 5);
	assert_int_equal(io(b, BDEV_IO_WRITE_ZEROES, CLUSTER, 512), 0);
	expect_at(b, CLUSTER, 512, 0);
	assert_int_equal(io(b, BDEV_IO_WRITE_ZEROES, 5 * CLUSTER, CLUSTER), 0);
	assert_int_equal(info_of(b).allocated_clusters, 4);
	assert_int_equal(free_clusters(store), before - 4);

	v = view_create(store, b, UNIT);
	assert_int_equal(view_seek(v, BDEV_IO_SEEK_DATA, 0), 0);
	assert_int_equal(view_seek(v, BDEV_IO_SEEK_HOLE, 0), 4 * CLUSTER);
	assert_int_equal(view_seek(v, BDEV_IO_SEEK_DATA, 4 * CLUSTER), UINT64_MAX);
	view_delete(v);

	/* Whole clusters go back, the parts at both ends stay. */
	assert_int_equal(io(b, BDEV_IO_UNMAP, CLUSTER / 2, 3 * CLUSTER), 0);
	assert_int_equal(info_of(b).allocated_clusters, 2);
	expect_at(b, CLUSTER, 2 * CLUSTER, 0);
	expect_at(b, 0, CLUSTER / 2, 5);
	assert_int_equal(io(b, BDEV_IO_FLUSH, 0, 0), 0);
	blob_close(b);
	unload();
	load();
	assert_int_equal(free_clusters(store), before - 2);
	finish();
}

static void test_write_zeroes_and_unmap(void **state)
{
	(void)state;
	unit_fiber(1, zeroes_and_unmap);
}

static void no_space(void)
{
	struct blob *b;
	uint64_t free_now;

	begin();
	b = open_blob(create(400, true));
	free_now = free_clusters(store);
	for (uint64_t i = 0; i < free_now; i++)
		write_at(b, i * CLUSTER, 512, (uint32_t)i + 1);
	pattern(buffer, 512, 1);
	assert_int_equal(io(b, BDEV_IO_WRITE, free_now * CLUSTER, 512), -ENOSPC);
	expect_at(b, free_now * CLUSTER, 512, 0);
	expect_at(b, 7 * CLUSTER, 512, 8);
	assert_int_equal(info_of(b).allocated_clusters, free_now);
	/* What was given back is to be had at once, also while it is still being cleared. */
	disk->slow_from = 33 * CLUSTER;
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(io(b, BDEV_IO_UNMAP, i * CLUSTER, CLUSTER), 0);
		write_at(b, (free_now + i) * CLUSTER, 512, 77);
	}
	assert_int_equal(io(b, BDEV_IO_UNMAP, 30 * CLUSTER, 3 * CLUSTER), 0);
	delete_blob(create(3, false));
	expect_at(b, (free_now + 19) * CLUSTER, 512, 77);
	blob_close(b);
	finish();
}

static void test_no_space_is_told_and_goes_by(void **state)
{
	(void)state;
	unit_fiber(1, no_space);
}

static void two_reactors(void)
{
	struct view_op *ops[64];
	uint8_t *data = malloc(64 * 4096);
	struct iovec iov[64];
	struct blob *b;
	struct view *v;

	begin();
	b = open_blob(create(32, true));
	v = view_create(store, b, UNIT);
	/* Four writes to each of 16 clusters at once, from both reactors. */
	for (unsigned int i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ data + (size_t)i * 4096, 4096 };
		pattern(iov[i].iov_base, 4096, i + 1);
		ops[i] = view_start(v, i % 2, BDEV_IO_WRITE, &iov[i], 1, (uint64_t)i * 4096, 4096);
	}
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(view_wait(ops[i]), 0);
	assert_int_equal(info_of(b).allocated_clusters, 16);
	for (unsigned int i = 0; i < 64; i++) {
		assert_int_equal(
			view_io(v, (i + 1) % 2, BDEV_IO_READ, buffer, (uint64_t)i * 4096, 4096), 0);
		assert_true(is_pattern(buffer, 4096, i + 1));
	}
	view_delete(v);
	blob_close(b);
	finish();
	free(data);
}

static void test_first_writes_of_two_reactors_share_clusters(void **state)
{
	(void)state;
	unit_fiber(2, two_reactors);
}

/* --- snapshots and clones --------------------------------------------------------------------- */

static void snapshots(void)
{
	struct blob *b, *s, *c;
	uint64_t before, first, second, clone;

	begin();
	before = free_clusters(store);
	b = open_blob(create(8, false));
	write_at(b, 0, 8 * CLUSTER, 1);
	first = snapshot(b);
	assert_true(info_of(b).thin && info_of(b).clone);
	expect_at(b, 0, 8 * CLUSTER, 1);
	write_at(b, CLUSTER, CLUSTER, 2);
	second = snapshot(b);
	write_at(b, 2 * CLUSTER + 512, 1024, 3);
	s = open_blob(first);
	expect_at(s, 0, 8 * CLUSTER, 1);
	assert_true(info_of(s).snapshot && info_of(s).read_only);
	assert_done(blob_clone(s, NULL, 0, &clone, &err), err);
	blob_close(s);
	c = open_blob(clone);
	expect_at(c, 0, 8 * CLUSTER, 1);
	write_at(c, 0, 512, 4);
	assert_int_equal(blob_delete(store, first, &err), -EBUSY);
	expect_at(b, 2 * CLUSTER + 512, 1024, 3);
	expect_at(b, CLUSTER, CLUSTER, 2);

	assert_done(blob_decouple(b, &err), err);
	assert_int_equal(info_of(b).parent, first);
	assert_int_equal(info_of(b).allocated_clusters, 2);
	delete_blob(second);
	assert_done(blob_inflate(c, &err), err);
	assert_int_equal(info_of(c).parent, BLOB_ID_NONE);
	assert_int_equal(info_of(c).allocated_clusters, 8);
	expect_at(c, 0, 512, 4);
	/* One clone is left: it inherits. */
	delete_blob(first);
	assert_int_equal(info_of(b).allocated_clusters, 8);
	assert_int_equal(info_of(b).parent, BLOB_ID_NONE);
	expect_at(b, CLUSTER, CLUSTER, 2);
	expect_at(b, 2 * CLUSTER + 512, 1024, 3);
	expect_at(b, 0, CLUSTER, 1);
	assert_int_equal(free_clusters(store), before - 16);
	blob_close(b);
	blob_close(c);
	unload();
	load();
	b = open_blob(clone);
	expect_at(b, 0, 512, 4);
	blob_close(b);
	finish();
}

static void test_snapshots_clones_and_their_end(void **state)
{
	(void)state;
	unit_fiber(1, snapshots);
}

static void parents(void)
{
	struct blob *b, *s, *x;
	uint64_t first;

	begin();
	b = open_blob(create(4, false));
	write_at(b, 0, 4 * CLUSTER, 1);
	first = snapshot(b);
	s = open_blob(first);
	x = open_blob(create(4, true));
	write_at(x, CLUSTER, CLUSTER, 2);
	assert_done(blob_set_parent(x, s, &err), err);
	assert_int_equal(blob_set_parent(x, s, &err), -EEXIST);
	assert_int_equal(info_of(s).children, 2);
	expect_at(x, 0, CLUSTER, 1);
	expect_at(x, CLUSTER, CLUSTER, 2);
	assert_done(blob_resize(x, 6, &err), err);
	expect_at(x, 4 * CLUSTER, 2 * CLUSTER, 0);
	blob_close(b);
	blob_close(s);
	blob_close(x);
	finish();
}

static void test_set_parent(void **state)
{
	(void)state;
	unit_fiber(1, parents);
}

/* Writes go on, on another reactor, while snapshots are taken: each is one moment of them. */
static bool stop_writing;
static unsigned int written;
static struct fiber_event writer_over;
static struct view *live;

static void writer(void *arg)
{
	uint8_t *data = malloc(CLUSTER);

	(void)arg;
	while (!stop_writing) {
		pattern(data, CLUSTER, ++written);
		assert_int_equal(view_io(live, reactor_count() - 1, BDEV_IO_WRITE, data,
					 (uint64_t)(written % 2) * CLUSTER, CLUSTER),
				 0);
	}
	free(data);
	fiber_event_set(&writer_over, 0);
}

static unsigned int newest(struct blob *s)
{
	unsigned int best = 0;

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(io(s, BDEV_IO_READ, (uint64_t)i * CLUSTER, CLUSTER), 0);
		for (unsigned int n = written; n > 0 && !is_zero(buffer, CLUSTER); n--) {
			if (n % 2 == i && is_pattern(buffer, CLUSTER, n)) {
				best = n > best ? n : best;
				break;
			}
		}
	}
	return best;
}

static void snapshots_under_load(void)
{
	uint64_t ids[8];
	struct blob *b, *s;

	begin_with(8 << 20, CLUSTER, false);
	/* Data takes longer than metadata: a write that nobody waits for ends behind the snapshot.
	 */
	disk->slow_from = 34 * CLUSTER;
	stop_writing = false;
	written = 0;
	writer_over = (struct fiber_event)FIBER_EVENT_INIT;
	b = open_blob(create(16, true));
	live = view_create(store, b, UNIT);
	assert_int_equal(fiber_start(writer, NULL), 0);
	for (unsigned int i = 0; i < 8; i++) {
		unsigned int until = written + 5, seen;

		while (written < until)
			fiber_yield();
		/* Time for the last one to get under way. */
		for (unsigned int turns = 0; turns < 300; turns++)
			fiber_yield();
		ids[i] = snapshot(b);
		s = open_blob(ids[i]);
		seen = newest(s);
		/* All that was acknowledged before it began is in it. */
		assert_true(seen + 1 >= until);
		while (written < until + 5)
			fiber_yield();
		assert_int_equal(newest(s), seen);
		blob_close(s);
	}
	stop_writing = true;
	fiber_event_wait(&writer_over);
	view_delete(live);
	for (unsigned int i = 0; i < 8; i++)
		delete_blob(ids[i]);
	assert_int_equal(info_of(b).parent, BLOB_ID_NONE);
	assert_true(newest(b) == written);
	blob_close(b);
	finish();
}

static void test_snapshots_under_writes_of_another_reactor(void **state)
{
	(void)state;
	unit_fiber(2, snapshots_under_load);
}

/* --- sizes and xattrs ------------------------------------------------------------------------- */

static void sizes(void)
{
	uint64_t before;
	struct blob *b, *t;

	begin_with(16 << 20, 4096, false);
	before = free_clusters(store);
	b = open_blob(create(1500, false));
	t = open_blob(create(100, true));
	write_at(b, 0, 1500 * 4096 > 1 << 20 ? 1 << 20 : 0, 1);
	write_at(b, 1400 * 4096, 4096, 2);
	assert_done(blob_resize(b, 600, &err), err);
	assert_int_equal(info_of(b).allocated_clusters, 600);
	assert_int_equal(free_clusters(store), before - 600);
	assert_done(blob_resize(b, 1450, &err), err);
	expect_at(b, 1400 * 4096, 4096, 0);
	expect_at(b, 0, 4096, 1);
	assert_done(blob_resize(b, 512, &err), err);
	assert_done(blob_resize(b, 10, &err), err);
	assert_done(blob_resize(b, 11, &err), err);
	expect_at(b, 10 * 4096, 4096, 0);
	write_at(t, 99 * 4096, 4096, 3);
	assert_done(blob_resize(t, 100000, &err), err);
	write_at(t, 99999 * UINT64_C(4096), 4096, 4);
	expect_at(t, 99 * 4096, 4096, 3);
	expect_at(t, 100 * 4096, 8192, 0);
	blob_close(b);
	blob_close(t);
	unload();
	load();
	assert_int_equal(free_clusters(store), before - 13);
	t = open_blob(BLOB_ID_BASE + 4);
	assert_int_equal(info_of(t).clusters, 100000);
	expect_at(t, 99999 * UINT64_C(4096), 4096, 4);
	assert_done(blob_resize(t, 0, &err), err);
	assert_int_equal(info_of(t).clusters, 0);
	blob_close(t);
	finish();
}

static void test_sizes_over_extent_pages(void **state)
{
	(void)state;
	unit_fiber(1, sizes);
}

static void xattrs(void)
{
	struct blob_xattr many[8];
	char names[8][8];
	uint8_t *value = malloc(4063);
	uint16_t len;
	struct blob *b;

	begin();
	b = open_blob(create(2, false));
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(names[i], sizeof(names[i]), "key%u", i);
		many[i] = (struct blob_xattr){ names[i], value, 3000 };
	}
	pattern(value, 4063, 6);
	assert_done(blob_xattr_set(b, many, 8, &err), err);
	many[0].len = 4060;
	assert_int_equal(blob_xattr_set(b, many, 1, &err), -E2BIG);
	many[0].len = 4059;
	assert_done(blob_xattr_set(b, many, 1, &err), err);
	assert_done(blob_xattr_remove(b, "key3", &err), err);
	blob_close(b);
	unload();
	load();
	b = open_blob(BLOB_ID_BASE);
	assert_non_null(blob_xattr_get(b, "key0", &len));
	assert_int_equal(len, 4059);
	assert_true(is_pattern(blob_xattr_get(b, "key7", &len), 3000, 6));
	assert_null(blob_xattr_get(b, "key3", &len));
	blob_close(b);
	finish();
	free(value);
}

static void test_xattrs_over_several_pages(void **state)
{
	(void)state;
	unit_fiber(1, xattrs);
}

/* --- errors of the device --------------------------------------------------------------------- */

/* Whichever write fails: the operation says so, and the next load shows one state or the other. */
static void failing(void)
{
	for (int64_t n = 0; n < 12; n++) {
		struct blob_store_options opts;
		uint64_t id = BLOB_ID_NONE;
		struct blob *b;
		int rc;

		begin_with(3 << 20, 4096, false);
		b = open_blob(create(20, true));
		write_at(b, 0, 4096, 1);
		disk->fail_after = n;
		rc = blob_snapshot(b, NULL, 0, &id, &err);
		disk->fail_after = -1;
		expect_at(b, 0, 4096, 1);
		blob_close(b);
		unload();
		blob_store_options_init(&opts);
		load();
		b = open_blob(BLOB_ID_BASE);
		expect_at(b, 0, 4096, 1);
		assert_true(rc < 0 || info_of(b).clone);
		blob_close(b);
		finish();
	}
}

static void test_failing_writes(void **state)
{
	(void)state;
	unit_fiber(1, failing);
}

/* --- new space of clones ---------------------------------------------------------------------- */

static void assert_grown(uint64_t id)
{
	struct blob *b = open_blob(id);

	assert_int_equal(info_of(b).clusters, 5);
	expect_at(b, 0, 2 * CLUSTER, 1);
	expect_at(b, 2 * CLUSTER, 3 * CLUSTER, 0);
	blob_close(b);
}

static void again(uint64_t id)
{
	unload();
	load();
	assert_grown(id);
}

/* A clone of a snapshot of 4 clusters that was cut to 2. */
static uint64_t short_clone(uint64_t parent)
{
	struct blob *b = open_blob(parent);
	uint64_t id;

	assert_done(blob_clone(b, NULL, 0, &id, &err), err);
	blob_close(b);
	b = open_blob(id);
	assert_done(blob_resize(b, 2, &err), err);
	blob_close(b);
	return id;
}

static uint64_t grow_again(struct blob *b)
{
	uint64_t before = info_of(b).allocated_clusters;

	assert_done(blob_resize(b, 5, &err), err);
	return info_of(b).allocated_clusters - before;
}

/* What is cut off does not come back with what stands behind. */
static void grown_clones(void)
{
	uint64_t id, parent, clone, middle;
	struct blob *b;

	begin();
	id = create(4, false);
	b = open_blob(id);
	write_at(b, 0, 4 * CLUSTER, 1);
	parent = snapshot(b);
	blob_close(b);

	clone = short_clone(parent);
	b = open_blob(clone);
	assert_int_equal(grow_again(b), 2);
	blob_close(b);
	again(clone);
	delete_blob(clone);

	/* Through a shorter snapshot between them nothing shows, until that goes. */
	clone = short_clone(parent);
	b = open_blob(clone);
	middle = snapshot(b);
	assert_int_equal(grow_again(b), 0);
	blob_close(b);
	assert_grown(clone);
	delete_blob(middle);
	again(clone);
	delete_blob(clone);

	clone = short_clone(parent);
	b = open_blob(clone);
	middle = snapshot(b);
	assert_int_equal(grow_again(b), 0);
	assert_done(blob_decouple(b, &err), err);
	assert_int_equal(info_of(b).parent, parent);
	blob_close(b);
	again(clone);
	finish();
}

static void test_security_grown_clone_reads_zeroes(void **state)
{
	(void)state;
	unit_fiber(1, grown_clones);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_is_made_loaded_and_destroyed),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_security_new_space_never_shows_old_data),
		cmocka_unit_test(test_io_over_clusters_with_odd_segments),
		cmocka_unit_test(test_write_zeroes_and_unmap),
		cmocka_unit_test(test_no_space_is_told_and_goes_by),
		cmocka_unit_test(test_first_writes_of_two_reactors_share_clusters),
		cmocka_unit_test(test_snapshots_clones_and_their_end),
		cmocka_unit_test(test_set_parent),
		cmocka_unit_test(test_snapshots_under_writes_of_another_reactor),
		cmocka_unit_test(test_sizes_over_extent_pages),
		cmocka_unit_test(test_xattrs_over_several_pages),
		cmocka_unit_test(test_failing_writes),
		cmocka_unit_test(test_security_grown_clone_reads_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

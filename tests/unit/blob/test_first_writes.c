/* SPDX-License-Identifier: Apache-2.0 */
/* What first writes send to the device, and long operations that are interrupted. */
#include "fixture.h"

/* A write of a block at a cluster, and the flushes of the device that it took. */
static uint64_t flushes_of(struct blob *b, uint64_t cluster)
{
	uint64_t before = disk->flushes;

	write_at(b, cluster * CLUSTER + 512, 512, (uint32_t)cluster + 1);
	return disk->flushes - before;
}

static void expect_cluster(struct blob *b, uint64_t cluster)
{
	expect_at(b, cluster * CLUSTER, 512, 0);
	expect_at(b, cluster * CLUSTER + 512, 512, (uint32_t)cluster + 1);
	expect_at(b, cluster * CLUSTER + 1024, CLUSTER - 1024, 0);
}

/* The first cluster of an extent page takes a new page, and a root page that names it. */
static struct blob *begin_thin(bool zeroing_unmap)
{
	struct blob *b;

	begin_with(4 << 20, CLUSTER, zeroing_unmap);
	b = open_blob(create(64, true));
	flushes_of(b, 63);
	return b;
}

static void new_store(void)
{
	struct blob *b = begin_thin(true);

	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(flushes_of(b, i), 0);
	for (uint64_t i = 0; i < 20; i++)
		expect_cluster(b, i);
	blob_close(b);
	finish();
}

static void test_known_zeroes_take_no_flush(void **state)
{
	(void)state;
	unit_fiber(1, new_store);
}

static void old_store(void)
{
	struct blob *b = begin_thin(true);
	uint64_t id = blob_id(b), unmaps, left;

	blob_close(b);
	unload();
	load();
	b = open_blob(id);
	unmaps = disk->unmaps;
	left = free_clusters(store);
	/* The first marks the store dirty, too. */
	assert_in_range(flushes_of(b, 0), 1, 2);
	for (uint64_t i = 1; i < 16; i++)
		assert_int_equal(flushes_of(b, i), 0);
	assert_int_equal(disk->unmaps - unmaps, 1);
	assert_int_equal(flushes_of(b, 16), 1);
	assert_int_equal(free_clusters(store), left - 17);
	for (uint64_t i = 0; i < 17; i++)
		expect_cluster(b, i);
	blob_close(b);
	finish();
}

static void test_one_clearing_serves_many(void **state)
{
	(void)state;
	unit_fiber(1, old_store);
}

/* A disk that does not zero; a cluster that was given back; one that is copied. */
static void all_others(void)
{
	struct blob *b = begin_thin(false);

	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(flushes_of(b, i), 1);
	blob_close(b);
	finish();

	b = begin_thin(true);
	flushes_of(b, 0);
	blob_close(open_blob(snapshot(b)));
	/* The clone has no extent page yet. */
	flushes_of(b, 1);
	assert_int_equal(flushes_of(b, 0), 1);
	assert_int_equal(flushes_of(b, 2), 0);
	expect_cluster(b, 2);
	blob_close(b);
	finish();
}

static void test_what_must_be_durable_first_is_flushed(void **state)
{
	(void)state;
	unit_fiber(1, all_others);
}

static void deleted(void)
{
	struct blob *b = begin_thin(true);
	uint64_t other = create(200, false);

	delete_blob(other);
	/* What it had is cleared, and that is not durable yet. */
	assert_int_equal(flushes_of(b, 0), 1);
	assert_int_equal(flushes_of(b, 1), 0);
	expect_cluster(b, 0);
	blob_close(b);
	finish();
}

static void test_clearing_is_durable_before_use(void **state)
{
	(void)state;
	unit_fiber(1, deleted);
}

#define BLOBS 8u

static void together(void)
{
	struct blob *b[BLOBS];
	struct view *v[BLOBS];
	struct view_op *op[BLOBS];
	struct iovec iov = { NULL, 512 };
	uint64_t before;

	begin();
	iov.iov_base = buffer;
	pattern(buffer, 512, 1);
	for (unsigned int i = 0; i < BLOBS; i++) {
		b[i] = open_blob(create(4, true));
		v[i] = view_create(store, b[i], UNIT);
		assert_int_equal(view_io(v[i], 0, BDEV_IO_WRITE, buffer, 0, 512), 0);
	}
	before = disk->flushes;
	for (unsigned int i = 0; i < BLOBS; i++)
		op[i] = view_start(v[i], 0, BDEV_IO_WRITE, &iov, 1, CLUSTER, 512);
	for (unsigned int i = 0; i < BLOBS; i++)
		assert_int_equal(view_wait(op[i]), 0);
	/* One that began at once, and one for all who came meanwhile. */
	assert_in_range(disk->flushes - before, 1, 3);
	for (unsigned int i = 0; i < BLOBS; i++) {
		view_delete(v[i]);
		expect_at(b[i], CLUSTER, 512, 1);
		blob_close(b[i]);
	}
	finish();
}

static void test_blobs_share_flushes(void **state)
{
	(void)state;
	unit_fiber(1, together);
}

/* Clusters that are lent for clearing are not missed by who needs the last ones. */
static void last_clusters(void)
{
	struct blob *b;
	uint64_t id, left;

	begin_with(4 << 20, CLUSTER, true);
	left = free_clusters(store);
	id = create(left, true);
	unload();
	load();
	b = open_blob(id);
	for (uint64_t i = 0; i < left; i++) {
		assert_int_equal(free_clusters(store), left - i);
		flushes_of(b, i);
	}
	assert_int_equal(free_clusters(store), 0);
	blob_close(b);
	finish();
}

static void test_store_is_filled_to_the_last_cluster(void **state)
{
	(void)state;
	unit_fiber(1, last_clusters);
}

/* --- interrupted ------------------------------------------------------------------------------ */

struct interruption {
	struct blob *blob;
	uint64_t at;
	struct fiber_event over;
};

static void interrupter(void *arg)
{
	struct interruption *in = arg;

	while (info_of(in->blob).allocated_clusters < in->at)
		fiber_yield();
	blob_store_interrupt(store);
	fiber_event_set(&in->over, 0);
}

static void inflation(void)
{
	struct interruption in = { .at = 20, .over = FIBER_EVENT_INIT };
	struct blob *b;
	uint64_t parent, id, had;

	begin_with(8 << 20, CLUSTER, true);
	in.blob = b = open_blob(create(150, false));
	id = blob_id(b);
	write_at(b, 100 * CLUSTER, CLUSTER, 7);
	parent = snapshot(b);
	assert_int_equal(fiber_start(interrupter, &in), 0);
	assert_int_equal(blob_inflate(b, &err), -ECANCELED);
	fiber_event_wait(&in.over);
	had = info_of(b).allocated_clusters;
	assert_in_range(had, 20, 149);
	assert_int_equal(info_of(b).parent, parent);
	assert_int_equal(blob_decouple(b, &err), -ECANCELED);
	blob_close(b);
	unload();
	load();
	b = open_blob(id);
	assert_int_equal(info_of(b).parent, parent);
	assert_in_range(info_of(b).allocated_clusters, had, 149);
	expect_at(b, 100 * CLUSTER, CLUSTER, 7);
	/* And done from there on. */
	assert_done(blob_inflate(b, &err), err);
	assert_int_equal(info_of(b).allocated_clusters, 150);
	expect_at(b, 100 * CLUSTER, CLUSTER, 7);
	blob_close(b);
	finish();
}

static void test_inflation_is_interrupted(void **state)
{
	(void)state;
	unit_fiber(1, inflation);
}

static void creation(void)
{
	struct blob_options opts = { .clusters = 100 };
	uint64_t id, left;

	begin();
	left = free_clusters(store);
	blob_store_interrupt(store);
	assert_int_equal(blob_create(store, &opts, &id, &err), -ECANCELED);
	assert_int_equal(free_clusters(store), left);
	finish();
}

static void test_zeroing_is_interrupted(void **state)
{
	(void)state;
	unit_fiber(1, creation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_zeroes_take_no_flush),
		cmocka_unit_test(test_one_clearing_serves_many),
		cmocka_unit_test(test_what_must_be_durable_first_is_flushed),
		cmocka_unit_test(test_clearing_is_durable_before_use),
		cmocka_unit_test(test_blobs_share_flushes),
		cmocka_unit_test(test_store_is_filled_to_the_last_cluster),
		cmocka_unit_test(test_inflation_is_interrupted),
		cmocka_unit_test(test_zeroing_is_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting, aborting, resetting, removing and counting. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake f;
static struct bdev_desc *desc;
static struct harness_channel ch;

static void begin(void)
{
	fake_register(&f, "f");
	desc = harness_open("f");
	harness_get(&ch, desc, 0);
}

static void end(void)
{
	harness_put(&ch);
	harness_close(desc);
	fake_fini(&f);
	harness_stop();
}

/* --- waiting -------------------------------------------------------------------------------- */

/* Bounced writes share two buffers, and pass in the order in which they came. */
static void test_buffers_in_order(void **state)
{
	static struct harness_io h[32];
	static char out[8 * 512 + 1];

	(void)state;
	harness_start_pools(1, 2, 2);
	fake_init(&f, 64);
	f.bdev.alignment = 512;
	f.later = true;
	begin();
	for (unsigned int i = 0; i < 32; i++)
		harness_io_data(&h[i], &ch, BDEV_IO_WRITE, out + 1, i, 8);
	harness_submit_all(h, 32);
	for (unsigned int i = 0; i < 32; i++)
		assert_ok(harness_wait(&h[i]));
	for (unsigned int i = 1; i < 32; i++)
		assert_true(h[i].order > h[i - 1].order);
	end();
}

/* Lent buffers come back one by one, and whoever waits gets them in order. */
static void test_borrow_in_order(void **state)
{
	static struct harness_io h[6];

	(void)state;
	harness_start_pools(1, 2, 2);
	fake_init(&f, 64);
	begin();
	for (unsigned int i = 0; i < 6; i++)
		h[i] = (struct harness_io){
			.c = &ch, .type = BDEV_IO_READ, .borrow = true, .blocks = 8
		};
	harness_submit_all(h, 6);
	for (unsigned int i = 0; i < 6; i++) {
		assert_ok(harness_wait(&h[i]));
		harness_settle();
		for (unsigned int later = i + 2; later < 6; later++)
			assert_false(harness_is_done(&h[later]));
		harness_return(&h[i]);
	}
	end();
}

static struct {
	struct bdev_io *got[4];
	struct bdev_io *all;
	unsigned int count, waited;
	unsigned int order[3];
	struct bdev_io_wait wait[3];
} pool;

static void pool_waited(struct bdev_io_wait *wait, struct bdev_io *io)
{
	pool.order[pool.waited] = (unsigned int)(wait - pool.wait);
	pool.got[pool.waited] = io;
	pool.waited++;
}

/* The I/Os that are out are chained by their arg. */
static void pool_drain(void *arg)
{
	struct bdev_io *io;

	(void)arg;
	for (unsigned int i = 0; i < 3; i++)
		pool.wait[i].fn = pool_waited;
	while ((io = bdev_io_get(&pool.wait[0])) != NULL) {
		io->arg = pool.all;
		pool.all = io;
		pool.count++;
	}
	if (bdev_io_get(&pool.wait[1]) != NULL || bdev_io_get(&pool.wait[2]) != NULL)
		pool.count = 0;
}

static void pool_put_one(void *arg)
{
	struct bdev_io *io = pool.all;

	(void)arg;
	pool.all = io->arg;
	bdev_io_put(io);
}

static void pool_put_all(void *arg)
{
	while (pool.all != NULL)
		pool_put_one(arg);
	for (unsigned int i = 0; i < 3; i++)
		bdev_io_put(pool.got[i]);
}

/* A split I/O does not need the pool: it goes on alone, with the channel's own piece. */
static void test_io_pool(void **state)
{
	static char out[40 * 512];
	static struct harness_io h[4];

	(void)state;
	memset(&pool, 0, sizeof(pool));
	harness_start(1);
	fake_init(&f, 64);
	f.bdev.max_rw = 3;
	f.later = true;
	begin();
	harness_call(0, pool_drain, NULL);
	assert_true(pool.count >= 65536);
	for (unsigned int i = 0; i < 4; i++)
		harness_io_data(&h[i], &ch, BDEV_IO_WRITE, out, i, 40);
	harness_submit_all(h, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_ok(harness_wait(&h[i]));
	assert_int_equal(pool.waited, 0);
	for (unsigned int i = 0; i < 3; i++) {
		harness_call(0, pool_put_one, NULL);
		harness_settle();
		assert_int_equal(pool.waited, i + 1);
		assert_int_equal(pool.order[i], i);
	}
	harness_call(0, pool_put_all, NULL);
	end();
}

/* --- errors --------------------------------------------------------------------------------- */

static void test_error_of_a_piece(void **state)
{
	static char out[40 * 512];
	struct bdev_status status;

	(void)state;
	harness_start(1);
	fake_init(&f, 64);
	f.bdev.max_rw = 4;
	f.fail = -ENOSPC;
	f.fail_block = 17;
	begin();
	status = harness_write(&ch, out, 0, 40, 0);
	assert_nvme(status, 0, 0x81);
	assert_int_equal(status.err, -ENOSPC);
	assert_ok(harness_write(&ch, out, 20, 40, 0));
	end();
}

/* --- abort ---------------------------------------------------------------------------------- */

static struct bdev_status abort_io(struct harness_io *target)
{
	struct harness_io h = { .c = &ch, .type = BDEV_IO_ABORT, .target = &target->io };

	harness_submit(&h);
	return harness_wait(&h);
}

static void test_abort_in_the_module(void **state)
{
	static char out[512];
	struct harness_io h;

	(void)state;
	harness_start(1);
	fake_init(&f, 64);
	begin();
	atomic_store(&f.hold, true);
	harness_io_data(&h, &ch, BDEV_IO_WRITE, out, 0, 1);
	harness_submit(&h);
	assert_int_equal(abort_io(&h).err, -EBUSY);
	assert_false(harness_is_done(&h));
	f.can_abort = true;
	assert_ok(abort_io(&h));
	assert_nvme(harness_wait(&h), 0, 0x07);
	end();
}

static void test_abort_while_waiting_for_a_buffer(void **state)
{
	struct harness_io first = { .c = &ch, .type = BDEV_IO_READ, .borrow = true, .blocks = 1 };
	struct harness_io second = first, third = first;

	(void)state;
	harness_start_pools(1, 1, 1);
	fake_init(&f, 64);
	begin();
	harness_submit(&first);
	assert_ok(harness_wait(&first));
	harness_submit(&second);
	harness_submit(&third);
	harness_settle();
	assert_ok(abort_io(&second));
	assert_nvme(harness_wait(&second), 0, 0x07);
	assert_false(harness_is_done(&third));
	harness_return(&second);
	harness_return(&first);
	assert_ok(harness_wait(&third));
	harness_return(&third);
	end();
}

/* What is with the module ends by itself; the pieces that were still to come do not. */
static void test_abort_of_a_split_one(void **state)
{
	static char out[8 * 512 + 1];
	struct harness_io h;

	(void)state;
	harness_start_pools(1, 1, 1);
	fake_init(&f, 64);
	f.bdev.alignment = 512;
	f.bdev.max_rw = 1;
	begin();
	atomic_store(&f.hold, true);
	harness_io_data(&h, &ch, BDEV_IO_WRITE, out + 1, 0, 8);
	harness_submit(&h);
	fake_wait(&f, 1);
	assert_ok(abort_io(&h));
	harness_settle();
	assert_false(harness_is_done(&h));
	fake_release(&f, 0);
	assert_nvme(harness_wait(&h), 0, 0x07);
	assert_int_equal(atomic_load(&f.submitted[BDEV_IO_WRITE]), 1);
	end();
}

/* --- reset ---------------------------------------------------------------------------------- */

/* Without a reset of the module's: what runs is waited for, what comes meanwhile goes on after. */
static void test_reset_drains(void **state)
{
	static char out[512];
	struct harness_io running, late, reset = { .c = &ch, .type = BDEV_IO_RESET };
	struct harness_io again = reset;

	(void)state;
	harness_start(1);
	fake_init(&f, 64);
	begin();
	atomic_store(&f.hold, true);
	harness_io_data(&running, &ch, BDEV_IO_WRITE, out, 0, 1);
	harness_submit(&running);
	harness_submit(&reset);
	harness_submit(&again);
	harness_settle();
	assert_false(harness_is_done(&reset));
	atomic_store(&f.hold, false);
	harness_io_data(&late, &ch, BDEV_IO_WRITE, out, 0, 1);
	harness_submit(&late);
	harness_settle();
	assert_false(harness_is_done(&late));
	fake_release(&f, 0);
	assert_ok(harness_wait(&running));
	assert_ok(harness_wait(&reset));
	assert_ok(harness_wait(&again));
	/* The second reset found it waiting. */
	harness_wait(&late);
	assert_ok(harness_write(&ch, out, 0, 1, 0));
	end();
}

/* With one: the module has the reset while its I/O still runs; what waits is aborted. */
static void test_reset_of_the_module(void **state)
{
	static char out[8 * 512 + 1];
	struct harness_io running, waiting, reset = { .c = &ch, .type = BDEV_IO_RESET };

	(void)state;
	harness_start_pools(1, 1, 1);
	fake_init(&f, 64);
	f.bdev.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_RESET;
	f.bdev.alignment = 512;
	begin();
	atomic_store(&f.hold, true);
	harness_io_data(&running, &ch, BDEV_IO_WRITE, out + 1, 0, 8);
	harness_io_data(&waiting, &ch, BDEV_IO_WRITE, out + 1, 8, 8);
	harness_submit(&running);
	harness_submit(&waiting);
	fake_wait(&f, 1);
	harness_submit(&reset);
	assert_ok(harness_wait(&reset));
	assert_int_equal(atomic_load(&f.submitted[BDEV_IO_RESET]), 1);
	assert_nvme(harness_wait(&waiting), 0, 0x07);
	assert_false(harness_is_done(&running));
	fake_release(&f, 0);
	assert_ok(harness_wait(&running));
	atomic_store(&f.hold, false);
	assert_ok(harness_write(&ch, out + 1, 0, 8, 0));
	end();
}

/* --- removal -------------------------------------------------------------------------------- */

struct unregister {
	int rc, result;
	atomic_bool done;
};

static void unregistered(void *arg, int result)
{
	struct unregister *u = arg;

	u->result = result;
	atomic_store(&u->done, true);
}

static void unregister_here(void *arg)
{
	struct unregister *u = arg;

	u->rc = bdev_unregister(&f.bdev, unregistered, u);
}

static void test_remove_with_io_on_two_reactors(void **state)
{
	static char out[512];
	struct unregister u = { .rc = 1 };
	struct harness_channel second;
	struct harness_io h[2];

	(void)state;
	harness_start(2);
	fake_init(&f, 64);
	begin();
	harness_get(&second, desc, 1);
	atomic_store(&f.hold, true);
	harness_io_data(&h[0], &ch, BDEV_IO_WRITE, out, 0, 1);
	harness_io_data(&h[1], &second, BDEV_IO_WRITE, out, 1, 1);
	harness_submit(&h[0]);
	harness_submit(&h[1]);
	harness_call(0, unregister_here, &u);
	assert_int_equal(u.rc, 0);
	harness_settle();
	assert_false(atomic_load(&u.done));
	/* It still works for those who have it. */
	fake_release(&f, 0);
	fake_release(&f, 1);
	assert_ok(harness_wait(&h[0]));
	assert_ok(harness_wait(&h[1]));
	atomic_store(&f.hold, false);
	assert_ok(harness_write(&second, out, 2, 1, 0));
	/* Puts and the close come as close on each other as they can. */
	harness_put(&ch);
	harness_put(&second);
	harness_close(desc);
	while (!atomic_load(&u.done))
		harness_settle();
	assert_int_equal(u.result, 0);
	fake_free(&f);
	harness_stop();
}

/* --- counting ------------------------------------------------------------------------------- */

static void test_iostat(void **state)
{
	static char out[16 * 512];
	struct bdev_iostat per_reactor[FAKE_REACTORS] = { 0 };
	struct bdev_iostat_get get = { .per_reactor = per_reactor };
	struct harness_channel second;

	(void)state;
	harness_start(2);
	fake_init(&f, 64);
	f.bdev.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_UNMAP;
	f.bdev.max_rw = 4;
	f.fail = -EIO;
	f.fail_block = 63;
	begin();
	harness_get(&second, desc, 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_ok(harness_write(&ch, out, 0, 16, 0));
	for (unsigned int i = 0; i < 5; i++)
		assert_ok(harness_read(&second, out, 0, 2));
	assert_ok(harness_range(&second, BDEV_IO_UNMAP, 0, 64));
	assert_int_equal(harness_write(&ch, out, 48, 16, 0).err, -EIO);
	harness_iostat(&f.bdev, &get);
	assert_int_equal(per_reactor[0].writes, 3);
	assert_int_equal(per_reactor[0].reads, 0);
	assert_int_equal(per_reactor[1].reads, 5);
	/* What a channel counted stays in the sum when it is gone. */
	harness_put(&second);
	harness_settle();
	memset(per_reactor, 0, sizeof(per_reactor));
	get.total = (struct bdev_iostat){ 0 };
	get.reset = BDEV_IOSTAT_RESET_MAXMIN;
	harness_iostat(&f.bdev, &get);
	assert_int_equal(get.total.writes, 3);
	assert_int_equal(get.total.bytes_written, 3 * 16 * 512);
	assert_int_equal(get.total.reads, 5);
	assert_int_equal(get.total.bytes_read, 5 * 2 * 512);
	assert_int_equal(get.total.unmaps, 1);
	assert_int_equal(get.total.bytes_unmapped, 64 * 512);
	assert_int_equal(get.total.errors, 1);
	assert_true(get.total.min_write_ticks > 0);
	assert_true(get.total.min_write_ticks <= get.total.max_write_ticks);
	assert_true(get.total.max_write_ticks <= get.total.write_ticks);
	assert_int_equal(per_reactor[0].writes, 3);
	assert_int_equal(per_reactor[1].reads, 0);
	get.reset = BDEV_IOSTAT_RESET_ALL;
	harness_iostat(&f.bdev, &get);
	assert_int_equal(get.total.writes, 3);
	assert_int_equal(get.total.max_write_ticks, 0);
	assert_int_equal(get.total.min_read_ticks, 0);
	get.per_reactor = NULL;
	get.reset = BDEV_IOSTAT_KEEP;
	harness_iostat(&f.bdev, &get);
	assert_int_equal(get.total.writes, 0);
	assert_int_equal(get.total.errors, 0);
	end();
}

static void test_read_only(void **state)
{
	static char out[512];

	(void)state;
	harness_start(1);
	fake_init(&f, 64);
	f.bdev.read_only = true;
	begin();
	assert_ok(harness_read(&ch, out, 0, 1));
	assert_nvme(harness_write(&ch, out, 0, 1, 0), 0, 0x20);
	assert_nvme(harness_caw(&ch, out, out, 0, 1), 0, 0x20);
	assert_nvme(harness_range(&ch, BDEV_IO_WRITE_ZEROES, 0, 1), 0, 0x20);
	assert_nvme(harness_range(&ch, BDEV_IO_SEEK_DATA, 0, 0), 0, 0x01);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffers_in_order),
		cmocka_unit_test(test_borrow_in_order),
		cmocka_unit_test(test_io_pool),
		cmocka_unit_test(test_error_of_a_piece),
		cmocka_unit_test(test_abort_in_the_module),
		cmocka_unit_test(test_abort_while_waiting_for_a_buffer),
		cmocka_unit_test(test_abort_of_a_split_one),
		cmocka_unit_test(test_reset_drains),
		cmocka_unit_test(test_reset_of_the_module),
		cmocka_unit_test(test_remove_with_io_on_two_reactors),
		cmocka_unit_test(test_iostat),
		cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Compare-and-write against everything else, from one reactor and from two. */
#include "fake.h"

#include <errno.h>
#include <string.h>

#define ITERATIONS 1500u

static struct fake f;
static struct bdev_desc *desc;

static void begin(unsigned int reactors, bool later)
{
	harness_start(reactors);
	fake_init(&f, 256);
	f.later = later;
	/* In pieces of one block, so that what is not locked would be seen torn. */
	f.bdev.max_rw = 1;
	fake_register(&f, "f");
	desc = harness_open("f");
}

static void end(void)
{
	harness_close(desc);
	fake_fini(&f);
	harness_stop();
}

/*
 * A worker that, on its reactor and without anybody's help, reads a counter of four blocks and
 * counts it up by compare-and-write until it has succeeded so often.
 */
struct worker {
	struct harness_channel c;
	struct bdev_io io;
	uint64_t now[256], next[256];
	struct iovec now_iov, next_iov;
	unsigned int successes, failures, torn;
	bool done;
	struct reactor_msg msg;
};

#define BLOCKS 4u
#define WORDS  64u /* of a block */

static void worker_read(struct worker *w);

static void worker_written(struct bdev_io *io)
{
	struct worker *w = io->arg;

	if (io->status.err == 0)
		w->successes++;
	else
		w->failures++;
	if (io->status.err != 0 && io->status.err != -EILSEQ)
		w->torn++;
	if (w->successes == ITERATIONS)
		__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	else
		worker_read(w);
}

static void worker_was_read(struct bdev_io *io)
{
	struct worker *w = io->arg;

	if (io->status.err != 0)
		w->torn++;
	for (unsigned int i = 1; i < BLOCKS * WORDS; i++) {
		if (w->now[i] != w->now[0])
			w->torn++;
	}
	for (unsigned int i = 0; i < BLOCKS * WORDS; i++)
		w->next[i] = w->now[i] + 1;
	io->done = worker_written;
	bdev_compare_and_writev(w->c.ch, io, &w->now_iov, 1, &w->next_iov, 1, 8, BLOCKS, 0);
}

/* A read while a write is under way may be torn where nothing locks it: not so here. */
static void worker_read(struct worker *w)
{
	w->io.done = worker_was_read;
	w->io.arg = w;
	bdev_readv(w->c.ch, &w->io, &w->now_iov, 1, 8, BLOCKS);
}

static void worker_start(void *arg)
{
	struct worker *w = arg;

	w->now_iov = (struct iovec){ w->now, BLOCKS * 512 };
	w->next_iov = (struct iovec){ w->next, BLOCKS * 512 };
	worker_read(w);
}

static struct worker workers[4];

static void count_together(unsigned int reactors, unsigned int count)
{
	uint64_t final[BLOCKS * WORDS];

	memset(workers, 0, sizeof(workers));
	for (unsigned int i = 0; i < count; i++) {
		harness_get(&workers[i].c, desc, i % reactors);
		harness_call(i % reactors, worker_start, &workers[i]);
	}
	for (unsigned int i = 0; i < count; i++) {
		while (!__atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE))
			harness_settle();
		assert_int_equal(workers[i].torn, 0);
	}
	assert_ok(harness_read(&workers[0].c, final, 8, BLOCKS));
	for (unsigned int i = 0; i < BLOCKS * WORDS; i++)
		assert_int_equal(final[i], (uint64_t)ITERATIONS * count);
	for (unsigned int i = 0; i < count; i++)
		harness_put(&workers[i].c);
}

static void test_counts_on_one_reactor(void **state)
{
	(void)state;
	begin(1, true);
	count_together(1, 3);
	end();
}

static void test_counts_on_two_reactors(void **state)
{
	(void)state;
	begin(2, true);
	count_together(2, 4);
	end();
}

static void test_counts_in_place(void **state)
{
	(void)state;
	begin(2, false);
	count_together(2, 2);
	end();
}

/* While one holds its range, what touches it waits, and only that. */
static void test_holds_only_its_range(void **state)
{
	static char zero[4 * 512], one[4 * 512], in[4 * 512];
	struct harness_channel a, b;
	struct harness_io caw, inside, outside, flush;

	(void)state;
	begin(2, false);
	harness_get(&a, desc, 0);
	harness_get(&b, desc, 1);
	memset(one, 1, sizeof(one));
	atomic_store(&f.hold, true);
	harness_io_data(&caw, &a, BDEV_IO_COMPARE_AND_WRITE, one, 100, 4);
	caw.one_compare = (struct iovec){ zero, sizeof(zero) };
	caw.compare = &caw.one_compare;
	caw.compare_cnt = 1;
	harness_submit(&caw);
	fake_wait(&f, 4);
	/* Its reads are kept by the module: the lock is held. */
	atomic_store(&f.hold, false);
	harness_io_data(&outside, &b, BDEV_IO_READ, in, 104, 4);
	harness_submit(&outside);
	assert_ok(harness_wait(&outside));
	flush = (struct harness_io){ .c = &b, .type = BDEV_IO_FLUSH };
	harness_submit(&flush);
	assert_ok(harness_wait(&flush));
	harness_io_data(&inside, &b, BDEV_IO_READ, in, 103, 4);
	harness_submit(&inside);
	harness_settle();
	assert_false(harness_is_done(&inside));
	fake_release(&f, 0);
	assert_ok(harness_wait(&caw));
	assert_ok(harness_wait(&inside));
	assert_memory_equal(in, one, 512);
	assert_memory_equal(in + 512, zero, 512);
	harness_put(&a);
	harness_put(&b);
	end();
}

/* I/O that was let pass before the lock was asked for is waited for. */
static void test_waits_for_what_runs(void **state)
{
	static char zero[512], one[512], two[512];
	struct harness_channel a, b;
	struct harness_io write, caw;

	(void)state;
	begin(2, false);
	harness_get(&a, desc, 0);
	harness_get(&b, desc, 1);
	memset(one, 1, sizeof(one));
	memset(two, 2, sizeof(two));
	atomic_store(&f.hold, true);
	harness_io_data(&write, &b, BDEV_IO_WRITE, one, 5, 1);
	harness_submit(&write);
	fake_wait(&f, 1);
	atomic_store(&f.hold, false);
	harness_io_data(&caw, &a, BDEV_IO_COMPARE_AND_WRITE, two, 5, 1);
	caw.one_compare = (struct iovec){ one, sizeof(one) };
	caw.compare = &caw.one_compare;
	caw.compare_cnt = 1;
	harness_submit(&caw);
	harness_settle();
	assert_false(harness_is_done(&caw));
	fake_release(&f, 1);
	assert_ok(harness_wait(&write));
	assert_ok(harness_wait(&caw));
	assert_memory_equal(f.memory + 5 * 512, two, 512);
	assert_memory_equal(f.memory + 6 * 512, zero, 512);
	harness_put(&a);
	harness_put(&b);
	end();
}

/* A channel that is made while a range is locked knows of it. */
static void test_holds_new_channels(void **state)
{
	static char zero[512], one[512], in[512];
	struct harness_channel a, b;
	struct harness_io caw, read;

	(void)state;
	begin(2, false);
	harness_get(&a, desc, 0);
	memset(one, 1, sizeof(one));
	atomic_store(&f.hold, true);
	harness_io_data(&caw, &a, BDEV_IO_COMPARE_AND_WRITE, one, 9, 1);
	caw.one_compare = (struct iovec){ zero, sizeof(zero) };
	caw.compare = &caw.one_compare;
	caw.compare_cnt = 1;
	harness_submit(&caw);
	fake_wait(&f, 1);
	atomic_store(&f.hold, false);
	harness_get(&b, desc, 1);
	harness_io_data(&read, &b, BDEV_IO_READ, in, 9, 1);
	harness_submit(&read);
	harness_settle();
	assert_false(harness_is_done(&read));
	fake_release(&f, 0);
	assert_ok(harness_wait(&caw));
	assert_ok(harness_wait(&read));
	assert_memory_equal(in, one, sizeof(in));
	harness_put(&a);
	harness_put(&b);
	end();
}

/* More than there are locks, over each other, with channels that come and go meanwhile. */
static void test_many_at_once(void **state)
{
	static char zero[512], one[512], in[512];
	static struct harness_io h[64];
	struct harness_channel a, b;
	unsigned int hits = 0;

	(void)state;
	begin(2, true);
	harness_get(&a, desc, 0);
	memset(one, 1, sizeof(one));
	for (unsigned int i = 0; i < 64; i++) {
		harness_io_data(&h[i], &a, BDEV_IO_COMPARE_AND_WRITE, one, i % 16, 1);
		h[i].one_compare = (struct iovec){ zero, sizeof(zero) };
		h[i].compare = &h[i].one_compare;
		h[i].compare_cnt = 1;
	}
	harness_submit_all(h, 64);
	for (unsigned int i = 0; i < 32; i++) {
		harness_get(&b, desc, 1);
		assert_ok(harness_read(&b, in, 200, 1));
		harness_put(&b);
	}
	for (unsigned int i = 0; i < 64; i++) {
		struct bdev_status status = harness_wait(&h[i]);

		if (status.err == 0)
			hits++;
		else
			assert_nvme(status, 2, 0x85);
	}
	/* The first of each block finds zeroes. */
	assert_int_equal(hits, 16);
	harness_put(&a);
	end();
}

static struct {
	struct harness_channel a;
	struct bdev_io io;
	struct iovec iov;
	atomic_bool gone;
} last;

static void last_gone(void *arg, int result)
{
	(void)arg;
	(void)result;
	atomic_store(&last.gone, true);
}

static void last_done(struct bdev_io *io)
{
	(void)io;
	bdev_channel_put(last.a.ch);
	bdev_close(desc);
	bdev_unregister(&f.bdev, last_gone, NULL);
}

static void last_submit(void *arg)
{
	last.iov = (struct iovec){ arg, 512 };
	last.io.done = last_done;
	bdev_compare_and_writev(last.a.ch, &last.io, &last.iov, 1, &last.iov, 1, 0, 1, 0);
}

/* An I/O ends before its lock is given back everywhere, and with it all use of the bdev may. */
static void test_remove_at_once(void **state)
{
	static char zero[512];

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		begin(2, false);
		atomic_store(&last.gone, false);
		harness_get(&last.a, desc, 0);
		harness_call(0, last_submit, zero);
		while (!atomic_load(&last.gone))
			harness_settle();
		fake_free(&f);
		/* What would be used after it was freed is found by now. */
		harness_stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_on_one_reactor),
		cmocka_unit_test(test_counts_on_two_reactors),
		cmocka_unit_test(test_counts_in_place),
		cmocka_unit_test(test_holds_only_its_range),
		cmocka_unit_test(test_waits_for_what_runs),
		cmocka_unit_test(test_holds_new_channels),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_remove_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of I/Os and bytes a second: what they let pass by a clock of the test's, and who waits. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bdev/internal.h"

#define MIB (UINT64_C(1) << 20)

/* --- by the clock --------------------------------------------------------------------------- */

static void set_one(struct bdev_qos *qos, enum bdev_limit_type type, uint64_t rate)
{
	uint64_t rates[BDEV_LIMITS];

	for (unsigned int i = 0; i < BDEV_LIMITS; i++)
		rates[i] = BDEV_LIMIT_KEEP;
	rates[type] = rate;
	bdev_qos_set(qos, rates);
}

/* How many of those who always want more pass in so long, looking every @step_ns. */
static uint64_t count(struct bdev_qos *qos, enum bdev_qos_kind kind, uint64_t bytes, uint64_t *now,
		      uint64_t long_ns, uint64_t step_ns)
{
	uint64_t passed = 0;

	for (uint64_t end = *now + long_ns; *now < end; *now += step_ns) {
		while (bdev_qos_take(qos, kind, bytes, *now) == 0)
			passed++;
	}
	return passed;
}

/* No more than the rate, a millisecond's worth and one more; no less than the rate less one. */
static void assert_rate(uint64_t passed, uint64_t seconds, uint64_t rate)
{
	assert_in_range(passed, seconds * rate - 1, seconds * rate + rate / 1000 + 2);
}

static void test_rate_of_ios(void **state)
{
	static const uint64_t rates[] = { 1000, 7000, 123000, 2000000 };
	uint64_t now = 5 * NS_PER_SEC;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct bdev_qos qos = { 0 };

		set_one(&qos, BDEV_LIMIT_RW_IOS, rates[i]);
		assert_rate(count(&qos, BDEV_QOS_READ, 4096, &now, NS_PER_SEC, 250000), 1,
			    rates[i]);
		assert_rate(count(&qos, BDEV_QOS_WRITE, 131072, &now, NS_PER_SEC, 900000), 1,
			    rates[i]);
	}
}

static void test_rate_of_bytes(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC;

	(void)state;
	set_one(&qos, BDEV_LIMIT_RW_BYTES, 100 * MIB);
	assert_rate(count(&qos, BDEV_QOS_READ, 4096, &now, NS_PER_SEC, 250000), 1, 25600);
	/* One that is larger than what a second lets pass is paid for by those behind it. */
	assert_rate(count(&qos, BDEV_QOS_WRITE, 200 * MIB, &now, 20 * NS_PER_SEC, 250000), 10, 1);
}

static void test_reads_and_writes_apart(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC;

	(void)state;
	set_one(&qos, BDEV_LIMIT_R_BYTES, MIB);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 8 * MIB, now), 0);
	assert_true(bdev_qos_take(&qos, BDEV_QOS_READ, 512, now) > 7 * NS_PER_SEC);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_WRITE, MIB, now), 0);
	set_one(&qos, BDEV_LIMIT_W_BYTES, 2 * MIB);
	assert_rate(count(&qos, BDEV_QOS_WRITE, 4096, &now, NS_PER_SEC, 250000), 1, 512);
}

/* What one limit refuses costs nothing with the others. */
static void test_all_limits_or_none(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC, passed = 0;

	(void)state;
	set_one(&qos, BDEV_LIMIT_RW_IOS, 1000);
	set_one(&qos, BDEV_LIMIT_R_BYTES, MIB);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 100 * MIB, now), 0);
	for (unsigned int i = 0; i < 4000; i++) {
		assert_int_not_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 512, now), 0);
		passed += count(&qos, BDEV_QOS_WRITE, 512, &now, 1, 250000);
	}
	assert_rate(passed, 1, 1000);
}

static void test_idle_time_is_not_saved_up(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC;

	(void)state;
	set_one(&qos, BDEV_LIMIT_RW_IOS, 10000);
	count(&qos, BDEV_QOS_READ, 512, &now, NS_PER_SEC, 250000);
	now += 1000 * NS_PER_SEC;
	assert_in_range(count(&qos, BDEV_QOS_READ, 512, &now, 1, 1), 1, 12);
}

static void test_wait_is_when_it_passes(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC, wait;

	(void)state;
	set_one(&qos, BDEV_LIMIT_RW_BYTES, 3 * MIB);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, MIB, now), 0);
	wait = bdev_qos_take(&qos, BDEV_QOS_READ, MIB, now);
	assert_true(wait > 0);
	assert_int_not_equal(bdev_qos_take(&qos, BDEV_QOS_READ, MIB, now + wait - 2), 0);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, MIB, now + wait), 0);
}

static void test_other_rate(void **state)
{
	struct bdev_qos qos = { 0 };
	uint64_t now = NS_PER_SEC;

	(void)state;
	set_one(&qos, BDEV_LIMIT_RW_BYTES, MIB);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 1000 * MIB, now), 0);
	assert_int_not_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 512, now), 0);
	set_one(&qos, BDEV_LIMIT_RW_BYTES, 100 * MIB);
	assert_rate(count(&qos, BDEV_QOS_READ, MIB, &now, NS_PER_SEC, 250000), 1, 100);
	set_one(&qos, BDEV_LIMIT_RW_BYTES, UINT64_MAX - 1);
	for (unsigned int i = 0; i < 10000; i++)
		assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 1000 * MIB, now), 0);
	set_one(&qos, BDEV_LIMIT_RW_BYTES, 0);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, INT64_MAX, now), 0);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, INT64_MAX, now), 0);
	set_one(&qos, BDEV_LIMIT_RW_BYTES, MIB);
	assert_int_equal(bdev_qos_take(&qos, BDEV_QOS_READ, INT64_MAX, now), 0);
	assert_int_not_equal(bdev_qos_take(&qos, BDEV_QOS_READ, 512, now), 0);
}

/* --- I/O ------------------------------------------------------------------------------------ */

#define BLOCKS 64u
/* A byte a second: who stands behind a block waits for minutes, longer than any test. */
#define SLOW UINT64_C(1)

static struct fake f;
static struct bdev_desc *desc;
static struct harness_channel chan;
static char buffer[BLOCKS * 512];

struct limit_call {
	struct bdev_limits_set set;
	bool done;
};

static void limits_set(struct bdev_limits_set *set)
{
	__atomic_store_n(&container_of(set, struct limit_call, set)->done, true, __ATOMIC_RELEASE);
}

static void limit_here(void *arg)
{
	struct limit_call *call = arg;

	assert_int_equal(bdev_limits_set(&call->set), 0);
}

static void limit(enum bdev_limit_type type, uint64_t rate)
{
	struct limit_call call = { .set = { .bdev = &f.bdev, .done = limits_set } };

	for (unsigned int i = 0; i < BDEV_LIMITS; i++)
		call.set.rate[i] = BDEV_LIMIT_KEEP;
	call.set.rate[type] = rate;
	harness_call(0, limit_here, &call);
	while (!__atomic_load_n(&call.done, __ATOMIC_ACQUIRE))
		harness_settle();
}

static void begin(unsigned int reactors)
{
	harness_start(reactors);
	fake_init(&f, BLOCKS);
	f.bdev.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
		       1u << BDEV_IO_UNMAP;
	fake_register(&f, "f");
	desc = harness_open("f");
	harness_get(&chan, desc, reactors - 1);
}

static void end(void)
{
	harness_put(&chan);
	harness_close(desc);
	fake_fini(&f);
	harness_stop();
}

static void submit(struct harness_io *h, enum bdev_io_type type)
{
	harness_io_data(h, &chan, type, buffer, 0, 1);
	harness_submit(h);
}

static void test_who_waits(void **state)
{
	struct harness_io first, second, third, write, flush, unmap;

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_R_BYTES, SLOW);
	submit(&first, BDEV_IO_READ);
	assert_ok(harness_wait(&first));
	submit(&second, BDEV_IO_READ);
	submit(&third, BDEV_IO_COMPARE);
	submit(&write, BDEV_IO_WRITE);
	submit(&flush, BDEV_IO_FLUSH);
	submit(&unmap, BDEV_IO_UNMAP);
	assert_ok(harness_wait(&write));
	assert_ok(harness_wait(&flush));
	assert_ok(harness_wait(&unmap));
	harness_settle();
	assert_false(harness_is_done(&second));
	assert_false(harness_is_done(&third));
	/* Lifted while they wait: in their order. */
	limit(BDEV_LIMIT_R_BYTES, 0);
	assert_ok(harness_wait(&second));
	assert_ok(harness_wait(&third));
	assert_true(second.order < third.order);
	end();
}

static void test_timer_lets_go_on(void **state)
{
	struct harness_io io[40];

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_RW_IOS, 1000);
	for (unsigned int i = 0; i < 40; i++)
		submit(&io[i], i % 2 == 0 ? BDEV_IO_READ : BDEV_IO_WRITE);
	for (unsigned int i = 0; i < 40; i++)
		assert_ok(harness_wait(&io[i]));
	for (unsigned int i = 2; i < 40; i++)
		assert_true(io[i - 2].order < io[i].order);
	end();
}

static void test_compare_and_write_waits(void **state)
{
	static char zeroes[512];
	struct harness_io first, second;

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_W_BYTES, SLOW);
	submit(&first, BDEV_IO_WRITE);
	assert_ok(harness_wait(&first));
	harness_io_data(&second, &chan, BDEV_IO_COMPARE_AND_WRITE, buffer, 8, 1);
	second.one_compare = (struct iovec){ zeroes, sizeof(zeroes) };
	second.compare = &second.one_compare;
	second.compare_cnt = 1;
	harness_submit(&second);
	harness_settle();
	assert_false(harness_is_done(&second));
	limit(BDEV_LIMIT_W_BYTES, 0);
	assert_ok(harness_wait(&second));
	end();
}

static void test_abort_and_reset(void **state)
{
	struct harness_io first, second, third, abort, reset;

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_RW_BYTES, SLOW);
	submit(&first, BDEV_IO_WRITE);
	assert_ok(harness_wait(&first));
	submit(&second, BDEV_IO_WRITE);
	submit(&third, BDEV_IO_READ);
	harness_io_data(&abort, &chan, BDEV_IO_ABORT, NULL, 0, 0);
	abort.target = &second.io;
	harness_submit(&abort);
	assert_ok(harness_wait(&abort));
	assert_int_equal(harness_wait(&second).err, -ECANCELED);
	harness_settle();
	assert_false(harness_is_done(&third));
	harness_io_data(&reset, &chan, BDEV_IO_RESET, NULL, 0, 0);
	harness_submit(&reset);
	assert_ok(harness_wait(&reset));
	assert_int_equal(harness_wait(&third).err, -ECANCELED);
	end();
}

static void start_removal(void *arg)
{
	(void)arg;
	assert_int_equal(bdev_unregister(&f.bdev, NULL, NULL), 0);
}

static void test_removal_waits_for_no_limit(void **state)
{
	struct harness_io first, second;

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_RW_BYTES, SLOW);
	submit(&first, BDEV_IO_WRITE);
	assert_ok(harness_wait(&first));
	submit(&second, BDEV_IO_WRITE);
	harness_call(0, start_removal, NULL);
	assert_ok(harness_wait(&second));
	harness_put(&chan);
	harness_close(desc);
	harness_settle();
	fake_free(&f);
	harness_stop();
}

static void test_reactors_share(void **state)
{
	struct harness_channel other;
	struct harness_io mine, theirs;

	(void)state;
	begin(2);
	limit(BDEV_LIMIT_RW_BYTES, SLOW);
	submit(&mine, BDEV_IO_WRITE);
	assert_ok(harness_wait(&mine));
	harness_get(&other, desc, 0);
	harness_io_data(&theirs, &other, BDEV_IO_READ, buffer, 0, 1);
	harness_submit(&theirs);
	harness_settle();
	assert_false(harness_is_done(&theirs));
	limit(BDEV_LIMIT_RW_BYTES, 0);
	assert_ok(harness_wait(&theirs));
	harness_put(&other);
	end();
}

static void test_shown_and_saved(void **state)
{
	static const char *const names[] = { "rw_ios_per_sec", "rw_mbytes_per_sec",
					     "r_mbytes_per_sec", "w_mbytes_per_sec" };
	json_t *o, *limits;

	(void)state;
	begin(1);
	limit(BDEV_LIMIT_RW_IOS, 5000);
	limit(BDEV_LIMIT_W_BYTES, 3 * MIB);
	o = harness_json(&f.bdev);
	limits = json_object_get(o, "assigned_rate_limits");
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(json_integer_value(json_object_get(limits, names[i])),
				 i == 0	  ? 5000
				 : i == 3 ? 3
					  : 0);
	json_decref(o);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate_of_ios),
		cmocka_unit_test(test_rate_of_bytes),
		cmocka_unit_test(test_reads_and_writes_apart),
		cmocka_unit_test(test_all_limits_or_none),
		cmocka_unit_test(test_idle_time_is_not_saved_up),
		cmocka_unit_test(test_wait_is_when_it_passes),
		cmocka_unit_test(test_other_rate),
		cmocka_unit_test(test_who_waits),
		cmocka_unit_test(test_timer_lets_go_on),
		cmocka_unit_test(test_compare_and_write_waits),
		cmocka_unit_test(test_abort_and_reset),
		cmocka_unit_test(test_removal_waits_for_no_limit),
		cmocka_unit_test(test_reactors_share),
		cmocka_unit_test(test_shown_and_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The ring alone and between two threads. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/ring.h"

#define ITEMS 200000

struct item {
	uint64_t number;
	uint64_t check;
};

static void test_ring_refuses_sizes(void **state)
{
	struct ring r;

	(void)state;
	assert_int_equal(ring_init(&r, 0), -EINVAL);
	assert_int_equal(ring_init(&r, 1), -EINVAL);
	assert_int_equal(ring_init(&r, 3), -EINVAL);
	assert_int_equal(ring_init(&r, UINT32_MAX), -EINVAL);
}

static void test_ring_is_first_in_first_out(void **state)
{
	char items[8];
	struct ring r;

	(void)state;
	assert_int_equal(ring_init(&r, 4), 0);
	assert_true(ring_is_empty(&r));
	assert_null(ring_take(&r));
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++)
			assert_true(ring_put(&r, &items[i]));
		assert_false(ring_put(&r, &items[4]));
		assert_false(ring_is_empty(&r));
		assert_ptr_equal(ring_take(&r), &items[0]);
		assert_true(ring_put(&r, &items[4]));
		for (int i = 1; i < 5; i++)
			assert_ptr_equal(ring_take(&r), &items[i]);
		assert_null(ring_take(&r));
	}
	ring_fini(&r);
}

static void test_ring_survives_index_wrap(void **state)
{
	char items[2];
	struct ring r;

	(void)state;
	assert_int_equal(ring_init(&r, 2), 0);
	r.head = r.tail = r.head_seen = r.tail_seen = UINT32_MAX - 2;
	for (int i = 0; i < 8; i++) {
		assert_true(ring_put(&r, &items[0]));
		assert_true(ring_put(&r, &items[1]));
		assert_false(ring_put(&r, &items[0]));
		assert_ptr_equal(ring_take(&r), &items[0]);
		assert_ptr_equal(ring_take(&r), &items[1]);
		assert_null(ring_take(&r));
	}
	ring_fini(&r);
}

static void *produce(void *arg)
{
	struct ring *r = arg;

	for (uint64_t i = 0; i < ITEMS; i++) {
		struct item *item = malloc(sizeof(*item));

		if (!item)
			abort();
		*item = (struct item){ i, ~i };
		while (!ring_put(r, item))
			sched_yield();
	}
	return NULL;
}

/* Every item comes once, in order, with what was written into it before it was put. */
static void test_ring_between_two_threads(void **state)
{
	struct ring r;
	pthread_t producer;

	(void)state;
	assert_int_equal(ring_init(&r, 64), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &r), 0);
	for (uint64_t i = 0; i < ITEMS; i++) {
		struct item *item;

		while (!(item = ring_take(&r)))
			sched_yield();
		assert_int_equal(item->number, i);
		assert_int_equal(item->check, ~i);
		free(item);
	}
	pthread_join(producer, NULL);
	assert_null(ring_take(&r));
	ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_refuses_sizes),
		cmocka_unit_test(test_ring_is_first_in_first_out),
		cmocka_unit_test(test_ring_survives_index_wrap),
		cmocka_unit_test(test_ring_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Scattered bytes: every place to begin and every length, over segments of no and odd length. */
#include "harness.h"

#include <string.h>

#include "bdev/iov.h"

#define BYTES 23u

static char bytes[BYTES];
static const struct iovec segments[] = {
	{ bytes, 0 },	   { bytes, 1 },      { bytes + 1, 7 }, { bytes + 8, 0 },
	{ bytes + 8, 13 }, { bytes + 21, 2 }, { bytes, 0 },
};
#define COUNT ((uint16_t)(sizeof(segments) / sizeof(segments[0])))

static int setup(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BYTES; i++)
		bytes[i] = (char)(i + 1);
	return 0;
}

static void test_bytes(void **state)
{
	struct iovec huge[2] = { { bytes, SIZE_MAX }, { bytes, 2 } };

	(void)state;
	assert_int_equal(iov_bytes(segments, COUNT), BYTES);
	assert_int_equal(iov_bytes(segments, 0), 0);
	assert_true(iov_bytes(huge, 2) == SIZE_MAX);
}

static void test_gather_and_equals(void **state)
{
	char out[BYTES];

	(void)state;
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t len = 0; skip + len <= BYTES; len++) {
			memset(out, 0, sizeof(out));
			iov_gather(out, segments, COUNT, skip, len);
			assert_memory_equal(out, bytes + skip, len);
			assert_true(iov_equals(segments, COUNT, skip, bytes + skip, len));
			if (len == 0)
				continue;
			out[len - 1] ^= 1;
			assert_false(iov_equals(segments, COUNT, skip, out, len));
		}
	}
}

static void test_scatter_and_clear(void **state)
{
	char in[BYTES], model[BYTES];

	memset(in, 0x55, sizeof(in));
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t len = 0; skip + len <= BYTES; len++) {
			setup(state);
			memcpy(model, bytes, BYTES);
			memcpy(model + skip, in, len);
			iov_scatter(segments, COUNT, skip, in, len);
			assert_memory_equal(bytes, model, BYTES);
			memset(model + skip, 0, len);
			iov_clear(segments, COUNT, skip, len);
			assert_memory_equal(bytes, model, BYTES);
		}
	}
}

static void test_cut(void **state)
{
	struct iovec out[COUNT];
	size_t covered;

	(void)state;
	assert_int_equal(iov_cut(segments, COUNT, 3, 8, out, COUNT, &covered), 2);
	assert_int_equal(covered, 8);
	assert_ptr_equal(out[0].iov_base, bytes + 3);
	assert_int_equal(out[0].iov_len, 5);
	assert_ptr_equal(out[1].iov_base, bytes + 8);
	assert_int_equal(out[1].iov_len, 3);
	assert_int_equal(iov_cut(segments, COUNT, 0, BYTES, out, 2, &covered), 2);
	assert_int_equal(covered, 8);
	assert_int_equal(iov_cut(segments, COUNT, 8, 1, out, COUNT, &covered), 1);
	assert_ptr_equal(out[0].iov_base, bytes + 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bytes, setup),
		cmocka_unit_test_setup(test_gather_and_equals, setup),
		cmocka_unit_test_setup(test_scatter_and_clear, setup),
		cmocka_unit_test_setup(test_cut, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

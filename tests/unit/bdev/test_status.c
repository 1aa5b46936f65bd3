/* SPDX-License-Identifier: Apache-2.0 */
/* Errnos as NVMe statuses and back. */
#include "harness.h"

#include <errno.h>

static void maps(int err, uint8_t sct, uint8_t sc, bool dnr)
{
	struct bdev_status status = bdev_status_from_errno(err);

	assert_int_equal(status.err, err);
	assert_int_equal(status.sct, sct);
	assert_int_equal(status.sc, sc);
	assert_int_equal(status.dnr, dnr);
}

static void test_from_errno(void **state)
{
	(void)state;
	maps(0, 0, 0, false);
	maps(-EINVAL, 0, 0x02, true);
	maps(-EOPNOTSUPP, 0, 0x01, true);
	maps(-ERANGE, 0, 0x80, true);
	maps(-ENOSPC, 0, 0x81, false);
	maps(-EDQUOT, 0, 0x81, false);
	maps(-EROFS, 0, 0x20, true);
	maps(-ECANCELED, 0, 0x07, false);
	maps(-EILSEQ, 2, 0x85, true);
	maps(-EIO, 0, 0x06, false);
	maps(-ENODATA, 2, 0x81, true);
	/* What nobody thought of is the target's own trouble. */
	maps(-ENOTTY, 0, 0x06, false);
}

static void test_from_nvme(void **state)
{
	struct bdev_status status = bdev_status_nvme(2, 0x85, true);

	(void)state;
	assert_int_equal(status.err, -EILSEQ);
	assert_true(status.dnr);
	assert_int_equal(bdev_status_nvme(0, 0, false).err, 0);
	assert_int_equal(bdev_status_nvme(0, 0x81, false).err, -ENOSPC);
	assert_int_equal(bdev_status_nvme(2, 0x80, false).err, -EIO);
	status = bdev_status_nvme(7, 0x55, false);
	assert_int_equal(status.err, -EIO);
	assert_int_equal(status.sct, 7);
	assert_int_equal(status.sc, 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_errno),
		cmocka_unit_test(test_from_nvme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

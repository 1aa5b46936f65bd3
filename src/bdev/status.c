/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an errno is in NVMe's words, and the reverse (NVM Express Base Specification 2.0, section
 * 4.1.5; NVM Command Set 1.0, section 3.1).
 *
 * Threading: pure functions.
 */
#include <errno.h>

#include "bdev/bdev.h"

#define SCT_GENERIC 0x0
#define SCT_COMMAND 0x1
#define SCT_MEDIA   0x2
#define SCT_PATH    0x3

/*
 * The first row with an errno, or with a status, is the one that counts. "Do not retry" is set
 * where the same command can only fail again.
 */
static const struct row {
	int err;
	uint8_t sct, sc;
	bool dnr;
} rows[] = {
	{ -EILSEQ, SCT_MEDIA, 0x85, true },	  /* Compare Failure */
	{ -EINVAL, SCT_GENERIC, 0x02, true },	  /* Invalid Field in Command */
	{ -EOPNOTSUPP, SCT_GENERIC, 0x01, true }, /* Invalid Command Opcode */
	{ -ENOSYS, SCT_GENERIC, 0x01, true },	  /* Invalid Command Opcode */
	{ -ERANGE, SCT_GENERIC, 0x80, true },	  /* LBA Out of Range */
	{ -ENOSPC, SCT_GENERIC, 0x81, false },	  /* Capacity Exceeded */
	{ -EDQUOT, SCT_GENERIC, 0x81, false },	  /* Capacity Exceeded */
	{ -EFBIG, SCT_GENERIC, 0x81, true },	  /* Capacity Exceeded */
	{ -EBUSY, SCT_GENERIC, 0x82, false },	  /* Namespace Not Ready */
	{ -EBADE, SCT_GENERIC, 0x83, true },	  /* Reservation Conflict */
	{ -EROFS, SCT_GENERIC, 0x20, true },	  /* Namespace is Write Protected */
	{ -ECANCELED, SCT_GENERIC, 0x07, false }, /* Command Abort Requested */
	{ -EINTR, SCT_GENERIC, 0x21, false },	  /* Command Interrupted */
	{ -EAGAIN, SCT_GENERIC, 0x21, false },	  /* Command Interrupted */
	{ -ENOMEM, SCT_GENERIC, 0x21, false },	  /* Command Interrupted */
	{ -ETIMEDOUT, SCT_GENERIC, 0x21, false }, /* Command Interrupted */
	{ -ENODEV, SCT_GENERIC, 0x0b, true },	  /* Invalid Namespace or Format */
	{ -ENXIO, SCT_GENERIC, 0x0b, true },	  /* Invalid Namespace or Format */
	{ -EACCES, SCT_MEDIA, 0x86, true },	  /* Access Denied */
	{ -EPERM, SCT_MEDIA, 0x86, true },	  /* Access Denied */
	{ -EBADMSG, SCT_MEDIA, 0x82, true },	  /* End-to-end Guard Check Error */
	{ -ENODATA, SCT_MEDIA, 0x81, true },	  /* Unrecovered Read Error */
	{ -EIO, SCT_GENERIC, 0x06, false },	  /* Internal Error */
	{ -EUCLEAN, SCT_GENERIC, 0x06, true },	  /* Internal Error */
	{ -EIO, SCT_MEDIA, 0x80, false },	  /* Write Fault */
	{ -ENOLINK, SCT_PATH, 0x70, false },	  /* Host Pathing Error */
	{ -ECANCELED, SCT_PATH, 0x71, false },	  /* Command Aborted By Host */
	{ -EINVAL, SCT_COMMAND, 0x80, true },	  /* Conflicting Attributes */
	{ -EROFS, SCT_COMMAND, 0x82, true },	  /* Attempted Write to Read Only Range */
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct bdev_status bdev_status_from_errno(int err)
{
	struct bdev_status status = { .err = err };

	if (__builtin_expect(err == 0, 1))
		return status;
	status.sct = SCT_GENERIC;
	status.sc = 0x06;
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].err != err)
			continue;
		status.sct = rows[i].sct;
		status.sc = rows[i].sc;
		status.dnr = rows[i].dnr;
		break;
	}
	return status;
}

struct bdev_status bdev_status_nvme(uint8_t sct, uint8_t sc, bool dnr)
{
	struct bdev_status status = { .err = -EIO, .sct = sct, .sc = sc, .dnr = dnr };

	if (sct == 0 && sc == 0)
		return (struct bdev_status){ .err = 0 };
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].sct != sct || rows[i].sc != sc)
			continue;
		status.err = rows[i].err;
		break;
	}
	return status;
}

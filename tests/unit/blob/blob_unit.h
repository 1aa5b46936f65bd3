/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of Blobstore need: reactors with the test as a fiber of the first, a disk in memory
 * that can fail, and a bdev that shows a blob, so that I/O goes the way it goes in the engine.
 *
 * Threading: the test is a fiber on reactor 0, which is cmocka's thread.
 */
#ifndef TESTS_UNIT_BLOB_BLOB_UNIT_H
#define TESTS_UNIT_BLOB_BLOB_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bdev/module.h"
#include "blob/blob.h"
#include "reactor/fiber.h"

/** unit_fiber() - @fn as a fiber of so many reactors; skips where there are fewer cores */
void unit_fiber(unsigned int reactors, void (*fn)(void));

#define assert_done(rc, err)                                                                       \
	do {                                                                                       \
		int rc_ = (rc);                                                                    \
		if (rc_ < 0)                                                                       \
			fail_msg("%d: %s", rc_, (err).text);                                       \
	} while (0)

/* --- a disk ----------------------------------------------------------------------------------- */

/**
 * struct disk - blocks in memory
 * @cache: it has a write cache, which loses nothing, but flushes are counted
 * @zeroing_unmap: unmapped blocks read as zeroes; otherwise unmap leaves what was there
 * @slow_from: writes from this byte on take a while and are done at its end; 0: none does
 * @events, @base: writes and flushes while @recording, and what was there before
 * @fail_after: so many writes from now on fail; negative: none does
 */
struct disk {
	struct bdev bdev;
	struct disk_event *events;
	unsigned int event_count, event_room;
	uint8_t *base;
	bool recording;
	uint8_t *data;
	uint64_t bytes;
	bool zeroing_unmap;
	uint64_t slow_from;
	int64_t fail_after;
	uint64_t writes, flushes, unmaps;
};

/** disk_create() - filled with 0xd5, so that what was never written shows */
struct disk *disk_create(uint64_t bytes, uint32_t block_size, bool cache, bool zeroing_unmap);
void disk_delete(struct disk *disk);
/** disk_copy() - another disk, "copy", with these bytes */
struct disk *disk_copy(const struct disk *disk, const uint8_t *data);
void disk_record(struct disk *disk);
void disk_forget(struct disk *disk);
/**
 * struct disk_event - a change of the disk, or a flush (@data is NULL)
 *
 * disk_is_durable() - a flush that came behind it was done before event @upto
 */
struct disk_event {
	uint8_t *data;
	uint64_t offset, bytes;
};
bool disk_is_durable(const struct disk *disk, unsigned int event, unsigned int upto);
/** disk_apply() - event @event onto @image */
void disk_apply(const struct disk *disk, unsigned int event, uint8_t *image);
/** unit_delete_bdev() - unregister and wait */
void unit_delete_bdev(struct bdev *bdev);
struct bdev_desc *unit_open(const char *name);
/** unit_fill(), unit_read() - the first bytes of a bdev */
void unit_fill(const char *name, uint32_t seed, uint64_t bytes);
void unit_read(const char *name, void *buffer, uint64_t bytes);

/* --- a blob as a bdev ------------------------------------------------------------------------- */

struct view;
struct view *view_create(struct blob_store *store, struct blob *blob, uint32_t unit);
void view_delete(struct view *view);
/** view_io() - one I/O on a reactor; offset and length in bytes; the errno */
int view_io(struct view *view, unsigned int reactor, enum bdev_io_type type, void *buffer,
	    uint64_t offset, uint64_t bytes);
int view_iov(struct view *view, unsigned int reactor, enum bdev_io_type type,
	     const struct iovec *iov, uint16_t iovcnt, uint64_t offset, uint64_t bytes);
uint64_t view_seek(struct view *view, enum bdev_io_type type, uint64_t offset);
/** view_start(), view_wait() - the same without waiting; the buffer stays until view_wait() */
struct view_op;
struct view_op *view_start(struct view *view, unsigned int reactor, enum bdev_io_type type,
			   const struct iovec *iov, uint16_t iovcnt, uint64_t offset,
			   uint64_t bytes);
int view_wait(struct view_op *op);

/** pattern() - bytes that differ from place to place and from seed to seed */
void pattern(void *buffer, size_t bytes, uint32_t seed);
bool is_pattern(const void *buffer, size_t bytes, uint32_t seed);
bool is_zero(const void *buffer, size_t bytes);

#endif

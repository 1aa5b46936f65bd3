/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image or device that the tool works on: opened only when nobody uses it, locked, read with
 * what a repair plans laid over it.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_IMAGE_H
#define BLOBTOOL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IMAGE_PAGE 4096u

/** struct image_stage - a page that is to be written; reads see it already */
struct image_stage {
	uint64_t at;
	uint8_t *bytes; /* IMAGE_PAGE */
};

/** struct image_copy - clusters that are to be copied before any page is written */
struct image_copy {
	uint64_t from, to, bytes;
};

/**
 * struct image - an open image
 * @fd: locked; read-only unless @writable
 * @bytes: its size
 * @stages: ascending
 */
struct image {
	const char *path;
	int fd;
	bool is_block, writable;
	uint64_t bytes;
	struct image_stage *stages;
	size_t stage_count, stage_room;
	struct image_copy *copies;
	size_t copy_count, copy_room;
};

/**
 * image_open() - ask who uses it, open it, lock it
 *
 * A file gets the lock that the engine's file bdevs take, shared for reading; a block device is
 * opened exclusively.
 * Return: 0; -EBUSY in use, -ENOENT, -EACCES, -EINVAL neither file nor block device, with @err.
 */
int image_open(struct image *img, const char *path, bool writable, struct error *err);
/** image_adopt() - take over a descriptor that is open, and lock it */
int image_adopt(struct image *img, const char *path, int fd, bool writable, struct error *err);
void image_close(struct image *img);

/** image_read() - what is on it, or planned for it; -EIO, also behind its end */
int image_read(const struct image *img, void *buffer, uint64_t at, size_t bytes, struct error *err);
/** image_write() - at once, past all plans */
int image_write(const struct image *img, const void *buffer, uint64_t at, size_t bytes,
		struct error *err);
/** image_sync() - what was written is durable */
int image_sync(const struct image *img, struct error *err);
/** image_zero() - a range reads as zeroes; a file gives the space back */
int image_zero(const struct image *img, uint64_t at, uint64_t bytes, struct error *err);

/**
 * image_seek() - the next piece of data at or behind @at, holes left out
 * @end: where it ends
 *
 * Return: where it begins; UINT64_MAX: there is none.
 */
uint64_t image_seek(const struct image *img, uint64_t at, uint64_t *end);

/** image_stage() - plan a page; @at is a multiple of IMAGE_PAGE; -ENOMEM */
int image_stage(struct image *img, uint64_t at, const void *bytes, struct error *err);
/** image_is_staged() - the page at @at is planned */
bool image_is_staged(const struct image *img, uint64_t at);
/** image_drop_stage() - forget the plan for one page */
void image_drop_stage(struct image *img, uint64_t at);
/** image_stage_copy() - plan to copy a cluster */
int image_stage_copy(struct image *img, uint64_t from, uint64_t to, uint64_t bytes,
		     struct error *err);
/** image_unstage() - forget all plans */
void image_unstage(struct image *img);
static inline bool image_has_plans(const struct image *img)
{
	return img->stage_count > 0 || img->copy_count > 0;
}

#endif

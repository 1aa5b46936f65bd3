/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the uring module share.
 *
 * Threading: see struct uring_bdev.
 */
#ifndef BDEV_MODULES_URING_INTERNAL_H
#define BDEV_MODULES_URING_INTERNAL_H

#include <sys/types.h>

#include "bdev_modules/uring.h"
#include "reactor/reactor.h"

/* How blocks are unmapped. */
enum uring_unmap {
	URING_UNMAP_NONE,
	URING_UNMAP_PUNCH,   /* fallocate(2): a hole, or zeroes that are unmapped */
	URING_UNMAP_DISCARD, /* BLKDISCARD: what is read afterwards is not known */
};

/**
 * struct uring_bdev - all but @no_zero_range is constant while the bdev is registered
 * @name: what it will be called, while it is opened
 * @is_aio: goes by the name of aio
 * @block_size_given: not taken from the device
 * @dev, @ino: of a file; a block device has its number in @dev, and 0
 * @no_zero_range: fallocate(2) once said that it cannot; set and read without ordering
 */
struct uring_bdev {
	struct bdev bdev;
	const char *name;
	char *filename;
	int fd;
	bool is_aio;
	bool is_block;
	bool direct;
	bool fallocate;
	bool block_size_given;
	enum uring_unmap unmap;
	bool no_zero_range;
	dev_t dev;
	ino_t ino;
	uint64_t bytes;
	struct reactor_work close;
	TAILQ_ENTRY(uring_bdev) link;
};

TAILQ_HEAD(uring_bdev_list, uring_bdev);
/* All of both names; reactor 0. */
extern struct uring_bdev_list uring_bdev_list;

/** uring_bdev_open() - open, lock and measure; @u->fd is -1 afterwards if that failed */
int uring_bdev_open(struct uring_bdev *u, const struct bdev_uring_options *options,
		    struct error *err);
/** uring_bdev_size() - in bytes, now; negative errno */
int uring_bdev_size(const struct uring_bdev *u, uint64_t *bytes);

/** uring_bdev_submit() - bdev_ops.submit */
void uring_bdev_submit(void *ctx, struct bdev_io *io);

#endif

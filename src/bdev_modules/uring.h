/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bdevs on files and block devices of the kernel. SPDK has two kinds, uring and aio; here both are
 * the same code over the reactor's I/O, under both names.
 *
 * Threading: reactor 0.
 */
#ifndef BDEV_MODULES_URING_H
#define BDEV_MODULES_URING_H

#include "bdev_modules/common.h"

/**
 * struct bdev_uring_options - the parameters of bdev_uring_create and bdev_aio_create
 * @filename: a file, or a block device; kept as it is given
 * @block_size: 0 for a block device's logical block size; a file needs one
 * @uuid: nil for a random one
 * @readonly: opened for reading only; several read-only bdevs may share a file
 * @fallocate: unmap and write zeroes by fallocate(2); otherwise there is no unmap, and zeroes are
 *             written
 * @nowait: RWF_NOWAIT, which is refused: the reactor's I/O never blocks it
 *
 * See bdev_uring_options_init(), bdev_aio_options_init().
 */
struct bdev_uring_options {
	const char *name;
	const char *filename;
	uint32_t block_size;
	struct uuid uuid;
	bool readonly;
	bool fallocate;
	bool nowait;
};

/** bdev_uring_options_init() - SPDK's defaults, with unmap and write zeroes */
void bdev_uring_options_init(struct bdev_uring_options *options);
/** bdev_aio_options_init() - SPDK's defaults: without them */
void bdev_aio_options_init(struct bdev_uring_options *options);

/**
 * bdev_uring_create(), bdev_aio_create() - the file is opened and locked for this process
 *
 * O_DIRECT where the file system can, at the alignment it needs; else through the page cache, with
 * a notice. What does not fill a block at the end is left out, with a notice.
 *
 * Return: 0, or with @err filled: what open(2) says; -EISDIR; -EINVAL for what is neither file nor
 * block device, for a block size that is wrong or does not fit, for less than one block; -EBUSY
 * when another bdev uses it; -EAGAIN when another program does: of one that was just killed the
 * kernel's io_uring lets go some milliseconds later, so asking again pays; -EOPNOTSUPP for nowait;
 * -EEXIST, -ENOMEM.
 */
int bdev_uring_create(const struct bdev_uring_options *options, struct bdev **bdev,
		      struct error *err);
int bdev_aio_create(const struct bdev_uring_options *options, struct bdev **bdev,
		    struct error *err);
/** bdev_uring_delete(), bdev_aio_delete() - each for its own kind; -ENODEV, -EBUSY */
int bdev_uring_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		      struct error *err);
int bdev_aio_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		    struct error *err);
/**
 * bdev_uring_rescan(), bdev_aio_rescan() - look at the size again and grow to it
 *
 * Return: 0; -ENODEV; -EBUSY when the file has shrunk, which a bdev cannot follow.
 */
int bdev_uring_rescan(const char *name, struct error *err);
int bdev_aio_rescan(const char *name, struct error *err);

#endif

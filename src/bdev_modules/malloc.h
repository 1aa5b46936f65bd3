/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The malloc bdev: blocks in the memory of this process.
 *
 * Threading: reactor 0.
 */
#ifndef BDEV_MODULES_MALLOC_H
#define BDEV_MODULES_MALLOC_H

#include "bdev_modules/common.h"

/**
 * struct bdev_malloc_options - the parameters of bdev_malloc_create
 * @name: NULL for the next free "MallocN"
 * @uuid: nil for a random one
 * @optimal_io_boundary: in blocks; I/O is split there; 0 for none
 * @physical_block_size: 0 for block_size
 * @numa_id: the node that should hold the memory; -1 for any
 *
 * See bdev_malloc_options_init().
 */
struct bdev_malloc_options {
	const char *name;
	uint32_t block_size;
	uint64_t num_blocks;
	struct uuid uuid;
	uint32_t optimal_io_boundary;
	uint32_t physical_block_size;
	struct bdev_md_options md;
	int32_t numa_id;
};

/** bdev_malloc_options_init() - all defaults */
void bdev_malloc_options_init(struct bdev_malloc_options *options);

/**
 * bdev_malloc_create() - memory is taken as blocks are written, and what the machine or a control
 * group's limit cannot give now is refused
 *
 * Return: 0; -EINVAL, -EEXIST, -ENOMEM with @err filled.
 */
int bdev_malloc_create(const struct bdev_malloc_options *options, struct bdev **bdev,
		       struct error *err);
/** bdev_malloc_delete() - @done later with the result; -ENODEV, -EBUSY with @err filled */
int bdev_malloc_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		       struct error *err);

#endif

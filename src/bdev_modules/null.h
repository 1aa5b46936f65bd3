/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null bdev: reads zeroes, drops writes; for measuring everything else.
 *
 * Threading: reactor 0.
 */
#ifndef BDEV_MODULES_NULL_H
#define BDEV_MODULES_NULL_H

#include "bdev_modules/common.h"

/**
 * struct bdev_null_options - the parameters of bdev_null_create
 * @uuid: nil for a random one
 * @physical_block_size: 0 for block_size
 *
 * All other 0: SPDK's defaults. Preferences are in blocks.
 */
struct bdev_null_options {
	const char *name;
	uint32_t block_size;
	uint64_t num_blocks;
	struct uuid uuid;
	uint32_t physical_block_size;
	struct bdev_md_options md;
	uint32_t preferred_write_granularity;
	uint32_t preferred_write_alignment;
	uint32_t optimal_write_size;
	uint32_t preferred_unmap_granularity;
	uint32_t preferred_unmap_alignment;
};

/** bdev_null_create() - 0; -EINVAL, -EEXIST, -ENOMEM with @err filled */
int bdev_null_create(const struct bdev_null_options *options, struct bdev **bdev,
		     struct error *err);
/** bdev_null_delete() - @done later with the result; -ENODEV, -EBUSY with @err filled */
int bdev_null_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		     struct error *err);
/**
 * bdev_null_resize() - to @mib MiB
 *
 * Return: 0; -ENODEV; -EINVAL for 0, for a size over the limits, and, as in SPDK, for a smaller
 * one.
 */
int bdev_null_resize(const char *name, uint64_t mib, struct error *err);

#endif

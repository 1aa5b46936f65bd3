/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What modules have in common: options that the engine does not have, and deletion by name.
 *
 * Threading: reactor 0.
 */
#ifndef BDEV_MODULES_COMMON_H
#define BDEV_MODULES_COMMON_H

#include "base/container_of.h"
#include "base/error.h"
#include "bdev/module.h"

/**
 * struct bdev_md_options - metadata and protection information, as SPDK's methods take them
 *
 * All zero: none, which is what the embedded engine offers.
 */
struct bdev_md_options {
	uint32_t md_size;
	bool md_interleave;
	int32_t dif_type;
	bool dif_is_head_of_md;
	uint32_t dif_pi_format;
};

/** bdev_md_refuse() - -EINVAL with @err filled when metadata is asked for */
int bdev_md_refuse(const struct bdev_md_options *md, const char *name, struct error *err);

/** bdev_find_of_module() - by name, alias or UUID; -ENODEV when it is none of @module's */
int bdev_find_of_module(const char *name, const struct bdev_module *module, struct bdev **bdev,
			struct error *err);
/** bdev_delete_of_module() - bdev_unregister() by name; -ENODEV, -EBUSY with @err filled */
int bdev_delete_of_module(const char *name, const struct bdev_module *module,
			  void (*done)(void *arg, int result), void *arg, struct error *err);

/** bdev_save_method() - append {"method": @method, "params": @params} (takes @params) */
void bdev_save_method(json_t *array, const char *method, json_t *params);

#endif

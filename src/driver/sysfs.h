/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of /proc and /sys, below a prefix that is "" on the running system.
 *
 * Threading: pure functions.
 */
#ifndef DRIVER_SYSFS_H
#define DRIVER_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/** sysfs_exists() - the path below @root is there */
bool sysfs_exists(const char *root, const char *path);
/** sysfs_text() - the first line; false and "" when there is none */
bool sysfs_text(const char *root, const char *path, char *out, size_t size);
/** sysfs_u64() - a decimal number; -ENOENT, -EINVAL when there is none */
int sysfs_u64(const char *root, const char *path, uint64_t *out);
/** sysfs_link() - the last part of what a link points to; false and "" when there is none */
bool sysfs_link(const char *root, const char *path, char *out, size_t size);
/** sysfs_write() - set an attribute; @err names it */
int sysfs_write(const char *root, const char *path, const char *text, struct error *err);

#endif

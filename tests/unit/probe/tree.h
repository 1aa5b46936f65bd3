/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up /proc and /sys below a temporary folder.
 *
 * Threading: one thread.
 */
#ifndef TEST_TREE_H
#define TEST_TREE_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/** tree_make() - a folder to be given back by tree_remove() */
char *tree_make(void);
void tree_remove(char *root);
/** tree_file() - a file with @text below @root, folders made as needed */
void tree_file(const char *root, const char *path, const char *text);
/** tree_bytes() - the same with bytes that may be zero */
void tree_bytes(const char *root, const char *path, const void *bytes, size_t len);
void tree_link(const char *root, const char *path, const char *target);
void tree_dir(const char *root, const char *path);
/** tree_disk() - a disk of @sectors in /sys/block, number 8:@minor */
void tree_disk(const char *root, const char *name, unsigned int minor, const char *sectors);

#endif

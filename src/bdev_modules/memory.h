/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory this process may still take, by the machine and by its control groups.
 *
 * Threading: any thread; reads files, so not on the I/O path.
 */
#ifndef BDEV_MODULES_MEMORY_H
#define BDEV_MODULES_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/** memory_available() - in bytes; UINT64_MAX where nothing tells */
uint64_t memory_available(void);

/**
 * memory_cgroup_available() - what the limits of a control group and all around it leave
 * @mount: where the hierarchy with the memory controller is mounted
 * @path: of the group in it, as proc(5) spells it; where a container does not see that path, the
 *        mount itself is its group
 * @v2: the unified hierarchy; else cgroup version 1
 *
 * Page cache that the kernel takes back at need is not counted as used. Return: bytes; UINT64_MAX
 * without a limit.
 */
uint64_t memory_cgroup_available(const char *mount, const char *path, bool v2);

#endif

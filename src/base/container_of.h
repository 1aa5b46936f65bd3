/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a member back to the struct that embeds it.
 *
 * Threading: none of its own.
 */
#ifndef BASE_CONTAINER_OF_H
#define BASE_CONTAINER_OF_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif

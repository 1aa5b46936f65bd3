/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array of bits with a hint where the next clear one is: ids, clusters, pages.
 *
 * Threading: an array belongs to one thread.
 */
#ifndef BASE_BIT_ARRAY_H
#define BASE_BIT_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

struct bit_array;

/** bit_array_create() - @bits bits, all clear; NULL when memory is short */
struct bit_array *bit_array_create(uint64_t bits);
void bit_array_destroy(struct bit_array *a);
/** bit_array_resize() - new bits are clear; -ENOMEM leaves the array as it was */
int bit_array_resize(struct bit_array **a, uint64_t bits);
uint64_t bit_array_size(const struct bit_array *a);
uint64_t bit_array_count_set(const struct bit_array *a);
/** bit_array_get() - false also for a bit past the end */
bool bit_array_get(const struct bit_array *a, uint64_t bit);
/** bit_array_set() / bit_array_clear() - @bit is below the size */
void bit_array_set(struct bit_array *a, uint64_t bit);
void bit_array_clear(struct bit_array *a, uint64_t bit);
/** bit_array_find_set() / bit_array_find_clear() - at or behind @from; UINT64_MAX when none */
uint64_t bit_array_find_set(const struct bit_array *a, uint64_t from);
uint64_t bit_array_find_clear(const struct bit_array *a, uint64_t from);
/** bit_array_take() - set and return the lowest clear bit; UINT64_MAX when all are set */
uint64_t bit_array_take(struct bit_array *a);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets: pages of their own, which no core dump gets and which, as far as the limit of
 * locked memory goes, are not swapped out.
 *
 * Threading: any thread.
 */
#ifndef NVMF_SECRET_H
#define NVMF_SECRET_H

#include <stddef.h>

/** nvmf_secret_alloc() - zeroes; NULL when memory is short */
void *nvmf_secret_alloc(size_t size);
/** nvmf_secret_free() - cleared first; NULL is allowed */
void nvmf_secret_free(void *secret, size_t size);

#endif

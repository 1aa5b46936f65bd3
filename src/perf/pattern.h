/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that tells where it belongs: each block has its LBA, the seed, the generation of the write,
 * and a CRC-32C over all of it.
 *
 * Threading: pure functions.
 */
#ifndef PERF_PATTERN_H
#define PERF_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/**
 * pattern_fill() - blocks of @block_size bytes from @lba on
 * @generation: of the write; blocks that are the same in each run have 0
 */
void pattern_fill(void *data, uint32_t blocks, uint32_t block_size, uint64_t lba, uint64_t seed,
		  uint32_t generation);

/**
 * pattern_check() - do blocks hold what pattern_fill() would put there
 * @text: filled on failure with the LBA, what was found and what was expected
 *
 * Return: how many blocks are wrong.
 */
uint32_t pattern_check(const void *data, uint32_t blocks, uint32_t block_size, uint64_t lba,
		       uint64_t seed, uint32_t generation, char *text, size_t text_size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stamped data.
 *
 * Threading: pure functions.
 */
#include "perf/pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"

#define MAGIC UINT64_C(0x4b504d5453594b43) /* reads CKYSTMPK in a dump */

/* At the start of a block; the rest is a pseudo-random sequence of seed, LBA and generation. */
struct stamp {
	uint64_t magic;
	uint64_t lba;
	uint64_t seed;
	uint32_t generation;
	uint32_t crc; /* of the block with this field zero */
} __attribute__((packed));
_Static_assert(sizeof(struct stamp) == 32, "stamp of a block");

/* SplitMix64: every seed gives a full sequence. */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t crc_of(const uint8_t *block, uint32_t size)
{
	static const uint8_t zero[sizeof(uint32_t)];
	const size_t at = offsetof(struct stamp, crc);
	uint32_t crc = crc32c_update(CRC32C_INIT, block, at);

	crc = crc32c_update(crc, zero, sizeof(zero));
	crc = crc32c_update(crc, block + sizeof(struct stamp), size - sizeof(struct stamp));
	return crc32c_finish(crc);
}

static void fill_block(uint8_t *block, uint32_t size, uint64_t lba, uint64_t seed,
		       uint32_t generation)
{
	struct stamp *stamp = (struct stamp *)block;
	uint64_t state = seed ^ lba * UINT64_C(0xd1342543de82ef95) ^ (uint64_t)generation << 32;

	stamp->magic = htole64(MAGIC);
	stamp->lba = htole64(lba);
	stamp->seed = htole64(seed);
	stamp->generation = htole32(generation);
	for (uint32_t at = sizeof(*stamp); at < size; at += (uint32_t)sizeof(uint64_t))
		le64_put(block + at, mix(&state));
	stamp->crc = htole32(crc_of(block, size));
}

void pattern_fill(void *data, uint32_t blocks, uint32_t block_size, uint64_t lba, uint64_t seed,
		  uint32_t generation)
{
	for (uint32_t i = 0; i < blocks; i++)
		fill_block((uint8_t *)data + (size_t)i * block_size, block_size, lba + i, seed,
			   generation);
}

static void tell(char *text, size_t size, uint64_t lba, const struct stamp *s, uint64_t seed,
		 uint32_t generation, const char *why)
{
	snprintf(text, size,
		 "LBA %" PRIu64 ": %s; found magic %016" PRIx64 " LBA %" PRIu64 " seed %" PRIu64
		 " generation %u, expected magic %016" PRIx64 " seed %" PRIu64 " generation %u",
		 lba, why, le64_get(&s->magic), le64_get(&s->lba), le64_get(&s->seed),
		 le32_get(&s->generation), MAGIC, seed, generation);
}

/* NULL for a good block. The CRC covers the sequence, so the sequence need not be made again. */
static const char *wrong(const uint8_t *block, uint32_t size, uint64_t lba, uint64_t seed,
			 uint32_t generation)
{
	const struct stamp *s = (const struct stamp *)block;

	if (le64_get(&s->magic) != MAGIC)
		return "no stamp";
	if (le32_get(&s->crc) != crc_of(block, size))
		return "damaged: the CRC is wrong";
	if (le64_get(&s->lba) != lba)
		return "data of another LBA";
	if (le64_get(&s->seed) != seed)
		return "data of another seed";
	if (le32_get(&s->generation) != generation)
		return "data of another write";
	return NULL;
}

uint32_t pattern_check(const void *data, uint32_t blocks, uint32_t block_size, uint64_t lba,
		       uint64_t seed, uint32_t generation, char *text, size_t text_size)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < blocks; i++) {
		const uint8_t *block = (const uint8_t *)data + (size_t)i * block_size;
		const char *why = wrong(block, block_size, lba + i, seed, generation);

		if (why && bad++ == 0)
			tell(text, text_size, lba + i, (const struct stamp *)block, seed,
			     generation, why);
	}
	return bad;
}

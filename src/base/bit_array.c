/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of bits in 64-bit words.
 *
 * Two things hold at any time: bits of the last word behind the end are clear, and every bit below
 * @hint is set, so that taking one id after another does not search from the start each time.
 *
 * Threading: an array belongs to one thread.
 */
#include "base/bit_array.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

struct bit_array {
	uint64_t size;
	uint64_t set;
	uint64_t hint;
	uint64_t words[];
};

static uint64_t words_of(uint64_t bits)
{
	return bits / WORD_BITS + (bits % WORD_BITS != 0);
}

static uint64_t mask_of(uint64_t bit)
{
	return UINT64_C(1) << (bit % WORD_BITS);
}

/* Bytes of an array; words_of() is at most 2^58, so nothing overflows. */
static size_t bytes_of(uint64_t bits)
{
	return sizeof(struct bit_array) + (size_t)words_of(bits) * sizeof(uint64_t);
}

struct bit_array *bit_array_create(uint64_t bits)
{
	struct bit_array *a = calloc(1, bytes_of(bits));

	if (a)
		a->size = bits;
	return a;
}

void bit_array_destroy(struct bit_array *a)
{
	free(a);
}

/* Clear what lies behind @bits, so that growing again finds it clear. */
static void cut(struct bit_array *a, uint64_t bits)
{
	uint64_t words = words_of(bits);

	for (uint64_t i = words; i < words_of(a->size); i++) {
		a->set -= (uint64_t)__builtin_popcountll(a->words[i]);
		a->words[i] = 0;
	}
	if (bits % WORD_BITS != 0) {
		uint64_t behind = a->words[words - 1] & ~(mask_of(bits) - 1);

		a->set -= (uint64_t)__builtin_popcountll(behind);
		a->words[words - 1] ^= behind;
	}
	if (a->hint > bits)
		a->hint = bits;
	a->size = bits;
}

int bit_array_resize(struct bit_array **a, uint64_t bits)
{
	uint64_t old_words = words_of((*a)->size), words = words_of(bits);
	struct bit_array *moved;

	if (bits < (*a)->size) {
		cut(*a, bits);
		moved = realloc(*a, bytes_of(bits));
		/* When the smaller piece is not to be had the larger one still serves. */
		if (moved)
			*a = moved;
		return 0;
	}
	moved = realloc(*a, bytes_of(bits));
	if (!moved)
		return -ENOMEM;
	memset(&moved->words[old_words], 0, (size_t)(words - old_words) * sizeof(uint64_t));
	moved->size = bits;
	*a = moved;
	return 0;
}

uint64_t bit_array_size(const struct bit_array *a)
{
	return a->size;
}

uint64_t bit_array_count_set(const struct bit_array *a)
{
	return a->set;
}

bool bit_array_get(const struct bit_array *a, uint64_t bit)
{
	return bit < a->size && (a->words[bit / WORD_BITS] & mask_of(bit)) != 0;
}

void bit_array_set(struct bit_array *a, uint64_t bit)
{
	assert(bit < a->size);
	if (bit_array_get(a, bit))
		return;
	a->words[bit / WORD_BITS] |= mask_of(bit);
	a->set++;
	if (bit == a->hint)
		a->hint++;
}

void bit_array_clear(struct bit_array *a, uint64_t bit)
{
	assert(bit < a->size);
	if (!bit_array_get(a, bit))
		return;
	a->words[bit / WORD_BITS] &= ~mask_of(bit);
	a->set--;
	if (bit < a->hint)
		a->hint = bit;
}

/* The first bit at or behind @from that differs from those of @flip (0 or all ones). */
static uint64_t find(const struct bit_array *a, uint64_t from, uint64_t flip)
{
	uint64_t words = words_of(a->size), i = from / WORD_BITS, word, bit;

	if (from >= a->size)
		return UINT64_MAX;
	word = (a->words[i] ^ flip) & ~(mask_of(from) - 1);
	while (word == 0) {
		if (++i == words)
			return UINT64_MAX;
		word = a->words[i] ^ flip;
	}
	bit = i * WORD_BITS + (uint64_t)__builtin_ctzll(word);
	return bit < a->size ? bit : UINT64_MAX;
}

uint64_t bit_array_find_set(const struct bit_array *a, uint64_t from)
{
	return find(a, from, 0);
}

uint64_t bit_array_find_clear(const struct bit_array *a, uint64_t from)
{
	return find(a, from > a->hint ? from : a->hint, UINT64_MAX);
}

uint64_t bit_array_take(struct bit_array *a)
{
	uint64_t bit = bit_array_find_clear(a, a->hint);

	if (bit == UINT64_MAX) {
		a->hint = a->size;
		return bit;
	}
	/* All below is set: found by looking from the hint. */
	a->hint = bit;
	bit_array_set(a, bit);
	return bit;
}

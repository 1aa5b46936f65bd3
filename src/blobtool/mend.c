/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the one byte that is wrong in a page.
 *
 * A CRC is linear: the difference between the checksum that stands in a page and the one it should
 * have depends only on where bits were changed, and on how. The differences that a change of one
 * byte gives, about a million of 2^32, are made once and looked up. A page with more damage than
 * that matches by chance once in four thousand times; who asks looks at what came out.
 *
 * Threading: one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blobtool/repair.h"

#define COVERED (BLOB_PAGE_BYTES - 4)

struct syndrome {
	uint32_t difference;
	uint16_t at;
	uint8_t change;
};

static struct syndrome *syndromes;
static size_t syndrome_count;

static int compare(const void *a, const void *b)
{
	const struct syndrome *x = a, *y = b;

	return x->difference < y->difference ? -1 : x->difference > y->difference;
}

/* From the last byte to the first: one byte earlier is one zero byte more behind it. */
static bool make_syndromes(void)
{
	static const uint8_t zero;
	size_t n = 0;

	syndromes = malloc(COVERED * 255 * sizeof(*syndromes));
	if (syndromes == NULL)
		return false;
	for (unsigned int change = 1; change < 256; change++) {
		uint8_t byte = (uint8_t)change;
		uint32_t difference = crc32c_update(0, &byte, 1);

		for (uint32_t at = COVERED; at-- > 0;) {
			syndromes[n++] = (struct syndrome){ difference, (uint16_t)at, byte };
			difference = crc32c_update(difference, &zero, 1);
		}
	}
	qsort(syndromes, n, sizeof(*syndromes), compare);
	syndrome_count = n;
	return true;
}

static const struct syndrome *find(uint32_t difference)
{
	const struct syndrome key = { .difference = difference };
	const struct syndrome *s = bsearch(&key, syndromes, syndrome_count, sizeof(key), compare);

	if (s == NULL || (s > syndromes && s[-1].difference == difference) ||
	    (s + 1 < syndromes + syndrome_count && s[1].difference == difference))
		return NULL;
	return s;
}

static bool mend_checksum(uint8_t *page, uint32_t difference, struct mend *mend)
{
	for (unsigned int i = 0; i < 4; i++) {
		if ((difference & ~(UINT32_C(0xff) << (8 * i))) != 0)
			continue;
		mend->at = (uint16_t)(COVERED + i);
		mend->from = page[mend->at];
		mend->to = mend->from ^ (uint8_t)(difference >> (8 * i));
		page[mend->at] = mend->to;
		return true;
	}
	return false;
}

bool mend_page(uint8_t *page, struct mend *mend)
{
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, page, COVERED));
	uint32_t difference = crc ^ le32_get(page + COVERED);
	const struct syndrome *s;

	if (difference == 0)
		return false;
	if (mend_checksum(page, difference, mend))
		return true;
	if (syndromes == NULL && !make_syndromes())
		return false;
	s = find(difference);
	if (s == NULL)
		return false;
	mend->at = s->at;
	mend->from = page[s->at];
	mend->to = mend->from ^ s->change;
	page[s->at] = mend->to;
	return true;
}

void mend_free(void)
{
	free(syndromes);
	syndromes = NULL;
	syndrome_count = 0;
}

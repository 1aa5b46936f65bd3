/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the one byte that is wrong in a page.
 *
 * A CRC is linear: the difference between the checksum that stands in a page and the one it should
 * have depends only on where bits were changed, and on how. Taken back to where the change was, the
 * difference is the change itself: of a single byte when it fits in one. A page with more damage
 * than that matches by chance once in four thousand times; who asks looks at what came out.
 *
 * Threading: pure functions.
 */
#include "base/le.h"
#include "blobtool/repair.h"
#include "blobtool/torn.h"

#define COVERED (BLOB_PAGE_BYTES - 4)

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
	uint32_t difference = torn_difference(page), found = 0;

	if (difference == 0)
		return false;
	if (mend_checksum(page, difference, mend))
		return true;
	for (uint32_t at = COVERED; at-- > 0;) {
		difference = torn_retreat(difference);
		if (difference > UINT8_MAX)
			continue;
		found++;
		mend->at = (uint16_t)at;
		mend->from = page[at];
		mend->to = mend->from ^ (uint8_t)difference;
	}
	if (found != 1)
		return false;
	page[mend->at] = mend->to;
	return true;
}

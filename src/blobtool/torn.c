/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checksum of a torn page tells about its words.
 *
 * Threading: pure functions.
 */
#include "blobtool/torn.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blobtool/descriptors.h"

#define COVERED	 (BLOB_PAGE_BYTES - 4)
#define ENTRIES	 (offsetof(struct blob_disk_page, descriptors) + DESC_HEADER + 4)
#define REVERSED UINT32_C(0x82f63b78)

uint32_t torn_difference(const uint8_t *page)
{
	return crc32c_finish(crc32c_update(CRC32C_INIT, page, COVERED)) ^ le32_get(page + COVERED);
}

/* The register eight zero bits earlier. The polynomial ends with 1: the bit that fell out of the
 * register shows at its top. */
uint32_t torn_retreat(uint32_t crc)
{
	for (int bit = 0; bit < 8; bit++)
		crc = (crc & UINT32_C(0x80000000)) != 0 ? (crc ^ REVERSED) << 1 | 1 : crc << 1;
	return crc;
}

/* A word XORed into the message is the same word XORed into the register where it begins. */
uint32_t torn_word(uint32_t difference, uint32_t at)
{
	for (uint32_t i = at; i < COVERED; i++)
		difference = torn_retreat(difference);
	return difference;
}

static uint32_t entry_count(const uint8_t *page)
{
	uint32_t length = le32_get(page + offsetof(struct blob_disk_page, descriptors) + 1);

	if (page[offsetof(struct blob_disk_page, descriptors)] != BLOB_DESC_EXTENT_PAGE ||
	    length < 4 || length % 4 != 0 || (length - 4) / 4 > BLOB_EXTENT_CLUSTERS)
		return 0;
	return (length - 4) / 4;
}

uint32_t torn_entries(const uint8_t *page, torn_may_be_fn may_be, void *arg, struct torn_entry *out,
		      uint32_t max)
{
	uint32_t n = entry_count(page), found = 0;
	uint32_t end = (uint32_t)ENTRIES + 4 * n;
	uint32_t change = torn_word(torn_difference(page), end);

	for (uint32_t i = n; i-- > 0;) {
		uint32_t cluster;

		for (int byte = 0; byte < 4; byte++)
			change = torn_retreat(change);
		cluster = le32_get(page + ENTRIES + (size_t)4 * i) ^ change;
		if (change == 0 || !may_be(cluster, arg))
			continue;
		if (found < max)
			out[found] = (struct torn_entry){ .entry = i, .cluster = cluster };
		found++;
	}
	return found;
}

/* What each entry that is set adds to the checksum. */
static uint32_t find_shares(const uint8_t *page, uint32_t *at, uint32_t *share)
{
	static const uint8_t zeroes[BLOB_PAGE_BYTES];
	uint32_t n = entry_count(page), set = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *entry = page + ENTRIES + (size_t)4 * i;

		if (le32_get(entry) == 0)
			continue;
		at[set] = i;
		share[set++] = crc32c_update(crc32c_update(0, entry, 4), zeroes,
					     COVERED - ENTRIES - (size_t)4 * i - 4);
	}
	return set;
}

bool torn_empty_run(uint8_t *page)
{
	uint32_t at[BLOB_EXTENT_CLUSTERS], share[BLOB_EXTENT_CLUSTERS];
	uint32_t difference = torn_difference(page), set = find_shares(page, at, share);
	uint32_t first = 0, last = 0, found = 0;

	for (uint32_t i = 0; i < set; i++) {
		uint32_t sum = share[i];

		for (uint32_t j = i + 1; j < set; j++) {
			sum ^= share[j];
			if (sum != difference)
				continue;
			first = i;
			last = j;
			found++;
		}
	}
	for (uint32_t i = first; found == 1 && i <= last; i++)
		le32_put(page + ENTRIES + (size_t)4 * at[i], 0);
	return found == 1;
}

bool torn_trim(uint8_t *page)
{
	uint8_t *descriptors = page + offsetof(struct blob_disk_page, descriptors);
	uint32_t end = 0, table_end = 0;
	struct desc d = { 0 };

	while (desc_next(page, &d)) {
		if (d.payload == NULL || d.type > BLOB_DESC_EXTENT_PAGE) {
			if (table_end == 0)
				return false;
			end = table_end;
			break;
		}
		end = d.next;
		if (d.type == BLOB_DESC_EXTENT_TABLE)
			table_end = end;
	}
	memset(descriptors + end, 0, BLOB_DESCRIPTORS_BYTES - end);
	return true;
}

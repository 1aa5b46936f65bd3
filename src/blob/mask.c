/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The masks on disk.
 *
 * Threading: pure functions.
 */
#include "blob/mask.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/le.h"

#define HEADER sizeof(struct blob_disk_mask)

uint64_t blob_mask_pages(uint64_t bits, uint32_t page_size)
{
	uint64_t bytes = HEADER + bits / 8 + (bits % 8 != 0);

	return bytes / page_size + (bytes % page_size != 0);
}

static void parse_byte(struct bit_array *to, uint64_t first, unsigned int byte, uint64_t end)
{
	for (unsigned int i = 0; i < 8 && first + i < end; i++) {
		if ((byte & (1u << i)) != 0)
			bit_array_set(to, first + i);
	}
}

int blob_mask_parse(const void *region, size_t len, enum blob_disk_mask_type type,
		    struct bit_array *to, struct error *err)
{
	const struct blob_disk_mask *mask = region;
	const uint8_t *bytes = region;
	uint64_t bits;

	assert(len >= HEADER);
	bits = le32_get(bytes + offsetof(struct blob_disk_mask, length));
	if (mask->type != type)
		return error_set(err, -EILSEQ, "mask type %u, should be %u", mask->type, type);
	if (bits > (len - HEADER) * 8)
		return error_set(err, -EILSEQ, "%" PRIu64 " bits in a mask of %zu bytes", bits,
				 len);
	if (bits > bit_array_size(to))
		bits = bit_array_size(to);
	for (uint64_t i = 0; i < bits; i += 8) {
		if (mask->bits[i / 8] != 0)
			parse_byte(to, i, mask->bits[i / 8], bits);
	}
	return 0;
}

void blob_mask_build(void *region, size_t len, enum blob_disk_mask_type type,
		     const struct bit_array *from)
{
	uint64_t bits = bit_array_size(from);
	struct blob_disk_mask *mask = region;
	uint8_t *bytes = region;

	assert(bits <= UINT32_MAX && bits <= (len - HEADER) * 8);
	memset(region, 0, len);
	mask->type = (uint8_t)type;
	le32_put(bytes + offsetof(struct blob_disk_mask, length), (uint32_t)bits);
	for (uint64_t i = bit_array_find_set(from, 0); i < bits;
	     i = bit_array_find_set(from, i + 1))
		mask->bits[i / 8] = (uint8_t)(mask->bits[i / 8] | 1u << (i % 8));
}

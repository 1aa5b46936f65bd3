/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The masks on disk: which metadata pages, clusters and blob ids are in use (format page, section
 * 5). They have no checksum and are right only in a store that was unloaded cleanly.
 *
 * Threading: pure functions.
 */
#ifndef BLOB_MASK_H
#define BLOB_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "base/bit_array.h"
#include "base/error.h"
#include "blob/format.h"

/** blob_mask_pages() - pages that a mask of @bits items takes */
uint64_t blob_mask_pages(uint64_t bits, uint32_t page_size);

/**
 * blob_mask_parse() - set in @to what the mask has set; bits behind the end of @to are passed over
 * @region: the whole region, @len bytes
 *
 * Return: 0; -EILSEQ when this cannot be the mask: another type, or longer than its region.
 */
int blob_mask_parse(const void *region, size_t len, enum blob_disk_mask_type type,
		    struct bit_array *to, struct error *err);
/** blob_mask_build() - @region, @len bytes, all written, has room for @from */
void blob_mask_build(void *region, size_t len, enum blob_disk_mask_type type,
		     const struct bit_array *from);

#endif

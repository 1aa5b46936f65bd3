/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors of a metadata page, one by one (format page, section 7): for showing them and for
 * changing them in place.
 *
 * Threading: pure functions.
 */
#ifndef BLOBTOOL_DESCRIPTORS_H
#define BLOBTOOL_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/format.h"

#define DESC_HEADER ((uint32_t)sizeof(struct blob_disk_desc))

/**
 * struct desc - one of them; all zero to begin
 * @at: where its header stands, from the first descriptor on; @next: of the one behind it
 * @payload: NULL when @length goes beyond the page
 */
struct desc {
	uint8_t type;
	uint32_t length;
	uint32_t at, next;
	uint8_t *payload;
};

/** desc_next() - false at the end; the last one may be broken (@payload NULL) */
bool desc_next(void *page, struct desc *d);
/** desc_used() - bytes that sound descriptors take */
uint32_t desc_used(void *page);

/** struct desc_xattr - the parts of an xattr */
struct desc_xattr {
	const char *name;
	uint8_t *value;
	uint16_t name_len, value_len;
};
/** desc_xattr() - false: it is none, or its lengths do not fit */
bool desc_xattr(const struct desc *d, struct desc_xattr *x);
bool desc_xattr_is(const struct desc *d, bool internal, const char *name);

/** desc_remove() - what is behind it moves up, and is next */
void desc_remove(void *page, struct desc *d);
/** desc_shorten() - to @length bytes of payload */
void desc_shorten(void *page, struct desc *d, uint32_t length);
/** desc_add() - at the end, or as the first; its payload, or NULL when the page is full */
uint8_t *desc_add(void *page, bool first, uint8_t type, uint32_t length);
/** desc_seal() - the page's checksum */
void desc_seal(void *page);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking and changing descriptors.
 *
 * Threading: pure functions.
 */
#include "blobtool/descriptors.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"

static uint8_t *area(void *page)
{
	return (uint8_t *)page + offsetof(struct blob_disk_page, descriptors);
}

bool desc_next(void *page, struct desc *d)
{
	uint8_t *p = area(page) + d->next;

	if (d->next > BLOB_DESCRIPTORS_BYTES - DESC_HEADER)
		return false;
	d->at = d->next;
	d->type = p[0];
	d->length = le32_get(p + 1);
	if (d->type == BLOB_DESC_PADDING && d->length == 0)
		return false;
	if (d->length > BLOB_DESCRIPTORS_BYTES - DESC_HEADER - d->at) {
		d->payload = NULL;
		d->next = BLOB_DESCRIPTORS_BYTES;
		return true;
	}
	d->payload = p + DESC_HEADER;
	d->next = d->at + DESC_HEADER + d->length;
	return true;
}

uint32_t desc_used(void *page)
{
	struct desc d = { 0 };
	uint32_t used = 0;

	while (desc_next(page, &d) && d.payload != NULL)
		used = d.next;
	return used;
}

bool desc_xattr(const struct desc *d, struct desc_xattr *x)
{
	if ((d->type != BLOB_DESC_XATTR && d->type != BLOB_DESC_XATTR_INTERNAL) ||
	    d->payload == NULL || d->length < 4)
		return false;
	x->name_len = le16_get(d->payload);
	x->value_len = le16_get(d->payload + 2);
	if (d->length != 4u + x->name_len + x->value_len)
		return false;
	x->name = (const char *)d->payload + 4;
	x->value = d->payload + 4 + x->name_len;
	return true;
}

bool desc_xattr_is(const struct desc *d, bool internal, const char *name)
{
	struct desc_xattr x;

	return d->type == (internal ? BLOB_DESC_XATTR_INTERNAL : BLOB_DESC_XATTR) &&
	       desc_xattr(d, &x) && x.name_len == strlen(name) &&
	       memcmp(x.name, name, x.name_len) == 0;
}

void desc_remove(void *page, struct desc *d)
{
	uint32_t gone = d->next - d->at;

	memmove(area(page) + d->at, area(page) + d->next, BLOB_DESCRIPTORS_BYTES - d->next);
	memset(area(page) + BLOB_DESCRIPTORS_BYTES - gone, 0, gone);
	d->next = d->at;
}

void desc_shorten(void *page, struct desc *d, uint32_t length)
{
	uint32_t end = d->at + DESC_HEADER + length, gone = d->next - end;

	memmove(area(page) + end, area(page) + d->next, BLOB_DESCRIPTORS_BYTES - d->next);
	memset(area(page) + BLOB_DESCRIPTORS_BYTES - gone, 0, gone);
	le32_put(area(page) + d->at + 1, length);
	d->next = end;
}

uint8_t *desc_add(void *page, bool first, uint8_t type, uint32_t length)
{
	uint32_t used = desc_used(page), need = DESC_HEADER + length;
	uint32_t at = first ? 0 : used;

	if (need > BLOB_DESCRIPTORS_BYTES - used)
		return NULL;
	memmove(area(page) + at + need, area(page) + at, used - at);
	/* What lies behind the last descriptor may be old bytes. */
	memset(area(page) + used + need, 0, BLOB_DESCRIPTORS_BYTES - used - need);
	memset(area(page) + at, 0, need);
	area(page)[at] = type;
	le32_put(area(page) + at + 1, length);
	return area(page) + at + DESC_HEADER;
}

void desc_seal(void *page)
{
	uint8_t *p = page;
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, p, BLOB_PAGE_BYTES - 4));

	le32_put(p + BLOB_PAGE_BYTES - 4, crc);
}

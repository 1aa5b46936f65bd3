/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is changed in an image: numbers where the format has numbers, to values at the edges, with
 * checksums put right, so that what comes behind the checksum is reached.
 *
 * Threading: pure functions but for memory.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/format.h"
#include "disk.h"
#include "image.h"

/* --- fields ----------------------------------------------------------------------------------- */

static const struct field super_fields[] = {
	{ 0, 4 },  { 8, 4 },  { 12, 4 }, { 16, 4 }, { 20, 8 }, { 28, 4 }, { 32, 4 },
	{ 36, 4 }, { 40, 4 }, { 44, 4 }, { 48, 4 }, { 52, 4 }, { 56, 4 }, { 72, 4 },
	{ 76, 4 }, { 80, 8 }, { 88, 4 }, { 92, 4 }, { 96, 4 },
};

static const struct field mask_fields[] = {
	{ 0, 1 }, { 1, 4 }, { 5, 1 }, { 6, 1 }, { 7, 4 }, { 20, 8 },
};

enum kind { KIND_SUPER, KIND_MASK, KIND_PAGE };

/* The super block of the image says where metadata begins. */
static enum kind kind_of(const uint8_t *bytes, uint32_t i)
{
	const uint8_t *first = image_page((uint8_t *)(uintptr_t)bytes, 0);
	uint32_t number = image_number(bytes, i);

	if (number == 0)
		return KIND_SUPER;
	if (memcmp(first, BLOB_SIGNATURE, 8) == 0 &&
	    number < le32_get(first + offsetof(struct blob_disk_super, md_start)))
		return KIND_MASK;
	return KIND_PAGE;
}

static void add(struct field *fields, uint32_t *count, uint32_t offset, uint8_t size)
{
	if (*count < FIELDS_MAX && offset + size <= PAGE)
		fields[(*count)++] = (struct field){ (uint16_t)offset, size };
}

static void add_payload(struct field *fields, uint32_t *count, uint8_t type, uint32_t at,
			uint32_t length)
{
	uint32_t step = type == BLOB_DESC_FLAGS ? 8 : 4;

	if (type == BLOB_DESC_XATTR || type == BLOB_DESC_XATTR_INTERNAL) {
		add(fields, count, at, 2);
		add(fields, count, at + 2, 2);
		add(fields, count, at + 4, 4);
		add(fields, count, at + length - 8, 8);
		return;
	}
	for (uint32_t i = 0; i < length && i < 64; i += step)
		add(fields, count, at + i, (uint8_t)step);
	if (length > 64)
		add(fields, count, at + length - 4, 4);
}

static uint32_t page_fields(const uint8_t *page, struct field *fields)
{
	uint32_t count = 0, at = offsetof(struct blob_disk_page, descriptors);
	uint32_t end = offsetof(struct blob_disk_page, next);

	add(fields, &count, 0, 8);
	add(fields, &count, 8, 4);
	add(fields, &count, 12, 4);
	add(fields, &count, end, 4);
	while (at + 5 <= end) {
		uint32_t length = le32_get(page + at + 1);

		add(fields, &count, at, 1);
		add(fields, &count, at + 1, 4);
		if (page[at] == 0 || length > end - at - 5)
			break;
		add_payload(fields, &count, page[at], at + 5, length);
		at += 5 + length;
	}
	return count;
}

uint32_t image_fields(const uint8_t *bytes, size_t len, uint32_t i, struct field *fields)
{
	(void)len;
	switch (kind_of(bytes, i)) {
	case KIND_SUPER:
		memcpy(fields, super_fields, sizeof(super_fields));
		return sizeof(super_fields) / sizeof(super_fields[0]);
	case KIND_MASK:
		memcpy(fields, mask_fields, sizeof(mask_fields));
		return sizeof(mask_fields) / sizeof(mask_fields[0]);
	default:
		return page_fields(image_page((uint8_t *)(uintptr_t)bytes, i), fields);
	}
}

void image_seal(uint8_t *bytes, uint32_t i)
{
	uint8_t *page = image_page(bytes, i);

	if (kind_of(bytes, i) != KIND_MASK)
		le32_put(page + PAGE - 4,
			 crc32c_finish(crc32c_update(CRC32C_INIT, page, PAGE - 4)));
}

uint64_t image_get(const uint8_t *page, const struct field *field)
{
	uint8_t bytes[8] = { 0 };

	memcpy(bytes, page + field->offset, field->size);
	return le64_get(bytes);
}

void image_set(uint8_t *page, const struct field *field, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	memcpy(page + field->offset, bytes, field->size);
}

uint64_t image_value(const uint8_t *page, const struct field *fields, uint32_t count,
		     uint32_t index, unsigned int value)
{
	uint64_t max =
		fields[index].size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * fields[index].size) - 1;
	uint64_t now = image_get(page, &fields[index]);

	switch (value) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return max;
	case 3:
		return max - 1;
	case 4:
		return now + 1;
	case 5:
		return now - 1;
	case 6:
		return image_get(page, &fields[(index + 1) % count]);
	default:
		return image_get(page, &fields[(index + count - 1) % count]);
	}
}

/* --- mutations -------------------------------------------------------------------------------- */

static void set_field(uint8_t *bytes, size_t len, uint32_t i, struct random *random)
{
	struct field fields[FIELDS_MAX];
	uint32_t count = image_fields(bytes, len, i, fields), index;
	uint8_t *page = image_page(bytes, i);

	index = random_below(random, count);
	if (random_one_in(random, 4))
		image_set(page, &fields[index], random_below(random, 1200));
	else
		image_set(page, &fields[index],
			  image_value(page, fields, count, index, random_below(random, VALUES)));
}

static void swap_pages(uint8_t *bytes, uint32_t i, uint32_t j)
{
	uint8_t *a = image_page(bytes, i), *b = image_page(bytes, j), copy[PAGE];

	memcpy(copy, a, PAGE);
	memcpy(a, b, PAGE);
	memcpy(b, copy, PAGE);
}

/* Somewhere else in the metadata, sometimes with the id that belongs there. */
static size_t duplicate(uint8_t *bytes, size_t len, size_t max, uint32_t i, struct random *random)
{
	uint32_t number = random_below(random, 40), j = image_pages(len);
	const uint8_t *first = image_page(bytes, 0);
	uint32_t start = le32_get(first + offsetof(struct blob_disk_super, md_start));

	if (len + IMAGE_ENTRY > max || j >= IMAGE_PAGES_MAX)
		return len;
	len = IMAGE_HEAD + (size_t)(j + 1) * IMAGE_ENTRY;
	le32_put(image_page(bytes, j) - 4, number);
	memcpy(image_page(bytes, j), image_page(bytes, i), PAGE);
	if (random_one_in(random, 2))
		le64_put(image_page(bytes, j), BLOB_ID_BASE + number - start);
	image_seal(bytes, j);
	return len;
}

/* What two volumes say about themselves gets mixed. */
static void splice(uint8_t *bytes, uint32_t i, uint32_t j, struct random *random)
{
	uint32_t at = 16 + random_below(random, 200), n = 1 + random_below(random, 64);

	memcpy(image_page(bytes, i) + at, image_page(bytes, j) + at, n);
}

static size_t mutate_once(uint8_t *bytes, size_t len, size_t max, struct random *random)
{
	uint32_t count = image_pages(len), i = random_below(random, count);
	uint32_t j = random_below(random, count);

	switch (random_below(random, 12)) {
	case 0:
		swap_pages(bytes, i, j);
		break;
	case 1:
		return duplicate(bytes, len, max, i, random);
	case 2:
		memset(image_page(bytes, i), 0, PAGE);
		return len;
	case 3:
		splice(bytes, i, j, random);
		break;
	case 4:
		image_page(bytes, i)[random_below(random, PAGE)] = (uint8_t)random_next(random);
		break;
	default:
		set_field(bytes, len, i, random);
		break;
	}
	if (!random_one_in(random, 16)) {
		image_seal(bytes, i);
		image_seal(bytes, j);
	}
	return len;
}

size_t image_mutate(uint8_t *bytes, size_t len, size_t max, struct random *random)
{
	uint32_t times = 1 + random_below(random, 4);

	if (image_pages(len) == 0)
		return len;
	for (uint32_t i = 0; i < times; i++)
		len = mutate_once(bytes, len, max, random);
	return len;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images to be fed to Blobstore: a short form that has only the pages that matter, what is mutated
 * in it, and the trial itself.
 *
 * Short form: number of pages from 0 on that are zeroes (u32), then pages: number (u32), 4096
 * bytes. All else of the disk is stamps, which say where they lie, so that a volume that shows
 * another's clusters is found out.
 *
 * Threading: image_open() to image_close() in a fiber of reactor 0; the rest are pure functions but
 * for memory.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

#define IMAGE_DISK_BYTES (UINT64_C(64) << 20)
#define IMAGE_HEAD	 4u
#define IMAGE_ENTRY	 (4u + 4096u)
#define IMAGE_PAGES_MAX	 256u
#define IMAGE_BYTES_MAX	 (IMAGE_HEAD + IMAGE_PAGES_MAX * IMAGE_ENTRY)

/** struct image - @bytes is malloc()ed */
struct image {
	uint8_t *bytes;
	size_t len;
};

static inline uint32_t image_pages(size_t len)
{
	return len < IMAGE_HEAD ? 0 : (uint32_t)((len - IMAGE_HEAD) / IMAGE_ENTRY);
}
static inline uint8_t *image_page(uint8_t *bytes, uint32_t i)
{
	return bytes + IMAGE_HEAD + (size_t)i * IMAGE_ENTRY + 4;
}
/** image_number() - which page of the disk the @i th one is */
uint32_t image_number(const uint8_t *bytes, uint32_t i);

/** image_pack() - the pages of metadata of a disk that are not zero */
struct image image_pack(const uint8_t *disk, uint64_t bytes);
/** image_seed() - one of the images that a generator makes; false: there are no more. A fiber */
bool image_seed(unsigned int number, const char **name, struct image *image);

/** image_open() - the disk and the glass through which blobs are read */
void image_open(void);
void image_close(void);
/**
 * image_try() - a fiber: every parser on every page, then a load; what loads is read, written,
 * unloaded, and loaded again
 *
 * Ends the program when a volume shows what is another's, or the store cannot be loaded again.
 */
void image_try(const uint8_t *bytes, size_t len);

/* --- fields ----------------------------------------------------------------------------------- */

/** struct field - bytes of a page that mean one number */
struct field {
	uint16_t offset;
	uint8_t size;
};
#define FIELDS_MAX 1200u
/** image_fields() - those of page @i, found by what the page seems to be */
uint32_t image_fields(const uint8_t *bytes, size_t len, uint32_t i, struct field *fields);
/** image_seal() - a right checksum, where the kind of page has one */
void image_seal(uint8_t *bytes, uint32_t i);

/** Values that a field is set to: 0, 1, max, max - 1, one more, one less, and two neighbours'. */
#define VALUES 8u
uint64_t image_value(const uint8_t *page, const struct field *fields, uint32_t count,
		     uint32_t index, unsigned int value);
void image_set(uint8_t *page, const struct field *field, uint64_t value);
uint64_t image_get(const uint8_t *page, const struct field *field);

/** image_mutate() - change a few things; returns the new length, @max at most */
size_t image_mutate(uint8_t *bytes, size_t len, size_t max, struct random *random);

#endif

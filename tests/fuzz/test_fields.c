/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every field of an image, set to 0, 1, max, max - 1, one more, one less, and its neighbours'
 * values, with and without a right checksum: a load gives an error or works. It never crashes,
 * never hangs, and no volume shows what is another's (image_try() ends the program then).
 *
 * Threading: a fiber of reactor 0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "blob/format.h"
#include "image.h"
#include "kit.h"

struct range {
	uint32_t first, end; /* of page numbers */
};

static void set_and_try(const struct image *image, uint32_t i, const struct field *field,
			uint64_t value, bool sealed)
{
	uint8_t *copy = malloc(image->len);

	memcpy(copy, image->bytes, image->len);
	image_set(image_page(copy, i), field, value);
	if (sealed)
		image_seal(copy, i);
	image_try(copy, image->len);
	free(copy);
}

static void try_page(const struct image *image, uint32_t i)
{
	static struct field fields[FIELDS_MAX];
	uint32_t count = image_fields(image->bytes, image->len, i, fields);
	const uint8_t *page = image_page(image->bytes, i);

	for (uint32_t k = 0; k < count; k++) {
		for (unsigned int value = 0; value < VALUES; value++)
			set_and_try(image, i, &fields[k],
				    image_value(page, fields, count, k, value), true);
		set_and_try(image, i, &fields[k], ~image_get(page, &fields[k]), false);
	}
}

static void try_seed(unsigned int number, const struct range *range)
{
	struct image image;
	const char *name;
	bool there;

	kit_glass_open(512);
	there = image_seed(number, &name, &image);
	kit_glass_close();
	if (!there)
		kit_die("there is no seed %u", number);
	image_open();
	for (uint32_t i = 0; i < image_pages(image.len); i++) {
		uint32_t page = image_number(image.bytes, i);

		if (page >= range->first && page < range->end)
			try_page(&image, i);
	}
	image_close();
	free(image.bytes);
}

/* Seeds 0 and 1 are the clean and the dirty one; their metadata pages begin at 4. */
static void clean_pages(void *arg)
{
	try_seed(0, arg);
}

static void dirty_pages(void *arg)
{
	try_seed(1, arg);
}

static void test_security_blob_super_block(void **state)
{
	struct range range = { 0, 1 };

	(void)state;
	kit_fiber(1, clean_pages, &range);
	kit_fiber(1, dirty_pages, &range);
}

static void test_security_blob_masks(void **state)
{
	struct range range = { 1, 4 };

	(void)state;
	kit_fiber(1, clean_pages, &range);
}

static void test_security_blob_pages_clean(void **state)
{
	struct range range = { 4, UINT32_MAX };

	(void)state;
	kit_fiber(1, clean_pages, &range);
}

static void test_security_blob_pages_dirty(void **state)
{
	struct range range = { 4, UINT32_MAX };

	(void)state;
	kit_fiber(1, dirty_pages, &range);
}

static void swap_all(void *arg)
{
	struct image image;
	const char *name;

	(void)arg;
	kit_glass_open(512);
	(void)image_seed(1, &name, &image);
	kit_glass_close();
	image_open();
	for (uint32_t i = 1; i < image_pages(image.len); i++) {
		for (uint32_t j = 1; j < image_pages(image.len); j++) {
			uint8_t *copy = malloc(image.len);

			/* Page i as it is, at the place of j, with j's id. */
			memcpy(copy, image.bytes, image.len);
			memcpy(image_page(copy, j), image_page(image.bytes, i), 4096);
			image_try(copy, image.len);
			memcpy(image_page(copy, j), image_page(image.bytes, j), 8);
			image_seal(copy, j);
			image_try(copy, image.len);
			free(copy);
		}
	}
	image_close();
	free(image.bytes);
}

static void test_security_blob_pages_in_place_of_others(void **state)
{
	(void)state;
	kit_fiber(1, swap_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_blob_super_block),
		cmocka_unit_test(test_security_blob_masks),
		cmocka_unit_test(test_security_blob_pages_clean),
		cmocka_unit_test(test_security_blob_pages_dirty),
		cmocka_unit_test(test_security_blob_pages_in_place_of_others),
	};

	log_set_level(LOG_DISABLED);
	log_set_print_level(LOG_DISABLED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

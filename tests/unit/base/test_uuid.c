/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs as text, as bytes, random and named. */
#include "unit.h"

#include <errno.h>

#include "base/uuid.h"

static const char text_dns[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

static void test_uuid_byte_order_is_that_of_the_text(void **state)
{
	static const uint8_t raw[16] = { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
					 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	char text[UUID_TEXT_SIZE];
	struct uuid u;

	(void)state;
	assert_int_equal(uuid_from_text(&u, "6BA7b810-9DAD-11d1-80b4-00C04FD430C8"), 0);
	assert_memory_equal(u.raw, raw, 16);
	uuid_to_text(&u, text);
	assert_string_equal(text, text_dns);
}

static void test_uuid_refuses_other_text(void **state)
{
	static const char *const wrong[] = {
		"",
		"6ba7b810",
		"6ba7b8109dad11d180b400c04fd430c8",
		"6ba7b810-9dad-11d1-80b4-00c04fd430c",
		"6ba7b810-9dad-11d1-80b4-00c04fd430c88",
		"6ba7b810-9dad-11d1-80b4_00c04fd430c8",
		"6ba7b810-9dad-11d1-80b4-00c04fd430cg",
		"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
		" 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
	};
	struct uuid u = { { 1 } }, before = u;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(uuid_from_text(&u, wrong[i]), -EINVAL);
	assert_true(uuid_equal(&u, &before));
}

/* Values any RFC 4122 implementation gives, e.g. Python's uuid.uuid5(NAMESPACE_DNS, ...). */
static void test_uuid_version_5(void **state)
{
	char text[UUID_TEXT_SIZE];
	struct uuid ns, u;

	(void)state;
	assert_int_equal(uuid_from_text(&ns, text_dns), 0);
	uuid_from_name(&u, &ns, "python.org");
	uuid_to_text(&u, text);
	assert_string_equal(text, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
	uuid_from_name(&u, &ns, "www.example.com");
	uuid_to_text(&u, text);
	assert_string_equal(text, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

static void test_uuid_random(void **state)
{
	struct uuid a, b, nil = { { 0 } };

	(void)state;
	uuid_make(&a);
	uuid_make(&b);
	assert_false(uuid_equal(&a, &b));
	assert_true(uuid_equal(&a, &a));
	assert_int_equal(a.raw[6] >> 4, 4);
	assert_int_equal(a.raw[8] >> 6, 2);
	assert_false(uuid_is_nil(&a));
	assert_true(uuid_is_nil(&nil));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uuid_byte_order_is_that_of_the_text),
		cmocka_unit_test(test_uuid_refuses_other_text),
		cmocka_unit_test(test_uuid_version_5),
		cmocka_unit_test(test_uuid_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

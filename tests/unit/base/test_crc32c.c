/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C against the vectors of RFC 3720, appendix B.4. */
#include "unit.h"

#include <sys/mman.h>

#include "base/crc32c.h"

static uint32_t digest(const void *data, size_t len)
{
	return crc32c_finish(crc32c_update(CRC32C_INIT, data, len));
}

static void test_crc32c_rfc3720(void **state)
{
	/* An iSCSI SCSI Read (10) command PDU. */
	static const uint8_t pdu[48] = {
		0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
		0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(digest(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(digest(bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(digest(bytes, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(digest(bytes, 32), 0x113fdb5c);
	assert_int_equal(digest(pdu, sizeof(pdu)), 0xd9963a56);
	assert_int_equal(digest("123456789", 9), 0xe3069283);
	assert_int_equal(digest("", 0), 0);
}

static void test_crc32c_pieces_are_the_whole(void **state)
{
	uint8_t bytes[300];
	uint32_t whole;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	whole = digest(bytes, sizeof(bytes));
	for (size_t split = 0; split <= sizeof(bytes); split++) {
		uint32_t crc = crc32c_update(CRC32C_INIT, bytes, split);

		crc = crc32c_update(crc, bytes + split, sizeof(bytes) - split);
		assert_int_equal(crc32c_finish(crc), whole);
	}
}

/* More than isa-l takes at once; the pages are the kernel's one page of zeros, but for the last. */
static void test_crc32c_beyond_a_gigabyte(void **state)
{
	size_t half = (size_t)1 << 30, len = half + 8;
	uint8_t *bytes = mmap(NULL, len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint32_t crc;

	(void)state;
	assert_ptr_not_equal(bytes, MAP_FAILED);
	memcpy(bytes + half, "the end", 8);
	crc = crc32c_update(crc32c_update(CRC32C_INIT, bytes, half), bytes + half, 8);
	assert_int_equal(crc32c_update(CRC32C_INIT, bytes, len), crc);
	munmap(bytes, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_rfc3720),
		cmocka_unit_test(test_crc32c_pieces_are_the_whole),
		cmocka_unit_test(test_crc32c_beyond_a_gigabyte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C, on isa-l, which takes the best instructions of the CPU.
 *
 * Threading: pure functions.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>

/* isa-l counts in int. */
#define CHUNK_MAX ((size_t)1 << 30)

uint32_t crc32c_update(uint32_t crc, const void *data, size_t len)
{
	/* isa-l's prototype lacks the const that it keeps. */
	unsigned char *at = (unsigned char *)data;

	while (len > 0) {
		size_t chunk = len < CHUNK_MAX ? len : CHUNK_MAX;

		crc = crc32_iscsi(at, (int)chunk, crc);
		at += chunk;
		len -= chunk;
	}
	return crc;
}

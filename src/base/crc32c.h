/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli, reflected), as NVMe/TCP digests (NVMe/TCP 1.0, section 3.3.1.1) and SPDK's
 * Blobstore use it, on isa-l.
 *
 * A digest of scattered bytes: start with CRC32C_INIT, update over each piece, finish. Blobstore's
 * own use (no final inversion) takes the value before crc32c_finish().
 *
 * Threading: pure functions.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_INIT UINT32_C(0xffffffff)

uint32_t crc32c_update(uint32_t crc, const void *data, size_t len);

static inline uint32_t crc32c_finish(uint32_t crc)
{
	return crc ^ UINT32_C(0xffffffff);
}

#endif

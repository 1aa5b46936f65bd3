/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys of NVMe/TCP with TLS (NVMe/TCP 1.1, 3.6.1): what host and target make of the key
 * that an operator gave to both, and how a host says which key it means. Both sides, SPDK and the
 * tools of Linux do the same.
 *
 *   configured PSK -> retained PSK (of a host) -> TLS PSK (of an identity)
 *   identity: "NVMe" VERSION "R" HASH " " host NQN " " subsystem NQN [" " digest]
 *
 * Threading: pure functions.
 */
#ifndef NVME_PSK_H
#define NVME_PSK_H

#include <stdint.h>

#include "base/key_file.h"

#define NVME_PSK_BYTES_MAX    48u
#define NVME_PSK_IDENTITY_MAX 544u /* with its end */

/**
 * struct nvme_psk - a retained or TLS PSK
 * @len: 32: SHA-256 and TLS_AES_128_GCM_SHA256; 48: SHA-384 and TLS_AES_256_GCM_SHA384
 */
struct nvme_psk {
	uint8_t bytes[NVME_PSK_BYTES_MAX];
	uint8_t len;
};

/** enum nvme_psk_version - of identities: without, and with a digest of the PSK */
enum nvme_psk_version {
	NVME_PSK_VERSION_0, /* SPDK's and older tools' */
	NVME_PSK_VERSION_1,
};
#define NVME_PSK_VERSIONS 2

/**
 * nvme_psk_retain() - the retained PSK of a host (3.6.1.3)
 * @key: as configured; one without a hash is retained as it is
 *
 * Return: 0, or -EIO when the cryptographic library fails.
 */
int nvme_psk_retain(const struct key *key, const char *hostnqn, struct nvme_psk *retained);

/**
 * nvme_psk_identity() - how a host names it (3.6.1.3)
 *
 * Return: 0; -ENAMETOOLONG when the NQNs are too long for an identity of version 0, which has 255
 * bytes; -EIO.
 */
int nvme_psk_identity(const struct nvme_psk *retained, enum nvme_psk_version version,
		      const char *hostnqn, const char *subnqn,
		      char identity[static NVME_PSK_IDENTITY_MAX]);

/** nvme_psk_derive() - the TLS PSK of an identity that nvme_psk_identity() made; 0 or -EIO */
int nvme_psk_derive(const struct nvme_psk *retained, const char *identity, struct nvme_psk *psk);

#endif

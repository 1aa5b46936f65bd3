/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DH-HMAC-CHAP (Base 2.0, 8.13.5): its hashes and groups, and the responses that prove a key.
 *
 * Threading: pure functions.
 */
#ifndef NVME_DHCHAP_H
#define NVME_DHCHAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/key_file.h"

#define NVME_DHCHAP_HASH_MAX 64u
#define NVME_DHCHAP_DH_MAX   1024u

/* Identifiers of hashes and of Diffie-Hellman groups (Base 2.0, Figures 440 and 441). */
enum {
	NVME_DHCHAP_SHA256 = 1,
	NVME_DHCHAP_SHA384 = 2,
	NVME_DHCHAP_SHA512 = 3,
	NVME_DHCHAP_GROUP_NULL = 0,
	NVME_DHCHAP_GROUP_2048 = 1,
	NVME_DHCHAP_GROUP_3072 = 2,
	NVME_DHCHAP_GROUP_4096 = 3,
	NVME_DHCHAP_GROUP_6144 = 4,
	NVME_DHCHAP_GROUP_8192 = 5,
};

/* All of them, a bit for each. */
#define NVME_DHCHAP_HASHES 0x0eu
#define NVME_DHCHAP_GROUPS 0x3fu

/** nvme_dhchap_hash_len() - bytes of a hash; 0 for one that is not known */
uint8_t nvme_dhchap_hash_len(uint8_t hash);
/** nvme_dhchap_group_len() - bytes of a group's values; 0 for the null group and unknown ones */
uint16_t nvme_dhchap_group_len(uint8_t group);
/** nvme_dhchap_hash_name(), nvme_dhchap_group_name() - as SPDK spells them; NULL: not known */
const char *nvme_dhchap_hash_name(uint8_t hash);
const char *nvme_dhchap_group_name(uint8_t group);
/** nvme_dhchap_strongest() - of the identifiers whose bits are set; -1: there is none */
int nvme_dhchap_strongest(uint32_t bits);

/**
 * struct nvme_dhchap_proof - what a response is made of (Base 2.0, 8.13.5.3)
 * @challenge: as long as the hash
 * @role: "HostHost" or "Controller"
 * @owner, @other: NQN of who responds, and of who asked
 * @secret, @secret_len: what both have by Diffie-Hellman; 0 with the null group
 */
struct nvme_dhchap_proof {
	uint8_t hash;
	const uint8_t *challenge;
	uint32_t seq;
	uint16_t tid;
	const char *role, *owner, *other;
	const uint8_t *secret;
	size_t secret_len;
};

/** nvme_dhchap_respond() - 0, or -EIO when the cryptographic library fails */
int nvme_dhchap_respond(const struct key *key, const struct nvme_dhchap_proof *proof,
			uint8_t out[static NVME_DHCHAP_HASH_MAX]);

/* --- Diffie-Hellman (Base 2.0, 8.13.5.4; RFC 7919) ---------------------------------------------
 *
 * To make a key or a secret takes up to some tens of milliseconds.
 */

struct nvme_dh;

/** nvme_dh_create() - a new key of a group other than null; NULL when the library fails */
struct nvme_dh *nvme_dh_create(uint8_t group);
/** nvme_dh_free() - NULL is allowed */
void nvme_dh_free(struct nvme_dh *dh);
/** nvme_dh_public() - as many bytes as the group has; 0 or -EIO */
int nvme_dh_public(const struct nvme_dh *dh, uint8_t out[static NVME_DHCHAP_DH_MAX]);
/**
 * nvme_dh_secret() - what this key and the other's public value give, as many bytes as the group
 * has
 *
 * Return: 0; -EINVAL when @peer is no value of the group that is safe to use; -EIO.
 */
int nvme_dh_secret(const struct nvme_dh *dh, const uint8_t *peer, size_t len,
		   uint8_t out[static NVME_DHCHAP_DH_MAX]);

#endif

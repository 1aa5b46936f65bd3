/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DH-HMAC-CHAP (Base 2.0, 8.13.5): messages, and the responses that prove a key.
 *
 * Threading: pure functions.
 */
#ifndef NVME_DHCHAP_H
#define NVME_DHCHAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key_file.h"

#define NVME_DHCHAP_HASH_MAX 64u

/* Identifiers of hashes and of the one group that is spoken (Base 2.0, Figures 440 and 441). */
enum {
	NVME_DHCHAP_SHA256 = 1,
	NVME_DHCHAP_SHA384 = 2,
	NVME_DHCHAP_SHA512 = 3,
	NVME_DHCHAP_GROUP_NULL = 0,
};

/* Types and identifiers of messages (Base 2.0, Figure 436). */
enum {
	NVME_AUTH_COMMON = 0x00,
	NVME_AUTH_DHCHAP = 0x01,
	NVME_AUTH_NEGOTIATE = 0x00,
	NVME_AUTH_CHALLENGE = 0x01,
	NVME_AUTH_REPLY = 0x02,
	NVME_AUTH_SUCCESS1 = 0x03,
	NVME_AUTH_SUCCESS2 = 0x04,
	NVME_AUTH_FAILURE1 = 0xf1,
};

#define NVME_AUTH_PROTOCOL 0xe9u /* SECP of Authentication Send and Receive */
#define NVME_AUTH_SPECIFIC 0x01u /* SPSP0 and SPSP1 */

/* Every message begins like this. */
struct nvme_auth_head {
	uint8_t type;
	uint8_t id;
	uint16_t reserved;
	uint16_t tid;
} __attribute__((packed));

struct nvme_auth_negotiate {
	struct nvme_auth_head head;
	uint8_t secure_channel;
	uint8_t count;
	struct {
		uint8_t id;
		uint8_t reserved;
		uint8_t hashes;
		uint8_t groups;
		uint8_t hash[30];
		uint8_t group[30];
	} __attribute__((packed)) dhchap;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_negotiate) == 72, "AUTH_Negotiate");

struct nvme_auth_challenge {
	struct nvme_auth_head head;
	uint8_t hash_len;
	uint8_t reserved;
	uint8_t hash;
	uint8_t group;
	uint16_t dh_len;
	uint32_t seq;
	uint8_t challenge[];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_challenge) == 16, "DH-HMAC-CHAP_Challenge");

struct nvme_auth_reply {
	struct nvme_auth_head head;
	uint8_t hash_len;
	uint8_t reserved;
	uint8_t challenge_valid;
	uint8_t reserved2;
	uint16_t dh_len;
	uint32_t seq;
	uint8_t data[2 * NVME_DHCHAP_HASH_MAX]; /* response, challenge: hash_len each */
} __attribute__((packed));

struct nvme_auth_success1 {
	struct nvme_auth_head head;
	uint8_t hash_len;
	uint8_t reserved;
	uint8_t response_valid;
	uint8_t reserved2[7];
	uint8_t response[];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_success1) == 16, "DH-HMAC-CHAP_Success1");

struct nvme_auth_success2 {
	struct nvme_auth_head head;
	uint8_t reserved[10];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_success2) == 16, "DH-HMAC-CHAP_Success2");

struct nvme_auth_failure1 {
	struct nvme_auth_head head;
	uint8_t reason;
	uint8_t explanation;
} __attribute__((packed));

/** nvme_dhchap_hash_len() - bytes of a hash; 0 for one that is not known */
uint8_t nvme_dhchap_hash_len(uint8_t hash);

/**
 * struct nvme_dhchap_proof - what a response is made of (Base 2.0, 8.13.5.3)
 * @challenge: as long as the hash
 * @role: "HostHost" or "Controller"
 * @owner, @other: NQN of who responds, and of who asked
 */
struct nvme_dhchap_proof {
	uint8_t hash;
	const uint8_t *challenge;
	uint32_t seq;
	uint16_t tid;
	const char *role, *owner, *other;
};

/** nvme_dhchap_respond() - 0, or -EIO when the cryptographic library fails */
int nvme_dhchap_respond(const struct key *key, const struct nvme_dhchap_proof *proof,
			uint8_t out[static NVME_DHCHAP_HASH_MAX]);

#endif

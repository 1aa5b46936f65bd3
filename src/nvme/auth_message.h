/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of authentication (Base 2.0, 8.13.4 and 8.13.5), as they lie in the data of
 * Authentication Send and Receive, and the one place where what came is held against that.
 *
 * Threading: pure functions.
 */
#ifndef NVME_AUTH_MESSAGE_H
#define NVME_AUTH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types and identifiers of messages (Base 2.0, Figure 436). */
enum {
	NVME_AUTH_COMMON = 0x00,
	NVME_AUTH_DHCHAP = 0x01,
	NVME_AUTH_NEGOTIATE = 0x00,
	NVME_AUTH_CHALLENGE = 0x01,
	NVME_AUTH_REPLY = 0x02,
	NVME_AUTH_SUCCESS1 = 0x03,
	NVME_AUTH_SUCCESS2 = 0x04,
	NVME_AUTH_FAILURE2 = 0xf0,
	NVME_AUTH_FAILURE1 = 0xf1,
};

/* Why an authentication failed: the explanation beside the one reason that there is. */
enum nvme_auth_reason {
	NVME_AUTH_REASON_FAILED = 1,
	NVME_AUTH_REASON_PROTOCOL = 2,
	NVME_AUTH_REASON_SECURE_CHANNEL = 3,
	NVME_AUTH_REASON_HASH = 4,
	NVME_AUTH_REASON_GROUP = 5,
	NVME_AUTH_REASON_PAYLOAD = 6,
	NVME_AUTH_REASON_MESSAGE = 7,
};
#define NVME_AUTH_FAILURE 1u /* the reason */

#define NVME_AUTH_PROTOCOL 0xe9u /* SECP of Authentication Send and Receive */
#define NVME_AUTH_SPECIFIC 0x01u /* SPSP0 and SPSP1 */
#define NVME_AUTH_IDS_MAX  30u	 /* hashes, and groups, in one descriptor */

/* Every message begins like this. */
struct nvme_auth_head {
	uint8_t type;
	uint8_t id;
	uint16_t reserved;
	uint16_t tid;
} __attribute__((packed));

struct nvme_auth_descriptor {
	uint8_t id;
	uint8_t reserved;
	uint8_t hashes;
	uint8_t groups;
	uint8_t hash[NVME_AUTH_IDS_MAX];
	uint8_t group[NVME_AUTH_IDS_MAX];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_descriptor) == 64, "authentication protocol descriptor");

struct nvme_auth_negotiate {
	struct nvme_auth_head head;
	uint8_t secure_channel;
	uint8_t count;
	struct nvme_auth_descriptor protocols[];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_negotiate) == 8, "AUTH_Negotiate");

struct nvme_auth_challenge {
	struct nvme_auth_head head;
	uint8_t hash_len;
	uint8_t reserved;
	uint8_t hash;
	uint8_t group;
	uint16_t dh_len;
	uint32_t seq;
	uint8_t data[]; /* challenge, Diffie-Hellman value */
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
	uint8_t data[]; /* response, challenge, Diffie-Hellman value */
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_reply) == 16, "DH-HMAC-CHAP_Reply");

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

struct nvme_auth_failure {
	struct nvme_auth_head head;
	uint8_t reason;
	uint8_t explanation;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_auth_failure) == 8, "AUTH_Failure1, AUTH_Failure2");

/** nvme_auth_is() - the message has a head, of that type and identifier */
bool nvme_auth_is(const void *message, size_t len, uint8_t type, uint8_t id);
/** nvme_auth_tid() - of a message that has a head */
uint16_t nvme_auth_tid(const void *message);
/** nvme_auth_fill_head() - the rest of @size bytes is cleared */
void nvme_auth_fill_head(void *message, size_t size, uint8_t type, uint8_t id, uint16_t tid);
/** nvme_auth_reason_text() - for people; also of what is no reason */
const char *nvme_auth_reason_text(uint8_t explanation);

/*
 * What follows holds a message of the type and identifier that nvme_auth_is() found against its
 * form. @len: bytes that came; a message that was sent has just its own, one that was received may
 * have more behind it. @tid: of this authentication. Pointers go into the message.
 *
 * Return: 0, or the enum nvme_auth_reason to fail for.
 */

/** struct nvme_auth_offer - @hashes, @groups: a bit for each identifier that is known */
struct nvme_auth_offer {
	uint32_t hashes, groups;
};
int nvme_auth_take_negotiate(const void *message, size_t len, struct nvme_auth_offer *out);

/** struct nvme_auth_asked - a challenge; @dh is NULL with the group null */
struct nvme_auth_asked {
	uint8_t hash, group;
	uint32_t seq;
	const uint8_t *challenge, *dh;
	uint16_t dh_len;
};
int nvme_auth_take_challenge(const void *message, size_t len, uint16_t tid,
			     struct nvme_auth_asked *out);

/** struct nvme_auth_replied - @challenge: of the host, NULL when it asks for no response */
struct nvme_auth_replied {
	uint32_t seq;
	const uint8_t *response, *challenge, *dh;
	uint16_t dh_len;
};
int nvme_auth_take_reply(const void *message, size_t len, uint16_t tid, uint8_t hash, uint8_t group,
			 struct nvme_auth_replied *out);

/** nvme_auth_take_success1() - @response: NULL when there is none */
int nvme_auth_take_success1(const void *message, size_t len, uint16_t tid, uint8_t hash,
			    const uint8_t **response);

/** nvme_auth_take_end() - Success2 or a failure, @size bytes long */
int nvme_auth_take_end(const void *message, size_t len, uint16_t tid, size_t size);

#endif

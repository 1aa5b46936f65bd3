/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of authentication, see auth_message.h.
 *
 * Threading: pure functions.
 */
#include "nvme/auth_message.h"

#include <string.h>

#include "base/le.h"
#include "nvme/dhchap.h"

bool nvme_auth_is(const void *message, size_t len, uint8_t type, uint8_t id)
{
	const struct nvme_auth_head *head = message;

	return len >= sizeof(*head) && head->type == type && head->id == id;
}

uint16_t nvme_auth_tid(const void *message)
{
	const struct nvme_auth_head *head = message;

	return le16_get(&head->tid);
}

void nvme_auth_fill_head(void *message, size_t size, uint8_t type, uint8_t id, uint16_t tid)
{
	struct nvme_auth_head *head = message;

	memset(message, 0, size);
	head->type = type;
	head->id = id;
	le16_put(&head->tid, tid);
}

const char *nvme_auth_reason_text(uint8_t explanation)
{
	switch (explanation) {
	case NVME_AUTH_REASON_FAILED:
		return "the key is another one";
	case NVME_AUTH_REASON_PROTOCOL:
		return "no authentication protocol of both";
	case NVME_AUTH_REASON_SECURE_CHANNEL:
		return "secure channel concatenation is not agreed on";
	case NVME_AUTH_REASON_HASH:
		return "no hash of both";
	case NVME_AUTH_REASON_GROUP:
		return "no Diffie-Hellman group of both";
	case NVME_AUTH_REASON_PAYLOAD:
		return "a message has a wrong form";
	case NVME_AUTH_REASON_MESSAGE:
		return "a message came out of its turn";
	default:
		return "for no reason that is known";
	}
}

/* A value is big-endian and may come without leading zeroes; its length goes by fours. */
static bool dh_len_is_right(uint8_t group, uint16_t len)
{
	uint16_t most = nvme_dhchap_group_len(group);

	return most == 0 ? len == 0 : len > 0 && len <= most && len % 4 == 0;
}

/* --- what a host offers ----------------------------------------------------------------------- */

static uint32_t bits_of(const uint8_t *ids, uint8_t count)
{
	uint32_t bits = 0;

	for (uint8_t i = 0; i < count; i++)
		bits |= ids[i] < 32 ? UINT32_C(1) << ids[i] : 0;
	return bits;
}

static const struct nvme_auth_descriptor *find_dhchap(const struct nvme_auth_negotiate *m)
{
	for (uint8_t i = 0; i < m->count; i++) {
		if (m->protocols[i].id == NVME_AUTH_DHCHAP)
			return &m->protocols[i];
	}
	return NULL;
}

int nvme_auth_take_negotiate(const void *message, size_t len, struct nvme_auth_offer *out)
{
	const struct nvme_auth_negotiate *m = message;
	const struct nvme_auth_descriptor *d;

	if (len < sizeof(*m) || len != sizeof(*m) + m->count * sizeof(*d))
		return NVME_AUTH_REASON_PAYLOAD;
	if (m->secure_channel != 0)
		return NVME_AUTH_REASON_SECURE_CHANNEL;
	d = find_dhchap(m);
	if (!d)
		return NVME_AUTH_REASON_PROTOCOL;
	if (d->hashes > NVME_AUTH_IDS_MAX || d->groups > NVME_AUTH_IDS_MAX)
		return NVME_AUTH_REASON_PAYLOAD;
	out->hashes = bits_of(d->hash, d->hashes) & NVME_DHCHAP_HASHES;
	out->groups = bits_of(d->group, d->groups) & NVME_DHCHAP_GROUPS;
	return 0;
}

/* --- DH-HMAC-CHAP ----------------------------------------------------------------------------- */

int nvme_auth_take_challenge(const void *message, size_t len, uint16_t tid,
			     struct nvme_auth_asked *out)
{
	const struct nvme_auth_challenge *m = message;
	uint8_t hash_len;

	if (len < sizeof(*m) || le16_get(&m->head.tid) != tid || m->group > NVME_DHCHAP_GROUP_8192)
		return NVME_AUTH_REASON_PAYLOAD;
	hash_len = nvme_dhchap_hash_len(m->hash);
	out->dh_len = le16_get(&m->dh_len);
	out->seq = le32_get(&m->seq);
	if (hash_len == 0 || m->hash_len != hash_len || out->seq == 0 ||
	    !dh_len_is_right(m->group, out->dh_len) ||
	    len < sizeof(*m) + hash_len + (size_t)out->dh_len)
		return NVME_AUTH_REASON_PAYLOAD;
	out->hash = m->hash;
	out->group = m->group;
	out->challenge = m->data;
	out->dh = out->dh_len ? m->data + hash_len : NULL;
	return 0;
}

int nvme_auth_take_reply(const void *message, size_t len, uint16_t tid, uint8_t hash, uint8_t group,
			 struct nvme_auth_replied *out)
{
	const struct nvme_auth_reply *m = message;
	uint8_t hash_len = nvme_dhchap_hash_len(hash);

	if (len < sizeof(*m) || le16_get(&m->head.tid) != tid || m->hash_len != hash_len ||
	    m->challenge_valid > 1)
		return NVME_AUTH_REASON_PAYLOAD;
	out->dh_len = le16_get(&m->dh_len);
	out->seq = le32_get(&m->seq);
	if (!dh_len_is_right(group, out->dh_len) || (m->challenge_valid && out->seq == 0) ||
	    len != sizeof(*m) + 2 * (size_t)hash_len + out->dh_len)
		return NVME_AUTH_REASON_PAYLOAD;
	out->response = m->data;
	out->challenge = m->challenge_valid ? m->data + hash_len : NULL;
	out->dh = out->dh_len ? m->data + 2 * hash_len : NULL;
	return 0;
}

int nvme_auth_take_success1(const void *message, size_t len, uint16_t tid, uint8_t hash,
			    const uint8_t **response)
{
	const struct nvme_auth_success1 *m = message;
	uint8_t hash_len = nvme_dhchap_hash_len(hash);

	*response = NULL;
	if (len < sizeof(*m) || le16_get(&m->head.tid) != tid || m->response_valid > 1)
		return NVME_AUTH_REASON_PAYLOAD;
	if (!m->response_valid)
		return 0;
	if (m->hash_len != hash_len || len < sizeof(*m) + hash_len)
		return NVME_AUTH_REASON_PAYLOAD;
	*response = m->response;
	return 0;
}

int nvme_auth_take_end(const void *message, size_t len, uint16_t tid, size_t size)
{
	const struct nvme_auth_head *head = message;

	return len != size || le16_get(&head->tid) != tid ? NVME_AUTH_REASON_PAYLOAD : 0;
}

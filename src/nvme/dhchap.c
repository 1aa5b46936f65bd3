/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses of DH-HMAC-CHAP, see dhchap.h.
 *
 * Threading: pure functions.
 */
#include "nvme/dhchap.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/le.h"

#define NQN_MAX	  223u
#define BIND_TEXT "NVMe-over-Fabrics"

static const char *const hash_names[] = { NULL, "sha256", "sha384", "sha512" };

static const struct {
	const char *name;
	uint16_t len;
} groups[] = {
	{ "null", 0 },	      { "ffdhe2048", 256 }, { "ffdhe3072", 384 },
	{ "ffdhe4096", 512 }, { "ffdhe6144", 768 }, { "ffdhe8192", 1024 },
};

#define HASHES (sizeof(hash_names) / sizeof(hash_names[0]))
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static const EVP_MD *digest(uint8_t hash)
{
	switch (hash) {
	case NVME_DHCHAP_SHA256:
		return EVP_sha256();
	case NVME_DHCHAP_SHA384:
		return EVP_sha384();
	case NVME_DHCHAP_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

uint8_t nvme_dhchap_hash_len(uint8_t hash)
{
	return hash >= NVME_DHCHAP_SHA256 && hash <= NVME_DHCHAP_SHA512 ? (uint8_t)(16 + 16 * hash)
									: 0;
}

uint16_t nvme_dhchap_group_len(uint8_t group)
{
	return group < GROUPS ? groups[group].len : 0;
}

const char *nvme_dhchap_hash_name(uint8_t hash)
{
	return hash < HASHES ? hash_names[hash] : NULL;
}

const char *nvme_dhchap_group_name(uint8_t group)
{
	return group < GROUPS ? groups[group].name : NULL;
}

/* Identifiers go up with the strength. */
int nvme_dhchap_strongest(uint32_t bits)
{
	return bits ? 31 - __builtin_clz(bits) : -1;
}

/* --- responses -------------------------------------------------------------------------------- */

/* A bound key is worth something for one NQN only (Base 2.0, 8.13.5.7). */
static int bind_key(const struct key *key, const char *nqn, uint8_t *out, size_t *len)
{
	char text[NQN_MAX + sizeof(BIND_TEXT)];
	unsigned int n = 0;
	int size;

	*len = key->len;
	memcpy(out, key->bytes, key->len);
	if (!key->hash)
		return 0;
	size = snprintf(text, sizeof(text), "%s" BIND_TEXT, nqn);
	if (size < 0 || (size_t)size >= sizeof(text) ||
	    !HMAC(digest(key->hash), key->bytes, key->len, (uint8_t *)text, (size_t)size, out, &n))
		return -EIO;
	*len = n;
	return 0;
}

/*
 * With a secret of both the challenge is bound to it (8.13.5.4): HMAC(H(secret), challenge).
 */
static int augment(const struct nvme_dhchap_proof *proof, uint8_t out[static NVME_DHCHAP_HASH_MAX])
{
	uint8_t session[NVME_DHCHAP_HASH_MAX], len = nvme_dhchap_hash_len(proof->hash);
	bool good;

	if (proof->secret_len == 0) {
		memcpy(out, proof->challenge, len);
		return 0;
	}
	good = EVP_Digest(proof->secret, proof->secret_len, session, NULL, digest(proof->hash),
			  NULL) &&
	       HMAC(digest(proof->hash), session, len, proof->challenge, len, out, NULL);
	explicit_bzero(session, sizeof(session));
	return good ? 0 : -EIO;
}

static size_t put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return len;
}

int nvme_dhchap_respond(const struct key *key, const struct nvme_dhchap_proof *proof,
			uint8_t out[static NVME_DHCHAP_HASH_MAX])
{
	uint8_t text[NVME_DHCHAP_HASH_MAX + 4 + 2 + 1 + 10 + 2 * (NQN_MAX + 1)];
	uint8_t secret[NVME_DHCHAP_HASH_MAX];
	size_t n = 0, secret_len;
	int rc;

	if (strlen(proof->owner) > NQN_MAX || strlen(proof->other) > NQN_MAX ||
	    augment(proof, text) < 0)
		return -EIO;
	n = nvme_dhchap_hash_len(proof->hash);
	le32_put(text + n, proof->seq);
	le16_put(text + n + 4, proof->tid);
	text[n + 6] = 0; /* no secure channel is concatenated */
	n += 7;
	n += put(text + n, proof->role, strlen(proof->role));
	n += put(text + n, proof->owner, strlen(proof->owner) + 1);
	n += put(text + n, proof->other, strlen(proof->other));
	rc = bind_key(key, proof->owner, secret, &secret_len);
	if (rc == 0 && !HMAC(digest(proof->hash), secret, (int)secret_len, text, n, out, NULL))
		rc = -EIO;
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

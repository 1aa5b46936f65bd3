/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and responses of DH-HMAC-CHAP, see dhchap.h.
 *
 * Threading: pure functions.
 */
#include "nvme/dhchap.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/le.h"

#define TEXT_MAX  160u
#define CRC_BYTES 4u
#define NQN_MAX	  223u
#define BIND_TEXT "NVMe-over-Fabrics"

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

/* --- keys ------------------------------------------------------------------------------------- */

static int no_key(struct error *err, const char *what)
{
	return error_set(err, -EINVAL,
			 "the key %s: it is written DHHC-1:HH:BASE64:, HH from 00 to 03, of 32, 48 "
			 "or 64 bytes and their CRC-32",
			 what);
}

/* Return: bytes without the padding, or 0. */
static size_t decode(const char *text, size_t len, uint8_t out[static TEXT_MAX])
{
	size_t padding = 0;
	int n;

	if (len == 0 || len % 4 != 0 || len > TEXT_MAX)
		return 0;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	n = EVP_DecodeBlock(out, (const uint8_t *)text, (int)len);
	return n < 0 || (size_t)n < padding ? 0 : (size_t)n - padding;
}

static int take_secret(struct nvme_dhchap_key *key, const uint8_t *raw, size_t len,
		       struct error *err)
{
	size_t bytes = len - CRC_BYTES;

	if (len < CRC_BYTES || (bytes != 32 && bytes != 48 && bytes != 64))
		return no_key(err, "has a wrong length");
	if (crc32_gzip_refl(0, raw, bytes) != le32_get(raw + bytes))
		return no_key(err, "does not fit its CRC-32");
	if (key->hash && bytes != nvme_dhchap_hash_len(key->hash))
		return no_key(err, "has not the length of its hash");
	memcpy(key->bytes, raw, bytes);
	key->len = (uint8_t)bytes;
	return 0;
}

int nvme_dhchap_key_parse(const char *text, struct nvme_dhchap_key *key, struct error *err)
{
	uint8_t raw[TEXT_MAX];
	const char *end;
	size_t len;
	int rc;

	memset(key, 0, sizeof(*key));
	if (strncmp(text, "DHHC-1:0", 8) != 0 || text[8] < '0' || text[8] > '3' || text[9] != ':')
		return no_key(err, "does not begin so");
	key->hash = (uint8_t)(text[8] - '0');
	end = strchr(text + 10, ':');
	if (!end || end[1 + strspn(end + 1, "\r\n")] != '\0')
		return no_key(err, "does not end so");
	len = decode(text + 10, (size_t)(end - text - 10), raw);
	rc = take_secret(key, raw, len, err);
	explicit_bzero(raw, sizeof(raw));
	return rc;
}

int nvme_dhchap_key_read(const char *path, struct nvme_dhchap_key *key, struct error *err)
{
	char text[2 * TEXT_MAX];
	FILE *f = fopen(path, "re");
	size_t n;
	int rc;

	if (!f)
		return error_set(err, -errno, "key file %s: %s", path, error_errno_text(-errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	rc = nvme_dhchap_key_parse(text, key, err);
	explicit_bzero(text, sizeof(text));
	return rc < 0 ? error_prefix(err, "file %s: ", path) : 0;
}

/* --- responses -------------------------------------------------------------------------------- */

/* A bound key is worth something for one NQN only (Base 2.0, 8.13.5.7). */
static int bind_key(const struct nvme_dhchap_key *key, const char *nqn, uint8_t *out, size_t *len)
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

static size_t put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return len;
}

int nvme_dhchap_respond(const struct nvme_dhchap_key *key, const struct nvme_dhchap_proof *proof,
			uint8_t out[static NVME_DHCHAP_HASH_MAX])
{
	uint8_t text[NVME_DHCHAP_HASH_MAX + 4 + 2 + 1 + 10 + 2 * (NQN_MAX + 1)];
	uint8_t secret[NVME_DHCHAP_HASH_MAX];
	size_t n = 0, secret_len;
	int rc;

	if (strlen(proof->owner) > NQN_MAX || strlen(proof->other) > NQN_MAX)
		return -EIO;
	n += put(text, proof->challenge, nvme_dhchap_hash_len(proof->hash));
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys of NVMe/TCP with TLS, see psk.h.
 *
 * Threading: pure functions.
 */
#include "nvme/psk.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SHA256_BYTES  32u
#define CONTEXT_MAX   255u
#define LABEL_MAX     32u
#define NQN_MAX	      223u
#define DIGEST_TEXT   (NVME_PSK_BYTES_MAX / 3 * 4 + 1)
#define DIGEST_SEED   "NVMe-over-Fabrics"
#define VERSION_AT    4 /* in an identity: "NVMe0R01 " */
#define SPECIFIER_AT  6
#define SPECIFIER_LEN 2

static const EVP_MD *hash_of(uint8_t len)
{
	return len == SHA256_BYTES ? EVP_sha256() : EVP_sha384();
}

/*
 * HKDF-Extract without salt and HKDF-Expand-Label (RFC 5869, 2; RFC 8446, 7.1) of as many bytes as
 * the hash has: the expansion is one block. The label comes with its "tls13 ".
 */
static int expand(uint8_t len, const uint8_t *secret, const char *label, const char *context,
		  uint8_t *out)
{
	static const uint8_t salt[NVME_PSK_BYTES_MAX];
	uint8_t info[2 + 1 + LABEL_MAX + 1 + CONTEXT_MAX + 1], prk[NVME_PSK_BYTES_MAX];
	size_t label_len = strlen(label), context_len = strlen(context), n = 0;
	bool good;

	if (context_len > CONTEXT_MAX)
		return -EIO;
	info[n++] = 0;
	info[n++] = len;
	info[n++] = (uint8_t)label_len;
	memcpy(info + n, label, label_len);
	n += label_len;
	info[n++] = (uint8_t)context_len;
	memcpy(info + n, context, context_len);
	n += context_len;
	info[n++] = 1;
	good = HMAC(hash_of(len), salt, len, secret, len, prk, NULL) &&
	       HMAC(hash_of(len), prk, len, info, n, out, NULL);
	OPENSSL_cleanse(prk, sizeof(prk));
	return good ? 0 : -EIO;
}

int nvme_psk_retain(const struct key *key, const char *hostnqn, struct nvme_psk *retained)
{
	retained->len = key->len;
	if (key->hash)
		return expand(key->len, key->bytes, "tls13 HostNQN", hostnqn, retained->bytes);
	memcpy(retained->bytes, key->bytes, key->len);
	return 0;
}

static int digest_of(const struct nvme_psk *retained, const char *hostnqn, const char *subnqn,
		     char out[static DIGEST_TEXT])
{
	char text[2 * (NQN_MAX + 1) + sizeof(DIGEST_SEED)];
	uint8_t digest[NVME_PSK_BYTES_MAX];
	int n = snprintf(text, sizeof(text), "%s %s %s", hostnqn, subnqn, DIGEST_SEED);

	if (n < 0 || (size_t)n >= sizeof(text))
		return -ENAMETOOLONG;
	if (!HMAC(hash_of(retained->len), retained->bytes, retained->len, (uint8_t *)text,
		  (size_t)n, digest, NULL))
		return -EIO;
	EVP_EncodeBlock((uint8_t *)out, digest, retained->len);
	return 0;
}

int nvme_psk_identity(const struct nvme_psk *retained, enum nvme_psk_version version,
		      const char *hostnqn, const char *subnqn,
		      char identity[static NVME_PSK_IDENTITY_MAX])
{
	int specifier = retained->len == SHA256_BYTES ? 1 : 2, n, rc;
	char digest[DIGEST_TEXT];

	if (version == NVME_PSK_VERSION_0) {
		n = snprintf(identity, NVME_PSK_IDENTITY_MAX, "NVMe0R%02d %s %s", specifier,
			     hostnqn, subnqn);
		return n < 0 || (size_t)n > CONTEXT_MAX ? -ENAMETOOLONG : 0;
	}
	rc = digest_of(retained, hostnqn, subnqn, digest);
	if (rc < 0)
		return rc;
	n = snprintf(identity, NVME_PSK_IDENTITY_MAX, "NVMe1R%02d %s %s %s", specifier, hostnqn,
		     subnqn, digest);
	return n < 0 || (size_t)n >= NVME_PSK_IDENTITY_MAX ? -ENAMETOOLONG : 0;
}

/* What the TLS PSK is bound to: the identity, or its hash and digest. */
static int context_of(const char *identity, char context[static CONTEXT_MAX + 1])
{
	const char *digest = strrchr(identity, ' ');
	int n;

	if (!digest)
		return -EIO;
	if (identity[VERSION_AT] == '0')
		n = snprintf(context, CONTEXT_MAX + 1, "%s", identity);
	else
		n = snprintf(context, CONTEXT_MAX + 1, "%.*s%s", SPECIFIER_LEN,
			     identity + SPECIFIER_AT, digest);
	return n < 0 || (size_t)n > CONTEXT_MAX ? -EIO : 0;
}

int nvme_psk_derive(const struct nvme_psk *retained, const char *identity, struct nvme_psk *psk)
{
	char context[CONTEXT_MAX + 1];
	int rc = context_of(identity, context);

	psk->len = retained->len;
	return rc < 0 ? rc
		      : expand(retained->len, retained->bytes, "tls13 nvme-tls-psk", context,
			       psk->bytes);
}

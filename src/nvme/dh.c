/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diffie-Hellman keys of the groups of RFC 7919, see dhchap.h.
 *
 * Threading: pure functions; a key is used by one thread at a time.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/dhchap.h"

struct nvme_dh {
	EVP_PKEY *pkey;
	uint16_t len;
};

static EVP_PKEY *generate(const char *group)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)group, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *pkey = NULL;

	if (ctx && (EVP_PKEY_keygen_init(ctx) <= 0 || EVP_PKEY_CTX_set_params(ctx, params) <= 0 ||
		    EVP_PKEY_generate(ctx, &pkey) <= 0))
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

struct nvme_dh *nvme_dh_create(uint8_t group)
{
	struct nvme_dh *dh = calloc(1, sizeof(*dh));

	if (!dh)
		return NULL;
	dh->len = nvme_dhchap_group_len(group);
	dh->pkey = dh->len ? generate(nvme_dhchap_group_name(group)) : NULL;
	if (!dh->pkey) {
		free(dh);
		return NULL;
	}
	return dh;
}

void nvme_dh_free(struct nvme_dh *dh)
{
	if (!dh)
		return;
	EVP_PKEY_free(dh->pkey);
	free(dh);
}

int nvme_dh_public(const struct nvme_dh *dh, uint8_t out[static NVME_DHCHAP_DH_MAX])
{
	unsigned char *value = NULL;
	size_t len = EVP_PKEY_get1_encoded_public_key(dh->pkey, &value);
	int rc = len == dh->len ? 0 : -EIO;

	if (rc == 0)
		memcpy(out, value, len);
	OPENSSL_free(value);
	return rc;
}

/* Values that would give a secret that everybody knows (0, 1, p - 1 and beyond) are none. */
static EVP_PKEY *other_key(const struct nvme_dh *dh, const uint8_t *value, size_t len)
{
	uint8_t padded[NVME_DHCHAP_DH_MAX] = { 0 };
	EVP_PKEY *peer = len <= dh->len ? EVP_PKEY_new() : NULL;

	if (!peer)
		return NULL;
	memcpy(padded + dh->len - len, value, len);
	if (EVP_PKEY_copy_parameters(peer, dh->pkey) <= 0 ||
	    EVP_PKEY_set1_encoded_public_key(peer, padded, dh->len) <= 0) {
		EVP_PKEY_free(peer);
		return NULL;
	}
	return peer;
}

int nvme_dh_secret(const struct nvme_dh *dh, const uint8_t *peer, size_t len,
		   uint8_t out[static NVME_DHCHAP_DH_MAX])
{
	EVP_PKEY *other = other_key(dh, peer, len);
	EVP_PKEY_CTX *ctx;
	size_t n = NVME_DHCHAP_DH_MAX;
	bool good;

	if (!other)
		return -EINVAL;
	ctx = EVP_PKEY_CTX_new(dh->pkey, NULL);
	good = ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_CTX_set_dh_pad(ctx, 1) > 0 &&
	       EVP_PKEY_derive_set_peer(ctx, other) > 0 && EVP_PKEY_derive(ctx, out, &n) > 0 &&
	       n == dh->len;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	return good ? 0 : -EIO;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys of hosts, see psk.h.
 *
 * Threading: as psk.h.
 */
#include "nvmf/psk.h"

#include <errno.h>
#include <string.h>

#include "nvme/psk.h"
#include "nvmf/secret.h"

_Static_assert(NVME_PSK_BYTES_MAX <= NET_TLS_KEY_MAX, "a PSK fits");

/**
 * struct nvmf_psk
 * @identities: of each version; "" where the NQNs are too long for it
 */
struct nvmf_psk {
	struct nvme_psk retained;
	char identities[NVME_PSK_VERSIONS][NVME_PSK_IDENTITY_MAX];
	LIST_ENTRY(nvmf_psk) link;
};

static int make(struct nvmf_psk *psk, const char *hostnqn, const char *subnqn,
		const struct key *key)
{
	int rc = nvme_psk_retain(key, hostnqn, &psk->retained);

	for (unsigned int v = 0; rc == 0 && v < NVME_PSK_VERSIONS; v++) {
		rc = nvme_psk_identity(&psk->retained, v, hostnqn, subnqn, psk->identities[v]);
		if (rc == -ENAMETOOLONG) {
			psk->identities[v][0] = '\0';
			rc = 0;
		}
	}
	return rc;
}

int nvmf_psk_add(struct nvmf_target *tgt, const char *hostnqn, const char *subnqn,
		 const struct key *key, struct nvmf_psk **out, struct error *err)
{
	struct nvmf_psk *psk = nvmf_secret_alloc(sizeof(*psk));
	int rc = psk ? make(psk, hostnqn, subnqn, key) : -ENOMEM;

	if (rc < 0) {
		nvmf_secret_free(psk, sizeof(*psk));
		return error_set(err, rc, "the key of host %s on subsystem %s cannot be kept: %s",
				 hostnqn, subnqn, error_errno_text(rc));
	}
	pthread_mutex_lock(&tgt->psk_lock);
	LIST_INSERT_HEAD(&tgt->psks, psk, link);
	pthread_mutex_unlock(&tgt->psk_lock);
	*out = psk;
	return 0;
}

void nvmf_psk_remove(struct nvmf_target *tgt, struct nvmf_psk *psk)
{
	if (!psk)
		return;
	pthread_mutex_lock(&tgt->psk_lock);
	LIST_REMOVE(psk, link);
	pthread_mutex_unlock(&tgt->psk_lock);
	nvmf_secret_free(psk, sizeof(*psk));
}

bool nvmf_psk_is(const struct nvmf_psk *psk, const char *identity)
{
	for (unsigned int v = 0; v < NVME_PSK_VERSIONS; v++) {
		if (psk->identities[v][0] && strcmp(psk->identities[v], identity) == 0)
			return true;
	}
	return false;
}

bool nvmf_psk_find(void *arg, const char *identity, struct net_tls_key *key)
{
	struct nvmf_target *tgt = arg;
	const struct nvmf_psk *psk;
	struct nvme_psk tls = { .len = 0 };
	bool found = false;

	pthread_mutex_lock(&tgt->psk_lock);
	LIST_FOREACH (psk, &tgt->psks, link) {
		if (!nvmf_psk_is(psk, identity))
			continue;
		found = nvme_psk_derive(&psk->retained, identity, &tls) == 0;
		break;
	}
	pthread_mutex_unlock(&tgt->psk_lock);
	key->len = tls.len;
	memcpy(key->bytes, tls.bytes, tls.len);
	explicit_bzero(&tls, sizeof(tls));
	return found;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Referrals: other discovery services and subsystems that the discovery log names.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nvmf/json.h"

static int take(char *to, size_t size, const char *what, const char *from, struct error *err)
{
	if (from && strlen(from) >= size)
		return error_set(err, -EINVAL, "%s '%.64s...' has %zu characters; %zu are allowed",
				 what, from, strlen(from), size - 1);
	snprintf(to, size, "%s", from ? from : "");
	return 0;
}

/* What a numeric address is of itself; clients of SPDK refuse to load one of family "unknown". */
static const char *family_of(const char *traddr)
{
	struct net_addr addr;

	if (net_addr_parse(&addr, traddr, "0", NULL))
		return NULL;
	return addr.ss.ss_family == AF_INET6 ? "IPv6" : "IPv4";
}

static int fill(struct nvmf_referral *r, const struct nvmf_listen_options *where,
		const char *subnqn, struct error *err)
{
	int rc;

	memset(r, 0, sizeof(*r));
	if (!where->traddr || !where->traddr[0])
		return error_set(err, -EINVAL, "a referral needs traddr");
	if (!where->trtype || !where->trtype[0])
		return error_set(err, -EINVAL, "a referral needs trtype");
	rc = nvmf_nqn_check(subnqn ? subnqn : NVME_DISCOVERY_NQN, err);
	if (!rc)
		rc = take(r->trtype, sizeof(r->trtype), "trtype", where->trtype, err);
	if (!rc)
		rc = take(r->adrfam, sizeof(r->adrfam), "adrfam",
			  where->adrfam ? where->adrfam : family_of(where->traddr), err);
	if (!rc)
		rc = take(r->traddr, sizeof(r->traddr), "traddr", where->traddr, err);
	if (!rc)
		rc = take(r->trsvcid, sizeof(r->trsvcid), "trsvcid", where->trsvcid, err);
	if (!rc)
		rc = take(r->subnqn, sizeof(r->subnqn), "subnqn",
			  subnqn ? subnqn : NVME_DISCOVERY_NQN, err);
	r->secure_channel = where->secure_channel;
	return rc;
}

static struct nvmf_referral *find(struct nvmf_target *tgt, const struct nvmf_referral *like)
{
	struct nvmf_referral *r;

	TAILQ_FOREACH (r, &tgt->referrals, link) {
		if (strcasecmp(r->trtype, like->trtype) == 0 &&
		    strcmp(r->traddr, like->traddr) == 0 &&
		    strcmp(r->trsvcid, like->trsvcid) == 0 && strcmp(r->subnqn, like->subnqn) == 0)
			return r;
	}
	return NULL;
}

/* One that is there already is no error. */
int nvmf_referral_add(struct nvmf_target *tgt, const struct nvmf_listen_options *where,
		      const char *subnqn, struct error *err)
{
	struct nvmf_referral like, *r;
	int rc = fill(&like, where, subnqn, err);

	if (rc || find(tgt, &like))
		return rc;
	r = malloc(sizeof(*r));
	if (!r)
		return error_set(err, -ENOMEM, "no memory for a referral");
	*r = like;
	TAILQ_INSERT_HEAD(&tgt->referrals, r, link);
	nvmf_discovery_changed(tgt);
	return 0;
}

int nvmf_referral_remove(struct nvmf_target *tgt, const struct nvmf_listen_options *where,
			 const char *subnqn, struct error *err)
{
	struct nvmf_referral like, *r;
	int rc = fill(&like, where, subnqn, err);

	if (rc)
		return rc;
	r = find(tgt, &like);
	if (!r)
		return error_set(err, -ENOENT, "there is no referral to %s at %s port '%s'",
				 like.subnqn, like.traddr, like.trsvcid);
	TAILQ_REMOVE(&tgt->referrals, r, link);
	free(r);
	nvmf_discovery_changed(tgt);
	return 0;
}

json_t *nvmf_referral_to_json(const struct nvmf_referral *r)
{
	return json_pack("{s:o, s:b, s:s}", "address",
			 nvmf_address_json(r->trtype, r->adrfam[0] ? r->adrfam : "unknown",
					   r->traddr, r->trsvcid),
			 "secure_channel", r->secure_channel, "subnqn", r->subnqn);
}

json_t *nvmf_referrals_to_json(const struct nvmf_target *tgt)
{
	json_t *array = json_array();
	const struct nvmf_referral *r;

	TAILQ_FOREACH (r, &tgt->referrals, link)
		json_array_append_new(array, nvmf_referral_to_json(r));
	return array;
}

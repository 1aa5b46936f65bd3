/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys with which hosts, and controllers to them, prove themselves by DH-HMAC-CHAP.
 *
 * Threading: reactor 0, which alone looks at keys.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvmf/secret.h"
#include "nvmf/subsystem.h"

static void take_new(struct nvmf_host *host, struct nvmf_dhchap *keys, char *name, char *ctrlr_name)
{
	nvmf_secret_free(host->dhchap, sizeof(*host->dhchap));
	free(host->dhchap_name);
	free(host->ctrlr_name);
	host->dhchap = keys;
	host->dhchap_name = name;
	host->ctrlr_name = ctrlr_name;
}

int nvmf_host_set_dhchap(struct nvmf_host *host, const struct nvmf_dhchap_options *opts,
			 struct error *err)
{
	struct nvmf_dhchap *keys;
	char *name, *ctrlr_name;

	if (!opts->key && opts->ctrlr_key)
		return error_set(err, -EINVAL,
				 "host %s: dhchap_ctrlr_key is for a host that proves itself too: "
				 "give dhchap_key",
				 host->nqn);
	if (!opts->key) {
		take_new(host, NULL, NULL, NULL);
		return 0;
	}
	keys = nvmf_secret_alloc(sizeof(*keys));
	name = strdup(opts->name);
	ctrlr_name = opts->ctrlr_key ? strdup(opts->ctrlr_name) : NULL;
	if (!keys || !name || (opts->ctrlr_key && !ctrlr_name)) {
		nvmf_secret_free(keys, sizeof(*keys));
		free(name);
		free(ctrlr_name);
		return error_set(err, -ENOMEM, "no memory for the keys of host %s", host->nqn);
	}
	keys->host = *opts->key;
	if (opts->ctrlr_key)
		keys->ctrlr = *opts->ctrlr_key;
	take_new(host, keys, name, ctrlr_name);
	return 0;
}

bool nvmf_host_must_authenticate(const struct nvmf_subsystem *s, const char *hostnqn)
{
	const struct nvmf_host *host = nvmf_host_find(s, hostnqn);

	return host && host->dhchap;
}

void nvmf_host_put_dhchap(const struct nvmf_host *host, json_t *object)
{
	if (host->dhchap_name)
		json_object_set_new(object, "dhchap_key", json_string(host->dhchap_name));
	if (host->ctrlr_name)
		json_object_set_new(object, "dhchap_ctrlr_key", json_string(host->ctrlr_name));
}

int nvmf_subsystem_set_keys(struct nvmf_subsystem *s, const char *nqn,
			    const struct nvmf_dhchap_options *opts, struct error *err)
{
	struct nvmf_host *host = nvmf_host_find(s, nqn);

	if (s->deleting)
		return error_set(err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	if (!host)
		return error_set(err, -EINVAL,
				 "host %s is not in the list of subsystem %s; "
				 "nvmf_subsystem_add_host adds it",
				 nqn, s->nqn);
	return nvmf_host_set_dhchap(host, opts, err);
}

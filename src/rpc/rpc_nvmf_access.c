/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_*: which hosts may connect, and which namespaces they see.
 *
 * Threading: reactor 0.
 */
#include <string.h>

#include "rpc/rpc_nvmf.h"

/** struct host - of a subsystem */
struct host {
	const char *nqn;
	const char *host;
	const char *tgt_name;
	const char *psk, *dhchap_key, *dhchap_ctrlr_key;
};

/** struct secrets - content of the keys that a call names */
struct secrets {
	struct key psk, dhchap, ctrlr;
};

static struct nvmf_subsystem *find(struct rpc_request *req, const struct host *p)
{
	return rpc_nvmf_subsystem_of(req, p->tgt_name, p->nqn, RPC_INVALID_PARAMS);
}

/* Return: false when there is no such key; the request was refused. */
static bool take_dhchap(struct rpc_request *req, const char *what, const char *name,
			struct key *key)
{
	struct error err = ERROR_INIT;

	if (!name || rpc_keyring_read(name, &key_form_dhchap, key, &err) == 0)
		return true;
	rpc_fail(req, RPC_INVALID_PARAMS, "%s: parameter \"%s\": %s", rpc_request_method(req)->name,
		 what, err.text);
	return false;
}

/* Both keys of DH-HMAC-CHAP; false as above. */
static bool take_both(struct rpc_request *req, const struct host *p, struct secrets *keys,
		      struct nvmf_dhchap_options *opts)
{
	*opts = (struct nvmf_dhchap_options){
		.key = p->dhchap_key ? &keys->dhchap : NULL,
		.ctrlr_key = p->dhchap_ctrlr_key ? &keys->ctrlr : NULL,
		.name = p->dhchap_key,
		.ctrlr_name = p->dhchap_ctrlr_key,
	};
	return take_dhchap(req, "dhchap_key", p->dhchap_key, &keys->dhchap) &&
	       take_dhchap(req, "dhchap_ctrlr_key", p->dhchap_ctrlr_key, &keys->ctrlr);
}

static const struct rpc_param add_host_params[] = {
	RPC_PARAM(struct host, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct host, host, RPC_STRING, .required = true),
	RPC_PARAM(struct host, tgt_name, RPC_STRING),
	RPC_PARAM(struct host, psk, RPC_STRING),
	RPC_PARAM(struct host, dhchap_key, RPC_STRING),
	RPC_PARAM(struct host, dhchap_ctrlr_key, RPC_STRING),
	RPC_END,
};

static void add_host(struct rpc_request *req, void *params)
{
	const struct host *p = params;
	struct nvmf_subsystem *s = find(req, p);
	struct error err = ERROR_INIT;
	struct secrets keys = { .psk = { .len = 0 } };
	struct nvmf_host_options opts = { .psk = p->psk ? &keys.psk : NULL, .psk_name = p->psk };
	int rc;

	if (!s)
		return;
	if (take_both(req, p, &keys, &opts.dhchap)) {
		rc = p->psk ? rpc_keyring_read(p->psk, &key_form_tls, &keys.psk, &err) : 0;
		if (rc == 0)
			rc = nvmf_subsystem_add_host(s, p->host, &opts, &err);
		rpc_done(req, rc, RPC_INTERNAL_ERROR, &err);
	}
	explicit_bzero(&keys, sizeof(keys));
}

static const struct rpc_param set_keys_params[] = {
	RPC_PARAM(struct host, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct host, host, RPC_STRING, .required = true),
	RPC_PARAM(struct host, tgt_name, RPC_STRING),
	RPC_PARAM(struct host, dhchap_key, RPC_STRING),
	RPC_PARAM(struct host, dhchap_ctrlr_key, RPC_STRING),
	RPC_END,
};

static void set_keys(struct rpc_request *req, void *params)
{
	const struct host *p = params;
	struct nvmf_subsystem *s = find(req, p);
	struct nvmf_dhchap_options opts;
	struct error err = ERROR_INIT;
	struct secrets keys = { .psk = { .len = 0 } };

	if (!s)
		return;
	if (take_both(req, p, &keys, &opts))
		rpc_done(req, nvmf_subsystem_set_keys(s, p->host, &opts, &err), 0, &err);
	explicit_bzero(&keys, sizeof(keys));
}

static const struct rpc_param remove_host_params[] = {
	RPC_PARAM(struct host, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct host, host, RPC_STRING, .required = true),
	RPC_PARAM(struct host, tgt_name, RPC_STRING),
	RPC_UNUSED("timeout_ms", RPC_UINT, 8),
	RPC_END,
};

static void remove_host(struct rpc_request *req, void *params)
{
	const struct host *p = params;
	struct nvmf_subsystem *s = find(req, p);

	if (s)
		nvmf_subsystem_remove_host(s, p->host, rpc_nvmf_done_internal, req);
}

struct allow_any {
	struct host of;
	bool allow_any_host;
};

static const struct rpc_param allow_any_params[] = {
	RPC_PARAM_AS(struct allow_any, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM(struct allow_any, allow_any_host, RPC_BOOL, .required = true),
	RPC_PARAM_AS(struct allow_any, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_END,
};

static void allow_any(struct rpc_request *req, void *params)
{
	const struct allow_any *p = params;
	struct nvmf_subsystem *s = find(req, &p->of);

	if (!s)
		return;
	nvmf_subsystem_allow_any_host(s, p->allow_any_host);
	rpc_reply_true(req);
}

struct ns_host {
	struct host of;
	uint32_t nsid;
};

static const struct rpc_param ns_host_params[] = {
	RPC_PARAM_AS(struct ns_host, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM(struct ns_host, nsid, RPC_UINT, .required = true, .min = 1,
		  .max = UINT32_MAX - 1),
	RPC_PARAM_AS(struct ns_host, of.host, "host", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct ns_host, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_END,
};

static void ns_host(struct rpc_request *req, const struct ns_host *p, bool allow)
{
	struct nvmf_subsystem *s = find(req, &p->of);

	if (s)
		nvmf_ns_allow_host(s, p->nsid, p->of.host, allow, rpc_nvmf_done_params, req);
}

static void ns_add_host(struct rpc_request *req, void *params)
{
	ns_host(req, params, true);
}

static void ns_remove_host(struct rpc_request *req, void *params)
{
	ns_host(req, params, false);
}

static const struct rpc_method methods[] = {
	RPC_NVMF_METHOD("nvmf_subsystem_add_host", add_host_params, struct host, add_host),
	RPC_NVMF_METHOD("nvmf_subsystem_set_keys", set_keys_params, struct host, set_keys),
	RPC_NVMF_METHOD("nvmf_subsystem_remove_host", remove_host_params, struct host, remove_host),
	RPC_NVMF_METHOD("nvmf_subsystem_allow_any_host", allow_any_params, struct allow_any,
			allow_any),
	RPC_NVMF_METHOD("nvmf_ns_add_host", ns_host_params, struct ns_host, ns_add_host),
	RPC_NVMF_METHOD("nvmf_ns_remove_host", ns_host_params, struct ns_host, ns_remove_host),
};
RPC_AREA(nvmf_access, methods);

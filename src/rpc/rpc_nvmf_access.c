/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_*: which hosts may connect, and which namespaces they see.
 *
 * Threading: reactor 0.
 */
#include <string.h>

#include "rpc/rpc_nvmf.h"

#define NO_DHCHAP "hosts are not authenticated by this target; psk is offered, with secure_channel"

/** struct host - of a subsystem */
struct host {
	const char *nqn;
	const char *host;
	const char *tgt_name;
	const char *psk;
};

static struct nvmf_subsystem *find(struct rpc_request *req, const struct host *p)
{
	return rpc_nvmf_subsystem_of(req, p->tgt_name, p->nqn, RPC_INVALID_PARAMS);
}

static const struct rpc_param add_host_params[] = {
	RPC_PARAM(struct host, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct host, host, RPC_STRING, .required = true),
	RPC_PARAM(struct host, tgt_name, RPC_STRING),
	RPC_PARAM(struct host, psk, RPC_STRING),
	RPC_REFUSED("dhchap_key", NO_DHCHAP),
	RPC_REFUSED("dhchap_ctrlr_key", NO_DHCHAP),
	RPC_END,
};

static void add_host(struct rpc_request *req, void *params)
{
	const struct host *p = params;
	struct nvmf_subsystem *s = find(req, p);
	struct error err = ERROR_INIT;
	struct key key = { .len = 0 };
	struct nvmf_host_options opts = { .psk = p->psk ? &key : NULL, .psk_name = p->psk };
	int rc;

	if (!s)
		return;
	rc = p->psk ? rpc_keyring_read(p->psk, &key_form_tls, &key, &err) : 0;
	if (rc == 0)
		rc = nvmf_subsystem_add_host(s, p->host, &opts, &err);
	explicit_bzero(&key, sizeof(key));
	rpc_done(req, rc, RPC_INTERNAL_ERROR, &err);
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
	RPC_NVMF_METHOD("nvmf_subsystem_remove_host", remove_host_params, struct host, remove_host),
	RPC_NVMF_METHOD("nvmf_subsystem_allow_any_host", allow_any_params, struct allow_any,
			allow_any),
	RPC_NVMF_METHOD("nvmf_ns_add_host", ns_host_params, struct ns_host, ns_add_host),
	RPC_NVMF_METHOD("nvmf_ns_remove_host", ns_host_params, struct ns_host, ns_remove_host),
};
RPC_AREA(nvmf_access, methods);

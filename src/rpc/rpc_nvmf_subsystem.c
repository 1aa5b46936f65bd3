/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_*: subsystems, their namespaces and listeners.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "rpc/retry.h"
#include "rpc/rpc_nvmf.h"

/* --- subsystems ------------------------------------------------------------------------------- */

struct create_subsystem {
	const char *nqn;
	const char *tgt_name;
	struct nvmf_subsystem_options o;
};

#define OPTION(field, ...) RPC_PARAM_AS(struct create_subsystem, o.field, #field, ##__VA_ARGS__)

static const struct rpc_param create_subsystem_params[] = {
	RPC_PARAM(struct create_subsystem, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct create_subsystem, tgt_name, RPC_STRING),
	RPC_PARAM_AS(struct create_subsystem, o.serial, "serial_number", RPC_STRING, .max = 20),
	RPC_PARAM_AS(struct create_subsystem, o.model, "model_number", RPC_STRING, .max = 40),
	OPTION(max_namespaces, RPC_UINT),
	OPTION(allow_any_host, RPC_BOOL),
	OPTION(ana_reporting, RPC_BOOL),
	OPTION(min_cntlid, RPC_UINT),
	OPTION(max_cntlid, RPC_UINT),
	RPC_PARAM_AS(struct create_subsystem, o.max_discard_kib, "max_discard_size_kib", RPC_UINT),
	RPC_PARAM_AS(struct create_subsystem, o.max_write_zeroes_kib, "max_write_zeroes_size_kib",
		     RPC_UINT),
	OPTION(dmrsl, RPC_UINT),
	OPTION(wzsl, RPC_UINT),
	RPC_REFUSED("passthrough", "commands are not passed on to devices"),
	RPC_REFUSED("enable_nssr", "there is no NVM subsystem reset"),
	RPC_END,
};

static void create_subsystem_defaults(void *params)
{
	nvmf_subsystem_options_init(&((struct create_subsystem *)params)->o);
}

/* SPDK: bad names and those in use are internal errors, bad options are bad parameters. */
static void create_subsystem(struct rpc_request *req, void *params)
{
	const struct create_subsystem *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);
	struct error err = ERROR_INIT;
	struct nvmf_subsystem *s;
	int rc;

	if (!tgt)
		return;
	rc = nvmf_nqn_check(p->nqn, &err);
	if (rc < 0) {
		error_prefix(&err, "Unable to create subsystem: ");
		rpc_done(req, rc, RPC_INTERNAL_ERROR, &err);
		return;
	}
	rc = nvmf_subsystem_create(tgt, p->nqn, &p->o, &s, &err);
	rpc_done(req, rc, rc == -EINVAL ? RPC_INVALID_PARAMS : RPC_INTERNAL_ERROR, &err);
}

struct of_subsystem {
	const char *nqn;
	const char *tgt_name;
};

static const struct rpc_param of_subsystem_params[] = {
	RPC_PARAM(struct of_subsystem, nqn, RPC_STRING, .required = true),
	RPC_PARAM(struct of_subsystem, tgt_name, RPC_STRING),
	RPC_END,
};

static struct nvmf_subsystem *find(struct rpc_request *req, const struct of_subsystem *p)
{
	return rpc_nvmf_subsystem_of(req, p->tgt_name, p->nqn, RPC_INVALID_PARAMS);
}

static void delete_subsystem(struct rpc_request *req, void *params)
{
	struct nvmf_subsystem *s = find(req, params);

	if (s)
		nvmf_subsystem_delete(s, rpc_nvmf_done_params, req);
}

static const struct rpc_param get_subsystems_params[] = {
	RPC_PARAM(struct of_subsystem, nqn, RPC_STRING),
	RPC_PARAM(struct of_subsystem, tgt_name, RPC_STRING),
	RPC_END,
};

static void get_subsystems(struct rpc_request *req, void *params)
{
	const struct of_subsystem *p = params;
	struct nvmf_target *tgt;
	struct nvmf_subsystem *s;
	json_t *array;

	if (p->nqn) {
		s = rpc_nvmf_subsystem_of(req, p->tgt_name, p->nqn, -ENODEV);
		if (s)
			rpc_reply(req, json_pack("[o]", nvmf_subsystem_to_json(s)));
		return;
	}
	tgt = rpc_nvmf_target_of(req, p->tgt_name);
	if (!tgt)
		return;
	array = json_array();
	for (s = nvmf_subsystem_first(tgt); s; s = nvmf_subsystem_next(s))
		json_array_append_new(array, nvmf_subsystem_to_json(s));
	rpc_reply(req, array);
}

static void get_controllers(struct rpc_request *req, void *params)
{
	struct nvmf_subsystem *s = find(req, params);

	if (s)
		nvmf_subsystem_controllers_get(s, rpc_nvmf_json_done, req);
}

static void get_qpairs(struct rpc_request *req, void *params)
{
	struct nvmf_subsystem *s = find(req, params);

	if (s)
		nvmf_subsystem_qpairs_get(s, rpc_nvmf_json_done, req);
}

static void get_listeners(struct rpc_request *req, void *params)
{
	struct nvmf_subsystem *s = find(req, params);

	if (s)
		rpc_reply(req, nvmf_subsystem_listeners_to_json(s));
}

/* --- namespaces ------------------------------------------------------------------------------- */

static const struct rpc_param namespace_params[] = {
	RPC_PARAM(struct nvmf_ns_options, bdev_name, RPC_STRING, .required = true),
	RPC_PARAM(struct nvmf_ns_options, nsid, RPC_UINT, .max = UINT32_MAX - 1),
	RPC_PARAM(struct nvmf_ns_options, nguid, RPC_HEX),
	RPC_PARAM(struct nvmf_ns_options, eui64, RPC_HEX),
	RPC_PARAM(struct nvmf_ns_options, uuid, RPC_UUID),
	RPC_PARAM(struct nvmf_ns_options, ptpl_file, RPC_STRING, .max = 4095),
	RPC_PARAM(struct nvmf_ns_options, anagrpid, RPC_UINT),
	RPC_PARAM(struct nvmf_ns_options, no_auto_visible, RPC_BOOL),
	RPC_PARAM(struct nvmf_ns_options, hide_metadata, RPC_BOOL),
	RPC_END,
};

struct add_ns {
	struct of_subsystem of;
	struct nvmf_ns_options ns;
};

static const struct rpc_param add_ns_params[] = {
	RPC_PARAM_AS(struct add_ns, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct add_ns, ns, "namespace", RPC_OBJECT, .required = true,
		     .members = namespace_params),
	RPC_PARAM_AS(struct add_ns, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_END,
};

static void ns_added(void *arg, int result, uint32_t nsid, const struct error *err)
{
	if (result < 0)
		rpc_done(arg, result, RPC_INVALID_PARAMS, err);
	else
		rpc_reply(arg, json_integer(nsid));
}

static void add_ns(struct rpc_request *req, void *params)
{
	const struct add_ns *p = params;
	struct nvmf_subsystem *s = find(req, &p->of);

	if (s)
		nvmf_subsystem_add_ns(s, &p->ns, ns_added, req);
}

struct remove_ns {
	struct of_subsystem of;
	uint32_t nsid;
};

static const struct rpc_param remove_ns_params[] = {
	RPC_PARAM_AS(struct remove_ns, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM(struct remove_ns, nsid, RPC_UINT, .required = true, .min = 1,
		  .max = UINT32_MAX - 1),
	RPC_PARAM_AS(struct remove_ns, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_END,
};

static void remove_ns(struct rpc_request *req, void *params)
{
	const struct remove_ns *p = params;
	struct nvmf_subsystem *s = find(req, &p->of);

	if (s)
		nvmf_subsystem_remove_ns(s, p->nsid, rpc_nvmf_done_params, req);
}

/* --- listeners -------------------------------------------------------------------------------- */

static const char *const ana_states[] = { "optimized", "non_optimized", "inaccessible", NULL };

struct listener {
	struct of_subsystem of;
	struct nvmf_listen_options address;
	const char *sock_impl;
	int ana_state;
};

static const struct rpc_param add_listener_params[] = {
	RPC_PARAM_AS(struct listener, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct listener, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_PARAM_AS(struct listener, address, "listen_address", RPC_OBJECT, .required = true,
		     .members = rpc_nvmf_address_params),
	RPC_PARAM_AS(struct listener, address.secure_channel, "secure_channel", RPC_BOOL),
	RPC_PARAM(struct listener, ana_state, RPC_ENUM, .names = ana_states),
	RPC_PARAM(struct listener, sock_impl, RPC_STRING),
	RPC_UNUSED("numa_id", RPC_INT, 4),
	RPC_END,
};

static void listener_added(void *arg, int result, const struct error *err)
{
	struct rpc_retry *r = arg;
	const struct listener *p = r->params;

	if (result == -EADDRINUSE && rpc_retry_later(r))
		return;
	if (result == -EADDRINUSE)
		log_warning("nvmf: listener of %s refused: %s", p->of.nqn, err->text);
	rpc_nvmf_done_params(r->req, result, err);
}

static void listener_attempt(struct rpc_retry *r)
{
	struct listener *p = r->params;
	struct nvmf_subsystem *s = find(r->req, &p->of);

	if (s)
		nvmf_subsystem_add_listener(s, &p->address, listener_added, r);
}

static void add_listener(struct rpc_request *req, void *params)
{
	struct listener *p = params;
	bool ssl = p->sock_impl && strcmp(p->sock_impl, "ssl") == 0;

	if (p->address.secure_channel && p->sock_impl && !ssl) {
		rpc_fail(req, RPC_INVALID_PARAMS,
			 "\"sock_impl\" is \"%.32s\" and \"secure_channel\" true: TLS is spoken by "
			 "\"ssl\" only; leave one of them out",
			 p->sock_impl);
		return;
	}
	/* Either is how SPDK spells it. */
	p->address.secure_channel |= ssl;
	p->address.ana_state = ana_states[p->ana_state];
	rpc_retry_start(req, p, listener_attempt);
}

static const struct rpc_param remove_listener_params[] = {
	RPC_PARAM_AS(struct listener, of.nqn, "nqn", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct listener, of.tgt_name, "tgt_name", RPC_STRING),
	RPC_PARAM_AS(struct listener, address, "listen_address", RPC_OBJECT, .required = true,
		     .members = rpc_nvmf_address_params),
	RPC_END,
};

static void remove_listener(struct rpc_request *req, void *params)
{
	const struct listener *p = params;
	struct nvmf_subsystem *s = find(req, &p->of);

	if (s)
		nvmf_subsystem_remove_listener(s, &p->address, rpc_nvmf_done_params, req);
}

#define OF_SUBSYSTEM(name_, call_, ...)                                                            \
	RPC_NVMF_METHOD(name_, of_subsystem_params, struct of_subsystem, call_, ##__VA_ARGS__)

static const struct rpc_method methods[] = {
	RPC_NVMF_METHOD("nvmf_create_subsystem", create_subsystem_params, struct create_subsystem,
			create_subsystem, .defaults = create_subsystem_defaults,
			.aliases = { "nvmf_subsystem_create" }),
	OF_SUBSYSTEM("nvmf_delete_subsystem", delete_subsystem,
		     .aliases = { "delete_nvmf_subsystem" }),
	RPC_NVMF_METHOD("nvmf_get_subsystems", get_subsystems_params, struct of_subsystem,
			get_subsystems, .aliases = { "get_nvmf_subsystems" }),
	OF_SUBSYSTEM("nvmf_subsystem_get_controllers", get_controllers),
	OF_SUBSYSTEM("nvmf_subsystem_get_qpairs", get_qpairs),
	OF_SUBSYSTEM("nvmf_subsystem_get_listeners", get_listeners),
	RPC_NVMF_METHOD("nvmf_subsystem_add_ns", add_ns_params, struct add_ns, add_ns),
	RPC_NVMF_METHOD("nvmf_subsystem_remove_ns", remove_ns_params, struct remove_ns, remove_ns),
	RPC_NVMF_METHOD("nvmf_subsystem_add_listener", add_listener_params, struct listener,
			add_listener),
	RPC_NVMF_METHOD("nvmf_subsystem_remove_listener", remove_listener_params, struct listener,
			remove_listener),
};
RPC_AREA(nvmf_subsystem, methods);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_*: targets, what is set before the default target is made, statistics, referrals.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <string.h>

#include "nvme/dhchap.h"
#include "rpc/rpc_nvmf.h"

#define DEFAULT_TARGET "nvmf_tgt"

/* What nvmf_set_* asked for; the default target is made with it. */
static struct nvmf_target_options at_start = {
	.dhchap_hashes = NVME_DHCHAP_HASHES,
	.dhchap_groups = NVME_DHCHAP_GROUPS,
};

/* --- shared ----------------------------------------------------------------------------------- */

struct nvmf_target *rpc_nvmf_target_of(struct rpc_request *req, const char *tgt_name)
{
	struct nvmf_target *tgt = nvmf_target_find(tgt_name);

	if (!tgt)
		rpc_fail(req, RPC_INTERNAL_ERROR,
			 "%s: Unable to find target %.64s; nvmf_get_targets lists them",
			 rpc_request_method(req)->name, tgt_name ? tgt_name : DEFAULT_TARGET);
	return tgt;
}

struct nvmf_subsystem *rpc_nvmf_subsystem_of(struct rpc_request *req, const char *tgt_name,
					     const char *nqn, int code)
{
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, tgt_name);
	struct nvmf_subsystem *s;

	if (!tgt)
		return NULL;
	s = nvmf_subsystem_find(tgt, nqn);
	if (!s)
		rpc_fail(
			req, code,
			"%s: target %s has no subsystem \"%.223s\"; nvmf_get_subsystems lists them",
			rpc_request_method(req)->name, nvmf_target_name(tgt), nqn);
	return s;
}

void rpc_nvmf_done_params(void *arg, int result, const struct error *err)
{
	rpc_done(arg, result, RPC_INVALID_PARAMS, err);
}

void rpc_nvmf_done_internal(void *arg, int result, const struct error *err)
{
	rpc_done(arg, result, RPC_INTERNAL_ERROR, err);
}

void rpc_nvmf_json_done(void *arg, json_t *json)
{
	rpc_reply(arg, json);
}

/* --- the discovery filter --------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t bit;
} filters[] = {
	{ "transport", NVMF_FILTER_TRTYPE },
	{ "address", NVMF_FILTER_TRADDR },
	{ "svcid", NVMF_FILTER_TRSVCID },
};

#define FILTERS (sizeof(filters) / sizeof(filters[0]))

static uint32_t filter_bit(const char *name, size_t len)
{
	for (size_t i = 0; i < FILTERS; i++) {
		if (strlen(filters[i].name) == len && memcmp(filters[i].name, name, len) == 0)
			return filters[i].bit;
	}
	return 0;
}

/* Return: false when @text is no filter; the request was refused. */
static bool take_filter(struct rpc_request *req, const char *text, uint32_t *filter)
{
	uint32_t bits = 0;

	if (!text)
		return true;
	*filter = 0;
	if (strcmp(text, "match_any") == 0)
		return true;
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");
		uint32_t bit = filter_bit(at, len);

		if (bit == 0) {
			rpc_fail(req, RPC_INVALID_PARAMS,
				 "%s: parameter \"discovery_filter\" is \"%.64s\"; it must be "
				 "match_any, or transport, address and svcid with commas between",
				 rpc_request_method(req)->name, text);
			return false;
		}
		bits |= bit;
		at += len;
		if (*at == '\0')
			break;
	}
	*filter = bits;
	return true;
}

/* --- before the target is made ---------------------------------------------------------------- */

static const char *const dup_host_policies[] = { "allow", NULL };

/* In the order of their identifiers, the first of which are 1 and 0. */
static const char *const digests[] = { "sha256", "sha384", "sha512", NULL };
static const char *const dhgroups[] = { "null",	     "ffdhe2048", "ffdhe3072", "ffdhe4096",
					"ffdhe6144", "ffdhe8192", NULL };

/* In the order of NVMF_FILTER_*. */
static const char *const filter_names[] = { "transport", "address", "svcid", NULL };

struct set_config {
	const char *discovery_filter;
	uint32_t discovery_filters; /* the form of releases after 26.05 */
	bool has_filters;
	uint32_t dhchap_digests, dhchap_dhgroups;
	bool has_digests, has_dhgroups;
};

static const struct rpc_param passthru_params[] = {
	RPC_REFUSED("identify_ctrlr", "commands are not passed on to devices"),
	RPC_REFUSED("identify_uuid_list", "commands are not passed on to devices"),
	RPC_REFUSED("get_log_page", "commands are not passed on to devices"),
	RPC_REFUSED("get_set_features", "commands are not passed on to devices"),
	RPC_REFUSED("sanitize", "commands are not passed on to devices"),
	RPC_REFUSED("security_send_recv", "commands are not passed on to devices"),
	RPC_REFUSED("fw_update", "commands are not passed on to devices"),
	RPC_REFUSED("nvme_mi", "commands are not passed on to devices"),
	RPC_REFUSED("vendor_specific", "commands are not passed on to devices"),
	RPC_END,
};

static const struct rpc_param set_config_params[] = {
	RPC_PARAM(struct set_config, discovery_filter, RPC_STRING, .max = 64),
	RPC_PARAM(struct set_config, discovery_filters, RPC_NAMES, .names = filter_names,
		  RPC_GIVEN(struct set_config, has_filters)),
	{ .name = "admin_cmd_passthru", .kind = RPC_OBJECT, .members = passthru_params },
	RPC_PARAM(struct set_config, dhchap_digests, RPC_NAMES, .names = digests,
		  RPC_GIVEN(struct set_config, has_digests)),
	RPC_PARAM(struct set_config, dhchap_dhgroups, RPC_NAMES, .names = dhgroups,
		  RPC_GIVEN(struct set_config, has_dhgroups)),
	RPC_UNUSED("dup_host_policy", RPC_ENUM, sizeof(int), .names = dup_host_policies),
	RPC_REFUSED("poll_groups_mask", "connections are spread over all reactors: see -m"),
	RPC_END,
};

static void set_config(struct rpc_request *req, void *params)
{
	const struct set_config *p = params;

	if (!take_filter(req, p->discovery_filter, &at_start.discovery_filter))
		return;
	if (p->has_filters)
		at_start.discovery_filter = p->discovery_filters;
	if (p->has_digests)
		at_start.dhchap_hashes = p->dhchap_digests << NVME_DHCHAP_SHA256;
	if (p->has_dhgroups)
		at_start.dhchap_groups = p->dhchap_dhgroups << NVME_DHCHAP_GROUP_NULL;
	rpc_reply_true(req);
}

struct set_max_subsystems {
	uint32_t max_subsystems;
};

static const struct rpc_param set_max_subsystems_params[] = {
	RPC_PARAM(struct set_max_subsystems, max_subsystems, RPC_UINT, .required = true),
	RPC_END,
};

static void set_max_subsystems(struct rpc_request *req, void *params)
{
	const struct set_max_subsystems *p = params;

	if (at_start.max_subsystems != 0) {
		rpc_fail(req, RPC_INTERNAL_ERROR,
			 "Must not call more than once: the maximum of subsystems is %u already",
			 at_start.max_subsystems);
		return;
	}
	at_start.max_subsystems = p->max_subsystems;
	rpc_reply_true(req);
}

struct set_crdt {
	uint16_t crdt1, crdt2, crdt3;
};

static const struct rpc_param set_crdt_params[] = {
	RPC_PARAM(struct set_crdt, crdt1, RPC_UINT),
	RPC_PARAM(struct set_crdt, crdt2, RPC_UINT),
	RPC_PARAM(struct set_crdt, crdt3, RPC_UINT),
	RPC_END,
};

static void set_crdt(struct rpc_request *req, void *params)
{
	const struct set_crdt *p = params;

	at_start.crdt[0] = p->crdt1;
	at_start.crdt[1] = p->crdt2;
	at_start.crdt[2] = p->crdt3;
	rpc_reply_true(req);
}

int rpc_nvmf_start(struct error *err)
{
	struct nvmf_target *tgt;

	return nvmf_target_create(DEFAULT_TARGET, &at_start, &tgt, err);
}

/* --- targets ---------------------------------------------------------------------------------- */

struct create_target {
	const char *name;
	uint32_t max_subsystems;
	const char *discovery_filter;
};

static const struct rpc_param create_target_params[] = {
	RPC_PARAM(struct create_target, name, RPC_STRING, .required = true, .max = 255),
	RPC_PARAM(struct create_target, max_subsystems, RPC_UINT),
	RPC_PARAM(struct create_target, discovery_filter, RPC_STRING, .max = 64),
	RPC_UNUSED("dup_host_policy", RPC_ENUM, sizeof(int), .names = dup_host_policies),
	RPC_END,
};

static void create_target(struct rpc_request *req, void *params)
{
	const struct create_target *p = params;
	struct nvmf_target_options o;
	struct error err = ERROR_INIT;
	struct nvmf_target *tgt;
	int rc;

	nvmf_target_options_init(&o);
	o.max_subsystems = p->max_subsystems;
	if (!take_filter(req, p->discovery_filter, &o.discovery_filter))
		return;
	rc = nvmf_target_create(p->name, &o, &tgt, &err);
	if (rc < 0)
		rpc_done(req, rc, rc == -ENOMEM ? RPC_INTERNAL_ERROR : RPC_INVALID_PARAMS, &err);
	else
		rpc_reply(req, json_string(p->name));
}

struct by_name {
	const char *name;
};

static const struct rpc_param delete_target_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

static void delete_target(struct rpc_request *req, void *params)
{
	const struct by_name *p = params;
	struct nvmf_target *tgt = nvmf_target_find(p->name);

	if (!tgt)
		rpc_fail(req, RPC_INVALID_PARAMS,
			 "nvmf_delete_target: target \"%.64s\" does not exist; nvmf_get_targets "
			 "lists them",
			 p->name);
	else
		nvmf_target_destroy(tgt, rpc_nvmf_done_internal, req);
}

static void get_targets(struct rpc_request *req, void *params)
{
	json_t *array = json_array();

	(void)params;
	for (struct nvmf_target *t = nvmf_target_first(); t; t = nvmf_target_next(t))
		json_array_append_new(array, json_string(nvmf_target_name(t)));
	rpc_reply(req, array);
}

struct of_target {
	const char *tgt_name;
};

static const struct rpc_param of_target_params[] = {
	RPC_PARAM(struct of_target, tgt_name, RPC_STRING),
	RPC_END,
};

static void get_stats(struct rpc_request *req, void *params)
{
	const struct of_target *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);

	if (tgt)
		nvmf_stats_get(tgt, rpc_nvmf_json_done, req);
}

/* --- referrals -------------------------------------------------------------------------------- */

const struct rpc_param rpc_nvmf_address_params[] = {
	RPC_PARAM(struct nvmf_listen_options, trtype, RPC_STRING, .required = true, .max = 32),
	RPC_PARAM(struct nvmf_listen_options, adrfam, RPC_STRING, .max = 32),
	RPC_PARAM(struct nvmf_listen_options, traddr, RPC_STRING, .required = true, .max = 256),
	RPC_PARAM(struct nvmf_listen_options, trsvcid, RPC_STRING, .max = 32),
	RPC_END,
};

struct referral {
	const char *tgt_name;
	struct nvmf_listen_options address;
	const char *subnqn;
};

static const struct rpc_param referral_params[] = {
	RPC_PARAM(struct referral, tgt_name, RPC_STRING),
	RPC_PARAM(struct referral, address, RPC_OBJECT, .required = true,
		  .members = rpc_nvmf_address_params),
	RPC_PARAM_AS(struct referral, address.secure_channel, "secure_channel", RPC_BOOL),
	RPC_PARAM(struct referral, subnqn, RPC_STRING),
	RPC_END,
};

static void add_referral(struct rpc_request *req, void *params)
{
	const struct referral *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);
	struct error err = ERROR_INIT;

	if (tgt)
		rpc_done(req, nvmf_referral_add(tgt, &p->address, p->subnqn, &err),
			 RPC_INTERNAL_ERROR, &err);
}

static void remove_referral(struct rpc_request *req, void *params)
{
	const struct referral *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);
	struct error err = ERROR_INIT;

	if (tgt)
		rpc_done(req, nvmf_referral_remove(tgt, &p->address, p->subnqn, &err),
			 RPC_INTERNAL_ERROR, &err);
}

static void get_referrals(struct rpc_request *req, void *params)
{
	const struct of_target *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);

	if (tgt)
		rpc_reply(req, nvmf_referrals_to_json(tgt));
}

static const struct rpc_method methods[] = {
	{ .name = "nvmf_set_config",
	  .aliases = { "set_nvmf_target_config" },
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = set_config_params,
	  .size = sizeof(struct set_config),
	  .call = set_config },
	{ .name = "nvmf_set_max_subsystems",
	  .aliases = { "set_nvmf_target_max_subsystems" },
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = set_max_subsystems_params,
	  .size = sizeof(struct set_max_subsystems),
	  .call = set_max_subsystems },
	{ .name = "nvmf_set_crdt",
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = set_crdt_params,
	  .size = sizeof(struct set_crdt),
	  .call = set_crdt },
	RPC_NVMF_METHOD("nvmf_create_target", create_target_params, struct create_target,
			create_target),
	RPC_NVMF_METHOD("nvmf_delete_target", delete_target_params, struct by_name, delete_target),
	RPC_NVMF_METHOD("nvmf_get_targets", NULL, struct of_target, get_targets),
	RPC_NVMF_METHOD("nvmf_get_stats", of_target_params, struct of_target, get_stats),
	RPC_NVMF_METHOD("nvmf_discovery_add_referral", referral_params, struct referral,
			add_referral),
	RPC_NVMF_METHOD("nvmf_discovery_remove_referral", referral_params, struct referral,
			remove_referral),
	RPC_NVMF_METHOD("nvmf_discovery_get_referrals", of_target_params, struct of_target,
			get_referrals),
};
RPC_AREA(nvmf_target, methods);

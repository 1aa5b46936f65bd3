/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of nvmf_* methods share; only for them.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_RPC_NVMF_H
#define RPC_RPC_NVMF_H

#include "nvmf/nvmf.h"
#include "rpc/areas.h"

/** rpc_nvmf_target_of() - by name, NULL for the default; NULL when @req was refused */
struct nvmf_target *rpc_nvmf_target_of(struct rpc_request *req, const char *tgt_name);
/** rpc_nvmf_subsystem_of() - likewise; an unknown NQN is refused with @code */
struct nvmf_subsystem *rpc_nvmf_subsystem_of(struct rpc_request *req, const char *tgt_name,
					     const char *nqn, int code);

/** rpc_nvmf_done_params(), rpc_nvmf_done_internal() - nvmf_done; failures as SPDK codes them */
void rpc_nvmf_done_params(void *arg, int result, const struct error *err);
void rpc_nvmf_done_internal(void *arg, int result, const struct error *err);
/** rpc_nvmf_json_done() - nvmf_json_done */
void rpc_nvmf_json_done(void *arg, json_t *json);

/* Members of an address, in a struct nvmf_listen_options. */
extern const struct rpc_param rpc_nvmf_address_params[];

/** RPC_NVMF_METHOD() - a method that runs once the target is initialised */
#define RPC_NVMF_METHOD(name_, params_, type, call_, ...)                                          \
	{                                                                                          \
		.name = (name_), .states = RPC_RUNTIME, .decode_code = RPC_INVALID_PARAMS,         \
		.params = (params_), .size = sizeof(type), .call = (call_), ##__VA_ARGS__          \
	}

#endif

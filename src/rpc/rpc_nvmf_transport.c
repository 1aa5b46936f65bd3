/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_create_transport, nvmf_get_transports.
 *
 * Threading: reactor 0.
 */
#include <errno.h>

#include "rpc/rpc_nvmf.h"

/**
 * struct create_transport
 * @max_qpairs_per_ctrlr: of releases before 20.07: the admin queue is counted
 */
struct create_transport {
	const char *trtype;
	const char *tgt_name;
	struct nvmf_transport_options o;
	uint32_t max_qpairs_per_ctrlr;
	bool has_old_qpairs;
};

#define OPTION(field, ...) RPC_PARAM_AS(struct create_transport, o.field, #field, ##__VA_ARGS__)

/* Those of RDMA and vfio-user mean nothing to TCP, there as here. */
static const struct rpc_param create_transport_params[] = {
	RPC_PARAM(struct create_transport, trtype, RPC_STRING, .required = true, .max = 32),
	RPC_PARAM(struct create_transport, tgt_name, RPC_STRING),
	OPTION(max_queue_depth, RPC_UINT, .max = UINT16_MAX),
	RPC_PARAM_AS(struct create_transport, o.max_io_qpairs, "max_io_qpairs_per_ctrlr", RPC_UINT,
		     .max = UINT16_MAX),
	RPC_PARAM(struct create_transport, max_qpairs_per_ctrlr, RPC_UINT, .min = 1,
		  .max = UINT16_MAX, RPC_GIVEN(struct create_transport, has_old_qpairs)),
	OPTION(in_capsule_data_size, RPC_UINT),
	OPTION(max_io_size, RPC_UINT),
	OPTION(io_unit_size, RPC_UINT),
	OPTION(max_aq_depth, RPC_UINT),
	OPTION(num_shared_buffers, RPC_UINT),
	OPTION(buf_cache_size, RPC_UINT),
	OPTION(zcopy, RPC_BOOL),
	OPTION(c2h_success, RPC_BOOL),
	OPTION(dif_insert_or_strip, RPC_BOOL),
	OPTION(sock_priority, RPC_UINT),
	OPTION(acceptor_backlog, RPC_UINT),
	OPTION(abort_timeout_sec, RPC_UINT),
	OPTION(control_msg_num, RPC_UINT, .max = UINT16_MAX),
	OPTION(kas, RPC_UINT, .max = UINT16_MAX),
	OPTION(min_kato, RPC_UINT),
	OPTION(max_connections, RPC_UINT, .min = 1, .max = UINT32_MAX),
	RPC_UNUSED("iobuf_small_cache_size", RPC_UINT, 4),
	RPC_UNUSED("iobuf_large_cache_size", RPC_UINT, 4),
	RPC_UNUSED("num_cqe", RPC_INT, 4),
	RPC_UNUSED("max_srq_depth", RPC_UINT, 4),
	RPC_UNUSED("no_srq", RPC_BOOL, 1),
	RPC_UNUSED("no_wr_batching", RPC_BOOL, 1),
	RPC_UNUSED("disable_mappable_bar0", RPC_BOOL, 1),
	RPC_UNUSED("disable_adaptive_irq", RPC_BOOL, 1),
	RPC_UNUSED("disable_shadow_doorbells", RPC_BOOL, 1),
	RPC_UNUSED("acceptor_poll_rate", RPC_UINT, 4),
	RPC_UNUSED("ack_timeout", RPC_UINT, 4),
	RPC_UNUSED("data_wr_pool_size", RPC_UINT, 4),
	RPC_UNUSED("disable_command_passthru", RPC_BOOL, 1),
	RPC_REFUSED("masked_oncs", "optional commands cannot be hidden"),
	RPC_REFUSED("masked_fuses", "fused commands cannot be hidden"),
	RPC_END,
};

static void create_transport_defaults(void *params)
{
	struct create_transport *p = params;

	nvmf_transport_options_init(&p->o);
	if (rpc_max_connections() != 0)
		p->o.max_connections = rpc_max_connections();
}

static void create_transport(struct rpc_request *req, void *params)
{
	struct create_transport *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);
	struct error err = ERROR_INIT;
	int rc;

	if (!tgt)
		return;
	if (p->has_old_qpairs)
		p->o.max_io_qpairs = p->max_qpairs_per_ctrlr - 1;
	rc = nvmf_transport_create(tgt, p->trtype, &p->o, &err);
	rpc_done(req, rc, rc == -EEXIST ? RPC_INTERNAL_ERROR : RPC_INVALID_PARAMS, &err);
}

struct get_transports {
	const char *tgt_name;
	const char *trtype;
};

static const struct rpc_param get_transports_params[] = {
	RPC_PARAM(struct get_transports, tgt_name, RPC_STRING),
	RPC_PARAM(struct get_transports, trtype, RPC_STRING, .max = 32),
	RPC_END,
};

static void get_transports(struct rpc_request *req, void *params)
{
	const struct get_transports *p = params;
	struct nvmf_target *tgt = rpc_nvmf_target_of(req, p->tgt_name);
	json_t *array;

	if (!tgt)
		return;
	array = nvmf_transports_to_json(tgt, p->trtype);
	if (p->trtype && json_array_size(array) == 0) {
		json_decref(array);
		rpc_fail(req, -ENODEV, "target %s has no transport of type \"%s\"",
			 nvmf_target_name(tgt), p->trtype);
		return;
	}
	rpc_reply(req, array);
}

static const struct rpc_method methods[] = {
	RPC_NVMF_METHOD("nvmf_create_transport", create_transport_params, struct create_transport,
			create_transport, .defaults = create_transport_defaults),
	RPC_NVMF_METHOD("nvmf_get_transports", get_transports_params, struct get_transports,
			get_transports, .aliases = { "get_nvmf_transports" }),
};
RPC_AREA(nvmf_transport, methods);

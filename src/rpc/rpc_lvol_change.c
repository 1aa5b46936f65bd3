/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_lvol_*: changing logical volumes, and shallow copies.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>

#include "rpc/rpc_lvol.h"

/* --- by name alone ---------------------------------------------------------------------------- */

struct by_name {
	const char *name;
};

static const struct rpc_param by_name_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

static void by_name_work(struct rpc_request *req, const struct by_name *p,
			 int (*fn)(struct lvol *lvol, struct error *err))
{
	struct lvol *lvol = rpc_lvol_named(req, p->name);
	struct error err = ERROR_INIT;

	if (lvol)
		rpc_done(req, fn(lvol, &err), RPC_INVALID_PARAMS, &err);
}

static void inflate_work(struct rpc_request *req, void *params)
{
	by_name_work(req, params, lvol_inflate);
}

static void inflate(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, inflate_work);
}

static void decouple_work(struct rpc_request *req, void *params)
{
	by_name_work(req, params, lvol_decouple);
}

static void decouple(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, decouple_work);
}

static void read_only_work(struct rpc_request *req, void *params)
{
	by_name_work(req, params, lvol_set_read_only);
}

static void read_only(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, read_only_work);
}

/* --- rename and resize ------------------------------------------------------------------------ */

struct rename_lvol {
	const char *old_name;
	const char *new_name;
};

static const struct rpc_param rename_params[] = {
	RPC_PARAM(struct rename_lvol, old_name, RPC_STRING, .required = true),
	RPC_PARAM(struct rename_lvol, new_name, RPC_STRING, .required = true),
	RPC_END,
};

static void rename_work(struct rpc_request *req, void *params)
{
	const struct rename_lvol *p = params;
	struct lvol *lvol = rpc_lvol_named(req, p->old_name);
	struct error err = ERROR_INIT;

	if (lvol)
		rpc_done(req, lvol_rename(lvol, p->new_name, &err), RPC_INVALID_PARAMS, &err);
}

static void rename_lvol(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, rename_work);
}

struct resize {
	const char *name;
	struct rpc_lvol_size size;
	uint64_t bytes;
};

static const struct rpc_param resize_params[] = {
	RPC_PARAM(struct resize, name, RPC_STRING, .required = true),
	RPC_LVOL_SIZE(struct resize),
	RPC_END,
};

static void resize_work(struct rpc_request *req, void *params)
{
	const struct resize *p = params;
	struct lvol *lvol = rpc_lvol_named(req, p->name);
	struct error err = ERROR_INIT;

	if (lvol)
		rpc_done(req, lvol_resize(lvol, p->bytes, &err), RPC_INVALID_PARAMS, &err);
}

static void resize(struct rpc_request *req, void *params)
{
	struct resize *p = params;

	if (rpc_lvol_bytes(req, &p->size, &p->bytes))
		rpc_lvol_run(req, params, resize_work);
}

/* --- parents ---------------------------------------------------------------------------------- */

struct set_parent {
	const char *lvol_name;
	const char *parent_name;
};

static const struct rpc_param set_parent_params[] = {
	RPC_PARAM(struct set_parent, lvol_name, RPC_STRING, .required = true),
	RPC_PARAM(struct set_parent, parent_name, RPC_STRING, .required = true),
	RPC_END,
};

static void set_parent_work(struct rpc_request *req, void *params)
{
	const struct set_parent *p = params;
	struct lvol *lvol = rpc_lvol_named(req, p->lvol_name), *parent;
	struct error err = ERROR_INIT;

	if (!lvol)
		return;
	parent = rpc_lvol_named(req, p->parent_name);
	if (parent)
		rpc_done(req, lvol_set_parent(lvol, parent, &err), RPC_INVALID_PARAMS, &err);
}

static void set_parent(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, set_parent_work);
}

static void set_parent_bdev_work(struct rpc_request *req, void *params)
{
	const struct set_parent *p = params;
	struct lvol *lvol = rpc_lvol_named(req, p->lvol_name);
	struct error err = ERROR_INIT;

	if (lvol)
		rpc_done(req, lvol_set_parent_bdev(lvol, p->parent_name, &err), RPC_INVALID_PARAMS,
			 &err);
}

static void set_parent_bdev(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, set_parent_bdev_work);
}

/* --- shallow copy ----------------------------------------------------------------------------- */

struct start_copy {
	const char *src_lvol_name;
	const char *dst_bdev_name;
};

static const struct rpc_param start_copy_params[] = {
	RPC_PARAM(struct start_copy, src_lvol_name, RPC_STRING, .required = true),
	RPC_PARAM(struct start_copy, dst_bdev_name, RPC_STRING, .required = true),
	RPC_END,
};

static void start_copy(struct rpc_request *req, void *params)
{
	const struct start_copy *p = params;
	struct lvol *lvol = rpc_lvol_named(req, p->src_lvol_name);
	struct error err = ERROR_INIT;
	uint32_t operation = 0;
	int rc;

	if (!lvol)
		return;
	rc = lvol_shallow_copy_start(lvol, p->dst_bdev_name, &operation, &err);
	if (rc < 0)
		rpc_done(req, rc, RPC_INVALID_PARAMS, &err);
	else
		rpc_reply(req, json_pack("{s:I}", "operation_id", (json_int_t)operation));
}

struct check_copy {
	uint32_t operation_id;
};

static const struct rpc_param check_copy_params[] = {
	RPC_PARAM(struct check_copy, operation_id, RPC_UINT, .required = true),
	RPC_END,
};

static void check_copy(struct rpc_request *req, void *params)
{
	const struct check_copy *p = params;
	json_t *state = lvol_shallow_copy_to_json(p->operation_id);

	if (state)
		rpc_reply(req, state);
	else
		rpc_fail(req, -ENODEV,
			 "there is no shallow copy %" PRIu32
			 "; one that has ended is told of once: %s",
			 p->operation_id, error_errno_text(-ENODEV));
}

static const struct rpc_method methods[] = {
	RPC_LVOL_METHOD("bdev_lvol_rename", rename_params, struct rename_lvol, rename_lvol,
			.aliases = { "rename_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_resize", resize_params, struct resize, resize,
			.aliases = { "resize_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_set_read_only", by_name_params, struct by_name, read_only,
			.aliases = { "set_read_only_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_inflate", by_name_params, struct by_name, inflate,
			.aliases = { "inflate_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_decouple_parent", by_name_params, struct by_name, decouple,
			.aliases = { "decouple_parent_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_set_parent", set_parent_params, struct set_parent, set_parent),
	RPC_LVOL_METHOD("bdev_lvol_set_parent_bdev", set_parent_params, struct set_parent,
			set_parent_bdev),
	RPC_LVOL_METHOD("bdev_lvol_start_shallow_copy", start_copy_params, struct start_copy,
			start_copy),
	RPC_LVOL_METHOD("bdev_lvol_check_shallow_copy", check_copy_params, struct check_copy,
			check_copy),
};
RPC_AREA(lvol_change, methods);

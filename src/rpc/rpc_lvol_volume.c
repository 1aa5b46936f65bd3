/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_lvol_*: making, deleting and looking at logical volumes.
 *
 * Threading: reactor 0.
 */
#include <errno.h>

#include "rpc/rpc_lvol.h"

/* --- create ----------------------------------------------------------------------------------- */

struct create {
	const char *uuid;
	const char *lvs_name;
	const char *clear_method;
	struct rpc_lvol_size size;
	struct lvol_options opts;
};

static const struct rpc_param create_params[] = {
	RPC_PARAM_AS(struct create, opts.name, "lvol_name", RPC_STRING, .required = true),
	RPC_LVOL_SIZE(struct create),
	RPC_PARAM_AS(struct create, opts.thin, "thin_provision", RPC_BOOL),
	RPC_PARAM(struct create, uuid, RPC_STRING),
	RPC_PARAM(struct create, lvs_name, RPC_STRING),
	RPC_PARAM(struct create, clear_method, RPC_STRING),
	RPC_END,
};

static void create_work(struct rpc_request *req, void *params)
{
	const struct create *p = params;
	struct lvol_store *store = rpc_lvol_store_named(req, p->uuid, p->lvs_name);
	struct error err = ERROR_INIT;
	struct lvol *lvol = NULL;
	int rc;

	if (!store)
		return;
	rc = lvol_check_name(store, p->opts.name, &err);
	if (rc < 0) {
		rpc_done(req, rc, 0, &err);
		return;
	}
	rc = lvol_create(store, &p->opts, &lvol, &err);
	rpc_lvol_answer(req, rc, RPC_INVALID_PARAMS, lvol, &err);
}

static void create(struct rpc_request *req, void *params)
{
	struct create *p = params;

	if (rpc_lvol_clear(req, p->clear_method, &p->opts.clear) &&
	    rpc_lvol_bytes(req, &p->size, &p->opts.size))
		rpc_lvol_run(req, params, create_work);
}

/* --- snapshot and clone ----------------------------------------------------------------------- */

struct derive {
	const char *from;
	const char *name;
};

static const struct rpc_param snapshot_params[] = {
	RPC_PARAM_AS(struct derive, from, "lvol_name", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct derive, name, "snapshot_name", RPC_STRING, .required = true),
	RPC_END,
};

static const struct rpc_param clone_params[] = {
	RPC_PARAM_AS(struct derive, from, "snapshot_name", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct derive, name, "clone_name", RPC_STRING, .required = true),
	RPC_END,
};

static void derive_work(struct rpc_request *req, const struct derive *p,
			int (*fn)(struct lvol *from, const char *name, struct lvol **lvol,
				  struct error *err))
{
	struct lvol *from = rpc_lvol_named(req, p->from), *lvol = NULL;
	struct error err = ERROR_INIT;
	int rc;

	if (!from)
		return;
	rc = fn(from, p->name, &lvol, &err);
	rpc_lvol_answer(req, rc, RPC_INVALID_PARAMS, lvol, &err);
}

static void snapshot_work(struct rpc_request *req, void *params)
{
	derive_work(req, params, lvol_snapshot);
}

static void snapshot(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, snapshot_work);
}

static void clone_work(struct rpc_request *req, void *params)
{
	derive_work(req, params, lvol_clone);
}

static void clone(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, clone_work);
}

struct clone_bdev {
	const char *bdev;
	const char *lvs_name;
	const char *clone_name;
};

static const struct rpc_param clone_bdev_params[] = {
	RPC_PARAM(struct clone_bdev, bdev, RPC_STRING, .required = true),
	RPC_PARAM(struct clone_bdev, lvs_name, RPC_STRING, .required = true),
	RPC_PARAM(struct clone_bdev, clone_name, RPC_STRING, .required = true),
	RPC_END,
};

static void clone_bdev_work(struct rpc_request *req, void *params)
{
	const struct clone_bdev *p = params;
	struct lvol_store *store = lvol_store_find(p->lvs_name);
	struct error err = ERROR_INIT;
	struct lvol *lvol = NULL;
	int rc;

	if (!store) {
		rpc_fail(req, RPC_INVALID_PARAMS, "there is no lvol store \"%.64s\"", p->lvs_name);
		return;
	}
	rc = lvol_clone_bdev(store, p->bdev, p->clone_name, &lvol, &err);
	rpc_lvol_answer(req, rc, RPC_INVALID_PARAMS, lvol, &err);
}

static void clone_bdev(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, clone_bdev_work);
}

/* --- delete ----------------------------------------------------------------------------------- */

struct by_name {
	const char *name;
};

static const struct rpc_param by_name_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

static void delete_work(struct rpc_request *req, void *params)
{
	struct lvol *lvol = rpc_lvol_named(req, ((struct by_name *)params)->name);
	struct error err = ERROR_INIT;

	if (lvol)
		rpc_done(req, lvol_delete(lvol, &err), RPC_INTERNAL_ERROR, &err);
}

static void delete_volume(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, delete_work);
}

/* --- looking ---------------------------------------------------------------------------------- */

struct get_lvols {
	const char *lvs_uuid;
	const char *lvs_name;
};

static const struct rpc_param get_lvols_params[] = {
	RPC_PARAM(struct get_lvols, lvs_uuid, RPC_STRING),
	RPC_PARAM(struct get_lvols, lvs_name, RPC_STRING),
	RPC_END,
};

static void append_all(json_t *array, const struct lvol_store *store)
{
	for (struct lvol *lvol = lvol_first(store); lvol; lvol = lvol_next(lvol))
		json_array_append_new(array, lvol_to_json(lvol));
}

static void get_lvols(struct rpc_request *req, void *params)
{
	const struct get_lvols *p = params;
	struct lvol_store *store = NULL;
	json_t *array;

	if (p->lvs_uuid || p->lvs_name) {
		store = rpc_lvol_store_named(req, p->lvs_uuid, p->lvs_name);
		if (!store)
			return;
	}
	array = json_array();
	if (store)
		append_all(array, store);
	for (store = store ? NULL : lvol_store_first(); store; store = lvol_store_next(store))
		append_all(array, store);
	rpc_reply(req, array);
}

static const struct rpc_method methods[] = {
	RPC_LVOL_METHOD("bdev_lvol_create", create_params, struct create, create,
			.aliases = { "construct_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_snapshot", snapshot_params, struct derive, snapshot,
			.aliases = { "snapshot_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_clone", clone_params, struct derive, clone,
			.aliases = { "clone_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_clone_bdev", clone_bdev_params, struct clone_bdev, clone_bdev),
	RPC_LVOL_METHOD("bdev_lvol_delete", by_name_params, struct by_name, delete_volume,
			.aliases = { "destroy_lvol_bdev" }),
	RPC_LVOL_METHOD("bdev_lvol_get_lvols", get_lvols_params, struct get_lvols, get_lvols),
};
RPC_AREA(lvol_volume, methods);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_lvol_*lvstore*: stores of logical volumes.
 *
 * Codes are SPDK's: what is refused before anything is done has its errno, what fails afterwards
 * that of invalid parameters.
 *
 * Threading: reactor 0.
 */
#include <errno.h>

#include "rpc/rpc_lvol.h"

/* --- create ----------------------------------------------------------------------------------- */

struct create {
	const char *bdev_name;
	const char *clear_method;
	struct lvol_store_options opts;
};

static const struct rpc_param create_params[] = {
	RPC_PARAM(struct create, bdev_name, RPC_STRING, .required = true),
	RPC_PARAM_AS(struct create, opts.name, "lvs_name", RPC_STRING, .required = true),
	RPC_PARAM_AS(struct create, opts.cluster_size, "cluster_sz", RPC_UINT),
	RPC_PARAM(struct create, clear_method, RPC_STRING),
	RPC_PARAM_AS(struct create, opts.md_pages_per_cluster_ratio,
		     "num_md_pages_per_cluster_ratio", RPC_UINT),
	RPC_PARAM_AS(struct create, opts.md_page_size, "md_page_size", RPC_UINT),
	RPC_END,
};

static void create_defaults(void *params)
{
	((struct create *)params)->opts.clear = BLOB_CLEAR_UNMAP;
}

static void create_work(struct rpc_request *req, void *params)
{
	const struct create *p = params;
	struct error err = ERROR_INIT;
	struct lvol_store *store = NULL;
	char uuid[UUID_TEXT_SIZE];
	int rc = lvol_store_check(p->bdev_name, &p->opts, &err);

	if (rc < 0) {
		rpc_done(req, rc, 0, &err);
		return;
	}
	rc = lvol_store_create(p->bdev_name, &p->opts, &store, &err);
	if (rc < 0) {
		rpc_done(req, rc, RPC_INVALID_PARAMS, &err);
		return;
	}
	uuid_to_text(lvol_store_uuid(store), uuid);
	rpc_reply(req, json_string(uuid));
}

static void create(struct rpc_request *req, void *params)
{
	struct create *p = params;

	if (rpc_lvol_clear(req, p->clear_method, &p->opts.clear))
		rpc_lvol_run(req, params, create_work);
}

/* --- which one -------------------------------------------------------------------------------- */

struct which {
	const char *uuid;
	const char *lvs_name;
};

static const struct rpc_param which_params[] = {
	RPC_PARAM(struct which, uuid, RPC_STRING),
	RPC_PARAM(struct which, lvs_name, RPC_STRING),
	RPC_END,
};

typedef int change_fn(struct lvol_store *store, struct error *err);

static void change(struct rpc_request *req, const struct which *p, change_fn *fn)
{
	struct lvol_store *store = rpc_lvol_store_named(req, p->uuid, p->lvs_name);
	struct error err = ERROR_INIT;

	if (store)
		rpc_done(req, fn(store, &err), RPC_INVALID_PARAMS, &err);
}

static void delete_work(struct rpc_request *req, void *params)
{
	change(req, params, lvol_store_delete);
}

static void delete_store(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, delete_work);
}

static void grow_work(struct rpc_request *req, void *params)
{
	change(req, params, lvol_store_grow);
}

static void grow(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, grow_work);
}

/* --- rename ----------------------------------------------------------------------------------- */

struct rename_store {
	const char *old_name;
	const char *new_name;
};

static const struct rpc_param rename_params[] = {
	RPC_PARAM(struct rename_store, old_name, RPC_STRING, .required = true),
	RPC_PARAM(struct rename_store, new_name, RPC_STRING, .required = true),
	RPC_END,
};

static void rename_work(struct rpc_request *req, void *params)
{
	const struct rename_store *p = params;
	struct lvol_store *store = lvol_store_find(p->old_name);
	struct error err = ERROR_INIT;

	if (!store)
		rpc_fail(req, -ENOENT, "there is no lvol store \"%.64s\": %s", p->old_name,
			 error_errno_text(-ENOENT));
	else
		rpc_done(req, lvol_store_rename(store, p->new_name, &err), RPC_INVALID_PARAMS,
			 &err);
}

static void rename_store(struct rpc_request *req, void *params)
{
	rpc_lvol_run(req, params, rename_work);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* SPDK refuses an object without members; here it asks for all, as leaving it out does. */
static void get_stores(struct rpc_request *req, void *params)
{
	const struct which *p = params;
	struct lvol_store *store;
	json_t *array;

	if (p->uuid || p->lvs_name) {
		store = rpc_lvol_store_named(req, p->uuid, p->lvs_name);
		if (store)
			rpc_reply(req, json_pack("[o]", lvol_store_to_json(store)));
		return;
	}
	array = json_array();
	for (store = lvol_store_first(); store; store = lvol_store_next(store))
		json_array_append_new(array, lvol_store_to_json(store));
	rpc_reply(req, array);
}

static const struct rpc_method methods[] = {
	RPC_LVOL_METHOD("bdev_lvol_create_lvstore", create_params, struct create, create,
			.defaults = create_defaults, .aliases = { "construct_lvol_store" }),
	RPC_LVOL_METHOD("bdev_lvol_delete_lvstore", which_params, struct which, delete_store,
			.aliases = { "destroy_lvol_store" }),
	RPC_LVOL_METHOD("bdev_lvol_rename_lvstore", rename_params, struct rename_store,
			rename_store, .aliases = { "rename_lvol_store" }),
	RPC_LVOL_METHOD("bdev_lvol_grow_lvstore", which_params, struct which, grow),
	RPC_LVOL_METHOD("bdev_lvol_get_lvstores", which_params, struct which, get_stores,
			.aliases = { "get_lvol_stores" }),
};
RPC_AREA(lvol_store, methods);

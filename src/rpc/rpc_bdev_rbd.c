/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of images of Ceph clusters.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <string.h>

#include "bdev_modules/rbd.h"
#include "rpc/areas.h"

/* What was started calls it later; what was refused has words for the answer. */
static void refuse(struct rpc_request *req, int result, const struct error *err)
{
	if (result < 0)
		rpc_done(req, result, 0, err);
}

static void done(void *arg, int result, const struct bdev *bdev, const struct error *err)
{
	(void)bdev;
	rpc_done(arg, result, 0, err);
}

struct by_name {
	const char *name;
};

static const struct rpc_param by_name_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

/* --- clusters --------------------------------------------------------------------------------- */

static const struct rpc_param register_params[] = {
	RPC_PARAM(struct bdev_rbd_cluster_options, name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_rbd_cluster_options, user_id, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_cluster_options, config_param, RPC_PAIRS),
	RPC_PARAM(struct bdev_rbd_cluster_options, config_file, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_cluster_options, key_file, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_cluster_options, core_mask, RPC_STRING),
	RPC_END,
};

/** struct registration - in the arena of its request, as the answer is the name */
struct registration {
	struct rpc_request *req;
	json_t *name;
};

static void registered(void *arg, int result, const struct bdev *bdev, const struct error *err)
{
	struct registration *r = arg;

	(void)bdev;
	if (result == 0) {
		rpc_reply(r->req, r->name);
		return;
	}
	json_decref(r->name);
	rpc_done(r->req, result, 0, err);
}

static void register_cluster(struct rpc_request *req, void *params)
{
	const struct bdev_rbd_cluster_options *o = params;
	struct registration *r = rpc_arena_alloc(rpc_request_arena(req), sizeof(*r));
	struct error err = ERROR_INIT;
	int rc;

	if (!r) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	r->req = req;
	r->name = json_string(o->name);
	rc = bdev_rbd_register_cluster(o, registered, r, &err);
	if (rc < 0)
		json_decref(r->name);
	refuse(req, rc, &err);
}

static void unregister_cluster(struct rpc_request *req, void *params)
{
	const struct by_name *p = params;
	struct error err = ERROR_INIT;

	refuse(req, bdev_rbd_unregister_cluster(p->name, done, req, &err), &err);
}

static const struct rpc_param info_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING),
	RPC_END,
};

static json_t *find(json_t *list, const char *name)
{
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o) {
		if (!strcmp(json_string_value(json_object_get(o, "cluster_name")), name))
			return json_incref(o);
	}
	return NULL;
}

/* SPDK answers one by its object, all by an array, and none by an error. */
static void get_clusters_info(struct rpc_request *req, void *params)
{
	const struct by_name *p = params;
	json_t *list = bdev_rbd_clusters(), *found;

	if (!p->name && json_array_size(list) > 0) {
		rpc_reply(req, list);
		return;
	}
	found = p->name ? find(list, p->name) : NULL;
	json_decref(list);
	if (found)
		rpc_reply(req, found);
	else
		rpc_fail(req, -ENOENT, "there is no Ceph cluster%s%s: register one first",
			 p->name ? " " : "", p->name ? p->name : "");
}

/* --- images ----------------------------------------------------------------------------------- */

static const struct rpc_param create_params[] = {
	RPC_PARAM(struct bdev_rbd_options, name, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_options, user_id, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_options, pool_name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_rbd_options, rbd_name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_rbd_options, block_size, RPC_UINT, .required = true),
	RPC_PARAM(struct bdev_rbd_options, config, RPC_PAIRS),
	RPC_PARAM(struct bdev_rbd_options, cluster_name, RPC_STRING),
	RPC_PARAM(struct bdev_rbd_options, uuid, RPC_UUID),
	RPC_PARAM(struct bdev_rbd_options, read_only, RPC_BOOL),
	RPC_END,
};

static void created(void *arg, int result, const struct bdev *bdev, const struct error *err)
{
	if (result < 0)
		rpc_done(arg, result, 0, err);
	else
		rpc_reply(arg, json_string(bdev_name(bdev)));
}

static void create(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;

	refuse(req, bdev_rbd_create(params, created, req, &err), &err);
}

static void deleted(void *arg, int result)
{
	rpc_done(arg, result, 0, NULL);
}

static void delete (struct rpc_request *req, void *params)
{
	const struct by_name *p = params;
	struct error err = ERROR_INIT;

	refuse(req, bdev_rbd_delete(p->name, deleted, req, &err), &err);
}

struct new_size {
	const char *name;
	uint64_t new_size;
};

static const struct rpc_param resize_params[] = {
	RPC_PARAM(struct new_size, name, RPC_STRING, .required = true),
	RPC_PARAM(struct new_size, new_size, RPC_UINT, .required = true),
	RPC_END,
};

static void resize(struct rpc_request *req, void *params)
{
	const struct new_size *p = params;
	struct error err = ERROR_INIT;

	refuse(req, bdev_rbd_resize(p->name, p->new_size, done, req, &err), &err);
}

/* --- the table -------------------------------------------------------------------------------- */

#define METHOD(name_, params_, type, call_, ...)                                                   \
	{                                                                                          \
		.name = (name_), .states = RPC_RUNTIME, .decode_code = RPC_INTERNAL_ERROR,         \
		.params = (params_), .size = sizeof(type), .call = (call_), ##__VA_ARGS__          \
	}

static const struct rpc_method methods[] = {
	METHOD("bdev_rbd_register_cluster", register_params, struct bdev_rbd_cluster_options,
	       register_cluster),
	METHOD("bdev_rbd_unregister_cluster", by_name_params, struct by_name, unregister_cluster),
	METHOD("bdev_rbd_get_clusters_info", info_params, struct by_name, get_clusters_info),
	METHOD("bdev_rbd_create", create_params, struct bdev_rbd_options, create,
	       .aliases = { "construct_rbd_bdev" }),
	METHOD("bdev_rbd_delete", by_name_params, struct by_name, delete,
	       .aliases = { "delete_rbd_bdev" }),
	METHOD("bdev_rbd_resize", resize_params, struct new_size, resize),
};
RPC_AREA(bdev_rbd, methods);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create, delete, resize and rescan of the modules null, malloc, uring and aio.
 *
 * Threading: reactor 0.
 */
#include <errno.h>

#include "bdev_modules/malloc.h"
#include "bdev_modules/null.h"
#include "bdev_modules/uring.h"
#include "rpc/areas.h"
#include "rpc/retry.h"

static void created(struct rpc_request *req, int result, int code, const struct bdev *bdev,
		    const struct error *err)
{
	if (result < 0)
		rpc_done(req, result, code, err);
	else
		rpc_reply(req, json_string(bdev_name(bdev)));
}

/* --- deletion and the like, by name ----------------------------------------------------------- */

struct by_name {
	const char *name;
};

static const struct rpc_param by_name_params[] = {
	RPC_PARAM(struct by_name, name, RPC_STRING, .required = true),
	RPC_END,
};

typedef int delete_fn(const char *name, void (*done)(void *arg, int result), void *arg,
		      struct error *err);

static void deleted(void *arg, int result)
{
	rpc_done(arg, result, 0, NULL);
}

static void delete_by(struct rpc_request *req, const struct by_name *p, delete_fn *delete)
{
	struct error err = ERROR_INIT;
	int rc = delete (p->name, deleted, req, &err);

	if (rc < 0)
		rpc_done(req, rc, 0, &err);
}

static void rescan_by(struct rpc_request *req, const struct by_name *p,
		      int (*rescan)(const char *name, struct error *err))
{
	struct error err = ERROR_INIT;
	int rc = rescan(p->name, &err);

	rpc_done(req, rc, 0, &err);
}

/* --- null ------------------------------------------------------------------------------------- */

static const struct rpc_param null_create_params[] = {
	RPC_PARAM(struct bdev_null_options, name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_null_options, block_size, RPC_UINT, .required = true),
	RPC_PARAM(struct bdev_null_options, num_blocks, RPC_UINT, .required = true),
	RPC_PARAM(struct bdev_null_options, uuid, RPC_UUID),
	RPC_PARAM(struct bdev_null_options, physical_block_size, RPC_UINT),
	RPC_PARAM_AS(struct bdev_null_options, md.md_size, "md_size", RPC_UINT),
	RPC_PARAM_AS(struct bdev_null_options, md.dif_type, "dif_type", RPC_INT),
	RPC_PARAM_AS(struct bdev_null_options, md.dif_pi_format, "dif_pi_format", RPC_UINT),
	RPC_PARAM_AS(struct bdev_null_options, md.dif_is_head_of_md, "dif_is_head_of_md", RPC_BOOL),
	RPC_PARAM(struct bdev_null_options, preferred_write_granularity, RPC_UINT),
	RPC_PARAM(struct bdev_null_options, preferred_write_alignment, RPC_UINT),
	RPC_PARAM(struct bdev_null_options, optimal_write_size, RPC_UINT),
	RPC_PARAM(struct bdev_null_options, preferred_unmap_granularity, RPC_UINT),
	RPC_PARAM(struct bdev_null_options, preferred_unmap_alignment, RPC_UINT),
	RPC_END,
};

static void null_create(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;
	struct bdev *bdev = NULL;
	int rc = bdev_null_create(params, &bdev, &err);

	created(req, rc, 0, bdev, &err);
}

static void null_delete(struct rpc_request *req, void *params)
{
	delete_by(req, params, bdev_null_delete);
}

struct null_resize {
	const char *name;
	uint64_t new_size;
};

static const struct rpc_param null_resize_params[] = {
	RPC_PARAM(struct null_resize, name, RPC_STRING, .required = true),
	RPC_PARAM(struct null_resize, new_size, RPC_UINT, .required = true),
	RPC_END,
};

static void null_resize(struct rpc_request *req, void *params)
{
	const struct null_resize *p = params;
	struct error err = ERROR_INIT;
	int rc = bdev_null_resize(p->name, p->new_size, &err);

	rpc_done(req, rc, 0, &err);
}

/* --- malloc ----------------------------------------------------------------------------------- */

static const struct rpc_param malloc_create_params[] = {
	RPC_PARAM(struct bdev_malloc_options, name, RPC_STRING),
	RPC_PARAM(struct bdev_malloc_options, block_size, RPC_UINT, .required = true),
	RPC_PARAM(struct bdev_malloc_options, num_blocks, RPC_UINT, .required = true),
	RPC_PARAM(struct bdev_malloc_options, uuid, RPC_UUID),
	RPC_PARAM(struct bdev_malloc_options, optimal_io_boundary, RPC_UINT),
	RPC_PARAM_AS(struct bdev_malloc_options, md.md_size, "md_size", RPC_UINT),
	RPC_PARAM_AS(struct bdev_malloc_options, md.md_interleave, "md_interleave", RPC_BOOL),
	RPC_PARAM_AS(struct bdev_malloc_options, md.dif_type, "dif_type", RPC_INT),
	RPC_PARAM_AS(struct bdev_malloc_options, md.dif_is_head_of_md, "dif_is_head_of_md",
		     RPC_BOOL),
	RPC_PARAM(struct bdev_malloc_options, physical_block_size, RPC_UINT),
	RPC_PARAM_AS(struct bdev_malloc_options, md.dif_pi_format, "dif_pi_format", RPC_UINT),
	RPC_PARAM(struct bdev_malloc_options, numa_id, RPC_INT),
	RPC_END,
};

static void malloc_create_defaults(void *params)
{
	bdev_malloc_options_init(params);
}

static void malloc_create(struct rpc_request *req, void *params)
{
	struct error err = ERROR_INIT;
	struct bdev *bdev = NULL;
	int rc = bdev_malloc_create(params, &bdev, &err);

	created(req, rc, 0, bdev, &err);
}

static void malloc_delete(struct rpc_request *req, void *params)
{
	delete_by(req, params, bdev_malloc_delete);
}

/* --- uring ------------------------------------------------------------------------------------ */

static const struct rpc_param uring_create_params[] = {
	RPC_PARAM(struct bdev_uring_options, filename, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_uring_options, name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_uring_options, block_size, RPC_UINT),
	RPC_PARAM(struct bdev_uring_options, uuid, RPC_UUID),
	RPC_END,
};

static void uring_create_defaults(void *params)
{
	bdev_uring_options_init(params);
}

typedef int create_fn(const struct bdev_uring_options *options, struct bdev **bdev,
		      struct error *err);

/* @code: of a failure's answer; 0: the errno. */
static void create_on_file(struct rpc_retry *r, create_fn *create, int code)
{
	struct error err = ERROR_INIT;
	struct bdev *bdev = NULL;
	int rc = create(r->params, &bdev, &err);

	if (rc == -EAGAIN && rpc_retry_later(r))
		return;
	if (rc == -EAGAIN)
		rc = err.code = -EBUSY;
	created(r->req, rc, code, bdev, &err);
}

/* SPDK answers every failure with its code of internal errors. */
static void uring_attempt(struct rpc_retry *r)
{
	create_on_file(r, bdev_uring_create, RPC_INTERNAL_ERROR);
}

static void uring_create(struct rpc_request *req, void *params)
{
	rpc_retry_start(req, params, uring_attempt);
}

static void uring_delete(struct rpc_request *req, void *params)
{
	delete_by(req, params, bdev_uring_delete);
}

static void uring_rescan(struct rpc_request *req, void *params)
{
	rescan_by(req, params, bdev_uring_rescan);
}

/* --- aio -------------------------------------------------------------------------------------- */

static const struct rpc_param aio_create_params[] = {
	RPC_PARAM(struct bdev_uring_options, name, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_uring_options, filename, RPC_STRING, .required = true),
	RPC_PARAM(struct bdev_uring_options, block_size, RPC_UINT),
	RPC_PARAM(struct bdev_uring_options, readonly, RPC_BOOL),
	RPC_PARAM(struct bdev_uring_options, fallocate, RPC_BOOL),
	RPC_PARAM(struct bdev_uring_options, uuid, RPC_UUID),
	RPC_PARAM(struct bdev_uring_options, nowait, RPC_BOOL),
	RPC_END,
};

static void aio_create_defaults(void *params)
{
	bdev_aio_options_init(params);
}

static void aio_attempt(struct rpc_retry *r)
{
	create_on_file(r, bdev_aio_create, 0);
}

static void aio_create(struct rpc_request *req, void *params)
{
	rpc_retry_start(req, params, aio_attempt);
}

static void aio_delete(struct rpc_request *req, void *params)
{
	delete_by(req, params, bdev_aio_delete);
}

static void aio_rescan(struct rpc_request *req, void *params)
{
	rescan_by(req, params, bdev_aio_rescan);
}

/* --- the table -------------------------------------------------------------------------------- */

#define METHOD(name_, params_, type, call_, ...)                                                   \
	{                                                                                          \
		.name = (name_), .states = RPC_RUNTIME, .decode_code = RPC_INTERNAL_ERROR,         \
		.params = (params_), .size = sizeof(type), .call = (call_), ##__VA_ARGS__          \
	}
#define BY_NAME(name_, call_, ...)                                                                 \
	METHOD(name_, by_name_params, struct by_name, call_, ##__VA_ARGS__)

static const struct rpc_method methods[] = {
	METHOD("bdev_null_create", null_create_params, struct bdev_null_options, null_create,
	       .aliases = { "construct_null_bdev" }),
	BY_NAME("bdev_null_delete", null_delete, .aliases = { "delete_null_bdev" }),
	METHOD("bdev_null_resize", null_resize_params, struct null_resize, null_resize),
	METHOD("bdev_malloc_create", malloc_create_params, struct bdev_malloc_options,
	       malloc_create, .defaults = malloc_create_defaults,
	       .aliases = { "construct_malloc_bdev" }),
	BY_NAME("bdev_malloc_delete", malloc_delete, .aliases = { "delete_malloc_bdev" }),
	METHOD("bdev_uring_create", uring_create_params, struct bdev_uring_options, uring_create,
	       .defaults = uring_create_defaults),
	BY_NAME("bdev_uring_delete", uring_delete),
	BY_NAME("bdev_uring_rescan", uring_rescan),
	METHOD("bdev_aio_create", aio_create_params, struct bdev_uring_options, aio_create,
	       .defaults = aio_create_defaults, .aliases = { "construct_aio_bdev" }),
	BY_NAME("bdev_aio_delete", aio_delete, .aliases = { "delete_aio_bdev" }),
	BY_NAME("bdev_aio_rescan", aio_rescan),
};
RPC_AREA(bdev_modules, methods);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that tune parts of SPDK which are made otherwise here: bdev_set_options,
 * iobuf_set_options, framework_set_scheduler.
 *
 * Clients and saved configurations set them before anything else. They are held to SPDK's rules and
 * kept, so that what is saved here loads there; that they change nothing here is said in the log.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "reactor/reactor.h"
#include "rpc/areas.h"

static void note(const struct rpc_request *req, const char *why)
{
	log_notice("%s: kept, and without effect: %s", rpc_request_method(req)->name, why);
}

/* --- bdev_set_options ------------------------------------------------------------------------- */

struct bdev_options {
	uint32_t bdev_io_pool_size;
	uint32_t bdev_io_cache_size;
	bool bdev_auto_examine;
	uint32_t iobuf_small_cache_size;
	uint32_t iobuf_large_cache_size;
};

static struct bdev_options bdev_options = {
	.bdev_io_pool_size = 65535,
	.bdev_io_cache_size = 256,
	.bdev_auto_examine = true,
	.iobuf_small_cache_size = 128,
	.iobuf_large_cache_size = 16,
};

static const struct rpc_param bdev_options_params[] = {
	RPC_PARAM(struct bdev_options, bdev_io_pool_size, RPC_UINT),
	RPC_PARAM(struct bdev_options, bdev_io_cache_size, RPC_UINT),
	RPC_PARAM(struct bdev_options, bdev_auto_examine, RPC_BOOL),
	RPC_PARAM(struct bdev_options, iobuf_small_cache_size, RPC_UINT),
	RPC_PARAM(struct bdev_options, iobuf_large_cache_size, RPC_UINT),
	RPC_END,
};

static void bdev_options_defaults(void *params)
{
	memcpy(params, &bdev_options, sizeof(bdev_options));
}

static void set_bdev_options(struct rpc_request *req, void *params)
{
	const struct bdev_options *p = params;
	uint64_t least = (uint64_t)p->bdev_io_cache_size * (reactor_count() + 1);

	if (p->bdev_io_pool_size < least) {
		rpc_fail(req, RPC_INVALID_PARAMS,
			 "Pool size %u too small for cache size %u: with %u reactors it must be at "
			 "least %llu",
			 p->bdev_io_pool_size, p->bdev_io_cache_size, reactor_count(),
			 (unsigned long long)least);
		return;
	}
	if (!p->bdev_auto_examine) {
		rpc_fail(req, RPC_INVALID_PARAMS,
			 "parameter \"bdev_auto_examine\" is false; it must be true: this target "
			 "examines every bdev by itself");
		return;
	}
	bdev_options = *p;
	note(req, "pools of I/Os grow by themselves");
	rpc_reply_true(req);
}

void rpc_tuning_save_bdev(json_t *array)
{
	const struct bdev_options *o = &bdev_options;

	json_array_append_new(
		array, json_pack("{s:s,s:{s:I,s:I,s:b,s:I,s:I}}", "method", "bdev_set_options",
				 "params", "bdev_io_pool_size", (json_int_t)o->bdev_io_pool_size,
				 "bdev_io_cache_size", (json_int_t)o->bdev_io_cache_size,
				 "bdev_auto_examine", o->bdev_auto_examine,
				 "iobuf_small_cache_size", (json_int_t)o->iobuf_small_cache_size,
				 "iobuf_large_cache_size", (json_int_t)o->iobuf_large_cache_size));
}

/* --- iobuf_set_options ------------------------------------------------------------------------ */

#define SMALL_POOL_MIN 64u
#define LARGE_POOL_MIN 8u
#define SMALL_SIZE_MIN 4096u
#define LARGE_SIZE_MIN 8192u

struct iobuf_options {
	uint64_t small_pool_count;
	uint64_t large_pool_count;
	uint32_t small_bufsize;
	uint32_t large_bufsize;
	bool enable_numa;
};

static struct iobuf_options iobuf_options = {
	.small_pool_count = 8192,
	.large_pool_count = 1024,
	.small_bufsize = REACTOR_SMALL_BUFFER,
	.large_bufsize = REACTOR_LARGE_BUFFER,
};

static const struct rpc_param iobuf_options_params[] = {
	RPC_PARAM(struct iobuf_options, small_pool_count, RPC_UINT),
	RPC_PARAM(struct iobuf_options, large_pool_count, RPC_UINT),
	RPC_PARAM(struct iobuf_options, small_bufsize, RPC_UINT),
	RPC_PARAM(struct iobuf_options, large_bufsize, RPC_UINT),
	RPC_PARAM(struct iobuf_options, enable_numa, RPC_BOOL),
	RPC_END,
};

static void iobuf_options_defaults(void *params)
{
	memcpy(params, &iobuf_options, sizeof(iobuf_options));
}

static const char *check_iobuf(const struct iobuf_options *o)
{
	if (o->small_pool_count < SMALL_POOL_MIN)
		return "\"small_pool_count\" must be at least 64";
	if (o->large_pool_count < LARGE_POOL_MIN)
		return "\"large_pool_count\" must be at least 8";
	if (o->small_bufsize < SMALL_SIZE_MIN)
		return "\"small_bufsize\" must be at least 4096";
	if (o->large_bufsize < LARGE_SIZE_MIN)
		return "\"large_bufsize\" must be at least 8192";
	if (o->large_bufsize <= o->small_bufsize)
		return "\"large_bufsize\" must be over \"small_bufsize\"";
	return NULL;
}

static void set_iobuf_options(struct rpc_request *req, void *params)
{
	const struct iobuf_options *p = params;
	const char *wrong = check_iobuf(p);

	if (wrong) {
		rpc_fail(req, -EINVAL, "iobuf_set_options: %s", wrong);
		return;
	}
	iobuf_options = *p;
	note(req, "each reactor has pools whose memory is taken as it is used");
	rpc_reply_true(req);
}

void rpc_tuning_save_iobuf(json_t *array)
{
	const struct iobuf_options *o = &iobuf_options;

	json_array_append_new(
		array, json_pack("{s:s,s:{s:I,s:I,s:I,s:I,s:b}}", "method", "iobuf_set_options",
				 "params", "small_pool_count", (json_int_t)o->small_pool_count,
				 "large_pool_count", (json_int_t)o->large_pool_count,
				 "small_bufsize", (json_int_t)o->small_bufsize, "large_bufsize",
				 (json_int_t)o->large_bufsize, "enable_numa", o->enable_numa));
}

/* --- the scheduler: work stays on the core on which it was begun -------------------------------
 */

struct set_scheduler {
	const char *name;
};

static const struct rpc_param set_scheduler_params[] = {
	RPC_PARAM(struct set_scheduler, name, RPC_STRING, .required = true),
	RPC_UNUSED("period", RPC_UINT, 8),
	RPC_REFUSED("mappings", "work stays on the core on which it was begun"),
	RPC_END,
};

static void set_scheduler(struct rpc_request *req, void *params)
{
	const struct set_scheduler *p = params;

	if (strcmp(p->name, "static") != 0)
		rpc_fail(req, RPC_INTERNAL_ERROR,
			 "there is no scheduler \"%.64s\"; it must be static: work stays on the "
			 "core "
			 "on which it was begun",
			 p->name);
	else
		rpc_reply_true(req);
}

static void get_scheduler(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_pack("{s:s,s:i,s:s,s:i}", "scheduler_name", "static",
				 "scheduler_period", 0, "isolated_core_mask", "0",
				 "scheduling_core", (int)reactor_core(reactor_at(0))));
}

void rpc_tuning_save_scheduler(json_t *array)
{
	json_array_append_new(array, json_pack("{s:s,s:{s:s}}", "method", "framework_set_scheduler",
					       "params", "name", "static"));
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_set_options",
	  .aliases = { "set_bdev_options" },
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = bdev_options_params,
	  .size = sizeof(struct bdev_options),
	  .defaults = bdev_options_defaults,
	  .call = set_bdev_options },
	{ .name = "iobuf_set_options",
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = iobuf_options_params,
	  .size = sizeof(struct iobuf_options),
	  .defaults = iobuf_options_defaults,
	  .call = set_iobuf_options },
	{ .name = "framework_set_scheduler",
	  .states = RPC_STARTUP | RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = set_scheduler_params,
	  .size = sizeof(struct set_scheduler),
	  .call = set_scheduler },
	{ .name = "framework_get_scheduler",
	  .states = RPC_STARTUP | RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_scheduler },
};
RPC_AREA(tuning, methods);

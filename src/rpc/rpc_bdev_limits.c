/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bdev_set_qos_limit: I/Os and bytes that a bdev carries out a second, by SPDK's rules.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/container_of.h"
#include "base/log.h"
#include "bdev/bdev.h"
#include "rpc/areas.h"

#define IOS_UNIT UINT64_C(1000)
/* JSON's integers end at 2^63 - 1 here. */
#define IOS_UNITS_MAX ((uint64_t)INT64_MAX / IOS_UNIT)
#define MIB_MAX	      (UINT64_MAX >> 20)

/* All ones is SPDK's word for "not given". */
struct set_limits {
	const char *name;
	uint64_t rw_ios_per_sec;
	uint64_t rw_mbytes_per_sec;
	uint64_t r_mbytes_per_sec;
	uint64_t w_mbytes_per_sec;
};

static const struct rpc_param set_limits_params[] = {
	RPC_PARAM(struct set_limits, name, RPC_STRING, .required = true),
	RPC_PARAM(struct set_limits, rw_ios_per_sec, RPC_UINT),
	RPC_PARAM(struct set_limits, rw_mbytes_per_sec, RPC_UINT),
	RPC_PARAM(struct set_limits, r_mbytes_per_sec, RPC_UINT),
	RPC_PARAM(struct set_limits, w_mbytes_per_sec, RPC_UINT),
	RPC_END,
};

static void set_limits_defaults(void *params)
{
	struct set_limits *p = params;

	p->rw_ios_per_sec = p->rw_mbytes_per_sec = BDEV_LIMIT_KEEP;
	p->r_mbytes_per_sec = p->w_mbytes_per_sec = BDEV_LIMIT_KEEP;
}

/** struct change - a request under way; @desc keeps the bdev */
struct change {
	struct rpc_request *req;
	struct bdev_desc *desc;
	struct bdev_limits_set set;
};

/* A bdev that goes meanwhile waits for the end of the change. */
static void ignore_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	(void)event;
	(void)user;
}

static uint64_t ios_of(const char *name, uint64_t ios)
{
	uint64_t units = ios / IOS_UNIT + (ios % IOS_UNIT != 0);

	if (units > IOS_UNITS_MAX)
		units = IOS_UNITS_MAX;
	if (ios == BDEV_LIMIT_KEEP || units * IOS_UNIT == ios)
		return ios;
	log_notice("bdev \"%s\": a limit of %" PRIu64 " I/Os a second is made %" PRIu64
		   ", a multiple of %" PRIu64,
		   name, ios, units * IOS_UNIT, IOS_UNIT);
	return units * IOS_UNIT;
}

static uint64_t bytes_of(uint64_t mib)
{
	if (mib == BDEV_LIMIT_KEEP)
		return mib;
	return (mib < MIB_MAX ? mib : MIB_MAX) << 20;
}

static bool asks_for_nothing(const struct set_limits *p)
{
	return (p->rw_ios_per_sec & p->rw_mbytes_per_sec & p->r_mbytes_per_sec &
		p->w_mbytes_per_sec) == BDEV_LIMIT_KEEP;
}

static void changed(struct bdev_limits_set *set)
{
	struct change *c = container_of(set, struct change, set);

	bdev_close(c->desc);
	rpc_reply_true(c->req);
	free(c);
}

static int start(struct rpc_request *req, const struct set_limits *p, struct error *err)
{
	struct change *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return error_set(err, -ENOMEM, "no memory for the limits of a bdev");
	c->req = req;
	c->set.rate[BDEV_LIMIT_RW_IOS] = ios_of(p->name, p->rw_ios_per_sec);
	c->set.rate[BDEV_LIMIT_RW_BYTES] = bytes_of(p->rw_mbytes_per_sec);
	c->set.rate[BDEV_LIMIT_R_BYTES] = bytes_of(p->r_mbytes_per_sec);
	c->set.rate[BDEV_LIMIT_W_BYTES] = bytes_of(p->w_mbytes_per_sec);
	c->set.done = changed;
	rc = bdev_open(p->name, false, ignore_event, NULL, &c->desc, err);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->set.bdev = bdev_of(c->desc);
	rc = bdev_limits_set(&c->set);
	if (rc == 0)
		return 0;
	bdev_close(c->desc);
	free(c);
	return error_set(err, rc, "no memory for the limits of a bdev");
}

static void set_limits(struct rpc_request *req, void *params)
{
	const struct set_limits *p = params;
	struct error err = ERROR_INIT;

	if (!bdev_find(p->name))
		rpc_fail(req, -ENODEV, "there is no bdev \"%.64s\": %s", p->name,
			 error_errno_text(-ENODEV));
	else if (asks_for_nothing(p))
		rpc_fail(req, -EINVAL,
			 "No rate limits specified for bdev \"%.64s\": give one of "
			 "rw_ios_per_sec, rw_mbytes_per_sec, r_mbytes_per_sec, w_mbytes_per_sec; 0 "
			 "is no limit",
			 p->name);
	else if (start(req, p, &err) < 0)
		rpc_fail_error(req, &err);
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_set_qos_limit",
	  .aliases = { "set_bdev_qos_limit" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = set_limits_params,
	  .size = sizeof(struct set_limits),
	  .defaults = set_limits_defaults,
	  .call = set_limits },
};
RPC_AREA(bdev_limits, methods);

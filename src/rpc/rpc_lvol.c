/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bdev_lvol_* methods have in common: fibers, stores and volumes by name, sizes.
 *
 * Threading: reactor 0.
 */
#include "rpc/rpc_lvol.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "reactor/fiber.h"

/** struct run - in the arena of its request */
struct run {
	struct rpc_request *req;
	void *params;
	void (*work)(struct rpc_request *req, void *params);
};

static void run(void *arg)
{
	struct run *r = arg;

	r->work(r->req, r->params);
}

void rpc_lvol_run(struct rpc_request *req, void *params,
		  void (*work)(struct rpc_request *req, void *params))
{
	struct run *r = rpc_arena_alloc(rpc_request_arena(req), sizeof(*r));

	if (r) {
		*r = (struct run){ .req = req, .params = params, .work = work };
		if (fiber_start(run, r) == 0)
			return;
	}
	rpc_done(req, -ENOMEM, 0, NULL);
}

/* --- by name ---------------------------------------------------------------------------------- */

static struct lvol_store *find_uuid(const char *text)
{
	struct uuid uuid;

	return uuid_from_text(&uuid, text) == 0 ? lvol_store_find_uuid(&uuid) : NULL;
}

struct lvol_store *rpc_lvol_store_named(struct rpc_request *req, const char *uuid, const char *name)
{
	struct lvol_store *store;

	if ((uuid != NULL) == (name != NULL)) {
		rpc_fail(req, -EINVAL,
			 "%s: %s of the store's UUID and name (lvs_name) came; give one of them",
			 rpc_request_method(req)->name, uuid ? "both" : "none");
		return NULL;
	}
	store = uuid ? find_uuid(uuid) : lvol_store_find(name);
	if (!store)
		rpc_fail(req, -ENODEV, "there is no lvol store with %s \"%.64s\": %s",
			 uuid ? "UUID" : "name", uuid ? uuid : name, error_errno_text(-ENODEV));
	return store;
}

struct lvol *rpc_lvol_named(struct rpc_request *req, const char *name)
{
	struct lvol *lvol = lvol_find(name);

	if (!lvol)
		rpc_fail(req, -ENODEV,
			 "there is no logical volume with UUID or alias \"%.140s\": %s", name,
			 error_errno_text(-ENODEV));
	return lvol;
}

/* --- answers ---------------------------------------------------------------------------------- */

void rpc_lvol_answer(struct rpc_request *req, int result, int code, const struct lvol *lvol,
		     const struct error *err)
{
	char id[LVOL_UNIQUE_ID_SIZE];

	if (result < 0) {
		rpc_done(req, result, code, err);
		return;
	}
	lvol_unique_id(lvol, id);
	rpc_reply(req, json_string(id));
}

/* --- parameters ------------------------------------------------------------------------------- */

bool rpc_lvol_clear(struct rpc_request *req, const char *name, enum blob_clear *clear)
{
	static const struct {
		const char *name;
		enum blob_clear clear;
	} methods[] = {
		{ "none", BLOB_CLEAR_NONE },
		{ "unmap", BLOB_CLEAR_UNMAP },
		{ "write_zeroes", BLOB_CLEAR_WRITE_ZEROES },
	};

	if (!name)
		return true;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) == 0) {
			*clear = methods[i].clear;
			return true;
		}
	}
	rpc_fail(req, -EINVAL,
		 "%s: parameter \"clear_method\" is \"%.32s\"; it must be one of none, unmap, "
		 "write_zeroes",
		 rpc_request_method(req)->name, name);
	return false;
}

bool rpc_lvol_bytes(struct rpc_request *req, const struct rpc_lvol_size *s, uint64_t *bytes)
{
	const char *method = rpc_request_method(req)->name;

	if (s->has_mib == s->has_size) {
		rpc_fail(req, RPC_INTERNAL_ERROR,
			 "%s: %s of size_in_mib and size (in bytes, of older releases) came; give "
			 "one of them",
			 method, s->has_mib ? "both" : "none");
		return false;
	}
	if (s->has_size) {
		*bytes = s->size;
		return true;
	}
	if (checked_mul_u64(s->size_in_mib, 1024 * 1024, bytes))
		return true;
	rpc_fail(req, RPC_INVALID_PARAMS,
		 "%s: size_in_mib is %" PRIu64 "; a volume has less than 2^63 bytes", method,
		 s->size_in_mib);
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the bdev_lvol_* methods share.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_RPC_LVOL_H
#define RPC_RPC_LVOL_H

#include "lvol/lvol.h"
#include "rpc/areas.h"

/** rpc_lvol_run() - @work as a fiber; it answers the request */
void rpc_lvol_run(struct rpc_request *req, void *params,
		  void (*work)(struct rpc_request *req, void *params));

/**
 * rpc_lvol_store_named() - the store of a UUID's text or of a name: exactly one of them is given
 *
 * Return: NULL when @req was answered: -EINVAL, -ENODEV.
 */
struct lvol_store *rpc_lvol_store_named(struct rpc_request *req, const char *uuid,
					const char *name);
/** rpc_lvol_named() - NULL when @req was answered with -ENODEV */
struct lvol *rpc_lvol_named(struct rpc_request *req, const char *name);
/** rpc_lvol_answer() - with the name of the new volume's bdev, or @code (0: @result) */
void rpc_lvol_answer(struct rpc_request *req, int result, int code, const struct lvol *lvol,
		     const struct error *err);
/** rpc_lvol_clear() - what a clear method's name means; false when @req was answered */
bool rpc_lvol_clear(struct rpc_request *req, const char *name, enum blob_clear *clear);

/**
 * struct rpc_lvol_size - a size as this and older releases give it
 * @size: in bytes, before 24.05
 */
struct rpc_lvol_size {
	uint64_t size_in_mib, size;
	bool has_mib, has_size;
};
/** rpc_lvol_bytes() - false when @req was answered: neither, both, or too many */
bool rpc_lvol_bytes(struct rpc_request *req, const struct rpc_lvol_size *s, uint64_t *bytes);
#define RPC_LVOL_SIZE(type)                                                                        \
	RPC_PARAM_AS(type, size.size_in_mib, "size_in_mib", RPC_UINT,                              \
		     RPC_GIVEN(type, size.has_mib)),                                               \
		RPC_PARAM_AS(type, size.size, "size", RPC_UINT, RPC_GIVEN(type, size.has_size))

/* SPDK's code for parameters that it cannot decode is that of internal errors. */
#define RPC_LVOL_METHOD(name_, params_, type, call_, ...)                                          \
	{                                                                                          \
		.name = (name_), .states = RPC_RUNTIME, .decode_code = RPC_INTERNAL_ERROR,         \
		.params = (params_), .size = sizeof(type), .call = (call_), ##__VA_ARGS__          \
	}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value against one row of a table; only for the files of the decoder.
 *
 * Threading: pure functions.
 */
#ifndef RPC_PARAMS_VALUE_H
#define RPC_PARAMS_VALUE_H

#include "rpc/params.h"

/** rpc_value_decode() - check @v against @row and keep it in @out, as rpc_params_decode() says */
int rpc_value_decode(const struct rpc_param *row, const struct json_value *v, void *out,
		     struct rpc_arena *arena, struct error *err);
/** rpc_value_allowed() - in words, what a row allows: "a whole number from 1 to 20" */
void rpc_value_allowed(const struct rpc_param *row, char *buf, size_t size);

#endif

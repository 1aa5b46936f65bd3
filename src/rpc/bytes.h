/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that grow: answers on their way out, as compact JSON in ASCII.
 *
 * Threading: belongs to its owner.
 */
#ifndef RPC_BYTES_H
#define RPC_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/** struct rpc_bytes - all zeros at first; @failed: memory was short, what is there is not whole */
struct rpc_bytes {
	char *data;
	size_t len, size;
	bool failed;
};

void rpc_bytes_add(struct rpc_bytes *b, const void *data, size_t len);
void rpc_bytes_text(struct rpc_bytes *b, const char *text);
/** rpc_bytes_json() - @value as SPDK spells it: compact, all but printable ASCII escaped */
void rpc_bytes_json(struct rpc_bytes *b, const json_t *value);
/** rpc_bytes_clear() - no bytes; a large buffer is given back */
void rpc_bytes_clear(struct rpc_bytes *b);
void rpc_bytes_free(struct rpc_bytes *b);

#endif

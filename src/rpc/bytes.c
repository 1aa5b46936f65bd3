/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that grow.
 *
 * Threading: belongs to its owner.
 */
#include "rpc/bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define BYTES_KEPT (16u * 1024)

static bool grow(struct rpc_bytes *b, size_t len)
{
	size_t size = b->size ? b->size : 256;
	char *data;

	if (len > SIZE_MAX / 4 - b->len)
		return false;
	while (size - b->len < len)
		size *= 2;
	data = realloc(b->data, size);
	if (!data)
		return false;
	b->data = data;
	b->size = size;
	return true;
}

void rpc_bytes_add(struct rpc_bytes *b, const void *data, size_t len)
{
	if (b->failed || len == 0)
		return;
	if (b->size - b->len < len && !grow(b, len)) {
		b->failed = true;
		return;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void rpc_bytes_text(struct rpc_bytes *b, const char *text)
{
	rpc_bytes_add(b, text, strlen(text));
}

void rpc_bytes_json(struct rpc_bytes *b, const json_t *value)
{
	size_t len;
	char *text = json_write(value, JSON_WRITE_ASCII, &len);

	if (text)
		rpc_bytes_add(b, text, len);
	else
		b->failed = true;
	free(text);
}

void rpc_bytes_clear(struct rpc_bytes *b)
{
	if (b->size > BYTES_KEPT)
		rpc_bytes_free(b);
	b->len = 0;
	b->failed = false;
}

void rpc_bytes_free(struct rpc_bytes *b)
{
	free(b->data);
	*b = (struct rpc_bytes){ .data = NULL };
}

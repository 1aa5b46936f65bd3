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

/* jansson leaves DEL as it is; it comes in strings only. */
static int dump(const char *buffer, size_t size, void *data)
{
	const char *del;

	while ((del = memchr(buffer, 0x7f, size)) != NULL) {
		size_t len = (size_t)(del - buffer);

		rpc_bytes_add(data, buffer, len);
		rpc_bytes_text(data, "\\u007F");
		buffer = del + 1;
		size -= len + 1;
	}
	rpc_bytes_add(data, buffer, size);
	return 0;
}

void rpc_bytes_json(struct rpc_bytes *b, const json_t *value)
{
	if (json_dump_callback(value, dump, b, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY))
		b->failed = true;
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

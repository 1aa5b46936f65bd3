/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding parameters by tables: one value of each kind.
 *
 * Threading: pure functions.
 */
#include "rpc/params_value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"

#define VALUE_TEXT 64

static uint64_t uint_max(const struct rpc_param *row)
{
	if (row->min || row->max)
		return row->max;
	return row->size >= 8 ? UINT64_MAX : (UINT64_C(1) << (row->size * 8)) - 1;
}

/* Bounds of signed rows are kept in the same words, as two's complement. */
static void int_bounds(const struct rpc_param *row, int64_t *min, int64_t *max)
{
	*max = row->size >= 8 ? INT64_MAX : INT32_MAX;
	*min = -*max - 1;
	if (row->min || row->max) {
		*min = (int64_t)row->min;
		*max = (int64_t)row->max;
	}
}

static uint64_t string_max(const struct rpc_param *row)
{
	return row->max ? row->max : RPC_STRING_MAX;
}

static void names_text(const char *const *names, char *buf, size_t size)
{
	size_t at = 0;

	for (; *names && at < size; names++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", *names);
}

void rpc_value_allowed(const struct rpc_param *row, char *buf, size_t size)
{
	char names[ERROR_TEXT_MAX / 2] = "";
	int64_t min, max;

	if (row->names)
		names_text(row->names, names, sizeof(names));
	switch (row->kind) {
	case RPC_BOOL:
		snprintf(buf, size, "true or false");
		break;
	case RPC_UINT:
		snprintf(buf, size, "a whole number from %" PRIu64 " to %" PRIu64, row->min,
			 uint_max(row));
		break;
	case RPC_INT:
		int_bounds(row, &min, &max);
		snprintf(buf, size, "a whole number from %" PRId64 " to %" PRId64, min, max);
		break;
	case RPC_STRING:
		snprintf(buf, size, "a string of at most %" PRIu64 " bytes", string_max(row));
		break;
	case RPC_UUID:
		snprintf(buf, size, "a UUID like 01234567-89ab-4cde-8f01-23456789abcd");
		break;
	case RPC_HEX:
		snprintf(buf, size, "a string of %zu hexadecimal digits", row->size * 2);
		break;
	case RPC_ENUM:
		snprintf(buf, size, "one of %s", names);
		break;
	case RPC_STRINGS:
		snprintf(buf, size, "an array of strings");
		break;
	case RPC_PAIRS:
		snprintf(buf, size, "an object whose members are strings");
		break;
	case RPC_NAMES:
		snprintf(buf, size, "an array of %s", names);
		break;
	case RPC_OBJECT:
		snprintf(buf, size, "an object");
		break;
	}
}

static int refuse_value(const struct rpc_param *row, const struct json_value *v, struct error *err)
{
	char allowed[ERROR_TEXT_MAX / 2], value[VALUE_TEXT];
	size_t len = json_print(v, value, sizeof(value));

	rpc_value_allowed(row, allowed, sizeof(allowed));
	return error_set(err, -EINVAL, "parameter \"%s\" is %s%s; it must be %s", row->name, value,
			 len >= sizeof(value) ? "..." : "", allowed);
}

static int refuse_memory(const struct rpc_param *row, struct error *err)
{
	return error_set(err, -ENOMEM, "no memory for parameter \"%s\"", row->name);
}

static int take_uint(const struct rpc_param *row, const struct json_value *v, void *to,
		     struct error *err)
{
	uint64_t value;

	if (json_get_u64(v, uint_max(row), &value) < 0 || value < row->min)
		return refuse_value(row, v, err);
	switch (row->size) {
	case 1:
		*(uint8_t *)to = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)to = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)to = (uint32_t)value;
		break;
	default:
		assert(row->size == 8);
		*(uint64_t *)to = value;
	}
	return 0;
}

static int take_int(const struct rpc_param *row, const struct json_value *v, void *to,
		    struct error *err)
{
	int64_t min, max, value;

	int_bounds(row, &min, &max);
	if (json_get_i64(v, min, max, &value) < 0)
		return refuse_value(row, v, err);
	if (row->size == 4)
		*(int32_t *)to = (int32_t)value;
	else
		*(int64_t *)to = value;
	return 0;
}

static const char *copy_text(const char *text, size_t len, struct rpc_arena *arena)
{
	char *copy = rpc_arena_alloc(arena, len + 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

static const char *copy_string(const struct json_value *v, struct rpc_arena *arena)
{
	return copy_text(v->text, v->len, arena);
}

static int take_string(const struct rpc_param *row, const struct json_value *v, const char **to,
		       struct rpc_arena *arena, struct error *err)
{
	if (v->kind != JSON_KIND_STRING || v->len > string_max(row))
		return refuse_value(row, v, err);
	*to = copy_string(v, arena);
	return *to ? 0 : refuse_memory(row, err);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_hex(const struct rpc_param *row, const struct json_value *v, uint8_t *to,
		    struct error *err)
{
	if (v->kind != JSON_KIND_STRING || v->len != row->size * 2)
		return refuse_value(row, v, err);
	for (size_t i = 0; i < row->size; i++) {
		int high = hex_digit(v->text[i * 2]), low = hex_digit(v->text[i * 2 + 1]);

		if (high < 0 || low < 0)
			return refuse_value(row, v, err);
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int find_name(const struct rpc_param *row, const struct json_value *v)
{
	for (int i = 0; v->kind == JSON_KIND_STRING && row->names[i]; i++) {
		if (strcmp(row->names[i], v->text) == 0)
			return i;
	}
	return -1;
}

static int take_enum(const struct rpc_param *row, const struct json_value *v, int *to,
		     struct error *err)
{
	int value = find_name(row, v);

	if (value < 0)
		return refuse_value(row, v, err);
	*to = value;
	return 0;
}

static int take_names(const struct rpc_param *row, const struct json_value *v, uint32_t *to,
		      struct error *err)
{
	if (v->kind != JSON_KIND_ARRAY)
		return refuse_value(row, v, err);
	*to = 0;
	JSON_VALUE_FOREACH (item, v) {
		int value = find_name(row, item);

		if (value < 0)
			return refuse_value(row, v, err);
		*to |= 1u << value;
	}
	return 0;
}

static int take_strings(const struct rpc_param *row, const struct json_value *v,
			struct rpc_strings *to, struct rpc_arena *arena, struct error *err)
{
	if (v->kind != JSON_KIND_ARRAY)
		return refuse_value(row, v, err);
	to->count = 0;
	to->items = rpc_arena_alloc(arena, (v->count + 1) * sizeof(*to->items));
	if (!to->items)
		return refuse_memory(row, err);
	JSON_VALUE_FOREACH (item, v) {
		if (item->kind != JSON_KIND_STRING)
			return refuse_value(row, v, err);
		to->items[to->count] = copy_string(item, arena);
		if (!to->items[to->count++])
			return refuse_memory(row, err);
	}
	return 0;
}

static int take_pairs(const struct rpc_param *row, const struct json_value *v, const char ***to,
		      struct rpc_arena *arena, struct error *err)
{
	const char **at;

	if (v->kind != JSON_KIND_OBJECT && v->kind != JSON_KIND_NULL)
		return refuse_value(row, v, err);
	at = rpc_arena_alloc(arena, (2 * (size_t)v->count + 1) * sizeof(*at));
	if (!at)
		return refuse_memory(row, err);
	*to = at;
	if (v->kind == JSON_KIND_NULL)
		return 0;
	JSON_VALUE_FOREACH (item, v) {
		if (item->kind != JSON_KIND_STRING)
			return refuse_value(row, v, err);
		at[0] = copy_text(item->name, strlen(item->name), arena);
		at[1] = copy_string(item, arena);
		if (!at[0] || !at[1])
			return refuse_memory(row, err);
		at += 2;
	}
	return 0;
}

static int take_object(const struct rpc_param *row, const struct json_value *v, void *to,
		       struct rpc_arena *arena, struct error *err)
{
	int rc;

	if (v->kind != JSON_KIND_OBJECT)
		return refuse_value(row, v, err);
	rc = rpc_params_decode(row->members, v, to, arena, err);
	if (rc < 0)
		error_prefix(err, "in \"%s\": ", row->name);
	return rc;
}

/* Configurations that SPDK saved name what they do not use. */
static bool says_nothing(const struct json_value *v)
{
	uint64_t number;

	switch (v->kind) {
	case JSON_KIND_NULL:
	case JSON_KIND_FALSE:
		return true;
	case JSON_KIND_NUMBER:
		return json_get_u64(v, 0, &number) == 0;
	case JSON_KIND_STRING:
		return v->len == 0;
	case JSON_KIND_TRUE:
		return false;
	default:
		return v->count == 0;
	}
}

static int check_refused(const struct rpc_param *row, const struct json_value *v, struct error *err)
{
	char value[VALUE_TEXT];

	if (says_nothing(v))
		return 0;
	json_print(v, value, sizeof(value));
	return error_set(err, -EINVAL, "parameter \"%s\" is %s; leave it out: %s", row->name, value,
			 row->refused);
}

static int take_value(const struct rpc_param *row, const struct json_value *v, void *to,
		      struct rpc_arena *arena, struct error *err)
{
	switch (row->kind) {
	case RPC_BOOL:
		return json_get_bool(v, to) < 0 ? refuse_value(row, v, err) : 0;
	case RPC_UINT:
		return take_uint(row, v, to, err);
	case RPC_INT:
		return take_int(row, v, to, err);
	case RPC_STRING:
		return take_string(row, v, to, arena, err);
	case RPC_UUID:
		if (v->kind != JSON_KIND_STRING || uuid_from_text(to, v->text) < 0)
			return refuse_value(row, v, err);
		return 0;
	case RPC_HEX:
		return take_hex(row, v, to, err);
	case RPC_ENUM:
		return take_enum(row, v, to, err);
	case RPC_STRINGS:
		return take_strings(row, v, to, arena, err);
	case RPC_PAIRS:
		return take_pairs(row, v, to, arena, err);
	case RPC_NAMES:
		return take_names(row, v, to, err);
	default:
		return take_object(row, v, to, arena, err);
	}
}

int rpc_value_decode(const struct rpc_param *row, const struct json_value *v, void *out,
		     struct rpc_arena *arena, struct error *err)
{
	/* As large as the largest of the kinds that are kept in place. */
	_Alignas(16) uint8_t forgotten[64];

	if (row->refused)
		return check_refused(row, v, err);
	if (row->unused) {
		assert(row->kind != RPC_OBJECT && row->size <= sizeof(forgotten));
		return take_value(row, v, forgotten, arena, err);
	}
	return take_value(row, v, (uint8_t *)out + row->offset, arena, err);
}

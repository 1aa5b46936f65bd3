/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding parameters by tables: which member belongs to which row, and what a row allows.
 *
 * Threading: pure functions.
 */
#include "rpc/params.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/params_value.h"

/* Of one table, for the set of those that came. */
#define ROWS_MAX 64

struct rpc_arena_block {
	struct rpc_arena_block *next;
	_Alignas(16) uint8_t bytes[];
};

void *rpc_arena_alloc(struct rpc_arena *arena, size_t size)
{
	struct rpc_arena_block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->next = arena->blocks;
	arena->blocks = block;
	return block->bytes;
}

void rpc_arena_free(struct rpc_arena *arena)
{
	struct rpc_arena_block *block;

	while ((block = arena->blocks) != NULL) {
		arena->blocks = block->next;
		free(block);
	}
}

/* Those that are refused are no offer. */
static void list_names(const struct rpc_param *table, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (const struct rpc_param *p = table; p && p->name && at < size; p++) {
		if (!p->refused)
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
					       p->name);
	}
}

static int refuse_unknown(const struct rpc_param *table, const struct json_value *member,
			  struct error *err)
{
	char names[ERROR_TEXT_MAX - 128];

	list_names(table, names, sizeof(names));
	return error_set(err, -EINVAL, "unknown parameter \"%.64s\"; allowed: %s", member->name,
			 names[0] ? names : "none");
}

static int find_row(const struct rpc_param *table, const char *name)
{
	for (int i = 0; table && table[i].name; i++) {
		if (strcmp(table[i].name, name) == 0 ||
		    (table[i].alias && strcmp(table[i].alias, name) == 0))
			return i;
	}
	return -1;
}

static int take_member(const struct rpc_param *table, const struct json_value *member,
		       uint64_t *seen, void *out, struct rpc_arena *arena, struct error *err)
{
	int row = find_row(table, member->name);
	int rc;

	if (row < 0)
		return refuse_unknown(table, member, err);
	assert(row < ROWS_MAX);
	if (*seen & UINT64_C(1) << row)
		return error_set(err, -EINVAL, "parameter \"%s\" came twice; give it once",
				 table[row].name);
	*seen |= UINT64_C(1) << row;
	rc = rpc_value_decode(&table[row], member, out, arena, err);
	if (rc == 0 && table[row].has_given)
		*(bool *)((uint8_t *)out + table[row].given) = true;
	return rc;
}

static int check_required(const struct rpc_param *table, uint64_t seen, struct error *err)
{
	char allowed[ERROR_TEXT_MAX / 2];

	for (unsigned int i = 0; table && table[i].name; i++) {
		if (!table[i].required || (seen & UINT64_C(1) << i) != 0)
			continue;
		rpc_value_allowed(&table[i], allowed, sizeof(allowed));
		return error_set(err, -EINVAL, "parameter \"%s\" is missing; it must be %s",
				 table[i].name, allowed);
	}
	return 0;
}

int rpc_params_decode(const struct rpc_param *table, const struct json_value *params, void *out,
		      struct rpc_arena *arena, struct error *err)
{
	uint64_t seen = 0;

	if (params && params->kind != JSON_KIND_OBJECT)
		return error_set(err, -EINVAL,
				 "parameters came as an %s; they must be an object of named values",
				 json_kind_name(params->kind));
	if (params) {
		JSON_VALUE_FOREACH (member, params) {
			int rc = take_member(table, member, &seen, out, arena, err);

			if (rc < 0)
				return rc;
		}
	}
	return check_required(table, seen, err);
}

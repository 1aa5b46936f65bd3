/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters of methods: a table says what a method takes, and the decoder holds what came against
 * it before the method runs. Every refusal names the parameter, what came and what is allowed.
 *
 * Threading: pure functions on what the caller owns.
 */
#ifndef RPC_PARAMS_H
#define RPC_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

enum rpc_kind {
	RPC_BOOL,    /* bool */
	RPC_UINT,    /* uint8_t to uint64_t */
	RPC_INT,     /* int32_t, int64_t */
	RPC_STRING,  /* const char * */
	RPC_UUID,    /* struct uuid */
	RPC_HEX,     /* uint8_t[]: exactly so many bytes */
	RPC_ENUM,    /* int: index into names */
	RPC_STRINGS, /* struct rpc_strings: an array of strings */
	RPC_PAIRS,   /* const char **: of an object of strings, name, value, ..., NULL */
	RPC_NAMES,   /* uint32_t: an array of strings out of names, as bits */
	RPC_OBJECT,  /* a struct with a table of its own */
};

struct rpc_strings {
	const char **items;
	size_t count;
};

/**
 * struct rpc_param - one row of a method's table; the table ends with a row of all zeros
 * @name: as clients spell it
 * @alias: a name that other releases of SPDK have for it, or NULL
 * @kind: what it is, and with @size how it is kept
 * @required: the method is refused without it
 * @offset, @size: where in the method's struct; see RPC_PARAM()
 * @given, @has_given: where in the struct a bool says that it came
 * @min, @max: of numbers; both 0: all that the size holds. Of strings, @max: bytes, 0 for
 *             RPC_STRING_MAX; of arrays: elements
 * @names: of RPC_ENUM and RPC_NAMES, ending with NULL
 * @members: of RPC_OBJECT
 * @refused: it may be left out, or have the value that is the default; else the reason why not
 * @unused: checked, then forgotten: it has a meaning for transports or devices that are not here
 */
struct rpc_param {
	const char *name;
	const char *alias;
	enum rpc_kind kind;
	bool required;
	bool has_given;
	bool unused;
	size_t offset, size;
	size_t given;
	uint64_t min, max;
	const char *const *names;
	const struct rpc_param *members;
	const char *refused;
};

/** RPC_PARAM() - a row for a member of the method's struct that has the parameter's name */
#define RPC_PARAM(type, field, kind_, ...)                                                         \
	{                                                                                          \
		.name = #field, .kind = (kind_), .offset = offsetof(type, field),                  \
		.size = sizeof(((type *)0)->field), ##__VA_ARGS__                                  \
	}
/** RPC_PARAM_AS() - the same for a member whose name is another, or that is deeper */
#define RPC_PARAM_AS(type, field, name_, kind_, ...)                                               \
	{                                                                                          \
		.name = (name_), .kind = (kind_), .offset = offsetof(type, field),                 \
		.size = sizeof(((type *)0)->field), ##__VA_ARGS__                                  \
	}
/** RPC_GIVEN() - further words of a row: a bool member that says whether it came */
#define RPC_GIVEN(type, field) .has_given = true, .given = offsetof(type, field)
/** RPC_UNUSED() - a row for what is checked and not kept; @bytes as in RPC_PARAM's size */
#define RPC_UNUSED(name_, kind_, bytes, ...)                                                       \
	{                                                                                          \
		.name = (name_), .kind = (kind_), .unused = true, .size = (bytes), ##__VA_ARGS__   \
	}
/** RPC_REFUSED() - a row for what this engine does not have: null, false, 0 and "" only */
#define RPC_REFUSED(name_, why)                                                                    \
	{                                                                                          \
		.name = (name_), .refused = (why)                                                  \
	}
#define RPC_END                                                                                    \
	{                                                                                          \
		.name = NULL                                                                       \
	}

#define RPC_STRING_MAX (256u * 1024)

/** struct rpc_arena - what decoded strings and arrays live in; all zeros at first */
struct rpc_arena {
	struct rpc_arena_block *blocks;
};

/** rpc_arena_alloc() - zeroed bytes that live until rpc_arena_free(); NULL when memory is short */
void *rpc_arena_alloc(struct rpc_arena *arena, size_t size);
void rpc_arena_free(struct rpc_arena *arena);

/**
 * rpc_params_decode() - check @params against @table and fill @out
 * @table: NULL for a method without parameters
 * @params: NULL for none given; anything but an object is refused
 * @out: holds the defaults
 *
 * Return: 0, -EINVAL, or -ENOMEM; @err says which parameter, what came, what is allowed.
 */
int rpc_params_decode(const struct rpc_param *table, const struct json_value *params, void *out,
		      struct rpc_arena *arena, struct error *err);

#endif

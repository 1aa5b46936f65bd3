/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that print answers share.
 *
 * Threading: one thread.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli/cli.h"

#define SIZE_TEXT 24

/* Members of an answer; "", 0 and false when they are not there. */
static inline const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static inline int64_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static inline bool flag(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

/** size_text() - "1.5 GiB" */
const char *size_text(int64_t bytes, char out[static SIZE_TEXT]);

#endif

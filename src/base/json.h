/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded, incremental JSON reader (RFC 8259), for text that comes from outside.
 *
 * Bytes are fed in any split; when a text (one JSON value) is whole the reader holds it as an array
 * of values over its own buffer. Numbers stay raw text, so that an id is answered as it was
 * spelled and no digit is lost. Limits bound memory whatever arrives, and an error names what was
 * found, where, and what is allowed.
 *
 * Threading: a reader belongs to one thread.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_TRUE,
	JSON_KIND_FALSE,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

#define JSON_DEPTH_MAX 1024

/**
 * struct json_limits - how much one text may be
 * @bytes: of one text, white space in front not counted
 * @values: of all kinds, member names not counted
 * @depth: of arrays and objects in each other; JSON_DEPTH_MAX at most, whatever is asked
 */
struct json_limits {
	size_t bytes;
	size_t values;
	unsigned int depth;
};

/**
 * struct json_value - one value of a text, in document order
 * @kind: what it is
 * @text: strings: decoded UTF-8, NUL-terminated (U+0000 is refused, so a C string is whole);
 *        numbers: as they were spelled, NUL-terminated; others: NULL
 * @len: of @text in bytes
 * @name: of a member, decoded and NUL-terminated; NULL in arrays and at the top
 * @count: elements of an array, members of an object
 * @next: number of values to the next sibling (1 for scalars): value + value->next
 *
 * A container's first child, if @count > 0, is value + 1.
 */
struct json_value {
	enum json_kind kind;
	const char *text;
	size_t len;
	const char *name;
	uint32_t count;
	uint32_t next;
};

#define JSON_VALUE_FOREACH(child, parent)                                                          \
	for (const struct json_value *child = (parent) + 1,                                        \
				     *child##_end = (parent) + (parent)->next;                     \
	     child < child##_end; child += child->next)

struct json_reader;

enum json_feed {
	JSON_FEED_MORE,	 /* all bytes taken; the text is not whole yet */
	JSON_FEED_VALUE, /* one text is whole; bytes behind it were not taken */
	JSON_FEED_ERROR, /* no JSON, or over a limit; the reader takes nothing more */
};

/** json_reader_create() - a reader with @limits; NULL when memory is short */
struct json_reader *json_reader_create(const struct json_limits *limits);
void json_reader_destroy(struct json_reader *r);

/**
 * json_reader_feed() - take bytes until one text is whole
 * @data, @len: what arrived
 * @taken: how many bytes were taken; the caller feeds the rest after json_reader_next()
 * @err: with JSON_FEED_ERROR: -EILSEQ no JSON, -EMSGSIZE over a limit (the text names it),
 *       -ENOMEM. The same again at each call until json_reader_next()
 *
 * A number at the top of a text ends only with the byte behind it. Which member names are doubled
 * is the caller's to judge.
 */
enum json_feed json_reader_feed(struct json_reader *r, const char *data, size_t len, size_t *taken,
				struct error *err);

/** json_reader_value() - the top value after JSON_FEED_VALUE; valid until json_reader_next() */
const struct json_value *json_reader_value(const struct json_reader *r);

/** json_reader_next() - forget the text and be ready for another; gives back a large buffer */
void json_reader_next(struct json_reader *r);

/** json_reader_is_empty() - no byte of a text was taken, white space aside */
bool json_reader_is_empty(const struct json_reader *r);

/** json_member() - the member @name of an object; the first of them; NULL when there is none */
const struct json_value *json_member(const struct json_value *object, const char *name);

/**
 * json_get_u64() - an unsigned integer: 1000, 1000.0, 1e3 and 5.12e2 are all whole numbers
 *
 * Return: 0; -EINVAL when the value is no whole number; -ERANGE when it is negative or over @max.
 */
int json_get_u64(const struct json_value *v, uint64_t max, uint64_t *out);
/** json_get_i64() - a signed integer between @min and @max, spelled as in json_get_u64() */
int json_get_i64(const struct json_value *v, int64_t min, int64_t max, int64_t *out);
/** json_get_bool() - -EINVAL when the value is neither true nor false */
int json_get_bool(const struct json_value *v, bool *out);
/** json_kind_name() - "null", "boolean", "number", "string", "array", "object" */
const char *json_kind_name(enum json_kind kind);

/**
 * json_to_jansson() - a jansson copy of the value (new reference); NULL when memory is short
 *
 * Of members with one name the first stays, as json_member() has it. Integers beyond 64 bits become
 * reals, and reals beyond a double the largest double.
 */
json_t *json_to_jansson(const struct json_value *v);

#define JSON_WRITE_ASCII  1u /* all but printable ASCII escaped, DEL too */
#define JSON_WRITE_INDENT 2u /* a line each, by two spaces; else compact */

/**
 * json_write() - the text of @v as json_dumps() would write it, several times faster
 * @flags: JSON_WRITE_*
 * @len: set to its length; NULL when it does not matter
 *
 * Return: NUL-terminated, given back by free(3); NULL when memory is short, or @v is NULL.
 */
char *json_write(const json_t *v, unsigned int flags, size_t *len);

/**
 * json_print() - a value as compact ASCII JSON text into @buf, NUL-terminated, as snprintf()
 * counts; for error messages, where it is cut
 */
size_t json_print(const struct json_value *v, char *buf, size_t size);

#endif

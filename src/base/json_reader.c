/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON reader: a state machine that eats one byte at a time and never looks back, so that any
 * split of the bytes gives the same.
 *
 * Strings and numbers are put into the buffer decoded, each with a NUL behind it, which is never
 * longer than what came: a string has two quotes, a number something behind it. The buffer moves as
 * it grows; places[] keeps offsets, which become pointers when the text is whole. While a container
 * is open its `next` holds the index of the one around it, so that depth costs no memory.
 *
 * Threading: a reader belongs to one thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define NONE	    UINT32_MAX
#define BYTES_KEPT  (16 * 1024)
#define VALUES_KEPT 256

enum state {
	STATE_START,	     /* nothing but white space so far */
	STATE_VALUE,	     /* a value must come */
	STATE_FIRST_VALUE,   /* behind '[' */
	STATE_FIRST_NAME,    /* behind '{' */
	STATE_NAME,	     /* behind ',' in an object */
	STATE_COLON,	     /* behind a name */
	STATE_AFTER,	     /* behind a value in a container */
	STATE_LITERAL,	     /* in null, true, false */
	STATE_NUMBER,	     /* see enum number */
	STATE_STRING,	     /* in a string or name */
	STATE_UTF8,	     /* within a character of several bytes */
	STATE_ESCAPE,	     /* behind '\' */
	STATE_HEX,	     /* behind \u */
	STATE_LOW_BACKSLASH, /* behind a high surrogate */
	STATE_LOW_U,
	STATE_DONE,
	STATE_FAILED,
};

/* What of a number was read last (RFC 8259, section 6). */
enum number {
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_INTEGER,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_E,
	NUMBER_SIGN,
	NUMBER_EXPONENT,
	NUMBER_END,
	NUMBER_BAD,
};

enum outcome {
	TAKEN,
	AGAIN, /* the byte belongs to the state that was entered */
	BROKEN,
};

struct place {
	size_t text;
	size_t name;
};

#define NO_NAME SIZE_MAX

/**
 * struct json_reader
 * @taken: bytes of this text, for the limit and for messages
 * @buf, @len, @size: decoded strings and numbers
 * @values, @places, @count, @room: values so far, and where their text is in @buf
 * @parent: the innermost open container; NONE at the top
 * @name: the name read for the next value, in @buf; NO_NAME
 * @start: where the string being read begins in @buf
 * @is_name: it is a member's name
 * @literal: what is still missing of null, true, false
 * @unit, @digits, @high: \u escape: its code unit, digits to come, high surrogate in front (or 0)
 * @tail, @low, @top: UTF-8: bytes to come, and bounds of the next
 */
struct json_reader {
	struct json_limits limits;
	enum state state;
	size_t taken;
	char *buf;
	size_t len, size;
	struct json_value *values;
	struct place *places;
	size_t count, room;
	uint32_t parent;
	unsigned int depth;
	size_t name;
	size_t start;
	bool is_name;
	enum number number;
	const char *literal;
	uint32_t unit, high;
	unsigned int digits;
	unsigned int tail;
	unsigned char low, top;
	struct error error;
};

static void forget(struct json_reader *r)
{
	r->state = STATE_START;
	r->taken = 0;
	r->len = 0;
	r->count = 0;
	r->parent = NONE;
	r->depth = 0;
	r->name = NO_NAME;
	r->high = 0;
	r->error.code = 0;
	r->error.text[0] = '\0';
}

struct json_reader *json_reader_create(const struct json_limits *limits)
{
	struct json_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->limits = *limits;
	if (r->limits.depth > JSON_DEPTH_MAX)
		r->limits.depth = JSON_DEPTH_MAX;
	/* Indices are 32 bits wide, and one of them means none. */
	if (r->limits.values > NONE)
		r->limits.values = NONE;
	forget(r);
	return r;
}

static void free_buffer(struct json_reader *r)
{
	free(r->buf);
	r->buf = NULL;
	r->size = 0;
}

static void free_values(struct json_reader *r)
{
	free(r->values);
	free(r->places);
	r->values = NULL;
	r->places = NULL;
	r->room = 0;
}

void json_reader_destroy(struct json_reader *r)
{
	if (!r)
		return;
	free_buffer(r);
	free_values(r);
	free(r);
}

void json_reader_next(struct json_reader *r)
{
	if (r->size > BYTES_KEPT)
		free_buffer(r);
	if (r->room > VALUES_KEPT)
		free_values(r);
	forget(r);
}

bool json_reader_is_empty(const struct json_reader *r)
{
	return r->state == STATE_START;
}

const struct json_value *json_reader_value(const struct json_reader *r)
{
	assert(r->state == STATE_DONE);
	return r->values;
}

__attribute__((format(printf, 3, 4))) static enum outcome refuse(struct json_reader *r, int code,
								 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_vset(&r->error, code, fmt, args);
	va_end(args);
	error_prefix(&r->error, "JSON byte %zu: ", r->taken + 1);
	r->state = STATE_FAILED;
	return BROKEN;
}

static enum outcome refuse_byte(struct json_reader *r, unsigned char c, const char *expected)
{
	if (c > 0x20 && c < 0x7f)
		return refuse(r, -EILSEQ, "found '%c', expected %s", c, expected);
	return refuse(r, -EILSEQ, "found the byte 0x%02x, expected %s", c, expected);
}

static enum outcome refuse_memory(struct json_reader *r)
{
	return refuse(r, -ENOMEM, "no memory to keep the text");
}

/* Limits on bytes are checked byte by byte, so doubling never goes far past them. */
static bool put(struct json_reader *r, const void *bytes, size_t count)
{
	if (count > r->size - r->len) {
		size_t size = r->size ? r->size : 256;
		char *buf;

		while (count > size - r->len)
			size *= 2;
		buf = realloc(r->buf, size);
		if (!buf)
			return false;
		r->buf = buf;
		r->size = size;
	}
	memcpy(r->buf + r->len, bytes, count);
	r->len += count;
	return true;
}

static enum outcome put_byte(struct json_reader *r, unsigned char c)
{
	return put(r, &c, 1) ? TAKEN : refuse_memory(r);
}

static bool grow_values(struct json_reader *r)
{
	size_t room = r->room ? r->room * 2 : 32;
	struct json_value *values;
	struct place *places;

	if (room > r->limits.values)
		room = r->limits.values;
	values = reallocarray(r->values, room, sizeof(*values));
	if (!values)
		return false;
	r->values = values;
	places = reallocarray(r->places, room, sizeof(*places));
	if (!places)
		return false;
	r->places = places;
	r->room = room;
	return true;
}

static enum outcome add_value(struct json_reader *r, enum json_kind kind, enum state state)
{
	if (r->count >= r->limits.values)
		return refuse(r, -EMSGSIZE, "over the limit of %zu values", r->limits.values);
	if (r->count == r->room && !grow_values(r))
		return refuse_memory(r);
	r->values[r->count] = (struct json_value){ .kind = kind, .next = 1 };
	r->places[r->count] = (struct place){ .text = r->len, .name = r->name };
	r->count++;
	r->name = NO_NAME;
	if (r->parent != NONE)
		r->values[r->parent].count++;
	r->state = state;
	return TAKEN;
}

static void set_pointers(struct json_reader *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct json_value *v = &r->values[i];

		if (v->kind == JSON_KIND_STRING || v->kind == JSON_KIND_NUMBER)
			v->text = r->buf + r->places[i].text;
		if (r->places[i].name != NO_NAME)
			v->name = r->buf + r->places[i].name;
	}
}

static void value_end(struct json_reader *r)
{
	r->state = r->parent == NONE ? STATE_DONE : STATE_AFTER;
	if (r->state == STATE_DONE)
		set_pointers(r);
}

/* A scalar is the last value while it is read. */
static enum outcome text_end(struct json_reader *r, enum outcome outcome)
{
	struct json_value *v = &r->values[r->count - 1];

	v->len = r->len - r->places[r->count - 1].text;
	if (!put(r, "", 1))
		return refuse_memory(r);
	value_end(r);
	return outcome;
}

static enum outcome open_container(struct json_reader *r, enum json_kind kind, enum state state)
{
	enum outcome outcome;

	if (r->depth >= r->limits.depth)
		return refuse(r, -EMSGSIZE, "over the limit of %u arrays and objects in each other",
			      r->limits.depth);
	outcome = add_value(r, kind, state);
	if (outcome != TAKEN)
		return outcome;
	r->values[r->count - 1].next = r->parent;
	r->parent = (uint32_t)(r->count - 1);
	r->depth++;
	return TAKEN;
}

static enum outcome close_container(struct json_reader *r)
{
	struct json_value *v = &r->values[r->parent];
	uint32_t self = r->parent;

	r->parent = v->next;
	v->next = (uint32_t)r->count - self;
	r->depth--;
	value_end(r);
	return TAKEN;
}

static enum outcome begin_literal(struct json_reader *r, enum json_kind kind, const char *rest)
{
	r->literal = rest;
	return add_value(r, kind, STATE_LITERAL);
}

static enum outcome begin_number(struct json_reader *r, unsigned char c)
{
	enum outcome outcome = add_value(r, JSON_KIND_NUMBER, STATE_NUMBER);

	r->number = c == '-' ? NUMBER_MINUS : c == '0' ? NUMBER_ZERO : NUMBER_INTEGER;
	return outcome == TAKEN ? put_byte(r, c) : outcome;
}

static enum outcome begin_value(struct json_reader *r, unsigned char c, const char *expected)
{
	switch (c) {
	case '{':
		return open_container(r, JSON_KIND_OBJECT, STATE_FIRST_NAME);
	case '[':
		return open_container(r, JSON_KIND_ARRAY, STATE_FIRST_VALUE);
	case '"':
		r->is_name = false;
		return add_value(r, JSON_KIND_STRING, STATE_STRING);
	case 'n':
		return begin_literal(r, JSON_KIND_NULL, "ull");
	case 't':
		return begin_literal(r, JSON_KIND_TRUE, "rue");
	case 'f':
		return begin_literal(r, JSON_KIND_FALSE, "alse");
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			return begin_number(r, c);
		return refuse_byte(r, c, expected);
	}
}

static enum outcome begin_name(struct json_reader *r, unsigned char c, const char *expected)
{
	if (c != '"')
		return refuse_byte(r, c, expected);
	r->start = r->len;
	r->is_name = true;
	r->state = STATE_STRING;
	return TAKEN;
}

static enum outcome on_after(struct json_reader *r, unsigned char c)
{
	bool object = r->values[r->parent].kind == JSON_KIND_OBJECT;

	if (c == ',') {
		r->state = object ? STATE_NAME : STATE_VALUE;
		return TAKEN;
	}
	if (c == (object ? '}' : ']'))
		return close_container(r);
	return refuse_byte(r, c, object ? "',' or '}'" : "',' or ']'");
}

static enum outcome on_structure(struct json_reader *r, unsigned char c)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return TAKEN;
	switch (r->state) {
	case STATE_START:
		r->state = STATE_VALUE;
		return AGAIN;
	case STATE_FIRST_VALUE:
		return c == ']' ? close_container(r) : begin_value(r, c, "a value or ']'");
	case STATE_FIRST_NAME:
		return c == '}' ? close_container(r) : begin_name(r, c, "a member's name or '}'");
	case STATE_NAME:
		return begin_name(r, c, "a member's name");
	case STATE_COLON:
		if (c != ':')
			return refuse_byte(r, c, "':' behind the member's name");
		r->state = STATE_VALUE;
		return TAKEN;
	case STATE_AFTER:
		return on_after(r, c);
	default:
		return begin_value(r, c, "a value");
	}
}

static enum outcome on_literal(struct json_reader *r, unsigned char c)
{
	if (c != (unsigned char)*r->literal)
		return refuse_byte(r, c, "null, true or false");
	if (*++r->literal == '\0')
		value_end(r);
	return TAKEN;
}

static enum number exponent_or(unsigned char c, enum number otherwise)
{
	return c == 'e' || c == 'E' ? NUMBER_E : otherwise;
}

static enum number number_next(enum number number, unsigned char c)
{
	bool digit = c >= '0' && c <= '9';

	switch (number) {
	case NUMBER_MINUS:
		return !digit ? NUMBER_BAD : c == '0' ? NUMBER_ZERO : NUMBER_INTEGER;
	case NUMBER_ZERO:
		return digit ? NUMBER_BAD : c == '.' ? NUMBER_POINT : exponent_or(c, NUMBER_END);
	case NUMBER_INTEGER:
		if (digit)
			return NUMBER_INTEGER;
		return c == '.' ? NUMBER_POINT : exponent_or(c, NUMBER_END);
	case NUMBER_POINT:
		return digit ? NUMBER_FRACTION : NUMBER_BAD;
	case NUMBER_FRACTION:
		return digit ? NUMBER_FRACTION : exponent_or(c, NUMBER_END);
	case NUMBER_E:
		if (c == '+' || c == '-')
			return NUMBER_SIGN;
		return digit ? NUMBER_EXPONENT : NUMBER_BAD;
	case NUMBER_SIGN:
		return digit ? NUMBER_EXPONENT : NUMBER_BAD;
	default:
		return digit ? NUMBER_EXPONENT : NUMBER_END;
	}
}

static enum outcome on_number(struct json_reader *r, unsigned char c)
{
	enum number next = number_next(r->number, c);

	if (next == NUMBER_END)
		return text_end(r, AGAIN);
	if (next == NUMBER_BAD)
		return refuse_byte(r, c,
				   r->number == NUMBER_ZERO ? "no digit behind a leading 0"
							    : "a digit of the number");
	r->number = next;
	return put_byte(r, c);
}

static enum outcome end_string(struct json_reader *r)
{
	if (!r->is_name)
		return text_end(r, TAKEN);
	if (!put(r, "", 1))
		return refuse_memory(r);
	r->name = r->start;
	r->state = STATE_COLON;
	return TAKEN;
}

/* Unicode 15, table 3-7: which second byte may follow decides between shortest and longer forms. */
static enum outcome begin_utf8(struct json_reader *r, unsigned char c)
{
	if (c < 0xc2 || c > 0xf4)
		return refuse_byte(r, c, "UTF-8");
	r->tail = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	r->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	r->top = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	r->state = STATE_UTF8;
	return put_byte(r, c);
}

static enum outcome on_utf8(struct json_reader *r, unsigned char c)
{
	if (c < r->low || c > r->top)
		return refuse_byte(r, c, "the rest of a UTF-8 character");
	r->low = 0x80;
	r->top = 0xbf;
	if (--r->tail == 0)
		r->state = STATE_STRING;
	return put_byte(r, c);
}

static enum outcome on_string(struct json_reader *r, unsigned char c)
{
	if (c == '"')
		return end_string(r);
	if (c == '\\') {
		r->state = STATE_ESCAPE;
		return TAKEN;
	}
	if (c < 0x20)
		return refuse_byte(r, c, "control characters of a string as \\u escapes");
	return c < 0x80 ? put_byte(r, c) : begin_utf8(r, c);
}

static enum outcome on_escape(struct json_reader *r, unsigned char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found = c ? strchr(from, c) : NULL;

	if (c == 'u') {
		r->digits = 4;
		r->unit = 0;
		r->state = STATE_HEX;
		return TAKEN;
	}
	if (!found)
		return refuse_byte(r, c, "one of \"\\/bfnrtu behind a backslash");
	r->state = STATE_STRING;
	return put_byte(r, (unsigned char)to[found - from]);
}

static enum outcome put_code_point(struct json_reader *r, uint32_t code)
{
	unsigned char bytes[4];
	size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = count - 1; i > 0; i--) {
		bytes[i] = (unsigned char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	bytes[0] = (unsigned char)(lead[count] | code);
	r->state = STATE_STRING;
	return put(r, bytes, count) ? TAKEN : refuse_memory(r);
}

static enum outcome refuse_surrogate(struct json_reader *r, uint32_t unit)
{
	return refuse(r, -EILSEQ,
		      "the surrogate \\u%04X stands alone, expected a pair of a high one "
		      "(D800 to DBFF) and a low one (DC00 to DFFF)",
		      unit);
}

/* RFC 8259, section 7: characters beyond the basic plane are two escapes. */
static enum outcome end_unit(struct json_reader *r)
{
	bool low = r->unit >= 0xdc00 && r->unit <= 0xdfff;
	uint32_t high = r->high;

	r->high = 0;
	if (high != 0 && !low)
		return refuse_surrogate(r, high);
	if (high != 0)
		return put_code_point(r, 0x10000 + ((high - 0xd800) << 10) + (r->unit - 0xdc00));
	if (low)
		return refuse_surrogate(r, r->unit);
	if (r->unit >= 0xd800 && r->unit <= 0xdbff) {
		r->high = r->unit;
		r->state = STATE_LOW_BACKSLASH;
		return TAKEN;
	}
	if (r->unit == 0)
		return refuse(r, -EILSEQ, "\\u0000 in a string is not taken");
	return put_code_point(r, r->unit);
}

static enum outcome on_hex(struct json_reader *r, unsigned char c)
{
	uint32_t digit;

	if (c >= '0' && c <= '9')
		digit = (uint32_t)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		digit = (uint32_t)((c | 0x20) - 'a' + 10);
	else
		return refuse_byte(r, c, "four hexadecimal digits behind \\u");
	r->unit = r->unit << 4 | digit;
	return --r->digits == 0 ? end_unit(r) : TAKEN;
}

static enum outcome on_low_surrogate(struct json_reader *r, unsigned char c)
{
	bool backslash = r->state == STATE_LOW_BACKSLASH;

	if (c != (backslash ? '\\' : 'u'))
		return refuse_surrogate(r, r->high);
	r->state = backslash ? STATE_LOW_U : STATE_HEX;
	r->digits = 4;
	r->unit = 0;
	return TAKEN;
}

static enum outcome on_byte(struct json_reader *r, unsigned char c)
{
	switch (r->state) {
	case STATE_LITERAL:
		return on_literal(r, c);
	case STATE_NUMBER:
		return on_number(r, c);
	case STATE_STRING:
		return on_string(r, c);
	case STATE_UTF8:
		return on_utf8(r, c);
	case STATE_ESCAPE:
		return on_escape(r, c);
	case STATE_HEX:
		return on_hex(r, c);
	case STATE_LOW_BACKSLASH:
	case STATE_LOW_U:
		return on_low_surrogate(r, c);
	default:
		return on_structure(r, c);
	}
}

static bool is_plain(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Most of a text is plain characters of strings: take what there is of them at once. */
static size_t take_plain(struct json_reader *r, const char *data, size_t len)
{
	size_t room = r->limits.bytes - r->taken, count = 0;

	if (len > room)
		len = room;
	while (count < len && is_plain(data[count]))
		count++;
	if (count == 0)
		return 0;
	if (!put(r, data, count)) {
		refuse_memory(r);
		return 0;
	}
	r->taken += count;
	return count;
}

static size_t take(struct json_reader *r, const char *data, size_t len)
{
	bool in_front = r->state == STATE_START;
	size_t plain = r->state == STATE_STRING ? take_plain(r, data, len) : 0;

	if (plain > 0 || r->state == STATE_FAILED)
		return plain;
	if (on_byte(r, (unsigned char)*data) != TAKEN)
		return 0;
	if (in_front)
		return 1;
	if (r->taken == r->limits.bytes) {
		refuse(r, -EMSGSIZE, "over the limit of %zu bytes", r->limits.bytes);
		return 0;
	}
	r->taken++;
	return 1;
}

enum json_feed json_reader_feed(struct json_reader *r, const char *data, size_t len, size_t *taken,
				struct error *err)
{
	size_t at = 0;

	while (at < len && r->state < STATE_DONE)
		at += take(r, data + at, len - at);
	*taken = at;
	if (r->state == STATE_FAILED) {
		if (err)
			*err = r->error;
		return JSON_FEED_ERROR;
	}
	return r->state == STATE_DONE ? JSON_FEED_VALUE : JSON_FEED_MORE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text of a jansson value, letter for letter as jansson writes it, at a fraction of its cost:
 * plain runs of a string are copied whole, into one buffer.
 *
 * Threading: pure functions.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_internal.h"

#define NUMBER_ROOM 32

/**
 * struct text - text that grows
 * @failed: memory is short; nothing is added any more
 */
struct text {
	char *data;
	size_t len, room;
	unsigned int flags;
	bool failed;
};

static bool need(struct text *t, size_t len)
{
	size_t room = t->room ? t->room : 256;
	char *data;

	if (t->failed || t->room - t->len >= len)
		return !t->failed;
	while (room - t->len < len)
		room *= 2;
	data = realloc(t->data, room);
	if (!data) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->room = room;
	return true;
}

static void add(struct text *t, const char *data, size_t len)
{
	if (!need(t, len))
		return;
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

static void add_char(struct text *t, char c)
{
	add(t, &c, 1);
}

static bool is_plain(const struct text *t, unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !(t->flags & JSON_WRITE_ASCII));
}

/* jansson has checked the UTF-8. */
static void add_string(struct text *t, const char *data, size_t len)
{
	char one[JSON_ESCAPE_ROOM];
	const unsigned char *at = (const unsigned char *)data, *end = at + len;

	add_char(t, '"');
	while (at < end) {
		const unsigned char *run = at;

		while (at < end && is_plain(t, *at))
			at++;
		add(t, (const char *)run, (size_t)(at - run));
		if (at < end)
			add(t, one, json_escape(&at, one));
	}
	add_char(t, '"');
}

static void add_integer(struct text *t, json_int_t value)
{
	char buf[NUMBER_ROOM], *at = buf + sizeof(buf);
	uint64_t n = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	if (value < 0)
		*--at = '-';
	add(t, at, (size_t)(buf + sizeof(buf) - at));
}

/* Rare, and jansson knows best how it spells them. */
static void add_real(struct text *t, const json_t *v)
{
	char buf[64];
	size_t n = json_dumpb(v, buf, sizeof(buf), JSON_ENCODE_ANY);

	if (n == 0 || n > sizeof(buf))
		t->failed = true;
	else
		add(t, buf, n);
}

static void new_line(struct text *t, unsigned int depth)
{
	if (!(t->flags & JSON_WRITE_INDENT) || !need(t, 1 + 2 * (size_t)depth))
		return;
	t->data[t->len++] = '\n';
	memset(t->data + t->len, ' ', 2 * (size_t)depth);
	t->len += 2 * (size_t)depth;
}

static void add_value(struct text *t, const json_t *v, unsigned int depth);

static void add_array(struct text *t, const json_t *v, unsigned int depth)
{
	size_t n = json_array_size(v);

	add_char(t, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			add_char(t, ',');
		new_line(t, depth + 1);
		add_value(t, json_array_get(v, i), depth + 1);
	}
	if (n)
		new_line(t, depth);
	add_char(t, ']');
}

static void add_object(struct text *t, json_t *v, unsigned int depth)
{
	bool first = true;

	add_char(t, '{');
	for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i)) {
		if (!first)
			add_char(t, ',');
		first = false;
		new_line(t, depth + 1);
		add_string(t, json_object_iter_key(i), json_object_iter_key_len(i));
		add(t, ": ", t->flags & JSON_WRITE_INDENT ? 2 : 1);
		add_value(t, json_object_iter_value(i), depth + 1);
	}
	if (!first)
		new_line(t, depth);
	add_char(t, '}');
}

static void add_value(struct text *t, const json_t *v, unsigned int depth)
{
	switch (json_typeof(v)) {
	case JSON_NULL:
		return add(t, "null", 4);
	case JSON_TRUE:
		return add(t, "true", 4);
	case JSON_FALSE:
		return add(t, "false", 5);
	case JSON_INTEGER:
		return add_integer(t, json_integer_value(v));
	case JSON_REAL:
		return add_real(t, v);
	case JSON_STRING:
		return add_string(t, json_string_value(v), json_string_length(v));
	case JSON_ARRAY:
		return add_array(t, v, depth);
	default:
		return add_object(t, (json_t *)v, depth);
	}
}

char *json_write(const json_t *v, unsigned int flags, size_t *len)
{
	struct text t = { .flags = flags };

	if (!v)
		return NULL;
	add_value(&t, v, 0);
	add_char(&t, '\0');
	if (t.failed) {
		free(t.data);
		return NULL;
	}
	if (len)
		*len = t.len - 1;
	return t.data;
}

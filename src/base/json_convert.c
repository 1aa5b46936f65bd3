/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the JSON reader as jansson's, and as text.
 *
 * Both go down into containers by recursion, which JSON_DEPTH_MAX bounds.
 *
 * Threading: pure functions.
 */
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_internal.h"

static bool is_integer(const char *text)
{
	return text[strcspn(text, ".eE")] == '\0';
}

/* jansson reads the number, whatever the locale says a decimal point is. */
static json_t *number_to_jansson(const struct json_value *v)
{
	size_t flags = JSON_DECODE_ANY;
	json_error_t error;
	json_t *number = json_loadb(v->text, v->len, flags, &error);

	if (!number && json_error_code(&error) == json_error_numeric_overflow &&
	    is_integer(v->text))
		number = json_loadb(v->text, v->len, flags | JSON_DECODE_INT_AS_REAL, &error);
	if (!number && json_error_code(&error) == json_error_numeric_overflow)
		number = json_real(v->text[0] == '-' ? -DBL_MAX : DBL_MAX);
	return number;
}

static json_t *array_to_jansson(const struct json_value *v)
{
	json_t *array = json_array();

	if (!array)
		return NULL;
	JSON_VALUE_FOREACH (child, v) {
		if (json_array_append_new(array, json_to_jansson(child)) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *object_to_jansson(const struct json_value *v)
{
	json_t *object = json_object();

	if (!object)
		return NULL;
	JSON_VALUE_FOREACH (child, v) {
		if (json_object_get(object, child->name))
			continue;
		if (json_object_set_new_nocheck(object, child->name, json_to_jansson(child)) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

json_t *json_to_jansson(const struct json_value *v)
{
	switch (v->kind) {
	case JSON_KIND_TRUE:
		return json_true();
	case JSON_KIND_FALSE:
		return json_false();
	case JSON_KIND_NUMBER:
		return number_to_jansson(v);
	case JSON_KIND_STRING:
		return json_stringn_nocheck(v->text, v->len);
	case JSON_KIND_ARRAY:
		return array_to_jansson(v);
	case JSON_KIND_OBJECT:
		return object_to_jansson(v);
	default:
		return json_null();
	}
}

/**
 * struct sink - text that is counted even where it no longer fits
 * @at: characters so far
 */
struct sink {
	char *buf;
	size_t size;
	size_t at;
};

static void emit(struct sink *s, const char *text)
{
	for (; *text != '\0'; text++, s->at++) {
		if (s->at + 1 < s->size)
			s->buf[s->at] = *text;
	}
}

/* The reader has checked the UTF-8; takes one character of it. */
static uint32_t take_code_point(const unsigned char **at)
{
	const unsigned char *c = *at;
	unsigned int tail = *c < 0x80 ? 0 : *c < 0xe0 ? 1 : *c < 0xf0 ? 2 : 3;
	static const unsigned char bits[] = { 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = *c & bits[tail];

	for (unsigned int i = 1; i <= tail; i++)
		code = code << 6 | (c[i] & 0x3fU);
	*at += tail + 1;
	return code;
}

size_t json_escape(const unsigned char **at, char out[static JSON_ESCAPE_ROOM])
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	uint32_t code = take_code_point(at);
	const char *found = code && code < 0x80 ? strchr(from, (int)code) : NULL;

	if (found)
		return (size_t)snprintf(out, JSON_ESCAPE_ROOM, "\\%c", to[found - from]);
	if (code >= 0x20 && code < 0x7f)
		return (size_t)snprintf(out, JSON_ESCAPE_ROOM, "%c", (int)code);
	if (code < 0x10000)
		return (size_t)snprintf(out, JSON_ESCAPE_ROOM, "\\u%04" PRIX32, code);
	return (size_t)snprintf(out, JSON_ESCAPE_ROOM, "\\u%04" PRIX32 "\\u%04" PRIX32,
				0xd800 + ((code - 0x10000) >> 10),
				0xdc00 + ((code - 0x10000) & 0x3ff));
}

static void emit_string(struct sink *s, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	char one[JSON_ESCAPE_ROOM];

	emit(s, "\"");
	while (*at != '\0') {
		json_escape(&at, one);
		emit(s, one);
	}
	emit(s, "\"");
}

static void emit_value(struct sink *s, const struct json_value *v);

static void emit_container(struct sink *s, const struct json_value *v)
{
	bool object = v->kind == JSON_KIND_OBJECT;

	emit(s, object ? "{" : "[");
	JSON_VALUE_FOREACH (child, v) {
		if (child != v + 1)
			emit(s, ",");
		if (child->name) {
			emit_string(s, child->name);
			emit(s, ":");
		}
		emit_value(s, child);
	}
	emit(s, object ? "}" : "]");
}

static void emit_value(struct sink *s, const struct json_value *v)
{
	switch (v->kind) {
	case JSON_KIND_NULL:
		return emit(s, "null");
	case JSON_KIND_TRUE:
		return emit(s, "true");
	case JSON_KIND_FALSE:
		return emit(s, "false");
	case JSON_KIND_NUMBER:
		return emit(s, v->text);
	case JSON_KIND_STRING:
		return emit_string(s, v->text);
	default:
		emit_container(s, v);
	}
}

size_t json_print(const struct json_value *v, char *buf, size_t size)
{
	struct sink s = { .buf = buf, .size = size };

	emit_value(&s, v);
	if (size > 0)
		buf[s.at < size ? s.at : size - 1] = '\0';
	return s.at;
}

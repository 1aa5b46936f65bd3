/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at values that the JSON reader has read: members, numbers, booleans.
 *
 * Threading: pure functions.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"

/* Exponents beyond this are out of range with any text that fits into memory. */
#define EXPONENT_CAP INT64_C(1000000000000000)

/**
 * struct decimal - a number taken apart
 * @digits: integer and fraction digits, with the point still among them
 * @len: of @digits, point included
 * @point: how many digits stand in front of the decimal point once the exponent is counted in
 */
struct decimal {
	bool negative;
	const char *digits;
	size_t len;
	int64_t point;
};

static int64_t parse_exponent(const char *text)
{
	bool negative = *text == '-';
	int64_t value = 0;

	if (*text == '-' || *text == '+')
		text++;
	for (; *text != '\0' && value < EXPONENT_CAP; text++)
		value = value * 10 + (*text - '0');
	return negative ? -value : value;
}

/* The reader has checked the spelling. */
static struct decimal take_apart(const char *text)
{
	struct decimal d = { .negative = *text == '-' };

	d.digits = text + (d.negative ? 1 : 0);
	d.len = strcspn(d.digits, "eE");
	d.point = (int64_t)strcspn(d.digits, ".eE");
	if (d.digits[d.len] != '\0')
		d.point += parse_exponent(d.digits + d.len + 1);
	return d;
}

/* Sum up the digits exactly: no double is ever between a person's number and the result. */
static int whole_number(const struct decimal *d, uint64_t *out)
{
	int64_t place = d->point;
	uint64_t value = 0;
	bool fits = true;

	for (size_t i = 0; i < d->len; i++) {
		if (d->digits[i] == '.')
			continue;
		if (place-- > 0)
			fits = fits && checked_mul_u64(value, 10, &value) &&
			       checked_add_u64(value, (uint64_t)(d->digits[i] - '0'), &value);
		else if (d->digits[i] != '0')
			return -EINVAL;
	}
	for (; fits && value != 0 && place > 0; place--)
		fits = checked_mul_u64(value, 10, &value);
	if (!fits)
		return -ERANGE;
	*out = value;
	return 0;
}

int json_get_u64(const struct json_value *v, uint64_t max, uint64_t *out)
{
	struct decimal d;
	uint64_t value;
	int rc;

	if (v->kind != JSON_KIND_NUMBER)
		return -EINVAL;
	d = take_apart(v->text);
	rc = whole_number(&d, &value);
	if (rc)
		return rc;
	if ((d.negative && value != 0) || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int json_get_i64(const struct json_value *v, int64_t min, int64_t max, int64_t *out)
{
	struct decimal d;
	uint64_t magnitude;
	int64_t value;
	int rc;

	if (v->kind != JSON_KIND_NUMBER)
		return -EINVAL;
	d = take_apart(v->text);
	rc = whole_number(&d, &magnitude);
	if (rc)
		return rc;
	if (__builtin_add_overflow(0, magnitude, &value)) {
		if (!d.negative || magnitude != (uint64_t)INT64_MAX + 1)
			return -ERANGE;
		value = INT64_MIN;
	} else if (d.negative) {
		value = -value;
	}
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int json_get_bool(const struct json_value *v, bool *out)
{
	if (v->kind != JSON_KIND_TRUE && v->kind != JSON_KIND_FALSE)
		return -EINVAL;
	*out = v->kind == JSON_KIND_TRUE;
	return 0;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
	if (object->kind != JSON_KIND_OBJECT)
		return NULL;
	JSON_VALUE_FOREACH (member, object) {
		if (strcmp(member->name, name) == 0)
			return member;
	}
	return NULL;
}

const char *json_kind_name(enum json_kind kind)
{
	static const char *const names[] = {
		[JSON_KIND_NULL] = "null",     [JSON_KIND_TRUE] = "boolean",
		[JSON_KIND_FALSE] = "boolean", [JSON_KIND_NUMBER] = "number",
		[JSON_KIND_STRING] = "string", [JSON_KIND_ARRAY] = "array",
		[JSON_KIND_OBJECT] = "object",
	};

	return names[kind];
}

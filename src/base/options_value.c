/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of command-line options: numbers, sizes and times, and where they go.
 *
 * Threading: used at start, by one thread.
 */
#include "base/options_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/clock.h"

/* Large enough for any 64-bit number with its unit. */
#define QUANTITY_MAX 40

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes decimal digits from *@at; -EINVAL when there are none. */
static int take_decimal(const char **at, uint64_t *value)
{
	bool fits = true;

	if (!is_digit(**at))
		return -EINVAL;
	*value = 0;
	for (; is_digit(**at); (*at)++) {
		fits = fits && checked_mul_u64(*value, 10, value) &&
		       checked_add_u64(*value, (uint64_t)(**at - '0'), value);
	}
	return fits ? 0 : -ERANGE;
}

static int parse_hex(const char *digits, uint64_t *value)
{
	size_t len = strspn(digits, "0123456789abcdefABCDEF");

	if (len == 0 || digits[len] != '\0')
		return -EINVAL;
	if (strlen(digits + strspn(digits, "0")) > 16)
		return -ERANGE;
	*value = strtoull(digits, NULL, 16);
	return 0;
}

int parse_u64(const char *text, uint64_t *value)
{
	uint64_t found = 0;
	int rc;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return parse_hex(text + 2, value);
	rc = take_decimal(&text, &found);
	if (*text != '\0')
		return -EINVAL;
	if (rc == 0)
		*value = found;
	return rc;
}

/* Power of two of a size's suffix: K, M, G or T, with or without iB or B; or B alone. */
static int size_shift(const char *suffix)
{
	static const char units[] = "KMGT";
	const char *unit;

	if (*suffix == '\0' || strcasecmp(suffix, "B") == 0)
		return 0;
	unit = strchr(units, *suffix >= 'a' ? *suffix - 'a' + 'A' : *suffix);
	suffix++;
	if (!unit || (*suffix != '\0' && strcasecmp(suffix, "B") != 0 && strcasecmp(suffix, "iB")))
		return -EINVAL;
	return (int)(unit - units + 1) * 10;
}

int parse_size(const char *text, uint64_t *bytes, struct error *err)
{
	const char *at = text;
	uint64_t count = 0;
	int rc = take_decimal(&at, &count), shift = rc == -EINVAL ? rc : size_shift(at);

	if (shift < 0)
		return error_set(err, -EINVAL,
				 "size '%s': give a whole number of bytes, or one with K, M, G or "
				 "T (powers of 1024), such as 512M",
				 text);
	if (rc || !checked_mul_u64(count, UINT64_C(1) << shift, &count))
		return error_set(err, -ERANGE, "size '%s' is over 2^64 - 1 bytes", text);
	*bytes = count;
	return 0;
}

/* Nanoseconds of a unit of time; 0 when it is none. */
static uint64_t time_unit(const char *suffix)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "", NS_PER_SEC },  { "us", NS_PER_USEC },    { "ms", NS_PER_MSEC },
		{ "s", NS_PER_SEC }, { "m", 60 * NS_PER_SEC }, { "h", 3600 * NS_PER_SEC },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].name, suffix) == 0)
			return units[i].ns;
	}
	return 0;
}

/* Digits behind the point, exactly: each is a tenth of the one before; under 1 ns is dropped. */
static uint64_t fraction_ns(const char *digits, uint64_t unit)
{
	uint64_t ns = 0;

	/* The units are whole multiples of enough powers of ten to lose less than 1 ns a digit. */
	for (uint64_t scale = 10; is_digit(*digits) && scale <= unit; digits++, scale *= 10)
		ns += (uint64_t)(*digits - '0') * unit / scale;
	return ns;
}

static int parse_time(const char *text, uint64_t *ns)
{
	const char *at = text, *fraction = "";
	uint64_t whole = 0, unit;
	int rc = take_decimal(&at, &whole);

	if (rc == -EINVAL)
		return rc;
	if (*at == '.') {
		fraction = ++at;
		at += strspn(at, "0123456789");
		if (at == fraction)
			return -EINVAL;
	}
	unit = time_unit(at);
	if (unit == 0)
		return -EINVAL;
	if (rc || !checked_mul_u64(whole, unit, &whole) ||
	    !checked_add_u64(whole, fraction_ns(fraction, unit), &whole))
		return -ERANGE;
	*ns = whole;
	return 0;
}

/* A quantity as a person would write it, in the largest unit that has no remainder. */
static const char *quantity(enum option_kind kind, uint64_t value, char buf[static QUANTITY_MAX])
{
	static const char *const sizes[] = { "", "K", "M", "G", "T" };
	size_t unit = 0;

	if (kind == OPTION_SIZE) {
		for (; value != 0 && value % 1024 == 0 && unit < 4; unit++)
			value /= 1024;
		snprintf(buf, QUANTITY_MAX, "%" PRIu64 "%s", value, sizes[unit]);
	} else if (kind == OPTION_SECONDS) {
		if (value % NS_PER_SEC == 0)
			snprintf(buf, QUANTITY_MAX, "%" PRIu64 "s", value / NS_PER_SEC);
		else if (value % NS_PER_MSEC == 0)
			snprintf(buf, QUANTITY_MAX, "%" PRIu64 "ms", value / NS_PER_MSEC);
		else
			snprintf(buf, QUANTITY_MAX, "%" PRIu64 "us", value / NS_PER_USEC);
	} else {
		snprintf(buf, QUANTITY_MAX, "%" PRIu64, value);
	}
	return buf;
}

static const char *kind_wants(enum option_kind kind)
{
	switch (kind) {
	case OPTION_SIZE:
		return "a size in bytes, or with K, M, G or T (powers of 1024), such as 512M";
	case OPTION_SECONDS:
		return "a time in seconds, or with us, ms, s, m or h, such as 500ms";
	default:
		return "a whole number, decimal or hexadecimal with 0x";
	}
}

static int refuse_range(const struct option_row *row, const char *label, const char *value,
			struct error *err)
{
	char low[QUANTITY_MAX], high[QUANTITY_MAX];
	uint64_t max = row->max != 0 ? row->max : UINT64_MAX;

	return error_set(err, -EINVAL, "option %s: '%s' is out of range, allowed is %s to %s",
			 label, value, quantity(row->kind, row->min, low),
			 quantity(row->kind, max, high));
}

static int store_number(const struct option_row *row, const char *label, const char *value,
			struct error *err)
{
	uint64_t number = 0;
	int rc;

	if (row->kind == OPTION_SIZE)
		rc = parse_size(value, &number, NULL);
	else if (row->kind == OPTION_SECONDS)
		rc = parse_time(value, &number);
	else
		rc = parse_u64(value, &number);
	if (rc == -EINVAL)
		return error_set(err, -EINVAL, "option %s: '%s' is not %s", label, value,
				 kind_wants(row->kind));
	if (rc || number < row->min || (row->max != 0 && number > row->max))
		return refuse_range(row, label, value, err);
	*(uint64_t *)row->out = number;
	return 0;
}

static int store_string(struct option_strings *s, const char *value, struct error *err)
{
	const char **items = realloc(s->items, (s->count + 1) * sizeof(*items));

	if (!items)
		return error_set(err, -ENOMEM, "no memory for the options");
	items[s->count] = value;
	s->items = items;
	s->count++;
	return 0;
}

void options_strings_free(struct option_strings *s)
{
	free(s->items);
	*s = (struct option_strings){ NULL, 0 };
}

static int store_call(const struct option_row *row, const char *label, const char *value,
		      struct error *err)
{
	struct error cause = ERROR_INIT;
	int rc = row->call(value, row->arg, &cause);

	if (rc == 0)
		return 0;
	if (cause.code == 0)
		error_set(&cause, rc, "'%s' was refused: %s", value ? value : "",
			  error_errno_text(rc));
	error_prefix(&cause, "option %s: ", label);
	return error_set(err, rc, "%s", cause.text);
}

bool option_takes_value(const struct option_row *row)
{
	return row->kind == OPTION_CALL ? row->value != NULL : row->kind != OPTION_FLAG;
}

int option_store(const struct option_row *row, const char *label, const char *value,
		 struct error *err)
{
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->out = true;
		return 0;
	case OPTION_STRING:
		*(const char **)row->out = value;
		return 0;
	case OPTION_STRINGS:
		return store_string(row->out, value, err);
	case OPTION_CALL:
		return store_call(row, label, value, err);
	default:
		return store_number(row, label, value, err);
	}
}

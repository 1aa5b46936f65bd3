/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and printing sets of CPU cores.
 *
 * Threading: pure functions.
 */
#include "base/cpuset.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int refuse_core(const char *text, unsigned long core, struct error *err)
{
	return error_set(err, -EINVAL, "core set '%s': core %lu is over the highest possible, %d",
			 text, core, CPU_SETSIZE - 1);
}

static int parse_mask(const char *text, cpu_set_t *set, struct error *err)
{
	const char *digits = text;
	size_t len;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
		digits += 2;
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		int value = hex_digit(digits[i]);
		size_t core = (len - 1 - i) * 4;

		if (value < 0)
			return error_set(err, -EINVAL,
					 "core set '%s': '%c' is no hexadecimal digit; give a mask "
					 "such as 0x3 or a list such as [0,2-4]",
					 text, digits[i]);
		for (; value != 0; value >>= 1, core++) {
			if (!(value & 1))
				continue;
			if (core >= CPU_SETSIZE)
				return refuse_core(text, core, err);
			CPU_SET(core, set);
		}
	}
	return 0;
}

/* Takes a decimal number; stops counting where it is over any core anyway. */
static bool take_core(const char **at, unsigned long *core)
{
	const char *start = *at;

	*core = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		if (*core < CPU_SETSIZE)
			*core = *core * 10 + (unsigned long)(**at - '0');
	}
	return *at != start;
}

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* One core or a range. */
static bool take_range(const char **at, unsigned long *low, unsigned long *high)
{
	*at = skip_blanks(*at);
	if (!take_core(at, low))
		return false;
	*high = *low;
	*at = skip_blanks(*at);
	if (**at == '-') {
		*at = skip_blanks(*at + 1);
		if (!take_core(at, high))
			return false;
		*at = skip_blanks(*at);
	}
	return true;
}

static int parse_list(const char *text, cpu_set_t *set, struct error *err)
{
	bool bracketed = text[0] == '[';
	const char *at = bracketed ? text + 1 : text;
	unsigned long low, high;

	do {
		if (!take_range(&at, &low, &high))
			goto no_list;
		if (low > high)
			return error_set(err, -EINVAL,
					 "core set '%s': the range %lu-%lu runs backwards", text,
					 low, high);
		if (high >= CPU_SETSIZE)
			return refuse_core(text, high, err);
		for (; low <= high; low++)
			CPU_SET(low, set);
	} while (*at == ',' && at++);
	if (bracketed && *at == ']')
		at++;
	else if (bracketed)
		goto no_list;
	if (*skip_blanks(at) == '\0')
		return 0;
no_list:
	return error_set(err, -EINVAL,
			 "core set '%s': no list of cores at character %zu; give cores and ranges "
			 "between commas, such as [0,2-4]",
			 text, (size_t)(at - text) + 1);
}

int cpuset_parse(const char *text, cpu_set_t *set, struct error *err)
{
	cpu_set_t found;
	int rc;

	CPU_ZERO(&found);
	text = skip_blanks(text);
	rc = strpbrk(text, "[,-") ? parse_list(text, &found, err) : parse_mask(text, &found, err);
	if (rc)
		return rc;
	if (CPU_COUNT(&found) == 0)
		return error_set(err, -EINVAL,
				 "core set '%s' is empty; give a mask such as 0x3 or a list such "
				 "as [0,2-4]",
				 text);
	*set = found;
	return 0;
}

void cpuset_print(const cpu_set_t *set, char *buf, size_t size)
{
	size_t top = CPU_SETSIZE - 1, at;

	if (size == 0)
		return;
	while (top > 0 && !CPU_ISSET(top, set))
		top--;
	at = (size_t)snprintf(buf, size, "0x");
	for (size_t digits = top / 4 + 1; digits > 0 && at + 1 < size; digits--) {
		unsigned int value = 0;

		for (size_t bit = 0; bit < 4; bit++) {
			if (CPU_ISSET((digits - 1) * 4 + bit, set))
				value |= 1U << bit;
		}
		at += (size_t)snprintf(buf + at, size - at, "%x", value);
	}
}

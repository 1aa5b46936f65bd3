/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that comes from an image.
 *
 * Threading: one thread.
 */
#include "blobtool/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character at @s that may be shown as they are; 0: none. */
static size_t shown(const unsigned char *s)
{
	size_t n = s[0] >= 0xc2 && s[0] <= 0xdf	  ? 2
		   : (s[0] & 0xf0) == 0xe0	  ? 3
		   : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
						  : 1;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	/* C1 controls, which some terminals obey, are U+0080 to U+009F. */
	if (n == 1 || (s[0] == 0xc2 && s[1] < 0xa0))
		return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static const char *entity(unsigned char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	default:
		return NULL;
	}
}

static void print(FILE *out, const char *text, int xml)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
		size_t n = shown(s);

		if (n == 0)
			fprintf(out, "\\x%02x", *s), n = 1;
		else if (xml && entity(*s) != NULL)
			fputs(entity(*s), out);
		else
			fwrite(s, 1, n, out);
		s += n;
	}
}

void text_print(FILE *out, const char *text)
{
	print(out, text, 0);
}

void text_print_xml(FILE *out, const char *text)
{
	print(out, text, 1);
}

json_t *text_json(const char *text)
{
	json_t *plain = json_string(text);
	char *escaped = NULL;
	size_t size = 0;
	FILE *f;

	if (plain != NULL)
		return plain;
	f = open_memstream(&escaped, &size);
	if (f == NULL)
		return json_null();
	text_print(f, text);
	fclose(f);
	plain = json_string(escaped);
	free(escaped);
	return plain != NULL ? plain : json_null();
}

json_t *text_json_id(uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, id);
	return json_string(text);
}

const char *text_size(uint64_t bytes, char out[static TEXT_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned int unit = 0;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	snprintf(out, TEXT_SIZE, value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value,
		 units[unit]);
	return out;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8, see utf8.h.
 *
 * Threading: as utf8.h.
 */
#include "base/utf8.h"

#include <stdint.h>

/* Of the character that @lead begins; 0 when it begins none. */
static size_t wanted(unsigned char lead)
{
	return lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
}

static bool continues(char c)
{
	return (unsigned char)c >> 6 == 2;
}

size_t utf8_len(const char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char lead = (unsigned char)s[0];
	size_t len = wanted(lead);
	uint32_t c = len > 1 ? lead & (0x7fu >> len) : lead;

	for (size_t i = 1; i < len; i++) {
		if (!continues(s[i]))
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3fu);
	}
	if (len > 1 && (c < least[len] || c > 0x10ffff || c >> 11 == 0x1b))
		return 0;
	return len;
}

bool utf8_is_valid(const char *text)
{
	size_t len = 1;

	for (; *text && len; text += len)
		len = utf8_len(text);
	return len != 0;
}

static bool is_cut(const char *s)
{
	size_t len = wanted((unsigned char)*s), n = 1;

	while (n < len && continues(s[n]))
		n++;
	return n < len && !s[n];
}

void utf8_mend(char *text)
{
	while (*text) {
		size_t len = utf8_len(text);

		if (!len)
			*text = is_cut(text) ? '\0' : '?';
		text += len ? len : *text != '\0';
	}
}

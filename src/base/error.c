/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals in words.
 *
 * Threading: pure functions on the caller's struct error.
 */
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 sequence that @lead begins; 1 for what begins none. */
static size_t utf8_len(unsigned char lead)
{
	if (lead >= 0xf0)
		return 4;
	if (lead >= 0xe0)
		return 3;
	return lead >= 0xc0 ? 2 : 1;
}

/*
 * A text that was cut may end within a character. It goes into JSON answers, which must be UTF-8,
 * so what is left of that character goes too.
 */
static void utf8_trim(char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at > 0 && utf8_len((unsigned char)text[at - 1]) > len - at + 1)
		text[at - 1] = '\0';
}

int error_vset(struct error *err, int code, const char *fmt, va_list args)
{
	int len;

	if (!err)
		return code;
	err->code = code;
	len = vsnprintf(err->text, sizeof(err->text), fmt, args);
	if (len < 0)
		err->text[0] = '\0';
	else if ((size_t)len >= sizeof(err->text))
		utf8_trim(err->text, sizeof(err->text) - 1);
	return code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	code = error_vset(err, code, fmt, args);
	va_end(args);
	return code;
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char old[ERROR_TEXT_MAX];
	size_t len, room;
	va_list args;

	memcpy(old, err->text, sizeof(old));
	va_start(args, fmt);
	error_vset(err, err->code, fmt, args);
	va_end(args);

	len = strlen(err->text);
	room = sizeof(err->text) - len;
	if ((size_t)snprintf(err->text + len, room, "%s", old) >= room)
		utf8_trim(err->text, sizeof(err->text) - 1);
	return err->code;
}

void error_clean_words(char *text)
{
	utf8_trim(text, strlen(text));
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < 0x20 || *at == 0x7f)
			*at = ' ';
		else if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
			at[0] = at[1] = ' ';
	}
	for (size_t n = strlen(text); n && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
}

const char *error_errno_text(int code)
{
	const char *text;

	/* strerrordesc_np() is a table; strerror() may share a buffer between threads. */
	text = code <= 0 && code != INT32_MIN ? strerrordesc_np(-code) : NULL;
	return text ? text : "Unknown error";
}

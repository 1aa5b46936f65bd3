/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals in words.
 *
 * Threading: pure functions on the caller's struct error.
 */
#include "base/error.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

int error_vset(struct error *err, int code, const char *fmt, va_list args)
{
	int len;

	if (!err)
		return code;
	err->code = code;
	len = vsnprintf(err->text, sizeof(err->text), fmt, args);
	if (len < 0)
		err->text[0] = '\0';
	/* It goes into JSON answers, and a text that was cut may end within a character. */
	utf8_mend(err->text);
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
	snprintf(err->text + len, room, "%s", old);
	utf8_mend(err->text);
	return err->code;
}

void error_clean_words(char *text)
{
	utf8_mend(text);
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

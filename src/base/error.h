/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An errno with its cause in words: what a person is told when something is refused.
 *
 * Threading: a struct error belongs to whoever declared it; nothing is shared.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#define ERROR_TEXT_MAX 512

/**
 * struct error - a refusal: the errno and a sentence for a person
 * @code: negative errno, or 0 while nothing went wrong
 * @text: names the object, what was found, what was expected, and what to do
 */
struct error {
	int code;
	char text[ERROR_TEXT_MAX];
};

#define ERROR_INIT                                                                                 \
	{                                                                                          \
		.code = 0, .text = ""                                                              \
	}

/**
 * error_set() - note a refusal
 * @err: where to note it; NULL when the caller does not want the words
 * @code: negative errno
 * @fmt: printf format of the sentence, cut at ERROR_TEXT_MAX - 1 bytes, and made UTF-8
 *
 * Return: @code, so that `return error_set(err, -EINVAL, "...")` reads as one thing.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** error_vset() - error_set() for callers that have a va_list */
int error_vset(struct error *err, int code, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

/**
 * error_prefix() - put words in front of the text of @err ("bdev Malloc0: " ...); never NULL
 *
 * Return: the code that @err has.
 */
int error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * error_clean_words() - words from outside, made fit for a terminal, a log, a JSON text
 * @text: control characters, C1 (U+0080 to U+009F) included, become spaces, and none of these
 * stay at the end; what is no UTF-8 is mended.
 */
void error_clean_words(char *text);

/** error_errno_text() - the text of a negative errno, without a number; safe in any thread */
const char *error_errno_text(int code);

#endif

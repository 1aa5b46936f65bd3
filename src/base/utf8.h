/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 (RFC 3629): what JSON texts must be.
 *
 * Threading: pure functions.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/** utf8_len() - bytes of the character at @s, NUL-terminated; 0 when there is none */
size_t utf8_len(const char *s);

/** utf8_is_valid() - whether all of @text is UTF-8 */
bool utf8_is_valid(const char *text);

/**
 * utf8_mend() - make @text UTF-8, in place
 *
 * A byte that belongs to no character becomes '?'. What is left of a character that was cut off at
 * the end goes.
 */
void utf8_mend(char *text);

#endif

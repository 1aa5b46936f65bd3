/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writers of JSON share.
 *
 * Threading: pure functions.
 */
#ifndef BASE_JSON_INTERNAL_H
#define BASE_JSON_INTERNAL_H

#include <stddef.h>

#define JSON_ESCAPE_ROOM 16

/**
 * json_escape() - one character of a string as ASCII JSON has it
 * @at: at valid UTF-8; moved behind the character
 *
 * Return: bytes in @out, which is NUL-terminated.
 */
size_t json_escape(const unsigned char **at, char out[static JSON_ESCAPE_ROOM]);

#endif

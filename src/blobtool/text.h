/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that comes from an image, on its way to a person, a terminal, JSON or XML: names in a store
 * are any bytes, and a terminal obeys some of them.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_TEXT_H
#define BLOBTOOL_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#define TEXT_SIZE 32

/** text_print() - control characters and what is no UTF-8 as \xNN */
void text_print(FILE *out, const char *text);
/** text_print_xml() - the same, with XML's own characters as entities */
void text_print_xml(FILE *out, const char *text);
/** text_json() - a string; what is no UTF-8 as \xNN; new reference */
json_t *text_json(const char *text);
/** text_json_id() - a blob id as "0x100000000"; new reference */
json_t *text_json_id(uint64_t id);
/** text_size() - "512 MiB", "1.5 GiB" */
const char *text_size(uint64_t bytes, char out[static TEXT_SIZE]);

#endif

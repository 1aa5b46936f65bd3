/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets as text, as NVMe hosts and targets exchange them: PREFIX HH ":" BASE64 ":", where BASE64
 * is of the bytes and their CRC-32, and HH is the hash that the secret is made for. DH-HMAC-CHAP
 * keys (NVMe Base 2.0, 8.13.5.8) and TLS pre-shared keys (NVMe/TCP 1.0, 3.6.1.5) are written so.
 *
 * No part of a secret gets into a message.
 *
 * Threading: pure functions; key_file_read() blocks.
 */
#ifndef BASE_KEY_FILE_H
#define BASE_KEY_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define KEY_BYTES_MAX 64u

/**
 * struct key - a secret
 * @len: of @bytes: 32, 48 or 64; 0: there is none
 * @hash: 0: none; 1: SHA-256; 2: SHA-384; 3: SHA-512
 * @line_end: the text had an end of line behind it, which not every program takes
 */
struct key {
	uint8_t bytes[KEY_BYTES_MAX];
	uint8_t len;
	uint8_t hash;
	bool line_end;
};

/**
 * struct key_form - which secrets
 * @bytes_max: the longest; also says which hashes there are
 */
struct key_form {
	const char *prefix;
	uint8_t bytes_max;
};

extern const struct key_form key_form_dhchap; /* DHHC-1: */
extern const struct key_form key_form_tls;    /* NVMeTLSkey-1: */

/** key_parse() - -EINVAL with @err when the text is no such secret */
int key_parse(const char *text, const struct key_form *form, struct key *key, struct error *err);
/**
 * key_file_read() - the same from a file
 *
 * Return: 0; -EINVAL when it is no regular file or has no such secret, -EPERM when others than its
 * owner may read or write it, or what opening it gave; @err names the file.
 */
int key_file_read(const char *path, const struct key_form *form, struct key *key,
		  struct error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUIDs (RFC 4122) in the byte order of their text: byte 0 is the first two digits, as SPDK's
 * formats and NVMe's UUID descriptors keep them.
 *
 * Threading: pure functions.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37

struct uuid {
	uint8_t raw[16];
};

/** uuid_make() - a new random UUID (version 4) */
void uuid_make(struct uuid *u);
/** uuid_from_text() - the 36-character form, any case; -EINVAL otherwise */
int uuid_from_text(struct uuid *u, const char *text);
/** uuid_to_text() - the lower-case 36-character form */
void uuid_to_text(const struct uuid *u, char text[static UUID_TEXT_SIZE]);
/** uuid_from_name() - version 5 (SHA-1) of @name in the name space @ns: the same each time */
void uuid_from_name(struct uuid *u, const struct uuid *ns, const char *name);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);

#endif

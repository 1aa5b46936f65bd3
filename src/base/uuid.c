/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUIDs, on libuuid, whose byte order is that of the text.
 *
 * Threading: pure functions.
 */
#include "base/uuid.h"

#include <errno.h>
#include <string.h>

#include <uuid/uuid.h>

_Static_assert(sizeof(uuid_t) == sizeof(struct uuid), "a uuid_t is the 16 bytes of struct uuid");

void uuid_make(struct uuid *u)
{
	uuid_generate_random(u->raw);
}

int uuid_from_text(struct uuid *u, const char *text)
{
	uuid_t raw;

	if (uuid_parse(text, raw) != 0)
		return -EINVAL;
	memcpy(u->raw, raw, sizeof(u->raw));
	return 0;
}

void uuid_to_text(const struct uuid *u, char text[static UUID_TEXT_SIZE])
{
	uuid_unparse_lower(u->raw, text);
}

void uuid_from_name(struct uuid *u, const struct uuid *ns, const char *name)
{
	uuid_generate_sha1(u->raw, ns->raw, name, strlen(name));
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->raw, b->raw, sizeof(a->raw)) == 0;
}

bool uuid_is_nil(const struct uuid *u)
{
	return uuid_is_null(u->raw) != 0;
}

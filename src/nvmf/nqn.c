/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe Qualified Names (Base 2.0, 4.5): "nqn.yyyy-mm.reversed.domain:text", and the form with a
 * UUID.
 *
 * Threading: pure functions.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "nvmf/nvmf.h"

#define UUID_PREFIX "nqn.2014-08.org.nvmexpress:uuid:"
#define DATE_LEN    7u /* yyyy-mm */

static bool is_date(const char *s)
{
	for (unsigned int i = 0; i < DATE_LEN; i++) {
		if (i == 4 ? s[i] != '-' : !isdigit((unsigned char)s[i]))
			return false;
	}
	return s[DATE_LEN] == '.';
}

/* Labels of letters, digits and inner hyphens, with dots between them. */
static bool is_domain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool first = i == 0 || s[i - 1] == '.';
		bool last = i + 1 == len || s[i + 1] == '.';

		if (s[i] == '.'	  ? first
		    : s[i] == '-' ? first || last
				  : !isalnum((unsigned char)s[i]))
			return false;
	}
	return len > 0 && s[len - 1] != '.';
}

/* Bytes of one UTF-8 character; 0 when there is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80       ? 1
		     : s[0] >> 5 == 6  ? 2
		     : s[0] >> 4 == 14 ? 3
		     : s[0] >> 3 == 30 ? 4
				       : 0;
	uint32_t c = len > 1 ? s[0] & (0x7fu >> len) : s[0];

	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (len > 1 && (c < least[len] || c > 0x10ffff || c >> 11 == 0x1b))
		return 0;
	return len;
}

static bool is_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t len = utf8_len(s);

		if (len == 0 || (len == 1 && *s < 0x20))
			return false;
		s += len;
	}
	return true;
}

static int refuse(struct error *err, const char *nqn, const char *why)
{
	return error_set(err, -EINVAL, "NQN '%.*s': %s", (int)NVME_NQN_MAX, nqn, why);
}

int nvmf_nqn_check(const char *nqn, struct error *err)
{
	size_t len = strnlen(nqn, NVME_NQN_MAX + 1);
	const char *domain, *colon;
	struct uuid uuid;

	if (len > NVME_NQN_MAX)
		return refuse(err, nqn, "longer than 223 bytes");
	if (strcmp(nqn, NVME_DISCOVERY_NQN) == 0)
		return 0;
	if (strncmp(nqn, UUID_PREFIX, strlen(UUID_PREFIX)) == 0) {
		if (uuid_from_text(&uuid, nqn + strlen(UUID_PREFIX)))
			return refuse(err, nqn, "no UUID of 36 characters behind 'uuid:'");
		return 0;
	}
	if (strncmp(nqn, "nqn.", 4) != 0)
		return refuse(err, nqn, "does not start with 'nqn.'");
	if (len < 4 + DATE_LEN + 1 || !is_date(nqn + 4))
		return refuse(err, nqn, "no date of the form 'yyyy-mm.' behind 'nqn.'");
	domain = nqn + 4 + DATE_LEN + 1;
	colon = strchr(domain, ':');
	if (!colon || colon[1] == 0)
		return refuse(err, nqn, "no ':' with a name behind the reversed domain");
	if (!is_domain(domain, (size_t)(colon - domain)))
		return refuse(err, nqn, "the reversed domain before ':' is not a domain name");
	if (!is_utf8(colon + 1))
		return refuse(err, nqn, "the name behind ':' is not UTF-8 of printable characters");
	return 0;
}

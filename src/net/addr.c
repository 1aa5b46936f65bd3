/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numeric addresses and ports.
 *
 * Threading: pure functions.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "net/internal.h"

static int parse_port(const char *text, uint16_t *port, struct error *err)
{
	uint64_t value;

	/* parse_u64() takes hexadecimal too, which no port is written in. */
	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) ||
	    parse_u64(text, &value) < 0 || value > UINT16_MAX)
		return error_set(err, -EINVAL, "port \"%.64s\" is no number between 0 and 65535",
				 text);
	*port = (uint16_t)value;
	return 0;
}

int net_addr_parse(struct net_addr *addr, const char *host, const char *port, struct error *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&addr->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr->ss;
	uint16_t number;
	int rc = parse_port(port, &number, err);

	if (rc < 0)
		return rc;
	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(number);
		addr->len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(number);
		addr->len = sizeof(*v6);
		return 0;
	}
	return error_set(err, -EINVAL,
			 "address \"%.64s\" is no numeric IPv4 or IPv6 address (127.0.0.1, ::1)",
			 host);
}

void net_addr_host(const struct net_addr *addr, char *buf, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr->ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr->ss;
	const void *raw = addr->ss.ss_family == AF_INET6 ? (const void *)&v6->sin6_addr
							 : (const void *)&v4->sin_addr;
	char text[INET6_ADDRSTRLEN];

	if (addr->ss.ss_family != AF_INET && addr->ss.ss_family != AF_INET6)
		snprintf(buf, size, "unknown");
	else
		snprintf(buf, size, "%s", inet_ntop(addr->ss.ss_family, raw, text, sizeof(text)));
}

uint16_t net_addr_port(const struct net_addr *addr)
{
	if (addr->ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&addr->ss)->sin_port);
	if (addr->ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&addr->ss)->sin6_port);
	return 0;
}

void net_addr_text(const struct net_addr *addr, char *buf, size_t size)
{
	char host[NET_ADDR_TEXT];

	net_addr_host(addr, host, sizeof(host));
	snprintf(buf, size, addr->ss.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		 net_addr_port(addr));
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->ss;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->ss;

	if (a->ss.ss_family != b->ss.ss_family || net_addr_port(a) != net_addr_port(b))
		return false;
	if (a->ss.ss_family == AF_INET6)
		return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
		       a6->sin6_scope_id == b6->sin6_scope_id;
	return ((const struct sockaddr_in *)&a->ss)->sin_addr.s_addr ==
	       ((const struct sockaddr_in *)&b->ss)->sin_addr.s_addr;
}

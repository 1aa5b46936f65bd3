/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and ports of attachments.
 *
 * Threading: as driver.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/attach.h"
#include "driver/dialect.h"

#define MODEL	   "cyborg-spdk"
#define MODEL_1901 "SPDK bdev Controller" /* the only one that SPDK had before 19.04 */
#define PORT_FIRST 4420			  /* NVMe-oF's own (IANA) */
#define PORT_LAST  5443
#define NSID	   1

void names_uuid(struct driver *d, const char *kind, const char *name,
		char text[static UUID_TEXT_SIZE])
{
	char full[STATE_NAME_SIZE + STATE_VOLUME_SIZE];
	struct uuid node, u;

	state_node_uuid(d->state, &node);
	snprintf(full, sizeof(full), "%s/%s", kind, name);
	uuid_from_name(&u, &node, full);
	uuid_to_text(&u, text);
}

/* The same call gives the same names again. */
void names_make(struct driver *d, const struct accelerator *acc, struct attachment *a)
{
	unsigned int release = dialect_release(acc->version);
	char text[UUID_TEXT_SIZE];

	names_uuid(d, "instance", a->instance, text);
	snprintf(a->nqn, sizeof(a->nqn), "nqn.2014-08.org.nvmexpress:uuid:%s", text);
	snprintf(a->model, sizeof(a->model), "%s", release && release < 1904 ? MODEL_1901 : MODEL);
	a->nsid = NSID;
}

bool port_is_free(const struct attachment *a, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is_v6 = !strcmp(a->family, "IPv6");
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, rc;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	inet_pton(AF_INET6, a->address, &v6.sin6_addr);
	inet_pton(AF_INET, a->address, &v4.sin_addr);
	rc = is_v6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6))
		   : bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	close(fd);
	return rc == 0;
}

static bool port_is_recorded(const struct attachment *list, ssize_t n, const struct attachment *a,
			     uint16_t port)
{
	for (ssize_t i = 0; i < n; i++) {
		if (list[i].port == port && !strcmp(list[i].address, a->address))
			return true;
	}
	return false;
}

int port_check(struct driver *d, const struct attachment *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, NULL, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0; i++) {
		if (list[i].port == a->port && !strcmp(list[i].address, a->address) &&
		    !list[i].psk[0] != !a->psk[0])
			rc = error_set(err, -EBUSY,
				       "port %u at %s is instance %s's, %s TLS: a port is for "
				       "TLS or without; give --listen another one, or leave it out",
				       a->port, a->address, list[i].instance,
				       list[i].psk[0] ? "with" : "without");
	}
	free(list);
	return rc;
}

int port_choose(struct driver *d, struct attachment *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, NULL, &list, err);
	unsigned int port;

	if (n < 0)
		return (int)n;
	for (port = PORT_FIRST; port <= PORT_LAST; port++) {
		if (!port_is_recorded(list, n, a, (uint16_t)port) &&
		    port_is_free(a, (uint16_t)port))
			break;
	}
	free(list);
	if (port > PORT_LAST)
		return error_set(err, -EADDRINUSE,
				 "no free port at %s between %d and %d, or no such address here: "
				 "give --listen ADDR:PORT",
				 a->address, PORT_FIRST, PORT_LAST);
	a->port = (uint16_t)port;
	return 0;
}

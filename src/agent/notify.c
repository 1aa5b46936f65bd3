/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager's notification socket (sd_notify(3), sd_watchdog_enabled(3)): one datagram a
 * message. The protocol is a promise of systemd's, and a library for it would be larger than this.
 *
 * Threading: any thread.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/options.h"

void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* A manager that does not listen is none of our trouble. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (struct sockaddr *)&addr,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

uint64_t notify_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, of;

	if (!usec || parse_u64(usec, &us) < 0 || us > UINT64_MAX / 1000)
		return 0;
	if (pid && (parse_u64(pid, &of) < 0 || of != (uint64_t)getpid()))
		return 0;
	return us * 1000 / 2;
}

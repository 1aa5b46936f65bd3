/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify(3), which is one datagram.
 *
 * Threading: any thread.
 */
#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/options.h"

static int send_state(const struct sockaddr_un *sa, socklen_t len, const char *state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)sa, len) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int rc;

	if (len == 0)
		return;
	if (len >= sizeof(sa.sun_path)) {
		log_warning("NOTIFY_SOCKET: the path has %zu bytes, it may have %zu", len,
			    sizeof(sa.sun_path) - 1);
		return;
	}
	memcpy(sa.sun_path, path, len);
	/* An address without a file is written with @ for its leading NUL. */
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	rc = send_state(&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), state);
	if (rc < 0)
		log_warning("NOTIFY_SOCKET %s: cannot send %s: %s", path, state,
			    error_errno_text(rc));
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens on a UNIX socket, see listener.h.
 *
 * Threading: as listener.h.
 */
#include "base/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* proc(5), behind the name in brackets: state, 18 others, and the start in ticks since boot. */
#define STAT_FIELDS                                                                                \
	" %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu"

/* Return: false when this user is not told. */
static bool process_state(pid_t pid, char *state, unsigned long long *start)
{
	char path[32], text[1024], *behind;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	behind = strrchr(text, ')');
	return behind && sscanf(behind + 1, STAT_FIELDS, state, start) == 2;
}

bool listener_is_stale(int fd, pid_t since)
{
	unsigned long long start, earliest;
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	char state;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return false;
	if (kill(peer.pid, 0) < 0 && errno == ESRCH)
		return true;
	if (!process_state(peer.pid, &state, &start))
		return false;
	if (state == 'Z' || state == 'X')
		return true;
	return since && process_state(since, &state, &earliest) && start < earliest;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a target whose supervisor was killed. The kernel tells the target itself to end;
 * who was started by it, as by a script that did not become the target, is told here.
 *
 * Threading: as driver.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

#define DRAIN_NS   (30 * NS_PER_SEC)
#define KILLED_NS  (5 * NS_PER_SEC)
#define LOOK_NS	   (20 * NS_PER_MSEC)
#define WORDS_SIZE 16384

/* The group that the target led: its number may be another's by now, who does not name the socket.
 */
static pid_t recorded_group(const struct target_paths *p)
{
	FILE *f = fopen(p->pidfile, "re");
	int supervisor, target = 0;

	if (f && fscanf(f, "%d %d", &supervisor, &target) != 2)
		target = 0;
	if (f)
		fclose(f);
	return target > 1 && (kill(-target, 0) == 0 || errno == EPERM) ? target : 0;
}

static bool names_socket(pid_t pid, const char *socket)
{
	char path[32], words[WORDS_SIZE];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, words, sizeof(words) - 1);
	close(fd);
	words[n > 0 ? n : 0] = '\0';
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(words + at) + 1) {
		if (!strcmp(words + at, socket))
			return true;
	}
	return false;
}

/* Return: how many there are. @signal: 0 for none; the leader gets only SIGKILL from here. */
static size_t signal_all(pid_t group, const char *socket, int signal)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	size_t count = 0;

	while (dir && (e = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;

		if (pid <= 1 || getpgid(pid) != group || !names_socket(pid, socket))
			continue;
		count++;
		if (signal && (pid != group || signal == SIGKILL))
			kill(pid, signal);
	}
	if (dir)
		closedir(dir);
	return count;
}

/* Return: 0 when all are gone, -ETIMEDOUT. */
static int wait_all(struct driver *d, pid_t group, const char *socket, uint64_t ns)
{
	uint64_t until = clock_ns() + ns;

	while (signal_all(group, socket, 0) > 0) {
		if (clock_ns() > until)
			return -ETIMEDOUT;
		if (loop_sleep(d->loop, LOOK_NS) < 0)
			return -EIO;
	}
	return 0;
}

int orphans_end(struct driver *d, const struct target_paths *p, struct error *err)
{
	pid_t group = recorded_group(p);
	int rc = 0;

	if (group && signal_all(group, p->sock, SIGTERM) > 0)
		rc = wait_all(d, group, p->sock, DRAIN_NS);
	if (rc == -ETIMEDOUT) {
		signal_all(group, p->sock, SIGKILL);
		rc = wait_all(d, group, p->sock, KILLED_NS);
	}
	return rc == 0 ? 0
		       : error_set(err, rc,
				   "what is left of the target at %s (process group %d) does not "
				   "end: end it",
				   p->sock, group);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts in namespaces that live without a process: a bind mount or a descriptor keeps them.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/internal.h"

void probe_take_pin(struct probe *p, const char *path)
{
	char **more = probe_array_room(p->pins, p->pin_count, sizeof(*more));

	if (!more)
		return;
	p->pins = more;
	more[p->pin_count] = strdup(path);
	if (more[p->pin_count])
		p->pin_count++;
}

void probe_forget_pins(struct probe *p)
{
	for (size_t i = 0; i < p->pin_count; i++)
		free(p->pins[i]);
	free(p->pins);
	p->pins = NULL;
	p->pin_count = 0;
}

/* In a child: whoever has entered a namespace sees another /dev. */
static void search(const char *pin, dev_t dev, int out)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ns = open(pin, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *line = NULL, where[256];
	unsigned int major, minor;
	size_t size = 0;
	FILE *f;
	int fd;

	if (ns < 0 || ioctl(ns, NS_GET_NSTYPE) != CLONE_NEWNS || setns(ns, CLONE_NEWNS) < 0)
		return;
	fd = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	while (f && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%*d %*d %u:%u %*s %255s", &major, &minor, where) == 3 &&
		    makedev(major, minor) == dev) {
			probe_unescape(where);
			if (write(out, where, strlen(where)) < 0)
				return;
			break;
		}
	}
}

static bool is_mounted_in(const char *pin, dev_t dev, char *where, size_t size)
{
	ssize_t n;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		search(pin, dev, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	do {
		n = read(ends[0], where, size - 1);
	} while (n < 0 && errno == EINTR);
	where[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return n > 0;
}

bool probe_find_pinned(struct probe *p, dev_t dev, char *where, size_t size)
{
	for (size_t i = 0; i < p->pin_count; i++) {
		if (is_mounted_in(p->pins[i], dev, where, size))
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pid file: a lock that names its holder. The lock is the kernel's (flock), so a killed
 * supervisor leaves none behind.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "supervise/supervise.h"

int pidfile_take(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[64] = "";
	ssize_t n;
	int code;

	if (fd < 0)
		return error_set(err, -errno, "pid file %s: %s", path, error_errno_text(-errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	code = errno == EWOULDBLOCK ? -EBUSY : -errno;
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	close(fd);
	if (code != -EBUSY)
		return error_set(err, code, "pid file %s cannot be locked: %s", path,
				 error_errno_text(code));
	return error_set(err, code,
			 "pid file %s is held by the supervisor with pid %s: end that one first",
			 path, text[0] ? text : "(unknown)");
}

void pidfile_write(int fd, pid_t supervisor, pid_t target)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%d\n%d\n", supervisor, target);

	/* One write over the old text, then cut: a reader never finds the file empty. */
	if (pwrite(fd, text, (size_t)len, 0) == len && ftruncate(fd, len) < 0)
		return;
}

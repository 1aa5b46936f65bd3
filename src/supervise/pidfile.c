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
#include <sys/stat.h>
#include <unistd.h>

#include "supervise/supervise.h"

#define READER_TRIES   500
#define READER_WAIT_US 1000

/* A holder removes the file when it leaves: a lock on the file of then keeps nobody out. */
static bool is_current(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

static int refuse(int fd, const char *path, int code, struct error *err)
{
	char text[64] = "";
	ssize_t n;

	if (code != -EWOULDBLOCK)
		return error_set(err, code, "pid file %s cannot be locked: %s", path,
				 error_errno_text(code));
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return error_set(err, -EBUSY,
			 "pid file %s is held by the supervisor with pid %s: end that one first",
			 path, text[0] ? text : "(unknown)");
}

/* Who asks whether a supervisor lives holds a shared lock for a moment: that is no supervisor. */
static int lock_alone(int fd)
{
	int rc = 0;

	for (int i = 0; i < READER_TRIES; i++) {
		rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (rc != -EWOULDBLOCK || flock(fd, LOCK_SH | LOCK_NB) < 0)
			break;
		flock(fd, LOCK_UN);
		usleep(READER_WAIT_US);
	}
	return rc;
}

int pidfile_take(const char *path, struct error *err)
{
	int fd, rc;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return error_set(err, -errno, "pid file %s: %s", path,
					 error_errno_text(-errno));
		rc = lock_alone(fd);
		if (rc < 0) {
			rc = refuse(fd, path, rc, err);
			close(fd);
			return rc;
		}
		if (is_current(fd, path))
			return fd;
		close(fd);
	}
}

void pidfile_write(int fd, pid_t supervisor, pid_t target)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%d\n%d\n", supervisor, target);

	/* One write over the old text, then cut: a reader never finds the file empty. */
	if (pwrite(fd, text, (size_t)len, 0) == len && ftruncate(fd, len) < 0)
		return;
}

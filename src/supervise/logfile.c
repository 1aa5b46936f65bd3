/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log file with rotation, see logfile.h.
 *
 * Threading: as logfile.h.
 */
#include "supervise/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_current(struct logfile *l)
{
	struct stat st;

	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return -errno;
	l->size = fstat(l->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

int logfile_open(struct logfile *l, const char *path, uint64_t limit, unsigned int keep,
		 struct error *err)
{
	int rc;

	snprintf(l->path, sizeof(l->path), "%s", path);
	l->limit = limit;
	l->keep = keep;
	rc = open_current(l);
	return rc < 0 ? error_set(err, rc, "log file %s: %s", path, error_errno_text(rc)) : 0;
}

void logfile_close(struct logfile *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void rotate(struct logfile *l)
{
	char from[PATH_MAX + 16], to[PATH_MAX + 16];

	logfile_close(l);
	for (unsigned int i = l->keep; i > 1; i--) {
		snprintf(from, sizeof(from), "%s.%u", l->path, i - 1);
		snprintf(to, sizeof(to), "%s.%u", l->path, i);
		rename(from, to);
	}
	if (l->keep) {
		snprintf(to, sizeof(to), "%s.1", l->path);
		rename(l->path, to);
	} else {
		unlink(l->path);
	}
	open_current(l);
}

static void append(struct logfile *l, const char *data, size_t len)
{
	while (len && l->fd >= 0) {
		ssize_t n = write(l->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		l->size += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
}

/* How much of it goes into the current file: whole lines, unless one alone is over the limit. */
static size_t fitting(const struct logfile *l, const char *data, size_t len)
{
	uint64_t room = l->limit > l->size ? l->limit - l->size : 0;
	const char *end;

	if (len <= room)
		return len;
	end = memrchr(data, '\n', (size_t)room);
	if (end)
		return (size_t)(end - data) + 1;
	return l->size ? 0 : (size_t)room;
}

void logfile_write(struct logfile *l, const char *data, size_t len)
{
	while (len) {
		size_t n = fitting(l, data, len);

		append(l, data, n);
		data += n;
		len -= n;
		if (len)
			rotate(l);
	}
}

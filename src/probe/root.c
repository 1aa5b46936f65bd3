/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of /proc and /sys below the probe's prefix.
 *
 * Threading: as probe.h.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"
#include "probe/internal.h"

struct probe *probe_create(const char *root)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->live = !root;
	p->patience_ns = PROBE_PATIENCE_NS;
	snprintf(p->root, sizeof(p->root), "%s", root ? root : "");
	return p;
}

void probe_destroy(struct probe *p)
{
	if (!p)
		return;
	probe_refresh(p);
	free(p);
}

void probe_set_meanwhile(struct probe *p, probe_wait_fn wait, probe_turn_fn turn, void *arg)
{
	p->wait = wait;
	p->turn = turn;
	p->meanwhile_arg = arg;
}

void probe_turn(const struct probe *p)
{
	if (p->turn)
		p->turn(p->meanwhile_arg);
}

static bool path_vmake(const struct probe *p, char path[static PATH_MAX], const char *fmt,
		       va_list args)
{
	size_t at = (size_t)snprintf(path, PATH_MAX, "%s", p->root);
	int n = vsnprintf(path + at, PATH_MAX - at, fmt, args);

	return n >= 0 && (size_t)n < PATH_MAX - at;
}

#define PATH_MAKE(p, path, fmt)                                                                    \
	({                                                                                         \
		va_list args_;                                                                     \
		bool ok_;                                                                          \
		va_start(args_, fmt);                                                              \
		ok_ = path_vmake(p, path, fmt, args_);                                             \
		va_end(args_);                                                                     \
		ok_;                                                                               \
	})

FILE *probe_fopen(const struct probe *p, const char *fmt, ...)
{
	char path[PATH_MAX];

	return PATH_MAKE(p, path, fmt) ? fopen(path, "re") : NULL;
}

DIR *probe_opendir(const struct probe *p, const char *fmt, ...)
{
	char path[PATH_MAX];

	return PATH_MAKE(p, path, fmt) ? opendir(path) : NULL;
}

static void trim(char *text)
{
	char *start = text;
	size_t len;

	while (isspace((unsigned char)*start))
		start++;
	len = strlen(start);
	while (len && isspace((unsigned char)start[len - 1]))
		len--;
	memmove(text, start, len);
	text[len] = '\0';
}

static bool read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	buf[strcspn(buf, "\n")] = '\0';
	trim(buf);
	return n > 0;
}

bool probe_read(const struct probe *p, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];

	buf[0] = '\0';
	return PATH_MAKE(p, path, fmt) && read_line(path, buf, size);
}

uint64_t probe_read_u64(const struct probe *p, uint64_t otherwise, const char *fmt, ...)
{
	char path[PATH_MAX], text[64];
	uint64_t value;

	if (!PATH_MAKE(p, path, fmt) || !read_line(path, text, sizeof(text)) ||
	    parse_u64(text, &value) != 0)
		return otherwise;
	return value;
}

bool probe_readlink(const struct probe *p, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	ssize_t n;

	buf[0] = '\0';
	if (!PATH_MAKE(p, path, fmt))
		return false;
	n = readlink(path, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

void probe_last_part(char *out, size_t size, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(out, size, "%.*s", (int)size - 1, slash ? slash + 1 : path);
}

bool probe_exists(const struct probe *p, const char *fmt, ...)
{
	char path[PATH_MAX];

	return PATH_MAKE(p, path, fmt) && access(path, F_OK) == 0;
}

bool probe_is_pid(const char *name)
{
	return name[0] >= '1' && name[0] <= '9' && strspn(name, "0123456789") == strlen(name);
}

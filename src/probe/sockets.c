/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening UNIX sockets and who holds them.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/internal.h"

#define SO_ACCEPTCON 0x10000 /* of the flags in /proc/net/unix: it listens */

/* Num: RefCount Protocol Flags Type St Inode Path */
static bool socket_parse(const char *line, const char *word, struct probe_socket *s,
			 unsigned long long *inode)
{
	unsigned int flags;

	memset(s, 0, sizeof(*s));
	if (sscanf(line, "%*x: %*x %*x %x %*x %*x %llu %127[^\n]", &flags, inode, s->path) != 3)
		return false;
	return (flags & SO_ACCEPTCON) && s->path[0] == '/' && strstr(s->path, word);
}

static bool process_holds(struct probe *p, const char *pid, const char *want)
{
	DIR *dir = probe_opendir(p, "/proc/%s/fd", pid);
	bool found = false;
	struct dirent *e;
	char link[64];

	if (!dir)
		return false;
	while (!found && (e = readdir(dir)))
		found = probe_readlink(p, link, sizeof(link), "/proc/%s/fd/%s", pid, e->d_name) &&
			!strcmp(link, want);
	closedir(dir);
	return found;
}

static void find_holder(struct probe *p, struct probe_socket *s, unsigned long long inode)
{
	DIR *dir = probe_opendir(p, "/proc");
	struct dirent *e;
	char want[64];

	snprintf(want, sizeof(want), "socket:[%llu]", inode);
	while (dir && !s->pid && (e = readdir(dir))) {
		if (!probe_is_pid(e->d_name) || !process_holds(p, e->d_name, want))
			continue;
		s->pid = atoi(e->d_name);
		probe_read(p, s->command, sizeof(s->command), "/proc/%s/comm", e->d_name);
	}
	if (dir)
		closedir(dir);
}

static bool is_known(const struct probe_socket *list, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i].path, path))
			return true;
	}
	return false;
}

ssize_t probe_sockets(struct probe *p, const char *word, struct probe_socket **out)
{
	FILE *f = probe_fopen(p, "/proc/net/unix");
	struct probe_socket s, *more;
	unsigned long long inode;
	ssize_t count = 0;
	char line[512];

	*out = NULL;
	while (f && fgets(line, sizeof(line), f)) {
		if (!socket_parse(line, word, &s, &inode) || is_known(*out, (size_t)count, s.path))
			continue;
		more = realloc(*out, (size_t)(count + 1) * sizeof(*more));
		if (!more) {
			free(*out);
			*out = NULL;
			count = -ENOMEM;
			break;
		}
		find_holder(p, &s, inode);
		more[count++] = s;
		*out = more;
	}
	if (f)
		fclose(f);
	return count;
}

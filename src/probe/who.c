/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of every mount namespace and open block devices and files of every process, as far as
 * this user may see them.
 *
 * Threading: as probe.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/internal.h"

void probe_unescape(char *text)
{
	char *out = text;

	for (char *in = text; *in; in++) {
		unsigned int c;

		if (in[0] == '\\' && strspn(in + 1, "01234567") >= 3 &&
		    sscanf(in + 1, "%3o", &c) == 1 && c) {
			*out++ = (char)c;
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

/*
 * proc(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE SUPER_OPTIONS. The
 * source is compared too: btrfs tells an anonymous device number.
 */
static bool mount_parse(const char *line, struct probe_mount *m)
{
	unsigned int major, minor;
	const char *behind = strstr(line, " - ");

	if (!behind || sscanf(line, "%*d %*d %u:%u %*s %255s", &major, &minor, m->where) != 3)
		return false;
	if (sscanf(behind + 3, "%*s %255s", m->source) != 1)
		return false;
	m->dev = makedev(major, minor);
	probe_unescape(m->where);
	probe_unescape(m->source);
	return true;
}

static void mounts_of(struct probe *p, pid_t pid)
{
	FILE *f = probe_fopen(p, "/proc/%d/mountinfo", pid);
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		struct probe_mount *m = calloc(1, sizeof(*m));

		if (!m || !mount_parse(line, m)) {
			free(m);
			continue;
		}
		m->pid = pid;
		m->next = p->mounts;
		p->mounts = m;
	}
	free(line);
	fclose(f);
}

/** struct seen - mount namespaces that were read already */
struct seen {
	char (*names)[64];
	size_t count;
};

static bool seen_before(struct seen *s, const char *name)
{
	void *more;

	for (size_t i = 0; i < s->count; i++) {
		if (!strcmp(s->names[i], name))
			return true;
	}
	more = realloc(s->names, (s->count + 1) * sizeof(*s->names));
	if (!more)
		return false;
	s->names = more;
	snprintf(s->names[s->count++], sizeof(*s->names), "%s", name);
	return false;
}

const struct probe_mount *probe_mounts(struct probe *p)
{
	struct seen seen = { 0 };
	struct dirent *e;
	DIR *dir;

	if (p->have_mounts)
		return p->mounts;
	p->have_mounts = true;
	dir = probe_opendir(p, "/proc");
	if (!dir)
		return NULL;
	while ((e = readdir(dir))) {
		char name[64];

		if (!probe_is_pid(e->d_name))
			continue;
		if (probe_readlink(p, name, sizeof(name), "/proc/%s/ns/mnt", e->d_name) &&
		    seen_before(&seen, name))
			continue;
		mounts_of(p, atoi(e->d_name));
	}
	closedir(dir);
	free(seen.names);
	return p->mounts;
}

/* In a live system the kernel says what an fd is; elsewhere only the text of the link is there. */
static bool open_is_storage(struct probe *p, pid_t pid, const char *fd, struct probe_open *o)
{
	char path[PATH_MAX];
	struct stat st;

	if (!p->live)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, fd);
	if (stat(path, &st) < 0)
		return false;
	o->dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	o->ino = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	return S_ISBLK(st.st_mode) || S_ISREG(st.st_mode);
}

static void opens_of(struct probe *p, pid_t pid)
{
	DIR *dir = probe_opendir(p, "/proc/%d/fd", pid);
	struct dirent *e;
	char command[32];

	if (!dir)
		return;
	probe_read(p, command, sizeof(command), "/proc/%d/comm", pid);
	while ((e = readdir(dir))) {
		struct probe_open *o;

		if (e->d_name[0] == '.')
			continue;
		o = calloc(1, sizeof(*o));
		if (!o ||
		    !probe_readlink(p, o->target, sizeof(o->target), "/proc/%d/fd/%s", pid,
				    e->d_name) ||
		    o->target[0] != '/' || !open_is_storage(p, pid, e->d_name, o)) {
			free(o);
			continue;
		}
		o->pid = pid;
		snprintf(o->command, sizeof(o->command), "%s", command);
		o->next = p->opens;
		p->opens = o;
	}
	closedir(dir);
}

const struct probe_open *probe_opens(struct probe *p)
{
	struct dirent *e;
	DIR *dir;

	if (p->have_opens)
		return p->opens;
	p->have_opens = true;
	dir = probe_opendir(p, "/proc");
	if (!dir)
		return NULL;
	while ((e = readdir(dir))) {
		pid_t pid = probe_is_pid(e->d_name) ? atoi(e->d_name) : 0;

		if (pid > 0 && !(p->live && pid == getpid()))
			opens_of(p, pid);
	}
	closedir(dir);
	return p->opens;
}

void probe_forget(struct probe *p)
{
	while (p->mounts) {
		struct probe_mount *m = p->mounts;

		p->mounts = m->next;
		free(m);
	}
	while (p->opens) {
		struct probe_open *o = p->opens;

		p->opens = o->next;
		free(o);
	}
	p->have_mounts = p->have_opens = false;
}

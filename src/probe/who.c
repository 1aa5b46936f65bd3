/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of every mount namespace, and open devices, files and sockets of every process, as far as
 * this user may see them. Read in one pass over /proc; nothing here waits for a file system.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
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

/** struct seen - mount namespaces that were read already, by the number of their first mount */
struct seen {
	int *ids;
	size_t count;
};

static bool seen_before(struct seen *s, int id)
{
	void *more;

	for (size_t i = 0; i < s->count; i++) {
		if (s->ids[i] == id)
			return true;
	}
	more = realloc(s->ids, (s->count + 1) * sizeof(*s->ids));
	if (!more)
		return false;
	s->ids = more;
	s->ids[s->count++] = id;
	return false;
}

static void add_mount(struct probe *p, pid_t pid, const char *line)
{
	struct probe_mount *m = calloc(1, sizeof(*m));

	if (!m || !mount_parse(line, m)) {
		free(m);
		return;
	}
	m->pid = pid;
	m->next = p->mounts;
	p->mounts = m;
}

/*
 * A mount's number is its own in the whole system: the first one's tells the namespace. The link to
 * the namespace would not do: a process in a chroot sees fewer mounts of the same.
 */
static void mounts_of(struct probe *p, pid_t pid, struct seen *seen)
{
	FILE *f = probe_fopen(p, "/proc/%d/mountinfo", pid);
	char *line = NULL;
	size_t size = 0;
	bool first = true;
	int id;

	if (!f && p->live && errno == EACCES)
		p->blind_mounts++;
	while (f && getline(&line, &size, f) > 0) {
		if (first && sscanf(line, "%d", &id) == 1 && seen_before(seen, id))
			break;
		first = false;
		add_mount(p, pid, line);
	}
	free(line);
	if (f)
		fclose(f);
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
		if (probe_is_pid(e->d_name))
			mounts_of(p, atoi(e->d_name), &seen);
	}
	closedir(dir);
	free(seen.ids);
	return p->mounts;
}

/*
 * In a live system the kernel says what an fd is; elsewhere only the text of the link is there. The
 * kernel may not ask a server for that: of a file on a dead network file system it would wait.
 */
static bool open_is_storage(struct probe *p, pid_t pid, const char *fd, struct probe_open *o)
{
	const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx st;
	char path[64];

	if (!p->live)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, fd);
	if (statx(AT_FDCWD, path, flags, STATX_TYPE | STATX_INO, &st) < 0)
		return false;
	o->type = st.stx_mode & S_IFMT;
	if (o->type == S_IFREG) {
		o->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		o->ino = st.stx_ino;
		return true;
	}
	o->dev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	return o->type == S_IFBLK || o->type == S_IFCHR;
}

/* Another probe that looks at the same time is no user. */
static bool is_probe(struct probe *p, pid_t pid, const char *command, const char *fd)
{
	unsigned int flags = O_RDWR;
	char line[64];
	FILE *f;

	if (strcmp(command, PROBE_CHILD_NAME) != 0)
		return false;
	f = probe_fopen(p, "/proc/%d/fdinfo/%s", pid, fd);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	}
	if (f)
		fclose(f);
	return (flags & O_ACCMODE) == O_RDONLY;
}

static void add_open(struct probe *p, pid_t pid, const char *command, const char *fd,
		     const char *target)
{
	size_t len = p->live ? 0 : strlen(target) + 1;
	struct probe_open *o = calloc(1, sizeof(*o) + len);

	if (!o || !open_is_storage(p, pid, fd, o)) {
		free(o);
		return;
	}
	o->pid = pid;
	snprintf(o->command, sizeof(o->command), "%s", command);
	if (len)
		memcpy(o->target, target, len);
	o->next = p->opens;
	p->opens = o;
}

static void add_holder(struct probe *p, pid_t pid, unsigned long long inode)
{
	struct probe_holder *more = p->holders;

	/* Grown at each power of two. */
	if (!(p->holder_count & (p->holder_count + 1)))
		more = realloc(p->holders, 2 * (p->holder_count + 1) * sizeof(*more));
	if (!more)
		return;
	p->holders = more;
	more[p->holder_count++] = (struct probe_holder){ .inode = inode, .pid = pid };
}

static void opens_of(struct probe *p, pid_t pid)
{
	DIR *dir = probe_opendir(p, "/proc/%d/fd", pid);
	char command[16], target[PATH_MAX];
	unsigned long long inode;
	struct dirent *e;

	if (!dir) {
		if (p->live && errno == EACCES)
			p->blind_fds++;
		return;
	}
	probe_read(p, command, sizeof(command), "/proc/%d/comm", pid);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    !probe_readlink(p, target, sizeof(target), "/proc/%d/fd/%s", pid, e->d_name))
			continue;
		if (sscanf(target, "socket:[%llu]", &inode) == 1)
			add_holder(p, pid, inode);
		else if (target[0] == '/' && !(p->live && pid == getpid()) &&
			 !is_probe(p, pid, command, e->d_name))
			add_open(p, pid, command, e->d_name, target);
	}
	closedir(dir);
}

static int by_inode(const void *a, const void *b)
{
	const struct probe_holder *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->pid - y->pid;
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
		if (probe_is_pid(e->d_name))
			opens_of(p, atoi(e->d_name));
	}
	closedir(dir);
	if (p->holder_count)
		qsort(p->holders, p->holder_count, sizeof(*p->holders), by_inode);
	return p->opens;
}

pid_t probe_socket_pid(struct probe *p, unsigned long long inode)
{
	size_t low = 0, high;

	probe_opens(p);
	high = p->holder_count;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->holders[mid].inode < inode)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->holder_count && p->holders[low].inode == inode ? p->holders[low].pid : 0;
}

void probe_refresh(struct probe *p)
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
	free(p->holders);
	free(p->loops);
	p->holders = NULL;
	p->loops = NULL;
	p->holder_count = p->loop_count = 0;
	p->blind_fds = p->blind_mounts = 0;
	p->have_mounts = p->have_opens = p->have_loops = false;
}

bool probe_unseen(struct probe *p, size_t i, char *text, size_t size)
{
	if (p->blind_fds && i-- == 0) {
		snprintf(text, size,
			 "what %u processes of other users have open: run as root to see that",
			 p->blind_fds);
		return true;
	}
	if (p->blind_mounts && i-- == 0) {
		snprintf(text, size,
			 "the mounts of %u processes of other users: run as root to see them",
			 p->blind_mounts);
		return true;
	}
	return false;
}

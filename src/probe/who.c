/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses what: open devices, files and sockets of every process, mounts of every mount namespace,
 * network namespaces, and who runs a target program, as far as this user may see them. All is read
 * in one pass over /proc; nothing here waits for a file system.
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

#define FOLDER_ROOM (32 * 1024)
#define ID_SIZE	    48 /* "PID/task/TID" */

/* Character devices that lead to no storage, and that nearly each process has open. */
#define MAJOR_MEM 1
#define MAJOR_TTY 5
#define MAJOR_PTS 136 /* to 143 */

/**
 * struct view - what a process sees of the mounts: its namespace, and the root it has in it
 *
 * The namespace alone would not do: a process in a chroot sees fewer mounts of the same.
 */
struct view {
	char ns[32];
	uint64_t mount, ino;
	uint32_t major, minor;
};

/**
 * struct pass - one reading of /proc
 * @proc: the folder; all names are relative to it
 * @views: mounts that were read already; @first_ids: the numbers of their first mounts, where a
 *         view cannot be told
 * @self: this process, whose own descriptors are no use
 * @ns_dev: the file system of namespaces
 * @kernel: a kernel thread was met: all of them see the same
 */
struct pass {
	struct probe *p;
	int proc;
	struct view *views;
	size_t view_count;
	int *first_ids;
	size_t id_count;
	pid_t self;
	dev_t ns_dev;
	bool kernel;
	_Alignas(struct dirent64) char folder[FOLDER_ROOM];
};

void *probe_array_room(void *array, size_t count, size_t size)
{
	return count & (count + 1) ? array : reallocarray(array, 2 * (count + 1), size);
}

static ssize_t link_text(const struct pass *s, const char *id, const char *name, char *out,
			 size_t size)
{
	char path[ID_SIZE + 32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", id, name);
	n = readlinkat(s->proc, path, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : n;
}

static void read_command(const struct pass *s, const char *id, char out[static 16])
{
	char path[ID_SIZE + 8];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", id);
	fd = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, 15);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Return: false where this system does not tell enough. */
static bool view_of(const struct pass *s, const char *id, struct view *v)
{
	char path[ID_SIZE + 8];
	struct statx st;

	memset(v, 0, sizeof(*v));
	if (!s->p->live || link_text(s, id, "ns/mnt", v->ns, sizeof(v->ns)) <= 0)
		return false;
	snprintf(path, sizeof(path), "%s/root", id);
	if (statx(s->proc, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID,
		  &st) < 0 ||
	    !(st.stx_mask & STATX_MNT_ID))
		return false;
	v->mount = st.stx_mnt_id;
	v->ino = st.stx_ino;
	v->major = st.stx_dev_major;
	v->minor = st.stx_dev_minor;
	return true;
}

static bool view_is_new(struct pass *s, const struct view *v)
{
	struct view *more;

	/* Neighbours often are of one container. */
	for (size_t i = s->view_count; i > 0; i--) {
		if (!memcmp(&s->views[i - 1], v, sizeof(*v)))
			return false;
	}
	more = probe_array_room(s->views, s->view_count, sizeof(*more));
	if (more) {
		s->views = more;
		more[s->view_count++] = *v;
	}
	return true;
}

/* A mount's number is its own in the whole system. */
static bool first_is_new(struct pass *s, int id)
{
	int *more;

	for (size_t i = 0; i < s->id_count; i++) {
		if (s->first_ids[i] == id)
			return false;
	}
	more = probe_array_room(s->first_ids, s->id_count, sizeof(*more));
	if (more) {
		s->first_ids = more;
		more[s->id_count++] = id;
	}
	return true;
}

static void mounts_of(struct pass *s, pid_t pid, const char *id)
{
	char path[ID_SIZE + 16], *line = NULL;
	bool first = true;
	size_t size = 0;
	struct view v;
	FILE *f;
	int fd, number;

	if (view_of(s, id, &v) && !view_is_new(s, &v))
		return;
	snprintf(path, sizeof(path), "%s/mountinfo", id);
	fd = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && s->p->live && errno == EACCES)
		s->p->blind_mounts++;
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		if (first && sscanf(line, "%d", &number) == 1 && !first_is_new(s, number))
			break;
		first = false;
		probe_take_mount(s->p, pid, line);
	}
	free(line);
	fclose(f);
}

static void network_of(struct pass *s, pid_t pid, const char *id)
{
	struct probe *p = s->p;
	struct probe_netns *more, ns = { .pid = pid };

	if (link_text(s, id, "ns/net", ns.name, sizeof(ns.name)) <= 0)
		return;
	for (size_t i = p->netns_count; i > 0; i--) {
		if (!strcmp(p->netns[i - 1].name, ns.name))
			return;
	}
	more = probe_array_room(p->netns, p->netns_count, sizeof(*more));
	if (more) {
		p->netns = more;
		more[p->netns_count++] = ns;
	}
}

/* Another probe that looks at the same time is no user. */
static bool is_probe(const struct pass *s, const char *id, const char *command, const char *fd)
{
	unsigned int flags = O_RDWR;
	char line[64];
	FILE *f;

	if (strcmp(command, PROBE_CHILD_NAME) != 0)
		return false;
	f = probe_fopen(s->p, "/proc/%s/fdinfo/%s", id, fd);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	}
	if (f)
		fclose(f);
	return (flags & O_ACCMODE) == O_RDONLY;
}

static void add_holder(struct probe *p, pid_t pid, unsigned long long inode)
{
	struct probe_holder *more = probe_array_room(p->holders, p->holder_count, sizeof(*more));

	if (!more)
		return;
	p->holders = more;
	more[p->holder_count++] = (struct probe_holder){ .inode = inode, .pid = pid };
}

static bool is_storage(const struct probe *p, const struct probe_open *o)
{
	unsigned int number = major(o->dev);

	if (o->type == S_IFREG)
		return o->dev == p->file_dev && o->ino == p->file_ino;
	return o->type == S_IFBLK ||
	       (o->type == S_IFCHR && number != MAJOR_MEM && number != MAJOR_TTY &&
		(number < MAJOR_PTS || number > MAJOR_PTS + 7));
}

static void add_ring(struct probe *p, pid_t pid, const char *id, const char *fd)
{
	struct probe_ring *more = probe_array_room(p->rings, p->ring_count, sizeof(*more));

	if (!more)
		return;
	p->rings = more;
	more[p->ring_count].pid = pid;
	snprintf(more[p->ring_count++].fdinfo, sizeof(more->fdinfo), "/proc/%s/fdinfo/%.16s", id,
		 fd);
}

/* What keeps devices in use that are not among the descriptors themselves. */
static void take_special(struct pass *s, const char *id, int dir, const char *fd,
			 const struct probe_open *o)
{
	char target[64], path[ID_SIZE + 40];
	ssize_t n;

	if (o->type && (o->type != S_IFREG || o->dev != s->ns_dev))
		return;
	n = readlinkat(dir, fd, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	if (!strcmp(target, "anon_inode:[io_uring]") && o->pid != s->self) {
		add_ring(s->p, o->pid, id, fd);
	} else if (!strncmp(target, "mnt:[", 5)) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%.16s", id, fd);
		probe_take_pin(s->p, path);
	}
}

/*
 * In a live system the kernel says what a descriptor is; it may not ask a server for that: of a
 * file on a dead network file system it would wait.
 */
static bool identify(struct pass *s, const char *id, int dir, const char *fd, struct probe_open *o)
{
	struct statx st;

	if (statx(dir, fd, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st) < 0)
		return false;
	o->type = st.stx_mode & S_IFMT;
	o->ino = st.stx_ino;
	if (o->type == S_IFREG)
		o->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	else
		o->dev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	if (o->type == S_IFSOCK)
		add_holder(s->p, o->pid, st.stx_ino);
	take_special(s, id, dir, fd, o);
	if (o->type != S_IFREG)
		o->ino = 0;
	return o->pid != s->self && is_storage(s->p, o);
}

/* In a made-up system only the text of the link is there. */
static bool identify_by_text(struct pass *s, pid_t pid, int dir, const char *fd,
			     struct probe_open *o)
{
	unsigned long long inode;
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, fd, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	if (sscanf(target, "socket:[%llu]", &inode) == 1)
		add_holder(s->p, pid, inode);
	o->target = target[0] == '/' ? strdup(target) : NULL;
	return o->target;
}

static void take_descriptor(struct pass *s, const char *id, int dir, const char *fd,
			    struct probe_open *o)
{
	struct probe *p = s->p;
	struct probe_open *more;

	o->target = NULL;
	if (!(p->live ? identify(s, id, dir, fd, o) : identify_by_text(s, o->pid, dir, fd, o)))
		return;
	if (!o->command[0])
		read_command(s, id, o->command);
	more = is_probe(s, id, o->command, fd)
		       ? NULL
		       : probe_array_room(p->opens, p->open_count, sizeof(*more));
	if (!more) {
		free(o->target);
		return;
	}
	p->opens = more;
	more[p->open_count++] = *o;
}

static void opens_of(struct pass *s, pid_t pid, const char *id)
{
	struct probe_open o = { .pid = pid };
	char path[ID_SIZE + 8];
	ssize_t n;
	int dir;

	snprintf(path, sizeof(path), "%s/fd", id);
	dir = openat(s->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		if (s->p->live && errno == EACCES)
			s->p->blind_fds++;
		return;
	}
	while ((n = getdents64(dir, s->folder, sizeof(s->folder))) > 0) {
		const struct dirent64 *e;

		for (const char *at = s->folder; at < s->folder + n; at += e->d_reclen) {
			e = (const struct dirent64 *)(const void *)at;
			if (e->d_name[0] != '.')
				take_descriptor(s, id, dir, e->d_name, &o);
		}
	}
	close(dir);
}

enum process {
	PROCESS_RUNS,	/* a program */
	PROCESS_KERNEL, /* a thread of the kernel: it has no descriptors */
	PROCESS_ENDED,	/* its first thread at least */
};

/*
 * Who has no memory has no program: a thread of the kernel, which has a root, or one that has
 * ended. The name is what is left where this user may not read the link.
 */
static enum process program_of(const struct pass *s, const char *id, char out[static PATH_MAX])
{
	ssize_t n = link_text(s, id, "exe", out, PATH_MAX);
	char root[PATH_MAX], *gone;

	if (n <= 0) {
		if (n == -ENOENT && s->p->live)
			return link_text(s, id, "root", root, sizeof(root)) > 0 ? PROCESS_KERNEL
										: PROCESS_ENDED;
		read_command(s, id, out);
	}
	gone = strstr(out, " (deleted)");
	if (gone)
		*gone = '\0';
	return PROCESS_RUNS;
}

static void add_target(struct probe *p, pid_t pid)
{
	pid_t *more = probe_array_room(p->runs_target, p->runs_target_count, sizeof(*more));

	if (!more)
		return;
	p->runs_target = more;
	more[p->runs_target_count++] = pid;
}

static void look_at(struct pass *s, pid_t pid, const char *id)
{
	mounts_of(s, pid, id);
	network_of(s, pid, id);
	opens_of(s, pid, id);
}

/* Where the first thread has ended the others have what the process has. */
static void look_at_threads(struct pass *s, pid_t pid)
{
	DIR *dir = probe_opendir(s->p, "/proc/%d/task", pid);
	char id[ID_SIZE], program[PATH_MAX];
	struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		if (!probe_is_pid(e->d_name) || atoi(e->d_name) == pid)
			continue;
		snprintf(id, sizeof(id), "%d/task/%.16s", pid, e->d_name);
		found = program_of(s, id, program) == PROCESS_RUNS;
		if (found)
			look_at(s, pid, id);
	}
	if (dir)
		closedir(dir);
}

static void on_process(struct pass *s, const char *name)
{
	char program[PATH_MAX];
	pid_t pid = atoi(name);

	switch (program_of(s, name, program)) {
	case PROCESS_RUNS:
		if (probe_is_target_program(program))
			add_target(s->p, pid);
		look_at(s, pid, name);
		break;
	case PROCESS_KERNEL:
		if (!s->kernel)
			look_at(s, pid, name);
		s->kernel = true;
		break;
	case PROCESS_ENDED:
		look_at_threads(s, pid);
		break;
	}
}

static int open_order(const void *a, const void *b)
{
	const struct probe_open *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->pid - y->pid;
}

static int holder_order(const void *a, const void *b)
{
	const struct probe_holder *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->pid - y->pid;
}

static void pass_end(struct pass *s)
{
	struct probe *p = s->p;

	if (p->open_count)
		qsort(p->opens, p->open_count, sizeof(*p->opens), open_order);
	if (p->holder_count)
		qsort(p->holders, p->holder_count, sizeof(*p->holders), holder_order);
	free(s->views);
	free(s->first_ids);
	free(s);
}

void probe_look(struct probe *p)
{
	struct pass *s = p->looked ? NULL : calloc(1, sizeof(*s));
	struct stat ns;
	struct dirent *e;
	DIR *dir;

	p->looked = true;
	if (!s)
		return;
	s->p = p;
	s->self = getpid();
	if (p->live && stat("/proc/self/ns/mnt", &ns) == 0)
		s->ns_dev = ns.st_dev;
	dir = probe_opendir(p, "/proc");
	s->proc = dir ? dirfd(dir) : -1;
	network_of(s, 0, "self");
	while (dir && (e = readdir(dir))) {
		if (probe_is_pid(e->d_name))
			on_process(s, e->d_name);
	}
	if (dir)
		closedir(dir);
	pass_end(s);
}

static const struct probe_open *open_by_target(const struct probe *p, const char *target)
{
	for (size_t i = 0; i < p->open_count; i++) {
		if (!strcmp(p->opens[i].target, target))
			return &p->opens[i];
	}
	return NULL;
}

const struct probe_open *probe_opened(struct probe *p, const char *path, mode_t type, dev_t dev,
				      ino_t ino)
{
	struct probe_open wanted = { .type = type, .dev = dev, .ino = ino };
	size_t low = 0, high;

	probe_look(p);
	if (!p->live)
		return open_by_target(p, path);
	high = p->open_count;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (open_order(&p->opens[mid], &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	wanted.pid = low < p->open_count ? p->opens[low].pid : 0;
	return low < p->open_count && open_order(&p->opens[low], &wanted) == 0 ? &p->opens[low]
									       : NULL;
}

pid_t probe_socket_pid(struct probe *p, unsigned long long inode)
{
	size_t low = 0, high;

	probe_look(p);
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
	for (size_t i = 0; i < p->open_count; i++)
		free(p->opens[i].target);
	free(p->opens);
	free(p->mounts);
	free(p->holders);
	free(p->loops);
	free(p->netns);
	free(p->runs_target);
	free(p->rings);
	probe_forget_hidden(p);
	probe_forget_pins(p);
	p->rings = NULL;
	p->opens = NULL;
	p->mounts = NULL;
	p->holders = NULL;
	p->loops = NULL;
	p->netns = NULL;
	p->runs_target = NULL;
	p->open_count = p->mount_count = p->holder_count = p->loop_count = 0;
	p->netns_count = p->runs_target_count = p->ring_count = 0;
	p->blind_fds = p->blind_mounts = 0;
	p->file_dev = 0;
	p->file_ino = 0;
	p->looked = p->have_loops = false;
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

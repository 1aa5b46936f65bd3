/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses of a device or file that no descriptor of a process shows: it is mapped, or registered with
 * an io_uring, and its descriptor was closed.
 *
 * What is on its way in a UNIX socket shows nowhere, unless it was opened exclusively.
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

#define RING_TRIES 3
#define MAPS_ROOM  (16 * 1024)

/* --- mappings --------------------------------------------------------------------------------- */

/* The path is as that process sees it; the link in map_files leads to the thing itself. */
static void identify(const struct probe *p, const char *range, struct probe_open *o)
{
	struct statx st;
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%s", o->pid, range);
	if (!p->live || statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
			      STATX_TYPE | STATX_INO, &st) < 0)
		return;
	o->type = st.stx_mode & S_IFMT;
	if (o->type == S_IFREG) {
		o->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		o->ino = st.stx_ino;
	} else {
		o->dev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	}
}

static void add_mapping(struct probe *p, struct probe_open *o, const char *range, const char *path)
{
	const struct probe_open *last =
		p->mapping_count ? &p->mappings[p->mapping_count - 1] : NULL;
	struct probe_open *more;

	/* One file is often mapped in many pieces, one behind the other. */
	if (last && last->pid == o->pid && !strcmp(last->target, path))
		return;
	more = probe_array_room(p->mappings, p->mapping_count, sizeof(*more));
	if (!more)
		return;
	p->mappings = more;
	identify(p, range, o);
	o->target = strdup(path);
	if (o->target)
		more[p->mapping_count++] = *o;
}

/*
 * proc(5): RANGE PERMISSIONS OFFSET MAJOR:MINOR INODE PATH. What is private is never written. Of
 * the many lines of many processes nearly all are told so by two characters.
 */
static bool is_shared_file(const char *line)
{
	const char *mode = strchr(line, ' '), *path = strchr(line, '/');

	return mode && path && path - mode > 4 && (mode[4] == 's' || !strncmp(path, "/dev/", 5));
}

/* @command: of the process, read when it is needed */
static void take_mapping(struct probe *p, pid_t pid, char command[static 16], char *line)
{
	struct probe_open o = { .pid = pid };
	char range[40];
	int path = 0;

	if (!is_shared_file(line))
		return;
	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%39s %*s %*s %*s %*s %n", range, &path) != 1 || line[path] != '/')
		return;
	if (!command[0])
		probe_read(p, command, 16, "/proc/%d/comm", pid);
	memcpy(o.command, command, sizeof(o.command));
	add_mapping(p, &o, range, line + path);
}

static void mappings_of(struct probe *p, pid_t pid)
{
	FILE *f = probe_fopen(p, "/proc/%d/maps", pid);
	char *line = NULL, command[16] = "";
	size_t size = 0;

	if (!f)
		return;
	/* The kernel fills a page at a time; the C library would ask for a quarter of one. */
	setvbuf(f, NULL, _IOFBF, MAPS_ROOM);
	while (getline(&line, &size, f) > 0)
		take_mapping(p, pid, command, line);
	free(line);
	fclose(f);
}

static void look_at_mappings(struct probe *p)
{
	DIR *dir = p->have_mappings ? NULL : probe_opendir(p, "/proc");
	struct dirent *e;

	p->have_mappings = true;
	while (dir && (e = readdir(dir))) {
		if (probe_is_pid(e->d_name) && (!p->live || atoi(e->d_name) != getpid()))
			mappings_of(p, atoi(e->d_name));
	}
	if (dir)
		closedir(dir);
}

static bool is_mapping_of(const struct probe_open *o, const struct probe_device *d, ino_t ino)
{
	if (!o->type)
		return !strcmp(o->target, d->path);
	return o->type == (ino ? S_IFREG : S_IFBLK) && o->dev == d->dev && o->ino == ino;
}

static int find_mappings(struct probe *p, struct probe_device *d, ino_t ino)
{
	look_at_mappings(p);
	for (size_t i = 0; i < p->mapping_count; i++) {
		const struct probe_open *o = &p->mappings[i];

		if (is_mapping_of(o, d, ino))
			return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
					  "%s is mapped into the memory of process %d (%s)",
					  d->path, o->pid, o->command);
	}
	return 0;
}

/* --- io_uring --------------------------------------------------------------------------------- */

/* A name without folders may be that of a file which the process has open beside. */
static bool has_open(const struct probe *p, pid_t pid, const char *name)
{
	DIR *dir = probe_opendir(p, "/proc/%d/fd", pid);
	char target[PATH_MAX], last[NAME_MAX + 1];
	struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		if (probe_readlink(p, target, sizeof(target), "/proc/%d/fd/%s", pid, e->d_name)) {
			probe_last_part(last, sizeof(last), target);
			found = !strcmp(last, name);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Kernels before 6.7 tell the last part of the name alone. */
static bool is_registered_as(struct probe *p, const struct probe_device *d, ino_t ino, pid_t pid,
			     const char *name)
{
	char last[NAME_MAX + 1];

	if (name[0] == '/')
		return probe_is_same(p, d, ino, name);
	probe_last_part(last, sizeof(last), d->path);
	return !strcmp(name, last) && !(ino && has_open(p, pid, name));
}

/* Return: 1 when it is registered, 0 when not, -EAGAIN when the ring was too busy to tell. */
static int ring_has(struct probe *p, const struct probe_ring *r, const struct probe_device *d,
		    ino_t ino)
{
	FILE *f = probe_fopen(p, "%s", r->fdinfo);
	unsigned int files = 0, shown = 0;
	bool found = false, within = false;
	char *line = NULL;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) > 0) {
		int name = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "UserFiles: %u", &files) == 1) {
			within = files > 0;
		} else if (within && sscanf(line, " %*u: %n", &name) == 0 && name) {
			shown++;
			found = is_registered_as(p, d, ino, r->pid, line + name);
		} else if (within) {
			break;
		}
	}
	free(line);
	if (f)
		fclose(f);
	if (found)
		return 1;
	return files && !shown ? -EAGAIN : 0;
}

static int find_rings(struct probe *p, struct probe_device *d, ino_t ino)
{
	char command[16];

	for (size_t i = 0; i < p->ring_count; i++) {
		const struct probe_ring *r = &p->rings[i];
		int has = -EAGAIN;

		for (int tries = 0; has < 0 && tries < RING_TRIES; tries++)
			has = ring_has(p, r, d, ino);
		if (has != 1)
			continue;
		probe_read(p, command, sizeof(command), "/proc/%d/comm", r->pid);
		return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
				  "%s is registered with an io_uring of process %d (%s)", d->path,
				  r->pid, command);
	}
	return 0;
}

/* --- both ------------------------------------------------------------------------------------- */

int probe_find_hidden(struct probe *p, struct probe_device *d, ino_t ino)
{
	size_t before = d->finding_count;
	int rc = find_rings(p, d, ino);

	return rc == 0 && d->finding_count == before ? find_mappings(p, d, ino) : rc;
}

void probe_forget_hidden(struct probe *p)
{
	for (size_t i = 0; i < p->mapping_count; i++)
		free(p->mappings[i].target);
	for (size_t i = 0; i < p->path_count; i++)
		free(p->paths[i]);
	free(p->mappings);
	free(p->paths);
	free(p->identities);
	p->mappings = NULL;
	p->paths = NULL;
	p->identities = NULL;
	p->mapping_count = p->path_count = 0;
	p->have_mappings = false;
}

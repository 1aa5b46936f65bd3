/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a path that somebody else was given (a kernel target, swapon) leads to a device or file
 * here, by whatever name.
 *
 * Threading: as probe.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/internal.h"

static void identify(const char *path, struct probe_identity *id)
{
	struct statx st;

	memset(id, 0, sizeof(*id));
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO,
		  &st) < 0)
		return;
	id->type = st.stx_mode & S_IFMT;
	if (id->type == S_IFREG) {
		id->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		id->ino = st.stx_ino;
	} else {
		id->dev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	}
}

struct question {
	const char *path;
	struct probe_identity answer;
};

static void ask(void *arg, size_t i, void *answer)
{
	(void)i;
	identify(((struct question *)arg)->path, answer);
}

static void take(void *arg, size_t i, int status, const void *answer)
{
	(void)i;
	if (status == 0)
		((struct question *)arg)->answer = *(const struct probe_identity *)answer;
}

static void keep(struct probe *p, const struct question *q)
{
	struct probe_identity *ids;
	char **paths;

	ids = probe_array_room(p->identities, p->path_count, sizeof(*ids));
	if (ids)
		p->identities = ids;
	paths = probe_array_room(p->paths, p->path_count, sizeof(*paths));
	if (paths)
		p->paths = paths;
	if (!ids || !paths)
		return;
	ids[p->path_count] = q->answer;
	paths[p->path_count] = strdup(q->path);
	if (paths[p->path_count])
		p->path_count++;
}

/* A lookup on a dead network file system waits for ever, so a child does it, once for a path. */
static struct probe_identity ask_child(struct probe *p, const char *path)
{
	struct question q = { .path = path };

	for (size_t i = 0; i < p->path_count; i++) {
		if (!strcmp(p->paths[i], path))
			return p->identities[i];
	}
	probe_limited(p, &(struct probe_limited){ .count = 1,
						  .size = sizeof(q.answer),
						  .limit_ns = PROBE_LIMIT_NS,
						  .work = ask,
						  .done = take,
						  .arg = &q });
	keep(p, &q);
	return q.answer;
}

static struct probe_identity identity_of(struct probe *p, const char *path)
{
	struct probe_identity id;

	if (strncmp(path, "/dev/", 5) != 0)
		return ask_child(p, path);
	identify(path, &id);
	return id;
}

bool probe_is_same_path(struct probe *p, const char *path, const char *other)
{
	struct probe_identity a, b;

	if (!path[0] || !other[0] || !strcmp(path, other))
		return path[0] && other[0];
	a = identity_of(p, path);
	b = identity_of(p, other);
	return a.type && a.type == b.type && a.dev == b.dev && a.ino == b.ino;
}

bool probe_is_same(struct probe *p, const struct probe_device *d, ino_t ino, const char *path)
{
	struct probe_identity id;

	if (!strcmp(path, d->path))
		return true;
	if (!p->live || path[0] != '/')
		return false;
	id = identity_of(p, path);
	return id.type == (ino ? S_IFREG : S_IFBLK) && id.dev == d->dev && id.ino == ino;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop devices and what is behind each. A file has as many names as links, and its name in another
 * mount namespace says nothing here, so the kernel is asked for its identity.
 *
 * Threading: as probe.h.
 */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/internal.h"

/* As the kernel's new_encode_dev(). */
static dev_t decode_dev(uint64_t v)
{
	return makedev((unsigned int)(v >> 8 & 0xfff),
		       (unsigned int)((v & 0xff) | (v >> 12 & 0xfff00)));
}

struct identity {
	dev_t rdev, dev;
	ino_t ino;
};

static void ask_identity(void *arg, size_t i, void *answer)
{
	const struct probe *p = arg;
	struct identity *id = answer;
	struct loop_info64 info;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", p->loops[i].name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		*id = (struct identity){ .rdev = decode_dev(info.lo_rdevice),
					 .dev = decode_dev(info.lo_device),
					 .ino = info.lo_inode };
	close(fd);
}

static void take_identity(void *arg, size_t i, int status, const void *answer)
{
	struct probe *p = arg;
	const struct identity *id = answer;

	if (status < 0)
		return;
	p->loops[i].rdev = id->rdev;
	p->loops[i].dev = id->dev;
	p->loops[i].ino = id->ino;
}

static void add_loop(struct probe *p, const char *name)
{
	struct probe_loop *more, loop = { .name = "" };

	if (strncmp(name, "loop", 4) != 0 || !probe_read(p, loop.backing, sizeof(loop.backing),
							 "/sys/block/%s/loop/backing_file", name))
		return;
	snprintf(loop.name, sizeof(loop.name), "%.31s", name);
	more = realloc(p->loops, (p->loop_count + 1) * sizeof(*more));
	if (!more)
		return;
	p->loops = more;
	more[p->loop_count++] = loop;
}

const struct probe_loop *probe_loops(struct probe *p, size_t *count)
{
	DIR *dir = p->have_loops ? NULL : probe_opendir(p, "/sys/block");
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		add_loop(p, e->d_name);
	if (dir)
		closedir(dir);
	if (!p->have_loops && p->live && p->loop_count)
		probe_limited(p, &(struct probe_limited){ .count = p->loop_count,
							  .size = sizeof(struct identity),
							  .limit_ns = PROBE_LIMIT_NS,
							  .work = ask_identity,
							  .done = take_identity,
							  .arg = p });
	p->have_loops = true;
	*count = p->loop_count;
	return p->loops;
}

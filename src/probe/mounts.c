/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounted block devices of every mount namespace. Kept sorted and each only once, so that a node
 * with thousands of mounts in hundreds of containers costs no more than its devices.
 *
 * Threading: as probe.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

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
	m->role = "";
	probe_unescape(m->where);
	probe_unescape(m->source);
	return true;
}

static int mount_order(const struct probe_mount *a, const struct probe_mount *b)
{
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return strcmp(a->source, b->source);
}

/* Return: where it stands, or is to stand. */
static size_t mount_place(const struct probe *p, const struct probe_mount *m)
{
	size_t low = 0, high = p->mount_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (mount_order(&p->mounts[mid], m) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void mount_keep(struct probe *p, const struct probe_mount *m)
{
	size_t at = mount_place(p, m);
	struct probe_mount *more;

	if (at < p->mount_count && mount_order(&p->mounts[at], m) == 0)
		return;
	more = realloc(p->mounts, (p->mount_count + 1) * sizeof(*more));
	if (!more)
		return;
	p->mounts = more;
	memmove(more + at + 1, more + at, (p->mount_count - at) * sizeof(*more));
	more[at] = *m;
	p->mount_count++;
}

/* XFS has its log and its real-time data on other devices, which its options name. */
static void take_other_device(struct probe *p, const struct probe_mount *m, const char *line,
			      const char *option, const char *role)
{
	const char *at = strstr(line, " - xfs ");
	struct probe_mount other = *m;

	at = at ? strstr(at, option) : NULL;
	if (!at || sscanf(at + strlen(option), "%255[^, \n]", other.source) != 1)
		return;
	probe_unescape(other.source);
	other.dev = 0;
	other.role = role;
	mount_keep(p, &other);
}

/* A namespace that is bound to a file lives without a process too. */
static void take_bound(struct probe *p, const struct probe_mount *m)
{
	char path[sizeof(m->where) + 32];

	snprintf(path, sizeof(path), "/proc/%d/root%s", m->pid, m->where);
	probe_take_pin(p, path);
}

void probe_take_mount(struct probe *p, pid_t pid, const char *line)
{
	struct probe_mount m = { .pid = pid };

	/* What is neither on a device nor has its name as source (tmpfs, cgroup) is no use of one.
	 */
	if (!mount_parse(line, &m))
		return;
	if (major(m.dev) || m.source[0] == '/')
		mount_keep(p, &m);
	else if (p->live && !strcmp(m.source, "nsfs"))
		take_bound(p, &m);
	take_other_device(p, &m, line, ",logdev=", "the log of what is ");
	take_other_device(p, &m, line, ",rtdev=", "the real-time device of what is ");
}

const struct probe_mount *probe_mounted(struct probe *p, dev_t dev, const char *source)
{
	struct probe_mount wanted = { .dev = dev };
	size_t at;

	probe_look(p);
	at = mount_place(p, &wanted);
	if (dev && at < p->mount_count && p->mounts[at].dev == dev)
		return &p->mounts[at];
	for (at = 0; at < p->mount_count; at++) {
		if (!strcmp(p->mounts[at].source, source))
			return &p->mounts[at];
	}
	return NULL;
}

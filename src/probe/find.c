/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings: who uses a block device, each kind of use in its own words.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/internal.h"

int probe_find(struct probe_device *d, enum probe_reason reason, enum probe_verdict verdict,
	       const char *remedy, const char *fmt, ...)
{
	struct probe_finding *more, *f;
	va_list args;

	more = realloc(d->findings, (d->finding_count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	d->findings = more;
	f = &more[d->finding_count++];
	f->reason = reason;
	f->verdict = verdict;
	va_start(args, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
	return 0;
}

enum probe_verdict probe_device_verdict(const struct probe_device *d)
{
	const struct probe_finding *f = probe_device_reason(d);

	return f ? f->verdict : PROBE_FREE;
}

const struct probe_finding *probe_device_reason(const struct probe_device *d)
{
	const struct probe_finding *worst = NULL;

	for (size_t i = 0; i < d->finding_count; i++) {
		if (!worst || d->findings[i].verdict > worst->verdict)
			worst = &d->findings[i];
	}
	return worst;
}

void probe_device_fini(struct probe_device *d)
{
	free(d->findings);
	d->findings = NULL;
	d->finding_count = 0;
}

static int find_mounts(struct probe *p, struct probe_device *d)
{
	const struct probe_mount *m = probe_mounted(p, d->dev, d->path);

	if (!m)
		return 0;
	return probe_find(d, PROBE_REASON_MOUNT, PROBE_IN_USE, "unmount it",
			  "%s is mounted on %s (seen by process %d)", d->path, m->where, m->pid);
}

int probe_find_swap(struct probe *p, struct probe_device *d)
{
	FILE *f = probe_fopen(p, "/proc/swaps");
	char line[1024], path[1024];
	int rc = 0;

	if (!f)
		return 0;
	while (rc == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%1023s", path) != 1)
			continue;
		probe_unescape(path);
		if (!strcmp(path, d->path))
			rc = probe_find(d, PROBE_REASON_SWAP, PROBE_IN_USE, "swapoff it",
					"%s is swap space in use", d->path);
	}
	fclose(f);
	return rc;
}

int probe_find_loops(struct probe *p, struct probe_device *d, dev_t dev, ino_t ino)
{
	size_t count;
	const struct probe_loop *loops = probe_loops(p, &count);

	for (size_t i = 0; i < count; i++) {
		const struct probe_loop *l = &loops[i];
		bool same = ino ? l->ino == ino && l->dev == dev : l->rdev && l->rdev == d->dev;

		if (same || !strcmp(l->backing, d->path))
			return probe_find(d, PROBE_REASON_LOOP, PROBE_IN_USE,
					  "detach the loop device (losetup -d)",
					  "%s backs the loop device /dev/%s", d->path, l->name);
	}
	return 0;
}

/* The name that a target was given, against the device; only /dev is safe to look into. */
static bool is_same_path(struct probe *p, const struct probe_device *d, const char *path)
{
	struct stat st;

	if (!strcmp(path, d->path))
		return true;
	return p->live && !strncmp(path, "/dev/", 5) && strcmp(d->kind, "file") != 0 &&
	       stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == d->dev;
}

/**
 * struct exports - where a kernel target keeps what it exports: DIR/a/MIDDLE/b/FILE
 * @on: beside FILE, not "0" while it is in use
 */
struct exports {
	const char *dir, *middle, *file, *on, *name;
};

static int find_export(struct probe *p, struct probe_device *d, const struct exports *x,
		       const char *above)
{
	DIR *dir = probe_opendir(p, "%s/%s/%s", x->dir, above, x->middle);
	char path[PATH_MAX], on[8];
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return 0;
	while (rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    !probe_read(p, path, sizeof(path), "%s/%s/%s/%s/%s", x->dir, above, x->middle,
				e->d_name, x->file) ||
		    !probe_read(p, on, sizeof(on), "%s/%s/%s/%s/%s", x->dir, above, x->middle,
				e->d_name, x->on) ||
		    !strcmp(on, "0") || !is_same_path(p, d, path))
			continue;
		rc = probe_find(d, PROBE_REASON_EXPORT, PROBE_IN_USE, "take it out of that target",
				"%s is exported by the kernel's %s target (%s/%s)", d->path,
				x->name, above, e->d_name);
	}
	closedir(dir);
	return rc;
}

int probe_find_exports(struct probe *p, struct probe_device *d)
{
	static const struct exports all[] = {
		{ "/sys/kernel/config/nvmet/subsystems", "namespaces", "device_path", "enable",
		  "NVMe" },
		{ "/sys/kernel/config/target/core", ".", "udev_path", "enable", "SCSI" },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(all) / sizeof(all[0]); i++) {
		DIR *dir = probe_opendir(p, "%s", all[i].dir);
		struct dirent *e;

		while (dir && rc == 0 && (e = readdir(dir))) {
			if (e->d_name[0] != '.')
				rc = find_export(p, d, &all[i], e->d_name);
		}
		if (dir)
			closedir(dir);
	}
	return rc;
}

/* A mount names one of a file system's devices only. */
static int find_btrfs(struct probe *p, struct probe_device *d)
{
	DIR *dir = probe_opendir(p, "/sys/fs/btrfs");
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return 0;
	while (rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] != '.' &&
		    probe_exists(p, "/sys/fs/btrfs/%s/devices/%s", e->d_name, d->name))
			rc = probe_find(d, PROBE_REASON_BTRFS, PROBE_IN_USE, "unmount it",
					"%s is a member of the mounted btrfs %s", d->path,
					e->d_name);
	}
	closedir(dir);
	return rc;
}

static int find_bcache(struct probe *p, struct probe_device *d, const char *sys)
{
	if (!probe_exists(p, "%s/bcache", sys))
		return 0;
	return probe_find(d, PROBE_REASON_BCACHE, PROBE_IN_USE,
			  "stop that bcache device and unregister it",
			  "%s is registered with bcache", d->path);
}

static int find_dm_holder(struct probe *p, struct probe_device *d, const char *holder)
{
	char uuid[160], name[128];

	probe_read(p, uuid, sizeof(uuid), "/sys/block/%s/dm/uuid", holder);
	probe_read(p, name, sizeof(name), "/sys/block/%s/dm/name", holder);
	if (!strncmp(uuid, "LVM-", 4))
		return probe_find(d, PROBE_REASON_LVM, PROBE_IN_USE,
				  "remove it from its volume group (pvmove, vgreduce, pvremove)",
				  "%s is an LVM physical volume under %s", d->path, name);
	return probe_find(d, PROBE_REASON_DM, PROBE_IN_USE, "remove the mapping (dmsetup remove)",
			  "%s is under the device-mapper device %s (%s)", d->path, name, holder);
}

static int find_holder(struct probe *p, struct probe_device *d, const char *holder)
{
	char level[32];

	if (!strncmp(holder, "dm-", 3))
		return find_dm_holder(p, d, holder);
	if (!strncmp(holder, "md", 2)) {
		probe_read(p, level, sizeof(level), "/sys/block/%s/md/level", holder);
		return probe_find(d, PROBE_REASON_MD, PROBE_IN_USE,
				  "stop the array (mdadm --stop) and clear its metadata",
				  "%s is a member of the MD array %s (%s)", d->path, holder,
				  level[0] ? level : "level unknown");
	}
	return probe_find(d, PROBE_REASON_HOLDER, PROBE_IN_USE, "take that device down first",
			  "%s is held by the block device %s", d->path, holder);
}

static int find_holders(struct probe *p, struct probe_device *d, const char *sys)
{
	DIR *dir = probe_opendir(p, "%s/holders", sys);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return 0;
	while (rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] != '.')
			rc = find_holder(p, d, e->d_name);
	}
	closedir(dir);
	return rc;
}

/* The character device that leads to the same disk: sg of SCSI, ng of NVMe. */
static dev_t generic_of(struct probe *p, const struct probe_device *d, const char *sys)
{
	unsigned int major, minor;
	char text[32] = "";
	struct dirent *e;
	DIR *dir;

	if (!strncmp(d->name, "nvme", 4)) {
		probe_read(p, text, sizeof(text), "/sys/class/nvme-generic/ng%s/dev", d->name + 4);
	} else {
		dir = probe_opendir(p, "%s/device/scsi_generic", sys);
		while (dir && !text[0] && (e = readdir(dir))) {
			if (e->d_name[0] != '.')
				probe_read(p, text, sizeof(text), "%s/device/scsi_generic/%s/dev",
					   sys, e->d_name);
		}
		if (dir)
			closedir(dir);
	}
	return sscanf(text, "%u:%u", &major, &minor) == 2 ? makedev(major, minor) : 0;
}

static int find_opens(struct probe *p, struct probe_device *d, const char *sys)
{
	const struct probe_open *o = probe_opened(p, d->path, S_IFBLK, d->dev, 0);
	dev_t generic = p->live && !o ? generic_of(p, d, sys) : 0;

	if (generic)
		o = probe_opened(p, d->path, S_IFCHR, generic, 0);
	if (!o)
		return 0;
	return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
			  "%s is open in process %d (%s)", d->path, o->pid, o->command);
}

int probe_find_users(struct probe *p, struct probe_device *d, const char *sys)
{
	int rc = find_mounts(p, d);

	if (rc == 0)
		rc = probe_find_swap(p, d);
	if (rc == 0)
		rc = find_holders(p, d, sys);
	if (rc == 0)
		rc = find_bcache(p, d, sys);
	if (rc == 0)
		rc = find_btrfs(p, d);
	if (rc == 0)
		rc = probe_find_loops(p, d, 0, 0);
	if (rc == 0)
		rc = probe_find_exports(p, d);
	if (rc == 0)
		rc = find_opens(p, d, sys);
	return rc;
}

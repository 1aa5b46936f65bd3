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

/* "LVM-", the group's identity and the volume's; what follows is a kind that LVM keeps to itself.
 */
#define LVM_UUID_LEN (4 + 32 + 32)

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
			  "%s is %smounted on %s (seen by process %d)", d->path, m->role, m->where,
			  m->pid);
}

int probe_find_swap(struct probe *p, struct probe_device *d, ino_t ino)
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
		if (probe_is_same(p, d, ino, path))
			rc = probe_find(d, PROBE_REASON_SWAP, PROBE_IN_USE, "swapoff it",
					"%s is swap space in use", d->path);
	}
	fclose(f);
	return rc;
}

int probe_find_loops(struct probe *p, struct probe_device *d, ino_t ino)
{
	size_t count;
	const struct probe_loop *loops = probe_loops(p, &count);

	for (size_t i = 0; i < count; i++) {
		const struct probe_loop *l = &loops[i];
		bool same = ino ? l->ino == ino && l->dev == d->dev : l->rdev && l->rdev == d->dev;

		if (same || !strcmp(l->backing, d->path))
			return probe_find(d, PROBE_REASON_LOOP, PROBE_IN_USE,
					  "detach the loop device (losetup -d)",
					  "%s backs the loop device /dev/%s", d->path, l->name);
	}
	return 0;
}

/* Where the file system is mounted, by that one of its devices which the mount names. */
static const char *btrfs_where(struct probe *p, const char *uuid)
{
	const struct probe_mount *m = NULL;
	char path[NAME_MAX + 8];
	struct dirent *e;
	DIR *dir = probe_opendir(p, "/sys/fs/btrfs/%s/devices", uuid);

	while (dir && !m && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		m = e->d_name[0] == '.' ? NULL : probe_mounted(p, 0, path);
	}
	if (dir)
		closedir(dir);
	return m ? m->where : NULL;
}

/* A mount names one of a file system's devices only. */
static int find_btrfs(struct probe *p, struct probe_device *d)
{
	DIR *dir = probe_opendir(p, "/sys/fs/btrfs");
	const char *where;
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return 0;
	while (rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    !probe_exists(p, "/sys/fs/btrfs/%s/devices/%s", e->d_name, d->name))
			continue;
		where = btrfs_where(p, e->d_name);
		rc = probe_find(d, PROBE_REASON_BTRFS, PROBE_IN_USE, "unmount it",
				"%s is a member of the mounted btrfs %s%s%s", d->path, e->d_name,
				where ? " on " : "", where ? where : "");
	}
	closedir(dir);
	return rc;
}

static int find_bcache(struct probe *p, struct probe_device *d, const char *sys)
{
	/* What bcache offers has such a folder too. */
	if (!strncmp(d->name, "bcache", 6) || !probe_exists(p, "%s/bcache", sys))
		return 0;
	return probe_find(d, PROBE_REASON_BCACHE, PROBE_IN_USE,
			  "stop that bcache device and unregister it",
			  "%s is registered with bcache", d->path);
}

/** struct mapping - a kind of device-mapper device, by how its UUID starts */
static const struct mapping {
	const char *uuid, *what, *remedy;
} mappings[] = {
	{ "CRYPT-", ", an opened encrypted volume", "close it (cryptsetup close %s)" },
	{ "mpath-", ", a multipath device with it as a path", "flush that map (multipath -f %s)" },
	{ "part", ", a partition of it", "remove the mapping (kpartx -d, or dmsetup remove %s)" },
	{ "", "", "remove the mapping (dmsetup remove %s)" },
};

/* Volumes are made of volumes; what else device-mapper has (LUKS, multipath) is a disk to LVM. */
static int find_lvm_holder(struct probe *p, struct probe_device *d, const char *name)
{
	char group[128], volume[128], own[8];

	probe_lvm_names(name, group, volume);
	probe_read(p, own, sizeof(own), "/sys/block/%s/dm/uuid", d->name);
	if (!strncmp(own, "LVM-", 4))
		return probe_find(d, PROBE_REASON_LVM, PROBE_IN_USE,
				  "remove that volume (lvremove)",
				  "%s is a part of LVM's volume %s/%s", d->path, group, volume);
	return probe_find(d, PROBE_REASON_LVM, PROBE_IN_USE,
			  "remove it from its volume group (pvmove, vgreduce, pvremove)",
			  "%s is an LVM physical volume of the group %s, under its volume %s",
			  d->path, group, volume);
}

static int find_dm_holder(struct probe *p, struct probe_device *d, const char *holder)
{
	char uuid[160], name[128], remedy[192];
	const struct mapping *m = mappings;

	probe_read(p, uuid, sizeof(uuid), "/sys/block/%s/dm/uuid", holder);
	probe_read(p, name, sizeof(name), "/sys/block/%s/dm/name", holder);
	if (!strncmp(uuid, "LVM-", 4))
		return find_lvm_holder(p, d, name);
	while (strncmp(uuid, m->uuid, strlen(m->uuid)) != 0)
		m++;
	snprintf(remedy, sizeof(remedy), m->remedy, name);
	return probe_find(d, PROBE_REASON_DM, PROBE_IN_USE, remedy,
			  "%s is under the device-mapper device %s (%s)%s", d->path, name, holder,
			  m->what);
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
	if (!strncmp(holder, "drbd", 4))
		return probe_find(d, PROBE_REASON_DRBD, PROBE_IN_USE,
				  "take the resource down (drbdadm down)",
				  "%s backs the DRBD device /dev/%s", d->path, holder);
	if (!strncmp(holder, "bcache", 6))
		return probe_find(d, PROBE_REASON_BCACHE, PROBE_IN_USE,
				  "stop that bcache device and unregister it",
				  "%s backs the bcache device /dev/%s", d->path, holder);
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

/** struct generics - character devices that lead to the same disk */
struct generics {
	dev_t devs[8];
	size_t count;
};

static void add_generic(struct probe *p, struct generics *g, const char *folder, const char *name)
{
	unsigned int major, minor;
	char text[32];

	if (g->count < sizeof(g->devs) / sizeof(g->devs[0]) &&
	    probe_read(p, text, sizeof(text), "%s/%s/dev", folder, name) &&
	    sscanf(text, "%u:%u", &major, &minor) == 2)
		g->devs[g->count++] = makedev(major, minor);
}

static void add_generics(struct probe *p, struct generics *g, const char *folder, const char *start)
{
	DIR *dir = probe_opendir(p, "%s", folder);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] != '.' && !strncmp(e->d_name, start, strlen(start)))
			add_generic(p, g, folder, e->d_name);
	}
	if (dir)
		closedir(dir);
}

/* Of SCSI sg and bsg; of NVMe the namespace's ng, and each controller that leads to it. */
static void find_generics(struct probe *p, struct generics *g, const struct probe_device *d,
			  const char *sys)
{
	char folder[PATH_MAX];

	g->count = 0;
	if (!strncmp(d->name, "nvme", 4)) {
		snprintf(folder, sizeof(folder), "ng%s", d->name + 4);
		add_generic(p, g, "/sys/class/nvme-generic", folder);
		add_generic(p, g, sys, "device");
		snprintf(folder, sizeof(folder), "%.4000s/device", sys);
		add_generics(p, g, folder, "nvme");
		return;
	}
	snprintf(folder, sizeof(folder), "%.4000s/device/scsi_generic", sys);
	add_generics(p, g, folder, "");
	snprintf(folder, sizeof(folder), "%.4000s/device/bsg", sys);
	add_generics(p, g, folder, "");
}

static int find_opens(struct probe *p, struct probe_device *d, const char *sys)
{
	const struct probe_open *o = probe_opened(p, d->path, S_IFBLK, d->dev, 0);
	struct generics g = { .count = 0 };
	const char *how = "";

	if (!o && p->live)
		find_generics(p, &g, d, sys);
	for (size_t i = 0; !o && i < g.count; i++) {
		o = probe_opened(p, d->path, S_IFCHR, g.devs[i], 0);
		how = ", by a character device";
	}
	if (!o)
		return 0;
	return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
			  "%s is open in process %d (%s)%s", d->path, o->pid, o->command, how);
}

static int find_users(struct probe *p, struct probe_device *d, const char *sys)
{
	int rc = find_mounts(p, d);

	if (rc == 0)
		rc = probe_find_swap(p, d, 0);
	if (rc == 0)
		rc = find_holders(p, d, sys);
	if (rc == 0)
		rc = find_bcache(p, d, sys);
	if (rc == 0)
		rc = find_btrfs(p, d);
	if (rc == 0)
		rc = probe_find_loops(p, d, 0);
	if (rc == 0)
		rc = probe_find_exports(p, d, 0);
	if (rc == 0)
		rc = find_opens(p, d, sys);
	return rc;
}

/* Who uses a whole disk uses its partitions. */
static int find_users_of_disk(struct probe *p, struct probe_device *d, const char *sys)
{
	struct probe_device *disk = calloc(1, sizeof(*disk));
	const struct probe_finding *f;
	char path[PATH_MAX], name[NAME_MAX + 1];
	int rc = disk ? 0 : -ENOMEM;

	snprintf(path, sizeof(path), "%s", sys);
	*strrchr(path, '/') = '\0';
	probe_last_part(name, sizeof(name), path);
	if (rc == 0 && probe_block_fill(p, disk, path, name) == 0)
		rc = find_users(p, disk, path);
	f = disk ? probe_device_reason(disk) : NULL;
	if (rc == 0 && f)
		rc = probe_find(d, f->reason, f->verdict, f->remedy,
				"%s is on a disk in use: %.250s", d->path, f->text);
	if (disk)
		probe_device_fini(disk);
	free(disk);
	return rc;
}

/* Thin pools, snapshots and caches are made of volumes that LVM keeps for itself. */
static int find_lvm_part(struct probe *p, struct probe_device *d, const char *sys)
{
	char uuid[160], name[128], group[128], volume[128];

	if (!probe_read(p, uuid, sizeof(uuid), "%s/dm/uuid", sys) ||
	    strncmp(uuid, "LVM-", 4) != 0 || strlen(uuid) <= LVM_UUID_LEN ||
	    uuid[LVM_UUID_LEN] != '-')
		return 0;
	probe_read(p, name, sizeof(name), "%s/dm/name", sys);
	probe_lvm_names(name, group, volume);
	return probe_find(d, PROBE_REASON_LVM, PROBE_IN_USE,
			  "use a volume that LVM shows (lvs), or remove this (lvremove)",
			  "%s is LVM's own volume %s of the group %s", d->path, volume, group);
}

int probe_find_users(struct probe *p, struct probe_device *d, const char *sys)
{
	int rc = find_users(p, d, sys);

	if (rc == 0 && !strcmp(d->kind, "dm"))
		rc = find_lvm_part(p, d, sys);
	if (rc == 0 && !strcmp(d->kind, "partition"))
		rc = find_users_of_disk(p, d, sys);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices: what sysfs tells of each.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/checked.h"
#include "probe/internal.h"

/* Smallest device on which a store makes sense. */
#define BLOCK_SIZE_MIN (UINT64_C(1) << 20)
#define SECTOR	       512

static const char *kind_of(struct probe *p, const char *sys, const char *name)
{
	if (probe_exists(p, "%s/partition", sys))
		return "partition";
	if (!strncmp(name, "loop", 4))
		return "loop";
	if (!strncmp(name, "dm-", 3))
		return "dm";
	if (probe_exists(p, "%s/md", sys))
		return "md";
	if (!strncmp(name, "ram", 3) || !strncmp(name, "zram", 4))
		return "memory";
	return "disk";
}

/* Hardware's own serial where there is one; else what stays the same over reboots. */
static void fill_serial(struct probe *p, struct probe_device *d, const char *sys)
{
	static const char *const places[] = { "serial",	     "device/serial", "wwid",
					      "device/wwid", "dm/uuid",	      "md/uuid" };
	char text[96];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (probe_read(p, text, sizeof(text), "%s/%s", sys, places[i]) && text[0]) {
			snprintf(d->serial, sizeof(d->serial), "%s", text);
			return;
		}
	}
	snprintf(d->serial, sizeof(d->serial), "%s-%u:%u", d->kind, major(d->dev), minor(d->dev));
}

/*
 * An NVMe namespace's "device" is its controller, whose own device is the PCI function; with
 * several controllers it is the subsystem, with a link to each.
 */
static void find_controller(struct probe *p, const char *sys, char *out, size_t size)
{
	DIR *dir = probe_opendir(p, "%s/device", sys);
	struct dirent *e;
	unsigned int n;
	char rest;

	snprintf(out, size, "%s/device", sys);
	while (dir && (e = readdir(dir))) {
		if (sscanf(e->d_name, "nvme%u%c", &n, &rest) == 1 &&
		    probe_exists(p, "%s/device/%s/device", sys, e->d_name))
			snprintf(out, size, "%s/device/%s", sys, e->d_name);
	}
	if (dir)
		closedir(dir);
}

static void fill_identity(struct probe *p, struct probe_device *d, const char *sys)
{
	char link[PATH_MAX], ctrl[PATH_MAX], text[16];
	unsigned int domain;

	find_controller(p, sys, ctrl, sizeof(ctrl));
	probe_read(p, d->model, sizeof(d->model), "%s/device/model", sys);
	probe_read(p, d->firmware, sizeof(d->firmware), "%s/device/firmware_rev", sys);
	if (!d->firmware[0])
		probe_read(p, d->firmware, sizeof(d->firmware), "%s/device/rev", sys);
	if (probe_readlink(p, link, sizeof(link), "%s/device/driver", sys) ||
	    probe_readlink(p, link, sizeof(link), "%s/device/driver", ctrl))
		probe_last_part(d->driver, sizeof(d->driver), link);
	if (probe_readlink(p, link, sizeof(link), "%s/device", ctrl))
		probe_last_part(d->address, sizeof(d->address), link);
	if (sscanf(d->address, "%x:%*x:%*x.%*x", &domain) != 1)
		d->address[0] = '\0';
	probe_read(p, d->transport, sizeof(d->transport), "%s/transport", ctrl);
	d->numa_node = -1;
	if (probe_read(p, text, sizeof(text), "%s/device/numa_node", sys) ||
	    probe_read(p, text, sizeof(text), "%s/numa_node", ctrl) ||
	    probe_read(p, text, sizeof(text), "%s/device/numa_node", ctrl))
		d->numa_node = atoi(text);
	fill_serial(p, d, sys);
}

int probe_block_fill(struct probe *p, struct probe_device *d, const char *sys, const char *name)
{
	unsigned int major, minor;
	uint64_t sectors;
	char dev[32];
	/* What a partition does not have itself it has from its disk. */
	const char *up;
	char path[PATH_MAX];

	memset(d, 0, sizeof(*d));
	if (!probe_read(p, dev, sizeof(dev), "%s/dev", sys) ||
	    sscanf(dev, "%u:%u", &major, &minor) != 2)
		return -ENODEV;
	d->kind = kind_of(p, sys, name);
	up = strcmp(d->kind, "partition") ? "" : "/..";
	d->dev = makedev(major, minor);
	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->path, sizeof(d->path), "/dev/%s", name);
	for (char *c = d->path; (c = strchr(c, '!'));)
		*c = '/';
	sectors = probe_read_u64(p, 0, "%s/size", sys);
	if (!checked_mul_u64(sectors, SECTOR, &d->size))
		return -ERANGE;
	d->block_size =
		(uint32_t)probe_read_u64(p, SECTOR, "%s%s/queue/logical_block_size", sys, up);
	d->physical_block_size = (uint32_t)probe_read_u64(
		p, d->block_size, "%s%s/queue/physical_block_size", sys, up);
	d->rotational = probe_read_u64(p, 0, "%s%s/queue/rotational", sys, up) != 0;
	d->read_only = probe_read_u64(p, 0, "%s/ro", sys) != 0;
	d->removable = probe_read_u64(p, 0, "%s%s/removable", sys, up) != 0;
	fill_identity(p, d, sys);
	snprintf(path, sizeof(path), "%.4000s%s", sys, up);
	probe_health_sysfs(p, &d->health, path);
	return 0;
}

/* A kind of device, by its name: LETTERS and a number. */
static bool is_named(const struct probe_device *d, const char *letters)
{
	size_t len = strlen(letters);

	return !strncmp(d->name, letters, len) && d->name[len] >= '0' && d->name[len] <= '9';
}

static int find_unfit(struct probe_device *d)
{
	int rc = 0;

	if (is_named(d, "sr") || is_named(d, "fd"))
		rc = probe_find(d, PROBE_REASON_KIND, PROBE_UNFIT, "choose a disk or a file",
				"%s is %s drive", d->path,
				d->name[0] == 's' ? "an optical" : "a floppy");
	if (!strcmp(d->kind, "memory"))
		rc = probe_find(d, PROBE_REASON_KIND, PROBE_UNFIT, "choose a disk or a file",
				"%s is a memory disk: its content is gone after a reboot", d->path);
	if (rc == 0 && d->read_only)
		rc = probe_find(d, PROBE_REASON_READ_ONLY, PROBE_UNFIT,
				"make it writable (blockdev --setrw)", "%s is read-only", d->path);
	if (rc == 0 && d->size < BLOCK_SIZE_MIN)
		rc = probe_find(d, PROBE_REASON_SIZE, PROBE_UNFIT, "choose a larger one",
				"%s has %llu bytes; at least 1 MiB is needed", d->path,
				(unsigned long long)d->size);
	return rc;
}

/* It may well be what a target here exports: a store on it would stand on itself. */
static int find_remote(struct probe_device *d)
{
	static const char *const network[] = { "nbd", "rbd" };

	for (size_t i = 0; i < sizeof(network) / sizeof(network[0]); i++) {
		if (is_named(d, network[i]))
			return probe_find(d, PROBE_REASON_REMOTE, PROBE_HOLDS_DATA,
					  "disconnect it, or name its serial with --force if "
					  "nobody else uses it",
					  "%s is a disk of another server, over %s", d->path,
					  network[i]);
	}
	if (!d->transport[0] || !strcmp(d->transport, "pcie"))
		return 0;
	return probe_find(d, PROBE_REASON_REMOTE, PROBE_HOLDS_DATA,
			  "disconnect it, or name its serial with --force if nobody else uses it",
			  "%s is another target's namespace, over %s", d->path, d->transport);
}

/* The kernel names a partition after its disk. */
static bool is_partition(struct probe *p, const char *sys, const char *disk, const char *name)
{
	return !strncmp(name, disk, strlen(disk)) && probe_exists(p, "%s/%s/partition", sys, name);
}

static int find_partitions(struct probe *p, struct probe_device *d, const char *sys)
{
	DIR *dir = probe_opendir(p, "%s", sys);
	unsigned int count = 0;
	char first[64] = "";
	struct dirent *e;

	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (!is_partition(p, sys, d->name, e->d_name))
			continue;
		if (!count++ || strcmp(e->d_name, first) < 0)
			snprintf(first, sizeof(first), "%.63s", e->d_name);
	}
	closedir(dir);
	if (!count)
		return 0;
	return probe_find(d, PROBE_REASON_PARTITIONS, PROBE_IN_USE,
			  "choose an unused partition, or delete the partitions",
			  "%s has %u partition%s (%s%s)", d->path, count, count == 1 ? "" : "s",
			  first, count == 1 ? "" : ", ...");
}

static int find_all(struct probe *p, struct probe_device *d, const char *sys)
{
	int rc = find_unfit(d);

	if (rc == 0)
		rc = find_remote(d);
	if (rc == 0)
		rc = find_partitions(p, d, sys);
	if (rc == 0)
		rc = probe_find_users(p, d, sys);
	return rc;
}

static int add_device(struct probe *p, struct probe_devices *out, const char *sys, const char *name)
{
	struct probe_device *more, *d;
	int rc;

	probe_turn(p);
	if (!probe_read_u64(p, 0, "%s/size", sys))
		return 0;
	more = realloc(out->items, (out->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	out->items = more;
	d = &more[out->count];
	rc = probe_block_fill(p, d, sys, name);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	out->count++;
	return find_all(p, d, sys);
}

static int add_partitions(struct probe *p, struct probe_devices *out, const char *disk)
{
	DIR *dir = probe_opendir(p, "/sys/block/%s", disk);
	char above[PATH_MAX], sys[PATH_MAX];
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return 0;
	snprintf(above, sizeof(above), "/sys/block/%s", disk);
	while (rc == 0 && (e = readdir(dir))) {
		if (!is_partition(p, above, disk, e->d_name))
			continue;
		snprintf(sys, sizeof(sys), "/sys/block/%s/%s", disk, e->d_name);
		rc = add_device(p, out, sys, e->d_name);
	}
	closedir(dir);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct probe_device *)a)->name,
			  ((const struct probe_device *)b)->name);
}

int probe_devices_seen(struct probe *p, struct probe_devices *out, struct error *err)
{
	DIR *dir = probe_opendir(p, "/sys/block");
	struct dirent *e;
	char sys[PATH_MAX];
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!dir)
		return error_set(err, -ENOENT, "%s/sys/block cannot be read: mount sysfs on /sys",
				 p->root);
	while (rc == 0 && (e = readdir(dir))) {
		/* Hidden: a path of an NVMe namespace that shows as another device. */
		if (e->d_name[0] == '.' || probe_read_u64(p, 0, "/sys/block/%s/hidden", e->d_name))
			continue;
		snprintf(sys, sizeof(sys), "/sys/block/%s", e->d_name);
		rc = add_device(p, out, sys, e->d_name);
		if (rc == 0)
			rc = add_partitions(p, out, e->d_name);
	}
	closedir(dir);
	if (rc == 0)
		rc = probe_inside(p, out->items, out->count, false);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), by_name);
	return rc < 0 ? error_set(err, rc, "block devices: %s", error_errno_text(rc)) : 0;
}

int probe_devices(struct probe *p, struct probe_devices *out, struct error *err)
{
	probe_refresh(p);
	return probe_devices_seen(p, out, err);
}

void probe_devices_fini(struct probe_devices *d)
{
	for (size_t i = 0; i < d->count; i++)
		probe_device_fini(&d->items[i]);
	free(d->items);
	memset(d, 0, sizeof(*d));
}

int probe_block_path(struct probe *p, dev_t dev, struct probe_device *out, struct error *err)
{
	char link[PATH_MAX], sys[PATH_MAX];
	const char *name, *at;
	int rc;

	if (!probe_readlink(p, link, sizeof(link), "/sys/dev/block/%u:%u", major(dev), minor(dev)))
		return error_set(err, -ENODEV, "block device %u:%u is not in /sys/dev/block",
				 major(dev), minor(dev));
	name = strrchr(link, '/') + 1;
	/* ../../devices/...: the same place below /sys whatever the link starts with. */
	at = strstr(link, "devices/");
	snprintf(sys, sizeof(sys), "/sys/%.4000s", at ? at : link);
	rc = probe_block_fill(p, out, sys, name);
	if (rc == 0)
		rc = find_all(p, out, sys);
	if (rc == 0)
		rc = probe_inside(p, out, 1, true);
	if (rc < 0)
		probe_device_fini(out);
	return rc < 0 ? error_set(err, rc, "block device %s: %s", name, error_errno_text(rc)) : 0;
}

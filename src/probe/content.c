/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on a device or file: known signatures (libblkid), a Blobstore, or any byte that is not
 * zero. A device counts as empty only when nothing of that is found: plain encrypted volumes carry
 * no signature at all.
 *
 * Threading: as probe.h.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/internal.h"

#define CONTENT_CHUNK	  (64 * 1024)
#define CONTENT_EDGE	  (1024 * 1024) /* read whole at the end */
#define CONTENT_ALIGNMENT 4096
/* Blobstore super block, bytes 0 to 7. */
#define BLOBSTORE_MAGIC "SPDKBLOB"

/**
 * struct effort - how long bytes of no known format are looked for
 * @whole: so many bytes are read from the start on, holes of a sparse file not counted
 * @limit_ns: but not for longer; then samples must do
 * @samples: that many, evenly, of the rest, of @sample bytes each
 */
struct effort {
	uint64_t whole, limit_ns;
	unsigned int samples;
	size_t sample;
};

static const struct effort efforts[] = {
	{ UINT64_C(1) << 20, NS_PER_SEC / 4, 64, CONTENT_ALIGNMENT },
	{ UINT64_C(1) << 30, 4 * NS_PER_SEC, 256, CONTENT_CHUNK },
};

/* A volume group that is active writes its metadata to all of its physical volumes. */
static int find_lvm(struct probe *p, struct probe_device *d, int fd, const char *remedy)
{
	struct probe_lvm lvm;
	char name[128];

	probe_lvm_read(fd, &lvm);
	if (probe_lvm_active(p, &lvm, name, sizeof(name)))
		return probe_find(d, PROBE_REASON_LVM, PROBE_IN_USE,
				  "remove it from its volume group (vgreduce, pvremove)",
				  "%s is an LVM physical volume of the group %s, which is active "
				  "(%s)",
				  d->path, lvm.group, name);
	return probe_find(d, PROBE_REASON_LVM, PROBE_HOLDS_DATA, remedy,
			  "%s carries the label of an LVM physical volume%s%s", d->path,
			  lvm.group[0] ? " of the group " : "", lvm.group);
}

static int find_known(struct probe *p, struct probe_device *d, int fd, const char *type,
		      const char *label)
{
	const char *remedy = "name its serial with --force, or clear it (wipefs -a)";

	if (!strcmp(type, "LVM2_member"))
		return find_lvm(p, d, fd, remedy);
	if (!strcmp(type, "linux_raid_member"))
		return probe_find(d, PROBE_REASON_MD, PROBE_HOLDS_DATA, remedy,
				  "%s carries the super block of an MD array%s%s", d->path,
				  label ? ", " : "", label ? label : "");
	return probe_find(d, PROBE_REASON_SIGNATURE, PROBE_HOLDS_DATA, remedy, "%s holds %s%s%s",
			  d->path, type, label ? ", label " : "", label ? label : "");
}

static blkid_probe blkid_look(int fd)
{
	blkid_probe pr = blkid_new_probe();

	if (!pr)
		return NULL;
	if (blkid_probe_set_device(pr, fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
		blkid_probe_enable_partitions(pr, 1);
		/* Not the safe probe: several signatures at once are data as well. */
		blkid_do_fullprobe(pr);
	}
	return pr;
}

static int find_blkid(struct probe *p, struct probe_device *d, int fd)
{
	const char *type = NULL, *label = NULL;
	blkid_probe pr = blkid_look(fd);
	int rc = 0;

	if (!pr)
		return -ENOMEM;
	blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	if (blkid_probe_lookup_value(pr, "TYPE", &type, NULL) == 0)
		rc = find_known(p, d, fd, type, label);
	else if (blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL) == 0)
		rc = probe_find(d, PROBE_REASON_PARTITIONS, PROBE_HOLDS_DATA,
				"name its serial with --force, or clear it",
				"%s holds a partition table (%s)", d->path, type);
	blkid_free_probe(pr);
	return rc;
}

static const struct {
	const char *type;
	enum probe_reason reason;
	const char *what, *remedy;
} holders[] = {
	{ "zfs_member", PROBE_REASON_ZFS, "is a member of an imported ZFS pool",
	  "export the pool (zpool export)" },
	{ "btrfs", PROBE_REASON_BTRFS, "is a member of a mounted btrfs", "unmount it" },
	{ "drbd", PROBE_REASON_DRBD, "backs a DRBD resource that is up",
	  "take the resource down (drbdadm down)" },
	{ "bcache", PROBE_REASON_BCACHE, "is registered with bcache",
	  "stop that bcache device and unregister it" },
	{ "LVM2_member", PROBE_REASON_LVM, "is an LVM physical volume in use",
	  "remove it from its volume group (pvmove, vgreduce, pvremove)" },
	{ "linux_raid_member", PROBE_REASON_MD, "is a member of an MD array that runs",
	  "stop the array (mdadm --stop)" },
	{ "crypto_LUKS", PROBE_REASON_DM, "is an opened LUKS volume",
	  "close it (cryptsetup close)" },
	{ "swap", PROBE_REASON_SWAP, "is swap space in use", "swapoff it" },
	{ "jbd", PROBE_REASON_MOUNT, "is the journal of a mounted file system",
	  "unmount that file system" },
};

/*
 * Mounted, but in no namespace of a process: one that a bind mount or a descriptor keeps, or taken
 * out of its place (umount -l) while something on it is in use. The latter only sysfs tells.
 */
static int find_unseen_mount(struct probe *p, struct probe_device *d, const char *type)
{
	static const char *const shown[] = { "ext4", "xfs", "f2fs" };
	char where[256];

	if (probe_find_pinned(p, d->dev, where, sizeof(where)))
		return probe_find(
			d, PROBE_REASON_MOUNT, PROBE_IN_USE,
			"unmount it there (nsenter --mount=FILE), or give that namespace up",
			"%s is mounted on %s in a mount namespace that has no process", d->path,
			where);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		if (probe_exists(p, "/sys/fs/%s/%s", shown[i], d->name))
			return probe_find(d, PROBE_REASON_MOUNT, PROBE_IN_USE,
					  "end who has files open there (fuser -m), or the mount "
					  "namespace that it is in",
					  "%s holds %s, which is mounted where no process shows it",
					  d->path, type ? type : shown[i]);
	}
	return 0;
}

static int find_holder_of(struct probe *p, struct probe_device *d, const char *type)
{
	size_t before = d->finding_count;
	int rc;

	for (size_t i = 0; type && i < sizeof(holders) / sizeof(holders[0]); i++) {
		if (!strcmp(type, holders[i].type))
			return probe_find(d, holders[i].reason, PROBE_IN_USE, holders[i].remedy,
					  "%s %s: it carries its signature and is held exclusively",
					  d->path, holders[i].what);
	}
	rc = find_unseen_mount(p, d, type);
	if (rc < 0 || d->finding_count > before)
		return rc;
	return probe_find(d, PROBE_REASON_EXCLUSIVE, PROBE_IN_USE,
			  "find and end its user (lsblk, lsof)",
			  "%s is held exclusively by the kernel or a process%s%s", d->path,
			  type ? "; it holds " : "", type ? type : "");
}

int probe_find_holder_by_content(struct probe *p, struct probe_device *d, int fd)
{
	blkid_probe pr = blkid_look(fd);
	const char *type = NULL;
	int rc;

	if (!pr)
		return -ENOMEM;
	blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
	rc = find_holder_of(p, d, type);
	blkid_free_probe(pr);
	return rc;
}

static bool is_zero(const unsigned char *buf, size_t len)
{
	return len == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0);
}

/* Of a sparse file: where it has data again; devices have none of that. */
static uint64_t next_data(int fd, uint64_t from, uint64_t size)
{
	off_t at = lseek(fd, (off_t)from, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? size : from;
	return (uint64_t)at;
}

/**
 * struct range - a look at [@at, @end) for a byte that is set
 * @most: so many bytes are read, holes not counted
 * @until: clock_ns() after which it is broken off; 0: never
 */
struct range {
	uint64_t at, end, most, until;
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Return: 1 when a byte is set, 0 with @r->at where it ended, or a negative errno. */
static int range_is_set(int fd, unsigned char *buf, struct range *r)
{
	while (r->at < r->end && r->most && !(r->until && clock_ns() > r->until)) {
		size_t want;
		ssize_t n;

		r->at = next_data(fd, r->at, r->end);
		if (r->at >= r->end)
			break;
		want = (size_t)least(least(r->end - r->at, r->most), CONTENT_CHUNK);
		n = pread(fd, buf, want, (off_t)r->at);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (!is_zero(buf, (size_t)n))
			return 1;
		r->at += (uint64_t)n;
		r->most -= (uint64_t)n;
	}
	return 0;
}

static int samples_are_set(int fd, unsigned char *buf, const struct effort *e, uint64_t from,
			   uint64_t end)
{
	uint64_t step = (end - from) / e->samples / CONTENT_ALIGNMENT * CONTENT_ALIGNMENT;
	int rc = 0;

	for (uint64_t at = from; rc == 0 && step && at < end; at += step) {
		struct range r = { .at = at, .end = end, .most = e->sample };

		rc = range_is_set(fd, buf, &r);
	}
	return rc;
}

static int find_bytes(struct probe_device *d, int fd, unsigned char *buf, const struct effort *e)
{
	uint64_t last = d->size > CONTENT_EDGE ? d->size - CONTENT_EDGE : 0;
	struct range head = { .end = last, .most = e->whole, .until = clock_ns() + e->limit_ns };
	struct range tail = { .at = last, .end = d->size, .most = CONTENT_EDGE };
	int rc = range_is_set(fd, buf, &head);

	if (rc == 0)
		rc = range_is_set(fd, buf, &tail);
	if (rc == 0 && head.at < last)
		rc = samples_are_set(fd, buf, e, head.at, last);
	/* It was read to no purpose of others. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc == 1)
		return probe_find(d, PROBE_REASON_CONTENT, PROBE_HOLDS_DATA,
				  "name its serial with --force, or clear it (blkdiscard -z)",
				  "%s is not empty: it holds bytes of no known format", d->path);
	return rc;
}

int probe_find_content(struct probe *p, struct probe_device *d, int fd, bool closely)
{
	unsigned char *buf = malloc(CONTENT_CHUNK);
	size_t before = d->finding_count;
	int rc = buf ? 0 : -ENOMEM;

	if (rc == 0 && pread(fd, buf, CONTENT_ALIGNMENT, 0) >= 8 &&
	    !memcmp(buf, BLOBSTORE_MAGIC, 8))
		rc = probe_find(d, PROBE_REASON_BLOBSTORE, PROBE_HOLDS_DATA,
				"name its serial with --force to give up what is in the store",
				"%s holds an SPDK Blobstore", d->path);
	else if (rc == 0)
		rc = find_blkid(p, d, fd);
	if (rc == 0 && d->finding_count == before)
		rc = find_bytes(d, fd, buf, &efforts[closely]);
	free(buf);
	if (rc < 0 && rc != -ENOMEM)
		rc = probe_find(d, PROBE_REASON_UNREADABLE, PROBE_UNFIT, "check the device",
				"%s cannot be read: %s", d->path, error_errno_text(rc));
	return rc;
}

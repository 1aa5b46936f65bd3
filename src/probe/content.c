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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/internal.h"

#define CONTENT_CHUNK	  (64 * 1024)
#define CONTENT_EDGE	  (1024 * 1024) /* read whole at both ends */
#define CONTENT_SAMPLES	  64		/* in between */
#define CONTENT_ALIGNMENT 4096
/* Blobstore super block, bytes 0 to 7. */
#define BLOBSTORE_MAGIC "SPDKBLOB"

static int find_known(struct probe_device *d, const char *type, const char *label)
{
	const char *remedy = "name its serial with --force, or clear it (wipefs -a)";

	if (!strcmp(type, "LVM2_member"))
		return probe_find(d, PROBE_REASON_LVM, PROBE_HOLDS_DATA, remedy,
				  "%s carries the label of an LVM physical volume", d->path);
	if (!strcmp(type, "linux_raid_member"))
		return probe_find(d, PROBE_REASON_MD, PROBE_HOLDS_DATA, remedy,
				  "%s carries the super block of an MD array", d->path);
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

static int find_blkid(struct probe_device *d, int fd)
{
	const char *type = NULL, *label = NULL;
	blkid_probe pr = blkid_look(fd);
	int rc = 0;

	if (!pr)
		return -ENOMEM;
	blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	if (blkid_probe_lookup_value(pr, "TYPE", &type, NULL) == 0)
		rc = find_known(d, type, label);
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
};

int probe_find_holder_by_content(struct probe_device *d, int fd)
{
	blkid_probe pr = blkid_look(fd);
	const char *type = NULL;
	int rc;

	if (!pr)
		return -ENOMEM;
	blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
	for (size_t i = 0; type && i < sizeof(holders) / sizeof(holders[0]); i++) {
		if (strcmp(type, holders[i].type) != 0)
			continue;
		rc = probe_find(d, holders[i].reason, PROBE_IN_USE, holders[i].remedy,
				"%s %s: it carries its signature and is held exclusively", d->path,
				holders[i].what);
		blkid_free_probe(pr);
		return rc;
	}
	rc = probe_find(d, PROBE_REASON_EXCLUSIVE, PROBE_IN_USE,
			"find and end its user (lsblk, lsof)",
			"%s is held exclusively by the kernel or a process%s%s", d->path,
			type ? "; it holds " : "", type ? type : "");
	blkid_free_probe(pr);
	return rc;
}

static bool is_zero(const unsigned char *buf, size_t len)
{
	return len == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0);
}

/* Return: 1 when a byte is set in [from, from + len), 0, or a negative errno. */
static int range_is_set(int fd, unsigned char *buf, uint64_t from, uint64_t len, uint64_t size)
{
	while (len && from < size) {
		size_t want = len < CONTENT_CHUNK ? (size_t)len : CONTENT_CHUNK;
		ssize_t n = pread(fd, buf, want, (off_t)from);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (!is_zero(buf, (size_t)n))
			return 1;
		from += (uint64_t)n;
		len -= (uint64_t)n < len ? (uint64_t)n : len;
	}
	return 0;
}

static int find_bytes(struct probe_device *d, int fd, unsigned char *buf)
{
	uint64_t step = d->size / CONTENT_SAMPLES / CONTENT_ALIGNMENT * CONTENT_ALIGNMENT;
	uint64_t last = d->size > CONTENT_EDGE ? d->size - CONTENT_EDGE : 0;
	int rc = range_is_set(fd, buf, 0, CONTENT_EDGE, d->size);

	for (uint64_t at = step; rc == 0 && step && at < last; at += step)
		rc = range_is_set(fd, buf, at, CONTENT_ALIGNMENT, d->size);
	if (rc == 0)
		rc = range_is_set(fd, buf, last, CONTENT_EDGE, d->size);
	if (rc == 1)
		return probe_find(d, PROBE_REASON_CONTENT, PROBE_HOLDS_DATA,
				  "name its serial with --force, or clear it (blkdiscard -z)",
				  "%s is not empty: it holds bytes of no known format", d->path);
	return rc;
}

int probe_find_content(struct probe_device *d, int fd)
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
		rc = find_blkid(d, fd);
	if (rc == 0 && d->finding_count == before)
		rc = find_bytes(d, fd, buf);
	free(buf);
	if (rc < 0 && rc != -ENOMEM)
		rc = probe_find(d, PROBE_REASON_UNREADABLE, PROBE_UNFIT, "check the device",
				"%s cannot be read: %s", d->path, error_errno_text(rc));
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files as backing: used by a loop device, as swap, under a lock, or open in a process.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/internal.h"

static int find_opens(struct probe *p, struct probe_device *d, const struct stat *st)
{
	const struct probe_open *o = probe_opened(p, d->path, S_IFREG, st->st_dev, st->st_ino);

	if (!o)
		return 0;
	return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
			  "%s is open in process %d (%s)", d->path, o->pid, o->command);
}

pid_t probe_lock_pid(const struct probe *p, const struct stat *st)
{
	FILE *f = probe_fopen(p, "/proc/locks");
	char line[512], want[64];
	int pid = 0, found = 0;

	if (!f)
		return 0;
	/* N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END, the numbers in hexadecimal. */
	snprintf(want, sizeof(want), " %02x:%02x:%llu ", major(st->st_dev), minor(st->st_dev),
		 (unsigned long long)st->st_ino);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strstr(line, want) && sscanf(line, "%*s %*s %*s %*s %d", &pid) == 1)
			found = pid > 0 ? pid : 0;
	}
	fclose(f);
	return found;
}

/*
 * A lock that is held by a process of another user or another node shows here when its open file
 * does not.
 */
static int find_locks(struct probe *p, struct probe_device *d, int fd, const struct stat *st)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool held = false;
	pid_t pid;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		held = errno == EWOULDBLOCK;
	else
		flock(fd, LOCK_UN);
	if (!held && fcntl(fd, F_OFD_GETLK, &lock) == 0)
		held = lock.l_type != F_UNLCK;
	if (!held)
		return 0;
	pid = probe_lock_pid(p, st);
	return probe_find(d, PROBE_REASON_LOCK, PROBE_IN_USE, "end the holder of the lock",
			  pid ? "%s is locked by process %d" : "%s is locked", d->path, pid);
}

/* The kernel's last word: it lets nobody write swap space, a program that runs, or an immutable
 * file. */
static int find_unwritable(struct probe_device *d)
{
	int fd = open(d->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == ETXTBSY)
		return probe_find(d, PROBE_REASON_EXCLUSIVE, PROBE_IN_USE,
				  "swapoff it, or end that program",
				  "%s is swap space in use, or a program that runs", d->path);
	return probe_find(d, PROBE_REASON_READ_ONLY, PROBE_UNFIT,
			  errno == EROFS   ? "choose one on a file system that is writable"
			  : errno == EPERM ? "make it changeable (chattr -i, chattr -a)"
					   : "run as a user who may write it",
			  "%s is not writable: %s", d->path, error_errno_text(-errno));
}

static int find_all(struct probe *p, struct probe_device *d, int fd, const struct stat *st)
{
	int rc = probe_find_loops(p, d, st->st_ino);

	if (rc == 0)
		rc = probe_find_swap(p, d, st->st_ino);
	if (rc == 0)
		rc = probe_find_exports(p, d, st->st_ino);
	if (rc == 0)
		rc = find_opens(p, d, st);
	if (rc == 0 && probe_device_verdict(d) < PROBE_IN_USE)
		rc = probe_find_hidden(p, d, st->st_ino);
	if (rc == 0)
		rc = find_locks(p, d, fd, st);
	if (rc == 0 && d->size < (1 << 20))
		rc = probe_find(d, PROBE_REASON_SIZE, PROBE_UNFIT, "enlarge it (truncate -s)",
				"%s has %llu bytes; at least 1 MiB is needed", d->path,
				(unsigned long long)d->size);
	if (rc == 0)
		rc = find_unwritable(d);
	if (rc == 0 && probe_device_verdict(d) < PROBE_UNFIT)
		rc = probe_find_content(p, d, fd, true);
	return rc;
}

static int fill_file(struct probe *p, const char *path, const struct stat *st,
		     struct probe_device *d, struct error *err)
{
	const char *slash;
	int fd, rc;

	memset(d, 0, sizeof(*d));
	d->kind = "file";
	if (!realpath(path, d->path))
		return error_set(err, -errno, "file %s: %s", path, error_errno_text(-errno));
	slash = strrchr(d->path, '/');
	snprintf(d->name, sizeof(d->name), "%.255s", slash + 1);
	d->dev = p->file_dev = st->st_dev;
	p->file_ino = st->st_ino;
	d->size = (uint64_t)st->st_size;
	d->block_size = 512;
	d->numa_node = -1;
	snprintf(d->serial, sizeof(d->serial), "FILE-%llx-%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	fd = open(d->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "file %s cannot be opened: %s", d->path,
				 error_errno_text(-errno));
	rc = find_all(p, d, fd, st);
	close(fd);
	if (rc < 0) {
		probe_device_fini(d);
		return error_set(err, rc, "file %s: %s", d->path, error_errno_text(rc));
	}
	return 0;
}

int probe_path(struct probe *p, const char *path, struct probe_device *out, struct error *err)
{
	struct stat st;

	probe_refresh(p);
	if (stat(path, &st) < 0)
		return error_set(err, -errno, "%s: %s", path, error_errno_text(-errno));
	if (S_ISBLK(st.st_mode))
		return probe_block_path(p, st.st_rdev, out, err);
	if (S_ISREG(st.st_mode))
		return fill_file(p, path, &st, out, err);
	return error_set(err, -EINVAL,
			 "%s is neither a block device nor a regular file: give one of these",
			 path);
}

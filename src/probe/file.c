/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files as backing: used by a loop device, as swap, under a lock, or open in a process.
 * Whatever touches the file itself is done in a child process.
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

#define FILE_FINDINGS 4

static int find_opens(struct probe *p, struct probe_device *d, const struct stat *st)
{
	const struct probe_open *o = probe_opened(p, d->path, S_IFREG, st->st_dev, st->st_ino);

	if (!o)
		return 0;
	return probe_find(d, PROBE_REASON_OPEN, PROBE_IN_USE, "end that process",
			  "%s is open in process %d (%s)", d->path, o->pid, o->command);
}

void probe_keep_locks(struct probe *p)
{
	FILE *f = probe_fopen(p, "/proc/locks");
	size_t room = 0;
	ssize_t n = f ? getdelim(&p->locks, &room, '\0', f) : -1;

	p->locks_len = n > 0 ? (size_t)n : 0;
	if (f)
		fclose(f);
}

void probe_drop_locks(struct probe *p)
{
	free(p->locks);
	p->locks = NULL;
}

pid_t probe_lock_pid(const struct probe *p, const struct stat *st)
{
	FILE *f = p->locks ? fmemopen(p->locks, p->locks_len, "r") : probe_fopen(p, "/proc/locks");
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

enum { LOOK, OPEN_FILE };

/**
 * struct file_answer - what comes back from the child
 * @rc, @failed: what went wrong, and where
 * @findings: of a regular file
 */
struct file_answer {
	int rc, failed;
	struct stat st;
	char path[PATH_MAX];
	size_t count;
	struct probe_finding findings[FILE_FINDINGS];
};

/**
 * struct file_look - a path that is looked at
 * @status: of probe_limited()
 */
struct file_look {
	struct probe *p;
	const char *path;
	struct probe_device *d;
	int status;
	struct file_answer answer;
};

static void give_findings(struct file_answer *a, struct probe_device *d, size_t before)
{
	for (; a->count < FILE_FINDINGS && before < d->finding_count; before++)
		a->findings[a->count++] = d->findings[before];
}

static int take_findings(struct probe_device *d, const struct file_answer *a)
{
	int rc = a->rc;

	for (size_t i = 0; rc == 0 && i < a->count; i++)
		rc = probe_find(d, a->findings[i].reason, a->findings[i].verdict,
				a->findings[i].remedy, "%s", a->findings[i].text);
	return rc;
}

/* In the child: what only the file itself tells. */
static void look_at(struct file_look *l, struct file_answer *a)
{
	struct probe_device d = { .kind = "file" };
	int fd;

	a->failed = LOOK;
	if (stat(l->path, &a->st) < 0 || (S_ISREG(a->st.st_mode) && !realpath(l->path, a->path))) {
		a->rc = -errno;
		return;
	}
	if (!S_ISREG(a->st.st_mode))
		return;
	a->failed = OPEN_FILE;
	snprintf(d.path, sizeof(d.path), "%s", a->path);
	fd = open(a->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		a->rc = -errno;
		return;
	}
	a->rc = find_locks(l->p, &d, fd, &a->st);
	if (a->rc == 0)
		a->rc = find_unwritable(&d);
	close(fd);
	give_findings(a, &d, 0);
	probe_device_fini(&d);
}

static void read_content(struct file_look *l, struct file_answer *a)
{
	int fd = open(l->d->path, O_RDONLY | O_CLOEXEC);
	size_t before = l->d->finding_count;

	a->failed = OPEN_FILE;
	a->rc = fd < 0 ? -errno : probe_find_content(l->p, l->d, fd, true);
	if (fd >= 0)
		close(fd);
	give_findings(a, l->d, before);
}

/* What is looked at before is told by whether the device is there yet. */
static void work(void *arg, size_t i, void *answer)
{
	struct file_look *l = arg;

	(void)i;
	if (l->d)
		read_content(l, answer);
	else
		look_at(l, answer);
}

static void done(void *arg, size_t i, int status, const void *answer)
{
	struct file_look *l = arg;

	(void)i;
	l->status = status;
	if (status == 0)
		memcpy(&l->answer, answer, sizeof(l->answer));
}

/* On a dead network file system each of these waits for ever. */
static int ask_child(struct file_look *l, struct error *err)
{
	int rc = probe_limited(l->p, &(struct probe_limited){ .count = 1,
							      .size = sizeof(l->answer),
							      .limit_ns = l->p->patience_ns,
							      .work = work,
							      .done = done,
							      .arg = l });

	if (rc == 0)
		rc = l->status;
	if (rc == -ETIMEDOUT)
		return error_set(err, rc,
				 "%s: its file system does not answer within %u s: see whether its "
				 "server runs, or take another file",
				 l->path, (unsigned int)(l->p->patience_ns / NS_PER_SEC));
	if (rc < 0)
		return error_set(err, rc, "%s was not looked at: %s", l->path,
				 error_errno_text(rc));
	if (l->answer.rc == 0)
		return 0;
	return error_set(err, l->answer.rc,
			 l->answer.failed == LOOK ? "%s: %s" : "file %s cannot be opened: %s",
			 l->path, error_errno_text(l->answer.rc));
}

/* What others do with the file, asked without touching it. */
static int find_users(struct probe *p, struct probe_device *d, const struct stat *st)
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
	return rc;
}

static int find_all(struct file_look *l, struct probe_device *d, struct error *err)
{
	int rc = find_users(l->p, d, &l->answer.st);

	if (rc == 0)
		rc = take_findings(d, &l->answer);
	if (rc == 0 && d->size < (1 << 20))
		rc = probe_find(d, PROBE_REASON_SIZE, PROBE_UNFIT, "enlarge it (truncate -s)",
				"%s has %llu bytes; at least 1 MiB is needed", d->path,
				(unsigned long long)d->size);
	if (rc < 0)
		return error_set(err, rc, "file %s: %s", d->path, error_errno_text(rc));
	if (probe_device_verdict(d) >= PROBE_UNFIT)
		return 0;
	l->d = d;
	rc = ask_child(l, err);
	if (rc == 0 && take_findings(d, &l->answer) < 0)
		rc = error_set(err, -ENOMEM, "out of memory");
	return rc;
}

static int fill_file(struct file_look *l, struct probe_device *d, struct error *err)
{
	const struct stat *st = &l->answer.st;
	const char *slash;
	int rc;

	memset(d, 0, sizeof(*d));
	d->kind = "file";
	snprintf(d->path, sizeof(d->path), "%s", l->answer.path);
	slash = strrchr(d->path, '/');
	snprintf(d->name, sizeof(d->name), "%.255s", slash + 1);
	d->dev = l->p->file_dev = st->st_dev;
	l->p->file_ino = st->st_ino;
	d->size = (uint64_t)st->st_size;
	d->block_size = 512;
	d->numa_node = -1;
	snprintf(d->serial, sizeof(d->serial), "FILE-%llx-%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	rc = find_all(l, d, err);
	if (rc < 0)
		probe_device_fini(d);
	return rc;
}

static int look_and_fill(struct file_look *l, struct probe_device *out, struct error *err)
{
	int rc = ask_child(l, err);

	if (rc < 0)
		return rc;
	if (S_ISBLK(l->answer.st.st_mode))
		return probe_block_path(l->p, l->answer.st.st_rdev, out, err);
	if (S_ISREG(l->answer.st.st_mode))
		return fill_file(l, out, err);
	return error_set(err, -EINVAL,
			 "%s is neither a block device nor a regular file: give one of these",
			 l->path);
}

int probe_path(struct probe *p, const char *path, struct probe_device *out, struct error *err)
{
	struct file_look *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return error_set(err, -ENOMEM, "out of memory");
	probe_refresh(p);
	l->p = p;
	l->path = path;
	rc = look_and_fill(l, out, err);
	free(l);
	return rc;
}

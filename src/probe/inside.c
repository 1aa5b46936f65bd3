/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only opening a block device tells: whether the kernel gives it exclusively, what is on it,
 * its SMART log. Each of these may block for ever on a device that is dead, so it is done in a
 * child process.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/internal.h"

#define INSIDE_FINDINGS 4
#define EXCLUSIVE_TRIES 5

struct inside {
	struct probe *p;
	struct probe_device *devices;
	bool closely;
	uint64_t limit_ns;
	int rc;
};

/** struct inside_answer - what comes back from the child */
struct inside_answer {
	int rc;
	struct probe_health health;
	size_t count;
	struct probe_finding findings[INSIDE_FINDINGS];
};

static const char *open_remedy(int code)
{
	switch (code) {
	case -ENOMEDIUM:
		return "put a medium in";
	case -EMEDIUMTYPE:
		return "make it primary (drbdadm primary)";
	case -EACCES:
	case -EPERM:
		return "run as a user who may open it";
	default:
		return "look into the kernel's log";
	}
}

static int open_failed(struct probe *p, struct probe_device *d, int code)
{
	int fd, rc;

	if (code != -EBUSY)
		return probe_find(d, PROBE_REASON_UNREADABLE, PROBE_UNFIT, open_remedy(code),
				  "%s cannot be opened: %s", d->path, error_errno_text(code));
	fd = open(d->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return probe_find(d, PROBE_REASON_EXCLUSIVE, PROBE_IN_USE,
				  "find and end its user (lsblk, lsof)",
				  "%s is held exclusively by the kernel or a process", d->path);
	rc = probe_find_holder_by_content(p, d, fd);
	close(fd);
	return rc;
}

/*
 * What the kernel itself uses (mounts, MD, device-mapper, in namespaces that we cannot see) holds
 * the device exclusively, so this is the last word. Another probe does so too, for a moment.
 */
static int open_exclusively(const char *path)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

	for (int i = 0; fd < 0 && errno == EBUSY && i < EXCLUSIVE_TRIES; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MSEC }, NULL);
		fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/*
 * Opened for reading: closing a device that was open for writing makes udev look at it anew. Its
 * content is read through another descriptor, so as not to keep it from others for so long.
 */
static int find_by_open(struct probe *p, struct probe_device *d, bool closely)
{
	int exclusive = open_exclusively(d->path);
	int fd, rc;

	if (exclusive < 0)
		return open_failed(p, d, exclusive);
	fd = open(d->path, O_RDONLY | O_CLOEXEC);
	close(exclusive);
	if (fd < 0)
		return open_failed(p, d, -errno);
	rc = probe_find_content(p, d, fd, closely);
	close(fd);
	return rc;
}

static bool has_smart(const struct probe_device *d)
{
	return !strncmp(d->name, "nvme", 4) && !strcmp(d->kind, "disk");
}

static void ask_smart(struct probe_device *d)
{
	int fd = open(d->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		snprintf(d->health.note, sizeof(d->health.note),
			 "the SMART log was not read: the device cannot be opened: %s",
			 error_errno_text(-errno));
		return;
	}
	probe_health_smart(&d->health, fd);
	close(fd);
}

static void look_inside(void *arg, size_t i, void *answer)
{
	const struct inside *in = arg;
	struct probe_device *d = &in->devices[i];
	size_t before = d->finding_count;
	struct inside_answer *a = answer;

	if (has_smart(d))
		ask_smart(d);
	a->health = d->health;
	if (probe_device_verdict(d) < PROBE_UNFIT)
		a->rc = find_by_open(in->p, d, in->closely);
	while (a->count < INSIDE_FINDINGS && before + a->count < d->finding_count) {
		a->findings[a->count] = d->findings[before + a->count];
		a->count++;
	}
}

static int take_answer(struct probe_device *d, const struct inside_answer *a)
{
	int rc = a->rc;

	d->health = a->health;
	if (!has_smart(d) && !d->health.note[0])
		snprintf(d->health.note, sizeof(d->health.note),
			 "no SMART log: asked of NVMe disks only");
	for (size_t i = 0; rc == 0 && i < a->count; i++)
		rc = probe_find(d, a->findings[i].reason, a->findings[i].verdict,
				a->findings[i].remedy, "%s", a->findings[i].text);
	return rc == 0 ? probe_find_health(d) : rc;
}

static int not_looked_at(struct probe_device *d, int status, uint64_t limit_ns)
{
	const char *remedy = "look into the kernel's log, then try again";

	if (status == -ETIMEDOUT)
		return probe_find(d, PROBE_REASON_SILENT, PROBE_UNFIT, remedy,
				  "%s does not answer within %u s", d->path,
				  (unsigned int)(limit_ns / NS_PER_SEC));
	return probe_find(
		d, PROBE_REASON_SILENT, PROBE_UNFIT, remedy, "%s was not looked at: %s", d->path,
		status == -ETIME ? "others did not answer for too long" : error_errno_text(status));
}

static void done_inside(void *arg, size_t i, int status, const void *answer)
{
	struct inside *in = arg;
	struct probe_device *d = &in->devices[i];
	int rc = status ? not_looked_at(d, status, in->limit_ns) : take_answer(d, answer);

	/* In a listing it is asked only where the answer would be yes. */
	if (rc == 0 && probe_device_verdict(d) == PROBE_FREE && !in->closely)
		rc = probe_find_hidden(in->p, d, 0);
	if (rc < 0)
		in->rc = rc;
}

int probe_inside(struct probe *p, struct probe_device *devices, size_t count, bool closely)
{
	struct inside in = { .p = p,
			     .devices = devices,
			     .closely = closely,
			     .limit_ns = closely ? p->patience_ns : PROBE_LIMIT_NS };
	int rc;

	if (!p->live || !count)
		return 0;
	for (size_t i = 0; i < count && closely && in.rc == 0; i++) {
		if (probe_device_verdict(&devices[i]) < PROBE_IN_USE)
			in.rc = probe_find_hidden(p, &devices[i], 0);
	}
	rc = probe_limited(p, &(struct probe_limited){ .count = count,
						       .size = sizeof(struct inside_answer),
						       .limit_ns = in.limit_ns,
						       .work = look_inside,
						       .done = done_inside,
						       .arg = &in });
	return rc < 0 ? rc : in.rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cores the reactors run on, and the locks that keep two programs of ours off one core: a
 * lock file per core, locked with flock(2) as long as the program lives and never removed.
 *
 * Threading: used at start and at the end by the main thread; pinning by each thread for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpuset.h"
#include "reactor/internal.h"

#define CORE_SET_TEXT (CPU_SETSIZE / 4 + 8)

/* World-writable and sticky, as lock(5) files want it; the second where there is no first. */
static const char *const lock_dirs[] = { "/run/lock", "/tmp" };

static int lock_open_in(const char *dir, unsigned int core, char *path, size_t size)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	int fd;

	snprintf(path, size, "%s/cyborg-spdk-core-%u.lock", dir, core);
	/* Without O_CREAT first: another user's file in a sticky directory may be opened so only.
	 */
	fd = open(path, flags);
	if (fd < 0 && errno == ENOENT)
		fd = open(path, flags | O_CREAT | O_EXCL, 0644);
	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/*
 * Return: the descriptor that holds the lock, -EWOULDBLOCK when another holds it, or another
 * negative errno when there can be no lock file here.
 */
static int core_lock(unsigned int core, char *path, size_t size)
{
	int fd = -ENOENT;

	for (size_t i = 0; i < sizeof(lock_dirs) / sizeof(lock_dirs[0]) && fd < 0; i++)
		fd = lock_open_in(lock_dirs[i], core, path, size);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static void plan_add(struct core_plan *plan, unsigned int core, int lock)
{
	plan->cores[plan->count] = core;
	plan->locks[plan->count] = lock;
	plan->count++;
}

/* One reactor: on the first core that nobody of ours holds, else anywhere, giving way. */
static void plan_default(struct core_plan *plan)
{
	unsigned int first = CPU_SETSIZE;
	char path[64];

	for (unsigned int core = 0; core < CPU_SETSIZE; core++) {
		int lock;

		if (!CPU_ISSET(core, &plan->allowed))
			continue;
		if (first == CPU_SETSIZE)
			first = core;
		lock = core_lock(core, path, sizeof(path));
		if (lock == -EWOULDBLOCK)
			continue;
		plan_add(plan, core, lock);
		/* Without lock files nobody knows who else spins here. */
		plan->pinned = lock >= 0 && CPU_COUNT(&plan->allowed) > 1;
		return;
	}
	plan->shared = true;
	plan_add(plan, first, -1);
}

static int core_is_held(unsigned int core, const char *path, struct error *err)
{
	return error_set(err, -EBUSY,
			 "core %u is held by another cyborg-spdk program (lock %s); choose "
			 "another core, stop that program, or switch core locks off",
			 core, path);
}

static int core_add(struct core_plan *plan, unsigned int core, bool share, struct error *err)
{
	char path[64];
	int lock = -1;

	if (plan->count == REACTOR_MAX)
		return error_set(err, -EINVAL, "more than %u cores asked for; use at most %u",
				 REACTOR_MAX, REACTOR_MAX);
	if (!share)
		lock = core_lock(core, path, sizeof(path));
	if (lock == -EWOULDBLOCK)
		return core_is_held(core, path, err);
	plan_add(plan, core, lock);
	return 0;
}

static int plan_explicit(struct core_plan *plan, const char *text, bool share, struct error *err)
{
	char asked[CORE_SET_TEXT], allowed[CORE_SET_TEXT];
	cpu_set_t set;
	int rc = cpuset_parse(text, &set, err);

	if (rc < 0)
		return rc;
	for (unsigned int core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, &set))
			continue;
		if (!CPU_ISSET(core, &plan->allowed)) {
			cpuset_print(&set, asked, sizeof(asked));
			cpuset_print(&plan->allowed, allowed, sizeof(allowed));
			return error_set(err, -EINVAL,
					 "cores %.64s (%s) asked for, but core %u is not one of "
					 "those this process may use: %s; choose among these",
					 text, asked, core, allowed);
		}
		rc = core_add(plan, core, share, err);
		if (rc < 0)
			return rc;
	}
	plan->pinned = true;
	return 0;
}

int core_plan_make(struct core_plan *plan, const char *text, bool share, struct error *err)
{
	int rc;

	memset(plan, 0, sizeof(*plan));
	if (sched_getaffinity(0, sizeof(plan->allowed), &plan->allowed) < 0)
		return error_set(err, -errno, "cannot read the affinity mask: %s",
				 error_errno_text(-errno));
	if (!text) {
		plan_default(plan);
		return 0;
	}
	rc = plan_explicit(plan, text, share, err);
	if (rc < 0)
		core_plan_release(plan);
	return rc;
}

void core_plan_unlock(struct core_plan *plan)
{
	for (unsigned int i = 0; i < plan->count; i++) {
		if (plan->locks[i] >= 0)
			close(plan->locks[i]);
		plan->locks[i] = -1;
	}
}

static int claim(struct core_plan *plan, unsigned int i, struct error *err)
{
	char path[64];
	int lock = core_lock(plan->cores[i], path, sizeof(path));

	if (lock == -EWOULDBLOCK)
		return core_is_held(plan->cores[i], path, err);
	if (lock < 0)
		return error_set(err, lock, "core %u: cannot make its lock file %s: %s",
				 plan->cores[i], path, error_errno_text(lock));
	plan->locks[i] = lock;
	return 0;
}

int core_plan_lock(struct core_plan *plan, struct error *err)
{
	const struct core_plan had = *plan;
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < plan->count; i++) {
		if (plan->locks[i] < 0)
			rc = claim(plan, i, err);
	}
	for (unsigned int i = 0; rc < 0 && i < plan->count; i++) {
		if (plan->locks[i] != had.locks[i])
			close(plan->locks[i]);
		plan->locks[i] = had.locks[i];
	}
	return rc;
}

void core_plan_release(struct core_plan *plan)
{
	core_plan_unlock(plan);
	plan->count = 0;
}

void core_plan_pin(const struct core_plan *plan, unsigned int index)
{
	cpu_set_t set;

	if (!plan->pinned)
		return;
	CPU_ZERO(&set);
	CPU_SET(plan->cores[index], &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		log_warning("core %u: cannot pin reactor %u: %s", plan->cores[index], index,
			    error_errno_text(-errno));
}

void core_plan_unpin(const struct core_plan *plan)
{
	if (plan->pinned)
		(void)sched_setaffinity(0, sizeof(plan->allowed), &plan->allowed);
}

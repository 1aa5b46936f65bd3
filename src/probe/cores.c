/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who polls on a core: an SPDK locks /var/tmp/spdk_cpu_lock_NNN, a program of ours a file of its
 * own.
 *
 * Threading: as probe.h.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "probe/internal.h"

/* As src/reactor/cores.c makes them. */
static const char *const lock_files[] = {
	"/var/tmp/spdk_cpu_lock_%03u",
	"/run/lock/cyborg-spdk-core-%u.lock",
	"/tmp/cyborg-spdk-core-%u.lock",
};

pid_t probe_core_holder(const struct probe *p, unsigned int core)
{
	pid_t pid = 0;

	for (size_t i = 0; i < sizeof(lock_files) / sizeof(lock_files[0]) && !pid; i++) {
		char path[64], full[PATH_MAX + 64];
		struct stat st;

		/* A file that a dead program left says nothing; the lock does. */
		snprintf(path, sizeof(path), lock_files[i], core);
		snprintf(full, sizeof(full), "%s%s", p->root, path);
		if (lstat(full, &st) == 0 && S_ISREG(st.st_mode))
			pid = probe_lock_pid(p, &st);
	}
	return pid;
}

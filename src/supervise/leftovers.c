/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target leaves behind under its pid: an SPDK its trace in /dev/shm when it is killed, DPDK
 * below it a folder in its runtime directory in any case.
 *
 * Threading: one thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervise/supervise.h"

#define SHM "/dev/shm"

static void remove_traces(pid_t pid)
{
	char end[32];
	DIR *dir = opendir(SHM);
	struct dirent *e;

	snprintf(end, sizeof(end), "_trace.pid%d", pid);
	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len > strlen(end) && !strcmp(e->d_name + len - strlen(end), end))
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

void leftovers_direct(const char *pidfile)
{
	char copy[PATH_MAX], dir[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", pidfile);
	/* DPDK takes what systemd calls so; a folder of ours goes with the accelerator. */
	if (realpath(dirname(copy), dir))
		setenv("RUNTIME_DIRECTORY", dir, 0);
}

void leftovers_remove(pid_t pid)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	char path[PATH_MAX];

	remove_traces(pid);
	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/dpdk/spdk_pid%d", dir, pid);
	remove_folder(path);
	snprintf(path, sizeof(path), "%s/dpdk", dir);
	rmdir(path);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory this process may still take: MemAvailable of proc(5), and the limits of control
 * groups (Documentation/admin-guide/cgroup-v2.rst, "Memory"; cgroup-v1/memory.rst).
 *
 * Threading: any thread.
 */
#include "bdev_modules/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MOUNT_V2 "/sys/fs/cgroup"
#define MOUNT_V1 "/sys/fs/cgroup/memory"

/* --- the machine ---------------------------------------------------------------------------- */

static uint64_t machine_available(void)
{
	unsigned long long kib = 0;
	bool found = false;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (f == NULL)
		return UINT64_MAX;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	fclose(f);
	return found ? kib * 1024 : UINT64_MAX;
}

/* --- control groups ------------------------------------------------------------------------- */

static const struct names {
	const char *limit, *usage, *inactive;
} names[] = {
	{ "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file" },
	{ "memory.max", "memory.current", "inactive_file" },
};

static FILE *open_in(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s/%s", dir, name);

	return len > 0 && (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;
}

/* False also for "max". */
static bool read_number(const char *dir, const char *name, uint64_t *value)
{
	unsigned long long number = 0;
	FILE *f = open_in(dir, name);
	bool found;

	if (f == NULL)
		return false;
	found = fscanf(f, "%llu", &number) == 1;
	fclose(f);
	*value = number;
	return found;
}

/* Of memory.stat; 0 when it does not tell. */
static uint64_t read_stat(const char *dir, const char *key)
{
	unsigned long long value = 0, found = 0;
	FILE *f = open_in(dir, "memory.stat");
	char name[64];

	if (f == NULL)
		return 0;
	while (found == 0 && fscanf(f, "%63s %llu", name, &value) == 2)
		found = strcmp(name, key) == 0 ? value : 0;
	fclose(f);
	return found;
}

static uint64_t group_available(const char *dir, const struct names *n)
{
	uint64_t limit, usage, cache;

	if (!read_number(dir, n->limit, &limit) || !read_number(dir, n->usage, &usage))
		return UINT64_MAX;
	cache = read_stat(dir, n->inactive);
	usage = cache < usage ? usage - cache : 0;
	return usage < limit ? limit - usage : 0;
}

uint64_t memory_cgroup_available(const char *mount, const char *path, bool v2)
{
	uint64_t least = UINT64_MAX;
	char dir[PATH_MAX];
	int len = snprintf(dir, sizeof(dir), "%s%s", mount, path);
	size_t root = strlen(mount);

	if (len < 0 || (size_t)len >= sizeof(dir))
		return UINT64_MAX;
	for (;;) {
		uint64_t here = group_available(dir, &names[v2]);
		char *slash = strrchr(dir + root, '/');

		if (here < least)
			least = here;
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

/* Lines of proc(5)'s cgroup file: "0::/path" for version 2, "4:cpu,memory:/path" for version 1. */
static uint64_t line_available(char *line)
{
	char *controllers = strchr(line, ':'), *path;

	if (controllers == NULL)
		return UINT64_MAX;
	path = strchr(++controllers, ':');
	if (path == NULL)
		return UINT64_MAX;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	if (*controllers == '\0')
		return memory_cgroup_available(MOUNT_V2, path, true);
	if (strstr(controllers, "memory") != NULL)
		return memory_cgroup_available(MOUNT_V1, path, false);
	return UINT64_MAX;
}

static uint64_t cgroups_available(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX;
	char line[PATH_MAX + 128];

	if (f == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f) != NULL) {
		uint64_t here = line_available(line);

		if (here < least)
			least = here;
	}
	fclose(f);
	return least;
}

uint64_t memory_available(void)
{
	uint64_t machine = machine_available(), groups = cgroups_available();

	return machine < groups ? machine : groups;
}

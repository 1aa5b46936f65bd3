/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's own targets export: nvmet and LIO hold a device or file without a trace in
 * /proc, by any name that they were given.
 *
 * Threading: as probe.h.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "probe/internal.h"

/**
 * struct exports - where a kernel target keeps what it exports: DIR/a/MIDDLE/b/FILE
 * @tells: FILE holds the path alone, or tells of it among other words
 * @name: of the target
 */
struct exports {
	const char *dir, *middle, *file;
	bool tells;
	const char *name;
};

/* One line of LIO's info, of its kinds fileio and iblock. */
static bool line_tells_of(struct probe *p, const struct probe_device *d, ino_t ino,
			  const char *line)
{
	const char *file = strstr(line, " File: "), *numbers = strstr(line, "Major: ");
	unsigned int major, minor;
	char path[PATH_MAX];

	if (file && sscanf(file, " File: %4095s", path) == 1)
		return probe_is_same(p, d, ino, path);
	return !ino && numbers && sscanf(numbers, "Major: %u Minor: %u", &major, &minor) == 2 &&
	       makedev(major, minor) == d->dev;
}

static bool is_exported(struct probe *p, const struct probe_device *d, ino_t ino,
			const struct exports *x, const char *folder)
{
	char *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f = probe_fopen(p, "%s/%s", folder, x->file);

	while (f && !found && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		found = x->tells ? line_tells_of(p, d, ino, line) : probe_is_same(p, d, ino, line);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static int find_export(struct probe *p, struct probe_device *d, ino_t ino, const struct exports *x,
		       const char *above)
{
	DIR *dir = probe_opendir(p, "%s/%s/%s", x->dir, above, x->middle);
	char folder[PATH_MAX], on[8];
	struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), "%s/%s/%s/%.255s", x->dir, above, x->middle,
			 e->d_name);
		found = probe_read(p, on, sizeof(on), "%s/enable", folder) && strcmp(on, "0") &&
			is_exported(p, d, ino, x, folder);
	}
	if (dir)
		closedir(dir);
	if (!found)
		return 0;
	return probe_find(d, PROBE_REASON_EXPORT, PROBE_IN_USE, "take it out of that target",
			  "%s is exported by the kernel's %s target (%s/%s)", d->path, x->name,
			  above, strrchr(folder, '/') + 1);
}

int probe_find_exports(struct probe *p, struct probe_device *d, ino_t ino)
{
	static const struct exports all[] = {
		{ "/sys/kernel/config/nvmet/subsystems", "namespaces", "device_path", false,
		  "NVMe" },
		{ "/sys/kernel/config/target/core", ".", "udev_path", false, "SCSI" },
		{ "/sys/kernel/config/target/core", ".", "info", true, "SCSI" },
	};
	size_t before = d->finding_count;
	int rc = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		DIR *dir = probe_opendir(p, "%s", all[i].dir);
		struct dirent *e;

		while (dir && rc == 0 && d->finding_count == before && (e = readdir(dir))) {
			if (e->d_name[0] != '.')
				rc = find_export(p, d, ino, &all[i], e->d_name);
		}
		if (dir)
			closedir(dir);
	}
	return rc;
}

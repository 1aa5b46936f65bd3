/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hugepages, and a whole environment made and put back, see env.h.
 *
 * Threading: as driver.h.
 */
#include "driver/env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "driver/drift.h"
#include "driver/sysfs.h"

#define NODES_MAX 64

bool env_is_empty(const struct environment *e)
{
	return e->memory == ENV_MEMORY_OWN && e->device_count == 0 && !e->sockets.dir[0];
}

void env_boot(const char *root, char out[static 40])
{
	sysfs_text(root, "/proc/sys/kernel/random/boot_id", out, 40);
}

/* --- hugepages ------------------------------------------------------------------------------ */

static void pages_path(const struct env_pages *p, const char *name, char *out, size_t size)
{
	unsigned long long kib = p->page_size / 1024;

	if (p->node < 0)
		snprintf(out, size, "/sys/kernel/mm/hugepages/hugepages-%llukB/%s", kib, name);
	else
		snprintf(out, size, "/sys/devices/system/node/node%d/hugepages/hugepages-%llukB/%s",
			 p->node, kib, name);
}

static int read_pages(const char *root, const struct env_pages *p, const char *name, uint64_t *out)
{
	char path[128];

	pages_path(p, name, path, sizeof(path));
	return sysfs_u64(root, path, out);
}

static uint64_t read_or_none(const char *root, const char *path)
{
	uint64_t n;

	return sysfs_u64(root, path, &n) < 0 ? 0 : n;
}

/*
 * What was reserved, and can be written: the kernel counts pages with it that others were given
 * above it (overcommit), and takes them back when those end.
 */
static int read_reserved(const char *root, const struct env_pages *p, uint64_t *out)
{
	char path[128];
	uint64_t surplus;
	int rc = read_pages(root, p, "nr_hugepages", out);

	pages_path(p, "surplus_hugepages", path, sizeof(path));
	surplus = read_or_none(root, path);
	if (rc == 0)
		*out = *out > surplus ? *out - surplus : 0;
	return rc;
}

/* In use, or promised to a mapping that did not touch them yet, which is told of all nodes only. */
static int read_used(const char *root, const struct env_pages *p, uint64_t *used, uint64_t *unused)
{
	struct env_pages all = { .node = -1, .page_size = p->page_size };
	uint64_t total, promised;
	char path[128];
	int rc = read_pages(root, p, "nr_hugepages", &total);

	if (rc == 0)
		rc = read_pages(root, p, "free_hugepages", unused);
	if (rc < 0)
		return rc;
	pages_path(&all, "resv_hugepages", path, sizeof(path));
	promised = read_or_none(root, path);
	*unused = *unused > promised ? *unused - promised : 0;
	*used = total > *unused ? total - *unused : 0;
	return 0;
}

/* "Hugepagesize:    2048 kB"; "MemAvailable: ..." */
static uint64_t meminfo(const char *root, const char *name)
{
	char path[PATH_MAX], line[128];
	unsigned long long kib = 0;
	size_t len = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ':')
			sscanf(line + len + 1, "%llu", &kib);
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

/* DPDK maps files of a hugetlbfs; one without "pagesize=" has the default size. */
static bool has_mount(const char *root, uint64_t page_size)
{
	char path[PATH_MAX], line[1024], type[64], options[512], wanted[32];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/mounts", root);
	snprintf(wanted, sizeof(wanted), "pagesize=%lluM",
		 (unsigned long long)(page_size / (1024 * 1024)));
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %63s %511s", type, options) == 2 &&
		    !strcmp(type, "hugetlbfs"))
			found = !strstr(options, "pagesize=") || strstr(options, wanted);
	}
	if (f)
		fclose(f);
	return found;
}

/* The node of the first processor, where a target runs that is told no other. */
static int first_node(const char *root)
{
	char path[96];

	for (int node = 0; node < NODES_MAX; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/hugepages", node);
		if (sysfs_exists(root, path))
			return node;
	}
	return -1;
}

static int may_write(const char *root, const struct env_pages *p, struct error *err)
{
	char path[PATH_MAX], attribute[128];

	pages_path(p, "nr_hugepages", attribute, sizeof(attribute));
	snprintf(path, sizeof(path), "%s%s", root, attribute);
	if (access(path, W_OK) == 0)
		return 0;
	return error_set(
		err, -EPERM,
		"hugepages are needed and %s may not be written: run this as root, reserve "
		"%llu there beforehand, or give the target ordinary memory by --no-huge",
		path, (unsigned long long)p->wanted);
}

static int check_memory(const char *root, const struct env_pages *p, struct error *err)
{
	uint64_t more = (p->wanted - p->before) * p->page_size;
	uint64_t available = meminfo(root, "MemAvailable");

	if (more <= available)
		return 0;
	return error_set(err, -ENOMEM,
			 "hugepages of %llu MiB are needed and this node has %llu MiB available: "
			 "name a smaller --hugepages, or free memory",
			 (unsigned long long)(more >> 20), (unsigned long long)(available >> 20));
}

/* How many are wanted besides those that are others'; what @old has counts as free. */
static void count_pages(const struct environment *e, const struct environment *old,
			uint64_t reserved, uint64_t used, struct env_pages *p)
{
	uint64_t need = (e->size + p->page_size - 1) / p->page_size;
	uint64_t own = 0, added = 0;

	if (old && old->memory == ENV_MEMORY_HUGE) {
		own = (old->size + p->page_size - 1) / p->page_size;
		added = old->pages.wanted - old->pages.before;
	}
	used = used > own ? used - own : 0;
	p->before = reserved > added ? reserved - added : 0;
	p->wanted = p->before > used + need ? p->before : used + need;
}

int env_plan_pages(const char *root, struct environment *e, const struct environment *old,
		   uint64_t kept, struct error *err)
{
	struct env_pages *p = &e->pages;
	uint64_t reserved, used, unused;

	p->node = first_node(root);
	p->page_size = meminfo(root, "Hugepagesize");
	if (!p->page_size || read_reserved(root, p, &reserved) < 0 ||
	    read_used(root, p, &used, &unused) < 0)
		return error_set(err, -ENOTSUP,
				 "this kernel tells of no hugepages: give the target ordinary "
				 "memory by --no-huge");
	if (!has_mount(root, p->page_size))
		return error_set(err, -ENOTSUP,
				 "no hugetlbfs with pages of %llu KiB is mounted: `mount -t "
				 "hugetlbfs none /dev/hugepages`, or give the target ordinary "
				 "memory by --no-huge",
				 (unsigned long long)(p->page_size / 1024));
	used += kept < unused ? kept : unused;
	count_pages(e, old, reserved, used, p);
	if (p->wanted == p->before)
		return 0;
	if (may_write(root, p, err) < 0)
		return err->code;
	return check_memory(root, p, err);
}

static int write_pages(const char *root, const struct env_pages *p, uint64_t count,
		       struct error *err)
{
	char path[128], text[24];

	pages_path(p, "nr_hugepages", path, sizeof(path));
	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)count);
	return sysfs_write(root, path, text, err);
}

/* The kernel gives what it has in one piece, and says nothing when that is less. */
static int apply_pages(const char *root, const struct env_pages *p, struct error *err)
{
	uint64_t now;
	int rc;

	if (p->wanted == p->before || read_reserved(root, p, &now) < 0 || now >= p->wanted)
		return 0;
	rc = write_pages(root, p, p->wanted, err);
	if (rc == 0 && read_reserved(root, p, &now) == 0 && now < p->wanted)
		rc = error_set(err, -ENOMEM,
			       "%llu hugepages of %llu KiB are needed and the kernel gave %llu: "
			       "memory is in pieces; reserve them at boot (hugepages=%llu), or "
			       "name a smaller --hugepages",
			       (unsigned long long)p->wanted,
			       (unsigned long long)(p->page_size / 1024), (unsigned long long)now,
			       (unsigned long long)p->wanted);
	return rc;
}

static int restore_pages(const char *root, const struct env_pages *p, struct error *err)
{
	uint64_t now;

	if (p->wanted == p->before || read_reserved(root, p, &now) < 0 || now <= p->before)
		return 0;
	return write_pages(root, p, p->before, err);
}

void env_pages_drift(const char *root, const struct environment *e, json_t *list)
{
	const struct env_pages *p = &e->pages;
	uint64_t need, now;

	if (e->memory != ENV_MEMORY_HUGE || !p->page_size ||
	    read_pages(root, p, "nr_hugepages", &now) < 0)
		return;
	need = (e->size + p->page_size - 1) / p->page_size;
	if (now < need)
		drift(list, "the target takes %llu hugepages of %llu KiB and the node has %llu",
		      (unsigned long long)need, (unsigned long long)(p->page_size / 1024),
		      (unsigned long long)now);
}

/* --- all together --------------------------------------------------------------------------- */

int env_apply(const char *root, struct environment *e, struct error *err)
{
	int rc = apply_pages(root, &e->pages, err);

	for (size_t i = 0; i < e->device_count && rc == 0; i++)
		rc = env_bind(root, &e->devices[i], err);
	env_boot(root, e->boot);
	return rc;
}

/*
 * All of it is tried, the first failure is told. What was made in another boot is gone already, and
 * a function that is bound to vfio-pci now is somebody else's, who may have it in use.
 */
int env_restore(const char *root, const struct environment *e, struct error *err)
{
	struct error ignored = ERROR_INIT;
	char boot[40];
	int rc;

	env_boot(root, boot);
	if (strcmp(boot, e->boot) != 0)
		return 0;
	rc = restore_pages(root, &e->pages, err);
	for (size_t i = 0; i < e->device_count; i++) {
		int one = env_unbind(root, &e->devices[i], rc < 0 ? &ignored : err);

		if (rc == 0)
			rc = one;
	}
	return rc;
}

void env_plan_release(const char *root, struct environment *e)
{
	uint64_t added = e->pages.wanted - e->pages.before, now;
	char boot[40];

	env_boot(root, boot);
	if (strcmp(boot, e->boot) != 0)
		e->device_count = 0;
	if (strcmp(boot, e->boot) != 0 || read_reserved(root, &e->pages, &now) < 0)
		added = now = 0;
	e->pages.wanted = now;
	e->pages.before = now > added ? now - added : 0;
	snprintf(e->boot, sizeof(e->boot), "%s", boot);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node: processors, NUMA nodes, memory, hugepages, IOMMU, kernel modules, io_uring.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe/internal.h"

static unsigned int count_entries(struct probe *p, const char *path, const char *prefix)
{
	DIR *dir = probe_opendir(p, "%s", path);
	size_t len = strlen(prefix);
	unsigned int count = 0;
	struct dirent *e;

	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (!strncmp(e->d_name, prefix, len) && e->d_name[len] >= '0' &&
		    e->d_name[len] <= '9')
			count++;
	}
	closedir(dir);
	return count;
}

static void add_hugepages(struct probe *p, struct probe_node *n, const char *dir_path, int node)
{
	DIR *dir = probe_opendir(p, "%s", dir_path);
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir)) && n->hugepage_count < PROBE_HUGEPAGES_MAX) {
		struct probe_hugepages *h = &n->hugepages[n->hugepage_count];
		unsigned long long kib;

		if (sscanf(e->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		h->numa_node = node;
		h->page_size = kib * 1024;
		h->total = probe_read_u64(p, 0, "%s/%s/nr_hugepages", dir_path, e->d_name);
		h->free = probe_read_u64(p, 0, "%s/%s/free_hugepages", dir_path, e->d_name);
		h->surplus = probe_read_u64(p, 0, "%s/%s/surplus_hugepages", dir_path, e->d_name);
		n->hugepage_count++;
	}
	closedir(dir);
}

static void fill_hugepages(struct probe *p, struct probe_node *n)
{
	DIR *dir = probe_opendir(p, "/sys/devices/system/node");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char path[PATH_MAX];
		int node;

		if (sscanf(e->d_name, "node%d", &node) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/devices/system/node/%s/hugepages", e->d_name);
		add_hugepages(p, n, path, node);
	}
	if (dir)
		closedir(dir);
	if (!n->hugepage_count)
		add_hugepages(p, n, "/sys/kernel/mm/hugepages", -1);
}

static void fill_memory(struct probe *p, struct probe_node *n)
{
	FILE *f = probe_fopen(p, "/proc/meminfo");
	unsigned long long kib;
	char line[256];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
			n->memory = kib * 1024;
	}
	fclose(f);
}

/* Only the call itself tells what seccomp allows. */
static int try_io_uring(void)
{
	struct io_uring_params params = { 0 };
	long fd = syscall(__NR_io_uring_setup, 1, &params);

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

static void fill_io_uring(struct probe *p, struct probe_node *n)
{
	const char *sysctl = "/proc/sys/kernel/io_uring_disabled";
	uint64_t disabled = probe_read_u64(p, 0, "%s", sysctl);
	int rc = p->live ? try_io_uring() : disabled ? -EPERM : 0;

	n->io_uring_disabled = probe_exists(p, "%s", sysctl) ? (int)(disabled & 3) : -1;
	n->io_uring = rc == 0;
	if (rc == 0)
		return;
	if (disabled)
		snprintf(n->io_uring_reason, sizeof(n->io_uring_reason),
			 "the sysctl kernel.io_uring_disabled is %llu",
			 (unsigned long long)disabled);
	else
		snprintf(n->io_uring_reason, sizeof(n->io_uring_reason),
			 "io_uring_setup: %s (a container's seccomp filter, or an old kernel)",
			 error_errno_text(rc));
}

static const char *const module_names[] = {
	"vfio", "vfio_pci",  "vfio_iommu_type1", "uio",	      "uio_pci_generic", "igb_uio",
	"nvme", "nvme_core", "nvme_fabrics",	 "nvme_tcp",  "nvme_rdma",	 "nvmet",
	"rbd",	"nvmet_tcp", "virtio_blk",	 "vhost_net", "ublk_drv",	 "nbd",
};
_Static_assert(sizeof(module_names) / sizeof(module_names[0]) <= PROBE_MODULES_MAX, "modules");

/* ".../nvme-tcp.ko.xz: ..." and "nvme_tcp" name the same module. */
static bool is_module(const char *line, const char *name)
{
	size_t path = strcspn(line, ": \n");
	const char *start = line + path;

	while (start > line && start[-1] != '/')
		start--;
	for (; *name; name++, start++) {
		if (*start != *name && !(*start == '-' && *name == '_'))
			return false;
	}
	return !strncmp(start, ".ko", 3);
}

static void find_modules(struct probe *p, struct probe_node *n, const char *list,
			 enum probe_module_state state)
{
	FILE *f = probe_fopen(p, "/lib/modules/%s/%s", n->kernel, list);
	char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		for (size_t i = 0; i < n->module_count; i++) {
			if (n->modules[i].state == PROBE_MODULE_ABSENT &&
			    is_module(line, n->modules[i].name))
				n->modules[i].state = state;
		}
	}
	free(line);
	if (f)
		fclose(f);
}

static void fill_modules(struct probe *p, struct probe_node *n)
{
	n->module_count = sizeof(module_names) / sizeof(module_names[0]);
	for (size_t i = 0; i < n->module_count; i++)
		n->modules[i].name = module_names[i];
	find_modules(p, n, "modules.builtin", PROBE_MODULE_BUILT_IN);
	/* A built-in one may have a folder here too. */
	for (size_t i = 0; i < n->module_count; i++) {
		const char *name = n->modules[i].name;

		if (probe_exists(p, "/sys/module/%s", name))
			n->modules[i].state = n->modules[i].state == PROBE_MODULE_BUILT_IN
						      ? PROBE_MODULE_BUILT_IN
						      : PROBE_MODULE_LOADED;
	}
	find_modules(p, n, "modules.dep", PROBE_MODULE_AVAILABLE);
}

static void fill_cpus(struct probe *p, struct probe_node *n)
{
	cpu_set_t set;

	n->cpus = count_entries(p, "/sys/devices/system/cpu", "cpu");
	probe_read(p, n->cpus_online, sizeof(n->cpus_online), "/sys/devices/system/cpu/online");
	probe_read(p, n->cpus_isolated, sizeof(n->cpus_isolated),
		   "/sys/devices/system/cpu/isolated");
	n->cpus_allowed = n->cpus;
	if (p->live && sched_getaffinity(0, sizeof(set), &set) == 0)
		n->cpus_allowed = (unsigned int)CPU_COUNT(&set);
}

static uint64_t numa_memory(struct probe *p, int node, const char *word)
{
	FILE *f = probe_fopen(p, "/sys/devices/system/node/node%d/meminfo", node);
	unsigned long long kib = 0;
	char line[128], *at;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, word);
		if (at && sscanf(at + strlen(word), " %llu kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

static int by_node(const void *a, const void *b)
{
	return ((const struct probe_numa *)a)->node - ((const struct probe_numa *)b)->node;
}

static void fill_numa(struct probe *p, struct probe_node *n)
{
	DIR *dir = probe_opendir(p, "/sys/devices/system/node");
	struct dirent *e;

	n->numa_nodes = count_entries(p, "/sys/devices/system/node", "node");
	while (dir && (e = readdir(dir)) && n->numa_count < PROBE_NUMA_MAX) {
		struct probe_numa *m = &n->numa[n->numa_count];

		if (sscanf(e->d_name, "node%d", &m->node) != 1)
			continue;
		probe_read(p, m->cpus, sizeof(m->cpus), "/sys/devices/system/node/node%d/cpulist",
			   m->node);
		m->memory = numa_memory(p, m->node, "MemTotal:");
		m->memory_free = numa_memory(p, m->node, "MemFree:");
		n->numa_count++;
	}
	if (dir)
		closedir(dir);
	qsort(n->numa, n->numa_count, sizeof(*n->numa), by_node);
}

static void fill_iommu(struct probe *p, struct probe_node *n)
{
	char text[8];

	n->iommu = count_entries(p, "/sys/kernel/iommu_groups", "") > 0;
	n->vfio = probe_exists(p, "/sys/module/vfio_pci");
	n->noiommu = probe_read(p, text, sizeof(text),
				"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") &&
		     (text[0] == 'Y' || text[0] == '1');
}

int probe_node(struct probe *p, const struct probe_devices *devices, struct probe_node *out)
{
	struct utsname uts;

	memset(out, 0, sizeof(*out));
	if (uname(&uts) == 0) {
		snprintf(out->hostname, sizeof(out->hostname), "%.64s", uts.nodename);
		snprintf(out->kernel, sizeof(out->kernel), "%.64s", uts.release);
	}
	if (!p->live)
		probe_read(p, out->kernel, sizeof(out->kernel), "/proc/sys/kernel/osrelease");
	fill_cpus(p, out);
	fill_numa(p, out);
	fill_memory(p, out);
	fill_hugepages(p, out);
	fill_iommu(p, out);
	fill_modules(p, out);
	fill_io_uring(p, out);
	return probe_pci(p, devices, out);
}

void probe_node_fini(struct probe_node *n)
{
	free(n->nvme);
	free(n->groups);
	n->nvme = NULL;
	n->groups = NULL;
	n->nvme_count = n->group_count = 0;
}

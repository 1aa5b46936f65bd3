/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node: processors, memory, hugepages, IOMMU, io_uring, NVMe functions on PCI.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe/internal.h"

#define PCI_CLASS_NVME "0x010802"

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
	uint64_t disabled = probe_read_u64(p, 0, "/proc/sys/kernel/io_uring_disabled");
	int rc = p->live ? try_io_uring() : disabled ? -EPERM : 0;

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

static void fill_nvme(struct probe *p, struct probe_nvme *v, const char *address)
{
	char link[PATH_MAX], vendor[16], device[16], text[16];
	const char *sys = "/sys/bus/pci/devices";
	struct dirent *e;
	DIR *dir;

	snprintf(v->address, sizeof(v->address), "%.31s", address);
	if (probe_readlink(p, link, sizeof(link), "%s/%s/driver", sys, address))
		snprintf(v->driver, sizeof(v->driver), "%.31s", strrchr(link, '/') + 1);
	probe_read(p, vendor, sizeof(vendor), "%s/%s/vendor", sys, address);
	probe_read(p, device, sizeof(device), "%s/%s/device", sys, address);
	snprintf(v->vendor_device, sizeof(v->vendor_device), "%.4s:%.4s",
		 strlen(vendor) > 2 ? vendor + 2 : "", strlen(device) > 2 ? device + 2 : "");
	v->numa_node = probe_read(p, text, sizeof(text), "%s/%s/numa_node", sys, address)
			       ? atoi(text)
			       : -1;
	v->iommu_group = -1;
	if (probe_readlink(p, link, sizeof(link), "%s/%s/iommu_group", sys, address))
		v->iommu_group = atoi(strrchr(link, '/') + 1);
	dir = probe_opendir(p, "%s/%s/nvme", sys, address);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		probe_read(p, v->model, sizeof(v->model), "%s/%s/nvme/%s/model", sys, address,
			   e->d_name);
		probe_read(p, v->serial, sizeof(v->serial), "%s/%s/nvme/%s/serial", sys, address,
			   e->d_name);
		probe_read(p, v->firmware, sizeof(v->firmware), "%s/%s/nvme/%s/firmware_rev", sys,
			   address, e->d_name);
	}
	if (dir)
		closedir(dir);
}

static int fill_nvmes(struct probe *p, struct probe_node *n)
{
	DIR *dir = probe_opendir(p, "/sys/bus/pci/devices");
	struct dirent *e;
	int rc = 0;

	while (dir && rc == 0 && (e = readdir(dir))) {
		struct probe_nvme *more;
		char class[16];

		if (!probe_read(p, class, sizeof(class), "/sys/bus/pci/devices/%s/class",
				e->d_name) ||
		    strcmp(class, PCI_CLASS_NVME) != 0)
			continue;
		more = realloc(n->nvme, (n->nvme_count + 1) * sizeof(*more));
		if (!more) {
			rc = -ENOMEM;
			continue;
		}
		n->nvme = more;
		memset(&more[n->nvme_count], 0, sizeof(*more));
		fill_nvme(p, &more[n->nvme_count++], e->d_name);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int probe_node(struct probe *p, struct probe_node *out)
{
	struct utsname uts;
	unsigned int count;

	memset(out, 0, sizeof(*out));
	if (uname(&uts) == 0) {
		snprintf(out->hostname, sizeof(out->hostname), "%.64s", uts.nodename);
		snprintf(out->kernel, sizeof(out->kernel), "%.64s", uts.release);
	}
	out->cpus = count_entries(p, "/sys/devices/system/cpu", "cpu");
	out->numa_nodes = count_entries(p, "/sys/devices/system/node", "node");
	count = count_entries(p, "/sys/kernel/iommu_groups", "");
	out->iommu = count > 0;
	out->vfio = probe_exists(p, "/sys/module/vfio_pci");
	fill_memory(p, out);
	fill_hugepages(p, out);
	fill_io_uring(p, out);
	return fill_nvmes(p, out);
}

void probe_node_fini(struct probe_node *n)
{
	free(n->nvme);
	n->nvme = NULL;
	n->nvme_count = 0;
}

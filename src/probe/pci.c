/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe controllers on PCI with whoever drives them, and IOMMU groups.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/internal.h"

#define PCI_CLASS_NVME "0x0108" /* non-volatile memory, any programming interface */
#define PCI_DEVICES    "/sys/bus/pci/devices"
#define IOMMU_GROUPS   "/sys/kernel/iommu_groups"
/* SPDK holds a lock on this file for each function that it has claimed. */
#define PCI_LOCK "/var/tmp/spdk_pci_lock_"

static void add_word(char *list, size_t size, const char *word)
{
	size_t at = strlen(list);

	if (at + strlen(word) + 2 <= size)
		snprintf(list + at, size - at, "%s%s", at ? " " : "", word);
}

static void fill_controller(struct probe *p, struct probe_nvme *v)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/nvme", v->address);
	dir = probe_opendir(p, "%s", path);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] != '.')
			snprintf(v->controller, sizeof(v->controller), "%.31s", e->d_name);
	}
	if (dir)
		closedir(dir);
	if (!v->controller[0])
		return;
	probe_read(p, v->model, sizeof(v->model), "%s/%s/model", path, v->controller);
	probe_read(p, v->serial, sizeof(v->serial), "%s/%s/serial", path, v->controller);
	probe_read(p, v->firmware, sizeof(v->firmware), "%s/%s/firmware_rev", path, v->controller);
	probe_read(p, v->health.state, sizeof(v->health.state), "%s/%s/state", path, v->controller);
}

static void fill_nvme(struct probe *p, struct probe_nvme *v, const char *address)
{
	char link[PATH_MAX], vendor[16], device[16], text[16];

	memset(v, 0, sizeof(*v));
	snprintf(v->address, sizeof(v->address), "%.31s", address);
	if (probe_readlink(p, link, sizeof(link), PCI_DEVICES "/%s/driver", address))
		probe_last_part(v->driver, sizeof(v->driver), link);
	probe_read(p, vendor, sizeof(vendor), PCI_DEVICES "/%s/vendor", address);
	probe_read(p, device, sizeof(device), PCI_DEVICES "/%s/device", address);
	snprintf(v->vendor_device, sizeof(v->vendor_device), "%.4s:%.4s",
		 strlen(vendor) > 2 ? vendor + 2 : "", strlen(device) > 2 ? device + 2 : "");
	v->numa_node = probe_read(p, text, sizeof(text), PCI_DEVICES "/%s/numa_node", address)
			       ? atoi(text)
			       : -1;
	v->iommu_group = -1;
	if (probe_readlink(p, link, sizeof(link), PCI_DEVICES "/%s/iommu_group", address)) {
		probe_last_part(text, sizeof(text), link);
		v->iommu_group = atoi(text);
	}
	v->health.temperature = PROBE_TEMPERATURE_UNKNOWN;
	fill_controller(p, v);
}

static void object(struct probe_nvme *v, enum probe_reason reason, enum probe_verdict verdict,
		   const char *remedy, const char *text)
{
	if (verdict <= v->finding.verdict)
		return;
	v->finding.reason = reason;
	v->finding.verdict = verdict;
	snprintf(v->finding.text, sizeof(v->finding.text), "%s", text);
	snprintf(v->finding.remedy, sizeof(v->finding.remedy), "%s", remedy);
}

/* Several controllers may lead to one namespace, which the kernel shows below one of them. */
static bool leads_to(struct probe *p, const struct probe_nvme *v, const struct probe_device *d)
{
	unsigned int head, namespace, controller;

	if (!strcmp(d->address, v->address))
		return true;
	return sscanf(d->name, "nvme%un%u", &head, &namespace) == 2 &&
	       sscanf(v->controller, "nvme%u", &controller) == 1 &&
	       probe_exists(p, PCI_DEVICES "/%s/nvme/%s/nvme%uc%un%u", v->address, v->controller,
			    head, controller, namespace);
}

/* What stands against a namespace stands against its controller. */
static void take_namespaces(struct probe *p, struct probe_nvme *v,
			    const struct probe_devices *devices)
{
	char text[320];

	for (size_t i = 0; devices && i < devices->count; i++) {
		const struct probe_device *d = &devices->items[i];
		const struct probe_finding *f = probe_device_reason(d);

		if (strcmp(d->kind, "disk") != 0 || !leads_to(p, v, d))
			continue;
		add_word(v->namespaces, sizeof(v->namespaces), d->name);
		v->size += d->size;
		v->health = d->health;
		if (!f)
			continue;
		snprintf(text, sizeof(text), "%s: %.280s", v->address, f->text);
		object(v, f->reason, f->verdict, f->remedy, text);
	}
}

static dev_t read_dev(struct probe *p, const char *path)
{
	unsigned int major, minor;
	char text[32];

	return probe_read(p, text, sizeof(text), "%s", path) &&
			       sscanf(text, "%u:%u", &major, &minor) == 2
		       ? makedev(major, minor)
		       : 0;
}

/* Of vfio-pci the group's device, of uio the function's own: who has it open drives the function.
 */
static dev_t user_device(struct probe *p, const struct probe_nvme *v, char *path, size_t size)
{
	char sys[PATH_MAX];
	struct dirent *e;
	dev_t dev = 0;
	DIR *dir;

	path[0] = '\0';
	if (v->iommu_group >= 0) {
		snprintf(path, size, "/dev/vfio/%d", v->iommu_group);
		snprintf(sys, sizeof(sys), "/sys/class/vfio/%d/dev", v->iommu_group);
		dev = read_dev(p, sys);
	}
	dir = probe_opendir(p, PCI_DEVICES "/%s/uio", v->address);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, size, "/dev/%.40s", e->d_name);
		snprintf(sys, sizeof(sys), PCI_DEVICES "/%s/uio/%s/dev", v->address, e->d_name);
		dev = read_dev(p, sys);
	}
	if (dir)
		closedir(dir);
	return dev;
}

static void find_user(struct probe *p, struct probe_nvme *v)
{
	char path[64], text[320];
	dev_t dev = user_device(p, v, path, sizeof(path));
	const struct probe_open *o = NULL;

	if (path[0] && (dev || !p->live))
		o = probe_opened(p, path, S_IFCHR, dev, 0);
	if (!o)
		return;
	snprintf(text, sizeof(text),
		 "%s is driven from user space by process %d (%s), which has %s open", v->address,
		 o->pid, o->command, path);
	object(v, PROBE_REASON_USER_SPACE, PROBE_IN_USE, "end that process", text);
}

static void find_lock(struct probe *p, struct probe_nvme *v)
{
	char path[2 * PATH_MAX], text[320];
	struct stat st;
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "%s" PCI_LOCK "%s", p->root, v->address);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	pid = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? probe_lock_pid(p, &st) : 0;
	close(fd);
	if (!pid)
		return;
	snprintf(text, sizeof(text), "%s is claimed by the SPDK process %d (lock " PCI_LOCK "%s)",
		 v->address, pid, v->address);
	object(v, PROBE_REASON_USER_SPACE, PROBE_IN_USE, "end that process", text);
}

static void find_driver(struct probe_nvme *v)
{
	char text[320];

	if (!strcmp(v->driver, "nvme"))
		return;
	snprintf(text, sizeof(text), "%s is bound to %s, so what is on it cannot be seen",
		 v->address, v->driver[0] ? v->driver : "no driver");
	object(v, PROBE_REASON_DRIVER, PROBE_HOLDS_DATA,
	       "bind it to the nvme driver to look, or name it with --force if you know", text);
}

static int add_nvme(struct probe *p, const struct probe_devices *devices, struct probe_node *n,
		    const char *address)
{
	struct probe_nvme *more = realloc(n->nvme, (n->nvme_count + 1) * sizeof(*more));
	struct probe_nvme *v;

	if (!more)
		return -ENOMEM;
	n->nvme = more;
	v = &more[n->nvme_count++];
	fill_nvme(p, v, address);
	take_namespaces(p, v, devices);
	find_user(p, v);
	find_lock(p, v);
	find_driver(v);
	if (!v->controller[0])
		snprintf(v->health.note, sizeof(v->health.note),
			 "the nvme driver does not have it, so nobody can be asked");
	else if (!v->namespaces[0])
		snprintf(v->health.note, sizeof(v->health.note),
			 "it has no namespace through which its SMART log could be read");
	return 0;
}

static int fill_nvmes(struct probe *p, const struct probe_devices *devices, struct probe_node *n)
{
	DIR *dir = probe_opendir(p, PCI_DEVICES);
	struct dirent *e;
	int rc = 0;

	while (dir && rc == 0 && (e = readdir(dir))) {
		char class[16];

		if (probe_read(p, class, sizeof(class), PCI_DEVICES "/%s/class", e->d_name) &&
		    !strncmp(class, PCI_CLASS_NVME, strlen(PCI_CLASS_NVME)))
			rc = add_nvme(p, devices, n, e->d_name);
	}
	if (dir)
		closedir(dir);
	return rc;
}

static void fill_members(struct probe *p, struct probe_group *g)
{
	DIR *dir = probe_opendir(p, IOMMU_GROUPS "/%d/devices", g->number);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] != '.')
			add_word(g->members, sizeof(g->members), e->d_name);
	}
	if (dir)
		closedir(dir);
}

static int by_number(const void *a, const void *b)
{
	return ((const struct probe_group *)a)->number - ((const struct probe_group *)b)->number;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct probe_nvme *)a)->address,
		      ((const struct probe_nvme *)b)->address);
}

static int fill_groups(struct probe *p, struct probe_node *n)
{
	DIR *dir = probe_opendir(p, IOMMU_GROUPS);
	struct dirent *e;
	int rc = 0;

	while (dir && rc == 0 && (e = readdir(dir))) {
		struct probe_group *more;

		if (!probe_is_pid(e->d_name) && strcmp(e->d_name, "0") != 0)
			continue;
		more = realloc(n->groups, (n->group_count + 1) * sizeof(*more));
		if (!more) {
			rc = -ENOMEM;
			continue;
		}
		n->groups = more;
		memset(&more[n->group_count], 0, sizeof(*more));
		more[n->group_count].number = atoi(e->d_name);
		fill_members(p, &more[n->group_count++]);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int probe_pci(struct probe *p, const struct probe_devices *devices, struct probe_node *n)
{
	int rc = fill_nvmes(p, devices, n);

	if (rc == 0)
		rc = fill_groups(p, n);
	if (n->nvme_count)
		qsort(n->nvme, n->nvme_count, sizeof(*n->nvme), by_address);
	if (n->group_count)
		qsort(n->groups, n->group_count, sizeof(*n->groups), by_number);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions taken from their driver and given to vfio-pci, and back. Linux,
 * Documentation/ABI/testing/sysfs-bus-pci: driver_override, unbind, drivers_probe.
 *
 * Threading: as driver.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/env.h"
#include "driver/sysfs.h"

#define DEVICES	      "/sys/bus/pci/devices"
#define VFIO	      ENV_DRIVER_VFIO
#define CLASS_NVME    "0x010802"
#define CLASS_BRIDGE  "0x06"
#define DRIVER_WAIT   (2 * NS_PER_SEC)
#define DRIVER_STEP   (5 * NS_PER_MSEC)
#define ATTRIBUTE_MAX 128

static const char *attribute(char out[static ATTRIBUTE_MAX], const char *address, const char *name)
{
	snprintf(out, ATTRIBUTE_MAX, DEVICES "/%.32s/%s", address, name);
	return out;
}

/* dddd:bb:dd.f, in lower-case hexadecimal as the kernel writes it. */
static bool is_address(const char *text)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (size_t i = 0; i < sizeof(form); i++) {
		bool hex = isdigit((unsigned char)text[i]) || (text[i] >= 'a' && text[i] <= 'f');

		if (form[i] == 'x' ? !hex : text[i] != form[i])
			return false;
	}
	return true;
}

bool env_address(const char *text, char out[static ENV_ADDRESS_SIZE])
{
	bool has_domain = strlen(text) == sizeof("0000:01:00.0") - 1;

	if (snprintf(out, ENV_ADDRESS_SIZE, "%s%s", has_domain ? "" : "0000:", text) >=
	    ENV_ADDRESS_SIZE)
		return false;
	for (char *c = out; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return is_address(out);
}

/* --- may it be taken ------------------------------------------------------------------------ */

static int check_kind(const char *root, const char *address, struct error *err)
{
	char path[ATTRIBUTE_MAX], class[16];

	if (!is_address(address))
		return error_set(err, -EINVAL,
				 "\"%.40s\" is no address of a PCI function: write it as in "
				 "0000:01:00.0 (`discover` lists them)",
				 address);
	if (!sysfs_text(root, attribute(path, address, "class"), class, sizeof(class)))
		return error_set(err, -ENOENT,
				 "there is no PCI function %s here: `discover` lists the NVMe "
				 "functions",
				 address);
	if (strcmp(class, CLASS_NVME) != 0)
		return error_set(err, -EINVAL,
				 "PCI function %s has the class %s and is no NVMe controller (%s): "
				 "only those are bound to vfio-pci here",
				 address, class, CLASS_NVME);
	return 0;
}

int env_driver(const char *root, const char *address, char driver[static 32], struct error *err)
{
	char path[ATTRIBUTE_MAX];
	int rc = check_kind(root, address, err);

	if (rc == 0)
		sysfs_link(root, attribute(path, address, "driver"), driver, 32);
	return rc;
}

static int check_vfio(const char *root, const char *address, struct error *err)
{
	char path[ATTRIBUTE_MAX], group[16];

	if (!sysfs_link(root, attribute(path, address, "iommu_group"), group, sizeof(group)))
		return error_set(err, -ENOTSUP,
				 "PCI function %s has no IOMMU group: switch the IOMMU on in the "
				 "firmware and by intel_iommu=on or amd_iommu=on",
				 address);
	if (!sysfs_exists(root, "/sys/bus/pci/drivers/" VFIO))
		return error_set(err, -ENOTSUP,
				 "the driver vfio-pci is not loaded: `modprobe -a vfio-pci "
				 "vfio_iommu_type1`");
	return 0;
}

/* A group is given to user space as a whole; bridges and what has no driver do not hinder. */
static bool hinders(const char *root, const char *other, char driver[static 32])
{
	char path[ATTRIBUTE_MAX], class[16];

	sysfs_text(root, attribute(path, other, "class"), class, sizeof(class));
	return sysfs_link(root, attribute(path, other, "driver"), driver, 32) &&
	       strcmp(driver, VFIO) != 0 && strncmp(class, CLASS_BRIDGE, strlen(CLASS_BRIDGE)) != 0;
}

static int check_group(const char *root, const char *address, struct error *err)
{
	char path[PATH_MAX], driver[32];
	struct dirent *e;
	int rc = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s" DEVICES "/%s/iommu_group/devices", root, address);
	dir = opendir(path);
	while (dir && rc == 0 && (e = readdir(dir))) {
		if (e->d_name[0] != '.' && strcmp(e->d_name, address) != 0 &&
		    hinders(root, e->d_name, driver))
			rc = error_set(err, -EINVAL,
				       "PCI function %s shares its IOMMU group with %.32s, which "
				       "the driver %s has: take one that has a group of its own, "
				       "or unbind that first",
				       address, e->d_name, driver);
	}
	if (dir)
		closedir(dir);
	return rc;
}

/* The namespaces of a function are block devices below its nvme controller. */
static bool has_block_device(const char *root, const char *address, const char *name)
{
	char path[PATH_MAX], inner[PATH_MAX + NAME_MAX * 2 + 2];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s" DEVICES "/%s/nvme", root, address);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s/%s", path, e->d_name, name);
		found = access(inner, F_OK) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

static int judge(const struct probe_device *dev, const char *address, struct error *err)
{
	const struct probe_finding *f = probe_device_reason(dev);

	if (!f || f->verdict != PROBE_IN_USE)
		return 0;
	return error_set(err, -EBUSY,
			 "PCI function %s cannot be taken from its driver: %s; to use it here: %s",
			 address, f->text, f->remedy);
}

static int judge_data(const struct probe_device *dev, const char *address, const char *force,
		      struct error *err)
{
	const struct probe_finding *f = probe_device_reason(dev);

	if (!f || f->verdict != PROBE_HOLDS_DATA || (force && !strcmp(force, dev->serial)))
		return 0;
	return error_set(err, -ENOTEMPTY,
			 "PCI function %s: %s; a target may overwrite that: if you mean it, add "
			 "--force %s",
			 address, f->text, dev->serial);
}

/* Bound to vfio-pci already: a program that has it open has its group open. */
static int check_free_group(const char *root, const char *address, struct error *err)
{
	char path[ATTRIBUTE_MAX], group[16], file[64];
	int fd;

	if (root[0] || !sysfs_link(root, attribute(path, address, "iommu_group"), group, 16))
		return 0;
	snprintf(file, sizeof(file), "/dev/vfio/%s", group);
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return error_set(err, -EBUSY,
				 "PCI function %s is in use: a program has %s open; stop that "
				 "first",
				 address, file);
	if (fd >= 0)
		close(fd);
	return 0;
}

/* @seen: whose data was judged already. */
static int check_namespaces(const char *root, struct probe *probe, const char *address, bool data,
			    const char *seen, const char *force, struct error *err)
{
	struct probe_devices all;
	int rc = probe_devices(probe, &all, err);

	for (size_t i = 0; rc == 0 && i < all.count; i++) {
		if (!has_block_device(root, address, all.items[i].name) &&
		    strcmp(all.items[i].address, address) != 0)
			continue;
		rc = judge(&all.items[i], address, err);
		if (rc == 0 && data && (!seen || strcmp(seen, all.items[i].name) != 0))
			rc = judge_data(&all.items[i], address, force, err);
	}
	probe_devices_fini(&all);
	return rc;
}

int env_check_device(const char *root, struct probe *probe, const char *address, struct error *err)
{
	int rc = check_free_group(root, address, err);

	return rc < 0 ? rc : check_namespaces(root, probe, address, false, NULL, NULL, err);
}

/* Of the controller that the kernel's driver made of it; "" when it made none. */
static void read_serial(const char *root, const char *address, char *out, size_t size)
{
	char path[PATH_MAX], inner[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s" DEVICES "/%s/nvme", root, address);
	dir = opendir(path);
	while (dir && !out[0] && (e = readdir(dir))) {
		snprintf(inner, sizeof(inner), DEVICES "/%s/nvme/%s/serial", address, e->d_name);
		if (e->d_name[0] != '.')
			sysfs_text(root, inner, out, size);
	}
	if (dir)
		closedir(dir);
	for (size_t n = strlen(out); n && out[n - 1] == ' '; n--)
		out[n - 1] = '\0';
}

int env_check_serial(const char *root, const struct env_device *d, struct error *err)
{
	char now[sizeof(d->serial)];

	read_serial(root, d->address, now, sizeof(now));
	if (!now[0] || !d->serial[0] || !strcmp(now, d->serial))
		return 0;
	return error_set(err, -ENODEV,
			 "PCI function %s is another one than install was given: its serial is "
			 "\"%s\", recorded is \"%s\": put that back to where it was, or uninstall "
			 "the accelerator",
			 d->address, now, d->serial);
}

static int append(const char *root, const char *address, struct environment *e, struct error *err)
{
	struct env_device *d = &e->devices[e->device_count];
	char path[ATTRIBUTE_MAX];

	for (size_t i = 0; i < e->device_count; i++) {
		if (!strcmp(e->devices[i].address, address))
			return error_set(err, -EINVAL, "PCI function %s is named twice", address);
	}
	if (e->device_count == ENV_DEVICES_MAX)
		return error_set(err, -E2BIG, "at most %d PCI functions may be bound",
				 ENV_DEVICES_MAX);
	snprintf(d->address, sizeof(d->address), "%s", address);
	sysfs_link(root, attribute(path, address, "driver"), d->driver, sizeof(d->driver));
	sysfs_text(root, attribute(path, address, "driver_override"), d->override,
		   sizeof(d->override));
	if (!strcmp(d->override, "(null)"))
		memset(d->override, 0, sizeof(d->override));
	read_serial(root, address, d->serial, sizeof(d->serial));
	e->device_count++;
	return 0;
}

int env_plan_device(const char *root, struct probe *probe, const char *address, const char *seen,
		    const char *force, struct environment *e, struct error *err)
{
	int rc = check_kind(root, address, err);

	if (rc == 0)
		rc = check_vfio(root, address, err);
	if (rc == 0)
		rc = check_group(root, address, err);
	if (rc == 0)
		rc = check_free_group(root, address, err);
	if (rc == 0)
		rc = check_namespaces(root, probe, address, true, seen, force, err);
	return rc < 0 ? rc : append(root, address, e, err);
}

/* --- taking and giving back ----------------------------------------------------------------- */

static bool has_driver(const char *root, const char *address, const char *driver)
{
	char path[ATTRIBUTE_MAX], now[32];

	sysfs_link(root, attribute(path, address, "driver"), now, sizeof(now));
	return !strcmp(now, driver);
}

/* A driver may take its time to come or to go. */
static int wait_driver(const char *root, const char *address, const char *driver, struct error *err)
{
	const struct timespec step = { .tv_nsec = DRIVER_STEP };
	uint64_t until = clock_ns() + DRIVER_WAIT;
	char path[ATTRIBUTE_MAX], now[32];

	while (!has_driver(root, address, driver)) {
		if (clock_ns() > until) {
			sysfs_link(root, attribute(path, address, "driver"), now, sizeof(now));
			return error_set(err, -EIO,
					 "PCI function %s has the driver \"%s\" and should have "
					 "\"%s\": see the kernel's log (dmesg)",
					 address, now, driver);
		}
		nanosleep(&step, NULL);
	}
	return 0;
}

static int set_override(const char *root, const char *address, const char *driver,
			struct error *err)
{
	char path[ATTRIBUTE_MAX], text[40];

	snprintf(text, sizeof(text), "%s\n", driver);
	return sysfs_write(root, attribute(path, address, "driver_override"), text, err);
}

static int release_driver(const char *root, const char *address, struct error *err)
{
	char path[ATTRIBUTE_MAX];
	int rc = 0;

	if (!has_driver(root, address, ""))
		rc = sysfs_write(root, attribute(path, address, "driver/unbind"), address, err);
	return rc < 0 ? rc : wait_driver(root, address, "", err);
}

static int find_driver(const char *root, const char *address, const char *driver, struct error *err)
{
	int rc = sysfs_write(root, "/sys/bus/pci/drivers_probe", address, err);

	return rc < 0 ? rc : wait_driver(root, address, driver, err);
}

int env_bind(const char *root, const struct env_device *d, struct error *err)
{
	int rc;

	if (has_driver(root, d->address, VFIO))
		return 0;
	rc = set_override(root, d->address, VFIO, err);
	if (rc == 0)
		rc = release_driver(root, d->address, err);
	return rc < 0 ? rc : find_driver(root, d->address, VFIO, err);
}

int env_unbind(const char *root, const struct env_device *d, struct error *err)
{
	char path[ATTRIBUTE_MAX];
	int rc = 0;

	if (!sysfs_exists(root, attribute(path, d->address, "class")) || !strcmp(d->driver, VFIO))
		return 0;
	if (has_driver(root, d->address, VFIO))
		rc = release_driver(root, d->address, err);
	if (rc == 0)
		rc = set_override(root, d->address, d->override, err);
	if (rc == 0 && d->driver[0] && !has_driver(root, d->address, d->driver))
		rc = find_driver(root, d->address, d->driver, err);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install on a PCI function: its name, and what the kernel shows of it, see function.h.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/function.h"
#include "driver/install.h"
#include "driver/sysfs.h"

#define ROOT	 "" /* the running system */
#define PREFIX	 "nvme:"
#define NSID_MAX UINT32_C(0xfffffffe) /* NVMe base 2.0, section 3.2.1 */

bool is_function(const struct accelerator *a)
{
	return !strcmp(a->kind, KIND_FUNCTION);
}

/* --- its name --------------------------------------------------------------------------------- */

static int read_nsid(const char *text, const char *word, uint32_t *out, struct error *err)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(word, &end, 10);
	if (*word < '0' || *word > '9' || *end || errno || value == 0 || value > NSID_MAX)
		return error_set(err, -EINVAL,
				 "backing %.80s: behind the function's address stands the number "
				 "of a namespace, from 1 on, as in 0000:01:00.0/1",
				 text);
	*out = (uint32_t)value;
	return 0;
}

int function_named(const char *text, struct function_name *out, struct error *err)
{
	const char *at = strncmp(text, PREFIX, strlen(PREFIX)) ? text : text + strlen(PREFIX);
	size_t len = strcspn(at, "/");
	char address[32];
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (len >= sizeof(address))
		return 0;
	snprintf(address, sizeof(address), "%.*s", (int)len, at);
	if (!env_address(address, out->address))
		return 0;
	if (at[len])
		rc = read_nsid(text, at + len + 1, &out->nsid, err);
	return rc < 0 ? rc : 1;
}

/* --- its namespaces, as the kernel shows them ------------------------------------------------- */

static bool is_namespace(const struct probe_device *dev, const struct accelerator *a)
{
	return !strcmp(dev->address, a->path) && !strcmp(dev->kind, "disk");
}

static uint32_t nsid_of(const struct probe_device *dev)
{
	char path[NAME_MAX + 40];
	uint64_t nsid;

	snprintf(path, sizeof(path), "/sys/class/block/%s/nsid", dev->name);
	return sysfs_u64(ROOT, path, &nsid) == 0 && nsid <= NSID_MAX ? (uint32_t)nsid : 0;
}

static void name_namespaces(const struct probe_devices *all, const struct accelerator *a, char *out,
			    size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < all->count && at < size; i++) {
		if (is_namespace(&all->items[i], a))
			at += (size_t)snprintf(out + at, size - at, "%s%u (%s)", at ? ", " : "",
					       nsid_of(&all->items[i]), all->items[i].name);
	}
}

int function_several(const struct accelerator *a, const char *list, uint32_t nsid,
		     struct error *err)
{
	return error_set(err, -EINVAL,
			 "PCI function %s has the namespaces %s: name one, as in --backing %s/%u",
			 a->path, list, a->path, nsid);
}

/* The one that is named, or the only one. */
static int choose(const struct probe_devices *all, const struct accelerator *a,
		  const struct probe_device **out, struct error *err)
{
	size_t found = 0;
	char list[256];

	*out = NULL;
	for (size_t i = 0; i < all->count; i++) {
		const struct probe_device *dev = &all->items[i];

		if (!is_namespace(dev, a) || (a->nsid && nsid_of(dev) != a->nsid))
			continue;
		*out = dev;
		found++;
	}
	if (found == 1)
		return 0;
	name_namespaces(all, a, list, sizeof(list));
	if (found > 1)
		return function_several(a, list, nsid_of(*out), err);
	return error_set(err, -ENODEV,
			 "PCI function %s has no %s: there %s %s; `nvme create-ns` "
			 "makes one",
			 a->path, a->nsid ? "namespace of that number" : "namespace",
			 list[0] ? "are" : "is", list[0] ? list : "none");
}

/* Only the controller's own serial is what the target will tell too. */
static void take_serial(const struct probe_device *dev, struct accelerator *a)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/block/%.40s/device/serial", dev->name);
	sysfs_text(ROOT, path, a->serial, sizeof(a->serial));
	for (size_t n = strlen(a->serial); n && a->serial[n - 1] == ' '; n--)
		a->serial[n - 1] = '\0';
	if (!a->serial[0])
		snprintf(a->serial, sizeof(a->serial), "%s", dev->serial);
}

/* More of what is named is read than of what is listed. */
static int judge_named(struct driver *d, const char *path, const char *force, struct accelerator *a,
		       struct error *err)
{
	struct probe_device *dev = calloc(1, sizeof(*dev));
	int rc = dev ? probe_path(d->probe, path, dev, err)
		     : error_set(err, -ENOMEM, "out of memory");

	if (rc == 0) {
		rc = backing_judge(d, dev, force, a, err);
		probe_device_fini(dev);
	}
	free(dev);
	return rc;
}

static int take_seen(struct verb_run *v, const struct probe_device *dev, const char *force,
		     struct accelerator *a, struct error *err)
{
	int rc = judge_named(v->d, dev->path, force, a, err);

	if (rc < 0)
		return rc;
	a->nsid = nsid_of(dev);
	a->size = dev->size;
	a->block_size = dev->block_size;
	take_serial(dev, a);
	function_identity(dev->name, a->identity);
	snprintf(a->bdev, sizeof(a->bdev), "%sn%u", a->id, a->nsid);
	json_object_set_new(v->argument, "seen", json_string(dev->name));
	return 0;
}

static int plan_seen(struct verb_run *v, const char *force, struct accelerator *a,
		     struct error *err)
{
	const struct probe_device *dev;
	struct probe_devices all;
	int rc = probe_devices(v->d->probe, &all, err);

	if (rc == 0)
		rc = choose(&all, a, &dev, err);
	if (rc == 0)
		rc = take_seen(v, dev, force, a, err);
	probe_devices_fini(&all);
	return rc;
}

/* --- the plan --------------------------------------------------------------------------------- */

static bool is_to_be_bound(const json_t *request, const char *address)
{
	char named[ENV_ADDRESS_SIZE];
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(request, "bind"), i, v) {
		if (json_is_string(v) && env_address(json_string_value(v), named) &&
		    !strcmp(named, address))
			return true;
	}
	return false;
}

static int check_bound(const json_t *request, const struct accelerator *a, const char *driver,
		       struct error *err)
{
	if (!strcmp(driver, ENV_DRIVER_VFIO) || is_to_be_bound(request, a->path))
		return 0;
	return error_set(err, -EBUSY,
			 "PCI function %s has %s%s: add --bind %s to have it given to vfio-pci "
			 "until uninstall%s",
			 a->path, driver[0] ? "the driver " : "no driver", driver, a->path,
			 strcmp(driver, ENV_DRIVER_NVME)
				 ? ""
				 : ", or name its block device (--backing /dev/nvme...)");
}

int function_plan(struct verb_run *v, const struct function_name *name, const json_t *request,
		  struct accelerator *a, struct error *err)
{
	const char *force = json_string_value(json_object_get(request, "force"));
	char driver[32];
	int rc;

	snprintf(a->kind, sizeof(a->kind), KIND_FUNCTION);
	snprintf(a->path, sizeof(a->path), "%s", name->address);
	a->nsid = name->nsid;
	if (request_u64(request, "size", 0, err))
		return error_set(err, -EINVAL,
				 "PCI function %s: a namespace has its own size: leave --size away",
				 a->path);
	rc = env_driver(ROOT, a->path, driver, err);
	if (rc == 0)
		rc = backing_check_unshared(v->d, a, err);
	if (rc == 0)
		rc = function_check_not_moved(v->d, a->path, err);
	if (rc == 0)
		rc = check_bound(request, a, driver, err);
	if (rc == 0 && !strcmp(driver, ENV_DRIVER_NVME))
		return plan_seen(v, force, a, err);
	if (rc == 0) {
		json_object_set_new(v->argument, "unseen", json_true());
		json_object_set_new(v->argument, "named", json_boolean(a->store[0] != '\0'));
		if (force)
			json_object_set_new(v->argument, "force", json_string(force));
	}
	return rc;
}

static bool has_line(const char *lines, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = lines; (at = strstr(at, line)); at += len) {
		if ((at == lines || at[-1] == '\n') && (at[len] == '\n' || !at[len]))
			return true;
	}
	return false;
}

int function_check_kit(const struct verb_run *v, const struct accelerator *a, const struct kit *kit,
		       struct error *err)
{
	const char *seen = json_string_value(json_object_get(v->argument, "seen"));

	if (!strcmp(kit->kind, "engine"))
		return error_set(err, -ENOTSUP,
				 "the engine %s cannot drive PCI functions: name the block device "
				 "of %s (--backing /dev/%s), or a real SPDK by --target",
				 kit->path, a->path, seen ? seen : "nvme0n1, bound to nvme");
	if (has_line(a->arguments, "--no-pci") || has_line(a->arguments, "-u"))
		return error_set(err, -EINVAL,
				 "the argument --no-pci keeps the target from PCI function %s: "
				 "leave it away",
				 a->path);
	return 0;
}

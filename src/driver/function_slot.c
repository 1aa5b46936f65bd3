/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place that a function is in, before and beside the target, see function.h.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/drift.h"
#include "driver/function.h"
#include "driver/sysfs.h"

#define ROOT "" /* the running system */

void function_identity(const char *name, char out[static STATE_IDENTITY_SIZE])
{
	char path[NAME_MAX + 40], wwid[96];

	out[0] = '\0';
	snprintf(path, sizeof(path), "/sys/class/block/%s/wwid", name);
	/* "nvme.VENDOR-SERIAL-MODEL-NSID" is made up by the kernel for one that has no id. */
	if (sysfs_text(ROOT, path, wwid, sizeof(wwid)) && strlen(wwid) < STATE_IDENTITY_SIZE &&
	    (!strncmp(wwid, "uuid.", 5) || !strncmp(wwid, "eui.", 4)))
		snprintf(out, STATE_IDENTITY_SIZE, "%s", wwid);
}

/* What the kernel's driver tells of all NVMe functions; NULL when memory is short. */
static struct probe_node *look(struct driver *d)
{
	struct probe_node *node = calloc(1, sizeof(*node));

	if (node && probe_node(d->probe, NULL, node) < 0) {
		free(node);
		return NULL;
	}
	return node;
}

static const struct probe_nvme *at_address(const struct probe_node *node, const char *address)
{
	for (size_t i = 0; i < node->nvme_count; i++) {
		if (!strcmp(node->nvme[i].address, address))
			return &node->nvme[i];
	}
	return NULL;
}

/* Nothing says that @a is not where it was; under vfio-pci the kernel tells no serial. */
static bool is_in_place(const struct probe_node *node, const struct accelerator *a)
{
	const struct probe_nvme *f = at_address(node, a->path);

	return f && (!f->controller[0] || !strcmp(f->serial, a->serial));
}

bool function_is_of(const struct probe_node *node, const struct probe_nvme *f,
		    const struct accelerator *a)
{
	if (!is_function(a))
		return false;
	if (!strcmp(f->address, a->path))
		return true;
	return a->serial[0] && !strcmp(f->serial, a->serial) && !is_in_place(node, a);
}

static int refuse_moved(const struct probe_node *node, const struct probe_nvme *f,
			const struct accelerator *a, struct error *err)
{
	if (!strcmp(f->address, a->path) || !function_is_of(node, f, a))
		return 0;
	return error_set(err, -EBUSY,
			 "PCI function %s has the serial \"%s\", that of accelerator %s, which was "
			 "at %s: put it back to there, or uninstall the accelerator with "
			 "--keep-backing first",
			 f->address, f->serial, a->id, a->path);
}

int function_check_not_moved(struct driver *d, const char *address, struct error *err)
{
	struct probe_node *node = look(d);
	const struct probe_nvme *f = node ? at_address(node, address) : NULL;
	struct accelerator *list = NULL;
	ssize_t n = node ? state_accelerators(d->state, &list, err)
			 : error_set(err, -ENOMEM, "out of memory");
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; f && i < n && rc == 0; i++)
		rc = refuse_moved(node, f, &list[i], err);
	free(list);
	if (node)
		probe_node_fini(node);
	free(node);
	return rc;
}

/* "; its serial ... is at ... now", where the kernel shows it elsewhere. */
static void tell_elsewhere(const struct probe_node *node, const struct accelerator *a, char *out,
			   size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < node->nvme_count; i++) {
		const struct probe_nvme *f = &node->nvme[i];

		if (a->serial[0] && !strcmp(f->serial, a->serial) && strcmp(f->address, a->path))
			snprintf(out, size, "; its serial \"%s\" is at %s now", a->serial,
				 f->address);
	}
}

#define REMEDY                                                                                     \
	": put it back to where it was, or uninstall the accelerator with --keep-backing and "     \
	"install it where it is now"

static int judge_slot(const struct probe_node *node, const struct accelerator *a, struct error *err)
{
	const struct probe_nvme *f = at_address(node, a->path);
	char elsewhere[160];

	tell_elsewhere(node, a, elsewhere, sizeof(elsewhere));
	if (!f)
		return error_set(err, -ENODEV, "PCI function %s of accelerator %s is gone%s" REMEDY,
				 a->path, a->id, elsewhere);
	if (!a->serial[0] || !f->controller[0] || !strcmp(f->serial, a->serial))
		return 0;
	return error_set(err, -ENODEV,
			 "PCI function %s is not that of accelerator %s: its serial is \"%s\", "
			 "recorded is \"%s\"%s" REMEDY,
			 a->path, a->id, f->serial, a->serial, elsewhere);
}

int function_check_slot(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct probe_node *node = look(d);
	int rc = node ? judge_slot(node, a, err) : error_set(err, -ENOMEM, "out of memory");

	if (node)
		probe_node_fini(node);
	free(node);
	return rc;
}

void function_slot_drift(struct driver *d, const struct accelerator *a, json_t *list)
{
	struct error err = ERROR_INIT;
	char driver[32];

	if (function_check_slot(d, a, &err) < 0)
		drift(list, "%s", err.text);
	else if (env_driver(ROOT, a->path, driver, &err) == 0 && strcmp(driver, ENV_DRIVER_VFIO))
		drift(list, "PCI function %s has %s%s and should have vfio-pci", a->path,
		      driver[0] ? "the driver " : "no driver", driver);
}

int function_hold_back(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	size_t count = 0, most = n > 0 ? (size_t)n : 0;
	const char **names = calloc(3 * most + 3, sizeof(*names));
	char(*controllers)[VHOST_NAME_SIZE] = calloc(most + 1, sizeof(*controllers));
	struct target_paths paths;
	int rc = n < 0			? (int)n
		 : names && controllers ? 0
					: error_set(err, -ENOMEM, "out of memory");

	if (rc == 0)
		rc = target_paths(d, a->id, &paths, err);
	if (rc == 0) {
		names[count++] = a->id; /* the controller */
		names[count++] = a->bdev;
		for (size_t i = 0; i < most; i++) {
			vhost_name(&list[i], controllers[i]);
			names[count++] = controllers[i];
			names[count++] = list[i].nqn;
			names[count++] = list[i].bdev;
		}
		rc = config_drop(paths.config, names, err);
	}
	free(controllers);
	free(names);
	free(list);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and functions that are accelerators' by the record: nobody else is offered them, also
 * while no target holds them, as after a boot.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/function.h"
#include "driver/look.h"

#define REMEDY "uninstall the accelerator, or recover it"

/** struct owned - what is recorded of one accelerator */
struct owned {
	struct accelerator a;
	struct environment e;
};

static int take(struct driver *d, struct owned **out, struct error *err)
{
	struct accelerator *rows = NULL;
	ssize_t n = state_accelerators(d->state, &rows, err);
	struct owned *list = n > 0 ? calloc((size_t)n, sizeof(*list)) : NULL;
	int rc = n > 0 && !list ? error_set(err, -ENOMEM, "out of memory") : (int)n;

	for (ssize_t i = 0; i < n && rc > 0; i++) {
		int one = env_load(d, rows[i].id, &list[i].e, err);

		list[i].a = rows[i];
		if (one < 0)
			rc = one;
	}
	free(rows);
	if (rc <= 0)
		free(list);
	*out = rc > 0 ? list : NULL;
	return rc;
}

static bool is_bound_for(const struct owned *o, const char *address)
{
	for (size_t i = 0; i < o->e.device_count; i++) {
		if (!strcmp(o->e.devices[i].address, address))
			return true;
	}
	return false;
}

static bool has_function(const struct owned *o, const struct probe_node *node,
			 const struct probe_nvme *f)
{
	return is_bound_for(o, f->address) || function_is_of(node, f, &o->a);
}

static bool has_device(struct driver *d, const struct owned *o, const struct probe_node *node,
		       const struct probe_device *dev)
{
	if (!strcmp(o->a.kind, "device") || !strcmp(o->a.kind, "file"))
		return probe_is_same_path(d->probe, dev->path, o->a.path);
	for (size_t i = 0; dev->address[0] && i < node->nvme_count; i++) {
		if (!strcmp(node->nvme[i].address, dev->address) &&
		    has_function(o, node, &node->nvme[i]))
			return true;
	}
	return false;
}

static void mark_device(struct driver *d, const struct owned *o, const struct probe_node *node,
			struct probe_device *dev)
{
	if (probe_device_verdict(dev) != PROBE_IN_USE && has_device(d, o, node, dev))
		probe_find(dev, PROBE_REASON_ACCELERATOR, PROBE_IN_USE, REMEDY,
			   "%s is given to the accelerator %s", dev->path, o->a.id);
}

static void mark_function(const struct owned *o, const struct probe_node *node,
			  struct probe_nvme *f)
{
	struct probe_finding *found = &f->finding;

	if (found->verdict == PROBE_IN_USE || !has_function(o, node, f))
		return;
	found->reason = PROBE_REASON_ACCELERATOR;
	found->verdict = PROBE_IN_USE;
	snprintf(found->text, sizeof(found->text), "%s is given to the accelerator %s", f->address,
		 o->a.id);
	snprintf(found->remedy, sizeof(found->remedy), REMEDY);
}

void owned_mark(struct driver *d, struct probe_device *devices, size_t count,
		struct probe_node *node)
{
	struct error ignored = ERROR_INIT;
	struct owned *list = NULL;
	int n = driver_state(d, DRIVER_STATE_READ, &ignored);

	if (n == 0)
		n = take(d, &list, &ignored);
	for (int i = 0; i < n; i++) {
		for (size_t j = 0; j < count; j++)
			mark_device(d, &list[i], node, &devices[j]);
		for (size_t j = 0; j < node->nvme_count; j++)
			mark_function(&list[i], node, &node->nvme[j]);
	}
	free(list);
}

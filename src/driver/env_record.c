/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kit needs of its node: from the request to the record, see env.h.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/drift.h"
#include "driver/function.h"

#define ROOT "" /* the running system */

static const char *const memory_names[] = { "own", "plain", "huge" };

/* --- the plan ------------------------------------------------------------------------------- */

static bool is_engine(const struct kit *kit)
{
	return !strcmp(kit->kind, "engine");
}

/* Which memory is meant: what is asked for, else what there is, else hugepages for an SPDK. */
static int plan_memory(const json_t *request, const struct kit *kit, const struct environment *old,
		       struct environment *e, struct error *err)
{
	uint64_t size = request_u64(request, "hugepages", 0, err);
	bool plain = request_flag(request, "no_huge", err);

	if (err->code)
		return err->code;
	if (size && plain)
		return error_set(err, -EINVAL, "give either --hugepages or --no-huge");
	if (size && (size < ENV_MEMORY_MIN || size > ENV_MEMORY_MAX))
		return error_set(err, -EINVAL,
				 "--hugepages of %llu bytes: allowed are 256 MiB to 1 TiB",
				 (unsigned long long)size);
	if (is_engine(kit))
		return !size ? 0
			     : error_set(err, -EINVAL, "--hugepages: %s needs none: leave it away",
					 kit->path);
	if (!size && !plain && old && old->memory != ENV_MEMORY_OWN) {
		e->memory = old->memory;
		e->size = old->size;
		return 0;
	}
	e->memory = plain ? ENV_MEMORY_PLAIN : ENV_MEMORY_HUGE;
	e->size = size ? size : ENV_MEMORY_DEFAULT;
	return 0;
}

static bool has_device(const struct environment *e, const char *address)
{
	for (size_t i = 0; i < e->device_count; i++) {
		if (!strcmp(e->devices[i].address, address))
			return true;
	}
	return false;
}

/* Only what is free of other accelerators too, whose targets may be down. */
static int plan_device(struct driver *d, const json_t *request, const char *address,
		       const struct env_function *f, struct environment *e, struct error *err)
{
	const char *force = json_string_value(json_object_get(request, "force"));
	bool is_backing = f && !strcmp(f->address, address);
	struct accelerator *list;
	struct environment other;
	ssize_t n = state_accelerators(d->state, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0; i++) {
		rc = env_load(d, list[i].id, &other, err);
		if (rc == 0 && has_device(&other, address))
			rc = error_set(err, -EBUSY,
				       "PCI function %s is given to the accelerator %s already: "
				       "uninstall that, or take another function",
				       address, list[i].id);
	}
	free(list);
	if (rc == 0)
		rc = function_check_not_moved(d, address, err);
	return rc < 0 ? rc
		      : env_plan_device(ROOT, d->probe, address, is_backing ? f->seen : NULL, force,
					e, err);
}

static int plan_devices(struct driver *d, const json_t *request, const struct env_function *f,
			struct environment *e, struct error *err)
{
	json_t *list = json_object_get(request, "bind"), *v;
	char address[ENV_ADDRESS_SIZE];
	int rc = 0;
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return error_set(err, -EINVAL,
				 "the request's \"bind\" must be an array of PCI addresses");
	json_array_foreach (list, i, v) {
		const char *text = json_string_value(v);

		text = text ? text : "";
		if (rc == 0)
			rc = plan_device(d, request, env_address(text, address) ? address : text, f,
					 e, err);
	}
	if (rc == 0 && f && !has_device(e, f->address))
		rc = plan_device(d, request, f->address, f, e, err);
	return rc;
}

static void say(struct environment *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct environment *e, const char *fmt, ...)
{
	size_t at = strlen(e->arguments);
	va_list args;

	va_start(args, fmt);
	vsnprintf(e->arguments + at, sizeof(e->arguments) - at, fmt, args);
	va_end(args);
}

static int plan_core(struct driver *d, const json_t *request, const struct kit_options *o,
		     const struct environment *old, struct environment *e, struct error *err)
{
	char arguments[ENV_ARGUMENTS_SIZE], core[ENV_CORE_SIZE];
	bool told = json_object_get(request, "arguments");
	unsigned int taken[CPU_SETSIZE] = { 0 };
	struct accelerator *list = NULL;
	struct environment other;
	ssize_t n;
	int rc = request_lines(request, "arguments", arguments, sizeof(arguments), err);

	n = rc < 0 ? rc : state_accelerators(d->state, &list, err);
	rc = n < 0 ? (int)n : 0;
	for (ssize_t i = 0; i < n && rc == 0; i++) {
		rc = env_load(d, list[i].id, &other, err);
		if (rc == 0)
			env_core_note(&other, taken);
	}
	free(list);
	if (rc < 0)
		return rc;
	env_core_plan(d->probe, told ? arguments : NULL, old, taken, o->disable_cpumask_locks,
		      core);
	say(e, "%s", core);
	return 0;
}

/* Options that this SPDK has; its releases differ, and its --help tells. */
static int plan_arguments(struct driver *d, const json_t *request, const struct kit *kit,
			  const struct environment *old, struct environment *e, struct error *err)
{
	struct kit_options o = { .no_huge = false };
	int rc = is_engine(kit) ? 0 : kit_options(d, kit, &o, err);

	if (rc == 0)
		rc = env_sockets_plan(request, kit, o.socket_folder, old, e, err);
	if (rc < 0 || e->memory == ENV_MEMORY_OWN)
		return rc;
	if (e->memory == ENV_MEMORY_PLAIN && !o.no_huge)
		return error_set(err, -ENOTSUP,
				 "target %s has no option --no-huge: it needs hugepages, give "
				 "--hugepages SIZE",
				 kit->path);
	if (e->memory == ENV_MEMORY_PLAIN)
		say(e, "--no-huge\n");
	else if (o.huge_unlink)
		say(e, "--huge-unlink\n");
	/* Else an SPDK leaves cores of its whole memory wherever it was started from. */
	if (o.limit_coredump)
		say(e, "--limit-coredump\n");
	say(e, "-s\n%llu\n", (unsigned long long)(e->size >> 20));
	for (size_t i = 0; i < e->device_count && (o.pci_allowed || o.pci_whitelist); i++)
		say(e, "%s\n%s\n", o.pci_allowed ? "--pci-allowed" : "--pci-whitelist",
		    e->devices[i].address);
	if (e->device_count == 0 && o.no_pci)
		say(e, "--no-pci\n");
	return plan_core(d, request, &o, old, e, err);
}

/* What targets of ours that do not run have reserved in this boot is free, and theirs. */
static int plan_pages(struct driver *d, const struct environment *old, struct environment *e,
		      struct error *err)
{
	struct accelerator *list = NULL;
	ssize_t n = state_accelerators(d->state, &list, err);
	int rc = n < 0 ? (int)n : 0;
	struct environment other;
	pid_t supervisor, target;
	uint64_t kept = 0;
	char boot[40];

	env_boot(ROOT, boot);
	for (ssize_t i = 0; i < n && rc == 0; i++) {
		rc = env_load(d, list[i].id, &other, err);
		target_pids(d, list[i].id, &supervisor, &target);
		if (rc == 0 && !target && other.memory == ENV_MEMORY_HUGE &&
		    other.pages.page_size && !strcmp(other.boot, boot))
			kept += (other.size + other.pages.page_size - 1) / other.pages.page_size;
	}
	free(list);
	return rc < 0 ? rc : env_plan_pages(ROOT, e, old, kept, err);
}

bool env_same_memory(const struct environment *a, const struct environment *b)
{
	return a->memory == b->memory && a->size == b->size;
}

int env_plan(struct driver *d, const json_t *request, const struct kit *kit,
	     const struct env_function *function, const struct environment *old,
	     struct environment *out, struct error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (old) {
		memcpy(out->devices, old->devices, sizeof(out->devices));
		out->device_count = old->device_count;
	}
	env_boot(ROOT, out->boot);
	rc = plan_memory(request, kit, old, out, err);
	if (rc == 0 && !old)
		rc = plan_devices(d, request, function, out, err);
	if (rc == 0)
		rc = plan_arguments(d, request, kit, old, out, err);
	if (rc < 0 || out->memory != ENV_MEMORY_HUGE)
		return rc;
	if (old && env_same_memory(old, out)) {
		out->pages = old->pages;
		return 0;
	}
	return plan_pages(d, old, out, err);
}

/* --- the record ----------------------------------------------------------------------------- */

json_t *env_json(const struct environment *e)
{
	json_t *devices = json_array();

	for (size_t i = 0; i < e->device_count; i++)
		json_array_append_new(
			devices, json_pack("{s:s, s:s, s:s, s:s}", "address", e->devices[i].address,
					   "driver", e->devices[i].driver, "override",
					   e->devices[i].override, "serial", e->devices[i].serial));
	return json_pack("{s:s, s:I, s:{s:i, s:I, s:I, s:I}, s:o, s:{s:b, s:s, s:s}, s:s, s:s}",
			 "memory", memory_names[e->memory], "size", (json_int_t)e->size,
			 "hugepages", "node", e->pages.node, "page_size",
			 (json_int_t)e->pages.page_size, "before", (json_int_t)e->pages.before,
			 "wanted", (json_int_t)e->pages.wanted, "devices", devices, "sockets",
			 "told", e->sockets.told, "dir", e->sockets.dir, "group", e->sockets.group,
			 "arguments", e->arguments, "boot", e->boot);
}

static void take(const json_t *o, const char *name, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, name));

	snprintf(out, size, "%s", s ? s : "");
}

static uint64_t take_u64(const json_t *o, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(o, name));

	return value > 0 ? (uint64_t)value : 0;
}

void env_from(const json_t *o, struct environment *out)
{
	const json_t *pages = json_object_get(o, "hugepages");
	const json_t *sockets = json_object_get(o, "sockets");
	char memory[8];
	json_t *v;
	size_t i;

	memset(out, 0, sizeof(*out));
	take(o, "memory", memory, sizeof(memory));
	for (size_t m = 0; m < sizeof(memory_names) / sizeof(memory_names[0]); m++) {
		if (!strcmp(memory, memory_names[m]))
			out->memory = (enum env_memory)m;
	}
	out->size = take_u64(o, "size");
	out->pages.node = (int)json_integer_value(json_object_get(pages, "node"));
	out->pages.page_size = take_u64(pages, "page_size");
	out->pages.before = take_u64(pages, "before");
	out->pages.wanted = take_u64(pages, "wanted");
	json_array_foreach (json_object_get(o, "devices"), i, v) {
		struct env_device *d = &out->devices[out->device_count];

		if (out->device_count++ == ENV_DEVICES_MAX - 1)
			break;
		take(v, "address", d->address, sizeof(d->address));
		take(v, "driver", d->driver, sizeof(d->driver));
		take(v, "override", d->override, sizeof(d->override));
		take(v, "serial", d->serial, sizeof(d->serial));
	}
	out->sockets.told = json_is_true(json_object_get(sockets, "told"));
	take(sockets, "dir", out->sockets.dir, sizeof(out->sockets.dir));
	take(sockets, "group", out->sockets.group, sizeof(out->sockets.group));
	take(o, "arguments", out->arguments, sizeof(out->arguments));
	take(o, "boot", out->boot, sizeof(out->boot));
}

static void record_key(const char *id, char *out, size_t size)
{
	snprintf(out, size, "environment:%s", id);
}

int env_load(struct driver *d, const char *id, struct environment *out, struct error *err)
{
	char key[STATE_ID_SIZE + 16], *text;
	json_t *o = NULL;
	int rc;

	record_key(id, key, sizeof(key));
	rc = state_note(d->state, key, &text, err);
	if (rc == 0) {
		o = json_loads(text, 0, NULL);
		free(text);
	}
	env_from(o, out);
	json_decref(o);
	return rc == -ENOENT ? 0 : rc;
}

int env_record(struct driver *d, const char *id, const struct environment *e, struct error *err)
{
	char key[STATE_ID_SIZE + 16], *text;
	json_t *o;
	int rc;

	record_key(id, key, sizeof(key));
	if (env_is_empty(e))
		return state_put_note(d->state, key, NULL, err);
	o = env_json(e);
	text = json_dumps(o, JSON_COMPACT);
	rc = text ? state_put_note(d->state, key, text, err)
		  : error_set(err, -ENOMEM, "out of memory");
	free(text);
	json_decref(o);
	return rc;
}

int env_verb_prepare(struct verb_run *v, struct error *err)
{
	struct environment e;
	int rc;

	env_from(json_object_get(v->argument, "environment"), &e);
	if (verb_is_existing(v) || env_is_empty(&e))
		return 0;
	rc = env_apply(ROOT, &e, err);
	return rc < 0 ? rc : env_record(v->d, v->intent.object, &e, err);
}

int env_verb_restore(struct verb_run *v, struct error *err)
{
	static const struct environment none;
	struct environment e;
	int rc;

	env_from(json_object_get(v->argument, "environment"), &e);
	rc = env_restore(ROOT, &e, err);
	if (rc == 0)
		rc = env_sockets_remove(&e, v->intent.object, err);
	return rc < 0 ? rc : env_record(v->d, v->intent.object, &none, err);
}

/* Who bound it before install did has to do so again: it would not be given back otherwise. */
static int check_still_bound(const struct env_device *device, const char *driver, struct error *err)
{
	if (strcmp(device->driver, ENV_DRIVER_VFIO) != 0 || !strcmp(driver, ENV_DRIVER_VFIO))
		return 0;
	return error_set(err, -ENODEV,
			 "PCI function %s was bound to vfio-pci before install, and has %s%s now: "
			 "bind it again as then (driverctl set-override %s vfio-pci)",
			 device->address, driver[0] ? "the driver " : "no driver", driver,
			 device->address);
}

static int check_device(struct driver *d, const struct env_device *device, const char *driver,
			struct error *err)
{
	int rc = check_still_bound(device, driver, err);

	if (rc == 0)
		rc = env_check_serial(ROOT, device, err);
	return rc < 0 ? rc : env_check_device(ROOT, d->probe, device->address, err);
}

/*
 * What is bound is ours, unless the node was booted since. What another driver has it has since a
 * boot, or because somebody gave it back meanwhile and may use it.
 */
static int check_devices(struct driver *d, const struct environment *e, bool is_other_boot,
			 struct error *err)
{
	char driver[32];
	int rc = 0;

	for (size_t i = 0; i < e->device_count && rc == 0; i++) {
		rc = env_driver(ROOT, e->devices[i].address, driver, err);
		if (rc == 0 && (is_other_boot || strcmp(driver, ENV_DRIVER_VFIO) != 0))
			rc = check_device(d, &e->devices[i], driver, err);
	}
	return rc;
}

static bool is_other_boot(const struct environment *e, char boot[static 40])
{
	env_boot(ROOT, boot);
	return strcmp(boot, e->boot) != 0;
}

/* After a boot the pages are gone, and the functions are with the drivers that the kernel chose. */
static int make_anew(struct driver *d, const char *id, struct environment *e, const char *boot,
		     struct error *err)
{
	int rc = e->memory == ENV_MEMORY_HUGE ? plan_pages(d, NULL, e, err) : 0;

	snprintf(e->boot, sizeof(e->boot), "%s", boot);
	/* Before it is made: who is killed in between leaves a record of what was there. */
	return rc < 0 ? rc : env_record(d, id, e, err);
}

int env_ensure(struct driver *d, const char *id, struct error *err)
{
	struct environment e;
	char boot[40];
	bool anew;
	int rc = env_load(d, id, &e, err);

	if (rc < 0 || env_is_empty(&e))
		return rc;
	anew = is_other_boot(&e, boot);
	rc = check_devices(d, &e, anew, err);
	if (rc == 0 && anew)
		rc = make_anew(d, id, &e, boot, err);
	if (rc == 0)
		rc = env_apply(ROOT, &e, err);
	return rc < 0 ? rc : env_sockets_make(&e, id, err);
}

static void device_drift(const struct env_device *device, json_t *list)
{
	struct error err = ERROR_INIT;
	char driver[32];

	if (env_driver(ROOT, device->address, driver, &err) < 0 ||
	    env_check_serial(ROOT, device, &err) < 0)
		drift(list, "%s", err.text);
	else if (strcmp(driver, ENV_DRIVER_VFIO) != 0)
		drift(list, "PCI function %s has %s%s and should have vfio-pci", device->address,
		      driver[0] ? "the driver " : "no driver", driver);
}

void env_drift(struct driver *d, const struct accelerator *a, bool is_down, json_t *list)
{
	struct environment e;

	if (env_load(d, a->id, &e, NULL) < 0)
		return;
	if (is_down)
		env_pages_drift(ROOT, &e, list);
	for (size_t i = 0; i < e.device_count; i++) {
		if (strcmp(e.devices[i].address, a->path) != 0)
			device_drift(&e.devices[i], list);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install: a supervised target on a backing that nobody uses.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/function.h"
#include "driver/install.h"

#define SIZE_MIN   (UINT64_C(1) << 20)
#define BLOCK_SIZE 512

static int plan_memory(struct accelerator *a, uint64_t size, struct error *err)
{
	if (size < SIZE_MIN || size % BLOCK_SIZE)
		return error_set(err, -EINVAL,
				 "memory of %llu bytes: at least 1 MiB, in blocks of 512 bytes",
				 (unsigned long long)size);
	snprintf(a->kind, sizeof(a->kind), "memory");
	snprintf(a->serial, sizeof(a->serial), "MEMORY-%s", a->id);
	a->size = size;
	a->block_size = BLOCK_SIZE;
	return 0;
}

static bool holds_blobstore(const struct probe_device *dev)
{
	for (size_t i = 0; i < dev->finding_count; i++) {
		if (dev->findings[i].reason == PROBE_REASON_BLOBSTORE)
			return true;
	}
	return false;
}

int backing_judge(struct driver *d, const struct probe_device *dev, const char *force,
		  struct accelerator *a, struct error *err)
{
	const struct probe_finding *f = probe_device_reason(dev);
	int rc;

	if (!f)
		return 0;
	if (f->verdict == PROBE_HOLDS_DATA && a->store_made && holds_blobstore(dev)) {
		rc = store_adopt(d, dev, force, a, err);
		if (rc != -ENOENT)
			return rc;
	}
	if (f->verdict == PROBE_IN_USE)
		return error_set(err, -EBUSY, "%s; to use it here: %s", f->text, f->remedy);
	if (f->verdict == PROBE_UNFIT)
		return error_set(err, -EINVAL, "%s; to use it here: %s", f->text, f->remedy);
	if (!force)
		return error_set(err, -ENOTEMPTY,
				 "%s; whoever is attached will see and may overwrite that: if you "
				 "mean it, add --force %s",
				 f->text, dev->serial);
	if (strcmp(force, dev->serial) != 0)
		return error_set(err, -ENOTEMPTY,
				 "%s, and --force names the serial \"%s\"; its serial is \"%s\"",
				 f->text, force, dev->serial);
	return 0;
}

/* Even while the other's target is down and nothing holds the backing open. */
int backing_check_unshared(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct accelerator *list;
	ssize_t n = state_accelerators(d->state, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0; i++) {
		if (probe_is_same_path(d->probe, a->path, list[i].path))
			rc = error_set(err, -EBUSY,
				       "%s is the backing of the accelerator %s already: uninstall "
				       "that, or take another backing",
				       a->path, list[i].id);
	}
	free(list);
	return rc;
}

static int plan_new_file(struct driver *d, struct accelerator *a, const char *path, uint64_t size,
			 struct error *err)
{
	char copy[PATH_MAX], name[PATH_MAX], dir[PATH_MAX];

	if (!size)
		return error_set(
			err, -ENOENT,
			"backing %s does not exist: give --size to have it made, or name an "
			"existing file or device",
			path);
	if (size < SIZE_MIN || size % BLOCK_SIZE)
		return error_set(err, -EINVAL,
				 "size of %llu bytes: at least 1 MiB, in blocks of 512 bytes",
				 (unsigned long long)size);
	snprintf(copy, sizeof(copy), "%s", path);
	snprintf(name, sizeof(name), "%s", path);
	if (!realpath(dirname(copy), dir))
		return error_set(err, -errno, "folder of backing %s: %s", path,
				 error_errno_text(-errno));
	if (snprintf(a->path, sizeof(a->path), "%s/%s", strcmp(dir, "/") ? dir : "",
		     basename(name)) >= (int)sizeof(a->path))
		return error_set(err, -ENAMETOOLONG, "path of backing %.100s... is too long", path);
	snprintf(a->kind, sizeof(a->kind), "file");
	a->made = true;
	a->size = size;
	a->block_size = BLOCK_SIZE;
	return backing_check_unshared(d, a, err);
}

/* A namespace of an accelerator's function, which the kernel has while that target is down. */
static int check_not_of_function(struct driver *d, const struct probe_device *dev,
				 struct error *err)
{
	struct accelerator *list;
	ssize_t n = state_accelerators(d->state, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0 && dev->address[0]; i++) {
		if (is_function(&list[i]) && !strcmp(list[i].path, dev->address))
			rc = error_set(err, -EBUSY,
				       "%s is on PCI function %s, the backing of the accelerator "
				       "%s: uninstall that, or take another backing",
				       dev->path, dev->address, list[i].id);
	}
	free(list);
	return rc == 0 && dev->address[0] ? function_check_not_moved(d, dev->address, err) : rc;
}

static int plan_file_or_device(struct driver *d, struct accelerator *a, const char *path,
			       uint64_t size, const char *force, struct error *err)
{
	struct probe_device *dev = calloc(1, sizeof(*dev));
	int rc = dev ? probe_path(d->probe, path, dev, err)
		     : error_set(err, -ENOMEM, "out of memory");

	if (rc == -ENOENT) {
		*err = (struct error)ERROR_INIT;
		rc = plan_new_file(d, a, path, size, err);
	} else if (rc == 0) {
		snprintf(a->kind, sizeof(a->kind), "%s",
			 strcmp(dev->kind, "file") ? "device" : "file");
		snprintf(a->path, sizeof(a->path), "%s", dev->path);
		snprintf(a->serial, sizeof(a->serial), "%s", dev->serial);
		a->size = dev->size;
		a->block_size = dev->block_size;
		rc = backing_check_unshared(d, a, err);
		if (rc == 0)
			rc = check_not_of_function(d, dev, err);
		if (rc == 0)
			rc = backing_judge(d, dev, force, a, err);
		if (rc == 0 && size && size != dev->size)
			rc = error_set(err, -EINVAL,
				       "backing %s exists with %llu bytes and --size says %llu: "
				       "leave --size away",
				       path, (unsigned long long)dev->size,
				       (unsigned long long)size);
		if (rc == 0 && dev->size % dev->block_size)
			rc = error_set(
				err, -EINVAL,
				"backing %s has %llu bytes, which are no whole blocks of %u: "
				"change its size (truncate -s)",
				path, (unsigned long long)dev->size, dev->block_size);
		probe_device_fini(dev);
	}
	free(dev);
	return rc;
}

static int plan_named(struct verb_run *v, struct accelerator *a, const json_t *request,
		      const char *path, uint64_t size, struct error *err)
{
	const char *force = json_string_value(json_object_get(request, "force"));
	struct function_name function;
	int rc = function_named(path, &function, err);

	if (rc < 0)
		return rc;
	if (rc > 0)
		return function_plan(v, &function, request, a, err);
	return plan_file_or_device(v->d, a, path, size, force, err);
}

static int plan_backing(struct verb_run *v, struct accelerator *a, const json_t *request,
			struct error *err)
{
	const char *path = request_text(request, "backing", err);
	uint64_t memory = request_u64(request, "memory", 0, err);
	uint64_t size = request_u64(request, "size", 0, err);

	request_text(request, "force", err);
	if (err->code)
		return err->code;
	if (!strcmp(a->kind, "ceph"))
		return rbd_reach(v->d, a, NULL, err);
	if (!path == !memory)
		return error_set(
			err, -EINVAL,
			"install needs one of --backing FILE|DEVICE|FUNCTION and --memory SIZE");
	if (memory)
		return plan_memory(a, memory, err);
	return plan_named(v, a, request, path, size, err);
}

static int plan_target(struct verb_run *v, struct accelerator *a, const json_t *request,
		       struct error *err)
{
	const char *path = request_text(request, "target", err);
	const char *seen = json_string_value(json_object_get(v->argument, "seen"));
	struct env_function function = { .address = a->path, .seen = seen ? seen : "" };
	struct environment e;
	struct kit kit;
	int rc = err->code;

	if (rc == 0 && !path)
		rc = kit_newest(v->d, is_function(a) ? "spdk" : NULL, &kit, err);
	else if (rc == 0)
		rc = kit_ask(v->d, path, &kit, err);
	if (rc == 0 && is_function(a))
		rc = function_check_kit(v, a, &kit, err);
	if (rc == 0)
		rc = env_plan(v->d, request, &kit, is_function(a) ? &function : NULL, NULL, &e,
			      err);
	if (rc < 0)
		return rc;
	snprintf(a->target, sizeof(a->target), "%s", kit.path);
	snprintf(a->version, sizeof(a->version), "%s", kit.version);
	json_object_set_new(v->argument, "environment", env_json(&e));
	return 0;
}

static int plan_identity(struct accelerator *a, const json_t *request, struct error *err)
{
	const char *id = request_text(request, "id", err);
	struct uuid uuid;

	if (err->code || check_type(request, err) < 0)
		return err->code;
	if (!id)
		return error_set(err, -EINVAL, "install needs an id for the accelerator");
	if (check_id(id, err) < 0)
		return err->code;
	snprintf(a->id, sizeof(a->id), "%s", id);
	snprintf(a->type, sizeof(a->type), "nvmf");
	snprintf(a->bdev, sizeof(a->bdev), "%s", id);
	uuid_make(&uuid);
	uuid_to_text(&uuid, a->uuid);
	return 0;
}

static int repeat_function(const struct accelerator *a, const json_t *request, const char *path,
			   struct error *err)
{
	struct function_name named;
	int rc = function_named(path, &named, err);

	if (rc < 0)
		return rc;
	if (rc == 0 || strcmp(named.address, a->path) != 0 || (named.nsid && named.nsid != a->nsid))
		return error_set(err, -EEXIST,
				 "accelerator %s is installed already, on namespace %u of PCI "
				 "function %s: uninstall it first, or take another id",
				 a->id, a->nsid, a->path);
	return scenario_repeat(a, request, err);
}

/* The same call again: the backing is ours now, so it is compared, not probed. */
static int plan_repeat(const struct accelerator *a, const json_t *request, struct error *err)
{
	const char *path = request_text(request, "backing", err);
	uint64_t memory = request_u64(request, "memory", 0, err);
	uint64_t size = request_u64(request, "size", 0, err);
	char real[PATH_MAX];

	if (err->code)
		return err->code;
	if (path && is_function(a))
		return repeat_function(a, request, path, err);
	if (path && !realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	if ((path && strcmp(real, a->path) != 0) || (memory && memory != a->size) ||
	    (memory && a->path[0]) || (size && size != a->size))
		return error_set(err, -EEXIST,
				 "accelerator %s is installed already, on %s with %llu bytes: "
				 "uninstall it first, or take another id",
				 a->id, a->path[0] ? a->path : "memory",
				 (unsigned long long)a->size);
	return scenario_repeat(a, request, err);
}

static int plan_fresh(struct verb_run *v, struct accelerator *a, const json_t *request,
		      struct error *err)
{
	int rc = scenario_plan(v, request, a, err);

	if (rc == 0)
		rc = request_arguments(request, a->arguments, sizeof(a->arguments), err);
	if (rc == 0)
		rc = plan_backing(v, a, request, err);
	if (rc == 0)
		rc = plan_target(v, a, request, err);
	if (a->store_made && !a->store[0])
		snprintf(a->store, sizeof(a->store), "%s", a->id);
	return rc;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = {
		"id",		"type",		"backing",     "memory",     "size",
		"target",	"force",	"arguments",   "scenario",   "store",
		"cluster_size", "clear_method", "ceph_config", "ceph_user",  "dry_run",
		"hugepages",	"no_huge",	"bind",	       "socket_dir", "socket_group",
		NULL,
	};
	struct accelerator a = { .made = false };
	struct target_paths paths;
	bool existing = false;
	int rc = request_check(request, names, err);

	if (rc == 0)
		rc = plan_identity(&a, request, err);
	if (rc == 0)
		rc = target_paths(v->d, a.id, &paths, err);
	if (rc == 0) {
		rc = state_accelerator(v->d->state, a.id, &a, err);
		existing = rc == 0;
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0 && existing)
		rc = plan_repeat(&a, request, err);
	if (rc == 0 && !existing)
		rc = plan_fresh(v, &a, request, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", a.id);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	json_object_set_new(v->argument, "existing", json_boolean(existing));
	return 0;
}

/* Of a function as long as the kernel still has it. */
static int clear_consented(struct verb_run *v, const struct accelerator *a, struct error *err)
{
	const char *seen = json_string_value(json_object_get(v->argument, "seen"));
	struct accelerator device = *a;

	if (seen) {
		snprintf(device.kind, sizeof(device.kind), "device");
		snprintf(device.path, sizeof(device.path), "/dev/%s", seen);
	}
	return backing_clear_store(&device, err);
}

static int make_backing(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct stat st;
	int fd, rc = 0;

	verb_accelerator(v, &a);
	if (verb_is_existing(v))
		return 0;
	/* A store whose loss was consented to: the target would load it, and make no other. */
	if (!a.made && a.store_made)
		return clear_consented(v, &a, err);
	if (!a.made)
		return 0;
	fd = open(a.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = error_set(err, -errno, "backing %s cannot be made: %s", a.path,
			       error_errno_text(-errno));
		/* Whoever was faster owns the file: undoing must not remove it. */
		a.made = false;
		json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
		return rc;
	}
	if (ftruncate(fd, (off_t)a.size) < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
		rc = error_set(err, -errno, "backing %s cannot be given %llu bytes: %s", a.path,
			       (unsigned long long)a.size, error_errno_text(-errno));
	close(fd);
	if (rc == 0) {
		snprintf(a.serial, sizeof(a.serial), "FILE-%llx-%llx",
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
		json_object_set_new(v->argument, "accelerator", accelerator_json(&a));
	}
	return rc;
}

static int unmake_backing(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	struct stat st;

	verb_accelerator(v, &a);
	if (!a.made || stat(a.path, &st) < 0)
		return 0;
	if (st.st_size && (uint64_t)st.st_size != a.size)
		return error_set(err, -EEXIST, "%s is not the file that install made: move it away",
				 a.path);
	if (unlink(a.path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "backing %s cannot be removed: %s", a.path,
				 error_errno_text(-errno));
	return 0;
}

static int record(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	return state_put_accelerator(v->d->state, &a, err);
}

static int unrecord(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	return state_drop_accelerator(v->d->state, a.id, err);
}

static int start(struct verb_run *v, struct error *err)
{
	struct accelerator a;

	verb_accelerator(v, &a);
	return target_start(v->d, &a, err);
}

static int unstart(struct verb_run *v, struct error *err)
{
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	rc = target_stop(v->d, &a, err);
	if (rc == 0)
		rc = service_forget(v->d, a.id, err);
	if (rc == 0)
		rc = target_remove_files(v->d, a.id, err);
	return rc;
}

/* What the kernel could not show before the target had it. The row is there for an undoing. */
static int look(struct verb_run *v, struct client *c, struct accelerator *a, struct error *err)
{
	const char *force = json_string_value(json_object_get(v->argument, "force"));
	int rc = function_learn(c, a, err);

	if (rc == 0)
		rc = state_put_accelerator(v->d->state, a, err);
	if (rc == 0)
		rc = function_look(v->d, c, a, force,
				   json_is_true(json_object_get(v->argument, "named")), err);
	if (rc == 0)
		rc = state_put_accelerator(v->d->state, a, err);
	json_object_set_new(v->argument, "accelerator", accelerator_json(a));
	return rc;
}

static int configure(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator a;
	struct client *c;
	int rc;

	verb_accelerator(v, &a);
	rc = target_ensure(v->d, &a, &c, err);
	if (rc == 0 && json_is_true(json_object_get(v->argument, "unseen")))
		rc = look(v, c, &a, err);
	else if (rc == 0 && is_function(&a) && !strcmp(a.scenario, SCENARIO_WHOLE) &&
		 !verb_is_existing(v))
		rc = function_check_whole(c, &a, err);
	if (rc == 0 && !strcmp(a.scenario, SCENARIO_CEPH))
		rc = need_method(c, "bdev_rbd_create", "images of a Ceph cluster", err);
	if (rc == 0)
		rc = target_paths(v->d, a.id, &paths, err);
	if (rc == 0)
		rc = config_save(c, paths.config, err);
	client_destroy(c);
	return rc;
}

static int check(struct verb_run *v, struct error *err)
{
	json_t *drift = json_array();
	struct accelerator a;
	struct client *c;
	struct view seen;
	int rc;

	verb_accelerator(v, &a);
	rc = target_connect(v->d, &a, &c, err);
	if (rc == 0)
		rc = view_take(c, &seen, err);
	if (rc == 0) {
		backing_drift(&seen, &a, drift);
		if (json_array_size(drift))
			rc = error_set(err, -EPROTO, "accelerator %s: %s", a.id,
				       json_string_value(json_array_get(drift, 0)));
		if (a.store[0])
			json_object_set_new(v->answer, "volumes", store_volumes(seen.bdevs, &a));
		view_fini(&seen);
	}
	json_decref(drift);
	client_destroy(c);
	return rc;
}

static int finish(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator a;
	int rc;

	verb_accelerator(v, &a);
	rc = target_paths(v->d, a.id, &paths, err);
	if (rc < 0)
		return rc;
	json_object_set_new(v->answer, "accelerator", accelerator_json(&a));
	json_object_set_new(v->answer, "socket", json_string(paths.sock));
	json_object_set_new(v->answer, "log", json_string(paths.log));
	json_object_set_new(
		v->answer, "supervisor",
		json_string(service_is_systemd(v->d) ? "systemd" : "cyborg-spdk-supervise"));
	return 0;
}

static const struct verb_step steps[] = {
	{ "backing", "make the backing file", make_backing, unmake_backing },
	{ "record", "record the accelerator", record, unrecord },
	{ "environment", "give it what it needs of the node", env_verb_prepare, env_verb_restore },
	{ "start", "start the target under supervision", start, unstart },
	{ "configure", "give it the backing and save its configuration", configure, NULL },
	{ "store", "make or take over the store", store_make, store_unmake },
	{ "check", "check what it serves", check, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_install = { "install", false, steps, plan, finish };

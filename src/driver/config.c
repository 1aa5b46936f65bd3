/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The saved configuration, as SPDK's own tools write it:
 * {"subsystems": [{"subsystem": NAME, "config": [{"method", "params"}, ...]}, ...]}.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/driver.h"

/* At once: jansson would write each token by a system call of its own. */
static int write_text(int fd, const json_t *config)
{
	char *text = json_dumps(config, JSON_INDENT(2));
	size_t len = text ? strlen(text) : 0, at = 0;
	ssize_t n = text ? 0 : -1;

	while (n >= 0 && at < len) {
		n = write(fd, text + at, len - at);
		at += n > 0 ? (size_t)n : 0;
	}
	free(text);
	return n < 0 ? -EIO : 0;
}

/* Whole or not at all, also over a power cut: new file, its bytes, its name, the folder's entry. */
int config_write(const char *path, json_t *config, struct error *err)
{
	char tmp[PATH_MAX + 8], dir[PATH_MAX];
	int fd, rc = 0, dir_fd;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	snprintf(dir, sizeof(dir), "%s", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "configuration %s: %s", tmp,
				 error_errno_text(-errno));
	if (write_text(fd, config) < 0 || fsync(fd) < 0)
		rc = -EIO;
	if (close(fd) < 0 || (rc == 0 && rename(tmp, path) < 0))
		rc = -EIO;
	if (rc < 0) {
		unlink(tmp);
		return error_set(err, rc, "configuration %s cannot be written: %s", path,
				 error_errno_text(-errno));
	}
	dir_fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd >= 0) {
		fsync(dir_fd);
		close(dir_fd);
	}
	return 0;
}

static int get_names(struct client *c, json_t **out, struct error *err)
{
	int rc = client_wait(c, "framework_get_subsystems", NULL, out, err);

	if (rc == 0 && !json_is_array(*out)) {
		json_decref(*out);
		*out = NULL;
		rc = error_set(err, -EBADMSG,
			       "target %s: framework_get_subsystems answered no array",
			       client_path(c));
	}
	return rc;
}

static int collect(struct client *c, json_t *names, json_t *list, struct error *err)
{
	size_t n = json_array_size(names);
	struct client_request *r = calloc(n ? n : 1, sizeof(*r));
	int rc;

	if (!r)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(names, i), "subsystem"));

		r[i].method = "framework_get_config";
		r[i].params = json_pack("{s:s}", "name", name ? name : "");
	}
	rc = client_wait_all(c, r, n, err);
	for (size_t i = 0; i < n; i++) {
		json_t *name = json_object_get(json_array_get(names, i), "subsystem");

		if (rc == 0)
			json_array_append_new(list, json_pack("{s:O, s:O}", "subsystem", name,
							      "config", r[i].result));
		json_decref(r[i].result);
	}
	free(r);
	return rc;
}

static bool comes_last(const json_t *entry)
{
	const char *method = json_string_value(json_object_get(entry, "method"));

	return method && strstr(method, "set_qos_limit");
}

/*
 * SPDK saves limits ahead of bdev_wait_for_examine, when a volume is not there yet, so that its own
 * next start fails by them.
 */
static void put_limits_last(json_t *subsystems)
{
	json_t *subsystem, *entries, *limits = json_array();
	size_t i;

	json_array_foreach (subsystems, i, subsystem) {
		entries = json_object_get(subsystem, "config");
		for (size_t e = 0; e < json_array_size(entries);) {
			json_t *entry = json_array_get(entries, e);

			if (!comes_last(entry)) {
				e++;
				continue;
			}
			json_array_append(limits, entry);
			json_array_remove(entries, e);
		}
		json_array_extend(entries, limits);
		json_array_clear(limits);
	}
	json_decref(limits);
}

/*
 * SPDK saves the cores that a controller of ours happens to run on; a target that is started with
 * others would refuse it.
 */
static void forget_cores(json_t *subsystems)
{
	json_t *subsystem, *entry;
	size_t i, e;

	json_array_foreach (subsystems, i, subsystem) {
		json_array_foreach (json_object_get(subsystem, "config"), e, entry) {
			json_t *params = json_object_get(entry, "params");

			if (!strncmp(view_text(params, "ctrlr"), VHOST_PREFIX,
				     strlen(VHOST_PREFIX)))
				json_object_del(params, "cpumask");
		}
	}
}

static bool mentions(const json_t *value, const json_t *names)
{
	const char *key;
	json_t *one;
	size_t i;

	if (json_is_string(value))
		return json_object_get(names, json_string_value(value)) != NULL;
	json_array_foreach ((json_t *)value, i, one) {
		if (mentions(one, names))
			return true;
	}
	json_object_foreach ((json_t *)value, key, one) {
		if (mentions(one, names))
			return true;
	}
	return false;
}

/* Names as the members of an object. */
static void note_volumes(const json_t *bdevs, json_t *names)
{
	json_t *bdev, *alias;
	size_t i, k;

	json_array_foreach ((json_t *)bdevs, i, bdev) {
		if (!json_object_get(json_object_get(bdev, "driver_specific"), "lvol"))
			continue;
		json_object_set_new(names, view_text(bdev, "name"), json_true());
		json_array_foreach (json_object_get(bdev, "aliases"), k, alias) {
			if (json_is_string(alias))
				json_object_set_new(names, json_string_value(alias), json_true());
		}
	}
}

/*
 * Entries that mention one of @names go, and what they make is mentioned by others: a subsystem
 * goes whole, so that no host comes to it before its namespace does.
 */
static bool drop_mentions(json_t *subsystems, json_t *names)
{
	static const char *const made[] = { "nqn", "ctrlr", "name", NULL };
	json_t *subsystem, *entries;
	bool dropped = false;
	size_t i;

	json_array_foreach (subsystems, i, subsystem) {
		entries = json_object_get(subsystem, "config");
		for (size_t e = json_array_size(entries); e > 0; e--) {
			json_t *params = json_object_get(json_array_get(entries, e - 1), "params");

			if (!mentions(params, names))
				continue;
			for (const char *const *m = made; *m; m++) {
				if (view_text(params, *m)[0])
					json_object_set_new(names, view_text(params, *m),
							    json_true());
			}
			json_array_remove(entries, e - 1);
			dropped = true;
		}
	}
	return dropped;
}

/*
 * SPDK before 21.01 replays what stands on volumes while their store is still being loaded, and
 * leaves by the first that is not there. The exports come back from the record behind the start.
 */
static int drop_volumes(struct client *c, json_t *subsystems, struct error *err)
{
	json_t *bdevs, *names;
	int rc;

	if (client_has(c, "bdev_wait_for_examine") || !client_has(c, "bdev_lvol_get_lvstores"))
		return 0;
	rc = client_wait(c, "bdev_get_bdevs", NULL, &bdevs, err);
	if (rc < 0)
		return rc;
	names = json_object();
	note_volumes(bdevs, names);
	while (drop_mentions(subsystems, names))
		;
	json_decref(names);
	json_decref(bdevs);
	return 0;
}

int config_take(struct client *c, json_t **out, struct error *err)
{
	json_t *names, *list = json_array();
	int rc = get_names(c, &names, err);

	if (rc == 0)
		rc = collect(c, names, list, err);
	json_decref(names);
	if (rc < 0) {
		json_decref(list);
		list = NULL;
	}
	*out = list;
	return rc;
}

int config_save(struct client *c, const char *path, struct error *err)
{
	json_t *config, *list;
	int rc = config_take(c, &list, err);

	if (rc == 0)
		rc = rbd_amend_config(c, list, err);
	if (rc == 0)
		rc = drop_volumes(c, list, err);
	if (rc == 0) {
		put_limits_last(list);
		forget_cores(list);
		config = json_pack("{s:O}", "subsystems", list);
		rc = config ? config_write(path, config, err)
			    : error_set(err, -ENOMEM, "out of memory");
		json_decref(config);
	}
	json_decref(list);
	return rc;
}

/* --- by RPC ---------------------------------------------------------------------------------- */

int config_replay(struct client *c, const char *path, struct error *err)
{
	json_t *config, *subsystem, *entry;
	json_error_t at;
	size_t i, e;
	int rc = 0;

	config = json_load_file(path, 0, &at);
	if (!config)
		return error_set(err, -EILSEQ, "configuration %s, line %d: %s", path, at.line,
				 at.text);
	json_array_foreach (json_object_get(config, "subsystems"), i, subsystem) {
		json_array_foreach (json_object_get(subsystem, "config"), e, entry) {
			struct error refused = ERROR_INIT;

			if (rc != -ECONNRESET)
				rc = client_wait(c, view_text(entry, "method"),
						 json_deep_copy(json_object_get(entry, "params")),
						 NULL, &refused);
		}
	}
	json_decref(config);
	return rc == -ECONNRESET ? error_set(err, rc, "the target left by what %s tells it", path)
				 : 0;
}

/* --- one subsystem out of it ---------------------------------------------------------------- */

static bool is_named(const json_t *entry, const char *member, const char *const *names)
{
	const char *s =
		json_string_value(json_object_get(json_object_get(entry, "params"), member));

	for (; s && *names; names++) {
		if (!strcmp(s, *names))
			return true;
	}
	return false;
}

/* What was saved is a shorter way to what is recorded, and is saved anew. */
int config_put_aside(const char *path, struct error *err)
{
	char aside[PATH_MAX + 16];
	json_error_t at;
	json_t *config = json_load_file(path, 0, &at);
	bool spoilt = !config && json_error_code(&at) != json_error_cannot_open_file &&
		      json_error_code(&at) != json_error_out_of_memory;

	json_decref(config);
	snprintf(aside, sizeof(aside), "%s.spoilt", path);
	if (!spoilt || rename(path, aside) == 0)
		return 0;
	return error_set(err, -errno, "configuration %s, line %d: %s; it cannot be put aside: %s",
			 path, at.line, at.text, error_errno_text(-errno));
}

int config_drop(const char *path, const char *const *names, struct error *err)
{
	json_t *config, *subsystem, *entries, *entry;
	bool changed = false;
	json_error_t at;
	size_t i;
	int rc = 0;

	rc = config_put_aside(path, err);
	if (rc < 0 || access(path, F_OK) < 0)
		return rc;
	config = json_load_file(path, 0, &at);
	if (!config)
		return error_set(err, -EILSEQ, "configuration %s, line %d: %s", path, at.line,
				 at.text);
	json_array_foreach (json_object_get(config, "subsystems"), i, subsystem) {
		entries = json_object_get(subsystem, "config");
		for (size_t e = json_array_size(entries); e > 0; e--) {
			entry = json_array_get(entries, e - 1);
			if (!is_named(entry, "nqn", names) && !is_named(entry, "ctrlr", names) &&
			    !is_named(entry, "name", names))
				continue;
			json_array_remove(entries, e - 1);
			changed = true;
		}
	}
	if (changed)
		rc = config_write(path, config, err);
	json_decref(config);
	return rc;
}

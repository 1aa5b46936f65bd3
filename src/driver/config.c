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

#include "driver/dialect.h"
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

int config_save(struct client *c, const char *path, struct error *err)
{
	json_t *names, *config, *list = json_array();
	int rc = get_names(c, &names, err);

	if (rc == 0)
		rc = collect(c, names, list, err);
	if (rc == 0)
		rc = rbd_amend_config(c, list, err);
	if (rc == 0) {
		put_limits_last(list);
		forget_cores(list);
		config = json_pack("{s:O}", "subsystems", list);
		rc = config ? config_write(path, config, err)
			    : error_set(err, -ENOMEM, "out of memory");
		json_decref(config);
	}
	json_decref(names);
	json_decref(list);
	return rc;
}

/* --- for another target --------------------------------------------------------------------- */

/* Tuning of an implementation: another one that has no such method has no such thing to tune. */
static bool is_option(const char *method)
{
	return strstr(method, "_set_opt") || strstr(method, "_set_config") ||
	       strstr(method, "_impl_set_") || strstr(method, "_set_default_") ||
	       strstr(method, "_set_max_") || strstr(method, "_set_crdt") ||
	       strstr(method, "_set_hotplug") || strstr(method, "_set_scheduler") ||
	       strstr(method, "wait_for_examine");
}

/* Both serve a file; what is saved of the one has members that the other does not know. */
static const char *same_service(const char *method)
{
	if (!strcmp(method, "bdev_uring_create"))
		return "bdev_aio_create";
	return strcmp(method, "bdev_aio_create") ? NULL : "bdev_uring_create";
}

static void keep_members(json_t *params)
{
	static const char *const kept[] = { "name", "filename", "block_size", "uuid", NULL };
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(params, next, name, value)
	{
		size_t i = 0;

		while (kept[i] && strcmp(kept[i], name) != 0)
			i++;
		if (!kept[i])
			json_object_del(params, name);
	}
}

static bool say_it(struct client *c, json_t *entry, const char *method)
{
	json_t *params = json_object_get(entry, "params");
	const char *name;

	if (!client_has(c, method) ||
	    dialect_request(client_dialect(c), method, params, &name, NULL) < 0)
		return false;
	json_object_set_new(entry, "method", json_string(name));
	return true;
}

/*
 * @method: its name today. Tuning that was saved under an older name is of an implementation that
 * is long gone, and so are its parameters.
 *
 * Return: false when the target has no way to do it.
 */
static bool translate_entry(struct client *c, json_t *entry, const char *method, bool is_renamed)
{
	const char *other;

	if (!method || (is_renamed && is_option(method)))
		return false;
	if (client_has(c, method))
		return say_it(c, entry, method);
	other = same_service(method);
	if (!other)
		return false;
	keep_members(json_object_get(entry, "params"));
	return say_it(c, entry, other);
}

static void note_lacking(char *list, size_t size, const char *method)
{
	size_t at = strlen(list);

	if (!strstr(list, method))
		snprintf(list + at, size - at, "%s%s", at ? ", " : "", method);
}

static void translate_subsystem(struct client *c, json_t *entries, char *lacking, size_t size)
{
	for (size_t i = json_array_size(entries); i > 0; i--) {
		json_t *entry = json_array_get(entries, i - 1);
		const char *saved = json_string_value(json_object_get(entry, "method"));
		const char *method = saved ? dialect_today(saved) : NULL;

		if (translate_entry(c, entry, method, method != saved))
			continue;
		if (method && !is_option(method))
			note_lacking(lacking, size, method);
		json_array_remove(entries, i - 1);
	}
}

/* What is left of a subsystem without entries is a name that the other may not know. */
static void drop_empty(json_t *subsystems)
{
	for (size_t i = json_array_size(subsystems); i > 0; i--) {
		json_t *entries = json_object_get(json_array_get(subsystems, i - 1), "config");

		if (json_array_size(entries) == 0)
			json_array_remove(subsystems, i - 1);
	}
}

int config_translate(struct client *c, const char *path, json_t **out, struct error *err)
{
	json_t *config, *subsystem, *subsystems;
	char lacking[256] = "";
	json_error_t at;
	size_t i;
	int rc = client_learn(c, err);

	*out = NULL;
	if (rc < 0)
		return rc;
	config = json_load_file(path, 0, &at);
	if (!config)
		return error_set(err, -EILSEQ, "configuration %s, line %d: %s", path, at.line,
				 at.text);
	subsystems = json_object_get(config, "subsystems");
	json_array_foreach (subsystems, i, subsystem)
		translate_subsystem(c, json_object_get(subsystem, "config"), lacking,
				    sizeof(lacking));
	drop_empty(subsystems);
	if (!lacking[0]) {
		*out = config;
		return 0;
	}
	json_decref(config);
	return error_set(err, -ENOSYS, "it has no %s, which the running configuration needs",
			 lacking);
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

int config_drop(const char *path, const char *const *names, struct error *err)
{
	json_t *config, *subsystem, *entries, *entry;
	bool changed = false;
	json_error_t at;
	size_t i;
	int rc = 0;

	if (access(path, F_OK) < 0)
		return 0;
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

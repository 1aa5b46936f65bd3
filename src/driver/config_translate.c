/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The saved configuration, for another target than the one that it was saved of: other names, other
 * modules, other tuning.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "driver/dialect.h"
#include "driver/driver.h"

#define SAMPLE_NQN "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-000000000000"

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

/* @why: of a member that it does not know, and that is not for leaving out */
static bool say_it(struct client *c, json_t *entry, const char *method, struct error *why)
{
	json_t *params = json_object_get(entry, "params");
	const char *name;

	if (!client_has(c, method) ||
	    dialect_request(client_dialect(c), method, params, &name, why) < 0)
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
static bool translate_entry(struct client *c, json_t *entry, const char *method, bool is_renamed,
			    struct error *why)
{
	const char *other;

	if (!method || (is_renamed && is_option(method)))
		return false;
	if (client_has(c, method))
		return say_it(c, entry, method, why);
	other = same_service(method);
	if (!other)
		return false;
	keep_members(json_object_get(entry, "params"));
	return say_it(c, entry, other, why);
}

static void note_lacking(char *list, size_t size, const char *method)
{
	size_t at = strlen(list);

	if (!strstr(list, method))
		snprintf(list + at, size - at, "%s%s", at ? ", " : "", method);
}

static void translate_subsystem(struct client *c, json_t *entries, char *lacking, size_t size,
				struct error *why)
{
	for (size_t i = json_array_size(entries); i > 0; i--) {
		json_t *entry = json_array_get(entries, i - 1);
		const char *saved = json_string_value(json_object_get(entry, "method"));
		const char *method = saved ? dialect_today(saved) : NULL;
		struct error one = ERROR_INIT;

		if (translate_entry(c, entry, method, method != saved, &one))
			continue;
		if (method && !is_option(method)) {
			note_lacking(lacking, size, method);
			*why = why->code ? *why : one;
		}
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

/* --- members that came later than the target ------------------------------------------------ */

/* What a release tells of them it tells of each; of others some members only where they are set. */
static bool tells_all(const char *method)
{
	return is_option(method) || !strcmp(method, "nvmf_create_transport") ||
	       !strcmp(method, "nvmf_create_subsystem");
}

static void keep_known(json_t *params, const json_t *known)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(params, next, name, value)
	{
		const json_t *same = json_object_get(known, name);

		if (!same)
			json_object_del(params, name);
		else if (json_is_object(value) && json_is_object(same))
			keep_known(value, same);
	}
}

static const char *today(const json_t *entry)
{
	return dialect_today(view_text(entry, "method"));
}

/* The same method, of the same transport or implementation. */
static const json_t *find_same(const json_t *subsystems, const json_t *entry)
{
	static const char *const of[] = { "trtype", "impl_name", NULL };
	const json_t *params = json_object_get(entry, "params");
	json_t *subsystem, *other;
	size_t i, e;

	json_array_foreach ((json_t *)subsystems, i, subsystem) {
		json_array_foreach (json_object_get(subsystem, "config"), e, other) {
			const json_t *its = json_object_get(other, "params");
			bool same = !strcmp(today(other), today(entry));

			for (const char *const *o = of; same && *o; o++)
				same = !strcmp(view_text(its, *o), view_text(params, *o));
			if (same)
				return other;
		}
	}
	return NULL;
}

/* One of each, so that a target that serves nothing tells what it knows of them. */
static int make_samples(struct client *c, struct error *err)
{
	json_t *subsystem = json_pack("{s:s, s:s, s:s, s:i}", "nqn", SAMPLE_NQN, "serial_number",
				      "sample", "model_number", "sample", "max_namespaces", 32);
	int rc = client_wait(c, "nvmf_create_transport", json_pack("{s:s}", "trtype", "TCP"), NULL,
			     err);

	if (rc == 0)
		return client_wait(c, "nvmf_create_subsystem", subsystem, NULL, err);
	json_decref(subsystem);
	return rc;
}

static void drop_members(json_t *entries, const json_t *own)
{
	for (size_t i = json_array_size(entries); i > 0; i--) {
		json_t *entry = json_array_get(entries, i - 1);
		json_t *params = json_object_get(entry, "params");
		const json_t *same = find_same(own, entry);

		if (!tells_all(today(entry)))
			continue;
		if (same)
			keep_known(params, json_object_get(same, "params"));
		else if (view_text(params, "impl_name")[0])
			json_array_remove(entries, i - 1);
	}
}

/*
 * An older release refuses a whole start for one member that came later. What it saves of itself
 * tells which it knows.
 */
static int drop_unknown(struct client *c, json_t *subsystems, struct error *err)
{
	json_t *own, *subsystem;
	int rc = make_samples(c, err);
	size_t i;

	if (rc == 0)
		rc = config_take(c, &own, err);
	if (rc < 0)
		return rc;
	json_array_foreach (subsystems, i, subsystem)
		drop_members(json_object_get(subsystem, "config"), own);
	json_decref(own);
	return 0;
}

int config_translate(struct client *c, const char *path, bool older, json_t **out,
		     struct error *err)
{
	json_t *config, *subsystem, *subsystems;
	struct error why = ERROR_INIT;
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
	if (older)
		rc = drop_unknown(c, subsystems, err);
	json_array_foreach (subsystems, i, subsystem) {
		if (rc == 0)
			translate_subsystem(c, json_object_get(subsystem, "config"), lacking,
					    sizeof(lacking), &why);
	}
	drop_empty(subsystems);
	if (rc == 0 && why.code)
		rc = error_set(err, why.code, "of the running configuration: %s", why.text);
	else if (rc == 0 && lacking[0])
		rc = error_set(err, -ENOSYS, "it has no %s, which the running configuration needs",
			       lacking);
	if (rc == 0)
		*out = config;
	else
		json_decref(config);
	return rc;
}

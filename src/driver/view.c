/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at a target: what it has, asked all at once, and finding things in the answers.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <string.h>

#include "driver/driver.h"

#define QUESTIONS 6

int view_take(struct client *c, struct view *out, struct error *err)
{
	static const char *const methods[QUESTIONS] = {
		"bdev_get_bdevs",	  "nvmf_get_transports",   "nvmf_get_subsystems",
		"bdev_lvol_get_lvstores", "vhost_get_controllers", "keyring_get_keys",
	};
	json_t **const places[QUESTIONS] = { &out->bdevs,  &out->transports,  &out->subsystems,
					     &out->stores, &out->controllers, &out->keys };
	struct client_request r[QUESTIONS] = { 0 };
	int which[QUESTIONS], rc = client_learn(c, err);
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	for (int i = 0; rc == 0 && i < QUESTIONS; i++) {
		if (!client_has(c, methods[i]))
			continue;
		which[n] = i;
		r[n++].method = methods[i];
	}
	if (rc == 0)
		rc = client_wait_all(c, r, n, err);
	for (size_t i = 0; i < n; i++)
		*places[which[i]] = r[i].result;
	if (rc < 0)
		view_fini(out);
	return rc;
}

void view_fini(struct view *v)
{
	json_decref(v->bdevs);
	json_decref(v->transports);
	json_decref(v->subsystems);
	json_decref(v->stores);
	json_decref(v->controllers);
	json_decref(v->keys);
	memset(v, 0, sizeof(*v));
}

const char *view_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

json_t *view_by(const json_t *list, const char *name, const char *value)
{
	json_t *o;
	size_t i;

	json_array_foreach ((json_t *)list, i, o) {
		if (!strcmp(view_text(o, name), value))
			return o;
	}
	return NULL;
}

static bool has_alias(const json_t *bdev, const char *name)
{
	json_t *alias;
	size_t i;

	json_array_foreach (json_object_get(bdev, "aliases"), i, alias) {
		if (json_is_string(alias) && !strcmp(json_string_value(alias), name))
			return true;
	}
	return false;
}

json_t *view_bdev(const json_t *bdevs, const char *name)
{
	json_t *b;
	size_t i;

	json_array_foreach ((json_t *)bdevs, i, b) {
		if (!strcmp(view_text(b, "name"), name) || has_alias(b, name))
			return b;
	}
	return NULL;
}

uint64_t view_bdev_size(const json_t *bdev)
{
	return (uint64_t)json_integer_value(json_object_get(bdev, "num_blocks")) *
	       (uint64_t)json_integer_value(json_object_get(bdev, "block_size"));
}

/* Releases that do not tell it refuse the write itself; the proof asks for that. */
bool view_bdev_writes(const json_t *bdev)
{
	return !json_is_false(
		json_object_get(json_object_get(bdev, "supported_io_types"), "write"));
}

int need_method(struct client *c, const char *method, const char *what, struct error *err)
{
	int rc = client_learn(c, err);

	if (rc < 0 || client_has(c, method))
		return rc;
	return error_set(err, -ENOSYS,
			 "%s: the target at %s has no method %s; update it to a build that has, or "
			 "leave that away",
			 what, client_path(c), method);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of volumes on an accelerator's backing: made, or taken over as it is.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "driver/driver.h"

#define INSPECT_NS (300 * NS_PER_SEC)
#define CREATE_NS  (3600 * NS_PER_SEC) /* "write_zeroes" goes over the whole device */
#define EXAMINE_NS (3 * NS_PER_SEC)
#define PAUSE_NS   (20 * NS_PER_MSEC)

static int take_found(const json_t *answer, const char *path, struct store_found *out,
		      struct error *err)
{
	const json_t *s = json_array_get(json_object_get(answer, "stores"), 0);
	json_t *volume;
	size_t i;

	if (!json_is_array(json_object_get(s, "lvols")) || !view_text(s, "name")[0] ||
	    strlen(view_text(s, "uuid")) != UUID_TEXT_SIZE - 1)
		return error_set(err, -ENOENT,
				 "%s holds a Blobstore without a store of volumes, which cannot be "
				 "taken over",
				 path);
	snprintf(out->name, sizeof(out->name), "%s", view_text(s, "name"));
	snprintf(out->uuid, sizeof(out->uuid), "%s", view_text(s, "uuid"));
	out->volumes = json_array();
	json_array_foreach (json_object_get(s, "lvols"), i, volume)
		json_array_append(out->volumes, json_object_get(volume, "name"));
	return 0;
}

int store_inspect(struct driver *d, const char *path, struct store_found *out, struct error *err)
{
	char program[PATH_MAX];
	char *argv[] = { program, (char *)"inspect", (char *)"--json", (char *)path, NULL };
	struct child_result r;
	json_t *answer;
	int rc = helper_find("cyborg-spdk-blob", program, err);

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = child_run(d->loop, argv, INSPECT_NS, &r, err);
	if (rc < 0)
		return rc;
	answer = json_loads(r.out, 0, NULL);
	if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 0)
		rc = error_set(
			err, -ENOENT,
			"the store on %s is damaged (`cyborg-spdk blob check` tells how): %.*s",
			path, (int)strcspn(r.err_out, "\n"), r.err_out);
	else
		rc = take_found(answer, path, out, err);
	json_decref(answer);
	child_result_fini(&r);
	return rc;
}

static int create(struct client *c, const struct accelerator *a, const char *clear,
		  struct error *err)
{
	json_t *params = json_pack("{s:s, s:s}", "bdev_name", a->bdev, "lvs_name", a->store);

	if (a->cluster_size)
		json_object_set_new(params, "cluster_sz", json_integer(a->cluster_size));
	if (clear)
		json_object_set_new(params, "clear_method", json_string(clear));
	client_set_timeout(c, CREATE_NS);
	return client_wait(c, "bdev_lvol_create_lvstore", params, NULL, err);
}

int store_wait(struct client *c, uint64_t *until_ns, struct error *err)
{
	bool first = *until_ns == 0, can_ask = client_has(c, "bdev_wait_for_examine");
	int rc;

	if (first)
		*until_ns = clock_ns() + (can_ask ? 0 : EXAMINE_NS);
	else if (clock_ns() >= *until_ns)
		return 0;
	rc = can_ask ? client_wait(c, "bdev_wait_for_examine", NULL, NULL, err)
		     : client_pause(c, PAUSE_NS, err);
	return rc < 0 ? rc : 1;
}

int store_look(struct client *c, const char *member, const char *value, bool expected, json_t **out,
	       struct error *err)
{
	bool can_ask = client_has(c, "bdev_wait_for_examine");
	json_t *stores = NULL;
	uint64_t until_ns = 0;
	int rc = can_ask ? store_wait(c, &until_ns, err) : 1;

	*out = NULL;
	while (rc > 0 && !*out) {
		rc = client_wait(c, "bdev_lvol_get_lvstores", NULL, &stores, err);
		*out = rc == 0 ? json_incref(view_by(stores, member, value)) : NULL;
		json_decref(stores);
		stores = NULL;
		if (rc == 0 && !*out && expected)
			rc = store_wait(c, &until_ns, err);
	}
	return rc < 0 ? rc : 0;
}

static int find(struct client *c, struct accelerator *a, bool *there, struct error *err)
{
	json_t *s;
	int rc = store_look(c, "base_bdev", a->bdev, !a->store_made, &s, err);

	*there = s != NULL;
	if (s) {
		snprintf(a->store_uuid, sizeof(a->store_uuid), "%s", view_text(s, "uuid"));
		a->cluster_size = (uint32_t)json_integer_value(json_object_get(s, "cluster_size"));
		if (strcmp(view_text(s, "name"), a->store) != 0)
			rc = error_set(err, -EEXIST, "%s holds the store \"%s\", not \"%s\"",
				       a->path, view_text(s, "name"), a->store);
	}
	json_decref(s);
	return rc;
}

int store_ensure(struct client *c, struct accelerator *a, const char *clear, struct error *err)
{
	bool there;
	int rc = need_method(c, "bdev_lvol_create_lvstore", "a store of volumes", err);

	if (rc == 0)
		rc = find(c, a, &there, err);
	if (rc < 0 || there)
		return rc;
	if (!a->store_made)
		return error_set(err, -EPROTO, "the target finds no store %s on %s", a->store,
				 a->path);
	rc = create(c, a, clear, err);
	if (rc == 0)
		rc = find(c, a, &there, err);
	return rc == 0 && !there ? error_set(err, -EPROTO,
					     "the target does not show the store %s "
					     "that it made",
					     a->store)
				 : rc;
}

json_t *store_volumes(const json_t *bdevs, const struct accelerator *a)
{
	json_t *list = json_array(), *b, *alias;
	size_t i, len = strlen(a->store);

	json_array_foreach ((json_t *)bdevs, i, b) {
		const json_t *lvol = json_object_get(json_object_get(b, "driver_specific"), "lvol");
		const char *text;

		alias = json_array_get(json_object_get(b, "aliases"), 0);
		text = json_string_value(alias);
		if (lvol && !strcmp(view_text(lvol, "lvol_store_uuid"), a->store_uuid) && text &&
		    !strncmp(text, a->store, len) && text[len] == '/')
			json_array_append_new(list, json_string(text + len + 1));
	}
	return list;
}

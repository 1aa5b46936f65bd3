/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a PCI function, which only the target reaches: looked at before they may be lost,
 * and zeroed, through an export of its own. See function.h.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "driver/attach.h"
#include "driver/function.h"

#define EDGE	  (UINT64_C(1) << 20)
#define REMOVE_NS (3600 * NS_PER_SEC) /* volumes are unmapped */

/* @store: new reference; NULL when the target finds none on it */
static int find_store(struct client *c, const struct accelerator *a, json_t **store,
		      struct error *err)
{
	*store = NULL;
	return client_has(c, "bdev_lvol_get_lvstores")
		       ? store_look(c, "base_bdev", a->bdev, a->store[0], store, err)
		       : 0;
}

/* Up to where its metadata goes: clusters of data come behind. */
static uint64_t metadata_of(const json_t *store, const struct accelerator *a)
{
	uint64_t cluster = (uint64_t)json_integer_value(json_object_get(store, "cluster_size"));
	uint64_t data = (uint64_t)json_integer_value(json_object_get(store, "total_data_clusters"));
	uint64_t all = cluster ? a->size / cluster : 0;

	return all > data ? (all - data) * cluster : a->size;
}

/* Not attached to anybody: what an export of our own needs to be told. */
static void as_attachment(struct driver *d, const struct accelerator *a, struct attachment *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->instance, sizeof(out->instance), "%s", a->id);
	snprintf(out->accelerator, sizeof(out->accelerator), "%s", a->id);
	snprintf(out->bdev, sizeof(out->bdev), "%s", a->bdev);
	snprintf(out->source, sizeof(out->source), SOURCE_WHOLE);
	names_make(d, a, out);
	attachment_identity(out, a->uuid);
	out->size = a->size;
}

/* --- what is there ---------------------------------------------------------------------------- */

static int tell_store(struct client *c, const struct accelerator *a, const char *name,
		      const char *uuid, struct error *err)
{
	struct accelerator there = *a;
	json_t *volumes;
	struct view v;
	char *text;
	int rc = view_take(c, &v, err);

	if (rc < 0)
		return rc;
	snprintf(there.store, sizeof(there.store), "%s", name);
	snprintf(there.store_uuid, sizeof(there.store_uuid), "%s", uuid);
	volumes = store_volumes(v.bdevs, &there);
	view_fini(&v);
	text = json_dumps(volumes, JSON_COMPACT);
	rc = error_set(err, -EEXIST,
		       "PCI function %s holds the store \"%s\" with the volumes %.200s: name that "
		       "with --store to take it over; to lose it, add --force %s",
		       a->path, name, text ? text : "", a->serial);
	free(text);
	json_decref(volumes);
	return rc;
}

static int refuse_whole(const struct accelerator *a, const json_t *store, struct error *err)
{
	const char *name = view_text(store, "name");

	return error_set(
		err, -EEXIST,
		"PCI function %s holds the store \"%s\", which the target loads, so that "
		"nobody can be attached to it whole: take it over by --store %s; --store of "
		"another name and --force %s replaces it",
		a->path, name, name, a->serial);
}

int function_check_whole(struct client *c, const struct accelerator *a, struct error *err)
{
	json_t *store = NULL;
	int rc = find_store(c, a, &store, err);

	if (rc == 0 && store)
		rc = refuse_whole(a, store, err);
	json_decref(store);
	return rc;
}

static int look_at_store(struct driver *d, struct client *c, struct accelerator *a,
			 const json_t *store, bool forced, bool named, struct error *err)
{
	const char *name = view_text(store, "name"), *uuid = view_text(store, "uuid");

	if (!a->store_made)
		return refuse_whole(a, store, err);
	if (forced)
		return function_clear(d, c, a, false, err);
	if (named && strcmp(a->store, name) != 0)
		return tell_store(c, a, name, uuid, err);
	snprintf(a->store, sizeof(a->store), "%s", name);
	snprintf(a->store_uuid, sizeof(a->store_uuid), "%s", uuid);
	a->store_made = false;
	a->cluster_size = 0;
	return 0;
}

static int look_at_bytes(struct driver *d, struct client *c, const struct accelerator *a,
			 struct error *err)
{
	struct attachment own;
	bool empty = false;
	int rc;

	as_attachment(d, a, &own);
	rc = wipe_look(d, c, a, &own, &empty, err);
	if (rc < 0 || empty)
		return rc;
	return error_set(
		err, -ENOTEMPTY,
		"PCI function %s, namespace %u, is not empty: whoever is attached will see "
		"and may overwrite that: if you mean it, add --force %s",
		a->path, a->nsid, a->serial);
}

int function_look(struct driver *d, struct client *c, struct accelerator *a, const char *force,
		  bool named, struct error *err)
{
	bool forced = force && !strcmp(force, a->serial);
	json_t *store = NULL;
	int rc = 0;

	if (force && !forced)
		return error_set(
			err, -ENOTEMPTY,
			"--force names the serial \"%s\"; that of PCI function %s is \"%s\"", force,
			a->path, a->serial);
	rc = find_store(c, a, &store, err);
	if (rc == 0 && store)
		rc = look_at_store(d, c, a, store, forced, named, err);
	else if (rc == 0 && !forced)
		rc = look_at_bytes(d, c, a, err);
	json_decref(store);
	return rc;
}

/* --- its end ---------------------------------------------------------------------------------- */

/* How much is to be zeroed outlives the store that tells it. */
static void note_key(const struct accelerator *a, char *out, size_t size)
{
	snprintf(out, size, "clear:%s", a->id);
}

static int remove_store(struct driver *d, struct client *c, const struct accelerator *a,
			const json_t *store, struct error *err)
{
	char key[STATE_ID_SIZE + 16], text[24];
	int rc;

	note_key(a, key, sizeof(key));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)metadata_of(store, a));
	rc = state_put_note(d->state, key, text, err);
	if (rc < 0)
		return rc;
	client_set_timeout(c, REMOVE_NS);
	return client_wait(c, "bdev_lvol_delete_lvstore",
			   json_pack("{s:s}", "uuid", view_text(store, "uuid")), NULL, err);
}

static int noted_length(struct driver *d, const struct accelerator *a, uint64_t *out,
			struct error *err)
{
	char key[STATE_ID_SIZE + 16], *text;
	int rc;

	*out = EDGE < a->size ? EDGE : a->size;
	note_key(a, key, sizeof(key));
	rc = state_note(d->state, key, &text, err);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (strtoull(text, NULL, 10) > *out)
		*out = strtoull(text, NULL, 10);
	free(text);
	return 0;
}

int function_clear(struct driver *d, struct client *c, const struct accelerator *a, bool wipe,
		   struct error *err)
{
	char key[STATE_ID_SIZE + 16];
	struct attachment own;
	json_t *store;
	int rc = find_store(c, a, &store, err);

	if (rc == 0 && store)
		rc = remove_store(d, c, a, store, err);
	json_decref(store);
	as_attachment(d, a, &own);
	if (rc == 0 && !wipe)
		rc = noted_length(d, a, &own.size, err);
	if (rc == 0)
		rc = wipe_run(d, c, a, &own, err);
	note_key(a, key, sizeof(key));
	return rc == 0 ? state_put_note(d->state, key, NULL, err) : rc;
}

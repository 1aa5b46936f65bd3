/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes in memory: which there are, whose turn it is to work on one, and how they come and go.
 *
 * Threading: reactor 0; lvol_attach() and lvol_enter() inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "lvol/internal.h"

/* --- which there are -------------------------------------------------------------------------- */

static struct lvol *next_ready(struct lvol *lvol)
{
	while (lvol != NULL && !lvol->ready)
		lvol = TAILQ_NEXT(lvol, link);
	return lvol;
}

struct lvol *lvol_first(const struct lvol_store *store)
{
	return next_ready(TAILQ_FIRST(&store->lvols));
}

struct lvol *lvol_next(const struct lvol *lvol)
{
	return next_ready(TAILQ_NEXT(lvol, link));
}

static int compare_id(const void *a, const void *b)
{
	uint64_t x = ((const struct lvol *)a)->id, y = ((const struct lvol *)b)->id;

	return (x > y) - (x < y);
}

struct lvol *lvol_by_id(const struct lvol_store *store, uint64_t id)
{
	struct lvol key, **found;

	key.id = id;
	found = tfind(&key, &store->by_id, compare_id);
	return found == NULL ? NULL : *found;
}

struct lvol *lvol_of_bdev(const struct bdev *bdev)
{
	if (bdev->module != &lvol_module)
		return NULL;
	return container_of(bdev, struct lvol, bdev);
}

/* A degraded volume has no bdev to be found by. */
static struct lvol *find_hidden(const char *name)
{
	char id[LVOL_UNIQUE_ID_SIZE], alias[LVOL_ALIAS_SIZE];
	struct lvol_store *store;
	struct uuid uuid;
	bool is_uuid = uuid_from_text(&uuid, name) == 0;

	for (store = lvol_store_first(); store != NULL; store = lvol_store_next(store)) {
		if (store->hidden == 0)
			continue;
		for (struct lvol *l = lvol_first(store); l != NULL; l = lvol_next(l)) {
			if (l->shown)
				continue;
			lvol_unique_id(l, id);
			lvol_alias(l, lvol_name(l), alias);
			if (strcmp(name, alias) == 0 || strcmp(name, id) == 0 ||
			    (is_uuid && uuid_equal(&uuid, &l->uuid)))
				return l;
		}
	}
	return NULL;
}

struct lvol *lvol_find(const char *name)
{
	struct bdev *bdev = bdev_find(name);
	struct lvol *lvol;

	if (bdev == NULL)
		return find_hidden(name);
	lvol = lvol_of_bdev(bdev);
	return lvol != NULL && lvol->ready && !lvol->store->leaving ? lvol : NULL;
}

struct lvol_store *lvol_store_of(const struct lvol *lvol)
{
	return lvol->store;
}

const char *lvol_name(const struct lvol *lvol)
{
	return lvol->name->text;
}

void lvol_unique_id(const struct lvol *lvol, char text[static LVOL_UNIQUE_ID_SIZE])
{
	char store[UUID_TEXT_SIZE];

	if (!uuid_is_nil(&lvol->uuid)) {
		uuid_to_text(&lvol->uuid, text);
		return;
	}
	uuid_to_text(&lvol->store->uuid, store);
	snprintf(text, LVOL_UNIQUE_ID_SIZE, "%s_%" PRIu64, store, lvol->id);
}

void lvol_alias(const struct lvol *lvol, const char *name, char text[static LVOL_ALIAS_SIZE])
{
	snprintf(text, LVOL_ALIAS_SIZE, "%s/%s", lvol_store_name(lvol->store), name);
}

/* --- coming and going ------------------------------------------------------------------------- */

static int refuse_taken(const struct lvol_store *store, const char *name, struct error *err)
{
	return error_set(err, -EEXIST, "lvol store \"%s\" has a volume \"%s\" already",
			 lvol_store_name(store), name);
}

int lvol_check_name(const struct lvol_store *store, const char *name, struct error *err)
{
	char alias[LVOL_ALIAS_SIZE];
	const struct bdev *other;
	int rc = lvol_name_check_text("volume", name, err);

	if (rc < 0)
		return rc;
	if (lvol_name_owner(&store->names, name) != NULL)
		return refuse_taken(store, name, err);
	snprintf(alias, sizeof(alias), "%s/%s", lvol_store_name(store), name);
	other = bdev_find(alias);
	if (other != NULL)
		return error_set(err, -EEXIST,
				 "\"%s\" is a name of bdev \"%s\": choose another for the volume",
				 alias, bdev_name(other));
	return 0;
}

int lvol_new(struct lvol_store *store, const char *name, struct lvol **out, struct error *err)
{
	struct lvol *lvol = calloc(1, sizeof(*lvol));
	int rc;

	if (lvol == NULL)
		return error_set(err, -ENOMEM, "no memory for a volume");
	lvol->store = store;
	rc = lvol_name_take(&store->names, name, lvol, &lvol->name);
	if (rc < 0) {
		free(lvol);
		return rc == -EEXIST ? refuse_taken(store, name, err)
				     : error_set(err, rc, "no memory for a volume");
	}
	TAILQ_INSERT_TAIL(&store->lvols, lvol, link);
	*out = lvol;
	return 0;
}

static bool is_hidden(const struct lvol *lvol)
{
	return lvol->ready && !lvol->shown;
}

void lvol_mark(struct lvol *lvol, bool ready, bool shown)
{
	lvol->store->hidden -= is_hidden(lvol);
	lvol->ready = ready;
	lvol->shown = shown;
	lvol->store->hidden += is_hidden(lvol);
}

int lvol_attach(struct lvol *lvol, uint64_t id, struct error *err)
{
	struct lvol_store *store = lvol->store;
	int rc = blob_open(store->blobs, id, &lvol->blob, err);

	if (rc < 0)
		return rc;
	lvol->id = id;
	if (tsearch(lvol, &store->by_id, compare_id) == NULL)
		rc = error_set(err, -ENOMEM, "no memory for a volume");
	else
		rc = lvol_show(lvol, err);
	if (rc < 0) {
		tdelete(lvol, &store->by_id, compare_id);
		blob_close(lvol->blob);
		lvol->blob = NULL;
		return rc;
	}
	lvol_mark(lvol, true, lvol->shown);
	return 0;
}

void lvol_forget(struct lvol *lvol)
{
	struct lvol_store *store = lvol->store;

	lvol_mark(lvol, false, lvol->shown);
	lvol->gone = true;
	if (lvol_by_id(store, lvol->id) == lvol)
		tdelete(lvol, &store->by_id, compare_id);
	lvol_name_give(&store->names, lvol->name);
	lvol->name = NULL;
	TAILQ_REMOVE(&store->lvols, lvol, link);
	if (lvol->refs == 0)
		free(lvol);
}

/* --- turns ------------------------------------------------------------------------------------ */

int lvol_enter(struct lvol *lvol, struct error *err)
{
	int rc = lvol_store_enter(lvol->store, err);

	if (rc < 0)
		return rc;
	lvol->refs++;
	fiber_lock(&lvol->lock);
	if (!lvol->gone)
		return 0;
	lvol_exit(lvol);
	return error_set(err, -ENODEV, "the volume was deleted meanwhile");
}

int lvol_enter_change(struct lvol *lvol, struct error *err)
{
	int rc = lvol_store_check_change(lvol->store, err);

	return rc < 0 ? rc : lvol_enter(lvol, err);
}

void lvol_exit(struct lvol *lvol)
{
	struct lvol_store *store = lvol->store;

	fiber_unlock(&lvol->lock);
	lvol_unref(lvol);
	lvol_store_exit(store);
}

void lvol_unref(struct lvol *lvol)
{
	if (--lvol->refs == 0 && lvol->gone)
		free(lvol);
}

/* --- what they are made of -------------------------------------------------------------------- */

int lvol_clusters_of(const struct lvol_store *store, uint64_t size, uint64_t *clusters,
		     struct error *err)
{
	uint32_t cluster = lvol_store_cluster_size(store);
	uint64_t bytes;

	*clusters = size / cluster + (size % cluster != 0);
	if (*clusters > UINT32_MAX || !checked_mul_u64(*clusters, cluster, &bytes) ||
	    bytes > INT64_MAX)
		return error_set(err, -EINVAL,
				 "a volume of %" PRIu64 " bytes: it can have 2^32 - 1 clusters of "
				 "%" PRIu32 " bytes, and less than 2^63 bytes",
				 size, cluster);
	return 0;
}

void lvol_xattrs_fill(struct lvol_xattrs *x, const struct lvol *lvol)
{
	memset(x->name, 0, sizeof(x->name));
	memcpy(x->name, lvol_name(lvol), strlen(lvol_name(lvol)));
	uuid_to_text(&lvol->uuid, x->uuid);
	x->list[0] = (struct blob_xattr){ "name", x->name, sizeof(x->name) };
	x->list[1] = (struct blob_xattr){ "uuid", x->uuid, sizeof(x->uuid) };
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a store: its own name and UUID from the super blob, then every other blob as a volume.
 *
 * SPDK gives up the whole store for one volume whose name is missing or too long; here the volume
 * is shown under a name that works, and the others as they are.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lvol/internal.h"

/* --- xattrs ----------------------------------------------------------------------------------- */

static bool read_uuid(const struct blob *blob, struct uuid *uuid)
{
	uint16_t len = 0;
	const char *text = blob_xattr_get(blob, "uuid", &len);

	return text != NULL && len == UUID_TEXT_SIZE && text[len - 1] == '\0' &&
	       uuid_from_text(uuid, text) == 0;
}

/* Up to the first NUL, cut where it is too long; -ENOENT, or -E2BIG when it was cut. */
static int read_name(const struct blob *blob, char name[static LVOL_NAME_MAX + 1])
{
	uint16_t len = 0;
	const char *text = blob_xattr_get(blob, "name", &len);
	size_t bytes;

	if (text == NULL)
		return -ENOENT;
	bytes = strnlen(text, len);
	memset(name, 0, LVOL_NAME_MAX + 1);
	memcpy(name, text, bytes > LVOL_NAME_MAX ? LVOL_NAME_MAX : bytes);
	return bytes > LVOL_NAME_MAX ? -E2BIG : 0;
}

/* --- the store -------------------------------------------------------------------------------- */

static int take_identity(struct lvol_store *store, struct error *err)
{
	char name[LVOL_NAME_MAX + 1];

	if (!read_uuid(store->super, &store->uuid))
		return error_set(err, -EINVAL, "its root blob has no UUID");
	if (lvol_store_find_uuid(&store->uuid) != NULL)
		return error_set(err, -EEXIST,
				 "the store \"%s\" with the same UUID is loaded already: this is a "
				 "copy of it",
				 lvol_store_name(lvol_store_find_uuid(&store->uuid)));
	if (read_name(store->super, name) < 0)
		return error_set(err, -EINVAL,
				 "its root blob has no name, or one of more than %u bytes",
				 LVOL_NAME_MAX);
	return lvol_store_name_set(store, name, err);
}

static int open_super(struct lvol_store *store, struct error *err)
{
	uint64_t id = blob_store_super(store->blobs);
	int rc;

	if (id == BLOB_ID_NONE)
		return error_set(err, -ENODEV, "it has no root blob: its creation was cut short");
	rc = blob_open(store->blobs, id, &store->super, err);
	if (rc < 0)
		return error_prefix(err, "root blob: ");
	return take_identity(store, err);
}

/* --- volumes ---------------------------------------------------------------------------------- */

struct ids {
	uint64_t *at;
	size_t count, room;
	bool short_of_memory;
};

static bool add_id(const struct blob_summary *blob, void *arg)
{
	struct ids *ids = arg;

	/* What is damaged was told by the Blobstore, and is left out. */
	if (blob->damage != 0)
		return true;
	if (ids->count == ids->room) {
		size_t room = ids->room == 0 ? 64 : ids->room * 2;
		uint64_t *more = realloc(ids->at, room * sizeof(*more));

		if (more == NULL) {
			ids->short_of_memory = true;
			return false;
		}
		ids->at = more;
		ids->room = room;
	}
	ids->at[ids->count++] = blob->id;
	return true;
}

/* What a volume is called that has no name of its own, or one that is taken. */
static void substitute_name(struct lvol_store *store, uint64_t id, const struct uuid *uuid,
			    char text[static LVOL_UNIQUE_ID_SIZE])
{
	struct lvol like = { .store = store, .id = id, .uuid = *uuid };

	lvol_unique_id(&like, text);
}

static int new_volume(struct lvol_store *store, const struct blob *blob, uint64_t id,
		      struct lvol **out, struct error *err)
{
	char substitute[LVOL_UNIQUE_ID_SIZE], name[LVOL_NAME_MAX + 1];
	struct uuid uuid = { 0 };
	int named = read_name(blob, name), rc;

	if (!read_uuid(blob, &uuid))
		memset(&uuid, 0, sizeof(uuid));
	substitute_name(store, id, &uuid, substitute);
	if (named == -E2BIG)
		log_warning("lvol store \"%s\": the name of volume %s is longer than %u bytes; it "
			    "is shown as \"%s\". SPDK does not load this store until it is renamed",
			    lvol_store_name(store), substitute, LVOL_NAME_MAX, name);
	rc = named == -ENOENT ? -EEXIST : lvol_new(store, name, out, err);
	if (rc == -EEXIST) {
		log_warning("lvol store \"%s\": volume %s has %s; rename it",
			    lvol_store_name(store), substitute,
			    named == -ENOENT ? "no name" : "the name of another");
		rc = lvol_new(store, substitute, out, err);
	}
	if (rc == 0)
		(*out)->uuid = uuid;
	return rc;
}

static int load_volume(struct lvol_store *store, uint64_t id, struct error *err)
{
	struct lvol *lvol = NULL;
	struct blob *blob;
	int rc = blob_open(store->blobs, id, &blob, err);

	if (rc < 0)
		return rc;
	rc = new_volume(store, blob, id, &lvol, err);
	if (rc == 0)
		rc = lvol_attach(lvol, id, err);
	if (rc < 0 && lvol != NULL)
		lvol_forget(lvol);
	blob_close(blob);
	return rc;
}

/* One that cannot be shown is left out: the others are not to blame. */
static int load_volumes(struct lvol_store *store, struct error *err)
{
	struct ids ids = { 0 };

	blob_store_each(store->blobs, add_id, &ids);
	for (size_t i = 0; i < ids.count && !ids.short_of_memory; i++) {
		struct error why = ERROR_INIT;

		if (ids.at[i] == blob_id(store->super))
			continue;
		if (load_volume(store, ids.at[i], &why) < 0)
			log_error("lvol store \"%s\": a volume is left out: %s",
				  lvol_store_name(store), why.text);
	}
	free(ids.at);
	return ids.short_of_memory ? error_set(err, -ENOMEM, "no memory for its volumes") : 0;
}

/* Volumes are shown before the store: who waits for the examination finds both. */
static int load(struct lvol_store *store, struct error *err)
{
	struct blob_store_options opts;
	int rc;

	lvol_store_blob_options(store, &opts);
	rc = blob_store_load(store->base, &opts, &store->blobs, err);
	if (rc < 0)
		return rc;
	rc = open_super(store, err);
	if (rc == 0)
		rc = load_volumes(store, err);
	if (rc < 0)
		error_prefix(err, "bdev \"%s\": ", bdev_name(bdev_of(store->base)));
	return rc;
}

int lvol_store_load(const char *base, struct error *err)
{
	struct lvol_store *store;
	int rc = lvol_store_new(base, &store, err);

	if (rc < 0)
		return rc;
	rc = load(store, err);
	if (rc < 0) {
		lvol_store_drop(store);
		return rc;
	}
	log_info(lvol, "lvol store \"%s\" on bdev \"%s\" is loaded", lvol_store_name(store), base);
	lvol_store_appear(store);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and volumes as SPDK's methods show them: members, order and types of 26.05.
 *
 * Threading: reactor 0.
 */
#include <stdlib.h>
#include <string.h>

#include "lvol/internal.h"

static void set_u64(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_bool(json_t *object, const char *key, bool value)
{
	json_object_set_new(object, key, json_boolean(value));
}

/* Names come from the disk: what is no UTF-8 is shown with '?' in place of it. */
static json_t *text_to_json(const char *text)
{
	json_t *s = json_string(text);
	char *copy;

	if (s != NULL)
		return s;
	copy = strdup(text);
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	s = copy != NULL ? json_string(copy) : NULL;
	free(copy);
	return s;
}

static void set_uuid(json_t *object, const char *key, const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	uuid_to_text(uuid, text);
	json_object_set_new(object, key, json_string(text));
}

json_t *lvol_store_to_json(const struct lvol_store *store)
{
	struct blob_store_info info;
	json_t *o = json_object();

	blob_store_info_get(store->blobs, &info);
	set_uuid(o, "uuid", &store->uuid);
	json_object_set_new(o, "name", text_to_json(lvol_store_name(store)));
	json_object_set_new(o, "base_bdev", json_string(bdev_name(bdev_of(store->base))));
	set_u64(o, "total_data_clusters", info.data_clusters);
	set_u64(o, "free_clusters", info.free_clusters);
	set_u64(o, "block_size", info.io_unit_size);
	set_u64(o, "cluster_size", info.cluster_size);
	set_u64(o, "max_growable_size", info.max_growable_size);
	/* SPDK knows no such store: the member is there only where there is something to tell. */
	if (info.unknown != NULL)
		json_object_set_new(o, "needs_repair", text_to_json(info.unknown));
	return o;
}

json_t *lvol_to_json(const struct lvol *lvol)
{
	json_t *o = json_object(), *store = json_object();
	char alias[LVOL_ALIAS_SIZE];
	struct blob_info info;

	blob_info_get(lvol->blob, &info);
	lvol_alias(lvol, lvol_name(lvol), alias);
	json_object_set_new(o, "alias", text_to_json(alias));
	set_uuid(o, "uuid", &lvol->uuid);
	json_object_set_new(o, "name", text_to_json(lvol_name(lvol)));
	set_bool(o, "is_thin_provisioned", info.thin);
	set_bool(o, "is_snapshot", info.snapshot);
	set_bool(o, "is_clone", info.clone);
	set_bool(o, "is_esnap_clone", info.esnap_clone);
	set_bool(o, "is_degraded", info.degraded);
	set_u64(o, "num_allocated_clusters", info.allocated_clusters);
	json_object_set_new(store, "name", text_to_json(lvol_store_name(lvol->store)));
	set_uuid(store, "uuid", &lvol->store->uuid);
	json_object_set_new(o, "lvs", store);
	return o;
}

/* Those whose volume is not there, being made or damaged, have no name. */
static json_t *clones_to_json(const struct lvol *lvol, const struct blob_info *info)
{
	json_t *array = json_array();
	uint64_t *ids = calloc(info->children, sizeof(*ids));
	size_t count = ids == NULL ? 0 : blob_children(lvol->blob, ids, info->children);

	for (size_t i = 0; i < count; i++) {
		const struct lvol *clone = lvol_by_id(lvol->store, ids[i]);

		if (clone != NULL)
			json_array_append_new(array, text_to_json(lvol_name(clone)));
	}
	free(ids);
	return array;
}

void lvol_dump(const struct bdev *bdev, json_t *object)
{
	const struct lvol *lvol = container_of(bdev, struct lvol, bdev), *parent;
	json_t *o = json_object();
	struct blob_info info;
	uint16_t len = 0;

	blob_info_get(lvol->blob, &info);
	set_uuid(o, "lvol_store_uuid", &lvol->store->uuid);
	json_object_set_new(o, "base_bdev", json_string(bdev_name(bdev_of(lvol->store->base))));
	set_bool(o, "thin_provision", info.thin);
	set_u64(o, "num_allocated_clusters", info.allocated_clusters);
	set_bool(o, "snapshot", info.snapshot);
	set_bool(o, "clone", info.clone);
	parent = info.clone ? lvol_by_id(lvol->store, info.parent) : NULL;
	if (parent != NULL)
		json_object_set_new(o, "base_snapshot", text_to_json(lvol_name(parent)));
	if (info.snapshot)
		json_object_set_new(o, "clones", clones_to_json(lvol, &info));
	set_bool(o, "esnap_clone", info.esnap_clone);
	if (info.esnap_clone) {
		const char *id = blob_esnap_id(lvol->blob, &len);

		json_object_set_new(o, "external_snapshot_name",
				    json_stringn(id, strnlen(id, len)));
	}
	json_object_set_new(object, "lvol", o);
}

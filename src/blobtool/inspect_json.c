/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect --json: stores with the keys of bdev_lvol_get_lvstores, volumes with those of
 * bdev_lvol_get_lvols, and what a program wants to know beside.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "blobtool/inspect.h"
#include "blobtool/text.h"
#include "blobtool/tool.h"

static void set_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void set_flag(json_t *o, const char *key, bool value)
{
	json_object_set_new(o, key, json_boolean(value));
}

static json_t *uuid_json(const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	uuid_to_text(uuid, text);
	return json_string(text);
}

static json_t *alias_json(const struct model *m, const struct volume *v)
{
	char alias[2 * NAME_SIZE + 1];

	snprintf(alias, sizeof(alias), "%s/%s", m->store_name, v->name);
	return text_json(alias);
}

static json_t *clones_json(const struct model *m, uint32_t blob)
{
	json_t *list;

	if (m->blobs[blob].children == 0)
		return json_null();
	list = json_array();
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].parent == blob && tool_is_listed(m, i))
			json_array_append_new(list, text_json(m->blobs[i].name));
	}
	return list;
}

static json_t *external_json(const struct volume *v)
{
	struct blob_xattr_ref ref;
	char text[NAME_SIZE];

	if ((v->content.invalid & BLOB_INVALID_ESNAP) == 0 ||
	    !blob_xattrs_find(&v->content.xattrs, true, BLOB_XATTR_EXTSNAP, 7, &ref))
		return json_null();
	snprintf(text, sizeof(text), "%.*s", (int)ref.value_len, (const char *)ref.value);
	return text_json(text);
}

static void add_common(const struct model *m, uint32_t blob, json_t *o)
{
	const struct volume *v = &m->blobs[blob];
	uint64_t size = v->clusters * m->geo.cluster_size;

	json_object_set_new(o, "blob_id", text_json_id(v->id));
	set_number(o, "root_page", v->root);
	set_number(o, "num_clusters", v->clusters);
	set_number(o, "size_bytes", size);
	set_number(o, "block_size", m->geo.io_unit_size);
	set_number(o, "num_blocks", size / m->geo.io_unit_size);
	set_flag(o, "read_only", volume_is_read_only(v));
	if (v->damage != DAMAGE_NONE)
		json_object_set_new(o, "damage", text_json(v->damage_text));
}

static json_t *volume_json(const struct model *m, uint32_t blob)
{
	const struct volume *v = &m->blobs[blob];
	json_t *o = json_object(), *lvs = json_object();

	json_object_set_new(o, "alias", alias_json(m, v));
	json_object_set_new(o, "uuid", uuid_json(&v->uuid));
	json_object_set_new(o, "name", text_json(v->name));
	set_flag(o, "is_thin_provisioned", (v->content.invalid & BLOB_INVALID_THIN) != 0);
	set_flag(o, "is_snapshot", v->children > 0);
	set_flag(o, "is_clone", v->parent != NO_BLOB);
	set_flag(o, "is_esnap_clone", (v->content.invalid & BLOB_INVALID_ESNAP) != 0);
	/* No bdev is here that could be the external snapshot. */
	set_flag(o, "is_degraded", v->sees_external);
	set_number(o, "num_allocated_clusters", v->allocated);
	json_object_set_new(lvs, "name", text_json(m->store_name));
	json_object_set_new(lvs, "uuid", uuid_json(&m->store_uuid));
	json_object_set_new(o, "lvs", lvs);
	json_object_set_new(o, "base_snapshot",
			    v->parent == NO_BLOB ? json_null()
						 : text_json(m->blobs[v->parent].name));
	json_object_set_new(o, "clones", clones_json(m, blob));
	json_object_set_new(o, "external_snapshot_name", external_json(v));
	add_common(m, blob, o);
	return o;
}

static json_t *blob_json(const struct model *m, uint32_t blob)
{
	const struct volume *v = &m->blobs[blob];
	json_t *o = json_object();

	set_flag(o, "is_thin_provisioned", (v->content.invalid & BLOB_INVALID_THIN) != 0);
	set_number(o, "num_allocated_clusters", v->allocated);
	json_object_set_new(o, "parent",
			    v->parent == NO_BLOB ? json_null() : text_json_id(v->parent_id));
	add_common(m, blob, o);
	return o;
}

static json_t *damaged_json(const struct model *m)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < m->blob_count; i++) {
		const struct volume *v = &m->blobs[i];
		json_t *o;

		if (v->damage == DAMAGE_NONE || !v->listed)
			continue;
		o = json_object();
		json_object_set_new(o, "blob_id", text_json_id(v->id));
		json_object_set_new(o, "name", text_json(v->name));
		set_number(o, "page", v->bad_page);
		json_object_set_new(o, "text", text_json(v->damage_text));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *super_json(const struct model *m)
{
	const struct blob_geometry *g = &m->geo;
	json_t *o = json_object();

	set_number(o, "version", g->version);
	set_flag(o, "clean", g->clean);
	json_object_set_new(o, "super_blob",
			    g->super_blob == BLOB_ID_NONE ? json_null()
							  : text_json_id(g->super_blob));
	set_number(o, "size", g->size);
	set_number(o, "cluster_size", g->cluster_size);
	set_number(o, "io_unit_size", g->io_unit_size);
	set_number(o, "md_page_size", g->page_size);
	set_number(o, "used_page_mask_start", g->pages.start);
	set_number(o, "used_page_mask_len", g->pages.len);
	set_number(o, "used_cluster_mask_start", g->clusters.start);
	set_number(o, "used_cluster_mask_len", g->clusters.len);
	set_number(o, "used_blobid_mask_start", g->ids.start);
	set_number(o, "used_blobid_mask_len", g->ids.len);
	set_number(o, "md_start", g->md.start);
	set_number(o, "md_len", g->md.len);
	set_number(o, "total_clusters", g->total_clusters);
	return o;
}

/* A load refuses an lvol store without name or UUID: then there is none. */
static bool has_store(const struct model *m)
{
	return !m->is_lvol || (m->store_has_uuid && m->super_blob != NO_BLOB &&
			       m->blobs[m->super_blob].damage == DAMAGE_NONE);
}

static json_t *store_json(const struct model *m)
{
	json_t *o = json_object(), *list = json_array();

	if (m->is_lvol) {
		json_object_set_new(o, "uuid", uuid_json(&m->store_uuid));
		json_object_set_new(o, "name", text_json(m->store_name));
	}
	json_object_set_new(o, "base_bdev", text_json(m->img->path));
	set_number(o, "total_data_clusters", m->geo.total_clusters - m->geo.md_clusters);
	set_number(o, "free_clusters", m->free_clusters);
	set_number(o, "block_size", m->geo.io_unit_size);
	set_number(o, "cluster_size", m->geo.cluster_size);
	set_number(o, "max_growable_size", blob_layout_max_size(&m->geo));
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (tool_is_listed(m, i))
			json_array_append_new(list,
					      m->is_lvol ? volume_json(m, i) : blob_json(m, i));
	}
	json_object_set_new(o, m->is_lvol ? "lvols" : "blobs", list);
	json_object_set_new(o, "super_block", super_json(m));
	json_object_set_new(o, "damaged", damaged_json(m));
	return o;
}

void inspect_json(const struct model *m)
{
	json_t *o = json_object(), *stores = json_array();

	if (m->code == 0 && has_store(m))
		json_array_append_new(stores, store_json(m));
	json_object_set_new(o, "stores", stores);
	json_object_set_new(o, "findings", findings_json(m->f));
	json_dumpf(o, stdout, JSON_INDENT(1));
	puts("");
	json_decref(o);
}

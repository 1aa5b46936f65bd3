/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a Blobstore an lvol store: names and UUIDs of the store and of its volumes, in xattrs.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blobtool/model.h"

#define NAME_BYTES 64u

static uint32_t read_name(const struct volume *v, char name[static NAME_SIZE])
{
	struct blob_xattr_ref ref;
	size_t len;

	name[0] = '\0';
	if (!blob_xattrs_find(&v->content.xattrs, false, "name", 4, &ref))
		return UINT32_MAX;
	len = strnlen(ref.value, ref.value_len);
	if (len > NAME_SIZE - 1)
		len = NAME_SIZE - 1;
	/* 64 bytes without an end are a name of 63 (lvol page, section 4). */
	if (ref.value_len == NAME_BYTES && len == NAME_BYTES)
		len = NAME_BYTES - 1;
	memcpy(name, ref.value, len);
	name[len] = '\0';
	return ref.value_len;
}

static bool read_uuid(const struct volume *v, struct uuid *uuid)
{
	struct blob_xattr_ref ref;
	char text[UUID_TEXT_SIZE];

	if (!blob_xattrs_find(&v->content.xattrs, false, "uuid", 4, &ref) ||
	    ref.value_len != UUID_TEXT_SIZE)
		return false;
	memcpy(text, ref.value, sizeof(text));
	return text[UUID_TEXT_SIZE - 1] == '\0' && strlen(text) == UUID_TEXT_SIZE - 1 &&
	       uuid_from_text(uuid, text) == 0 && !uuid_is_nil(uuid);
}

static void check_store(struct model *m)
{
	const struct volume *v;
	uint32_t len;

	m->super_blob = model_find(m, m->geo.super_blob);
	if (m->super_blob == NO_BLOB || m->blobs[m->super_blob].damage != DAMAGE_NONE) {
		finding_add(m->f, SEVERITY_ERROR, "store.super", m->geo.super_blob, FINDING_NONE,
			    FINDING_NONE,
			    "the blob that holds the store's name and UUID is %s: the store cannot "
			    "be loaded",
			    m->super_blob == NO_BLOB ? "not there" : "damaged");
		return;
	}
	v = &m->blobs[m->super_blob];
	len = read_name(v, m->store_name);
	m->store_has_uuid = read_uuid(v, &m->store_uuid);
	if (!m->store_has_uuid)
		finding_add(m->f, SEVERITY_ERROR, "store.uuid", v->id, v->root, FINDING_NONE,
			    "the store has no valid UUID: it cannot be loaded");
	if (len == UINT32_MAX || len > NAME_BYTES)
		finding_add(m->f, SEVERITY_ERROR, "store.name", v->id, v->root, FINDING_NONE,
			    len == UINT32_MAX ? "the store has no name: it cannot be loaded"
					      : "the store's name is longer than 64 bytes: it "
						"cannot be loaded");
}

static void check_volume(struct model *m, struct volume *v)
{
	v->name_len = read_name(v, v->name);
	v->has_uuid = read_uuid(v, &v->uuid);
	if (!volume_counts(v))
		return;
	if (v->name_len == UINT32_MAX)
		finding_add(m->f, SEVERITY_ERROR, "volume.name", v->id, v->root, FINDING_NONE,
			    "the volume has no name: SPDK does not load the store");
	else if (v->name_len > NAME_BYTES)
		finding_add(m->f, SEVERITY_ERROR, "volume.name", v->id, v->root, FINDING_NONE,
			    "the volume's name takes %" PRIu32
			    " bytes, at most 64 are allowed: SPDK does not load the store",
			    v->name_len);
	if (!v->has_uuid)
		finding_add(m->f, SEVERITY_INFO, "volume.uuid", v->id, v->root, FINDING_NONE,
			    "the volume has no UUID: it gets another one at each load");
}

/* --- twice ------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	const struct volume *x = *(const struct volume *const *)a;
	const struct volume *y = *(const struct volume *const *)b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : x->id < y->id ? -1 : 1;
}

static int by_uuid(const void *a, const void *b)
{
	const struct volume *x = *(const struct volume *const *)a;
	const struct volume *y = *(const struct volume *const *)b;
	int order = memcmp(&x->uuid, &y->uuid, sizeof(x->uuid));

	return order != 0 ? order : x->id < y->id ? -1 : 1;
}

static int find_twice(struct model *m, struct error *err)
{
	struct volume **all = malloc((m->blob_count + 1u) * sizeof(struct volume *));
	uint32_t n = 0;

	if (all == NULL)
		return error_set(err, -ENOMEM, "no memory for names");
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (volume_counts(&m->blobs[i]) && i != m->super_blob)
			all[n++] = &m->blobs[i];
	}
	qsort(all, n, sizeof(struct volume *), by_name);
	for (uint32_t i = 1; i < n; i++) {
		if (all[i]->name_len != UINT32_MAX && strcmp(all[i]->name, all[i - 1]->name) == 0)
			finding_add(m->f, SEVERITY_ERROR, "volume.name-twice", all[i]->id,
				    all[i]->root, FINDING_NONE,
				    "the volume's name is that of blob 0x%" PRIx64
				    " too: this one is not shown",
				    all[i - 1]->id);
	}
	qsort(all, n, sizeof(struct volume *), by_uuid);
	for (uint32_t i = 1; i < n; i++) {
		if (all[i]->has_uuid && uuid_equal(&all[i]->uuid, &all[i - 1]->uuid))
			finding_add(m->f, SEVERITY_ERROR, "volume.uuid-twice", all[i]->id,
				    all[i]->root, FINDING_NONE,
				    "the volume's UUID is that of blob 0x%" PRIx64
				    " too: this one is not shown",
				    all[i - 1]->id);
	}
	free(all);
	return 0;
}

int model_read_names(struct model *m, struct error *err)
{
	check_store(m);
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (i != m->super_blob)
			check_volume(m, &m->blobs[i]);
	}
	return find_twice(m, err);
}

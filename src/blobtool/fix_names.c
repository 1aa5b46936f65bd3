/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and UUIDs that keep a store, or a volume of it, from being loaded.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

#define STORE_NAME "recovered"

static bool is_taken(const struct repair *r, const struct volume *v, const char *name)
{
	for (uint32_t i = 0; i < r->m.blob_count; i++) {
		const struct volume *other = &r->m.blobs[i];

		if (other != v && i != r->m.super_blob && volume_counts(other) &&
		    !strcmp(other->name, name))
			return true;
	}
	return false;
}

/* As much of the old name as fits, with a number behind it where that is taken. */
static void new_name(const struct repair *r, const struct volume *v, char name[LVOL_NAME + 1])
{
	char old[LVOL_NAME + 1];

	if (v->name_len == UINT32_MAX)
		snprintf(old, sizeof(old), "recovered-%" PRIu32, v->root);
	else
		snprintf(old, sizeof(old), "%.*s", (int)LVOL_NAME, v->name);
	snprintf(name, LVOL_NAME + 1, "%s", old);
	for (uint32_t n = 2; is_taken(r, v, name) && n != 0; n++) {
		char tail[16];
		int len = snprintf(tail, sizeof(tail), "~%" PRIu32, n);

		snprintf(name, LVOL_NAME + 1, "%.*s%s", (int)LVOL_NAME - len, old, tail);
	}
}

static int set(struct repair *r, const struct volume *v, const char *xattr, const char *value,
	       struct error *err)
{
	return fix_xattr_set(r, v, xattr, value, (uint16_t)(strlen(value) + 1), err);
}

static int rename_volume(struct repair *r, const struct volume *v, struct error *err)
{
	char name[LVOL_NAME + 1];

	new_name(r, v, name);
	repair_step(r, "blob 0x%" PRIx64 ": its name becomes \"%s\"", v->id, name);
	return set(r, v, "name", name, err);
}

static int new_uuid(struct repair *r, const struct volume *v, struct error *err)
{
	char text[UUID_TEXT_SIZE];
	struct uuid uuid;

	uuid_make(&uuid);
	uuid_to_text(&uuid, text);
	repair_step(r, "blob 0x%" PRIx64 ": its UUID becomes %s", v->id, text);
	return set(r, v, "uuid", text, err);
}

static int fix_volumes(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->f.count && rc == 0 && !r->changed; i++) {
		const struct finding *f = &r->f.items[i];
		uint32_t blob =
			strncmp(f->rule, "volume.", 7) == 0 ? model_find(&r->m, f->blob) : NO_BLOB;

		if (blob == NO_BLOB)
			continue;
		if (!strcmp(f->rule, "volume.name") || !strcmp(f->rule, "volume.name-twice"))
			rc = rename_volume(r, &r->m.blobs[blob], err);
		else if (!strcmp(f->rule, "volume.uuid-twice"))
			rc = new_uuid(r, &r->m.blobs[blob], err);
	}
	return rc;
}

/* --- the store's own blob --------------------------------------------------------------------- */

static int set_store(struct repair *r, const struct volume *v, struct error *err)
{
	bool no_name = r->m.store_name[0] == '\0' || strlen(r->m.store_name) > LVOL_NAME;
	char name[LVOL_NAME + 1];
	int rc = 0;

	if (!r->m.store_has_uuid)
		rc = new_uuid(r, v, err);
	if (rc == 0 && no_name) {
		snprintf(name, sizeof(name), "%.*s", (int)LVOL_NAME,
			 r->m.store_name[0] != '\0' ? r->m.store_name : STORE_NAME);
		repair_step(r, "the store's name becomes \"%s\"", name);
		rc = set(r, v, "name", name, err);
	}
	return rc;
}

static bool looks_like_super(const struct volume *v)
{
	struct blob_xattr_ref ref;

	return v->damage == DAMAGE_NONE && v->clusters == 0 &&
	       blob_xattrs_find(&v->content.xattrs, false, "uuid", 4, &ref) &&
	       blob_xattrs_find(&v->content.xattrs, false, "name", 4, &ref);
}

static int point_super(struct repair *r, uint64_t id, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];

	memcpy(page, r->m.super, sizeof(page));
	le64_put(page + offsetof(struct blob_disk_super, super_blob), id);
	repair_step(r, "super block: the store's own blob is 0x%" PRIx64, id);
	return fix_write_super(r, page, err);
}

/* A root page with nothing but a table of no clusters; xattrs come in the next round. */
static int make_super_blob(struct repair *r, struct error *err)
{
	uint64_t id = r->m.geo.super_blob;
	bool in_place = id >= BLOB_ID_BASE && id - BLOB_ID_BASE < r->m.geo.md.len;
	uint32_t root = (uint32_t)(id - BLOB_ID_BASE);
	uint8_t page[BLOB_PAGE_BYTES] = { 0 }, *flags;
	int rc = in_place ? 0 : fix_new_page(r, &root, err);

	if (rc < 0)
		return rc;
	repair_step(r, "the blob with the store's name and UUID is made anew, root page %" PRIu32,
		    root);
	le64_put(page, BLOB_ID_BASE + root);
	le32_put(page + offsetof(struct blob_disk_page, next), BLOB_NEXT_NONE);
	flags = desc_add(page, false, BLOB_DESC_FLAGS, 24);
	le64_put(flags, BLOB_INVALID_EXTENT_TABLE);
	desc_add(page, false, BLOB_DESC_EXTENT_TABLE, 8);
	rc = fix_write(r, root, page, err);
	return rc < 0 || in_place ? rc : point_super(r, BLOB_ID_BASE + root, err);
}

static int fix_store(struct repair *r, struct error *err)
{
	const struct volume *v = r->m.super_blob == NO_BLOB ? NULL : &r->m.blobs[r->m.super_blob];
	uint32_t first = model_find(&r->m, BLOB_ID_BASE);

	if (v != NULL && v->damage == DAMAGE_NONE && r->m.store_has_uuid &&
	    r->m.store_name[0] != '\0' && strlen(r->m.store_name) <= LVOL_NAME)
		return 0;
	if (v == NULL && first != NO_BLOB && looks_like_super(&r->m.blobs[first]))
		return point_super(r, BLOB_ID_BASE, err);
	if ((r->allow & ALLOW_SUPER) == 0) {
		repair_left(r, "the store's name or UUID cannot be read: it is not loaded; --allow "
			       "super makes them anew");
		return 0;
	}
	if (v == NULL || v->damage != DAMAGE_NONE)
		return make_super_blob(r, err);
	return set_store(r, v, err);
}

int fix_names(struct repair *r, struct error *err)
{
	int rc;

	if (!r->m.is_lvol)
		return 0;
	rc = fix_store(r, err);
	return rc < 0 ? rc : fix_volumes(r, err);
}

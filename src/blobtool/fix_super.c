/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The super block, single wrong bytes of continuation pages and of what was no page any more, and
 * at the end the masks.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/mask.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

#define FIELD(field) offsetof(struct blob_disk_super, field)

/* --- super block ------------------------------------------------------------------------------ */

static bool is_sound(const struct repair *r, const uint8_t *page)
{
	struct error ignored = ERROR_INIT;
	struct blob_geometry geo;

	return blob_super_parse(page, r->img->bytes, &geo, &ignored) == 0;
}

static bool mend_super(struct repair *r, uint8_t *page, struct error *err)
{
	uint8_t copy[BLOB_PAGE_BYTES];
	struct mend mend;

	memcpy(copy, page, sizeof(copy));
	if (!mend_page(copy, &mend) || !is_sound(r, copy))
		return false;
	repair_step(r, "super block: byte %u is 0x%02x and should be 0x%02x, as its checksum says",
		    mend.at, mend.from, mend.to);
	memcpy(page, copy, sizeof(copy));
	fix_write_super(r, page, err);
	return true;
}

/* A content that passes every check is believed; the next load trusts no mask. */
static bool seal_super(struct repair *r, uint8_t *page, struct error *err)
{
	uint8_t copy[BLOB_PAGE_BYTES];

	memcpy(copy, page, sizeof(copy));
	le32_put(copy + FIELD(clean), 0);
	desc_seal(copy);
	if (!is_sound(r, copy))
		return false;
	repair_step(r, "super block: its content is plausible, its checksum is made anew");
	fix_write_super(r, copy, err);
	return true;
}

static bool cut_super(struct repair *r, uint8_t *page, struct error *err)
{
	uint8_t copy[BLOB_PAGE_BYTES];

	if (le64_get(page + FIELD(size)) <= r->img->bytes)
		return false;
	memcpy(copy, page, sizeof(copy));
	le64_put(copy + FIELD(size), r->img->bytes);
	desc_seal(copy);
	if (!is_sound(r, copy))
		return false;
	repair_step(r,
		    "super block: the store has %" PRIu64 " bytes, the device only %" PRIu64
		    ": the store becomes as small as the device",
		    le64_get(page + FIELD(size)), r->img->bytes);
	r->was_cut = true;
	fix_write_super(r, copy, err);
	return true;
}

static bool set_version(struct repair *r, uint8_t *page, struct error *err)
{
	uint32_t version = le32_get(page + FIELD(version));
	uint8_t copy[BLOB_PAGE_BYTES];

	memcpy(copy, page, sizeof(copy));
	le32_put(copy + FIELD(version), BLOB_VERSION);
	desc_seal(copy);
	if (version == BLOB_VERSION || !is_sound(r, copy))
		return false;
	if ((r->allow & ALLOW_VERSION) == 0) {
		repair_left(r,
			    "super block: version %" PRIu32
			    " is not known; if it is damage, --allow version makes it %u",
			    version, BLOB_VERSION);
		return true;
	}
	repair_step(r, "super block: version %" PRIu32 " becomes %u", version, BLOB_VERSION);
	fix_write_super(r, copy, err);
	return true;
}

int fix_super(struct repair *r, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	bool has_signature;

	if (r->img->bytes < BLOB_PAGE_BYTES) {
		repair_left(r, "%s", r->f.items[0].text);
		return 0;
	}
	memcpy(page, r->m.super, sizeof(page));
	if (mend_super(r, page, err))
		return err->code;
	has_signature = memcmp(page, BLOB_SIGNATURE, 8) == 0;
	if (has_signature && !blob_page_crc_is_right(page) && seal_super(r, page, err))
		return err->code;
	if (has_signature && (cut_super(r, page, err) || set_version(r, page, err)))
		return err->code;
	repair_left(r, "%s", r->f.items[0].text);
	return 0;
}

/* --- single bytes ----------------------------------------------------------------------------- */

static int mend_index(struct repair *r, uint32_t index, enum blob_page_kind want_root,
		      struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct mend mend;
	int rc = fix_read(r, index, page, err);

	if (rc < 0)
		return rc;
	if (blob_page_crc_is_right(page) || !mend_page(page, &mend))
		return 0;
	if (want_root == BLOB_PAGE_ROOT && blob_page_classify(page, index) != BLOB_PAGE_ROOT)
		return 0;
	if (blob_page_classify(page, index) == BLOB_PAGE_EMPTY)
		return 0;
	repair_step(
		r, "page %" PRIu32 ": byte %u is 0x%02x and should be 0x%02x, as its checksum says",
		index, mend.at, mend.from, mend.to);
	return fix_write(r, index, page, err);
}

int fix_checksums(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (v->damage == DAMAGE_CHAIN_PAGE && v->bad_page < r->m.geo.md.len)
			rc = mend_index(r, v->bad_page, BLOB_PAGE_EMPTY, err);
	}
	/* A root whose id was hit is no blob yet; what mends to a root of its place is one. */
	for (uint32_t i = 0; i < r->m.page_count && rc == 0; i++) {
		const struct md_page *p = &r->m.pages[i];

		if (p->kind == BLOB_PAGE_EMPTY && p->owner == NO_BLOB)
			rc = mend_index(r, p->index, BLOB_PAGE_ROOT, err);
	}
	return rc;
}

/* --- masks ------------------------------------------------------------------------------------ */

static bool any_damaged(const struct model *m)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (volume_claims(&m->blobs[i]) && m->blobs[i].damage != DAMAGE_NONE)
			return true;
	}
	return false;
}

/* What a damaged blob has, and nobody can read, stays in use. */
static void keep_old(const struct repair *r, enum blob_disk_mask_type type, uint8_t *bits)
{
	const struct mask *old = &r->m.masks[type];

	if (!old->sound || !any_damaged(&r->m) || type == BLOB_MASK_BLOBIDS)
		return;
	for (uint64_t i = 0; i < old->count / 8 + 1; i++)
		bits[i] |= old->bits[i];
}

static int stage_mask(struct repair *r, enum blob_disk_mask_type type, struct error *err)
{
	const struct blob_region *region = model_mask_region(&r->m, type);
	uint64_t count = model_mask_bits(&r->m, type),
		 at = (uint64_t)region->start * r->m.geo.page_size;
	uint64_t bytes = (uint64_t)region->len * r->m.geo.page_size;
	uint8_t *want = model_build_mask(&r->m, type), *out = calloc(1, bytes), old[IMAGE_PAGE];
	int rc = want == NULL || out == NULL ? error_set(err, -ENOMEM, "no memory for a mask") : 0;

	if (rc == 0) {
		keep_old(r, type, want);
		out[0] = (uint8_t)type;
		le32_put(out + 1, (uint32_t)count);
		memcpy(out + sizeof(struct blob_disk_mask), want, count / 8 + (count % 8 != 0));
	}
	for (uint64_t i = 0; i < bytes && rc == 0; i += IMAGE_PAGE) {
		rc = image_read(r->img, old, at + i, IMAGE_PAGE, err);
		if (rc == 0 && memcmp(old, out + i, IMAGE_PAGE) != 0)
			rc = image_stage(r->img, at + i, out + i, err);
	}
	free(want);
	free(out);
	return rc;
}

static bool mask_findings(const struct findings *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
		if (f->items[i].severity > SEVERITY_INFO && !strncmp(f->items[i].rule, "mask.", 5))
			return true;
		if (!strcmp(f->items[i].rule, "root.missing"))
			return true;
	}
	return false;
}

/* Masks are made from what the blobs own, so that a load needs no recovery, which SPDK refuses for
 * what it can load otherwise. */
int fix_masks(struct repair *r, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = 0;

	if (!image_has_plans(r->img) && !mask_findings(&r->f))
		return 0;
	memcpy(page, r->m.super, sizeof(page));
	if (r->m.geo.ids.len == 0) {
		le32_put(page + FIELD(clean), 0);
		repair_step(r, "super block: not clean, so that the next load makes new masks");
		return fix_write_super(r, page, err);
	}
	for (int type = 0; type < 3 && rc == 0; type++)
		rc = stage_mask(r, (enum blob_disk_mask_type)type, err);
	if (rc < 0)
		return rc;
	le32_put(page + FIELD(clean), 1);
	repair_step(r, "masks: made anew from what the blobs own; the super block says clean");
	return fix_write_super(r, page, err);
}

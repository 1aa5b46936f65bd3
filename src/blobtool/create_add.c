/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: volumes for a store that is there.
 *
 * Order, as the engine's: super block, not clean => data => extent pages, continuation pages =>
 * root pages => masks => super block, clean. Before the roots the volumes are not there, and what
 * was written is free; one that was not clean stays so, and has no masks.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/create.h"
#include "blobtool/descriptors.h"

/* --- what is there ---------------------------------------------------------------------------- */

static int check_sound(const struct model *m, struct error *err)
{
	if (findings_bad(m->f))
		return error_set(err, -EILSEQ,
				 "%s: store \"%s\" is damaged: %s; `" PROGRAM
				 " check` tells all, `" PROGRAM " repair` mends",
				 m->img->path, m->store_name,
				 m->f->count > 0 ? m->f->items[0].text : "");
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].fate != FATE_NONE)
			return error_set(err, -EBUSY,
					 "%s: an operation on blob 0x%" PRIx64
					 " was interrupted: load the store once, or `" PROGRAM
					 " repair` it",
					 m->img->path, m->blobs[i].id);
	}
	return 0;
}

static int check_names(const struct maker *mk, const struct model *m, struct error *err)
{
	for (uint32_t i = 0; i < mk->count; i++) {
		for (uint32_t j = 0; j < m->blob_count; j++) {
			if (tool_is_listed(m, j) && !strcmp(m->blobs[j].name, mk->sources[i].name))
				return error_set(err, -EEXIST,
						 "store \"%s\" has a volume \"%s\" already",
						 m->store_name, mk->sources[i].name);
		}
	}
	return 0;
}

static void take_bits(struct bit_array *to, const uint8_t *bits, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (bits[i / 8] == 0)
			i |= 7;
		else if (mask_get(bits, i))
			bit_array_set(to, i);
	}
}

/* What the blobs have, and what the masks of a clean store have. */
static int take_used(const struct model *m, enum blob_disk_mask_type type, struct bit_array *to,
		     struct error *err)
{
	const struct mask *mask = &m->masks[type];
	uint8_t *bits = model_build_mask(m, type);

	if (bits == NULL)
		return error_set(err, -ENOMEM, "no memory for a mask");
	take_bits(to, bits, model_mask_bits(m, type));
	if (mask->sound)
		take_bits(to, mask->bits, mask->count);
	free(bits);
	return 0;
}

static int take_store(struct maker *mk, const struct model *m, struct error *err)
{
	int rc = check_sound(m, err);

	if (rc == 0)
		rc = check_names(mk, m, err);
	if (rc < 0)
		return rc;
	mk->geo = m->geo;
	mk->uuid = m->store_uuid;
	mk->was_clean = m->trusts_masks;
	memcpy(mk->super, m->super, sizeof(mk->super));
	rc = maker_prepare(mk, err);
	if (rc == 0)
		rc = take_used(m, BLOB_MASK_PAGES, mk->pages, err);
	if (rc == 0)
		rc = take_used(m, BLOB_MASK_CLUSTERS, mk->clusters, err);
	if (rc == 0)
		rc = take_used(m, BLOB_MASK_BLOBIDS, mk->ids, err);
	/* Page 0 is no extent page: 0 means none. */
	bit_array_set(mk->pages, 0);
	return rc;
}

int adder_open(struct maker *mk, struct error *err)
{
	struct findings f = { 0 };
	struct model m;
	int rc = model_load(&m, &mk->img, &f, err);

	if (rc == 0 && m.code == 0 && m.is_lvol && !strcmp(m.store_name, mk->store)) {
		mk->adds = true;
		rc = take_store(mk, &m, err);
	}
	model_free(&m);
	findings_free(&f);
	return rc;
}

/* --- adding ----------------------------------------------------------------------------------- */

static int put_super(struct maker *mk, bool clean, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc;

	memcpy(page, mk->super, sizeof(page));
	le32_put(page + offsetof(struct blob_disk_super, clean), clean ? 1 : 0);
	desc_seal(page);
	rc = image_write(&mk->img, page, 0, sizeof(page), err);
	return rc < 0 ? rc : image_sync(&mk->img, err);
}

/* Fresh pages that nobody refers to become what they were: nothing. The roots are the first. */
static void take_back(struct maker *mk)
{
	static const uint8_t zeroes[BLOB_PAGE_BYTES];
	uint64_t i = 0;
	int rc = 0;

	for (uint32_t s = 0; s < mk->count && rc == 0; s++) {
		if (bit_array_get(mk->fresh, mk->sources[s].root))
			rc = image_write(&mk->img, zeroes,
					 blob_page_offset(&mk->geo, mk->sources[s].root),
					 sizeof(zeroes), NULL);
	}
	if (rc == 0)
		rc = image_sync(&mk->img, NULL);
	while (rc == 0 && (i = bit_array_find_set(mk->fresh, i)) != UINT64_MAX)
		rc = image_write(&mk->img, zeroes, blob_page_offset(&mk->geo, (uint32_t)i++),
				 sizeof(zeroes), NULL);
	if (rc == 0)
		rc = image_sync(&mk->img, NULL);
	if (rc == 0 && mk->was_clean)
		put_super(mk, true, NULL);
}

int adder_run(struct maker *mk, struct error *err)
{
	int rc = mk->was_clean ? put_super(mk, false, err) : 0;

	if (rc == 0)
		rc = maker_write_volumes(mk, err);
	if (rc < 0) {
		take_back(mk);
		return rc;
	}
	if (!mk->was_clean)
		return 0;
	rc = maker_write_masks(mk, err);
	if (rc == 0)
		rc = image_sync(&mk->img, err);
	return rc < 0 ? rc : put_super(mk, true, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The masks of a clean store, against what the pages say (format page, section 5).
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/mask.h"
#include "blobtool/model.h"

static const char *const mask_names[] = { "used page mask", "used cluster mask",
					  "used blob id mask" };

const struct blob_region *model_mask_region(const struct model *m, enum blob_disk_mask_type type)
{
	return type == BLOB_MASK_PAGES	    ? &m->geo.pages
	       : type == BLOB_MASK_CLUSTERS ? &m->geo.clusters
					    : &m->geo.ids;
}

uint64_t model_mask_bits(const struct model *m, enum blob_disk_mask_type type)
{
	return type == BLOB_MASK_CLUSTERS ? m->geo.total_clusters : m->geo.md.len;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void check_header(struct model *m, enum blob_disk_mask_type type, const uint8_t *header,
			 struct mask *mask)
{
	uint64_t bits = le32_get(header + offsetof(struct blob_disk_mask, length));
	uint64_t page = model_mask_region(m, type)->start;
	uint64_t room = ((uint64_t)model_mask_region(m, type)->len * m->geo.page_size -
			 sizeof(struct blob_disk_mask)) *
			8;
	bool fits = bits >= mask->count && bits <= room;

	mask->sound = header[0] == type && fits;
	if (header[0] != type)
		finding_add(m->f, SEVERITY_ERROR, "mask.type", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE,
			    "%s, page %" PRIu64 " of the device: type %u, should be %u",
			    mask_names[type], page, header[0], type);
	else if (!fits)
		finding_add(m->f, SEVERITY_ERROR, "mask.length", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE,
			    "%s, page %" PRIu64 " of the device: %" PRIu64
			    " bits, should be %" PRIu64,
			    mask_names[type], page, bits, mask->count);
	else if (bits > mask->count)
		finding_add(m->f, SEVERITY_INFO, "mask.length", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE, "%s: %" PRIu64 " bits, %" PRIu64 " are used",
			    mask_names[type], bits, mask->count);
}

static int read_mask(struct model *m, enum blob_disk_mask_type type, struct error *err)
{
	struct mask *mask = &m->masks[type];
	uint64_t at = (uint64_t)model_mask_region(m, type)->start * m->geo.page_size;
	uint8_t header[sizeof(struct blob_disk_mask)];
	int rc = image_read(m->img, header, at, sizeof(header), err);

	if (rc < 0)
		return rc;
	mask->count = model_mask_bits(m, type);
	mask->bits = calloc(1, mask->count / 8 + 1);
	if (mask->bits == NULL)
		return error_set(err, -ENOMEM, "no memory for the %s", mask_names[type]);
	check_header(m, type, header, mask);
	rc = image_read(m->img, mask->bits, at + sizeof(header),
			mask->count / 8 + (mask->count % 8 != 0), err);
	if (mask->count % 8 != 0)
		mask->bits[mask->count / 8] &= (uint8_t)((1u << (mask->count % 8)) - 1);
	return rc;
}

int model_read_masks(struct model *m, struct error *err)
{
	int rc = 0;

	for (int type = 0; type < 3 && rc == 0 && m->trusts_masks; type++)
		rc = read_mask(m, (enum blob_disk_mask_type)type, err);
	return rc;
}

/* --- what they should say --------------------------------------------------------------------- */

static void set_pages(const struct model *m, uint8_t *bits)
{
	for (uint32_t i = 0; i < m->page_count; i++) {
		uint32_t owner = m->pages[i].owner;

		if (owner != NO_BLOB && volume_claims(&m->blobs[owner]))
			mask_set(bits, m->pages[i].index);
	}
}

static void set_clusters(const struct model *m, uint8_t *bits)
{
	for (uint32_t i = 0; i < m->geo.md_clusters; i++)
		mask_set(bits, i);
	/* Owners ascend: what an earlier one covered is passed over. */
	for (uint64_t i = 0, end = 0; i < m->owner_count; i++) {
		uint64_t last = (uint64_t)m->owners[i].cluster + m->owners[i].count;

		for (uint64_t j = m->owners[i].cluster > end ? m->owners[i].cluster : end; j < last;
		     j++)
			mask_set(bits, j);
		end = last > end ? last : end;
	}
}

static void set_ids(const struct model *m, uint8_t *bits)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (volume_claims(&m->blobs[i]))
			mask_set(bits, m->blobs[i].root);
	}
}

uint8_t *model_build_mask(const struct model *m, enum blob_disk_mask_type type)
{
	uint8_t *bits = calloc(1, model_mask_bits(m, type) / 8 + 1);

	if (bits == NULL)
		return NULL;
	if (type == BLOB_MASK_PAGES)
		set_pages(m, bits);
	else if (type == BLOB_MASK_CLUSTERS)
		set_clusters(m, bits);
	else
		set_ids(m, bits);
	return bits;
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool any_damaged(const struct model *m)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].damage != DAMAGE_NONE || m->blobs[i].fate != FATE_NONE)
			return true;
	}
	return false;
}

/* What a damaged blob had, and nobody can tell any more, must look used. */
static void note_range(struct model *m, enum blob_disk_mask_type type, uint64_t first,
		       uint64_t count, bool has_owner)
{
	bool pages = type == BLOB_MASK_PAGES;
	enum severity severity = has_owner	  ? SEVERITY_ERROR
				 : any_damaged(m) ? SEVERITY_INFO
						  : SEVERITY_WARNING;

	finding_add(m->f, severity, pages ? "mask.pages" : "mask.clusters", BLOB_ID_NONE,
		    pages ? first : FINDING_NONE, pages ? FINDING_NONE : first,
		    "%" PRIu64 " %s from here on %s", count, pages ? "pages" : "clusters",
		    has_owner ? "belong to a blob, the mask says they are free"
			      : "are in use by the mask and belong to no blob");
}

static void compare(struct model *m, enum blob_disk_mask_type type, const uint8_t *want)
{
	const struct mask *mask = &m->masks[type];
	uint64_t first = 0, count = 0;
	bool has_owner = false;

	for (uint64_t i = 0; i < mask->count; i++) {
		bool wanted = mask_get(want, i), there = mask_get(mask->bits, i);

		if (i % 8 == 0 && count == 0 && want[i / 8] == mask->bits[i / 8]) {
			i += 7;
			continue;
		}
		if (count > 0 && (wanted == there || wanted != has_owner)) {
			note_range(m, type, first, count, has_owner);
			count = 0;
		}
		if (wanted != there && count++ == 0) {
			first = i;
			has_owner = wanted;
		}
	}
	if (count > 0)
		note_range(m, type, first, count, has_owner);
}

static uint64_t count_set(const struct mask *mask)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < mask->count / 8 + 1; i++)
		n += (uint64_t)__builtin_popcount(mask->bits[i]);
	return n;
}

int model_check_masks(struct model *m, struct error *err)
{
	for (int type = BLOB_MASK_PAGES; type <= BLOB_MASK_CLUSTERS && m->trusts_masks; type++) {
		uint8_t *want;

		if (!m->masks[type].sound)
			continue;
		want = model_build_mask(m, (enum blob_disk_mask_type)type);
		if (want == NULL)
			return error_set(err, -ENOMEM, "no memory for a mask");
		compare(m, (enum blob_disk_mask_type)type, want);
		free(want);
	}
	if (m->trusts_masks && m->masks[BLOB_MASK_CLUSTERS].sound)
		m->free_clusters = m->geo.total_clusters - count_set(&m->masks[BLOB_MASK_CLUSTERS]);
	return 0;
}

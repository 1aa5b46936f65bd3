/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a store, step by step.
 *
 * Threading: one thread.
 */
#include "blobtool/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"

static const char *super_rule(const uint8_t *page)
{
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, page, BLOB_PAGE_BYTES - 4));
	uint32_t version = le32_get(page + offsetof(struct blob_disk_super, version));

	if (memcmp(page, BLOB_SIGNATURE, 8) != 0)
		return "super.signature";
	if (le32_get(page + offsetof(struct blob_disk_super, crc)) != crc)
		return "super.crc";
	if (version < BLOB_VERSION_MIN || version > BLOB_VERSION)
		return "super.version";
	return "super.layout";
}

static int read_super(struct model *m, struct error *err)
{
	struct error why = ERROR_INIT;
	uint64_t size;
	int rc;

	if (m->img->bytes < BLOB_PAGE_BYTES) {
		finding_add(m->f, SEVERITY_ERROR, "super.size", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE, "%" PRIu64 " bytes are less than a super block",
			    m->img->bytes);
		m->code = -EILSEQ;
		return 0;
	}
	rc = image_read(m->img, m->super, 0, BLOB_PAGE_BYTES, err);
	if (rc < 0)
		return rc;
	m->code = blob_super_parse(m->super, m->img->bytes, &m->geo, &why);
	size = le64_get(m->super + offsetof(struct blob_disk_super, size));
	if (m->code < 0)
		finding_add(m->f, SEVERITY_ERROR,
			    size > m->img->bytes && !strcmp(super_rule(m->super), "super.layout")
				    ? "super.size"
				    : super_rule(m->super),
			    BLOB_ID_NONE, FINDING_NONE, FINDING_NONE, "%s", why.text);
	return 0;
}

static void look_at_super(struct model *m)
{
	static const uint8_t lvol[16] = LVOL_BSTYPE;
	const uint8_t *reserved = m->super + offsetof(struct blob_disk_super, reserved);
	size_t left = sizeof(((struct blob_disk_super *)NULL)->reserved);

	m->is_lvol = memcmp(m->geo.bstype, lvol, sizeof(lvol)) == 0;
	/* Without a mask of blob ids every load is a recovery (format page, section 12). */
	m->trusts_masks = m->geo.clean && m->geo.ids.len != 0;
	for (; left > 0 && *reserved == 0; left--)
		reserved++;
	if (left > 0)
		finding_add(m->f, SEVERITY_INFO, "super.reserved", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE, "reserved bytes of the super block are not zero");
	if (!m->geo.clean)
		finding_add(m->f, SEVERITY_INFO, "super.dirty", BLOB_ID_NONE, FINDING_NONE,
			    FINDING_NONE,
			    "the store was not unloaded cleanly: the next load recovers it");
}

int model_load(struct model *m, struct image *img, struct findings *f, struct error *err)
{
	int rc;

	*m = (struct model){ .img = img, .f = f, .super_blob = NO_BLOB };
	rc = read_super(m, err);
	if (rc < 0 || m->code < 0)
		return rc;
	look_at_super(m);
	rc = model_scan(m, err);
	if (rc == 0)
		rc = model_read_masks(m, err);
	if (rc == 0)
		rc = model_read_blobs(m, err);
	if (rc == 0)
		rc = model_read_extents(m, err);
	if (rc == 0)
		rc = model_read_tree(m, err);
	if (rc == 0)
		rc = model_read_owners(m, err);
	if (rc == 0)
		rc = model_check_masks(m, err);
	if (rc == 0 && m->is_lvol)
		rc = model_read_names(m, err);
	return rc;
}

static void free_blob(struct volume *v)
{
	free(v->chain);
	free(v->runs);
	free(v->damage_text);
	blob_content_free(&v->content);
}

void model_free(struct model *m)
{
	for (uint32_t i = 0; i < m->blob_count; i++)
		free_blob(&m->blobs[i]);
	for (int i = 0; i < 3; i++)
		free(m->masks[i].bits);
	free(m->blobs);
	free(m->pages);
	free(m->owners);
	free(m->overlaps);
	*m = (struct model){ 0 };
}

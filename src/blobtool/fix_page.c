/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing metadata pages where they are.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"

int fix_read(const struct repair *r, uint32_t index, void *page, struct error *err)
{
	return model_read_page(&r->m, index, page, err);
}

int fix_write(struct repair *r, uint32_t index, void *page, struct error *err)
{
	desc_seal(page);
	r->changed = true;
	return image_stage(r->img, blob_page_offset(&r->m.geo, index), page, err);
}

int fix_write_super(struct repair *r, void *page, struct error *err)
{
	desc_seal(page);
	r->changed = true;
	return image_stage(r->img, 0, page, err);
}

/* --- what is free ----------------------------------------------------------------------------- */

static bool mask_has(const struct repair *r, enum blob_disk_mask_type type, uint64_t i)
{
	const struct mask *mask = &r->m.masks[type];

	return mask->sound && i < mask->count && mask_get(mask->bits, i);
}

/* Page 0 is never an extent page: 0 means none there. */
int fix_new_page(struct repair *r, uint32_t *index, struct error *err)
{
	if (r->pages == NULL)
		r->pages = calloc(1, r->m.geo.md.len / 8 + 1);
	if (r->pages == NULL)
		return error_set(err, -ENOMEM, "no memory");
	for (uint32_t i = 1; i < r->m.geo.md.len; i++) {
		if (mask_get(r->pages, i) || mask_has(r, BLOB_MASK_PAGES, i) ||
		    model_page(&r->m, i) != NULL)
			continue;
		mask_set(r->pages, i);
		*index = i;
		return 0;
	}
	return error_set(err, -ENOSPC, "no metadata page is free");
}

bool fix_has_owner(const struct repair *r, uint32_t cluster)
{
	uint64_t low = 0, high = r->m.owner_count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (r->m.owners[middle].cluster <= cluster)
			low = middle + 1;
		else
			high = middle;
	}
	/* Of runs that overlap an earlier, longer one may reach farther than the last. */
	for (uint64_t i = low, back = 0; i > 0 && back < 64; i--, back++) {
		const struct owner *o = &r->m.owners[i - 1];

		if (cluster < (uint64_t)o->cluster + o->count)
			return true;
	}
	return false;
}

int fix_new_cluster(struct repair *r, uint32_t *cluster, struct error *err)
{
	if (r->clusters == NULL)
		r->clusters = calloc(1, r->m.geo.total_clusters / 8 + 1);
	if (r->clusters == NULL)
		return error_set(err, -ENOMEM, "no memory");
	for (uint32_t i = r->m.geo.md_clusters; i < r->m.geo.total_clusters; i++) {
		if (mask_get(r->clusters, i) || mask_has(r, BLOB_MASK_CLUSTERS, i) ||
		    fix_has_owner(r, i))
			continue;
		mask_set(r->clusters, i);
		*cluster = i;
		return 0;
	}
	return error_set(err, -ENOSPC, "no cluster is free");
}

/* --- descriptors of a chain ------------------------------------------------------------------- */

/* Returns whether it changed the page. */
typedef bool (*edit_fn)(uint8_t *page, struct desc *d, void *arg);

/* Call @fn for all descriptors of the chain, and plan the pages that it changed. */
static int edit_chain(struct repair *r, const struct volume *v, edit_fn fn, void *arg,
		      struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = 0;

	for (uint32_t i = 0; i < v->chain_len && rc == 0; i++) {
		struct desc d = { 0 };
		bool changed = false;

		rc = fix_read(r, v->chain[i], page, err);
		while (rc == 0 && desc_next(page, &d) && d.payload != NULL)
			changed |= fn(page, &d, arg);
		if (rc == 0 && changed)
			rc = fix_write(r, v->chain[i], page, err);
	}
	return rc;
}

/* Room for a new descriptor in some page of the chain. */
static int add_desc(struct repair *r, const struct volume *v, bool first, uint8_t type,
		    const void *payload, uint32_t len, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES], *to;

	for (uint32_t i = 0; i < v->chain_len; i++) {
		int rc = fix_read(r, v->chain[i], page, err);

		if (rc < 0)
			return rc;
		to = desc_add(page, first, type, len);
		if (to == NULL && first)
			break;
		if (to == NULL)
			continue;
		memcpy(to, payload, len);
		return fix_write(r, v->chain[i], page, err);
	}
	return error_set(err, -ENOSPC, "the pages of blob 0x%" PRIx64 " have no room", v->id);
}

struct flags_edit {
	uint64_t set, clear, read_only;
	bool done;
};

static bool edit_flags(uint8_t *page, struct desc *d, void *arg)
{
	struct flags_edit *f = arg;

	(void)page;
	if (d->type != BLOB_DESC_FLAGS || d->length != 24)
		return false;
	le64_put(d->payload, (le64_get(d->payload) & ~f->clear) | f->set);
	le64_put(d->payload + 8, le64_get(d->payload + 8) | f->read_only);
	f->done = true;
	return true;
}

int fix_flags(struct repair *r, const struct volume *v, uint64_t set, uint64_t clear,
	      uint64_t read_only, struct error *err)
{
	struct flags_edit f = { .set = set, .clear = clear, .read_only = read_only };
	uint8_t payload[24] = { 0 };
	int rc = edit_chain(r, v, edit_flags, &f, err);

	if (rc < 0 || f.done)
		return rc;
	le64_put(payload, set);
	le64_put(payload + 8, read_only);
	return add_desc(r, v, true, BLOB_DESC_FLAGS, payload, sizeof(payload), err);
}

struct xattr_edit {
	bool internal;
	const char *name;
	bool any_internal; /* others stay */
};

static bool remove_xattr(uint8_t *page, struct desc *d, void *arg)
{
	struct xattr_edit *x = arg;

	if (desc_xattr_is(d, x->internal, x->name)) {
		desc_remove(page, d);
		return true;
	}
	x->any_internal = x->any_internal || d->type == BLOB_DESC_XATTR_INTERNAL;
	return false;
}

int fix_xattr_remove(struct repair *r, const struct volume *v, bool internal, const char *name,
		     struct error *err)
{
	struct xattr_edit x = { .internal = internal, .name = name };
	int rc = edit_chain(r, v, remove_xattr, &x, err);

	if (rc == 0 && internal && !x.any_internal)
		rc = fix_flags(r, v, 0, BLOB_INVALID_XATTRS, 0, err);
	return rc;
}

int fix_xattr_set(struct repair *r, const struct volume *v, const char *name, const void *value,
		  uint16_t len, struct error *err)
{
	uint16_t name_len = (uint16_t)strlen(name);
	uint8_t payload[512];
	int rc = fix_xattr_remove(r, v, false, name, err);

	if (rc < 0)
		return rc;
	le16_put(payload, name_len);
	le16_put(payload + 2, len);
	memcpy(payload + 4, name, name_len);
	memcpy(payload + 4 + name_len, value, len);
	return add_desc(r, v, false, BLOB_DESC_XATTR, payload, 4u + name_len + len, err);
}

/* --- extents ---------------------------------------------------------------------------------- */

struct table_edit {
	uint64_t clusters; /* new size */
	uint64_t tables;   /* entries that are left */
	uint32_t old_page, new_page;
};

static uint32_t covers(const uint8_t *pair)
{
	return le32_get(pair) == 0 ? le32_get(pair + 4) : 1;
}

static bool edit_size(uint8_t *page, struct desc *d, void *arg)
{
	struct table_edit *t = arg;
	uint32_t keep = 8;

	if (d->type != BLOB_DESC_EXTENT_TABLE || d->length < 8)
		return false;
	le64_put(d->payload, t->clusters);
	for (; keep + 8 <= d->length && t->tables > 0; keep += 8) {
		uint32_t n = covers(d->payload + keep);

		if (n > t->tables)
			le32_put(d->payload + keep + 4, (uint32_t)t->tables);
		t->tables -= n < t->tables ? n : t->tables;
	}
	if (keep < d->length)
		desc_shorten(page, d, keep);
	return true;
}

int fix_table_size(struct repair *r, const struct volume *v, uint64_t clusters, struct error *err)
{
	struct table_edit t = { .clusters = clusters, .tables = blob_map_tables(clusters) };

	return edit_chain(r, v, edit_size, &t, err);
}

static bool edit_entry(uint8_t *page, struct desc *d, void *arg)
{
	const struct table_edit *t = arg;
	bool changed = false;

	(void)page;
	if (d->type != BLOB_DESC_EXTENT_TABLE)
		return false;
	for (uint32_t i = 8; i + 8 <= d->length; i += 8) {
		if (le32_get(d->payload + i) != t->old_page)
			continue;
		le32_put(d->payload + i, t->new_page);
		le32_put(d->payload + i + 4, 1);
		changed = true;
	}
	return changed;
}

int fix_table_entry(struct repair *r, const struct volume *v, uint32_t old, uint32_t page,
		    struct error *err)
{
	struct table_edit t = { .old_page = old, .new_page = page };

	return edit_chain(r, v, edit_entry, &t, err);
}

int fix_extent(struct repair *r, uint32_t index, uint64_t blob_cluster, uint32_t cluster,
	       struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct desc d = { 0 };
	int rc = fix_read(r, index, page, err);
	uint64_t entry;

	if (rc < 0)
		return rc;
	if (!desc_next(page, &d) || d.type != BLOB_DESC_EXTENT_PAGE || d.payload == NULL ||
	    d.length < 4)
		return error_set(err, -EINVAL, "page %" PRIu32 " is no extent page", index);
	entry = blob_cluster - le32_get(d.payload);
	if (entry >= (d.length - 4) / 4)
		return error_set(err, -EINVAL, "page %" PRIu32 " has no entry %" PRIu64, index,
				 entry);
	le32_put(d.payload + 4 + 4 * entry, cluster);
	return fix_write(r, index, page, err);
}

/* --- runs ------------------------------------------------------------------------------------- */

struct run_edit {
	uint64_t at, index; /* clusters so far, and the one that is wanted */
	uint32_t cluster;
	bool done, no_room;
};

static uint32_t put_run(uint8_t *to, uint32_t cluster, uint32_t count)
{
	if (count == 0)
		return 0;
	le32_put(to, cluster);
	le32_put(to + 4, count);
	return 8;
}

/* Up to three runs instead of the one at @pair, @offset clusters into which it is split. */
static bool split_run(uint8_t *page, struct desc *d, uint32_t pair, uint32_t offset,
		      struct run_edit *e)
{
	uint8_t *area = page + offsetof(struct blob_disk_page, descriptors);
	uint8_t *run = d->payload + pair, runs[24];
	uint32_t cluster = le32_get(run), count = le32_get(run + 4), len;
	uint32_t at = (uint32_t)(run - area), used = desc_used(page);

	len = put_run(runs, cluster, offset);
	len += put_run(runs + len, e->cluster, 1);
	len += put_run(runs + len, cluster + offset + 1, count - offset - 1);
	e->no_room = used + len - 8 > BLOB_DESCRIPTORS_BYTES;
	if (e->no_room)
		return false;
	memmove(run + len, run + 8, used - at - 8);
	memcpy(run, runs, len);
	d->length += len - 8;
	d->next += len - 8;
	le32_put(area + d->at + 1, d->length);
	return true;
}

static bool edit_run(uint8_t *page, struct desc *d, void *arg)
{
	struct run_edit *e = arg;

	for (uint32_t i = 0; d->type == BLOB_DESC_EXTENT_RLE && i + 8 <= d->length && !e->done;
	     i += 8) {
		uint32_t count = le32_get(d->payload + i + 4);

		if (e->index - e->at < count) {
			e->done = true;
			return split_run(page, d, i, (uint32_t)(e->index - e->at), e);
		}
		e->at += count;
	}
	return false;
}

int fix_run(struct repair *r, const struct volume *v, uint64_t index, uint32_t cluster,
	    struct error *err)
{
	struct run_edit e = { .index = index, .cluster = cluster };
	int rc = edit_chain(r, v, edit_run, &e, err);

	if (rc == 0 && (e.no_room || !e.done))
		rc = error_set(err, -ENOSPC, "the page with the runs of blob 0x%" PRIx64 " is full",
			       v->id);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters and extent pages with two owners.
 *
 * Which of the two is right nobody can tell. Both read now what is there; so one gets a copy of it,
 * both read the same as before, and a write to one does not change the other any more. A snapshot
 * keeps its cluster where the other is none; else the older blob does.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/repair.h"

/* --- clusters --------------------------------------------------------------------------------- */

static uint64_t index_of(const struct repair *r, const struct owner *o, uint32_t cluster)
{
	return r->m.blobs[o->blob].runs[o->run].index + (cluster - o->cluster);
}

static bool keeps(const struct repair *r, const struct owner *a, const struct owner *b)
{
	bool a_snapshot = r->m.blobs[a->blob].children > 0;
	bool b_snapshot = r->m.blobs[b->blob].children > 0;

	return a_snapshot != b_snapshot ? a_snapshot : a->blob <= b->blob;
}

static bool has_table(const struct repair *r, const struct owner *o)
{
	return r->m.blobs[o->blob].content.form == BLOB_FORM_TABLE;
}

static int give_back(struct repair *r, const struct overlap *o, struct error *err)
{
	const struct volume *v = &r->m.blobs[o->b.blob];
	int rc = 0;

	repair_step(r,
		    "blob 0x%" PRIx64 ": %" PRIu32 " clusters from %" PRIu32
		    " on go back to its snapshot 0x%" PRIx64 ", where it reads them",
		    v->id, o->count, o->cluster, r->m.blobs[o->a.blob].id);
	for (uint32_t i = 0; i < o->count && rc == 0; i++)
		rc = fix_extent(r, v->runs[o->b.run].page, index_of(r, &o->b, o->cluster + i), 0,
				err);
	return rc;
}

static int copy(struct repair *r, const struct overlap *o, const struct owner *who,
		struct error *err)
{
	const struct volume *v = &r->m.blobs[who->blob];
	uint64_t size = r->m.geo.cluster_size;
	int rc = 0;

	for (uint32_t i = 0; i < o->count && rc == 0; i++) {
		uint32_t cluster;

		rc = fix_new_cluster(r, &cluster, err);
		if (rc == -ENOSPC) {
			repair_left(r,
				    "blob 0x%" PRIx64 ": cluster %" PRIu32
				    " is another blob's too, and no cluster is free for a copy",
				    v->id, o->cluster + i);
			return 0;
		}
		if (rc == 0 && has_table(r, who))
			rc = fix_extent(r, v->runs[who->run].page, index_of(r, who, o->cluster + i),
					cluster, err);
		else if (rc == 0)
			rc = fix_run(r, v, index_of(r, who, o->cluster + i), cluster, err);
		if (rc < 0)
			return rc;
		repair_step(r,
			    "blob 0x%" PRIx64 ": cluster %" PRIu32
			    " is another blob's too; it gets a copy in cluster %" PRIu32,
			    v->id, o->cluster + i, cluster);
		rc = image_stage_copy(r->img, (o->cluster + i) * size, cluster * size, size, err);
	}
	return rc;
}

static int fix_overlap(struct repair *r, const struct overlap *o, struct error *err)
{
	const struct owner *loser = keeps(r, &o->a, &o->b) ? &o->b : &o->a;

	if (o->with_parent && has_table(r, &o->b))
		return give_back(r, o, err);
	if (!has_table(r, loser))
		loser = loser == &o->a ? &o->b : &o->a;
	return copy(r, o, loser, err);
}

/* --- pages of a chain ------------------------------------------------------------------------- */

/* The blob without what it took for its own from @v->bad_page on. */
static int cut_before(struct repair *r, const struct volume *v, struct volume *cut,
		      struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = 0;

	*cut = (struct volume){ .id = v->id,
				.root = v->root,
				.chain = v->chain,
				.damage = DAMAGE_CHAIN_PAGE,
				.bad_page = v->bad_page };
	for (; cut->chain_len < v->chain_len && rc == 0; cut->chain_len++) {
		if (v->chain[cut->chain_len] == v->bad_page)
			break;
		rc = fix_read(r, v->chain[cut->chain_len], page, err);
		if (rc == 0)
			rc = blob_content_add(&cut->content, page, &r->m.geo, err);
	}
	return rc == -ENOMEM || rc == -EIO ? rc : 0;
}

/* Each page of a chain has the id of its blob; of two that lead there the other one is wrong. */
static int leave_chain(struct repair *r, const struct volume *v, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct volume cut;
	int rc = fix_read(r, v->bad_page, page, err);

	if (rc < 0 || le64_get(page) == v->id)
		return rc;
	rc = cut_before(r, v, &cut, err);
	if (rc == 0 && cut.chain_len > 0)
		rc = fix_close_chain(r, &cut, err);
	blob_content_free(&cut.content);
	return rc;
}

/* --- extent pages ----------------------------------------------------------------------------- */

static bool lists_page(const struct volume *v, uint32_t index)
{
	for (uint32_t i = 0; v->content.form == BLOB_FORM_TABLE && i < v->content.pairs.count;
	     i++) {
		if (v->content.pairs.pair[i].a == index)
			return true;
	}
	return false;
}

/* The clusters on it are shared then, and the next round copies them. */
static int split_page(struct repair *r, const struct volume *v, struct error *err)
{
	const struct md_page *p = model_page(&r->m, v->bad_page);
	uint8_t page[BLOB_PAGE_BYTES];
	uint32_t index;
	int rc;

	if (p != NULL && (p->kind == BLOB_PAGE_CHAIN || p->kind == BLOB_PAGE_ROOT))
		return leave_chain(r, v, err);
	if (p == NULL || p->kind != BLOB_PAGE_EXTENTS || !lists_page(v, v->bad_page)) {
		repair_left(r, "blob 0x%" PRIx64 ", page %" PRIu32 ": %s; --allow drop deletes it",
			    v->id, v->bad_page, v->damage_text != NULL ? v->damage_text : "");
		return 0;
	}
	if (p->owner != NO_BLOB && &r->m.blobs[p->owner] == v)
		return 0;
	rc = fix_new_page(r, &index, err);
	if (rc == 0)
		rc = fix_read(r, v->bad_page, page, err);
	if (rc < 0)
		return rc;
	repair_step(r,
		    "blob 0x%" PRIx64 ": extent page %" PRIu32
		    " is another blob's too; it gets a copy, page %" PRIu32,
		    v->id, v->bad_page, index);
	rc = fix_write(r, index, page, err);
	return rc < 0 ? rc : fix_table_entry(r, v, v->bad_page, index, err);
}

int fix_shared(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0 && !r->changed; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (volume_claims(v) && v->damage == DAMAGE_SHARED)
			rc = split_page(r, v, err);
	}
	/* Where pages were split, overlaps look different in the next round. */
	if (r->changed)
		return rc;
	for (uint32_t i = 0; i < r->m.overlap_count && rc == 0; i++)
		rc = fix_overlap(r, &r->m.overlaps[i], err);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which extent page and which cluster: each one has one owner.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "blobtool/model.h"

/* --- extent pages ----------------------------------------------------------------------------- */

static void claim_page(struct model *m, uint32_t blob, uint32_t index)
{
	struct md_page *page = model_page(m, index);
	struct volume *v = &m->blobs[blob], *other;

	if (page == NULL || page->owner == NO_BLOB) {
		if (page != NULL)
			page->owner = blob;
		return;
	}
	other = &m->blobs[page->owner];
	model_damage(m, v, DAMAGE_SHARED, index, "the page is used by blob 0x%" PRIx64 " too",
		     other->id);
	if (other != v)
		model_damage(m, other, DAMAGE_SHARED, index,
			     "the page is used by blob 0x%" PRIx64 " too", v->id);
}

static void claim_pages(struct model *m, uint32_t blob)
{
	const struct blob_content *c = &m->blobs[blob].content;

	for (uint32_t i = 0; c->form == BLOB_FORM_TABLE && i < c->pairs.count; i++) {
		if (c->pairs.pair[i].a != 0)
			claim_page(m, blob, c->pairs.pair[i].a);
	}
}

/* --- clusters --------------------------------------------------------------------------------- */

static int add_owners(struct model *m, uint32_t blob)
{
	const struct volume *v = &m->blobs[blob];

	if (m->owner_count + v->run_count > m->owner_room) {
		uint64_t room = (m->owner_count + v->run_count) * 2;
		struct owner *more = realloc(m->owners, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		m->owners = more;
		m->owner_room = room;
	}
	for (uint32_t i = 0; i < v->run_count; i++)
		m->owners[m->owner_count++] = (struct owner){ .cluster = v->runs[i].cluster,
							      .count = v->runs[i].count,
							      .blob = blob,
							      .run = i };
	return 0;
}

static int compare_owners(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	if (x->cluster != y->cluster)
		return x->cluster < y->cluster ? -1 : 1;
	if (x->blob != y->blob)
		return x->blob < y->blob ? -1 : 1;
	return x->run < y->run ? -1 : x->run > y->run;
}

static uint64_t index_of(const struct model *m, const struct owner *o, uint32_t cluster)
{
	return m->blobs[o->blob].runs[o->run].index + (cluster - o->cluster);
}

/* After a deletion that SPDK did not finish a clone lists what its snapshot has at the same place.
 */
static bool is_with_parent(const struct model *m, struct overlap *o)
{
	if (m->blobs[o->a.blob].parent == o->b.blob) {
		struct owner swap = o->a;

		o->a = o->b;
		o->b = swap;
	}
	return m->blobs[o->b.blob].parent == o->a.blob && o->a.blob != o->b.blob &&
	       index_of(m, &o->a, o->cluster) == index_of(m, &o->b, o->cluster);
}

static void spoil(struct model *m, const struct owner *mine, const struct owner *other,
		  uint32_t cluster)
{
	struct volume *v = &m->blobs[mine->blob];
	char *text = NULL;

	if (asprintf(&text,
		     "its cluster %" PRIu64 " is cluster %" PRIu32
		     " of the device, which blob 0x%" PRIx64 " has too",
		     index_of(m, mine, cluster), cluster, m->blobs[other->blob].id) < 0)
		text = NULL;
	finding_add(m->f, SEVERITY_ERROR, "cluster.shared", v->id, v->runs[mine->run].page, cluster,
		    "%s", text != NULL ? text : "");
	volume_spoil(v, DAMAGE_CLUSTER, v->runs[mine->run].page, text);
}

static void note_overlap(struct model *m, const struct overlap *o)
{
	if (o->with_parent) {
		finding_add(m->f, SEVERITY_WARNING, "cluster.parent", m->blobs[o->b.blob].id,
			    m->blobs[o->b.blob].runs[o->b.run].page, o->cluster,
			    "%" PRIu32 " clusters from here on are those of its snapshot 0x%" PRIx64
			    ": a deletion was interrupted",
			    o->count, m->blobs[o->a.blob].id);
		return;
	}
	spoil(m, &o->a, &o->b, o->cluster);
	spoil(m, &o->b, &o->a, o->cluster);
}

static int add_overlap(struct model *m, const struct owner *a, const struct owner *b, uint32_t end)
{
	struct overlap o = { .cluster = b->cluster, .a = *a, .b = *b };
	uint32_t b_end = b->cluster + b->count;

	if (m->overlap_count == OVERLAPS_MAX)
		return 0;
	o.count = (end < b_end ? end : b_end) - b->cluster;
	o.with_parent = is_with_parent(m, &o);
	note_overlap(m, &o);
	if (m->overlap_count == m->overlap_room) {
		uint32_t room = m->overlap_room == 0 ? 16 : m->overlap_room * 2;
		struct overlap *more = realloc(m->overlaps, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		m->overlaps = more;
		m->overlap_room = room;
	}
	m->overlaps[m->overlap_count++] = o;
	return 0;
}

/* Runs by their first cluster; @widest reaches farthest of those before. */
static int sweep(struct model *m)
{
	const struct owner *widest = NULL;
	uint64_t owned = 0, end = 0;
	int rc = 0;

	for (uint64_t i = 0; i < m->owner_count && rc == 0; i++) {
		const struct owner *o = &m->owners[i];
		uint64_t o_end = (uint64_t)o->cluster + o->count;

		if (widest != NULL && o->cluster < end)
			rc = add_overlap(m, widest, o, (uint32_t)end);
		if (o_end > end) {
			owned += o_end - (o->cluster > end ? o->cluster : end);
			end = o_end;
			widest = o;
		}
	}
	m->free_clusters = m->geo.total_clusters - m->geo.md_clusters;
	m->free_clusters -= owned < m->free_clusters ? owned : m->free_clusters;
	return rc;
}

/* --- pages of nobody -------------------------------------------------------------------------- */

static void note_orphans(struct model *m)
{
	uint64_t count = 0, first = 0;
	bool damaged = false;

	for (uint32_t i = 0; i < m->blob_count; i++)
		damaged = damaged || m->blobs[i].damage != DAMAGE_NONE;
	for (uint32_t i = 0; i < m->page_count; i++) {
		const struct md_page *page = &m->pages[i];

		if (page->owner != NO_BLOB)
			continue;
		if (count++ == 0)
			first = page->index;
	}
	if (count > 0)
		finding_add(m->f, SEVERITY_INFO, "page.orphan", BLOB_ID_NONE, first, FINDING_NONE,
			    "%" PRIu64 " metadata pages that hold something and belong to no blob, "
			    "this is the first: they are %s",
			    count, damaged ? "free, or a damaged blob's" : "free");
}

int model_read_owners(struct model *m, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < m->blob_count && rc == 0; i++) {
		if (!volume_claims(&m->blobs[i]))
			continue;
		claim_pages(m, i);
		rc = add_owners(m, i);
	}
	if (rc == 0 && m->owner_count > 0)
		qsort(m->owners, m->owner_count, sizeof(*m->owners), compare_owners);
	if (rc == 0)
		rc = sweep(m);
	note_orphans(m);
	return rc < 0 ? error_set(err, rc, "no memory for the owners of clusters") : 0;
}

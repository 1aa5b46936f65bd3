/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which clusters a blob has, as runs: from its run-length descriptors, or from its extent table and
 * extent pages (format page, section 10).
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/le.h"
#include "blobtool/model.h"

/* An interrupted snapshot and its origin list the same page; an image of hostile tables could list
 * one page over and over. */
#define LISTS_MAX 4u

static int add_run(struct volume *v, uint64_t index, uint32_t cluster, uint32_t count,
		   uint32_t page)
{
	struct run *last = v->run_count > 0 ? &v->runs[v->run_count - 1] : NULL;

	v->allocated += count;
	if (last != NULL && last->page == page && last->index + last->count == index &&
	    last->cluster + last->count == cluster) {
		last->count += count;
		return 0;
	}
	if (v->run_count == v->run_room) {
		uint32_t room = v->run_room == 0 ? 8 : v->run_room * 2;
		struct run *more = realloc(v->runs, (size_t)room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		v->runs = more;
		v->run_room = room;
	}
	v->runs[v->run_count++] =
		(struct run){ .index = index, .cluster = cluster, .count = count, .page = page };
	return 0;
}

static int from_runs(struct volume *v)
{
	const struct blob_pairs *pairs = &v->content.pairs;

	for (uint32_t i = 0; i < pairs->count; i++) {
		const struct blob_pair *p = &pairs->pair[i];

		if (p->a != 0 && add_run(v, v->clusters, p->a, p->b, v->root) < 0)
			return -ENOMEM;
		v->clusters += p->b;
	}
	return 0;
}

static int take_entries(struct volume *v, const struct blob_extents *e, uint32_t page)
{
	for (uint32_t i = 0; i < e->count; i++) {
		uint32_t cluster = le32_get(e->entries + (size_t)4 * i);

		if (cluster != 0 && add_run(v, v->clusters + i, cluster, 1, page) < 0)
			return -ENOMEM;
	}
	v->clusters += e->count;
	return 0;
}

static bool has_hole(const struct blob_extents *e, uint32_t *entry)
{
	for (*entry = 0; *entry < e->count; (*entry)++) {
		if (le32_get(e->entries + (size_t)4 * *entry) == 0)
			return true;
	}
	return false;
}

/* Why extent page @index cannot be used; false: it can. */
static bool is_wrong(struct model *m, struct volume *v, uint32_t index, uint8_t *page,
		     struct blob_extents *e)
{
	struct md_page *p = model_page(m, index);
	struct error why = ERROR_INIT;
	uint32_t hole;

	if (p == NULL)
		model_damage(m, v, DAMAGE_EXTENTS, index, "the extent page is empty");
	else if (++p->lists > LISTS_MAX)
		model_damage(m, v, DAMAGE_SHARED, index,
			     "the extent page is in the tables of more than %u blobs", LISTS_MAX);
	else if (model_read_page(m, index, page, &why) < 0 ||
		 blob_extents_parse(page, &m->geo, e, &why) < 0)
		model_damage(m, v, DAMAGE_EXTENTS, index, "extent page: %s", why.text);
	else if (e->start != v->clusters)
		model_damage(m, v, DAMAGE_EXTENTS, index,
			     "the extent page begins at cluster %" PRIu32 " of the blob, its place "
			     "in the table is cluster %" PRIu64,
			     e->start, v->clusters);
	else if ((v->content.invalid & BLOB_INVALID_THIN) == 0 && has_hole(e, &hole))
		model_damage(m, v, DAMAGE_EXTENTS, index,
			     "entry %" PRIu32 " of the extent page is a hole, the blob is not thin",
			     hole);
	else
		return false;
	return true;
}

/* Missing pages cover what num_clusters still has (format page, section 10.3). */
static uint64_t missing(const struct volume *v, uint32_t tables)
{
	uint64_t total = v->content.table_clusters;
	uint64_t left = total > v->clusters ? total - v->clusters : 0;
	uint64_t most = (uint64_t)tables * BLOB_EXTENT_CLUSTERS;

	return left < most ? left : most;
}

/*
 * A page that is not full ends the blob: what stands behind it is the table of before an
 * interrupted shrink.
 */
static int from_table(struct model *m, struct volume *v, uint8_t *page)
{
	const struct blob_pairs *pairs = &v->content.pairs;
	uint64_t total = v->content.table_clusters;
	struct blob_extents e;
	uint32_t i;

	for (i = 0; i < pairs->count; i++) {
		uint32_t index = pairs->pair[i].a;

		if (index == 0) {
			v->clusters += missing(v, pairs->pair[i].b);
			continue;
		}
		if (is_wrong(m, v, index, page, &e)) {
			v->clusters += missing(v, 1);
			continue;
		}
		if (take_entries(v, &e, index) < 0)
			return -ENOMEM;
		if (e.count < BLOB_EXTENT_CLUSTERS)
			break;
	}
	v->cut = v->damage == DAMAGE_NONE && i + 1 < pairs->count;
	if (v->cut)
		finding_add(m->f, SEVERITY_WARNING, "extents.cut", v->id, pairs->pair[i].a,
			    FINDING_NONE,
			    "its extent page %" PRIu32 " ends the blob at %" PRIu64
			    " clusters, the table at %" PRIu64
			    ": it was shrinking; SPDK cannot load the store",
			    pairs->pair[i].a, v->clusters, total);
	else if (v->damage == DAMAGE_NONE && v->clusters != total)
		finding_add(m->f, SEVERITY_INFO, "extents.size", v->id, v->root, FINDING_NONE,
			    "its extent pages have %" PRIu64 " clusters, its table says %" PRIu64
			    ": the pages count",
			    v->clusters, total);
	return 0;
}

static void check_complete(struct model *m, struct volume *v)
{
	const struct blob_content *c = &v->content;
	uint64_t want = c->table_clusters;

	if (v->damage != DAMAGE_NONE || c->form != BLOB_FORM_TABLE || c->clusters >= want)
		return;
	model_damage(m, v, DAMAGE_CONTENT, v->chain[v->chain_len - 1],
		     "its extent table covers %" PRIu64 " of %" PRIu64 " clusters", c->clusters,
		     want);
}

int model_read_extents(struct model *m, struct error *err)
{
	uint8_t *page = malloc(BLOB_PAGE_BYTES);
	int rc = page == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; i < m->blob_count && rc == 0; i++) {
		struct volume *v = &m->blobs[i];

		check_complete(m, v);
		if (v->content.form == BLOB_FORM_TABLE)
			rc = from_table(m, v, page);
		else
			rc = from_runs(v);
	}
	free(page);
	return rc < 0 ? error_set(err, rc, "no memory for the extents") : 0;
}

const struct run *volume_run(const struct volume *v, uint64_t index)
{
	uint32_t low = 0, high = v->run_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (v->runs[middle].index + v->runs[middle].count <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < v->run_count ? &v->runs[low] : NULL;
}

uint32_t volume_cluster(const struct volume *v, uint64_t index)
{
	const struct run *r = volume_run(v, index);

	if (r == NULL || index < r->index)
		return 0;
	return r->cluster + (uint32_t)(index - r->index);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root pages and extent pages that a power cut tore (blobtool/torn.h), and single wrong bytes.
 *
 * Only these two are written in place. What such a page should be is guessed, and each guess is
 * tried: it is planned, the store is looked at, and it stays when the blob is whole then and no
 * cluster or page has two owners because of it. Guesses that make the old checksum right are
 * certain. Others are believed where a write was under way (the store is not clean), or with
 * consent: of an extent page every entry is old or new by itself, and what is new was durable
 * before.
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
#include "blobtool/torn.h"

#define GUESSES_MAX    16u
#define SUCCESSORS_MAX 4u
#define ENTRIES_MAX    4u
/* An image of nothing but wrong pages must not keep us busy for ever: each trial looks at all. */
#define TRIALS_MAX 512u
#define STARTS_MAX 64u
/* Entries tried times clusters that may be meant, in 2^32: what chance makes right once in 1000. */
#define CHANCE_CLUSTERS (UINT32_MAX / BLOB_EXTENT_CLUSTERS / 1000)

struct guess {
	uint8_t page[BLOB_PAGE_BYTES];
	bool certain;
	char how[120];
};

/**
 * struct guesses - what a page may be meant to be, the best first
 * @v: whose page it is; @index: of the page; @torn: as it stands there
 */
struct guesses {
	struct repair *r;
	const struct volume *v;
	uint32_t index;
	bool is_root;
	uint8_t torn[BLOB_PAGE_BYTES];
	uint32_t count;
	struct guess *guess;
};

/* A guess without a right checksum gets one, if such are wanted. */
static void add(struct guesses *g, const uint8_t *page, bool believe, const char *how)
{
	struct guess *new = &g->guess[g->count];

	if (g->count == GUESSES_MAX)
		return;
	memcpy(new->page, page, BLOB_PAGE_BYTES);
	new->certain = torn_difference(page) == 0;
	if (!new->certain && !believe)
		return;
	desc_seal(new->page);
	snprintf(new->how, sizeof(new->how), "%s%s", how,
		 new->certain ? ", as its checksum says" : "");
	g->count++;
}

static bool is_believable(const struct repair *r)
{
	return !r->m.geo.clean || (r->allow & ALLOW_PAGE) != 0;
}

static void add_byte(struct guesses *g)
{
	uint8_t page[BLOB_PAGE_BYTES], trimmed[BLOB_PAGE_BYTES];
	struct mend mend;
	char how[120];

	memcpy(page, g->torn, sizeof(page));
	if (!mend_page(page, &mend))
		return;
	memcpy(trimmed, page, sizeof(page));
	if (!torn_trim(trimmed) || memcmp(trimmed, page, sizeof(page)) != 0)
		return;
	snprintf(how, sizeof(how), "byte %u is 0x%02x and should be 0x%02x", mend.at, mend.from,
		 mend.to);
	add(g, page, false, how);
}

/* --- roots ------------------------------------------------------------------------------------ */

static void set_next(uint8_t *page, uint32_t next)
{
	le32_put(page + offsetof(struct blob_disk_page, next), next);
}

/* Runs have no places that could be compared: over more than one sector old and new are not told
 * apart. */
static bool may_mix(const uint8_t *page)
{
	uint8_t copy[BLOB_PAGE_BYTES];
	bool runs = false;
	struct desc d = { 0 };

	memcpy(copy, page, sizeof(copy));
	while (desc_next(copy, &d))
		runs = runs || d.type == BLOB_DESC_EXTENT_RLE;
	return !runs || offsetof(struct blob_disk_page, descriptors) + d.next <= TORN_SECTOR;
}

/* Continuation pages that this blob wrote and nobody has: one of them may be the new next. */
static void add_successors(struct guesses *g, const uint8_t *page, bool believe)
{
	uint8_t copy[BLOB_PAGE_BYTES], other[BLOB_PAGE_BYTES];
	const struct repair *r = g->r;
	uint32_t n = 0;

	memcpy(copy, page, sizeof(copy));
	for (uint32_t i = 0; i < r->m.page_count && n < SUCCESSORS_MAX; i++) {
		const struct md_page *p = &r->m.pages[i];

		if (p->kind != BLOB_PAGE_CHAIN || p->owner != NO_BLOB ||
		    fix_read(r, p->index, other, NULL) < 0 || le64_get(other) != g->v->id ||
		    le32_get(other + offsetof(struct blob_disk_page, sequence)) != 1)
			continue;
		n++;
		set_next(copy, p->index);
		add(g, copy, believe,
		    "a cut write, of which this blob's other pages tell the rest");
	}
}

static void guess_root(struct guesses *g)
{
	bool believe = is_believable(g->r);
	uint8_t page[BLOB_PAGE_BYTES], table[BLOB_PAGE_BYTES];

	memcpy(page, g->torn, sizeof(page));
	if (torn_trim(page)) {
		bool whole = believe && may_mix(page);

		add(g, page, whole, "a cut write; what stands there is whole");
		set_next(page, BLOB_NEXT_NONE);
		add(g, page, whole, "a cut write; what stands there is whole, and ends here");
		add_successors(g, page, whole);
	}
	memcpy(table, g->torn, sizeof(table));
	if (table_of_root(g->r, g->v, table))
		add(g, table, believe, "a cut write; its extent pages tell its extent table");
}

/* --- extent pages ----------------------------------------------------------------------------- */

static bool is_hole(uint32_t cluster, void *arg)
{
	(void)arg;
	return cluster == 0;
}

static bool is_unowned(uint32_t cluster, void *arg)
{
	const struct repair *r = arg;

	return cluster >= r->m.geo.md_clusters && cluster < r->m.geo.total_clusters &&
	       !fix_has_owner(r, cluster);
}

static void add_entries(struct guesses *g, torn_may_be_fn may_be)
{
	struct torn_entry entries[ENTRIES_MAX];
	uint32_t n = torn_entries(g->torn, may_be, g->r, entries, ENTRIES_MAX);
	char how[120];

	for (uint32_t i = 0; i < n && n <= ENTRIES_MAX; i++) {
		size_t at = offsetof(struct blob_disk_page, descriptors) + DESC_HEADER + 4 +
			    (size_t)4 * entries[i].entry;
		uint8_t page[BLOB_PAGE_BYTES];

		memcpy(page, g->torn, sizeof(page));
		snprintf(how, sizeof(how),
			 "entry %" PRIu32 " is %" PRIu32 " and should be %" PRIu32,
			 entries[i].entry, le32_get(page + at), entries[i].cluster);
		le32_put(page + at, entries[i].cluster);
		add(g, page, false, how);
	}
}

/* What a load looks at, but for the checksum, and that nothing else stands on the page. */
static bool is_extent_page(const struct guesses *g, uint64_t start, uint32_t count)
{
	uint8_t page[BLOB_PAGE_BYTES], trimmed[BLOB_PAGE_BYTES];
	struct error ignored = ERROR_INIT;
	struct blob_extents e;
	uint64_t id = le64_get(g->torn);

	memcpy(page, g->torn, sizeof(page));
	memcpy(trimmed, g->torn, sizeof(page));
	desc_seal(page);
	return torn_trim(trimmed) && memcmp(trimmed, g->torn, sizeof(trimmed)) == 0 &&
	       id >= BLOB_ID_BASE && id - BLOB_ID_BASE < g->r->m.geo.md.len &&
	       blob_extents_parse(page, &g->r->m.geo, &e, &ignored) == 0 && e.start == start &&
	       e.count == count;
}

static void guess_extents(struct guesses *g, uint64_t start, uint32_t count)
{
	const struct blob_geometry *geo = &g->r->m.geo;
	uint8_t page[BLOB_PAGE_BYTES];

	memcpy(page, g->torn, sizeof(page));
	if (torn_trim(page))
		add(g, page, false, "nothing belongs behind its entries");
	add_entries(g, is_hole);
	memcpy(page, g->torn, sizeof(page));
	if (torn_empty_run(page))
		add(g, page, false, "a cut write of several entries, undone");
	add_byte(g);
	if (is_believable(g->r) && is_extent_page(g, start, count))
		add(g, g->torn, true,
		    "a cut write; every entry names a cluster that only this blob has");
	if (geo->total_clusters < CHANCE_CLUSTERS)
		add_entries(g, is_unowned);
}

/* --- trying ----------------------------------------------------------------------------------- */

static uint32_t shared(const struct findings *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->count; i++)
		n += !strcmp(f->items[i].rule, "cluster.shared") ||
		     !strcmp(f->items[i].rule, "page.shared");
	return n;
}

static bool has_table(const struct volume *v)
{
	return (v->content.invalid & BLOB_INVALID_EXTENT_TABLE) == 0 ||
	       v->content.form == BLOB_FORM_TABLE;
}

enum verdict { VERDICT_NO, VERDICT_PARTLY, VERDICT_WHOLE };

/* Other pages of the blob may be torn or lost too: what is certain is kept then, and for what is
 * not it takes a checksum that tells so. */
static enum verdict judge(const struct guesses *g, const struct model *m, bool certain)
{
	uint32_t blob = model_find(m, g->v->id);
	const struct volume *v = blob == NO_BLOB ? NULL : &m->blobs[blob];
	uint8_t page[BLOB_PAGE_BYTES];

	if (v == NULL || shared(m->f) > shared(&g->r->f))
		return VERDICT_NO;
	/* A chain that ends too early, and so before its table. */
	if ((v->damage == DAMAGE_NONE || v->damage == DAMAGE_PARENT) && !has_table(v))
		return VERDICT_NO;
	if (v->damage == DAMAGE_NONE || (v->damage == DAMAGE_PARENT && v->parent != NO_BLOB))
		return VERDICT_WHOLE;
	if (v->damage == DAMAGE_PARENT ||
	    (certain && v->damage != DAMAGE_ROOT && v->bad_page != g->index))
		return VERDICT_PARTLY;
	if (v->damage == DAMAGE_EXTENTS && v->bad_page != g->index &&
	    model_read_page(m, v->bad_page, page, NULL) == 0 && !blob_page_crc_is_right(page))
		return VERDICT_PARTLY;
	return VERDICT_NO;
}

static int try_guess(struct guesses *g, const struct guess *guess, enum verdict *verdict,
		     struct error *err)
{
	uint64_t at = blob_page_offset(&g->r->m.geo, g->index);
	bool was_staged = image_is_staged(g->r->img, at);
	struct findings f = { 0 };
	struct model m = { 0 };
	int rc = image_stage(g->r->img, at, guess->page, err);

	if (rc == 0)
		rc = model_load(&m, g->r->img, &f, err);
	*verdict = rc == 0 && m.code == 0 ? judge(g, &m, guess->certain) : VERDICT_NO;
	model_free(&m);
	findings_free(&f);
	if (rc == 0 && was_staged)
		rc = image_stage(g->r->img, at, g->torn, err);
	else
		image_drop_stage(g->r->img, at);
	return rc;
}

static int accept(struct guesses *g, const struct guess *guess, struct error *err)
{
	/* With this page other guesses may be right. */
	if (g->r->fresh_starts++ < STARTS_MAX)
		memset(g->r->tried, 0, g->r->m.geo.md.len / 8 + 1);
	repair_step(g->r, "page %" PRIu32 ", %s of blob 0x%" PRIx64 ": %s", g->index,
		    g->is_root ? "the root" : "extents", g->v->id, guess->how);
	g->r->changed = true;
	return image_stage(g->r->img, blob_page_offset(&g->r->m.geo, g->index), guess->page, err);
}

/* Certain ones first, in each case those that leave nothing else wrong. */
static int choose(struct guesses *g, struct error *err)
{
	const struct guess *second = NULL;
	int rc = 0;

	for (int certain = 1; certain >= 0; certain--) {
		for (uint32_t i = 0; i < g->count && rc == 0; i++) {
			enum verdict verdict;

			if (g->guess[i].certain != (certain == 1) || g->r->trials++ >= TRIALS_MAX)
				continue;
			rc = try_guess(g, &g->guess[i], &verdict, err);
			if (rc == 0 && verdict == VERDICT_WHOLE)
				return accept(g, &g->guess[i], err);
			if (rc == 0 && verdict == VERDICT_PARTLY && second == NULL)
				second = &g->guess[i];
		}
	}
	if (rc == 0 && second != NULL)
		return accept(g, second, err);
	mask_set(g->r->tried, g->index);
	return rc;
}

/* --- all -------------------------------------------------------------------------------------- */

static int begin(struct guesses *g, struct repair *r, const struct volume *v, uint32_t index,
		 struct error *err)
{
	*g = (struct guesses){ .r = r, .v = v, .index = index, .is_root = index == v->root };
	if (r->tried == NULL)
		r->tried = calloc(1, r->m.geo.md.len / 8 + 1);
	g->guess = calloc(GUESSES_MAX, sizeof(*g->guess));
	if (g->guess == NULL || r->tried == NULL)
		return error_set(err, -ENOMEM, "no memory");
	return fix_read(r, index, g->torn, err);
}

static bool is_worth_it(const struct guesses *g)
{
	return torn_difference(g->torn) != 0 && !mask_get(g->r->tried, g->index) &&
	       g->r->trials < TRIALS_MAX;
}

static int fix_root(struct repair *r, const struct volume *v, struct error *err)
{
	struct guesses g;
	int rc = begin(&g, r, v, v->root, err);

	if (rc == 0 && is_worth_it(&g)) {
		guess_root(&g);
		add_byte(&g);
		rc = choose(&g, err);
	}
	free(g.guess);
	return rc;
}

static int fix_page(struct repair *r, const struct volume *v, uint32_t index, uint64_t start,
		    struct error *err)
{
	uint64_t clusters = v->content.table_clusters;
	struct guesses g;
	int rc = begin(&g, r, v, index, err);

	if (rc == 0 && is_worth_it(&g) && start < clusters) {
		guess_extents(&g, start, blob_map_entries(clusters, start / BLOB_EXTENT_CLUSTERS));
		rc = choose(&g, err);
	}
	free(g.guess);
	return rc;
}

static int fix_pages(struct repair *r, const struct volume *v, struct error *err)
{
	const struct blob_pairs *pairs = &v->content.pairs;
	uint64_t start = 0;
	int rc = 0;

	for (uint32_t i = 0; i < pairs->count && rc == 0 && !r->changed; i++) {
		if (pairs->pair[i].a != 0)
			rc = fix_page(r, v, pairs->pair[i].a, start, err);
		start += (uint64_t)pairs->pair[i].b * BLOB_EXTENT_CLUSTERS;
	}
	return rc;
}

/* One page a round: what the next one may be depends on it. */
int fix_torn(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->m.blob_count && rc == 0 && !r->changed; i++) {
		const struct volume *v = &r->m.blobs[i];

		if (v->damage == DAMAGE_ROOT)
			rc = fix_root(r, v, err);
		else if (v->damage == DAMAGE_EXTENTS && v->content.form == BLOB_FORM_TABLE)
			rc = fix_pages(r, v, err);
	}
	return rc;
}

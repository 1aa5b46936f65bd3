/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repair: rounds of looking and planning until nothing more can be done, then all plans at once.
 *
 * Each fix looks at the model, plans pages over the image (image_stage()), and tells its step. The
 * next round looks at the image with the plans laid over it.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_REPAIR_H
#define BLOBTOOL_REPAIR_H

#include "blobtool/model.h"

/* What may be lost only with consent. */
#define ALLOW_HOLES    (1u << 0)
#define ALLOW_TRUNCATE (1u << 1)
#define ALLOW_DETACH   (1u << 2)
#define ALLOW_DROP     (1u << 3)
#define ALLOW_SUPER    (1u << 4)
#define ALLOW_VERSION  (1u << 5)
#define ALLOW_PAGE     (1u << 6)

struct notes {
	char **items;
	uint32_t count, room;
};

/**
 * struct repair
 * @m, @f: of this round
 * @steps: what will be done
 * @left: what this round cannot do, and what would allow it
 * @changed: this round planned something
 * @was_cut: the store becomes smaller, as its device is
 * @pages, @clusters: taken by plans; bits by index
 * @tried: pages of which no guess was right, since something else was mended; @trials: of guesses;
 * @fresh_starts: how often @tried was forgotten
 * @as_json: one object at the end instead of lines
 * @kept: the undo file, when something was written; @checked: @f is of what was written then
 */
struct repair {
	struct image *img;
	struct model m;
	struct findings f;
	unsigned int allow;
	struct notes steps, left;
	bool changed, was_cut;
	uint8_t *pages, *clusters, *tried;
	uint32_t trials, fresh_starts;
	bool as_json, checked;
	const char *kept;
};

/** repair_plan() - look at @r->img, and plan all that can be done; @r->m sees it done */
int repair_plan(struct repair *r, struct error *err);
/** repair_free() - not the image */
void repair_free(struct repair *r);
void repair_step(struct repair *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void repair_left(struct repair *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* fix_page.c: changing pages in place */
int fix_read(const struct repair *r, uint32_t index, void *page, struct error *err);
/** fix_write() - with a new checksum */
int fix_write(struct repair *r, uint32_t index, void *page, struct error *err);
/** fix_write_super() - with a new checksum */
int fix_write_super(struct repair *r, void *page, struct error *err);
/** fix_new_page() - a metadata page that holds nothing; -ENOSPC */
int fix_new_page(struct repair *r, uint32_t *index, struct error *err);
/** fix_new_cluster() - one that nobody has, not even the mask; -ENOSPC */
int fix_new_cluster(struct repair *r, uint32_t *cluster, struct error *err);
/** fix_has_owner() - some blob, also a damaged one, lists this cluster */
bool fix_has_owner(const struct repair *r, uint32_t cluster);
/** fix_flags() - -ENOSPC when the blob has none and there is no room for them */
int fix_flags(struct repair *r, const struct volume *v, uint64_t set, uint64_t clear,
	      uint64_t read_only, struct error *err);
int fix_xattr_remove(struct repair *r, const struct volume *v, bool internal, const char *name,
		     struct error *err);
/** fix_xattr_set() - -ENOSPC when no page of the chain has room */
int fix_xattr_set(struct repair *r, const struct volume *v, const char *name, const void *value,
		  uint16_t len, struct error *err);
/** fix_table_size() - num_clusters, and no entries for what lies behind */
int fix_table_size(struct repair *r, const struct volume *v, uint64_t clusters, struct error *err);
/** fix_table_entry() - another extent page; 0: none */
int fix_table_entry(struct repair *r, const struct volume *v, uint32_t old, uint32_t page,
		    struct error *err);
/** fix_extent() - entry of an extent page */
int fix_extent(struct repair *r, uint32_t page, uint64_t index, uint32_t cluster,
	       struct error *err);

/** fix_run() - the run with cluster @index of a blob that keeps runs; -ENOSPC */
int fix_run(struct repair *r, const struct volume *v, uint64_t index, uint32_t cluster,
	    struct error *err);
/** fix_close_chain() - a chain whose next page, @v->bad_page, is lost or another blob's */
int fix_close_chain(struct repair *r, const struct volume *v, struct error *err);

/* Each: 0, or -EIO, -ENOMEM with @err. */
int fix_super(struct repair *r, struct error *err);
/** fix_torn() - roots and extent pages of which a power cut left some sectors old */
int fix_torn(struct repair *r, struct error *err);
int fix_checksums(struct repair *r, struct error *err);
int fix_chains(struct repair *r, struct error *err);
int fix_extents(struct repair *r, struct error *err);
int fix_tree(struct repair *r, struct error *err);
int fix_names(struct repair *r, struct error *err);
int fix_shared(struct repair *r, struct error *err);
/** fix_masks() - at the end: masks from what the blobs own, and a clean super block */
int fix_masks(struct repair *r, struct error *err);

/* fix_table.c: extent tables from extent pages; false when a place is not clear, or no room */
/** table_of_root() - @page, the root of @v without a sound table, gets one */
bool table_of_root(const struct repair *r, const struct volume *v, uint8_t *page);
/** table_of_chain() - @page becomes the one behind the good pages of @v, the last, with a table */
bool table_of_chain(const struct repair *r, const struct volume *v, uint8_t *page);

/* mend.c */
/** struct mend - one byte that explains a wrong checksum */
struct mend {
	uint16_t at;
	uint8_t from, to;
};
/** mend_page() - false: no single byte does, or several would */
bool mend_page(uint8_t *page, struct mend *mend);

/* undo.c */
/** undo_write() - what all plans of @img replace, durable in a new file; -EEXIST */
int undo_write(const struct image *img, const char *file, struct error *err);
/** undo_apply() - write the plans; the undo file is there */
int undo_apply(struct image *img, struct error *err);
/** undo_play() - put back what @file has; @path NULL: the image named there */
int undo_play(const char *file, const char *path, struct error *err);

#endif

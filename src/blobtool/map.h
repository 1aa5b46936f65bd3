/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture of who owns which clusters, before it becomes text or SVG: cells of some clusters
 * each.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_MAP_H
#define BLOBTOOL_MAP_H

#include "blobtool/model.h"

enum cell_kind {
	CELL_FREE,
	CELL_METADATA,
	CELL_OWNED,	/* by @blob alone */
	CELL_MIXED,	/* by several; @blob has most */
	CELL_SHARED,	/* a cluster with two owners is among them */
	CELL_UNCLAIMED, /* in use by the mask, and nobody's */
};

/** struct cell - @used: how many of its clusters are */
struct cell {
	enum cell_kind kind;
	uint32_t blob;
	uint64_t used;
};

/**
 * struct picture
 * @each: clusters a cell
 */
struct picture {
	const struct model *m;
	struct cell *cells;
	uint32_t count;
	uint64_t each;
};

/** picture_make() - at most @most cells; -ENOMEM */
int picture_make(struct picture *p, const struct model *m, uint32_t most);
void picture_free(struct picture *p);
/** picture_svg() - write it as SVG */
void picture_svg(const struct picture *p, FILE *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broken orders.
 *
 * Threading: see mutant.h.
 */
#include "mutant.h"

#include <stdlib.h>
#include <string.h>

#include "cut.h"
#include "kit.h"
#include "run.h"

const struct mutant mutants[] = {
	{ "dirty-mark-unflushed", "metadata changes before the dirty mark is durable", "delete",
	  MUTATE_FLUSH, "super", 0, NULL, 0 },
	{ "dirty-mark-missing", "metadata changes in a store that says it is clean", "create-thin",
	  MUTATE_WRITE, "super", 0, NULL, 0 },
	{ "create-extents-unflushed", "a root page names extent pages that are not durable",
	  "create-thick", MUTATE_FLUSH, "extents", 0, NULL, 0 },
	{ "create-root-unflushed", "a creation is answered before it is durable", "create-thin",
	  MUTATE_FLUSH, "root", 0, NULL, 0 },
	{ "create-chain-unflushed", "a root page names continuation pages that are not durable",
	  "create-thin", MUTATE_FLUSH, "chain", 0, NULL, 0 },
	{ "create-zeroing-missing", "a new thick volume shows old data", "create-thick",
	  MUTATE_WRITE, "zeroes", 0, NULL, 0 },
	{ "create-zeroing-late", "a new thick volume is zeroed behind its root page",
	  "create-thick", MUTATE_LATE, "zeroes", 0, "root", 0 },
	{ "thin-data-unflushed", "an extent page names a cluster whose data is not durable",
	  "thin-write", MUTATE_FLUSH, "data", 3, NULL, 0 },
	{ "thin-clear-unflushed",
	  "an extent page names a deleted volume's cluster whose clearing is not durable",
	  "thin-reuse", MUTATE_CLEAR, "data", 0, NULL, 0 },
	{ "thin-data-late", "the data of a first write comes behind the extent page", "thin-write",
	  MUTATE_LATE, "data", 3, "extents", 2 },
	{ "fua-map-unflushed",
	  "a write with FUA is answered before its cluster's extent page is durable", "thin-write",
	  MUTATE_FLUSH, "data", 9, NULL, 0 },
	{ "delete-root-unflushed", "clusters are used again before the deletion is durable",
	  "reuse", MUTATE_FLUSH, "erase", 0, NULL, 0 },
	{ "delete-root-late", "the root page is erased behind the clusters' next use", "reuse",
	  MUTATE_LATE, "erase", 0, "extents", 0 },
	{ "resize-extents-unflushed", "the table names a shorter extent page that is not durable",
	  "resize-down", MUTATE_FLUSH, "extents", 0, NULL, 0 },
	{ "resize-root-late", "the cut off part is erased before the root page is shorter",
	  "resize-down-pages", MUTATE_LATE, "root", 0, "erase", 1 },
	{ "resize-clone-zeroing-missing", "a clone that grows again shows old data", "resize-clone",
	  MUTATE_WRITE, "zeroes", 0, NULL, 0 },
	{ "resize-runs-unflushed", "runs name new clusters whose zeroing is not durable", "runs",
	  MUTATE_FLUSH, "zeroes", 2, NULL, 0 },
	{ "set-super-unflushed", "a root blob is set before that is durable", "set-super",
	  MUTATE_FLUSH, "super", 0, NULL, 0 },
	{ "grow-at-load-unflushed", "a store has grown before that is durable", "grow-at-load",
	  MUTATE_FLUSH, "super", 1, NULL, 0 },
	{ "destroy-unflushed", "a store is destroyed before that is durable", "init", MUTATE_FLUSH,
	  "super", 1, NULL, 0 },
	{ "init-metadata-unflushed", "a new store says it is one before its metadata is zeroes",
	  "init", MUTATE_FLUSH, "super", 3, NULL, 0 },
	{ "snapshot-draft-unflushed", "the origin names a snapshot that is not durable", "snapshot",
	  MUTATE_FLUSH, "root", 0, NULL, 0 },
	{ "snapshot-draft-late", "the origin becomes a clone before the snapshot is there",
	  "snapshot", MUTATE_LATE, "root", 0, "root", 1 },
	{ "snapshot-clone-late", "the snapshot is finished before its origin knows it", "snapshot",
	  MUTATE_LATE, "root", 1, "root", 2 },
	{ "handover-mark-missing", "a snapshot is handed over without a mark", "delete-snapshot",
	  MUTATE_WRITE, "root", 0, NULL, 0 },
	{ "handover-extents-unflushed", "the clone names merged extent pages that are not durable",
	  "delete-snapshot", MUTATE_FLUSH, "extents", 1, NULL, 0 },
	{ "handover-clone-late", "the snapshot is erased before the clone has its clusters",
	  "delete-snapshot", MUTATE_LATE, "root", 1, "erase", 0 },
	{ "rename-chain-unflushed", "a renamed volume loses its continuation pages", "rename",
	  MUTATE_FLUSH, "chain", 0, NULL, 0 },
	{ "rename-erase-early", "old continuation pages are erased before the root page changes",
	  "rename", MUTATE_LATE, "root", 1, "erase", 0 },
	{ "inflate-extents-unflushed",
	  "a clone leaves its parent before its own clusters are durable", "inflate", MUTATE_FLUSH,
	  "extents", 1, NULL, 0 },
	{ "unload-masks-unflushed", "the store says clean before its masks are durable", "unload",
	  MUTATE_FLUSH, "mask", 3, NULL, 0 },
	{ "unload-mask-missing", "the store says clean with an old mask", "unload", MUTATE_WRITE,
	  "mask", 4, NULL, 0 },
	{ "root-copy-unflushed", "a long root page is written before its copy is durable", "xattrs",
	  MUTATE_COPY, "page", 0, NULL, 0 },
	{ "guard-missing", "what a torn volume has is given to others", "thin-write", MUTATE_GUARD,
	  NULL, 0, NULL, 0 },
	{ "user-flush-ignored", "a flush of the user's does nothing", "unmap", MUTATE_FLUSH, "data",
	  0, NULL, 0 },
};
const unsigned int mutant_count = sizeof(mutants) / sizeof(mutants[0]);

static uint32_t find_step(const struct record *r, uint32_t start, const char *step,
			  unsigned int nth)
{
	for (uint32_t i = start; i < r->count; i++) {
		if (r->at[i].kind == EVENT_WRITE &&
		    strcmp(event_name(&r->at[i], STORE_MD_FIRST, STORE_MD_BLOCKS), step) == 0 &&
		    nth-- == 0)
			return i;
	}
	kit_die("a mutant wants a step \"%s\" that the scenario does not have", step);
}

static uint32_t next_of(const struct record *r, uint32_t from, enum event_kind kind)
{
	while (from < r->count && r->at[from].kind != kind)
		from++;
	if (from == r->count)
		kit_die("a mutant wants a flush that the scenario does not have");
	return from;
}

/* All but @without; @late (NEVER: none) comes behind @behind. */
static uint32_t *order(const struct record *r, uint32_t without, uint32_t late, uint32_t behind,
		       uint32_t *count)
{
	uint32_t *list = kit_alloc(r->count * sizeof(*list)), n = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		if (i != without && i != late)
			list[n++] = i;
		if (late != NEVER && i == behind)
			list[n++] = late;
	}
	*count = n;
	return list;
}

uint32_t *mutant_without_flush(const struct record *r, uint32_t flush, uint32_t *count)
{
	return order(r, flush, NEVER, NEVER, count);
}

uint32_t *mutant_order(const struct mutant *m, const struct record *r, uint32_t start,
		       uint32_t *count)
{
	uint32_t step = find_step(r, start, m->step, m->nth), behind;

	switch (m->mutation) {
	case MUTATE_FLUSH:
	case MUTATE_COPY:
	case MUTATE_CLEAR:
		return mutant_without_flush(r, next_of(r, step, EVENT_FLUSH), count);
	case MUTATE_WRITE:
		return order(r, step, NEVER, NEVER, count);
	default:
		behind = find_step(r, start, m->behind, m->behind_nth);
		behind = next_of(r, next_of(r, behind, EVENT_FLUSH), EVENT_FLUSHED);
		return order(r, NEVER, step, behind, count);
	}
}

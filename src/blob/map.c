/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster maps: memory and search.
 *
 * Threading: see map.h.
 */
#include "blob/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/container_of.h"
#include "reactor/reactor.h"

#define LARGE_PAGE (UINT64_C(2) << 20)
/* From here on the leaves are more than the TLB reaches. */
#define SETTLE_LEAVES 4096u

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct blob_map *blob_map_create(uint64_t clusters, uint64_t leaves)
{
	struct blob_map *map = calloc(1, blob_map_bytes(leaves));

	if (map != NULL) {
		map->clusters = clusters;
		map->leaves = leaves;
	}
	return map;
}

struct blob_map *blob_map_clone(const struct blob_map *map, uint64_t clusters, uint64_t leaves)
{
	struct blob_map *copy = blob_map_create(clusters, leaves);

	if (copy == NULL)
		return NULL;
	copy->back = map->back;
	for (uint64_t i = 0; i < leaves && i < map->leaves; i++)
		blob_map_set_leaf(copy, i, blob_map_leaf(map, i));
	return copy;
}

void blob_map_destroy(struct blob_map *map)
{
	if (map == NULL)
		return;
	for (uint64_t i = 0; i < map->leaves; i++)
		free(blob_map_leaf(map, i));
	free(map);
}

/* --- large pages ------------------------------------------------------------------------------ */

struct settling {
	struct reactor_work work;
	void *at;
	size_t bytes;
};

/* Advice: what was freed meanwhile is no harm. A kernel that cannot at once does it by and by. */
static void settle_run(struct reactor_work *work)
{
	const struct settling *s = container_of(work, struct settling, work);

	if (madvise(s->at, s->bytes, MADV_HUGEPAGE) == 0)
		(void)madvise(s->at, s->bytes, MADV_COLLAPSE);
}

static void settle_done(struct reactor_work *work)
{
	free(container_of(work, struct settling, work));
}

void blob_map_settle(const struct blob_map *map)
{
	uintptr_t low = UINTPTR_MAX, high = 0;
	struct settling *s;

	if (map->leaves < SETTLE_LEAVES)
		return;
	for (uint64_t i = 0; i < map->leaves; i++) {
		uintptr_t at = (uintptr_t)blob_map_leaf(map, i);

		low = at != 0 && at < low ? at : low;
		high = at > high ? at : high;
	}
	low = (low + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	high &= ~(LARGE_PAGE - 1);
	/* Leaves that lie among much else would take large pages for that, too. */
	if (low >= high || high - low > 2 * map->leaves * BLOB_EXTENT_CLUSTERS * sizeof(uint32_t))
		return;
	s = malloc(sizeof(*s));
	if (s == NULL)
		return;
	*s = (struct settling){ .work = { .run = settle_run, .done = settle_done },
				.at = (void *)low,
				.bytes = high - low };
	reactor_work_start(&s->work);
}

/* --- leaves ----------------------------------------------------------------------------------- */

struct blob_leaf *blob_leaf_create(uint32_t entries)
{
	return calloc(1, sizeof(struct blob_leaf) + entries * sizeof(uint32_t));
}

struct blob_leaf *blob_leaf_copy(const struct blob_leaf *from, uint32_t known, uint32_t entries)
{
	struct blob_leaf *leaf = blob_leaf_create(entries);

	if (leaf == NULL || from == NULL)
		return leaf;
	leaf->page = from->page;
	for (uint32_t i = 0; i < known && i < entries; i++)
		blob_leaf_set(leaf, i, blob_leaf_get(from, i));
	return leaf;
}

uint64_t blob_map_next(const struct blob_map *map, uint64_t index)
{
	while (index < map->clusters) {
		const struct blob_leaf *leaf = blob_map_leaf(map, index / BLOB_EXTENT_CLUSTERS);

		if (leaf == NULL) {
			if (index / BLOB_EXTENT_CLUSTERS >= map->leaves)
				return UINT64_MAX;
			index = (index / BLOB_EXTENT_CLUSTERS + 1) * BLOB_EXTENT_CLUSTERS;
		} else if (blob_leaf_get(leaf, index % BLOB_EXTENT_CLUSTERS) != 0) {
			return index;
		} else {
			index++;
		}
	}
	return UINT64_MAX;
}

uint64_t blob_map_next_hole(const struct blob_map *map, uint64_t index)
{
	while (index < map->clusters && blob_map_get(map, index) != 0)
		index++;
	return index < map->clusters ? index : map->clusters;
}

uint64_t blob_map_count(const struct blob_map *map)
{
	uint64_t count = 0;

	for (uint64_t i = blob_map_next(map, 0); i != UINT64_MAX; i = blob_map_next(map, i + 1))
		count++;
	return count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster map of a blob: which cluster of the device holds which of the blob, and what stands
 * behind the holes.
 *
 * Two levels: a map points to leaves, a leaf is an extent page's 512 entries and the number of that
 * page. Where nothing is allocated there is no leaf, and a map ends with its last leaf. To find a
 * cluster costs the same for every size: the map, the leaf, the entry.
 *
 * Threading: any reactor looks up, without a lock. Only reactor 0 changes a map, and only in ways
 * that whoever looks at the same time sees before or after: it stores an entry, or it makes another
 * map and stores the pointer to it. What was replaced is freed when all I/O that may still look at
 * it is over (blob_io_barrier()). A map carries what stands behind it, since content and parent
 * must change in one.
 */
#ifndef BLOB_MAP_H
#define BLOB_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "blob/format.h"

struct blob;
struct blob_esnap;

/**
 * struct blob_leaf - the clusters of an extent page
 * @page: its metadata page; 0: none yet, or the blob keeps runs
 * @cluster: [512], or as many as the last leaf of the map has; 0 is a hole
 */
struct blob_leaf {
	uint32_t page;
	_Atomic uint32_t cluster[];
};

/** struct blob_back - what a hole reads as: zeroes if neither is set */
struct blob_back {
	struct blob *parent;
	struct blob_esnap *esnap;
};

/**
 * struct blob_map
 * @clusters: size of the blob
 * @leaves: how many @leaf there are; what lies behind is a hole
 */
struct blob_map {
	uint64_t clusters;
	uint64_t leaves;
	struct blob_back back;
	_Atomic(struct blob_leaf *) leaf[];
};

/** blob_map_tables() - leaves that a blob of so many clusters can have */
static inline uint64_t blob_map_tables(uint64_t clusters)
{
	return clusters / BLOB_EXTENT_CLUSTERS + (clusters % BLOB_EXTENT_CLUSTERS != 0);
}

/** blob_map_entries() - entries of leaf @i of a blob of so many clusters */
static inline uint32_t blob_map_entries(uint64_t clusters, uint64_t i)
{
	uint64_t left = clusters - i * BLOB_EXTENT_CLUSTERS;

	return left < BLOB_EXTENT_CLUSTERS ? (uint32_t)left : BLOB_EXTENT_CLUSTERS;
}

static inline struct blob_leaf *blob_map_leaf(const struct blob_map *map, uint64_t i)
{
	if (i >= map->leaves)
		return NULL;
	return atomic_load_explicit(&map->leaf[i], memory_order_acquire);
}

/**
 * blob_map_get() - the cluster at @index, which is below map->clusters; 0: a hole
 *
 * Acquire pairs with blob_map_set(): who sees the cluster also sees it written.
 */
static inline uint32_t blob_map_get(const struct blob_map *map, uint64_t index)
{
	const struct blob_leaf *leaf = blob_map_leaf(map, index / BLOB_EXTENT_CLUSTERS);

	if (leaf == NULL)
		return 0;
	return atomic_load_explicit(&leaf->cluster[index % BLOB_EXTENT_CLUSTERS],
				    memory_order_acquire);
}

/* --- reactor 0 -------------------------------------------------------------------------------- */

/** blob_map_create() - all holes, with room for @leaves; NULL when memory is short */
struct blob_map *blob_map_create(uint64_t clusters, uint64_t leaves);
/** blob_map_clone() - a map of another size or back with the same leaves; NULL */
struct blob_map *blob_map_clone(const struct blob_map *map, uint64_t clusters, uint64_t leaves);
/** blob_map_destroy() - with its leaves */
void blob_map_destroy(struct blob_map *map);
/** blob_map_bytes() - memory of a map with so many leaves, without them */
static inline uint64_t blob_map_bytes(uint64_t leaves)
{
	return sizeof(struct blob_map) + leaves * sizeof(void *);
}

/**
 * blob_map_settle() - a map that was made or loaded will be looked up all over
 *
 * A table of many MiB costs an I/O not only its own cache miss but those of the page tables that
 * lead to it, unless it lies in large pages. It is moved there on a helper thread, where the kernel
 * can (6.1).
 */
void blob_map_settle(const struct blob_map *map);

struct blob_leaf *blob_leaf_create(uint32_t entries);
/** blob_leaf_copy() - with @entries, of which @from has the first @known; @from may be NULL */
struct blob_leaf *blob_leaf_copy(const struct blob_leaf *from, uint32_t known, uint32_t entries);

/** blob_map_set_leaf() - @i is below map->leaves */
static inline void blob_map_set_leaf(struct blob_map *map, uint64_t i, struct blob_leaf *leaf)
{
	atomic_store_explicit(&map->leaf[i], leaf, memory_order_release);
}

static inline void blob_leaf_set(struct blob_leaf *leaf, uint32_t i, uint32_t cluster)
{
	atomic_store_explicit(&leaf->cluster[i], cluster, memory_order_release);
}

static inline uint32_t blob_leaf_get(const struct blob_leaf *leaf, uint32_t i)
{
	return atomic_load_explicit(&leaf->cluster[i], memory_order_relaxed);
}

/** blob_map_next() - the first allocated cluster at or behind @index; UINT64_MAX: none */
uint64_t blob_map_next(const struct blob_map *map, uint64_t index);
/** blob_map_next_hole() - the first hole at or behind @index; map->clusters if there is none */
uint64_t blob_map_next_hole(const struct blob_map *map, uint64_t index);
/** blob_map_count() - allocated clusters */
uint64_t blob_map_count(const struct blob_map *map);

#endif

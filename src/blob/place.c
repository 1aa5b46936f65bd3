/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a range of a blob is: found through the blob's map and those behind its holes, a few loads
 * for each, without a lock.
 *
 * Threading: any reactor, inside an epoch (blob_enter()).
 */
#include "blob/internal.h"

struct spot {
	enum blob_place_kind kind;
	uint64_t cluster; /* of the device or the external snapshot */
	struct blob_esnap *esnap;
};

static struct spot spot_esnap(const struct blob_store *store, struct blob_esnap *esnap,
			      uint64_t index)
{
	/* Behind its end an external snapshot reads as zeroes, as a shorter parent does. */
	if (__atomic_load_n(&esnap->desc, __ATOMIC_ACQUIRE) != NULL &&
	    index * store->geo.cluster_size >= esnap->bytes)
		return (struct spot){ .kind = BLOB_PLACE_ZEROES };
	return (struct spot){ .kind = BLOB_PLACE_ESNAP, .cluster = index, .esnap = esnap };
}

static struct spot spot_behind(const struct blob_store *store, const struct blob_map *map,
			       uint64_t index)
{
	for (;;) {
		uint32_t cluster;

		if (map->back.esnap != NULL)
			return spot_esnap(store, map->back.esnap, index);
		if (map->back.parent == NULL)
			return (struct spot){ .kind = BLOB_PLACE_ZEROES };
		map = blob_map(map->back.parent);
		if (index >= map->clusters)
			return (struct spot){ .kind = BLOB_PLACE_ZEROES };
		cluster = blob_map_get(map, index);
		if (cluster != 0)
			return (struct spot){ .kind = BLOB_PLACE_DEVICE, .cluster = cluster };
	}
}

uint64_t blob_back_reach(const struct blob_store *store, const struct blob_back *back)
{
	const struct blob_esnap *esnap = back->esnap;
	uint64_t size = store->geo.cluster_size;

	if (esnap != NULL && __atomic_load_n(&esnap->desc, __ATOMIC_ACQUIRE) == NULL)
		return UINT64_MAX;
	if (esnap != NULL)
		return esnap->bytes / size + (esnap->bytes % size != 0);
	return back->parent != NULL ? blob_map(back->parent)->clusters : 0;
}

bool blob_back_shows(const struct blob_store *store, const struct blob_back *back, uint64_t index)
{
	const struct blob_map nothing = { .back = *back };

	return spot_behind(store, &nothing, index).kind != BLOB_PLACE_ZEROES;
}

static struct spot spot_own(const struct blob_map *map, uint64_t index)
{
	uint32_t cluster = blob_map_get(map, index);

	return (struct spot){
		.kind = cluster != 0 ? BLOB_PLACE_DEVICE : BLOB_PLACE_ZEROES,
		.cluster = cluster,
	};
}

enum look { LOOK_READ, LOOK_OWN, LOOK_BEHIND };

static inline struct spot spot_at(const struct blob_store *store, const struct blob_map *map,
				  uint64_t index, enum look look)
{
	struct spot spot = { .kind = BLOB_PLACE_ZEROES };

	if (look != LOOK_BEHIND)
		spot = spot_own(map, index);
	if (look == LOOK_OWN || spot.kind == BLOB_PLACE_DEVICE)
		return spot;
	return spot_behind(store, map, index);
}

static bool goes_on(const struct spot *first, const struct spot *next, uint64_t distance)
{
	if (first->kind != next->kind || first->esnap != next->esnap)
		return false;
	return first->kind == BLOB_PLACE_ZEROES || next->cluster == first->cluster + distance;
}

static uint32_t blocks_of(const struct blob_store *store, const struct spot *spot, uint64_t bytes)
{
	uint32_t block =
		spot->kind == BLOB_PLACE_ESNAP ? spot->esnap->block_size : store->block_size;

	return block == 0 ? 0 : (uint32_t)(bytes / block);
}

/* The range from @unit on that lies in one piece: clusters that follow each other are one. */
static inline void find(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place,
			enum look look)
{
	const struct blob_store *store = b->store;
	const struct blob_map *map = blob_map(b);
	uint64_t index = blob_unit_cluster(store, unit), n = 1;
	uint64_t inside = unit - index * store->units_per_cluster;
	struct spot first = spot_at(store, map, index, look);

	place->kind = first.kind;
	place->esnap = first.esnap;
	place->block = first.cluster * blocks_of(store, &first, store->geo.cluster_size) +
		       inside * blocks_of(store, &first, store->geo.io_unit_size);
	place->units = store->units_per_cluster - inside;
	while (place->units < max && index + n < map->clusters) {
		struct spot next = spot_at(store, map, index + n, look);

		if (!goes_on(&first, &next, n))
			break;
		place->units += store->units_per_cluster;
		n++;
	}
	if (place->units > max)
		place->units = max;
}

void blob_place_read(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place)
{
	find(b, unit, max, place, LOOK_READ);
}

void blob_place_own(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place)
{
	find(b, unit, max, place, LOOK_OWN);
}

void blob_place_behind(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place)
{
	find(b, unit, max, place, LOOK_BEHIND);
}

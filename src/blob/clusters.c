/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking clusters, and giving them back.
 *
 * No old data ever shows in a cluster that is taken: one that is not known to read as zeroes is
 * zeroed, or written whole, before any metadata refers to it. Known are those that this process
 * cleared itself in a way that reads as zeroes.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

/* One request of the device: large enough for speed, small enough for others to get their turn. */
#define ZERO_BYTES  (UINT64_C(16) << 20)
#define UNMAP_BYTES (UINT64_C(1) << 30)
/* What is cleared with the cluster of a first write, at most. */
#define AHEAD_BYTES    (UINT64_C(64) << 20)
#define AHEAD_CLUSTERS 16u

void blob_clusters_end(struct blob_clusters *list)
{
	free(list->at);
	*list = (struct blob_clusters){ 0 };
}

int blob_clusters_add(struct blob_clusters *list, uint32_t cluster)
{
	if (list->count == list->room) {
		uint64_t room = list->room == 0 ? 16 : list->room * 2;
		uint32_t *more = realloc(list->at, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		list->at = more;
		list->room = room;
	}
	list->at[list->count++] = cluster;
	return 0;
}

uint64_t blob_clusters_free_count(const struct blob_store *store)
{
	return bit_array_size(store->clusters) - bit_array_count_set(store->clusters) + store->lent;
}

static void watch_space(struct blob_store *store)
{
	uint64_t data = store->geo.total_clusters - store->geo.md_clusters;
	bool low;

	if (store->space_low == NULL)
		return;
	low = blob_clusters_free_count(store) * 100 < data * store->space_percent;
	if (low && !store->space_told)
		store->space_low(store, store->space_arg);
	store->space_told = low;
}

void blob_store_watch_space(struct blob_store *store, unsigned int percent,
			    void (*low)(struct blob_store *store, void *arg), void *arg)
{
	store->space_percent = percent;
	store->space_low = low;
	store->space_arg = arg;
	store->space_told = false;
	watch_space(store);
}

/* The last ones may be lent: they are free again in a moment. */
static uint64_t find_free(struct blob_store *store)
{
	uint64_t found = bit_array_find_clear(store->clusters, store->geo.md_clusters);

	while (found >= store->geo.total_clusters && store->lent > 0) {
		fiber_lock(&store->lend_lock);
		fiber_unlock(&store->lend_lock);
		found = bit_array_find_clear(store->clusters, store->geo.md_clusters);
	}
	return found;
}

int blob_cluster_take(struct blob_store *store, uint32_t *cluster, bool *zeroed)
{
	int rc = blob_store_check_known(store, NULL);
	uint64_t found;

	if (rc < 0)
		return rc;
	found = find_free(store);
	if (found >= store->geo.total_clusters)
		return -ENOSPC;
	bit_array_set(store->clusters, found);
	*cluster = (uint32_t)found;
	*zeroed = bit_array_get(store->zeroed, found);
	bit_array_clear(store->zeroed, found);
	watch_space(store);
	return 0;
}

void blob_cluster_untake(struct blob_store *store, uint32_t cluster)
{
	bit_array_clear(store->clusters, cluster);
	watch_space(store);
}

void blob_clusters_await(const struct blob_store *store, uint64_t count)
{
	while (store->releasing > 0 && blob_clusters_free_count(store) < count)
		fiber_yield();
}

/* --- runs ------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* How many from @at on follow each other, @max bytes at most. */
static uint32_t run_of(const struct blob_store *store, const struct blob_clusters *list,
		       uint64_t at, uint64_t max)
{
	uint64_t most = max / store->geo.cluster_size;
	uint32_t n = 1;

	while (at + n < list->count && n < most && list->at[at + n] == list->at[at] + n)
		n++;
	return n;
}

/* --- taking many ------------------------------------------------------------------------------ */

static int zero(struct blob_store *store, const struct blob_clusters *list)
{
	struct md_batch *batch;
	int rc;

	if (list->count == 0)
		return 0;
	batch = md_batch_begin(store);
	if (batch == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < list->count && batch->result == 0 && !store->interrupted;) {
		uint32_t n = run_of(store, list, i, store->unmap_zeroes ? UNMAP_BYTES : ZERO_BYTES);

		md_batch_zero_clusters(batch, list->at[i], n, NULL);
		i += n;
	}
	rc = md_batch_end(batch);
	return store->interrupted ? -ECANCELED : rc;
}

static int take_many(struct blob_store *store, uint64_t count, struct blob_clusters *list,
		     struct blob_clusters *unknown)
{
	int rc = 0;

	for (uint64_t i = 0; i < count && rc == 0; i++) {
		uint32_t cluster;
		bool zeroed;

		rc = blob_cluster_take(store, &cluster, &zeroed);
		if (rc < 0)
			break;
		rc = blob_clusters_add(list, cluster);
		if (rc < 0)
			blob_cluster_untake(store, cluster);
		else if (!zeroed)
			rc = blob_clusters_add(unknown, cluster);
	}
	return rc;
}

int blob_clusters_take_zeroed(struct blob_store *store, uint64_t count, struct blob_clusters *list,
			      struct error *err)
{
	struct blob_clusters unknown = { 0 };
	uint64_t left = blob_clusters_free_count(store);
	int rc = blob_store_check_known(store, err);

	if (rc < 0)
		return rc;
	rc = count > left ? -ENOSPC : take_many(store, count, list, &unknown);
	if (rc == 0)
		rc = zero(store, &unknown);
	blob_clusters_end(&unknown);
	if (rc == 0)
		return 0;
	for (uint64_t i = 0; i < list->count; i++)
		blob_cluster_untake(store, list->at[i]);
	blob_clusters_end(list);
	if (rc == -ENOSPC)
		return error_set(err, rc,
				 "bdev \"%s\": %" PRIu64 " clusters of %" PRIu32
				 " bytes are wanted, %" PRIu64 " are free",
				 bdev_name(store->bdev), count, store->geo.cluster_size, left);
	return error_set(err, rc, "bdev \"%s\": new clusters could not be zeroed: %s",
			 bdev_name(store->bdev), error_errno_text(rc));
}

/* --- zeroing for first writes ----------------------------------------------------------------- */

static int zero_run(struct blob_store *store, uint32_t first, uint32_t count)
{
	uint64_t bytes = store->unmap_zeroes ? UNMAP_BYTES : ZERO_BYTES;
	uint32_t most = (uint32_t)(bytes / store->geo.cluster_size);
	struct md_batch *batch = md_batch_begin(store);

	if (batch == NULL)
		return -ENOMEM;
	most = most > 0 ? most : 1;
	for (uint32_t n; count > 0 && batch->result == 0; first += n, count -= n) {
		n = count < most ? count : most;
		md_batch_zero_clusters(batch, first, n, NULL);
	}
	return md_batch_end(batch);
}

static bool is_unknown(const struct blob_store *store, uint32_t cluster)
{
	return cluster < store->geo.total_clusters && !bit_array_get(store->clusters, cluster) &&
	       !bit_array_get(store->zeroed, cluster);
}

static void lend(struct blob_store *store, uint32_t first)
{
	uint64_t most = AHEAD_BYTES / store->geo.cluster_size;

	if (most > AHEAD_CLUSTERS)
		most = AHEAD_CLUSTERS;
	while (store->lent + 1 < most && is_unknown(store, first + store->lent))
		bit_array_set(store->clusters, first + store->lent++);
}

static void take_back(struct blob_store *store, uint32_t first, bool zeroed)
{
	for (uint32_t i = first; store->lent > 0; i++, store->lent--) {
		bit_array_clear(store->clusters, i);
		if (zeroed)
			bit_array_set(store->zeroed, i);
	}
}

/*
 * A store that was loaded knows nothing of its free clusters. Where clearing is cheap and making it
 * durable is not, some that follow are cleared too, so that first writes there find it done.
 */
int blob_clusters_zero(struct blob_store *store, uint32_t first, uint32_t count)
{
	int rc;

	if (!store->unmap_zeroes || !store->cache || fiber_lock_is_held(&store->lend_lock))
		return zero_run(store, first, count);
	fiber_lock(&store->lend_lock);
	lend(store, first + count);
	rc = zero_run(store, first, count + store->lent);
	store->clears++;
	take_back(store, first + count, rc == 0);
	fiber_unlock(&store->lend_lock);
	return rc;
}

/* --- giving back ------------------------------------------------------------------------------ */

static int clear_run(struct md_batch *batch, uint32_t first, uint32_t count, enum blob_clear clear)
{
	struct blob_store *store = batch->store;
	struct md_slot *slot;

	if (clear == BLOB_CLEAR_WRITE_ZEROES) {
		slot = md_batch_slot(batch, NULL);
		bdev_write_zeroes(store->md, &slot->io, (uint64_t)first * store->blocks_per_cluster,
				  (uint64_t)count * store->blocks_per_cluster, 0);
	} else {
		md_batch_unmap_clusters(batch, first, count);
	}
	return batch->result;
}

/* Whether they read as zeroes now. */
static bool clear_all(struct blob_store *store, const struct blob_clusters *list,
		      enum blob_clear clear)
{
	bool zeroes = clear == BLOB_CLEAR_WRITE_ZEROES;
	struct md_batch *batch;
	int rc = 0;

	if (clear == BLOB_CLEAR_NONE || (!zeroes && !bdev_supports(store->bdev, BDEV_IO_UNMAP)))
		return false;
	batch = md_batch_begin(store);
	if (batch == NULL)
		return false;
	for (uint64_t i = 0; i < list->count && rc == 0;) {
		uint32_t n = run_of(store, list, i, zeroes ? ZERO_BYTES : UNMAP_BYTES);

		rc = clear_run(batch, list->at[i], n, clear);
		i += n;
	}
	rc = md_batch_end(batch);
	if (rc < 0)
		log_warning("bdev \"%s\": freed clusters could not be cleared: %s",
			    bdev_name(store->bdev), error_errno_text(rc));
	return rc == 0 && (zeroes || store->unmap_zeroes);
}

void blob_clusters_give(struct blob_store *store, struct blob_clusters *list, enum blob_clear clear)
{
	bool zeroed;

	if (list->count == 0)
		return;
	qsort(list->at, list->count, sizeof(*list->at), ascending);
	zeroed = clear_all(store, list, clear);
	store->clears += zeroed;
	for (uint64_t i = 0; i < list->count; i++) {
		bit_array_clear(store->clusters, list->at[i]);
		if (zeroed)
			bit_array_set(store->zeroed, list->at[i]);
	}
	watch_space(store);
	blob_clusters_end(list);
}

/* --- into a map ------------------------------------------------------------------------------- */

int blob_map_put(struct blob_map *map, uint64_t index, uint32_t cluster)
{
	uint64_t table = index / BLOB_EXTENT_CLUSTERS;
	struct blob_leaf *leaf = blob_map_leaf(map, table);

	if (leaf == NULL) {
		leaf = blob_leaf_create(blob_map_entries(map->clusters, table));
		if (leaf == NULL)
			return -ENOMEM;
		blob_map_set_leaf(map, table, leaf);
	}
	blob_leaf_set(leaf, index % BLOB_EXTENT_CLUSTERS, cluster);
	return 0;
}

int blob_map_fill(struct blob_map *map, uint64_t index, const struct blob_clusters *list)
{
	int rc = 0;

	for (uint64_t i = 0; i < list->count && rc == 0; i++)
		rc = blob_map_put(map, index + i, list->at[i]);
	return rc;
}

int blob_clusters_add_map(struct blob_clusters *list, const struct blob_map *map, uint64_t from)
{
	int rc = 0;

	for (uint64_t i = blob_map_next(map, from); i != UINT64_MAX && rc == 0;
	     i = blob_map_next(map, i + 1))
		rc = blob_clusters_add(list, blob_map_get(map, i));
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of changes to one blob's map: first writes into holes, and clusters that an unmap gives
 * back.
 *
 * First writes. Order:
 *   new clusters are filled (copied from behind the hole, or zeroed) => the user's data
 *     => (flush, unless the clusters were zeroes, durably, as the holes are) extent pages, in place
 *        where there is one, fresh ones elsewhere
 *     => (flush, only with fresh ones, or runs) chain and root page
 *     => the map is published, the writes are answered
 * A cut before the extent page (or root page) leaves holes, and clusters nobody refers to. Behind
 * it the cluster is the blob's with its whole content, since that was durable before: no old data
 * shows in it. Of a cluster that was zeroes only the user's data may be missing, as it may from any
 * write that was not flushed: the hole read the same. The last step is not flushed unless a write
 * asked for it (FUA): whoever wants to be sure flushes, and that covers it.
 *
 * Giving back. Order:
 *   extent pages, or chain and root page, with holes => the map, the answer
 *     => (flush, all I/O that saw the old map is over) clusters are cleared and free
 * A cut anywhere leaves the cluster with the blob, or free; it is never used by another while the
 * blob may still refer to it.
 *
 * Threading: reactor 0, inside a worker's fiber that holds the blob's md_lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bdev/iov.h"
#include "blob/internal.h"

#define WRITES_MAX  64u
#define ENTRIES_MAX 256u
#define FILLERS	    4u

/* struct entry - a cluster of the blob that the batch allocates or gives back */
struct entry {
	uint64_t index;
	uint32_t cluster;
	uint32_t users; /* writes that need it */
	bool covered;	/* one write fills it whole */
	bool zeroed;	/* it reads as zeroes already */
	int result;
};

/* struct part - how much of a write is in this batch */
struct part {
	struct blob_write *w;
	uint64_t units;
};

struct batch {
	struct blob *blob;
	struct blob_store *store;
	bool release;
	struct part parts[WRITES_MAX];
	uint32_t part_count;
	struct entry entries[ENTRIES_MAX];
	uint32_t entry_count;
	uint32_t next_fill;
	struct blob_map *map; /* what it becomes; the old one where only entries change */
	struct blob_clusters freed;
	struct iovec **iovs;
	uint32_t iov_count, iov_room;
};

/* --- gathering -------------------------------------------------------------------------------- */

static struct entry *find_entry(struct batch *t, uint64_t index)
{
	for (uint32_t i = 0; i < t->entry_count; i++) {
		if (t->entries[i].index == index)
			return &t->entries[i];
	}
	return NULL;
}

static bool has_back(const struct blob_map *map)
{
	return map->back.parent != NULL || map->back.esnap != NULL;
}

static bool covers(const struct batch *t, const struct part *p, uint64_t index)
{
	uint64_t first = index * t->store->units_per_cluster;

	return p->w->kind != BLOB_WRITE_FILL && p->w->unit <= first &&
	       first + t->store->units_per_cluster <= p->w->unit + p->units;
}

static int add_entry(struct batch *t, const struct part *p, uint64_t index)
{
	struct entry *e = find_entry(t, index);
	int rc;

	if (e != NULL) {
		e->users++;
		e->covered = false;
		return 0;
	}
	e = &t->entries[t->entry_count];
	*e = (struct entry){ .index = index, .users = 1, .covered = covers(t, p, index) };
	rc = blob_cluster_take(t->store, &e->cluster, &e->zeroed);
	if (rc == 0)
		t->entry_count++;
	return rc == -ENOSPC && t->store->releasing > 0 ? -ERESTART : rc;
}

/* The clusters of a write that it has to allocate. When there is no more room it is cut short. */
static void add_write(struct batch *t, struct blob_write *w)
{
	const struct blob_map *map = blob_map(t->blob);
	struct part *p = &t->parts[t->part_count++];
	uint32_t upc = t->store->units_per_cluster;
	uint64_t index = blob_unit_cluster(t->store, w->unit);
	uint64_t end = blob_unit_cluster(t->store, w->unit + w->units - 1);

	*p = (struct part){ .w = w, .units = w->units };
	for (; index <= end && w->result == 0; index++) {
		if (index >= map->clusters || blob_map_get(map, index) != 0)
			continue;
		if (w->kind == BLOB_WRITE_ZEROES && !has_back(map))
			continue;
		if (t->entry_count == ENTRIES_MAX) {
			p->units = index * upc - w->unit;
			return;
		}
		w->result = add_entry(t, p, index);
	}
}

static void add_release(struct batch *t, struct blob_write *w)
{
	const struct blob_map *map = blob_map(t->blob);
	struct part *p = &t->parts[t->part_count++];
	uint32_t upc = t->store->units_per_cluster;
	uint64_t index = blob_unit_cluster(t->store, w->unit);
	uint64_t end = blob_unit_cluster(t->store, w->unit + w->units - 1);

	*p = (struct part){ .w = w, .units = w->units };
	for (; index <= end && index < map->clusters; index++) {
		uint32_t cluster = blob_map_get(map, index);

		if (cluster == 0 || has_back(map) || !covers(t, p, index) ||
		    find_entry(t, index) != NULL || t->store->unknown != NULL)
			continue;
		if (t->entry_count == ENTRIES_MAX) {
			p->units = index * upc - w->unit;
			return;
		}
		t->entries[t->entry_count++] = (struct entry){ .index = index, .cluster = cluster };
	}
}

/* Writes in their order, of one kind: a batch gives clusters back, or takes some. */
static void gather(struct batch *t)
{
	struct blob_write *w = TAILQ_FIRST(&t->blob->writes);

	t->release = w->kind == BLOB_WRITE_RELEASE;
	while (w != NULL && t->part_count < WRITES_MAX && t->entry_count < ENTRIES_MAX &&
	       (w->kind == BLOB_WRITE_RELEASE) == t->release) {
		TAILQ_REMOVE(&t->blob->writes, w, link);
		if (t->release)
			add_release(t, w);
		else
			add_write(t, w);
		w = TAILQ_FIRST(&t->blob->writes);
	}
}

/* --- filling ---------------------------------------------------------------------------------- */

static bool needs_fill(const struct batch *t, const struct entry *e)
{
	return !e->covered && (!e->zeroed || has_back(blob_map(t->blob)));
}

/* The hole that it was. */
static bool reads_as_zeroes(const struct batch *t, const struct entry *e)
{
	uint32_t upc = t->store->units_per_cluster;
	struct blob_place place;

	blob_place_behind(t->blob, e->index * upc, upc, &place);
	return place.kind == BLOB_PLACE_ZEROES;
}

static bool wants_zeroes(const struct batch *t, const struct entry *e)
{
	return needs_fill(t, e) && !e->zeroed && reads_as_zeroes(t, e);
}

/* Clusters were taken in rising order: those that follow each other are cleared together. */
static uint32_t zero_run_of(const struct batch *t, uint32_t at)
{
	const struct entry *e = &t->entries[at];
	uint32_t n = 0;

	while (at + n < t->entry_count && wants_zeroes(t, e + n) && e[n].cluster == e->cluster + n)
		n++;
	return n;
}

static void fill_some(void *arg)
{
	struct batch *t = arg;

	while (t->next_fill < t->entry_count) {
		struct entry *e = &t->entries[t->next_fill];
		uint32_t n = zero_run_of(t, t->next_fill);
		int rc = 0;

		t->next_fill += n > 0 ? n : 1;
		if (n > 0)
			rc = blob_clusters_zero(t->store, e->cluster, n);
		else if (needs_fill(t, e) && !reads_as_zeroes(t, e))
			e->result = blob_copy_cluster(t->blob, e->index, e->cluster);
		for (uint32_t i = 0; i < n; i++)
			e[i].result = rc;
	}
}

static void fill_all(struct batch *t)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < t->entry_count; i++)
		count += needs_fill(t, &t->entries[i]);
	if (count <= 1 || blob_parallel(count < FILLERS ? count : FILLERS, fill_some, t) < 0)
		fill_some(t);
}

/* --- the user's data -------------------------------------------------------------------------- */

/* Where @unit goes: an entry of the batch, or a cluster that the blob has. */
static uint32_t cluster_of(struct batch *t, uint64_t unit, int *result)
{
	uint64_t index = blob_unit_cluster(t->store, unit);
	const struct entry *e = t->release ? NULL : find_entry(t, index);

	*result = e != NULL ? e->result : 0;
	if (e != NULL)
		return e->cluster;
	return index < blob_map(t->blob)->clusters ? blob_map_get(blob_map(t->blob), index) : 0;
}

static int keep_iov(struct batch *t, struct iovec *iov)
{
	if (t->iov_count == t->iov_room) {
		uint32_t room = t->iov_room == 0 ? 16 : t->iov_room * 2;
		struct iovec **more = realloc(t->iovs, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		t->iovs = more;
		t->iov_room = room;
	}
	t->iovs[t->iov_count++] = iov;
	return 0;
}

static int write_data(struct batch *t, struct md_batch *batch, struct blob_write *w, uint64_t unit,
		      uint64_t units, uint64_t block)
{
	size_t bytes = units * t->store->geo.io_unit_size, covered;
	size_t skip = w->skip + (unit - w->unit) * t->store->geo.io_unit_size;
	struct iovec *iov = malloc(w->iovcnt * sizeof(*iov));
	struct md_slot *slot;
	uint16_t count;

	if (iov == NULL || keep_iov(t, iov) < 0) {
		free(iov);
		return -ENOMEM;
	}
	count = iov_cut(w->iov, w->iovcnt, skip, bytes, iov, w->iovcnt, &covered);
	slot = md_batch_slot(batch, &w->result);
	bdev_writev(t->store->md, &slot->io, iov, count, block, units * t->store->blocks_per_unit,
		    0);
	return 0;
}

static void start_piece(struct batch *t, struct md_batch *batch, struct blob_write *w,
			uint64_t unit, uint64_t units)
{
	uint32_t upc = t->store->units_per_cluster;
	int result;
	uint32_t cluster = cluster_of(t, unit, &result);
	uint64_t block = (uint64_t)cluster * t->store->blocks_per_cluster +
			 (unit % upc) * t->store->blocks_per_unit;
	uint64_t blocks = units * t->store->blocks_per_unit;
	struct md_slot *slot;

	if (result < 0) {
		w->result = result;
		return;
	}
	if (blob_unit_cluster(t->store, unit) >= blob_map(t->blob)->clusters) {
		/* The blob has shrunk meanwhile. */
		w->result = -ERANGE;
		return;
	}
	/* A hole that write zeroes, or an unmap, leaves as it is. */
	if (cluster == 0)
		return;
	switch (w->kind) {
	case BLOB_WRITE_DATA:
		result = write_data(t, batch, w, unit, units, block);
		if (result < 0)
			w->result = result;
		break;
	case BLOB_WRITE_ZEROES:
		slot = md_batch_slot(batch, &w->result);
		bdev_write_zeroes(t->store->md, &slot->io, block, blocks, 0);
		break;
	case BLOB_WRITE_RELEASE:
		if (find_entry(t, blob_unit_cluster(t->store, unit)) != NULL ||
		    !bdev_supports(t->store->bdev, BDEV_IO_UNMAP))
			break;
		slot = md_batch_slot(batch, &w->result);
		bdev_unmap(t->store->md, &slot->io, block, blocks);
		break;
	case BLOB_WRITE_FILL:
		break;
	}
}

static void start_part(struct batch *t, struct md_batch *batch, const struct part *p)
{
	uint32_t upc = t->store->units_per_cluster;
	uint64_t unit = p->w->unit, end = unit + p->units;

	while (unit < end && p->w->result == 0) {
		uint64_t left = upc - unit % upc, units = end - unit < left ? end - unit : left;

		start_piece(t, batch, p->w, unit, units);
		unit += units;
	}
}

static void write_all_data(struct batch *t)
{
	struct md_batch *batch = md_batch_begin(t->store);

	for (uint32_t i = 0; i < t->part_count; i++) {
		if (batch == NULL)
			t->parts[i].w->result = -ENOMEM;
		else if (t->parts[i].w->result == 0)
			start_part(t, batch, &t->parts[i]);
	}
	if (batch != NULL)
		md_batch_end(batch);
}

/* --- what is worth keeping -------------------------------------------------------------------- */

static bool is_wanted(struct batch *t, const struct entry *e)
{
	uint32_t upc = t->store->units_per_cluster;

	for (uint32_t i = 0; i < t->part_count; i++) {
		const struct part *p = &t->parts[i];
		uint64_t first = e->index * upc;

		if (p->w->result == 0 && p->w->unit < first + upc && first < p->w->unit + p->units)
			return true;
	}
	return false;
}

/* A cluster whose write failed would be the blob's with anything in it: it goes back. */
static void drop_failed(struct batch *t)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->entry_count; i++) {
		struct entry *e = &t->entries[i];

		if (e->result == 0 && is_wanted(t, e))
			t->entries[kept++] = *e;
		else
			blob_cluster_untake(t->store, e->cluster);
	}
	t->entry_count = kept;
}

static void fail_all(struct batch *t, int result)
{
	for (uint32_t i = 0; i < t->part_count; i++) {
		if (t->parts[i].w->result == 0)
			t->parts[i].w->result = result;
	}
}

/* --- metadata --------------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
	uint64_t x = ((const struct entry *)a)->index, y = ((const struct entry *)b)->index;

	return (x > y) - (x < y);
}

static uint64_t table_of(const struct entry *e)
{
	return e->index / BLOB_EXTENT_CLUSTERS;
}

/*
 * The map gets new leaves, so that a new one has to be written and published: entries without a
 * leaf, leaves without a page, and runs, of which the root page tells every one.
 */
static bool is_structural(const struct batch *t)
{
	const struct blob_map *map = blob_map(t->blob);

	for (uint32_t i = 0; i < t->entry_count; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, table_of(&t->entries[i]));

		if (!t->blob->table || leaf == NULL || leaf->page == 0)
			return true;
	}
	return false;
}

static void put_entry(const struct batch *t, struct blob_leaf *leaf, const struct entry *e)
{
	blob_leaf_set(leaf, e->index % BLOB_EXTENT_CLUSTERS, t->release ? 0 : e->cluster);
}

/* The leaf of the entries from @from on, as it becomes; @from moves behind them. */
static struct blob_leaf *make_leaf(const struct batch *t, uint32_t *from)
{
	const struct blob_map *map = blob_map(t->blob);
	uint64_t table = table_of(&t->entries[*from]);
	uint32_t entries = blob_map_entries(map->clusters, table);
	struct blob_leaf *leaf = blob_leaf_copy(blob_map_leaf(map, table), entries, entries);

	while (*from < t->entry_count && table_of(&t->entries[*from]) == table) {
		if (leaf != NULL)
			put_entry(t, leaf, &t->entries[*from]);
		(*from)++;
	}
	return leaf;
}

/* Extent pages in place, one each: every one is a commit of its own. */
static int write_in_place(struct batch *t)
{
	struct blob *b = t->blob;
	uint8_t *pages = aligned_alloc(BLOB_PAGE_BYTES, (size_t)t->entry_count * BLOB_PAGE_BYTES);
	struct md_batch *batch = md_batch_begin(t->store);
	uint32_t from = 0, n = 0;
	int rc = pages == NULL || batch == NULL ? -ENOMEM : 0;

	while (rc == 0 && from < t->entry_count) {
		uint64_t table = table_of(&t->entries[from]);
		uint8_t *page = pages + (size_t)n++ * BLOB_PAGE_BYTES;
		struct blob_leaf *leaf = make_leaf(t, &from);

		if (leaf == NULL) {
			rc = -ENOMEM;
			break;
		}
		blob_extents_write(page, b->id, table, leaf,
				   blob_map_entries(blob_map(b)->clusters, table));
		md_batch_write_page(batch, page, leaf->page);
		free(leaf);
	}
	if (batch != NULL) {
		int ended = md_batch_end(batch);

		/* Some may be on the device: what they name stays in use. */
		if (ended < 0 || (rc < 0 && n > 0))
			t->store->suspect = true;
		rc = rc < 0 ? rc : ended;
	}
	free(pages);
	return rc;
}

static void publish_in_place(struct batch *t)
{
	struct blob_map *map = blob_map(t->blob);

	/* Before a write can find the cluster: with FUA it has to wait for a flush (io.c). */
	atomic_fetch_add_explicit(&t->store->commits, 1, memory_order_release);
	for (uint32_t i = 0; i < t->entry_count; i++)
		put_entry(t, blob_map_leaf(map, table_of(&t->entries[i])), &t->entries[i]);
}

/* --- metadata: another map -------------------------------------------------------------------- */

static uint64_t leaves_needed(const struct batch *t)
{
	const struct blob_map *map = blob_map(t->blob);
	uint64_t tables = blob_map_tables(map->clusters), need = map->leaves;

	for (uint32_t i = 0; i < t->entry_count; i++) {
		if (table_of(&t->entries[i]) >= need)
			need = table_of(&t->entries[i]) + 1;
	}
	/* Grow rarely. */
	if (need > map->leaves && need < 2 * map->leaves)
		need = 2 * map->leaves;
	return need < tables ? need : tables;
}

static int make_map(struct batch *t)
{
	struct error err = ERROR_INIT;
	uint32_t from = 0;
	int rc = 0;

	t->map = blob_map_clone(blob_map(t->blob), blob_map(t->blob)->clusters, leaves_needed(t));
	if (t->map == NULL)
		return -ENOMEM;
	while (from < t->entry_count) {
		uint64_t table = table_of(&t->entries[from]);
		struct blob_leaf *leaf = make_leaf(t, &from);

		if (leaf == NULL)
			return -ENOMEM;
		blob_map_set_leaf(t->map, table, leaf);
	}
	if (t->blob->table)
		rc = blob_leaves_take_pages(t->store, t->map, blob_map(t->blob), &err);
	if (rc < 0)
		log_error("blob 0x%" PRIx64 ": %s", t->blob->id, err.text);
	/* No metadata page left is no space left to who writes. */
	return rc < 0 ? -ENOSPC : 0;
}

static int sync_map(struct batch *t)
{
	struct error err = ERROR_INIT;
	struct blob_state st;
	int rc = blob_state_begin(&st, t->blob);

	if (rc < 0)
		return rc;
	st.map = t->map;
	rc = blob_sync(t->blob, &st, &err);
	blob_state_end(&st);
	if (rc < 0)
		log_error("%s", err.text);
	return rc;
}

static int write_map(struct batch *t)
{
	struct blob_map *old = blob_map(t->blob);
	int rc = make_map(t);

	if (rc < 0) {
		blob_leaves_undo(t->store, t->map, old, true);
		return rc;
	}
	if (t->blob->table)
		rc = blob_leaves_write(t->blob, t->map, old);
	if (rc == 0)
		rc = sync_map(t);
	if (rc < 0) {
		/* Pages that were there before may name new clusters now. */
		t->store->suspect = true;
		blob_leaves_undo(t->store, t->map, old, false);
	}
	return rc;
}

static int commit(struct batch *t)
{
	struct error err = ERROR_INIT;
	bool structural = is_structural(t);
	int rc = blob_store_mark_dirty(t->store, &err);

	if (rc < 0)
		return rc;
	qsort(t->entries, t->entry_count, sizeof(t->entries[0]), by_index);
	rc = structural ? write_map(t) : write_in_place(t);
	if (rc < 0)
		return rc;
	if (structural)
		blob_publish(t->blob, t->map);
	else
		publish_in_place(t);
	return 0;
}

/* --- the batch -------------------------------------------------------------------------------- */

static bool wants_fua(const struct batch *t)
{
	for (uint32_t i = 0; i < t->part_count; i++) {
		if (t->parts[i].w->fua)
			return true;
	}
	return false;
}

/* Whether a cut behind the extent pages could show what is neither the hole nor the user's data. */
static bool needs_flush(const struct batch *t)
{
	if (!blob_zeroes_durable(t->store))
		return t->entry_count > 0;
	for (uint32_t i = 0; i < t->entry_count; i++) {
		if (!t->entries[i].zeroed || !reads_as_zeroes(t, &t->entries[i]))
			return true;
	}
	return false;
}

static void allocate(struct batch *t)
{
	bool suspect = t->store->suspect;
	int rc = 0;

	fill_all(t);
	write_all_data(t);
	drop_failed(t);
	if (needs_flush(t))
		rc = md_flush(t->store);
	if (rc == 0 && t->entry_count > 0)
		rc = commit(t);
	if (rc == 0 && wants_fua(t))
		rc = md_flush(t->store);
	if (rc == 0) {
		t->blob->allocated += t->entry_count;
		return;
	}
	fail_all(t, rc);
	/* After a failure in the middle they may be referred to: then they stay in use. */
	for (uint32_t i = 0; t->store->suspect == suspect && i < t->entry_count; i++)
		blob_cluster_untake(t->store, t->entries[i].cluster);
}

static void release(struct batch *t)
{
	int rc = 0;

	write_all_data(t);
	if (t->entry_count > 0)
		rc = commit(t);
	if (rc < 0) {
		fail_all(t, rc);
		return;
	}
	t->blob->allocated -= t->entry_count;
	for (uint32_t i = 0; i < t->entry_count; i++) {
		/* Without memory the cluster stays in use until the next recovery. */
		(void)blob_clusters_add(&t->freed, t->entries[i].cluster);
	}
}

static void answer(struct batch *t)
{
	for (uint32_t i = t->part_count; i-- > 0;) {
		struct blob_write *w = t->parts[i].w;
		uint64_t units = t->parts[i].units;

		if (w->result < 0 || units == w->units) {
			blob_write_answer(w);
			continue;
		}
		w->unit += units;
		w->units -= units;
		w->skip += units * t->store->geo.io_unit_size;
		TAILQ_INSERT_HEAD(&t->blob->writes, w, link);
	}
}

static void batch_free(struct batch *t)
{
	for (uint32_t i = 0; i < t->iov_count; i++)
		free(t->iovs[i]);
	free(t->iovs);
	free(t);
}

static void fail_queue(struct blob *b, int result)
{
	struct blob_write *w;

	while ((w = TAILQ_FIRST(&b->writes)) != NULL) {
		TAILQ_REMOVE(&b->writes, w, link);
		w->result = result;
		blob_write_answer(w);
	}
}

void blob_change_run(struct blob *b, struct blob_clusters *freed)
{
	struct blob_channel *here = &b->store->channel[0];
	struct batch *t;
	uint8_t epoch;

	if (TAILQ_EMPTY(&b->writes))
		return;
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		fail_queue(b, -ENOMEM);
		return;
	}
	t->blob = b;
	t->store = b->store;
	/* The last user of the channel may put it while this waits. */
	blob_channel_hold(here);
	epoch = blob_enter(here);
	gather(t);
	if (t->release)
		release(t);
	else
		allocate(t);
	blob_leave(here, epoch);
	blob_channel_put(here);
	answer(t);
	*freed = t->freed;
	batch_free(t);
}

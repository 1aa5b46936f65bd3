/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the blob room share: a store and its blobs in memory.
 *
 * Threading: a store and its blobs belong to reactor 0, but for what says "any reactor"; a channel
 * belongs to its reactor.
 *
 * Locks, all of fibers on reactor 0, in the order in which one may be asked for while holding the
 * others before it:
 *   blob->op_lock   one operation on a blob at a time, over all its steps; two of them by rising id
 *   blob->md_lock   the blob's metadata on disk and its map; the allocation of clusters takes it
 *   store->super_lock  the super block
 * Who waits for I/O to be over (blob_io_barrier(), blob_freeze()) holds no md_lock: a write in
 * flight may be waiting for one.
 */
#ifndef BLOB_INTERNAL_H
#define BLOB_INTERNAL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "base/bit_array.h"
#include "base/container_of.h"
#include "base/log.h"
#include "bdev/bdev.h"
#include "bdev/module.h"
#include "blob/blob.h"
#include "blob/map.h"
#include "blob/page.h"
#include "blob/super.h"
#include "blob/xattrs.h"
#include "reactor/fiber.h"

LOG_FLAG_DECLARE(blob);

/* --- blobs ------------------------------------------------------------------------------------ */

struct blob_damage {
	int code;
	char text[];
};

enum blob_write_kind {
	BLOB_WRITE_DATA,
	BLOB_WRITE_ZEROES,
	BLOB_WRITE_FILL,    /* allocate, with what is there to be read (inflate) */
	BLOB_WRITE_RELEASE, /* unmap: give whole clusters back */
};

/**
 * struct blob_write - I/O that changes the map: sent to reactor 0, done there, and answered
 *
 * With -ERESTART where clusters are lacking and some are about to be free: they are when no I/O
 * looks at them any more, and this may be one that does. What is left of it is to be sent again
 * behind blob_leave().
 *
 * @unit, @units: what is left of it; advanced as it is done
 * @skip: bytes of @iov that were done
 * @done: on @origin, with @result
 */
struct blob_write {
	struct reactor_msg msg;
	TAILQ_ENTRY(blob_write) link;
	struct blob *blob;
	enum blob_write_kind kind;
	uint16_t iovcnt;
	bool fua;
	int result;
	uint64_t unit, units;
	size_t skip;
	const struct iovec *iov;
	struct reactor *origin;
	void (*done)(struct blob_write *w);
};
TAILQ_HEAD(blob_write_list, blob_write);

/**
 * struct blob - one blob, known from load on, open or not
 * @map, @frozen: any reactor reads them; reactor 0 writes
 * @chain: continuation pages, in order
 * @parent: what @map says too; kept for blobs whose map is not there (damaged ones)
 * @damage: why it cannot be opened
 * @hidden: not there yet, or not any more: a snapshot or creation under way, a deletion
 * @cut: its table on disk is longer than the blob (attach.c)
 * @writes: first writes and other changes of the map that wait, in order (allocate.c)
 */
struct blob {
	_Atomic(struct blob_map *) map;
	_Atomic bool frozen;
	bool read_only;	   /* data and metadata (any bit of data_ro) */
	bool md_read_only; /* a bit of md_ro that is not known */
	bool table;
	bool hidden;
	bool cut;
	bool long_root; /* its root page on the device says something behind the first sector */
	bool working;	/* a worker has its @writes, or is about to */
	uint32_t refs;
	struct blob_store *store;
	uint64_t id;
	uint64_t invalid, data_ro, md_ro;
	uint64_t allocated;
	struct blob_xattrs xattrs;
	uint32_t *chain;
	uint32_t chain_len;
	uint32_t child_count;
	struct blob *parent;
	LIST_HEAD(, blob) children;
	LIST_ENTRY(blob) sibling;
	struct blob_esnap *esnap;
	struct blob_damage *damage;
	struct fiber_lock op_lock, md_lock;
	struct blob_write_list writes;
	TAILQ_ENTRY(blob) work;
};

static inline uint32_t blob_root(const struct blob *b)
{
	return (uint32_t)(b->id - BLOB_ID_BASE);
}

static inline struct blob_map *blob_map(const struct blob *b)
{
	return atomic_load_explicit(&b->map, memory_order_acquire);
}

/**
 * struct blob_esnap - an external snapshot that blobs of a store stand on
 * @desc: NULL while the external bdev is missing
 * @slot: its place in every channel's table
 */
struct blob_esnap {
	LIST_ENTRY(blob_esnap) link;
	struct bdev_desc *desc;
	uint64_t bytes;
	uint32_t block_size;
	uint32_t slot;
	uint32_t refs;
	uint16_t id_len;
	uint8_t id[];
};

/* --- channels --------------------------------------------------------------------------------- */

struct blob_io;
TAILQ_HEAD(blob_held_list, blob_io);

/**
 * struct blob_channel - a store on one reactor, shared by all who ask there
 * @in_flight: I/O that entered in an even and in an odd epoch; one of them drains while the other
 *             takes what is new (barrier.c)
 * @held: writes to frozen blobs, in order
 * @esnap: a channel of each external snapshot, by slot, got when first needed
 */
struct blob_channel {
	_Alignas(64) struct blob_store *store;
	struct bdev_channel *base;
	uint64_t in_flight[2];
	uint32_t epoch;
	_Atomic uint32_t refs; /* reactor 0 reads it too, to see whether the store is idle */
	struct reactor_each *draining;
	struct blob_held_list held;
	struct bdev_channel **esnap;
	uint32_t esnap_room;
};

/* --- stores ----------------------------------------------------------------------------------- */

#define BLOB_INDEX_LEAF 512u
#define BLOB_CLEARS	4u /* methods of enum blob_clear */

struct blob_clusters {
	uint32_t *at;
	uint64_t count, room;
};

/** struct blob_retired - what is unpublished, and becomes free when no I/O can look at it */
struct blob_retired {
	void **memory;
	uint32_t count, room;
	struct blob_clusters clusters[BLOB_CLEARS];
};

/**
 * struct blob_store
 * @super: the super block as it is on the device, with fields of later releases
 * @pages, @clusters: in use, damaged blobs' included
 * @zeroed: clusters known to read as zeroes (only what this process did counts)
 * @index: blobs by root page, in leaves
 * @tears: the device may write a metadata page in part
 * @dirty: the super block on the device says so
 * @suspect: a metadata write failed half-way: memory may not be what is on the device, so it is
 *           never called clean
 * @unknown: a blob of a store that was recovered cannot be read, so that @pages and @clusters lack
 *           what it has: which one, and why. Nothing is taken or given back then
 *           (blob_store_check_known())
 * @releasing: clusters that no map has any more, and that are about to be free
 * @changes: operations under way; unload waits for none, it refuses
 * @commits: batches of extent pages that were written in place; @durable_commits: how many of them
 *           a flush has covered. Any reactor
 * @clears: how often free clusters were cleared; @durable_clears: how many of them a flush has
 *          covered
 * @flushes: that began; @flush_result: of the last, under @flush_lock
 * @lent: clusters marked in use while they are cleared ahead of their use, under @lend_lock
 */
struct blob_store {
	struct bdev_desc *desc;
	struct bdev *bdev;
	struct bdev_channel *md;
	struct blob_geometry geo;
	uint32_t block_size;
	uint32_t blocks_per_unit;
	uint32_t blocks_per_cluster;
	uint32_t units_per_cluster;
	int cluster_shift; /* of units; negative: no power of two */
	uint8_t *super;
	struct bit_array *pages, *clusters, *zeroed;
	struct blob ***index;
	uint64_t blob_count, damaged;
	bool cache;
	bool unmap_zeroes;
	bool tears;
	bool dirty;
	bool suspect;
	char *unknown;
	bool read_only;
	bool interrupted;
	bool was_clean, was_recovered;
	uint32_t changes;
	_Atomic uint64_t commits, durable_commits;
	uint64_t clears, durable_clears;
	uint64_t flushes;
	int flush_result;
	uint32_t lent;
	struct fiber_lock flush_lock, lend_lock;
	struct fiber_lock super_lock;
	struct fiber_lock barrier_lock;
	TAILQ_HEAD(, blob) work;
	uint32_t workers;
	struct blob_retired retired;
	uint64_t releasing;
	bool reaping;
	struct blob_esnap_ops esnap_ops;
	LIST_HEAD(, blob_esnap) esnaps;
	uint32_t esnap_slots;
	unsigned int space_percent;
	bool space_told;
	void (*space_low)(struct blob_store *store, void *arg);
	void *space_arg;
	struct blob_channel *channel; /* [reactor_count()] */
};

/* store.c: memory of a store, the index of blobs */
int blob_store_create(struct bdev_desc *desc, const struct blob_store_options *opts,
		      struct blob_store **store, struct error *err);
/** blob_store_size() - the masks and the index, when the geometry is known */
int blob_store_size(struct blob_store *store, struct error *err);
void blob_store_free(struct blob_store *store);
struct blob *blob_find(const struct blob_store *store, uint64_t id);
/** blob_new() - a blob in memory at root page @root, entered in the index */
struct blob *blob_new(struct blob_store *store, uint32_t root);
/** blob_forget() - out of the index and freed, with its map */
void blob_forget(struct blob *b);
/** blob_next() - the blob with the lowest id at or above @id */
struct blob *blob_next(const struct blob_store *store, uint64_t id);
void blob_damage_set(struct blob *b, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** blob_set_flags() - the three words, and what follows from them */
void blob_set_flags(struct blob *b, uint64_t invalid, uint64_t data_ro, uint64_t md_ro);
void blob_adopt(struct blob *parent, struct blob *child);
void blob_abandon(struct blob *child);
int blob_check_writable(const struct blob_store *store, struct error *err);
/** blob_store_is_fixed() - load writes nothing, and puts right in memory only what it finds */
static inline bool blob_store_is_fixed(const struct blob_store *store)
{
	return store->read_only || store->unknown != NULL;
}
/** blob_check_change() - metadata of @b may be changed: -EPERM with @err filled when not */
int blob_check_change(const struct blob *b, struct error *err);

/* esnap.c */
/** blob_esnap_get() - the entry of an external id, a reference more; NULL: no memory */
struct blob_esnap *blob_esnap_get(struct blob_store *store, const void *id, uint16_t len);
/** blob_esnap_put() - Fiber: the last one closes it, when every reactor has put its channel */
void blob_esnap_put(struct blob_store *store, struct blob_esnap *esnap);
/** blob_esnap_open() - Fiber. -ENODEV: it is missing */
int blob_esnap_open(struct blob_store *store, struct blob_esnap *esnap, struct error *err);
/** blob_esnap_of() - the one that @b, over its parents, ends at; NULL */
struct blob_esnap *blob_esnap_of(const struct blob *b);

/* md_io.c: Fiber. I/O on reactor 0 that waits */
int md_read(struct blob_store *store, void *buffer, uint64_t offset, size_t bytes);
int md_write(struct blob_store *store, const void *buffer, uint64_t offset, size_t bytes);
/**
 * md_flush() - what was written is durable; nothing where there is no write cache
 *
 * One flush serves all who came before it began.
 */
int md_flush(struct blob_store *store);
int md_read_page(struct blob_store *store, void *page, uint32_t index);
int md_write_page(struct blob_store *store, const void *page, uint32_t index);

/** md_seek() - data or hole at or behind a byte; UINT64_MAX: none */
uint64_t md_seek(struct blob_store *store, bool hole, uint64_t offset);

#define MD_BATCH 16u

struct md_batch;

/** struct md_slot - one I/O of a batch; @result: where its error goes, beside the batch's */
struct md_slot {
	struct bdev_io io;
	struct iovec iov;
	struct md_batch *batch;
	int *result;
	struct md_slot *next;
};

/**
 * struct md_batch - I/Os under way together; md_batch_end() waits for all
 *
 * Starting one waits while MD_BATCH are under way. After an error the others still run; the first
 * error is the batch's.
 */
struct md_batch {
	struct blob_store *store;
	struct md_slot slots[MD_BATCH];
	struct md_slot *free;
	uint32_t under_way;
	int result;
	struct fiber_event *event;
};
/** md_batch_begin() - NULL: no memory */
struct md_batch *md_batch_begin(struct blob_store *store);
/** md_batch_slot() - for an I/O that the caller submits at once; slot->io.done is set */
struct md_slot *md_batch_slot(struct md_batch *batch, int *result);
void md_batch_write(struct md_batch *batch, const void *buffer, uint64_t offset, size_t bytes);
void md_batch_write_page(struct md_batch *batch, const void *page, uint32_t index);
/** md_batch_zero_page() - the whole slot of a metadata page */
void md_batch_zero_page(struct md_batch *batch, uint32_t index);
/** md_batch_zero(), md_batch_zero_clusters() - they read as zeroes afterwards */
void md_batch_zero(struct md_batch *batch, uint64_t block, uint64_t blocks, int *result);
void md_batch_zero_clusters(struct md_batch *batch, uint32_t first, uint32_t count, int *result);
/** md_batch_unmap_clusters() - whatever they read as afterwards */
void md_batch_unmap_clusters(struct md_batch *batch, uint32_t first, uint32_t count);
/** md_batch_wait() - for all so far; the first error */
int md_batch_wait(struct md_batch *batch);
/** md_batch_end() - md_batch_wait() and free */
int md_batch_end(struct md_batch *batch);

/* super_io.c: Fiber */
/** blob_store_mark_dirty() - before the first change of metadata: durable when it returns */
int blob_store_mark_dirty(struct blob_store *store, struct error *err);
int super_write(struct blob_store *store, struct error *err);

/* scan.c: Fiber. What the metadata region holds, read once, in large pieces */

/**
 * struct blob_scan_root - a root page, or one that should be there
 * @next: the page that continues it
 * @code, @text: not 0: why it cannot be read
 * @torn: its checksum is wrong
 * @is_long: blob_page_is_long()
 */
struct blob_scan_root {
	uint32_t page;
	uint32_t next;
	bool torn, is_long;
	int code;
	char *text;
	struct blob *blob;
	struct blob_content content;
};

/** struct blob_scan_spare - page @page is a copy of root page @root */
struct blob_scan_spare {
	uint32_t root, page;
};

/** struct blob_scan_leaf - an extent page: @leaf is NULL when it was taken or none was found */
struct blob_scan_leaf {
	uint32_t start, count;
	struct blob_leaf *leaf;
};

/**
 * struct blob_scan - @roots by rising page; @leaves by page, in pieces
 * @spares: by rising root; of a store to be recovered
 */
struct blob_scan {
	struct blob_scan_root *roots;
	uint32_t root_count, root_room;
	struct blob_scan_leaf **leaves;
	uint32_t leaf_pieces;
	struct blob_scan_spare *spares;
	uint32_t spare_count, spare_room;
};

/** blob_scan_run() - read the pages of @only, or all (NULL) */
int blob_scan_run(struct blob_store *store, const struct bit_array *only, struct blob_scan *scan,
		  struct error *err);
void blob_scan_free(struct blob_scan *scan);
/** blob_scan_add_root() - -ENOMEM */
int blob_scan_add_root(struct blob_scan *scan, const struct blob_scan_root *root);
/** blob_scan_root_parse() - what @page, whose checksum is right, says; -ENOMEM */
int blob_scan_root_parse(struct blob_scan_root *root, const void *page,
			 const struct blob_geometry *geo);
/** blob_scan_take() - the extent page @page, handed over once; false: not found, or taken */
bool blob_scan_take(struct blob_scan *scan, uint32_t page, struct blob_scan_leaf *leaf);
/** blob_scan_leaf_make() - from an extent page that was parsed; -ENOMEM */
int blob_scan_leaf_make(const struct blob_extents *extents, uint32_t page,
			struct blob_scan_leaf *leaf);

/* spare.c: Fiber. Copies of root pages */
/** blob_spares_mend() - torn roots that have a copy become that */
int blob_spares_mend(struct blob_store *store, struct blob_scan *scan, struct error *err);
/** blob_spares_erase() - at the end of a load: those that are nobody's pages */
void blob_spares_erase(struct blob_store *store, const struct blob_scan_spare *spares,
		       uint32_t count);

/* attach.c: Fiber. From what was scanned to blobs with maps */
int blob_attach_all(struct blob_store *store, struct blob_scan *scan, struct error *err);
/** blob_parent_id() - as flags and xattrs say; BLOB_ID_NONE */
uint64_t blob_parent_id(const struct blob *b);

/* fixup.c: Fiber. Interrupted snapshots and deletions are finished or undone */
int blob_fixup_all(struct blob_store *store, struct error *err);

/* claim.c: Fiber. Who owns which page and cluster */
/** blob_claim_pages() - the pages of all blobs are in use; clusters follow in blob_claim_all() */
void blob_claim_pages(struct blob_store *store);
/** blob_claim_drop() - what @b has is in use no more, until blob_claim_all() finds other owners */
void blob_claim_drop(struct blob *b);
int blob_claim_all(struct blob_store *store, struct error *err);

/* link.c: parents, children, damage that they inherit */
int blob_link_all(struct blob_store *store, struct error *err);

/* sync.c: Fiber. Writing a blob's metadata */

/**
 * struct blob_state - what a blob is to become: what is written, then taken over in memory
 * @map: not owned
 */
struct blob_state {
	uint64_t invalid, data_ro, md_ro;
	struct blob_map *map;
	struct blob_xattrs xattrs;
};
/** blob_state_begin() - as @b is now; -ENOMEM */
int blob_state_begin(struct blob_state *st, const struct blob *b);
void blob_state_end(struct blob_state *st);
/**
 * blob_sync() - make @st what the device says about @b, and take flags and xattrs over (not the
 * map: that is the caller's to publish)
 *
 * Order: continuation pages, a copy of a long root => root page => old continuation pages and the
 * copy are zeroed. The root page is the commit. On error the blob is in memory what it was.
 */
int blob_sync(struct blob *b, struct blob_state *st, struct error *err);
/** blob_state_adopt() - flags and xattrs of @st in memory only */
void blob_state_adopt(struct blob *b, struct blob_state *st);
/** blob_page_take() - a free metadata page at or above @from, now in use; -ENOMEM */
int blob_page_take(struct blob_store *store, uint32_t from, uint32_t *page, struct error *err);
/** blob_pages_erase() - zero @count pages that nobody refers to durably any more, and free them */
void blob_pages_erase(struct blob_store *store, const uint32_t *pages, uint32_t count);
/**
 * blob_erase_root() - the commit of a deletion: the root page is zeroes and durable; then its
 * continuation pages are
 */
int blob_erase_root(struct blob *b, struct error *err);

/* clusters.c: taking and freeing clusters */
void blob_clusters_end(struct blob_clusters *list);
int blob_clusters_add(struct blob_clusters *list, uint32_t cluster);
/** blob_cluster_take() - a free cluster, in use now; @zeroed: it reads as zeroes; -ENOSPC,
 * -EUCLEAN */
int blob_cluster_take(struct blob_store *store, uint32_t *cluster, bool *zeroed);
/** blob_clusters_zero() - Fiber. Taken ones read as zeroes; so may free ones behind them */
int blob_clusters_zero(struct blob_store *store, uint32_t first, uint32_t count);
/** blob_zeroes_durable() - clusters that are known to read as zeroes do so behind a cut too */
static inline bool blob_zeroes_durable(const struct blob_store *store)
{
	return !store->cache || store->clears == store->durable_clears;
}
/** blob_cluster_untake() - it was not used after all */
void blob_cluster_untake(struct blob_store *store, uint32_t cluster);
uint64_t blob_clusters_free_count(const struct blob_store *store);
/**
 * blob_clusters_await() - Fiber; no md_lock is held. As long as fewer than @count are free and
 * others are about to be
 */
void blob_clusters_await(const struct blob_store *store, uint64_t count);
/** blob_clusters_take() - @count of them; Fiber: they read as zeroes when it returns */
int blob_clusters_take_zeroed(struct blob_store *store, uint64_t count, struct blob_clusters *list,
			      struct error *err);
/**
 * blob_clusters_give() - Fiber. Clear them as @clear says and free them
 *
 * Nothing durable refers to them any more, and no I/O goes to them.
 */
void blob_clusters_give(struct blob_store *store, struct blob_clusters *list,
			enum blob_clear clear);
/** blob_map_put() - in a leaf that only @map has, or a new one; -ENOMEM */
int blob_map_put(struct blob_map *map, uint64_t index, uint32_t cluster);
/** blob_map_fill() - @list from cluster @index of the blob on; -ENOMEM */
int blob_map_fill(struct blob_map *map, uint64_t index, const struct blob_clusters *list);
/** blob_clusters_add_map() - what @map has from cluster @from on; -ENOMEM */
int blob_clusters_add_map(struct blob_clusters *list, const struct blob_map *map, uint64_t from);
static inline enum blob_clear blob_clear_of(const struct blob *b)
{
	return (enum blob_clear)(b->md_ro & BLOB_MD_RO_CLEAR_MASK);
}

/* place.c: any reactor. Where a range of a blob is */
enum blob_place_kind { BLOB_PLACE_ZEROES, BLOB_PLACE_DEVICE, BLOB_PLACE_ESNAP };

/**
 * struct blob_place - a range that lies in one piece
 * @units: its length
 * @block: where it begins, in blocks of the device or of @esnap
 */
struct blob_place {
	enum blob_place_kind kind;
	uint64_t units;
	uint64_t block;
	struct blob_esnap *esnap;
};
/** blob_place_read() - as a read finds it: in the blob or behind its holes */
void blob_place_read(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place);
/** blob_place_own() - in the blob's own clusters; ZEROES is a hole, whatever is behind it */
void blob_place_own(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place);
/** blob_place_behind() - what a hole of @b reads as */
void blob_place_behind(const struct blob *b, uint64_t unit, uint64_t max, struct blob_place *place);
/** blob_back_reach() - behind this cluster @back shows nothing; UINT64_MAX: not known (it is
 * missing)
 */
uint64_t blob_back_reach(const struct blob_store *store, const struct blob_back *back);
/** blob_back_shows() - a hole at cluster @index with @back behind it may read as something */
bool blob_back_shows(const struct blob_store *store, const struct blob_back *back, uint64_t index);
static inline uint64_t blob_unit_cluster(const struct blob_store *store, uint64_t unit)
{
	if (__builtin_expect(store->cluster_shift >= 0, 1))
		return unit >> store->cluster_shift;
	return unit / store->units_per_cluster;
}
static inline uint64_t blob_units(const struct blob *b)
{
	return blob_map(b)->clusters * b->store->units_per_cluster;
}

/* barrier.c */
/** blob_enter() - I/O begins to look at maps; returns the epoch to give to blob_leave() */
static inline uint8_t blob_enter(struct blob_channel *ch)
{
	uint8_t epoch = ch->epoch & 1;

	ch->in_flight[epoch]++;
	return epoch;
}
void blob_drained(struct blob_channel *ch);
static inline void blob_leave(struct blob_channel *ch, uint8_t epoch)
{
	if (--ch->in_flight[epoch] == 0 && __builtin_expect(ch->draining != NULL, 0) &&
	    epoch != (ch->epoch & 1))
		blob_drained(ch);
}
/** blob_io_barrier() - Fiber. All I/O that began before is over, on all reactors */
void blob_io_barrier(struct blob_store *store);
/** blob_freeze() - Fiber. Writes to @b wait from now on, and those under way are over */
void blob_freeze(struct blob *b);
void blob_thaw(struct blob *b);
/** blob_channels_drop() - Fiber. No reactor has a channel of this external snapshot */
void blob_channels_drop(struct blob_store *store, uint32_t slot);
/** blob_retire() - free @memory when no I/O can look at it any more */
void blob_retire(struct blob_store *store, void *memory);
/** blob_retire_clusters() - the same for clusters; metadata without them is written; takes @list */
void blob_retire_clusters(struct blob_store *store, struct blob_clusters *list,
			  enum blob_clear clear);

/** blob_commits_durable() - any reactor: a flush that began behind so many commits is done */
static inline void blob_commits_durable(struct blob_store *store, uint64_t commits)
{
	uint64_t known = atomic_load_explicit(&store->durable_commits, memory_order_relaxed);

	while (known < commits &&
	       !atomic_compare_exchange_weak_explicit(&store->durable_commits, &known, commits,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* channel.c */
/** blob_channel_hold() - for a fiber that counts as I/O here; given back by blob_channel_put() */
void blob_channel_hold(struct blob_channel *ch);
/** blob_channel_esnap() - this reactor's channel of an external snapshot; -ENODEV, -ENOMEM */
int blob_channel_esnap(struct blob_channel *ch, struct blob_esnap *esnap,
		       struct bdev_channel **channel);

/* write.c: reactor 0 */
/** blob_write_send() - from any reactor */
void blob_write_send(struct blob_write *w);
/** blob_write_queue() - on reactor 0 */
void blob_write_queue(struct blob_write *w);

/** blob_write_answer() - @w->result, to @w->origin */
void blob_write_answer(struct blob_write *w);

/* change.c: Fiber; the blob's md_lock is held */
/** blob_change_run() - a batch of what @b has queued; @freed: clusters that were given back */
void blob_change_run(struct blob *b, struct blob_clusters *freed);

/* copy.c: Fiber */
/** blob_copy_cluster() - from behind the hole at cluster @index to a cluster of the device */
int blob_copy_cluster(struct blob *b, uint64_t index, uint32_t to);
int blob_read_place(struct blob_store *store, const struct blob_place *place, void *buffer,
		    size_t bytes);

/* leaves.c: Fiber */
/** blob_leaves_take_pages() - for leaves of @map that @old has not and that have no page; -ENOMEM
 */
int blob_leaves_take_pages(struct blob_store *store, struct blob_map *map,
			   const struct blob_map *old, struct error *err);
/** blob_leaves_write() - extent pages of leaves of @map that @old has not; durable */
int blob_leaves_write(struct blob *b, const struct blob_map *map, const struct blob_map *old);
/** blob_leaves_undo() - free leaves of @map that @old has not, their pages if @pages, and @map */
void blob_leaves_undo(struct blob_store *store, struct blob_map *map, const struct blob_map *old,
		      bool pages);
/** blob_publish() - @map from now on; the old one is freed when nobody looks at it any more */
void blob_publish(struct blob *b, struct blob_map *map);

/* create.c */
/** blob_draft() - a hidden blob with a root page of its own */
int blob_draft(struct blob_store *store, struct blob **b, struct error *err);
/** blob_draft_drop() - after an error; what may be on the device stays in use */
void blob_draft_drop(struct blob *b);
int blob_xattrs_add_all(struct blob_xattrs *set, const struct blob_xattr *xattrs, size_t count,
			struct error *err);
/** blob_lock_op(), blob_unlock_op() - one operation on a blob at a time */
void blob_lock_op(struct blob *b);
void blob_unlock_op(struct blob *b);
/** blob_set_parent_of() - @b is a child of @parent now, or of nobody */
void blob_set_parent_of(struct blob *b, struct blob *parent);

/* parent.c: Fiber; the md_lock is held */
/** blob_stand_on() - write @st and publish the same clusters with @back behind them */
int blob_stand_on(struct blob *b, struct blob_state *st, struct blob_back back, struct error *err);
/** blob_stand_on_esnap_of() - Fiber. On the external snapshot that @parent stands on */
int blob_stand_on_esnap_of(struct blob *b, const struct blob *parent, struct error *err);

/* load.c */
/** blob_store_check_idle() - Fiber. Nothing of the store is in use, and what ran has ended */
int blob_store_check_idle(struct blob_store *store, struct error *err);

/* parallel.c: Fiber */
/** blob_parallel() - run @fn(@arg) in @count fibers and wait for all; -ENOMEM if none started */
int blob_parallel(unsigned int count, void (*fn)(void *arg), void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobstore: a whole block device in clusters and pages, without a file system, in SPDK's on-disk
 * format. Stores, blobs, snapshots, and I/O to them.
 *
 * Threading: a store's metadata belongs to reactor 0. Functions marked "Fiber" run there inside a
 * fiber (reactor/fiber.h), which waits until the work is done; changes of one blob are done one at
 * a time, in the order of asking, those of several at the same time, while I/O goes on. I/O goes
 * through a channel of the calling reactor and completes as block I/O does; on the way to an
 * allocated cluster nothing is locked.
 *
 * Durability: when a function that changes metadata returns 0, the change survives a power cut. The
 * order of writes and flushes of each is written down in docs/blobstore.md and beside its code.
 */
#ifndef BLOB_BLOB_H
#define BLOB_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "bdev/bdev.h"
#include "blob/format.h"

struct blob_store;
struct blob;
struct blob_channel;

enum blob_clear {
	BLOB_CLEAR_DEFAULT = 0, /* unmap */
	BLOB_CLEAR_NONE = 1,
	BLOB_CLEAR_UNMAP = 2,
	BLOB_CLEAR_WRITE_ZEROES = 3,
};

/* --- stores ------------------------------------------------------------------------------------
 */

/**
 * struct blob_esnap_ops - how a store finds external snapshots
 * @open: Fiber. The bdev with this external id, opened for reading and claimed as it must be;
 * -ENODEV leaves the blob degraded: it is listed and can be deleted, I/O fails.
 */
struct blob_esnap_ops {
	int (*open)(void *arg, const void *id, size_t len, struct bdev_desc **desc,
		    struct error *err);
	void (*close)(void *arg, struct bdev_desc *desc);
	void *arg;
};

/**
 * struct blob_store_options - of init and load
 * @bstype: type bytes; on load all zero accepts any
 * @cluster_size: bytes (init)
 * @md_pages: 0: one a cluster (init)
 * @md_page_size: 0: 4096, or the device's physical block if larger (init)
 * @clear: what to do with the data region (init)
 * @grow: take a larger device's space (load)
 * @read_only: write nothing, not even after recovery (load); for inspection
 */
struct blob_store_options {
	uint8_t bstype[16];
	uint32_t cluster_size;
	uint32_t md_pages;
	uint32_t md_page_size;
	enum blob_clear clear;
	bool grow;
	bool read_only;
	struct blob_esnap_ops esnap;
};

void blob_store_options_init(struct blob_store_options *opts);

/**
 * blob_store_init() - Fiber. Make a store on a device; what was on it is gone
 * @desc: writable and claimed by the caller; the store uses it until unloaded
 *
 * Return: 0; -EINVAL, -ENOSPC, -ENOMEM, -EIO with @err filled.
 */
int blob_store_init(struct bdev_desc *desc, const struct blob_store_options *opts,
		    struct blob_store **store, struct error *err);
/**
 * blob_store_load() - Fiber. Load a store, with recovery if it was not unloaded cleanly, and finish
 * or undo interrupted snapshots and deletions
 *
 * Return: 0; -EILSEQ no store or a damaged one, -ENXIO another type, -EINVAL, -EIO, with @err
 * naming page and field. A blob that cannot be read is kept as it is, listed by blob_store_each(),
 * and costs no other blob; after a recovery blob_store_check_known() says what must wait for a
 * repair.
 */
int blob_store_load(struct bdev_desc *desc, const struct blob_store_options *opts,
		    struct blob_store **store, struct error *err);
/**
 * blob_store_unload() - Fiber. All blobs and channels are closed; -EBUSY otherwise
 *
 * Return: 0; -EBUSY, and nothing happened; or -EIO: the store could not be marked clean, it is gone
 * from memory all the same and will be recovered when it is loaded again.
 */
int blob_store_unload(struct blob_store *store, struct error *err);
/**
 * blob_store_interrupt() - the store is about to be unloaded: what copies or zeroes for long ends
 * early, with -ECANCELED. Clusters that an inflation has copied stay, and it can be done again;
 * what is being made is not there. From now on such operations are refused.
 */
void blob_store_interrupt(struct blob_store *store);
/** blob_store_destroy() - Fiber. Zero the super block; the store is gone, also from memory */
int blob_store_destroy(struct blob_store *store, struct error *err);
/** blob_store_grow() - Fiber. Take the device's new size, while in use; 0 if nothing grew */
int blob_store_grow(struct blob_store *store, struct error *err);

/**
 * struct blob_store_info
 * @unknown: NULL, or why the store must be repaired: blob_store_check_known()
 */
struct blob_store_info {
	uint8_t bstype[16];
	uint32_t version;
	uint32_t cluster_size;
	uint32_t io_unit_size;
	uint32_t md_page_size;
	uint32_t md_pages;
	uint64_t size;
	uint64_t total_clusters;
	uint64_t data_clusters; /* without those of the metadata */
	uint64_t free_clusters;
	uint64_t max_growable_size;
	bool was_clean;
	bool was_recovered;
	const char *unknown;
};
void blob_store_info_get(const struct blob_store *store, struct blob_store_info *info);

/**
 * blob_store_check_known() - it is known which clusters and metadata pages are free
 *
 * It is not when a store was recovered in which a blob cannot be read: what that has would seem to
 * be free. Until it is repaired nothing is taken or given back; what is there can be read, and
 * written where it is allocated.
 *
 * Return: 0; -EUCLEAN with @err naming the page, and what to do.
 */
int blob_store_check_known(const struct blob_store *store, struct error *err);

/** blob_store_super() - id of the root blob, BLOB_ID_NONE */
uint64_t blob_store_super(const struct blob_store *store);
/** blob_store_set_super() - Fiber */
int blob_store_set_super(struct blob_store *store, uint64_t id, struct error *err);

/**
 * blob_store_each() - known blobs by ascending id, open or not, damaged ones included
 * @fn: returns false to stop
 */
struct blob_summary {
	uint64_t id;
	int damage; /* 0, or the errno of why it cannot be opened */
	const char *damage_text;
};
void blob_store_each(const struct blob_store *store,
		     bool (*fn)(const struct blob_summary *b, void *arg), void *arg);

/**
 * blob_store_watch_space() - told when free clusters fall below @percent, once until they rise
 * again
 */
void blob_store_watch_space(struct blob_store *store, unsigned int percent,
			    void (*low)(struct blob_store *store, void *arg), void *arg);

/* --- blobs ---------------------------------------------------------------------------------------
 */

struct blob_xattr {
	const char *name;
	const void *value;
	uint16_t len;
};

/**
 * struct blob_options - of a new blob
 * @clusters: its size
 * @xattrs: written with its first root page: the blob appears with them or not at all
 * @esnap_id: external snapshot's id; the blob is thin
 */
struct blob_options {
	uint64_t clusters;
	bool thin;
	enum blob_clear clear;
	const struct blob_xattr *xattrs;
	size_t xattr_count;
	const void *esnap_id;
	uint16_t esnap_id_len;
};

/**
 * blob_create() - Fiber. A new blob; a thick one reads as zeroes when this returns
 *
 * Return: 0; -ENOSPC clusters, -ENOMEM md pages, -EINVAL with @err filled.
 */
int blob_create(struct blob_store *store, const struct blob_options *opts, uint64_t *id,
		struct error *err);
/** blob_open() - Fiber. A reference, -ENOENT, or the errno of its damage */
int blob_open(struct blob_store *store, uint64_t id, struct blob **blob, struct error *err);
/** blob_close() - give the reference back */
void blob_close(struct blob *blob);
/**
 * blob_delete() - Fiber. Nobody has it open (-EBUSY); a snapshot with one clone hands over to it
 *
 * A damaged blob can be deleted; what it had besides its root page is free after the next recovery.
 */
int blob_delete(struct blob_store *store, uint64_t id, struct error *err);
/** blob_resize() - Fiber. In clusters; new ones read as zeroes, also where a parent has something
 */
int blob_resize(struct blob *blob, uint64_t clusters, struct error *err);

/** blob_xattr_set(), blob_xattr_remove() - Fiber; several are changed at once or not at all */
int blob_xattr_set(struct blob *blob, const struct blob_xattr *xattrs, size_t count,
		   struct error *err);
int blob_xattr_remove(struct blob *blob, const char *name, struct error *err);
/** blob_xattr_get() - NULL when there is none; valid until the blob changes */
const void *blob_xattr_get(const struct blob *blob, const char *name, uint16_t *len);
void blob_xattr_each(const struct blob *blob, bool (*fn)(const struct blob_xattr *x, void *arg),
		     void *arg);
/** blob_set_read_only() - Fiber. For ever */
int blob_set_read_only(struct blob *blob, struct error *err);

/** blob_snapshot() - Fiber. The blob's content now, read-only; the blob becomes its clone */
int blob_snapshot(struct blob *blob, const struct blob_xattr *xattrs, size_t count, uint64_t *id,
		  struct error *err);
/** blob_clone() - Fiber. A thin, writable child of a read-only blob */
int blob_clone(struct blob *parent, const struct blob_xattr *xattrs, size_t count, uint64_t *id,
	       struct error *err);
/** blob_inflate() - Fiber. Allocate every cluster; no parent afterwards */
int blob_inflate(struct blob *blob, struct error *err);
/** blob_decouple() - Fiber. Copy what only the parent has; the grandparent becomes parent */
int blob_decouple(struct blob *blob, struct error *err);
/** blob_set_parent() - Fiber. Another snapshot of the same size below a thin blob */
int blob_set_parent(struct blob *blob, struct blob *parent, struct error *err);
int blob_set_esnap_parent(struct blob *blob, const void *id, uint16_t len, struct error *err);
/** blob_esnap_retry() - Fiber. The external bdev may be there now */
int blob_esnap_retry(struct blob *blob, struct error *err);
/**
 * blob_store_esnap_gone() - Fiber. An external bdev goes: I/O that reads it is waited for, then it
 * is closed by blob_esnap_ops.close, and the blobs that stand on it are degraded
 * @desc: as @open gave it; nothing happens when it is not in use
 */
void blob_store_esnap_gone(struct blob_store *store, struct bdev_desc *desc);

struct blob_info {
	uint64_t id;
	uint64_t clusters;
	uint64_t allocated_clusters;
	uint64_t parent; /* BLOB_ID_NONE */
	uint32_t children;
	enum blob_clear clear;
	bool thin, read_only, snapshot, clone, esnap_clone, degraded;
};
void blob_info_get(const struct blob *blob, struct blob_info *info);
uint64_t blob_id(const struct blob *blob);
const void *blob_esnap_id(const struct blob *blob, uint16_t *len);
/** blob_children() - ids of the clones, ascending; returns how many there are */
size_t blob_children(const struct blob *blob, uint64_t *ids, size_t room);

/**
 * blob_shallow_copy() - Fiber. Copy the clusters that this read-only blob has itself to a bdev
 * @progress: told after each cluster; returns false to stop (-ECANCELED)
 */
int blob_shallow_copy(struct blob *blob, struct bdev_desc *to,
		      bool (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		      struct error *err);

/* --- I/O (any reactor)
 * ------------------------------------------------------------------------------ */

int blob_channel_get(struct blob_store *store, struct blob_channel **channel);
void blob_channel_put(struct blob_channel *channel);

/**
 * blob_submit() - carry out a block I/O on a blob
 * @io: of type read, write, flush, unmap, write zeroes, seek; its offset and blocks are I/O units
 * of the blob and lie inside it. Its driver scratch belongs to Blobstore until it is done.
 *
 * Completes with bdev_io_complete(); -ENOSPC becomes Capacity Exceeded. What was never written
 * reads as zeroes, whatever was on the device. Reads come with segments: a bdev of blobs does not
 * lend.
 */
void blob_submit(struct blob_channel *channel, struct blob *blob, struct bdev_io *io);

#endif

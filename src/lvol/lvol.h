/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logical volumes: a store of named volumes on a Blobstore, each shown as a bdev, as SPDK has them.
 *
 * Stores are found and loaded when their bdev appears, and unloaded cleanly when it goes. One on a
 * read-only bdev is loaded as it is, with what a recovery finds kept in memory: its volumes can be
 * read, and whatever would change it is refused (-EROFS). A volume has its bdev as long as all that
 * it stands on is there; one whose external snapshot is missing is degraded: it is listed, and can
 * be deleted.
 *
 * Threading: reactor 0. Functions marked "Fiber" run inside a fiber and wait until the work is
 * done. Between finding a store or volume and handing it to one of these functions nothing waits;
 * the functions themselves hold what they work on. One operation on a volume at a time, in the
 * order of asking; operations on different volumes go on beside each other.
 */
#ifndef LVOL_LVOL_H
#define LVOL_LVOL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/uuid.h"
#include "bdev/bdev.h"
#include "blob/blob.h"

#define LVOL_NAME_MAX	  63u
#define LVOL_STORE_BSTYPE "LVOLSTORE"

struct lvol_store;
struct lvol;

/* --- stores ----------------------------------------------------------------------------------- */

/**
 * struct lvol_store_options - of a new store
 * @name: 1 to 63 bytes
 * @cluster_size: bytes; 0: 4 MiB
 * @md_pages_per_cluster_ratio: percent; 0: 100
 * @md_page_size: bytes; 0: 4096, or the device's physical block if larger
 * @clear: what is done with what was on the device
 */
struct lvol_store_options {
	const char *name;
	uint32_t cluster_size;
	uint32_t md_pages_per_cluster_ratio;
	uint32_t md_page_size;
	enum blob_clear clear;
};

/**
 * lvol_store_check() - what can be said against a new store before anything is touched
 *
 * Return: 0; -EINVAL name or sizes, -EEXIST the name, -ENODEV no such bdev, -EPERM it is claimed,
 * -EROFS it is read-only.
 */
int lvol_store_check(const char *base, const struct lvol_store_options *opts, struct error *err);
/** lvol_store_create() - Fiber. A new store on the bdev @base; refuses as lvol_store_check() does
 */
int lvol_store_create(const char *base, const struct lvol_store_options *opts,
		      struct lvol_store **store, struct error *err);
/** lvol_store_delete() - Fiber. With all its volumes, which are taken from whoever has them open */
int lvol_store_delete(struct lvol_store *store, struct error *err);
/** lvol_store_rename() - Fiber. The volumes' aliases follow; -EINVAL, -EEXIST */
int lvol_store_rename(struct lvol_store *store, const char *name, struct error *err);
/** lvol_store_grow() - Fiber. Take the size that the base bdev has now; 0 when it is the same */
int lvol_store_grow(struct lvol_store *store, struct error *err);

struct lvol_store *lvol_store_find(const char *name);
struct lvol_store *lvol_store_find_uuid(const struct uuid *uuid);
/** lvol_store_first(), lvol_store_next() - in the order in which they were made or loaded */
struct lvol_store *lvol_store_first(void);
struct lvol_store *lvol_store_next(const struct lvol_store *store);
const struct uuid *lvol_store_uuid(const struct lvol_store *store);
/** lvol_store_to_json() - the object of bdev_lvol_get_lvstores */
json_t *lvol_store_to_json(const struct lvol_store *store);

/** lvol_shutdown() - Fiber. Close and unload every store cleanly, before the base bdevs go */
void lvol_shutdown(void);

/* --- volumes ---------------------------------------------------------------------------------- */

/**
 * struct lvol_options - of a new volume
 * @name: 1 to 63 bytes
 * @size: bytes, rounded up to clusters; 0 is a volume without blocks
 * @uuid: nil: a new one
 */
struct lvol_options {
	const char *name;
	uint64_t size;
	bool thin;
	enum blob_clear clear;
	struct uuid uuid;
};

/** lvol_check_name() - for a new volume: -EINVAL, -EEXIST */
int lvol_check_name(const struct lvol_store *store, const char *name, struct error *err);

/*
 * All are Fibers; -ENODEV when the store or volume went away while they waited for their turn.
 * Names are refused as lvol_check_name() does.
 */
int lvol_create(struct lvol_store *store, const struct lvol_options *opts, struct lvol **lvol,
		struct error *err);
/** lvol_delete() - whoever has it open is told that it goes; -EPERM with more than one clone */
int lvol_delete(struct lvol *lvol, struct error *err);
/** lvol_rename() - -EPERM when it is read-only: nothing changes then */
int lvol_rename(struct lvol *lvol, const char *name, struct error *err);
/** lvol_resize() - @size in bytes, rounded up; -EBUSY when it would shrink and is open */
int lvol_resize(struct lvol *lvol, uint64_t size, struct error *err);
int lvol_set_read_only(struct lvol *lvol, struct error *err);
int lvol_snapshot(struct lvol *lvol, const char *name, struct lvol **snapshot, struct error *err);
int lvol_clone(struct lvol *snapshot, const char *name, struct lvol **clone, struct error *err);
/** lvol_clone_bdev() - a thin volume that reads through to @bdev, which nobody may write to */
int lvol_clone_bdev(struct lvol_store *store, const char *bdev, const char *name,
		    struct lvol **clone, struct error *err);
int lvol_inflate(struct lvol *lvol, struct error *err);
int lvol_decouple(struct lvol *lvol, struct error *err);
int lvol_set_parent(struct lvol *lvol, struct lvol *parent, struct error *err);
int lvol_set_parent_bdev(struct lvol *lvol, const char *bdev, struct error *err);

/** lvol_shallow_copy_start() - no Fiber: the copy goes on by itself; answers an operation id */
int lvol_shallow_copy_start(struct lvol *lvol, const char *bdev, uint32_t *operation,
			    struct error *err);
/**
 * lvol_shallow_copy_to_json() - the object of bdev_lvol_check_shallow_copy; NULL: unknown id
 *
 * An operation that has ended is forgotten with this.
 */
json_t *lvol_shallow_copy_to_json(uint32_t operation);

/** lvol_find() - by bdev name (UUID), or by alias "store/volume"; degraded ones too */
struct lvol *lvol_find(const char *name);
/** lvol_of_bdev() - NULL: it is no volume */
struct lvol *lvol_of_bdev(const struct bdev *bdev);
struct lvol_store *lvol_store_of(const struct lvol *lvol);
/** lvol_first(), lvol_next() - those found at load by ascending blob id, then in order of making */
struct lvol *lvol_first(const struct lvol_store *store);
struct lvol *lvol_next(const struct lvol *lvol);

/* "<store uuid>_<blob id in decimal>" is the longest. */
#define LVOL_UNIQUE_ID_SIZE (UUID_TEXT_SIZE + 21)
/** lvol_unique_id() - its bdev's name */
void lvol_unique_id(const struct lvol *lvol, char text[static LVOL_UNIQUE_ID_SIZE]);
/** lvol_to_json() - the object of bdev_lvol_get_lvols */
json_t *lvol_to_json(const struct lvol *lvol);

#endif

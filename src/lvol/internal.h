/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the lvol room share.
 *
 * Threading: reactor 0, but for the channels of the volumes' bdevs, which belong to their reactor.
 *
 * Lives: who works on a store is counted in store->users, who works on a volume in lvol->refs too;
 * a store that leaves lets nobody in any more and waits until it has no users.
 *
 * Locks, in the order in which one may be asked for while holding the others before it:
 *   store->naming  names and aliases of the store and its volumes are changed
 *   lvol->lock     one operation on a volume at a time; two of them by rising blob id
 * A reference that is taken without a lock keeps the memory of a volume, not the volume.
 */
#ifndef LVOL_INTERNAL_H
#define LVOL_INTERNAL_H

#include <sys/queue.h>

#include "base/container_of.h"
#include "base/log.h"
#include "bdev/module.h"
#include "lvol/lvol.h"
#include "reactor/fiber.h"

LOG_FLAG_DECLARE(lvol);

/* Of the store's clusters that are free: below it a store with thin volumes is worth a warning. */
#define LVOL_SPACE_WARNING_PERCENT 10u
#define LVOL_ALIAS_SIZE		   (2 * (LVOL_NAME_MAX + 1))

/* --- names ------------------------------------------------------------------------------------ */

/** struct lvol_name - a name that is taken: by whoever has it, or is about to have it */
struct lvol_name {
	const char *text;
	void *owner;
	char bytes[];
};

/** struct lvol_names - all zeros: none is taken */
struct lvol_names {
	void *root;
};

/** lvol_name_take() - -EEXIST, -ENOMEM */
int lvol_name_take(struct lvol_names *names, const char *text, void *owner,
		   struct lvol_name **name);
/** lvol_name_give() - @name may be NULL */
void lvol_name_give(struct lvol_names *names, struct lvol_name *name);
/** lvol_name_owner() - NULL: it is free */
void *lvol_name_owner(const struct lvol_names *names, const char *text);
/** lvol_name_check_text() - 1 to 63 bytes; @what: "store", "volume" */
int lvol_name_check_text(const char *what, const char *text, struct error *err);

/* --- stores ----------------------------------------------------------------------------------- */

/**
 * struct lvol_store
 * @blobs: NULL until the Blobstore is loaded or made
 * @ready: it can be found
 * @leaving: it is being unloaded or deleted: nobody is let in
 * @lost: the base bdev goes; the store follows as soon as it can
 * @users: fibers at work in it
 * @idle: set when there are none; the leaver's
 * @lvols: all; those that are not there yet or any more are not ready
 * @by_id: volumes that have a blob (search.h tree)
 * @hidden: how many are ready and not shown: lvol_mark()
 */
struct lvol_store {
	TAILQ_ENTRY(lvol_store) link;
	struct blob_store *blobs;
	struct bdev_desc *base;
	struct lvol_name *name;
	struct uuid uuid;
	struct blob *super;
	bool ready;
	bool leaving;
	bool lost;
	uint32_t users;
	struct fiber_event *idle;
	struct fiber_lock naming;
	struct reactor_timer again;
	struct lvol_names names;
	void *by_id;
	uint32_t hidden;
	TAILQ_HEAD(lvol_list, lvol) lvols;
};

extern struct bdev_module lvol_module;

/* store.c */
extern struct lvol_names lvol_store_names;
/** lvol_store_new() - a store in memory, its base bdev claimed; -ENODEV, -EPERM, -ENOMEM */
int lvol_store_new(const char *base, struct lvol_store **store, struct error *err);
/** lvol_store_name_set() - -EEXIST */
int lvol_store_name_set(struct lvol_store *store, const char *name, struct error *err);
/** lvol_store_appear() - it can be found from now on */
void lvol_store_appear(struct lvol_store *store);
/** lvol_store_drop() - Fiber. Unload a store that did not come to be, and free it */
void lvol_store_drop(struct lvol_store *store);
/** lvol_store_free() - its Blobstore is gone already */
void lvol_store_free(struct lvol_store *store);
/** lvol_store_enter() - 0, or -ENODEV when it leaves; lvol_store_exit() lets it leave */
int lvol_store_enter(struct lvol_store *store, struct error *err);
/** lvol_store_enter_change() - the same, to change something on the device; -EROFS */
int lvol_store_enter_change(struct lvol_store *store, struct error *err);
/** lvol_store_check_change() - -EROFS: the base bdev is read-only */
int lvol_store_check_change(const struct lvol_store *store, struct error *err);
void lvol_store_exit(struct lvol_store *store);
/** lvol_store_leave() - Fiber. Nobody is let in any more; wait for those that are in; -EBUSY */
int lvol_store_leave(struct lvol_store *store, struct error *err);
/** lvol_store_close() - Fiber. Of one that left: hide and close the volumes, unload, free */
int lvol_store_close(struct lvol_store *store, struct error *err);
/** lvol_store_close_blobs() - those of the volumes, which are hidden, and the root blob */
void lvol_store_close_blobs(struct lvol_store *store);
/** lvol_store_blob_options() - for init and load */
void lvol_store_blob_options(struct lvol_store *store, struct blob_store_options *opts);
const char *lvol_store_name(const struct lvol_store *store);
uint32_t lvol_store_cluster_size(const struct lvol_store *store);

/* load.c */
/** lvol_store_load() - Fiber. The store on a bdev, with its volumes; see blob_store_load() */
int lvol_store_load(const char *base, struct error *err);

/* --- volumes ---------------------------------------------------------------------------------- */

/**
 * struct lvol
 * @bdev: when @shown
 * @blob: NULL until it was made, and while it is deleted
 * @uuid: nil when there is none on disk
 * @ready: it can be found
 * @gone: deleted; those that wait for @lock find nothing
 * @refs: of those that wait for or hold @lock
 */
struct lvol {
	struct bdev bdev;
	TAILQ_ENTRY(lvol) link;
	struct lvol_store *store;
	struct lvol_name *name;
	struct blob *blob;
	uint64_t id;
	struct uuid uuid;
	bool shown;
	bool ready;
	bool gone;
	uint32_t refs;
	struct fiber_lock lock;
};

/* volume.c */
/** lvol_new() - in the store's list with its name taken, not ready; -EINVAL, -EEXIST, -ENOMEM */
int lvol_new(struct lvol_store *store, const char *name, struct lvol **lvol, struct error *err);
/** lvol_attach() - Fiber. Open its blob @id and show it; it is ready then */
int lvol_attach(struct lvol *lvol, uint64_t id, struct error *err);
/** lvol_forget() - out of the store; freed when nobody waits for it any more */
void lvol_forget(struct lvol *lvol);
/** lvol_mark() - what @ready and @shown are from now on; nothing else sets them */
void lvol_mark(struct lvol *lvol, bool ready, bool shown);
struct lvol *lvol_by_id(const struct lvol_store *store, uint64_t id);
/** lvol_enter() - Fiber. Its turn: @lvol is held and not gone; -ENODEV */
int lvol_enter(struct lvol *lvol, struct error *err);
/** lvol_enter_change() - the same, to change something on the device; -EROFS */
int lvol_enter_change(struct lvol *lvol, struct error *err);
void lvol_exit(struct lvol *lvol);
/** lvol_unref() - give back a reference taken by refs++, which keeps only the memory */
void lvol_unref(struct lvol *lvol);
const char *lvol_name(const struct lvol *lvol);
void lvol_alias(const struct lvol *lvol, const char *name, char text[static LVOL_ALIAS_SIZE]);
/** lvol_clusters_of() - bytes in clusters, rounded up; -EINVAL when they are too many */
int lvol_clusters_of(const struct lvol_store *store, uint64_t size, uint64_t *clusters,
		     struct error *err);

/**
 * struct lvol_xattrs - what a volume's blob is made with
 *
 * The name is padded to 64 bytes, as SPDK writes it first.
 */
struct lvol_xattrs {
	char name[LVOL_NAME_MAX + 1];
	char uuid[UUID_TEXT_SIZE];
	struct blob_xattr list[2];
};
void lvol_xattrs_fill(struct lvol_xattrs *x, const struct lvol *lvol);

/* show.c */
/** lvol_show() - make its bdev unless it has one or is degraded */
int lvol_show(struct lvol *lvol, struct error *err);
/** lvol_hide() - Fiber. Take its bdev away; users are told, and waited for */
void lvol_hide(struct lvol *lvol);
/** lvol_hide_all() - Fiber. All of a store at the same time */
void lvol_hide_all(struct lvol_store *store);

/* json.c */
/** lvol_dump() - driver_specific of its bdev */
void lvol_dump(const struct bdev *bdev, json_t *object);

/* --- external snapshots ----------------------------------------------------------------------- */

/* As SPDK writes it: the UUID's text with its NUL. */
#define LVOL_ESNAP_ID_SIZE UUID_TEXT_SIZE

/** lvol_esnap_ops() - for the options of a Blobstore */
struct blob_esnap_ops lvol_esnap_ops(struct lvol_store *store);
/**
 * struct lvol_esnap_hold - a bdev kept as external snapshot while a volume gets to stand on it
 */
struct lvol_esnap_hold {
	struct lvol_store *store;
	struct bdev_desc *desc;
	char id[LVOL_ESNAP_ID_SIZE];
};
/**
 * lvol_esnap_hold() - -ENODEV, -EINVAL a volume of @store itself, or a size or block size that does
 * not fit, -EPERM when others may write to it
 */
int lvol_esnap_hold(struct lvol_store *store, const char *bdev, struct lvol_esnap_hold *hold,
		    struct error *err);
void lvol_esnap_release(struct lvol_esnap_hold *hold);
/** lvol_esnap_came() - Fiber. Show the volumes that waited for this bdev */
void lvol_esnap_came(const struct bdev *bdev);

/* examine.c */
/** lvol_examine_stop() - Fiber. Begin no more examinations; wait for those under way */
void lvol_examine_stop(void);
void lvol_examine_resume(void);

#endif

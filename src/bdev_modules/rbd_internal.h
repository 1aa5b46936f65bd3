/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the rbd module share.
 *
 * Threading: see struct rbd_cluster and struct rbd_bdev.
 */
#ifndef BDEV_MODULES_RBD_INTERNAL_H
#define BDEV_MODULES_RBD_INTERNAL_H

#include "base/clock.h"
#include "bdev_modules/rbd.h"
#include "bdev_modules/rbd_call.h"
#include "bdev_modules/rbd_lib.h"

/* Of librados itself; then comes the limit of a call. */
#define RBD_CONNECT_SECONDS "10"
#define RBD_CALL_NS	    (15 * NS_PER_SEC)
#define RBD_CLOSE_NS	    (10 * NS_PER_SEC)

/**
 * struct rbd_cluster - a connection
 * @name: NULL: of one bdev alone, whose calls open and close it
 * @settings: how it was asked for, as it is shown; constant
 * @lib, @rados: set by a call's thread; NULL while it is not connected
 * @users: bdevs that have it, or are being opened on it
 * @ready: connected, and not going
 */
struct rbd_cluster {
	char *name;
	json_t *settings;
	const struct rbd_lib *lib;
	void *rados;
	unsigned int users;
	bool ready;
	struct rbd_call call;
	bdev_rbd_done_fn *done;
	void *arg;
	TAILQ_ENTRY(rbd_cluster) link;
};

/** rbd_cluster_take() - by name, or (NULL) one for this bdev alone; -ENOENT, -ENOMEM */
int rbd_cluster_take(const struct bdev_rbd_options *options, struct rbd_cluster **out,
		     struct error *err);
/** rbd_cluster_put() - one for a bdev alone, which is not connected any more, is freed */
void rbd_cluster_put(struct rbd_cluster *c);
/** rbd_cluster_connect(), rbd_cluster_disconnect() - in a call's thread */
int rbd_cluster_connect(struct rbd_cluster *c, struct error *err);
void rbd_cluster_disconnect(struct rbd_cluster *c);
/** rbd_clusters_save() - bdev_module.save */
void rbd_clusters_save(json_t *array);
/** rbd_clusters_close() - all of them, whose bdevs are gone */
void rbd_clusters_close(void);

/* Room for "FSID/POOL/IMAGE" by their ids, which are the same however they are reached. */
#define RBD_IDENTITY_SIZE 160

/**
 * struct rbd_bdev - all but the flags of calls is constant while the bdev is registered
 * @ioctx, @image, @identity, @bytes: set by the thread of the call that opens
 * @watch: told by librbd when the image changes; 0 for none
 * @registered: the block layer has it; @listed: from then until it is closed
 * @closing: it is to be closed when its calls have returned
 * @calls, @late: under way; of these, beyond their time
 * @call: opens, later closes
 * @look: asks for the size; @look_again: it changed meanwhile
 * @changed: from librbd's thread; @changed_sent while it is under way
 */
struct rbd_bdev {
	struct bdev bdev;
	struct rbd_cluster *cluster;
	char *name, *pool, *image_name;
	void *ioctx, *image;
	char identity[RBD_IDENTITY_SIZE];
	uint64_t bytes;
	uint64_t watch;
	bool registered, listed, closing;
	unsigned int calls, late;
	struct rbd_call call, look;
	bool looking, look_again;
	bdev_rbd_done_fn *done;
	void *arg;
	struct reactor_msg changed;
	atomic_bool changed_sent;
	TAILQ_ENTRY(rbd_bdev) link;
};

/** rbd_image_open() - in a call's thread: connect if need be, open, measure */
int rbd_image_open(struct rbd_bdev *r, struct error *err);
/** rbd_image_close() - in a call's thread: what there is of it; what rbd_close() says */
int rbd_image_close(struct rbd_bdev *r);

/** rbd_bdev_submit() - bdev_ops.submit */
void rbd_bdev_submit(void *ctx, struct bdev_io *io);

#endif

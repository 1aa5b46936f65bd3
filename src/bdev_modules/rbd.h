/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bdevs on images of a Ceph cluster, through librbd.
 *
 * What librbd does with a write before it acknowledges it is the configuration's choice (rbd_cache,
 * off or on), so that a bdev always shows a write cache, and a flush is librbd's.
 *
 * Threading: reactor 0; what a call has to say comes later, on reactor 0.
 */
#ifndef BDEV_MODULES_RBD_H
#define BDEV_MODULES_RBD_H

#include "bdev_modules/common.h"

/**
 * struct bdev_rbd_cluster_options - the parameters of bdev_rbd_register_cluster
 * @user_id: "admin", not "client.admin"; NULL for librados's default, which that is
 * @config_param: name, value, ..., NULL: options of librados, ahead of the file's; or NULL
 * @config_file: NULL: librados's own, if it is there
 * @key_file: the user's keyring; NULL: as configured
 * @core_mask: of librados's threads; NULL: all cores that the program had
 */
struct bdev_rbd_cluster_options {
	const char *name;
	const char *user_id;
	const char **config_param;
	const char *config_file;
	const char *key_file;
	const char *core_mask;
};

/**
 * struct bdev_rbd_options - the parameters of bdev_rbd_create
 * @name: NULL: "Ceph" and a number
 * @cluster_name: one that was registered; NULL: a connection of this bdev's own, as @user_id, with
 *                @config (as config_param above) or else librados's own file
 * @uuid: nil for a random one
 */
struct bdev_rbd_options {
	const char *name;
	const char *user_id;
	const char *pool_name;
	const char *rbd_name;
	uint32_t block_size;
	const char **config;
	const char *cluster_name;
	struct uuid uuid;
	bool read_only;
};

/**
 * bdev_rbd_done_fn() - how it ended, with @err filled when it did not end well
 * @bdev: that was made; NULL for other calls
 */
typedef void bdev_rbd_done_fn(void *arg, int result, const struct bdev *bdev,
			      const struct error *err);

/*
 * All of these: 0, and @done is called later; or a negative errno with @err filled, and it is not.
 * -ETIMEDOUT when Ceph did not answer in time; -ENOENT also where librbd is not installed; else
 * what librados and librbd say.
 */

/** bdev_rbd_register_cluster() - connect; -EEXIST */
int bdev_rbd_register_cluster(const struct bdev_rbd_cluster_options *options,
			      bdev_rbd_done_fn *done, void *arg, struct error *err);
/** bdev_rbd_unregister_cluster() - -ENOENT, -EBUSY while a bdev uses it */
int bdev_rbd_unregister_cluster(const char *name, bdev_rbd_done_fn *done, void *arg,
				struct error *err);
/** bdev_rbd_clusters() - the objects of bdev_rbd_get_clusters_info, a new reference */
json_t *bdev_rbd_clusters(void);
/** bdev_rbd_create() - -EBUSY when another bdev here may write to the image, or this one would */
int bdev_rbd_create(const struct bdev_rbd_options *options, bdev_rbd_done_fn *done, void *arg,
		    struct error *err);
/** bdev_rbd_delete() - -ENODEV, -EBUSY; the image stays */
int bdev_rbd_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		    struct error *err);
/** bdev_rbd_resize() - the image too; it only grows: -EINVAL, -ENODEV */
int bdev_rbd_resize(const char *name, uint64_t mib, bdev_rbd_done_fn *done, void *arg,
		    struct error *err);
/** bdev_rbd_stop() - the program leaves: no bdev is left; @done when all connections are closed */
void bdev_rbd_stop(void (*done)(void *arg), void *arg);

#endif

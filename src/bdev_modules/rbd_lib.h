/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librados and librbd, opened at run time: a machine without Ceph runs the engine without them.
 *
 * The signatures are those of librados.h and librbd.h, with their handles (rados_t, rados_ioctx_t,
 * rbd_image_t, rbd_completion_t) as void *. Debian 12's librbd 16 and later have all of it.
 *
 * Threading: any thread.
 */
#ifndef BDEV_MODULES_RBD_LIB_H
#define BDEV_MODULES_RBD_LIB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

/** struct rbd_info - rbd_image_info_t of librbd.h */
struct rbd_info {
	uint64_t size;
	uint64_t obj_size;
	uint64_t num_objs;
	int order;
	char block_name_prefix[24];
	int64_t parent_pool;
	char parent_name[96];
};

/* F(library, result, name, parameters) */
#define RBD_LIB_FUNCTIONS(F)                                                                       \
	F(rados, int, rados_create, (void **cluster, const char *id))                              \
	F(rados, int, rados_conf_read_file, (void *cluster, const char *path))                     \
	F(rados, int, rados_conf_set, (void *cluster, const char *option, const char *value))      \
	F(rados, int, rados_connect, (void *cluster))                                              \
	F(rados, void, rados_shutdown, (void *cluster))                                            \
	F(rados, int, rados_cluster_fsid, (void *cluster, char *buf, size_t len))                  \
	F(rados, int, rados_ioctx_create, (void *cluster, const char *pool, void **ioctx))         \
	F(rados, void, rados_ioctx_destroy, (void *ioctx))                                         \
	F(rados, int64_t, rados_ioctx_get_id, (void *ioctx))                                       \
	F(rbd, int, rbd_open, (void *ioctx, const char *name, void **image, const char *snap))     \
	F(rbd, int, rbd_open_read_only,                                                            \
	  (void *ioctx, const char *name, void **image, const char *snap))                         \
	F(rbd, int, rbd_close, (void *image))                                                      \
	F(rbd, int, rbd_stat, (void *image, struct rbd_info *info, size_t size))                   \
	F(rbd, int, rbd_get_size, (void *image, uint64_t *size))                                   \
	F(rbd, int, rbd_get_id, (void *image, char *id, size_t len))                               \
	F(rbd, int, rbd_resize, (void *image, uint64_t size))                                      \
	F(rbd, int, rbd_update_watch,                                                              \
	  (void *image, uint64_t *handle, void (*fn)(void *arg), void *arg))                       \
	F(rbd, int, rbd_update_unwatch, (void *image, uint64_t handle))                            \
	F(rbd, int, rbd_aio_create_completion,                                                     \
	  (void *arg, void (*fn)(void *completion, void *arg), void **completion))                 \
	F(rbd, ssize_t, rbd_aio_get_return_value, (void *completion))                              \
	F(rbd, void, rbd_aio_release, (void *completion))                                          \
	F(rbd, int, rbd_aio_readv,                                                                 \
	  (void *image, const struct iovec *iov, int iovcnt, uint64_t offset, void *completion))   \
	F(rbd, int, rbd_aio_writev,                                                                \
	  (void *image, const struct iovec *iov, int iovcnt, uint64_t offset, void *completion))   \
	F(rbd, int, rbd_aio_flush, (void *image, void *completion))                                \
	F(rbd, int, rbd_aio_discard,                                                               \
	  (void *image, uint64_t offset, uint64_t len, void *completion))                          \
	F(rbd, int, rbd_aio_write_zeroes,                                                          \
	  (void *image, uint64_t offset, size_t len, void *completion, int zero_flags,             \
	   int op_flags))

/** struct rbd_lib - the functions, by their own names */
struct rbd_lib {
#define RBD_LIB_MEMBER(library, result, name, parameters) result(*name) parameters;
	RBD_LIB_FUNCTIONS(RBD_LIB_MEMBER)
#undef RBD_LIB_MEMBER
};

/**
 * rbd_lib_open() - open them, once for the process; may block, as all files must be read
 *
 * Return: 0; -ENOENT with @err filled when they are not installed or too old, which is tried again
 * by the next call.
 */
int rbd_lib_open(const struct rbd_lib **lib, struct error *err);

#endif

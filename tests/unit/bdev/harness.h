/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of bdevs as straight code: reactors run on threads of their own, and the test's thread asks
 * them and waits.
 *
 * The backend is the environment's (CYBORG_SPDK_BACKEND), so that each test runs on both.
 *
 * Threading: the test's thread, but for what is called on a reactor by harness_call().
 */
#ifndef TESTS_BDEV_HARNESS_H
#define TESTS_BDEV_HARNESS_H

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bdev/bdev.h"
#include "bdev/module.h"

/** harness_start() - so many reactors; skips the test when the machine has fewer cores */
void harness_start(unsigned int reactors);
/** harness_start_pools() - with bounded buffer pools */
void harness_start_pools(unsigned int reactors, uint32_t small, uint32_t large);
void harness_stop(void);

/** harness_call() - run @fn(@arg) on a reactor and wait for its end */
void harness_call(unsigned int reactor, void (*fn)(void *arg), void *arg);
/** harness_settle() - let every reactor do what was sent and deferred until now, and more */
void harness_settle(void);

/** harness_open(), harness_close() - a descriptor; must succeed */
struct bdev_desc *harness_open(const char *name);
void harness_close(struct bdev_desc *desc);
/** harness_unregister() - and wait until it is gone; returns what its end was */
int harness_unregister(struct bdev *bdev);
/** harness_delete() - by a module's function, and wait */
int harness_delete(int (*delete_fn)(const char *name, void (*done)(void *arg, int result),
				    void *arg, struct error *err),
		   const char *name, struct error *err);
json_t *harness_json(struct bdev *bdev);
json_t *harness_config(void);

/** struct harness_channel - a channel of a reactor */
struct harness_channel {
	unsigned int reactor;
	struct bdev_desc *desc;
	struct bdev_channel *ch;
	int rc;
};
void harness_get(struct harness_channel *c, struct bdev_desc *desc, unsigned int reactor);
void harness_put(struct harness_channel *c);

/** struct harness_io - an I/O with what it is about; the test fills it */
struct harness_io {
	struct bdev_io io;
	struct harness_channel *c;
	enum bdev_io_type type;
	bool borrow;
	uint8_t flags;
	uint64_t offset, blocks;
	struct iovec one, one_compare;
	const struct iovec *iov, *compare;
	uint16_t iovcnt, compare_cnt;
	struct bdev_io *target;
	struct reactor_msg msg;
	bool submitting; /* its submission is running: to complete now would be wrong */
	bool inside;	 /* and that happened */
	bool done;
	unsigned int order; /* the how-manieth of all to complete */
};

/** harness_submit() - on its channel's reactor; does not wait */
void harness_submit(struct harness_io *h);
/** harness_submit_all() - so many on one reactor, in one turn */
void harness_submit_all(struct harness_io *h, unsigned int count);
/** harness_wait() - until it completed, later than its submission */
struct bdev_status harness_wait(struct harness_io *h);
bool harness_is_done(struct harness_io *h);
void harness_return(struct harness_io *h);

/* One whole I/O, and its status. */
struct bdev_status harness_read(struct harness_channel *c, void *buffer, uint64_t offset,
				uint64_t blocks);
struct bdev_status harness_write(struct harness_channel *c, const void *buffer, uint64_t offset,
				 uint64_t blocks, uint8_t flags);
struct bdev_status harness_compare(struct harness_channel *c, const void *buffer, uint64_t offset,
				   uint64_t blocks);
struct bdev_status harness_caw(struct harness_channel *c, const void *compare, const void *write,
			       uint64_t offset, uint64_t blocks);
struct bdev_status harness_range(struct harness_channel *c, enum bdev_io_type type, uint64_t offset,
				 uint64_t blocks);
struct bdev_status harness_seek(struct harness_channel *c, enum bdev_io_type type, uint64_t offset,
				uint64_t *result);
void harness_iostat(struct bdev *bdev, struct bdev_iostat_get *get);

/** harness_io_data() - fill @h for one segment */
void harness_io_data(struct harness_io *h, struct harness_channel *c, enum bdev_io_type type,
		     void *buffer, uint64_t offset, uint64_t blocks);

/** assert_status() - succeeded, or failed as NVMe says */
#define assert_ok(status) assert_int_equal((status).err, 0)
#define assert_nvme(status, type, code)                                                            \
	do {                                                                                       \
		struct bdev_status status_ = (status);                                             \
		assert_int_not_equal(status_.err, 0);                                              \
		assert_int_equal(status_.sct, type);                                               \
		assert_int_equal(status_.sc, code);                                                \
	} while (0)

/** pattern() - bytes that differ from block to block and from seed to seed */
void pattern(void *buffer, size_t bytes, uint32_t seed);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bdev in memory with the limits that a test wants, that checks what reaches it against them, and
 * that may keep I/O until it is told to go on.
 *
 * Threading: made by the test's thread through reactor 0; knobs are set while no I/O runs.
 */
#ifndef TESTS_BDEV_FAKE_H
#define TESTS_BDEV_FAKE_H

#include <stdatomic.h>

#include "harness.h"

#define FAKE_REACTORS 4u

/**
 * struct fake - the test fills bdev's limits, types (READ and WRITE if none) and geometry
 * @later: completes I/O in the next turn rather than inside submit
 * @hold: keeps I/O until fake_release()
 * @can_abort: ops.abort catches what is kept
 * @violations: I/O that the block layer should not have let through
 * @fail: the errno that writes to @fail_block end with
 */
struct fake {
	struct bdev bdev;
	char *memory;
	bool later;
	_Atomic bool hold;
	bool can_abort;
	int fail;
	uint64_t fail_block;
	atomic_uint violations;
	atomic_uint submitted[BDEV_IO_TYPES];
	atomic_uint channels;
	atomic_uint under_way;
	bool destructed;
	void *contexts[FAKE_REACTORS];
};

/** fake_init() - 512-byte blocks, no limits */
void fake_init(struct fake *f, uint64_t blocks);
/** fake_register() - under that name; must succeed */
void fake_register(struct fake *f, const char *name);
/** fake_release() - go on with what is kept, on a reactor; what comes later is still kept */
void fake_release(struct fake *f, unsigned int reactor);
/** fake_wait() - until so many I/Os are kept on all reactors */
void fake_wait(struct fake *f, unsigned int count);
/** fake_fini() - unregister, wait, free */
void fake_fini(struct fake *f);
void fake_free(struct fake *f);

extern struct bdev_module fake_module;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs that feed Blobstore images need: reactors with a fiber on the first, memory
 * that is there or ends the program, and I/O to blobs.
 *
 * Threading: kit_fiber() on the main thread; the rest in the fiber that it starts.
 */
#ifndef TESTS_CRASH_KIT_H
#define TESTS_CRASH_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "bdev/module.h"
#include "blob/blob.h"
#include "reactor/fiber.h"

#define KIT_REACTORS_MAX 2u

/** kit_alloc() - zeroed, aligned to 64; kit_realloc() */
void *kit_alloc(size_t bytes);
void *kit_realloc(void *p, size_t bytes);
/** kit_must() - end the program if @rc says that what carries the test failed */
void kit_must(int rc, const struct error *err);
void kit_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** kit_cores() - how many reactors there can be */
unsigned int kit_cores(void);
/** kit_fiber() - @fn(@arg) as a fiber of so many reactors; returns when it is over */
void kit_fiber(unsigned int reactors, void (*fn)(void *arg), void *arg);
/**
 * kit_turns_begin() - reactors run one after the other, a turn of the loop each, so that what two
 * of them do comes in the same order each time; until kit_turns_end()
 */
void kit_turns_begin(void);
void kit_turns_end(void);
struct bdev_desc *kit_open(const char *name);
void kit_unregister(struct bdev *bdev);

/* --- I/O to blobs ----------------------------------------------------------------------------- */

/**
 * struct kit_io - one I/O to a blob; kit_io_wait() frees it
 * @ended: called on the I/O's reactor when it was answered; may be NULL
 */
struct kit_io {
	struct bdev_io io;
	struct reactor_msg msg;
	struct blob *blob;
	enum bdev_io_type type;
	uint8_t flags;
	struct iovec iov;
	uint64_t offset, blocks;
	int result;
	void (*ended)(struct kit_io *kio);
	void *arg;
	struct fiber_event event;
};

/** kit_glass_open() - the bdev through which blobs are seen, one for all; @unit: its block size */
void kit_glass_open(uint32_t unit);
void kit_glass_close(void);
/** kit_attach() - a channel of @store on each reactor; kit_detach() gives them back */
void kit_attach(struct blob_store *store);
void kit_detach(void);
/** kit_io_start() - @buffer stays until kit_io_wait(); offset and length in units */
struct kit_io *kit_io_start(unsigned int reactor, struct blob *blob, enum bdev_io_type type,
			    void *buffer, uint64_t offset, uint64_t blocks, uint8_t flags,
			    void (*ended)(struct kit_io *kio), void *arg);
int kit_io_wait(struct kit_io *kio);
/** kit_io() - start on reactor 0 and wait */
int kit_io(struct blob *blob, enum bdev_io_type type, void *buffer, uint64_t offset,
	   uint64_t blocks);

#endif

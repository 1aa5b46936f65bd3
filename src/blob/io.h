/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block I/O on its way through Blobstore: what its scratch holds.
 *
 * Threading: the reactor of its channel; @write travels to reactor 0 and back.
 */
#ifndef BLOB_IO_H
#define BLOB_IO_H

#include "blob/internal.h"

/**
 * struct blob_io - in the scratch of a bdev_io
 * @next, @left: what is still to be started, in I/O units
 * @under_way: pieces, and @write
 * @waiting: for an I/O of the pool; counts as under way
 * @again: when nothing is under way any more it begins again, with what is left
 * @commits: store->commits when the flush that a FUA needs began
 * @spare: one that was waited for and is not used yet
 * @long_iov: segments of a piece that has more than an I/O of the pool has room for
 */
struct blob_io {
	struct bdev_io *io;
	struct blob_channel *ch;
	struct blob *blob;
	TAILQ_ENTRY(blob_io) link; /* in ch->held */
	struct bdev_io_wait wait;
	uint64_t next, left;
	uint32_t under_way;
	uint8_t epoch;
	bool waiting;
	bool again;
	bool flushed;
	uint64_t commits;
	struct bdev_status status;
	struct iovec *long_iov;
	struct bdev_io *spare;
	struct blob_write write;
};

/** blob_io_again() - a write that was held by a freeze */
void blob_io_again(struct blob_io *bio);

#endif

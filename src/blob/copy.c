/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a cluster from what stands behind a hole.
 *
 * Threading: reactor 0, inside fibers. The caller counts as I/O (blob_enter()), so that what is
 * copied from is not given to others meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

/* Of one buffer; four copies a blob, and 32 blobs, at a time are the most there are. */
#define COPY_BYTES (512u * 1024)

struct copy_wait {
	struct bdev_io io;
	struct iovec iov;
	struct fiber_event event;
};

static void copied(struct bdev_io *io)
{
	fiber_event_set(&container_of(io, struct copy_wait, io)->event, io->status.err);
}

static int read_esnap(struct blob_store *store, const struct blob_place *place, void *buffer,
		      size_t bytes)
{
	struct blob_channel *ch = &store->channel[0];
	struct copy_wait w = { .io.done = copied, .event = FIBER_EVENT_INIT };
	struct bdev_channel *from;
	int rc = blob_channel_esnap(ch, place->esnap, &from);

	if (rc < 0)
		return rc;
	w.iov = (struct iovec){ .iov_base = buffer, .iov_len = bytes };
	bdev_readv(from, &w.io, &w.iov, 1, place->block, bytes / place->esnap->block_size);
	return fiber_event_wait(&w.event);
}

int blob_read_place(struct blob_store *store, const struct blob_place *place, void *buffer,
		    size_t bytes)
{
	switch (place->kind) {
	case BLOB_PLACE_DEVICE:
		return md_read(store, buffer, place->block * store->block_size, bytes);
	case BLOB_PLACE_ESNAP:
		return read_esnap(store, place, buffer, bytes);
	default:
		memset(buffer, 0, bytes);
		return 0;
	}
}

static int read_behind(struct blob *b, uint64_t index, uint32_t at, void *buffer, uint32_t bytes)
{
	const struct blob_store *store = b->store;
	uint32_t unit = store->geo.io_unit_size;
	struct blob_place place;

	blob_place_behind(b, index * store->units_per_cluster + at / unit, bytes / unit, &place);
	return blob_read_place(b->store, &place, buffer, bytes);
}

/* Of two buffers one is read into while the other is written. */
static int copy(struct blob *b, uint64_t index, uint32_t to, struct md_batch *writes,
		uint8_t *buffers, uint32_t chunk)
{
	uint32_t size = b->store->geo.cluster_size, turn = 0;
	int rc = 0;

	for (uint32_t at = 0; at < size && rc == 0; at += chunk, turn ^= 1) {
		uint32_t bytes = size - at < chunk ? size - at : chunk;
		uint8_t *buffer = buffers + (size_t)turn * chunk;

		rc = read_behind(b, index, at, buffer, bytes);
		if (rc == 0)
			rc = md_batch_wait(writes);
		if (rc == 0)
			md_batch_write(writes, buffer, (uint64_t)to * size + at, bytes);
	}
	return rc;
}

int blob_copy_cluster(struct blob *b, uint64_t index, uint32_t to)
{
	uint32_t size = b->store->geo.cluster_size;
	uint32_t chunk = size < COPY_BYTES ? size : COPY_BYTES;
	uint8_t *buffers = aligned_alloc(BLOB_PAGE_BYTES, 2 * (size_t)chunk);
	struct md_batch *writes = md_batch_begin(b->store);
	int rc = -ENOMEM, ended = 0;

	if (buffers != NULL && writes != NULL)
		rc = copy(b, index, to, writes, buffers, chunk);
	if (writes != NULL)
		ended = md_batch_end(writes);
	free(buffers);
	return rc < 0 ? rc : ended;
}

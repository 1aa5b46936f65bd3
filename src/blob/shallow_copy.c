/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shallow copy: the clusters that a read-only blob has itself, to the same places of a bdev.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

#define COPY_BYTES (1024u * 1024)

struct target {
	struct bdev_channel *ch;
	uint32_t block_size;
};

struct target_io {
	struct bdev_io io;
	struct iovec iov;
	struct fiber_event event;
};

static void written(struct bdev_io *io)
{
	fiber_event_set(&container_of(io, struct target_io, io)->event, io->status.err);
}

static int write_target(const struct target *to, void *buffer, uint64_t offset, size_t bytes)
{
	struct target_io w = { .io.done = written, .event = FIBER_EVENT_INIT };

	w.iov = (struct iovec){ .iov_base = buffer, .iov_len = bytes };
	bdev_writev(to->ch, &w.io, &w.iov, 1, offset / to->block_size, bytes / to->block_size, 0);
	return fiber_event_wait(&w.event);
}

static int copy_one(const struct blob *b, const struct target *to, uint64_t index, void *buffer)
{
	uint64_t size = b->store->geo.cluster_size, from = blob_map_get(blob_map(b), index) * size;
	int rc = 0;

	for (uint64_t at = 0; at < size && rc == 0; at += COPY_BYTES) {
		size_t bytes = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		rc = md_read(b->store, buffer, from + at, bytes);
		if (rc == 0)
			rc = write_target(to, buffer, index * size + at, bytes);
	}
	return rc;
}

static int copy_all(const struct blob *b, const struct target *to, void *buffer,
		    bool (*progress)(uint64_t done, uint64_t total, void *arg), void *arg)
{
	uint64_t done = 0;
	int rc = 0;

	for (uint64_t i = blob_map_next(blob_map(b), 0); i != UINT64_MAX && rc == 0;
	     i = blob_map_next(blob_map(b), i + 1)) {
		rc = copy_one(b, to, i, buffer);
		if (rc == 0 && progress != NULL && !progress(++done, b->allocated, arg))
			rc = -ECANCELED;
	}
	return rc;
}

static int check_target(const struct blob *b, const struct bdev *to, struct error *err)
{
	uint64_t need = blob_map(b)->clusters * b->store->geo.cluster_size;
	uint64_t have = bdev_num_blocks(to) * bdev_block_size(to);

	if (!b->read_only)
		return error_set(err, -EPERM,
				 "blob 0x%" PRIx64
				 " can be written to; only a read-only one is copied",
				 b->id);
	if (have < need)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" has %" PRIu64 " bytes, blob 0x%" PRIx64 " %" PRIu64,
				 bdev_name(to), have, b->id, need);
	if (b->store->geo.io_unit_size % bdev_block_size(to) != 0)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" has blocks of %" PRIu32
				 " bytes, which do not divide the store's I/O unit of %" PRIu32,
				 bdev_name(to), bdev_block_size(to), b->store->geo.io_unit_size);
	return 0;
}

int blob_shallow_copy(struct blob *b, struct bdev_desc *desc,
		      bool (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		      struct error *err)
{
	struct target to = { .block_size = bdev_block_size(bdev_of(desc)) };
	void *buffer = NULL;
	int rc = check_target(b, bdev_of(desc), err);

	if (rc < 0)
		return rc;
	rc = bdev_channel_get(desc, &to.ch);
	if (rc < 0)
		return error_set(err, rc, "bdev \"%s\": no channel: %s", bdev_name(bdev_of(desc)),
				 error_errno_text(rc));
	blob_lock_op(b);
	buffer = aligned_alloc(BLOB_PAGE_BYTES, COPY_BYTES);
	rc = buffer == NULL ? -ENOMEM : copy_all(b, &to, buffer, progress, arg);
	blob_unlock_op(b);
	free(buffer);
	bdev_channel_put(to.ch);
	if (rc < 0)
		return error_set(err, rc, "blob 0x%" PRIx64 " was not copied whole: %s", b->id,
				 error_errno_text(rc));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O of metadata, and of clusters on behalf of metadata: on reactor 0, inside fibers, that wait.
 *
 * Threading: reactor 0.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "blob/internal.h"

struct wait {
	struct bdev_io io;
	struct iovec iov;
	struct fiber_event event;
};

static void wait_done(struct bdev_io *io)
{
	struct wait *w = container_of(io, struct wait, io);

	fiber_event_set(&w->event, io->status.err);
}

static void wait_init(struct wait *w, void *buffer, size_t bytes)
{
	w->io = (struct bdev_io){ .done = wait_done };
	w->iov = (struct iovec){ .iov_base = buffer, .iov_len = bytes };
	w->event = (struct fiber_event)FIBER_EVENT_INIT;
}

int md_read(struct blob_store *store, void *buffer, uint64_t offset, size_t bytes)
{
	struct wait w;

	wait_init(&w, buffer, bytes);
	bdev_readv(store->md, &w.io, &w.iov, 1, offset / store->block_size,
		   bytes / store->block_size);
	return fiber_event_wait(&w.event);
}

int md_write(struct blob_store *store, const void *buffer, uint64_t offset, size_t bytes)
{
	struct wait w;

	wait_init(&w, (void *)(uintptr_t)buffer, bytes);
	bdev_writev(store->md, &w.io, &w.iov, 1, offset / store->block_size,
		    bytes / store->block_size, 0);
	return fiber_event_wait(&w.event);
}

static int flush_device(struct blob_store *store)
{
	uint64_t commits = atomic_load_explicit(&store->commits, memory_order_relaxed);
	uint64_t clears = store->clears;
	struct wait w;
	int rc;

	wait_init(&w, NULL, 0);
	bdev_flush(store->md, &w.io, 0, bdev_num_blocks(store->bdev));
	rc = fiber_event_wait(&w.event);
	if (rc < 0)
		return rc;
	blob_commits_durable(store, commits);
	store->durable_clears = clears;
	return 0;
}

/* Who comes during a flush waits for the next one, together with all others that do. */
int md_flush(struct blob_store *store)
{
	uint64_t begun = store->flushes;
	int rc;

	if (!store->cache)
		return 0;
	fiber_lock(&store->flush_lock);
	if (store->flushes == begun) {
		store->flushes++;
		store->flush_result = flush_device(store);
	}
	rc = store->flush_result;
	fiber_unlock(&store->flush_lock);
	return rc;
}

int md_read_page(struct blob_store *store, void *page, uint32_t index)
{
	return md_read(store, page, blob_page_offset(&store->geo, index), BLOB_PAGE_BYTES);
}

int md_write_page(struct blob_store *store, const void *page, uint32_t index)
{
	return md_write(store, page, blob_page_offset(&store->geo, index), BLOB_PAGE_BYTES);
}

uint64_t md_seek(struct blob_store *store, bool hole, uint64_t offset)
{
	uint64_t block = offset / store->block_size;
	struct wait w;

	wait_init(&w, NULL, 0);
	if (hole)
		bdev_seek_hole(store->md, &w.io, block);
	else
		bdev_seek_data(store->md, &w.io, block);
	if (fiber_event_wait(&w.event) < 0)
		return hole ? UINT64_MAX : offset;
	if (w.io.seek_result == UINT64_MAX)
		return UINT64_MAX;
	return w.io.seek_result * store->block_size;
}

/* --- batches ---------------------------------------------------------------------------------- */

struct md_batch *md_batch_begin(struct blob_store *store)
{
	struct md_batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return NULL;
	batch->store = store;
	for (unsigned int i = 0; i < MD_BATCH; i++) {
		batch->slots[i].batch = batch;
		batch->slots[i].next = batch->free;
		batch->free = &batch->slots[i];
	}
	return batch;
}

static void slot_done(struct bdev_io *io)
{
	struct md_slot *slot = container_of(io, struct md_slot, io);
	struct md_batch *batch = slot->batch;

	if (io->status.err < 0 && batch->result == 0)
		batch->result = io->status.err;
	if (slot->result != NULL && io->status.err < 0)
		*slot->result = io->status.err;
	slot->next = batch->free;
	batch->free = slot;
	batch->under_way--;
	if (batch->event != NULL) {
		struct fiber_event *event = batch->event;

		batch->event = NULL;
		fiber_event_set(event, 0);
	}
}

static void wait_for_one(struct md_batch *batch)
{
	struct fiber_event event = FIBER_EVENT_INIT;

	batch->event = &event;
	fiber_event_wait(&event);
}

struct md_slot *md_batch_slot(struct md_batch *batch, int *result)
{
	struct md_slot *slot;

	while (batch->free == NULL)
		wait_for_one(batch);
	slot = batch->free;
	batch->free = slot->next;
	batch->under_way++;
	slot->io = (struct bdev_io){ .done = slot_done };
	slot->result = result;
	return slot;
}

void md_batch_write(struct md_batch *batch, const void *buffer, uint64_t offset, size_t bytes)
{
	struct md_slot *slot = md_batch_slot(batch, NULL);
	uint32_t block = batch->store->block_size;

	slot->iov = (struct iovec){ .iov_base = (void *)(uintptr_t)buffer, .iov_len = bytes };
	bdev_writev(batch->store->md, &slot->io, &slot->iov, 1, offset / block, bytes / block, 0);
}

void md_batch_write_page(struct md_batch *batch, const void *page, uint32_t index)
{
	md_batch_write(batch, page, blob_page_offset(&batch->store->geo, index), BLOB_PAGE_BYTES);
}

void md_batch_zero_page(struct md_batch *batch, uint32_t index)
{
	struct md_slot *slot = md_batch_slot(batch, NULL);
	uint32_t block = batch->store->block_size;

	bdev_write_zeroes(batch->store->md, &slot->io,
			  blob_page_offset(&batch->store->geo, index) / block,
			  batch->store->geo.page_size / block, 0);
}

void md_batch_zero(struct md_batch *batch, uint64_t block, uint64_t blocks, int *result)
{
	struct md_slot *slot = md_batch_slot(batch, result);
	struct blob_store *store = batch->store;

	/* Where unmapped blocks read as zeroes that is the cheaper way, and keeps files sparse. */
	if (store->unmap_zeroes)
		bdev_unmap(store->md, &slot->io, block, blocks);
	else
		bdev_write_zeroes(store->md, &slot->io, block, blocks, 0);
}

void md_batch_zero_clusters(struct md_batch *batch, uint32_t first, uint32_t count, int *result)
{
	uint64_t blocks = batch->store->blocks_per_cluster;

	md_batch_zero(batch, first * blocks, count * blocks, result);
}

void md_batch_unmap_clusters(struct md_batch *batch, uint32_t first, uint32_t count)
{
	struct md_slot *slot = md_batch_slot(batch, NULL);
	uint64_t blocks = batch->store->blocks_per_cluster;

	bdev_unmap(batch->store->md, &slot->io, first * blocks, count * blocks);
}

int md_batch_wait(struct md_batch *batch)
{
	while (batch->under_way > 0)
		wait_for_one(batch);
	return batch->result;
}

int md_batch_end(struct md_batch *batch)
{
	int result = md_batch_wait(batch);

	free(batch);
	return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reactor keeps for all bdevs: the pool of I/Os and pieces, and the list of I/Os that
 * completed inside their submission and are delivered in the next turn.
 *
 * Threading: each home belongs to its reactor. The table of homes is written by each reactor at its
 * own index, and by bdev_fini() when no reactor is left.
 */
#include <assert.h>
#include <sched.h>
#include <stdlib.h>

#include "bdev/internal.h"

#define CHUNK_IOS    32u
#define CHUNKS_MAX   2048u
#define MEMORY_ALIGN 64u

struct bdev_io_chunk {
	struct bdev_io_chunk *next;
	struct bdev_piece pieces[CHUNK_IOS];
};

static struct bdev_home *homes[CPU_SETSIZE];
static _Alignas(4096) char zeroes[BDEV_ZEROES_BYTES];

void *bdev_zeroes(void)
{
	return zeroes;
}

static void deliver(struct reactor_msg *msg)
{
	struct bdev_home *home = container_of(msg, struct bdev_home, deliver);
	struct bdev_io_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct bdev_io *io;

	TAILQ_CONCAT(&batch, &home->done, link);
	while ((io = TAILQ_FIRST(&batch)) != NULL) {
		TAILQ_REMOVE(&batch, io, link);
		bdev_io_finish(io);
	}
}

void bdev_io_defer(struct bdev_io *io)
{
	struct bdev_home *home = io->channel->home;

	io->state = BDEV_IO_DONE;
	if (TAILQ_EMPTY(&home->done))
		reactor_defer(&home->deliver);
	TAILQ_INSERT_TAIL(&home->done, io, link);
}

static bool pool_grow(struct bdev_home *home)
{
	struct bdev_io_chunk *chunk;
	size_t size = (sizeof(*chunk) + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;

	if (home->chunk_count == CHUNKS_MAX)
		return false;
	chunk = aligned_alloc(MEMORY_ALIGN, size);
	if (chunk == NULL)
		return false;
	chunk->next = home->chunks;
	home->chunks = chunk;
	home->chunk_count++;
	for (unsigned int i = 0; i < CHUNK_IOS; i++)
		TAILQ_INSERT_TAIL(&home->free, &chunk->pieces[i].io, link);
	return true;
}

/* Whoever waits for longer comes first: with waiters there is nothing for others. */
static struct bdev_io *pool_take(struct bdev_home *home)
{
	struct bdev_io *io;

	if (!TAILQ_EMPTY(&home->waiting))
		return NULL;
	if (TAILQ_EMPTY(&home->free) && !pool_grow(home))
		return NULL;
	io = TAILQ_FIRST(&home->free);
	TAILQ_REMOVE(&home->free, io, link);
	return io;
}

static void serve(struct reactor_msg *msg)
{
	struct bdev_home *home = container_of(msg, struct bdev_home, serve);

	home->serving = false;
	while (!TAILQ_EMPTY(&home->waiting) && !TAILQ_EMPTY(&home->free)) {
		struct bdev_io_wait *wait = TAILQ_FIRST(&home->waiting);
		struct bdev_io *io = TAILQ_FIRST(&home->free);

		TAILQ_REMOVE(&home->waiting, wait, link);
		TAILQ_REMOVE(&home->free, io, link);
		wait->fn(wait, io);
	}
}

static void pool_give(struct bdev_home *home, struct bdev_io *io)
{
	/* The last one used is the one whose memory is still in the cache. */
	TAILQ_INSERT_HEAD(&home->free, io, link);
	if (TAILQ_EMPTY(&home->waiting) || home->serving)
		return;
	home->serving = true;
	reactor_defer(&home->serve);
}

static struct bdev_home *home_create(void)
{
	struct bdev_home *home = calloc(1, sizeof(*home));

	if (home == NULL)
		return NULL;
	TAILQ_INIT(&home->done);
	TAILQ_INIT(&home->free);
	TAILQ_INIT(&home->waiting);
	home->deliver.fn = deliver;
	home->serve.fn = serve;
	return home;
}

struct bdev_home *bdev_home(void)
{
	unsigned int index = reactor_index(reactor_self());

	assert(index < CPU_SETSIZE);
	if (homes[index] == NULL)
		homes[index] = home_create();
	return homes[index];
}

void bdev_fini(void)
{
	for (unsigned int i = 0; i < CPU_SETSIZE; i++) {
		struct bdev_io_chunk *chunk;

		if (homes[i] == NULL)
			continue;
		while ((chunk = homes[i]->chunks) != NULL) {
			homes[i]->chunks = chunk->next;
			free(chunk);
		}
		free(homes[i]);
		homes[i] = NULL;
	}
}

struct bdev_io *bdev_io_get(struct bdev_io_wait *wait)
{
	struct bdev_home *home = bdev_home();
	struct bdev_io *io;

	/* Who asks has a channel, and with it this reactor got its home. */
	assert(home != NULL);
	io = pool_take(home);
	if (io == NULL)
		TAILQ_INSERT_TAIL(&home->waiting, wait, link);
	return io;
}

void bdev_io_put(struct bdev_io *io)
{
	pool_give(bdev_home(), io);
}

struct iovec *bdev_io_room(struct bdev_io *io)
{
	return container_of(io, struct bdev_piece, io)->iov;
}

struct bdev_piece *bdev_piece_get(struct bdev_channel *ch)
{
	struct bdev_io *io = pool_take(ch->home);

	if (io != NULL)
		return container_of(io, struct bdev_piece, io);
	if (ch->spare_used)
		return NULL;
	ch->spare_used = true;
	return &ch->spare;
}

void bdev_piece_put(struct bdev_channel *ch, struct bdev_piece *piece)
{
	if (piece == &ch->spare)
		ch->spare_used = false;
	else
		pool_give(ch->home, &piece->io);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for I/O without slowing it down. Each I/O is counted on its reactor, in one of two
 * epochs. A barrier lets every reactor begin a new epoch and waits for the counts of the old one to
 * fall to 0, while new I/O goes on. What was unpublished before a barrier is seen by nobody behind
 * it: memory can be freed, clusters can be used again.
 *
 * Freezing a blob uses the same: writes that see the mark wait, a barrier sees the others off.
 *
 * Threading: barrier and freeze are fibers' of reactor 0; the counts are each reactor's own.
 */
#include <stdlib.h>

#include "blob/internal.h"
#include "blob/io.h"

struct barrier {
	struct reactor_each each;
	struct blob_store *store;
	struct blob *blob;
	uint32_t slot;
	struct fiber_event over;
};

static struct blob_channel *channel_here(const struct barrier *b)
{
	return &b->store->channel[reactor_index(reactor_self())];
}

static void begin_epoch(struct reactor_each *each)
{
	struct blob_channel *ch = channel_here(container_of(each, struct barrier, each));
	uint32_t old = ch->epoch & 1;

	ch->epoch++;
	if (ch->in_flight[old] == 0)
		reactor_each_next(each);
	else
		ch->draining = each;
}

void blob_drained(struct blob_channel *ch)
{
	struct reactor_each *each = ch->draining;

	ch->draining = NULL;
	reactor_each_next(each);
}

static void all_answered(struct reactor_each *each)
{
	fiber_event_set(&container_of(each, struct barrier, each)->over, 0);
}

static void ask_all(struct barrier *b, void (*fn)(struct reactor_each *each))
{
	b->each = (struct reactor_each){ .fn = fn, .done = all_answered };
	b->over = (struct fiber_event)FIBER_EVENT_INIT;
	reactor_for_each(&b->each);
	fiber_event_wait(&b->over);
}

void blob_io_barrier(struct blob_store *store)
{
	struct barrier b = { .store = store };

	/* With one barrier at a time the epoch before the last is empty when it begins anew. */
	fiber_lock(&store->barrier_lock);
	ask_all(&b, begin_epoch);
	fiber_unlock(&store->barrier_lock);
}

void blob_freeze(struct blob *blob)
{
	atomic_store_explicit(&blob->frozen, true, memory_order_relaxed);
	blob_io_barrier(blob->store);
}

static void let_go(struct reactor_each *each)
{
	struct barrier *b = container_of(each, struct barrier, each);
	struct blob_channel *ch = channel_here(b);
	struct blob_held_list held = TAILQ_HEAD_INITIALIZER(held);
	struct blob_io *bio;

	TAILQ_CONCAT(&held, &ch->held, link);
	while ((bio = TAILQ_FIRST(&held)) != NULL) {
		TAILQ_REMOVE(&held, bio, link);
		if (bio->blob == b->blob)
			blob_io_again(bio);
		else
			TAILQ_INSERT_TAIL(&ch->held, bio, link);
	}
	reactor_each_next(each);
}

void blob_thaw(struct blob *blob)
{
	struct barrier b = { .store = blob->store, .blob = blob };

	atomic_store_explicit(&blob->frozen, false, memory_order_relaxed);
	ask_all(&b, let_go);
}

/* --- external snapshots ----------------------------------------------------------------------- */

static void drop_slot(struct reactor_each *each)
{
	struct barrier *b = container_of(each, struct barrier, each);
	struct blob_channel *ch = channel_here(b);

	if (b->slot < ch->esnap_room && ch->esnap[b->slot] != NULL) {
		bdev_channel_put(ch->esnap[b->slot]);
		ch->esnap[b->slot] = NULL;
	}
	reactor_each_next(each);
}

void blob_channels_drop(struct blob_store *store, uint32_t slot)
{
	struct barrier b = { .store = store, .slot = slot };

	ask_all(&b, drop_slot);
}

/* --- what I/O may still look at --------------------------------------------------------------- */

static void give_clusters(struct blob_store *store, struct blob_clusters *lists)
{
	for (unsigned int clear = 0; clear < BLOB_CLEARS; clear++) {
		uint64_t count = lists[clear].count;

		blob_clusters_give(store, &lists[clear], (enum blob_clear)clear);
		store->releasing -= count;
	}
}

static void keep_clusters(struct blob_store *store, struct blob_clusters *lists)
{
	store->suspect = true;
	for (unsigned int clear = 0; clear < BLOB_CLEARS; clear++) {
		store->releasing -= lists[clear].count;
		blob_clusters_end(&lists[clear]);
	}
}

static bool any_retired(const struct blob_store *store)
{
	bool any = store->retired.count > 0;

	for (unsigned int clear = 0; clear < BLOB_CLEARS; clear++)
		any |= store->retired.clusters[clear].count > 0;
	return any;
}

/*
 * Order: (flush) metadata that unpublished them => all I/O that saw them is over => clusters are
 * cleared and free, memory is freed. The lists are taken first: what comes meanwhile waits for the
 * next round.
 */
static void reap(void *arg)
{
	struct blob_store *store = arg;

	while (any_retired(store)) {
		struct blob_retired r = store->retired;
		int rc;

		store->retired = (struct blob_retired){ 0 };
		rc = md_flush(store);
		blob_io_barrier(store);
		if (rc == 0)
			give_clusters(store, r.clusters);
		else
			keep_clusters(store, r.clusters);
		for (uint32_t i = 0; i < r.count; i++)
			free(r.memory[i]);
		free(r.memory);
	}
	store->reaping = false;
}

static void start_reaping(struct blob_store *store)
{
	if (!store->reaping)
		store->reaping = fiber_start(reap, store) == 0;
}

/* Without memory for the list the memory is lost: better than freed too early. */
void blob_retire(struct blob_store *store, void *memory)
{
	struct blob_retired *r = &store->retired;

	if (memory == NULL)
		return;
	if (r->count == r->room) {
		uint32_t room = r->room == 0 ? 16 : r->room * 2;
		void **more = realloc(r->memory, room * sizeof(*more));

		if (more == NULL)
			return;
		r->memory = more;
		r->room = room;
	}
	r->memory[r->count++] = memory;
	start_reaping(store);
}

void blob_retire_clusters(struct blob_store *store, struct blob_clusters *list,
			  enum blob_clear clear)
{
	for (uint64_t i = 0; i < list->count; i++) {
		/* Without memory the cluster stays in use until the next recovery. */
		if (blob_clusters_add(&store->retired.clusters[clear], list->at[i]) < 0)
			break;
		store->releasing++;
	}
	if (list->count > 0)
		start_reaping(store);
	blob_clusters_end(list);
}

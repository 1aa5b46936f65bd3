/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O that changes a blob's map comes to reactor 0, queues at its blob, and is done in batches by a
 * few fibers: what arrives while a batch is under way goes into the next one, so that many first
 * writes share a flush and an extent page.
 *
 * Threading: reactor 0, but for blob_write_send().
 */
#include <errno.h>

#include "blob/internal.h"

#define WORKERS 32u

static void answered(struct reactor_msg *msg)
{
	struct blob_write *w = container_of(msg, struct blob_write, msg);

	w->done(w);
}

void blob_write_answer(struct blob_write *w)
{
	w->msg.fn = answered;
	reactor_send(w->origin, &w->msg);
}

static void work_on(struct blob *b)
{
	struct blob_store *store = b->store;
	struct blob_clusters freed = { 0 };

	fiber_lock(&b->md_lock);
	blob_change_run(b, &freed);
	fiber_unlock(&b->md_lock);
	blob_retire_clusters(store, &freed, blob_clear_of(b));
	/* Behind the next wait the blob may be closed and gone, unless it has more to do. */
	if (TAILQ_EMPTY(&b->writes))
		b->working = false;
	else
		TAILQ_INSERT_TAIL(&store->work, b, work);
}

static void work(void *arg)
{
	struct blob_store *store = arg;
	struct blob *b;

	while ((b = TAILQ_FIRST(&store->work)) != NULL) {
		TAILQ_REMOVE(&store->work, b, work);
		work_on(b);
	}
	store->workers--;
}

static void fail_all(struct blob *b)
{
	struct blob_write *w;

	TAILQ_REMOVE(&b->store->work, b, work);
	b->working = false;
	while ((w = TAILQ_FIRST(&b->writes)) != NULL) {
		TAILQ_REMOVE(&b->writes, w, link);
		w->result = -ENOMEM;
		blob_write_answer(w);
	}
}

void blob_write_queue(struct blob_write *w)
{
	struct blob *b = w->blob;
	struct blob_store *store = b->store;

	TAILQ_INSERT_TAIL(&b->writes, w, link);
	if (b->working)
		return;
	b->working = true;
	TAILQ_INSERT_TAIL(&store->work, b, work);
	if (store->workers == WORKERS)
		return;
	if (fiber_start(work, store) == 0)
		store->workers++;
	else if (store->workers == 0)
		fail_all(b);
}

static void arrived(struct reactor_msg *msg)
{
	blob_write_queue(container_of(msg, struct blob_write, msg));
}

void blob_write_send(struct blob_write *w)
{
	w->result = 0;
	w->origin = reactor_self();
	w->msg.fn = arrived;
	reactor_send(reactor_at(0), &w->msg);
}

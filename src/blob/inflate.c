/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a blob off its parent: inflate (a cluster for everything) and decouple (a cluster for what
 * the direct parent has).
 *
 * Order: each cluster is a first write of its own (change.c), in batches
 *   => (flush: extent pages in place are durable)
 *   => chain and root page without the parent                          (the commit)
 * A cut before the commit leaves a clone that has more clusters of its own, with the same content.
 *
 * Threading: reactor 0, inside fibers. I/O to the blob goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

#define FILLS 16u

/* struct filler - @next: the next cluster to look at */
struct filler {
	struct blob *blob;
	bool only_parents;
	uint64_t next;
	int result;
};

struct fill {
	struct blob_write write;
	struct fiber_event event;
};

static void filled(struct blob_write *w)
{
	fiber_event_set(&container_of(w, struct fill, write)->event, w->result);
}

static int fill_once(struct blob *b, uint64_t index)
{
	struct fill f = { .event = FIBER_EVENT_INIT };

	f.write = (struct blob_write){
		.blob = b,
		.kind = BLOB_WRITE_FILL,
		.unit = index * b->store->units_per_cluster,
		.units = b->store->units_per_cluster,
		.done = filled,
	};
	blob_write_send(&f.write);
	return fiber_event_wait(&f.event);
}

static int fill_one(struct blob *b, uint64_t index)
{
	int rc;

	while ((rc = fill_once(b, index)) == -ERESTART)
		fiber_yield();
	return rc;
}

/* Behind the end of a shorter parent there are zeroes, until the grandparent shows there. */
static bool parent_has(const struct blob *b, uint64_t index)
{
	const struct blob_map *map = blob_map(b->parent);

	if (index >= map->clusters)
		return blob_back_shows(b->store, &map->back, index);
	return blob_map_get(map, index) != 0;
}

static bool is_wanted(const struct filler *f, uint64_t index)
{
	if (blob_map_get(blob_map(f->blob), index) != 0)
		return false;
	return !f->only_parents || parent_has(f->blob, index);
}

static void fill_some(void *arg)
{
	struct filler *f = arg;

	while (f->result == 0 && f->next < blob_map(f->blob)->clusters) {
		uint64_t index = f->next++;
		int rc = 0;

		if (f->blob->store->interrupted)
			rc = -ECANCELED;
		else if (is_wanted(f, index))
			rc = fill_one(f->blob, index);

		if (rc < 0)
			f->result = rc;
	}
}

static int check_space(const struct filler *f, struct error *err)
{
	uint64_t wanted = 0, left;

	for (uint64_t i = 0; i < blob_map(f->blob)->clusters; i++)
		wanted += is_wanted(f, i);
	if (wanted == 0)
		return 0;
	if (blob_store_check_known(f->blob->store, err) < 0)
		return -EUCLEAN;
	blob_clusters_await(f->blob->store, wanted);
	left = blob_clusters_free_count(f->blob->store);
	if (wanted <= left)
		return 0;
	return error_set(err, -ENOSPC,
			 "blob 0x%" PRIx64 " needs %" PRIu64 " clusters, %" PRIu64 " are free",
			 f->blob->id, wanted, left);
}

/* The blob without its parent: on the device, then in memory. */
static int cut_off(struct blob *b, bool thin, struct blob *parent, struct error *err)
{
	struct blob_esnap *esnap = b->esnap;
	struct blob_state st;
	int rc;

	fiber_lock(&b->md_lock);
	rc = blob_state_begin(&st, b);
	if (rc < 0)
		error_set(err, rc, "blob 0x%" PRIx64 ": no memory", b->id);
	st.invalid &= ~BLOB_INVALID_ESNAP;
	if (!thin)
		st.invalid &= ~BLOB_INVALID_THIN;
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_SNAP);
	blob_xattrs_remove(&st.xattrs, true, BLOB_XATTR_EXTSNAP);
	if (rc == 0 && parent != NULL)
		rc = blob_xattrs_set_id(&st.xattrs, BLOB_XATTR_SNAP, parent->id, err);
	if (rc == 0)
		rc = blob_stand_on(b, &st, (struct blob_back){ .parent = parent }, err);
	blob_state_end(&st);
	fiber_unlock(&b->md_lock);
	if (rc == 0 && esnap != NULL) {
		blob_io_barrier(b->store);
		blob_esnap_put(b->store, esnap);
	}
	return rc;
}

static int run(struct blob *b, bool only_parents, struct error *err)
{
	struct filler f = { .blob = b, .only_parents = only_parents };
	/* What stands on an external snapshot is inflated: that has no parent to go on with. */
	struct blob *next = only_parents ? b->parent->parent : NULL;
	int rc = check_space(&f, err);

	if (rc < 0)
		return rc;
	if (blob_parallel(FILLS, fill_some, &f) < 0)
		f.result = -ENOMEM;
	if (f.result < 0)
		return error_set(err, f.result,
				 "blob 0x%" PRIx64 ": a cluster could not be allocated: %s", b->id,
				 error_errno_text(f.result));
	rc = md_flush(b->store);
	if (rc < 0)
		return error_set(err, rc,
				 "blob 0x%" PRIx64
				 ": its new clusters could not be made durable: %s",
				 b->id, error_errno_text(rc));
	if (only_parents && b->parent->esnap != NULL)
		return blob_stand_on_esnap_of(b, b->parent, err);
	return cut_off(b, only_parents, next, err);
}

int blob_inflate(struct blob *b, struct error *err)
{
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	/* A blob without holes to fill and parents to leave stays as it is. */
	rc = (b->invalid & BLOB_INVALID_THIN) != 0 ? run(b, false, err) : 0;
	blob_unlock_op(b);
	return rc;
}

int blob_decouple(struct blob *b, struct error *err)
{
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	if (b->parent == NULL && b->esnap == NULL)
		rc = error_set(err, -EINVAL, "blob 0x%" PRIx64 " has no parent to be taken off",
			       b->id);
	else
		rc = run(b, b->esnap == NULL, err);
	blob_unlock_op(b);
	return rc;
}

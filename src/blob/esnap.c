/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots: bdevs of somebody else that blobs of a store stand on.
 *
 * One entry for each external id, shared by all blobs that have it. It is opened when the first of
 * them is opened; while the bdev is missing the blobs are degraded.
 *
 * Threading: reactor 0; a channel of it is got on each reactor when I/O first needs one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

static bool slot_is_used(const struct blob_store *store, uint32_t slot)
{
	const struct blob_esnap *e;

	LIST_FOREACH (e, &store->esnaps, link) {
		if (e->slot == slot)
			return true;
	}
	return false;
}

struct blob_esnap *blob_esnap_get(struct blob_store *store, const void *id, uint16_t len)
{
	struct blob_esnap *e;

	LIST_FOREACH (e, &store->esnaps, link) {
		if (e->id_len == len && memcmp(e->id, id, len) == 0) {
			e->refs++;
			return e;
		}
	}
	e = calloc(1, sizeof(*e) + len);
	if (e == NULL)
		return NULL;
	e->refs = 1;
	while (slot_is_used(store, e->slot))
		e->slot++;
	e->id_len = len;
	memcpy(e->id, id, len);
	LIST_INSERT_HEAD(&store->esnaps, e, link);
	return e;
}

void blob_esnap_put(struct blob_store *store, struct blob_esnap *e)
{
	if (--e->refs > 0)
		return;
	if (e->desc != NULL) {
		blob_channels_drop(store, e->slot);
		store->esnap_ops.close(store->esnap_ops.arg, e->desc);
	}
	LIST_REMOVE(e, link);
	free(e);
}

static int check_source(const struct blob_store *store, const struct bdev *bdev, struct error *err)
{
	uint32_t block = bdev_block_size(bdev);

	if (block <= store->geo.io_unit_size && store->geo.io_unit_size % block == 0)
		return 0;
	return error_set(err, -EINVAL,
			 "external snapshot \"%s\" has blocks of %" PRIu32
			 " bytes, which do not divide the store's I/O unit of %" PRIu32,
			 bdev_name(bdev), block, store->geo.io_unit_size);
}

int blob_esnap_open(struct blob_store *store, struct blob_esnap *e, struct error *err)
{
	const struct blob_esnap_ops *ops = &store->esnap_ops;
	struct bdev_desc *desc;
	int rc;

	if (e->desc != NULL)
		return 0;
	if (ops->open == NULL)
		return error_set(err, -ENODEV, "external snapshots are not offered here");
	rc = ops->open(ops->arg, e->id, e->id_len, &desc, err);
	if (rc < 0)
		return rc;
	rc = check_source(store, bdev_of(desc), err);
	/* Another fiber may have opened it while this one waited. */
	if (rc < 0 || e->desc != NULL) {
		ops->close(ops->arg, desc);
		return rc;
	}
	e->block_size = bdev_block_size(bdev_of(desc));
	e->bytes = bdev_num_blocks(bdev_of(desc)) * e->block_size;
	__atomic_store_n(&e->desc, desc, __ATOMIC_RELEASE);
	return 0;
}

struct blob_esnap *blob_esnap_of(const struct blob *b)
{
	while (b->parent != NULL)
		b = b->parent;
	return b->esnap;
}

static struct blob_esnap *find_by_desc(const struct blob_store *store, const struct bdev_desc *desc)
{
	struct blob_esnap *e;

	LIST_FOREACH (e, &store->esnaps, link) {
		if (e->desc == desc)
			return e;
	}
	return NULL;
}

/* Order: nobody begins to read it => nobody reads it => no reactor has a channel of it => closed.
 */
void blob_store_esnap_gone(struct blob_store *store, struct bdev_desc *desc)
{
	struct blob_esnap *e = find_by_desc(store, desc);

	if (e == NULL)
		return;
	e->refs++;
	__atomic_store_n(&e->desc, NULL, __ATOMIC_RELEASE);
	blob_io_barrier(store);
	blob_channels_drop(store, e->slot);
	store->esnap_ops.close(store->esnap_ops.arg, desc);
	blob_esnap_put(store, e);
}

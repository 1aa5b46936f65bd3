/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as a bdev: shown, hidden, and its I/O.
 *
 * Threading: reactor 0; channels and I/O on the reactor of the channel.
 */
#include <errno.h>
#include <string.h>

#include "lvol/internal.h"

/* --- I/O -------------------------------------------------------------------------------------- */

struct channel {
	struct blob_channel *blobs;
	struct blob *blob;
};

static int channel_open(struct bdev *bdev, void *ctx)
{
	const struct lvol *lvol = container_of(bdev, struct lvol, bdev);
	struct channel *ch = ctx;

	ch->blob = lvol->blob;
	return blob_channel_get(lvol->store->blobs, &ch->blobs);
}

static void channel_close(struct bdev *bdev, void *ctx)
{
	(void)bdev;
	blob_channel_put(((struct channel *)ctx)->blobs);
}

static void submit(void *ctx, struct bdev_io *io)
{
	const struct channel *ch = ctx;

	blob_submit(ch->blobs, ch->blob, io);
}

static void destruct(struct bdev *bdev)
{
	struct lvol *lvol = container_of(bdev, struct lvol, bdev);

	lvol_mark(lvol, lvol->ready, false);
	bdev_destruct_done(bdev, 0);
}

/* Volumes are found again by examination: there is nothing to save. */
static const struct bdev_ops ops = {
	.channel_open = channel_open,
	.channel_close = channel_close,
	.submit = submit,
	.destruct = destruct,
	.dump = lvol_dump,
};

/* --- showing ---------------------------------------------------------------------------------- */

/*
 * Unmapped ranges need not read as zeroes: a hole of a clone reads what its snapshot has. A base
 * with a write cache has to be flushed through the volume.
 */
static void fill(struct lvol *lvol, const struct blob_info *blob)
{
	const struct bdev *base = bdev_of(lvol->store->base);
	struct blob_store_info store;

	blob_store_info_get(lvol->store->blobs, &store);
	lvol->bdev = (struct bdev){
		.product_name = "Logical Volume",
		.uuid = lvol->uuid,
		.block_size = store.io_unit_size,
		.num_blocks = blob->clusters * (store.cluster_size / store.io_unit_size),
		.may_be_empty = true,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_UNMAP |
			 1u << BDEV_IO_WRITE_ZEROES | 1u << BDEV_IO_SEEK_DATA |
			 1u << BDEV_IO_SEEK_HOLE,
		.alignment = 1,
		.boundary = store.cluster_size / store.io_unit_size,
		.write_cache = bdev_has_write_cache(base),
		.read_only = blob->read_only || base->read_only,
		.channel_bytes = sizeof(struct channel),
		.module = &lvol_module,
		.ops = &ops,
	};
	if (lvol->bdev.write_cache)
		lvol->bdev.types |= 1u << BDEV_IO_FLUSH;
}

int lvol_show(struct lvol *lvol, struct error *err)
{
	char id[LVOL_UNIQUE_ID_SIZE], alias[LVOL_ALIAS_SIZE];
	struct error why = ERROR_INIT;
	struct blob_info blob;
	int rc;

	blob_info_get(lvol->blob, &blob);
	if (lvol->shown || blob.degraded)
		return 0;
	fill(lvol, &blob);
	lvol_unique_id(lvol, id);
	rc = bdev_register(&lvol->bdev, id, err);
	if (rc < 0)
		return rc;
	lvol_mark(lvol, lvol->ready, true);
	/* Only a bdev with an odd name can be in the way: the volume is there all the same. */
	lvol_alias(lvol, lvol_name(lvol), alias);
	if (bdev_alias_add(&lvol->bdev, alias, &why) < 0)
		log_warning("volume %s has no alias \"%s\": %s", id, alias, why.text);
	return 0;
}

/* --- hiding ----------------------------------------------------------------------------------- */

struct hiding {
	uint32_t left;
	struct fiber_event over;
};

static void one_less(struct hiding *h)
{
	if (--h->left == 0)
		fiber_event_set(&h->over, 0);
}

static void hidden(void *arg, int result)
{
	(void)result;
	one_less(arg);
}

static void start(struct lvol *lvol, struct hiding *h)
{
	if (lvol->shown && bdev_unregister(&lvol->bdev, hidden, h) == 0)
		h->left++;
}

/* Nothing has ended inside bdev_unregister(): the count that it starts with is the waiter's. */
static void wait_for(struct hiding *h)
{
	one_less(h);
	fiber_event_wait(&h->over);
}

static void wait_gone(const struct lvol *lvol)
{
	/* Somebody else takes it away. */
	while (lvol->shown)
		fiber_yield();
}

void lvol_hide(struct lvol *lvol)
{
	struct hiding h = { .left = 1, .over = FIBER_EVENT_INIT };

	start(lvol, &h);
	wait_for(&h);
	wait_gone(lvol);
}

void lvol_hide_all(struct lvol_store *store)
{
	struct hiding h = { .left = 1, .over = FIBER_EVENT_INIT };
	struct lvol *lvol;

	TAILQ_FOREACH (lvol, &store->lvols, link)
		start(lvol, &h);
	wait_for(&h);
	TAILQ_FOREACH (lvol, &store->lvols, link)
		wait_gone(lvol);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at each bdev that appears: volumes that waited for it as their external snapshot, and a
 * store on it.
 *
 * A few fibers work through a queue, so that ten thousand bdevs that appear at once need no ten
 * thousand stacks, and a device that hangs does not keep the others waiting.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lvol/internal.h"

#define WORKERS_MAX 8u

/** struct look - a bdev that is to be examined; open, so that it stays */
struct look {
	TAILQ_ENTRY(look) link;
	struct bdev_desc *desc;
	bool removed;
};

static struct {
	TAILQ_HEAD(, look) queue;
	uint32_t workers;
	bool stopped;
	struct fiber_event *idle;
} looks = { .queue = TAILQ_HEAD_INITIALIZER(looks.queue) };

static void examine(struct bdev *bdev);

struct bdev_module lvol_module = {
	.name = "lvol",
	.claim_type = "read_many_write_one",
	.examine = examine,
};

__attribute__((constructor)) static void register_module(void)
{
	bdev_module_register(&lvol_module);
}

/* --- is there a store ------------------------------------------------------------------------- */

struct read {
	struct bdev_io io;
	struct iovec iov;
	struct fiber_event over;
};

static void read_done(struct bdev_io *io)
{
	fiber_event_set(&container_of(io, struct read, io)->over, io->status.err);
}

static int read_first(struct bdev_desc *desc, void *page)
{
	uint32_t block = bdev_block_size(bdev_of(desc));
	struct read r = { .io.done = read_done, .over = FIBER_EVENT_INIT };
	struct bdev_channel *ch;
	int rc = bdev_channel_get(desc, &ch);

	if (rc < 0)
		return rc;
	r.iov = (struct iovec){ .iov_base = page, .iov_len = BLOB_PAGE_BYTES };
	bdev_readv(ch, &r.io, &r.iov, 1, 0, BLOB_PAGE_BYTES / block);
	rc = fiber_event_wait(&r.over);
	bdev_channel_put(ch);
	return rc;
}

/* A store can only be on blocks that divide a page, on a bdev that has one. */
static bool may_have_store(const struct bdev *bdev)
{
	uint32_t block = bdev_block_size(bdev);

	return BLOB_PAGE_BYTES % block == 0 && bdev_num_blocks(bdev) >= BLOB_PAGE_BYTES / block;
}

static bool has_store(struct bdev_desc *desc)
{
	const struct blob_disk_super *super;
	bool found;
	void *page;

	if (!may_have_store(bdev_of(desc)))
		return false;
	page = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);
	if (page == NULL)
		return false;
	super = page;
	found = read_first(desc, page) == 0 &&
		memcmp(super->signature, BLOB_SIGNATURE, sizeof(super->signature)) == 0 &&
		memcmp(super->bstype, LVOL_STORE_BSTYPE, sizeof(LVOL_STORE_BSTYPE)) == 0;
	free(page);
	return found;
}

/* --- the queue -------------------------------------------------------------------------------- */

static void look_at(struct look *look)
{
	struct bdev *bdev = bdev_of(look->desc);
	struct error err = ERROR_INIT;

	lvol_esnap_came(bdev);
	if (look->removed || !has_store(look->desc) || look->removed)
		return;
	if (lvol_store_load(bdev_name(bdev), &err) < 0)
		log_error("an lvol store cannot be used: %s", err.text);
}

static void look_end(struct look *look)
{
	bdev_examine_done(&lvol_module, bdev_of(look->desc));
	bdev_close(look->desc);
	free(look);
}

static void work(void *arg)
{
	struct look *look;

	(void)arg;
	while ((look = TAILQ_FIRST(&looks.queue)) != NULL) {
		TAILQ_REMOVE(&looks.queue, look, link);
		if (!looks.stopped)
			look_at(look);
		look_end(look);
	}
	if (--looks.workers == 0 && looks.idle != NULL)
		fiber_event_set(looks.idle, 0);
}

static void removed(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	if (event == BDEV_EVENT_REMOVE)
		((struct look *)user)->removed = true;
}

static int enqueue(struct bdev *bdev, struct error *err)
{
	struct look *look = calloc(1, sizeof(*look));
	int rc;

	if (look == NULL)
		return error_set(err, -ENOMEM, "no memory");
	rc = bdev_open(bdev_name(bdev), false, removed, look, &look->desc, err);
	if (rc == 0 && looks.workers < WORKERS_MAX) {
		rc = fiber_start(work, NULL);
		if (rc == 0)
			looks.workers++;
		else if (looks.workers > 0)
			rc = 0;
		else
			bdev_close(look->desc);
	}
	if (rc < 0) {
		free(look);
		return rc;
	}
	TAILQ_INSERT_TAIL(&looks.queue, look, link);
	return 0;
}

static void examine(struct bdev *bdev)
{
	struct error err = ERROR_INIT;

	if (!looks.stopped && enqueue(bdev, &err) == 0)
		return;
	if (err.code < 0)
		log_error("bdev \"%s\" is not examined for an lvol store: %s", bdev_name(bdev),
			  err.text);
	bdev_examine_done(&lvol_module, bdev);
}

void lvol_examine_stop(void)
{
	struct fiber_event idle = FIBER_EVENT_INIT;

	looks.stopped = true;
	if (looks.workers == 0)
		return;
	looks.idle = &idle;
	fiber_event_wait(&idle);
	looks.idle = NULL;
}

void lvol_examine_resume(void)
{
	looks.stopped = false;
}

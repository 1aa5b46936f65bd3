/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk that is cut.
 *
 * Threading: see disk.h.
 */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "bdev/iov.h"
#include "kit.h"

/* struct saved - a page as it was before the first change since a mark */
struct saved {
	uint64_t page;
	uint32_t serial;
	uint8_t bytes[PAGE];
};

struct disk {
	struct bdev bdev;
	uint8_t *data;
	uint64_t bytes;
	struct record *record;
	struct random *late;
	pthread_mutex_t lock;
	uint64_t changes;
	uint32_t *serial_of; /* a page was saved for the mark with this number */
	uint32_t serial, last_serial;
	struct saved *saved;
	uint32_t saved_count, saved_room;
};

/* --- the record ------------------------------------------------------------------------------- */

struct record *record_create(void)
{
	struct record *r = kit_alloc(sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void record_destroy(struct record *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		free(r->at[i].data);
	free(r->at);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static uint32_t record_add(struct record *r, const struct event *e)
{
	uint32_t index;

	pthread_mutex_lock(&r->lock);
	if (r->count == r->room) {
		r->room = r->room == 0 ? 256 : r->room * 2;
		r->at = kit_realloc(r->at, r->room * sizeof(*r->at));
	}
	index = r->count++;
	r->at[index] = *e;
	pthread_mutex_unlock(&r->lock);
	return index;
}

uint32_t record_note(struct record *r, enum event_kind kind, uint32_t of, bool promise)
{
	struct event e = { .kind = kind, .of = of, .promise = promise };

	return record_add(r, &e);
}

const uint8_t *event_block(const struct event *e, uint64_t block)
{
	static const uint8_t zeroes[BLOCK];

	if (e->data != NULL)
		return e->data + (block - e->block) * BLOCK;
	return e->spares_odd && block % 2 == 1 ? NULL : zeroes;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void save(struct disk *d, uint64_t page)
{
	struct saved *s;

	if (d->serial == 0 || d->serial_of[page] == d->serial)
		return;
	if (d->saved_count == d->saved_room) {
		d->saved_room = d->saved_room == 0 ? 256 : d->saved_room * 2;
		d->saved = kit_realloc(d->saved, d->saved_room * sizeof(*d->saved));
	}
	s = &d->saved[d->saved_count++];
	s->page = page;
	s->serial = d->serial_of[page];
	memcpy(s->bytes, d->data + page * PAGE, PAGE);
	d->serial_of[page] = d->serial;
}

struct disk_mark disk_mark(struct disk *d)
{
	struct disk_mark mark = { .saved = d->saved_count, .serial = d->serial };

	d->serial = ++d->last_serial;
	return mark;
}

void disk_undo(struct disk *d, struct disk_mark mark)
{
	while (d->saved_count > mark.saved) {
		const struct saved *s = &d->saved[--d->saved_count];

		memcpy(d->data + s->page * PAGE, s->bytes, PAGE);
		d->serial_of[s->page] = s->serial;
	}
	d->serial = mark.serial;
}

void disk_put(struct disk *d, uint64_t block, const uint8_t *bytes)
{
	save(d, block / PAGE_BLOCKS);
	memcpy(d->data + block * BLOCK, bytes, BLOCK);
}

static void apply(struct disk *d, const struct event *e)
{
	for (uint64_t i = e->block; i < e->block + e->blocks; i++) {
		const uint8_t *bytes = event_block(e, i);

		if (bytes != NULL)
			disk_put(d, i, bytes);
	}
	d->changes++;
}

/* --- I/O -------------------------------------------------------------------------------------- */

/* struct disk_io - in the scratch; @turns: until it is answered */
struct disk_io {
	struct reactor_msg msg;
	struct disk *disk;
	struct bdev_io *io;
	uint32_t index, turns;
};

static void answer(struct disk_io *dio)
{
	struct bdev_io *io = dio->io;
	struct record *r = dio->disk->record;

	if (r != NULL && io->type != BDEV_IO_READ)
		record_note(r, io->type == BDEV_IO_FLUSH ? EVENT_FLUSHED : EVENT_DONE, dio->index,
			    false);
	bdev_io_complete_errno(io, 0);
}

static void turn(struct reactor_msg *msg)
{
	struct disk_io *dio = container_of(msg, struct disk_io, msg);

	if (dio->turns-- > 0)
		reactor_defer(msg);
	else
		answer(dio);
}

static struct event event_of(const struct disk *d, const struct bdev_io *io)
{
	struct event e = {
		.kind = io->type == BDEV_IO_FLUSH ? EVENT_FLUSH : EVENT_WRITE,
		.fua = (io->flags & BDEV_IO_FUA) != 0,
		.unmap = io->type == BDEV_IO_UNMAP,
		.spares_odd = io->type == BDEV_IO_UNMAP && !d->bdev.unmap_zeroes,
		.block = io->offset,
		.blocks = io->blocks,
	};

	if (io->type == BDEV_IO_WRITE) {
		e.data = kit_alloc(io->blocks * BLOCK);
		iov_gather(e.data, io->iov, io->iovcnt, 0, io->blocks * BLOCK);
	}
	return e;
}

static void change(struct disk_io *dio)
{
	struct disk *d = dio->disk;
	struct event e = event_of(d, dio->io);

	if (e.kind == EVENT_WRITE)
		apply(d, &e);
	if (d->record != NULL)
		dio->index = record_add(d->record, &e);
	else
		free(e.data);
}

static void submit(void *ctx, struct bdev_io *io)
{
	struct disk_io *dio = bdev_io_ctx(io, struct disk_io);
	struct disk *d = *(struct disk **)ctx;

	*dio = (struct disk_io){ .msg.fn = turn, .disk = d, .io = io };
	pthread_mutex_lock(&d->lock);
	if (io->type == BDEV_IO_READ)
		iov_scatter(io->iov, io->iovcnt, 0, d->data + io->offset * BLOCK,
			    io->blocks * BLOCK);
	else
		change(dio);
	if (d->late != NULL)
		dio->turns = random_below(d->late, 4);
	pthread_mutex_unlock(&d->lock);
	if (d->late != NULL)
		reactor_defer(&dio->msg);
	else
		answer(dio);
}

/* --- the bdev --------------------------------------------------------------------------------- */

static int open_channel(struct bdev *bdev, void *ctx)
{
	*(struct disk **)ctx = container_of(bdev, struct disk, bdev);
	return 0;
}

static void destruct(struct bdev *bdev)
{
	struct disk *d = container_of(bdev, struct disk, bdev);

	bdev_destruct_done(bdev, 0);
	pthread_mutex_destroy(&d->lock);
	free(d->data);
	free(d->serial_of);
	free(d->saved);
	free(d);
}

static const struct bdev_ops ops = {
	.channel_open = open_channel,
	.submit = submit,
	.destruct = destruct,
};
static const struct bdev_module module = { .name = "cut" };

struct disk *disk_create(const char *name, uint64_t bytes, uint64_t room, bool unmap_zeroes)
{
	struct disk *d = kit_alloc(sizeof(*d));
	struct error err = ERROR_INIT;

	d->bytes = room;
	d->data = kit_alloc(room);
	memset(d->data, POISON, room);
	d->serial_of = kit_alloc(room / PAGE * sizeof(*d->serial_of));
	pthread_mutex_init(&d->lock, NULL);
	d->bdev = (struct bdev){
		.product_name = "cut",
		.block_size = BLOCK,
		.num_blocks = bytes / BLOCK,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
			 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES,
		.alignment = 1,
		.write_cache = true,
		.unmap_zeroes = unmap_zeroes,
		.channel_bytes = sizeof(struct disk *),
		.module = &module,
		.ops = &ops,
	};
	kit_must(bdev_register(&d->bdev, name, &err), &err);
	return d;
}

void disk_delete(struct disk *d)
{
	kit_unregister(&d->bdev);
}

struct bdev *disk_bdev(struct disk *d)
{
	return &d->bdev;
}

uint8_t *disk_data(struct disk *d)
{
	return d->data;
}

uint64_t disk_bytes(const struct disk *d)
{
	return d->bytes;
}

uint64_t disk_changes(const struct disk *d)
{
	return d->changes;
}

void disk_record(struct disk *d, struct record *r, struct random *late)
{
	d->record = r;
	d->late = late;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bdev in memory for tests.
 *
 * Threading: I/O on the channels' reactors; counters are atomic.
 */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container_of.h"
#include "bdev/iov.h"

struct fake_io {
	struct reactor_msg msg;
	struct bdev_io *io;
	TAILQ_ENTRY(fake_io) link;
};

struct fake_channel {
	struct fake *fake;
	TAILQ_HEAD(fake_io_list, fake_io) kept;
};

struct bdev_module fake_module = { .name = "fake" };

static int fake_open(struct bdev *bdev, void *ctx)
{
	struct fake_channel *ch = ctx;

	ch->fake = container_of(bdev, struct fake, bdev);
	ch->fake->contexts[reactor_index(reactor_self())] = ch;
	TAILQ_INIT(&ch->kept);
	atomic_fetch_add(&ch->fake->channels, 1);
	return 0;
}

static void fake_close(struct bdev *bdev, void *ctx)
{
	struct fake_channel *ch = ctx;

	(void)bdev;
	if (!TAILQ_EMPTY(&ch->kept))
		atomic_fetch_add(&ch->fake->violations, 1);
	atomic_fetch_sub(&ch->fake->channels, 1);
}

/* --- checking ------------------------------------------------------------------------------- */

static bool data_is_right(const struct bdev *b, const struct bdev_io *io)
{
	uintptr_t bits = 0;

	if (io->iovcnt == 0)
		return b->lends && io->type == BDEV_IO_READ;
	for (uint16_t i = 0; i < io->iovcnt; i++)
		bits |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
	if ((bits & (b->alignment - 1u)) != 0)
		return false;
	if (iov_bytes(io->iov, io->iovcnt) != io->blocks * b->block_size)
		return false;
	if (b->max_iov != 0 && io->iovcnt > b->max_iov)
		return false;
	if (b->max_rw != 0 && io->blocks > b->max_rw)
		return false;
	return !b->split_on_boundary || b->boundary == 0 ||
	       io->offset / b->boundary == (io->offset + io->blocks - 1) / b->boundary;
}

static bool is_right(const struct bdev *b, const struct bdev_io *io)
{
	if ((b->types & (1u << io->type)) == 0)
		return false;
	if ((io->flags & BDEV_IO_FUA) != 0 && !b->write_cache)
		return false;
	switch (io->type) {
	case BDEV_IO_FLUSH:
	case BDEV_IO_RESET:
		return true;
	case BDEV_IO_UNMAP:
		return b->max_unmap == 0 || io->blocks <= b->max_unmap;
	case BDEV_IO_WRITE_ZEROES:
		return b->max_write_zeroes == 0 || io->blocks <= b->max_write_zeroes;
	default:
		break;
	}
	if (io->blocks == 0 || io->offset + io->blocks > b->num_blocks)
		return false;
	return data_is_right(b, io);
}

/* --- carrying out --------------------------------------------------------------------------- */

static int carry_out(struct fake *f, struct bdev_io *io)
{
	size_t bytes = io->blocks * f->bdev.block_size;
	char *at = f->memory + io->offset * f->bdev.block_size;
	bool hit = f->fail_block >= io->offset && f->fail_block < io->offset + io->blocks;

	switch (io->type) {
	case BDEV_IO_READ:
		iov_scatter(io->iov, io->iovcnt, 0, at, bytes);
		return 0;
	case BDEV_IO_WRITE:
		if (f->fail != 0 && hit)
			return f->fail;
		iov_gather(at, io->iov, io->iovcnt, 0, bytes);
		return 0;
	case BDEV_IO_WRITE_ZEROES:
	case BDEV_IO_UNMAP:
		memset(at, 0, bytes);
		return 0;
	case BDEV_IO_COMPARE:
		return iov_equals(io->iov, io->iovcnt, 0, at, bytes) ? 0 : -EILSEQ;
	default:
		return 0;
	}
}

static struct fake *fake_of(const struct bdev_io *io)
{
	return container_of(bdev_channel_bdev(io->channel), struct fake, bdev);
}

static void finish(struct bdev_io *io)
{
	struct fake *f = fake_of(io);
	int rc = carry_out(f, io);

	atomic_fetch_sub(&f->under_way, 1);
	bdev_io_complete_errno(io, rc);
}

static void finish_later(struct reactor_msg *msg)
{
	finish(container_of(msg, struct fake_io, msg)->io);
}

static void fake_submit(void *ctx, struct bdev_io *io)
{
	struct fake_channel *ch = ctx;
	struct fake *f = ch->fake;
	struct fake_io *fio = bdev_io_ctx(io, struct fake_io);

	if (!is_right(&f->bdev, io))
		atomic_fetch_add(&f->violations, 1);
	atomic_fetch_add(&f->submitted[io->type], 1);
	atomic_fetch_add(&f->under_way, 1);
	fio->io = io;
	if (atomic_load(&f->hold) && io->type != BDEV_IO_RESET) {
		TAILQ_INSERT_TAIL(&ch->kept, fio, link);
	} else if (f->later) {
		fio->msg.fn = finish_later;
		reactor_defer(&fio->msg);
	} else {
		finish(io);
	}
}

static bool fake_abort(void *ctx, struct bdev_io *target)
{
	struct fake_channel *ch = ctx;
	struct fake_io *fio;

	if (!ch->fake->can_abort)
		return false;
	TAILQ_FOREACH (fio, &ch->kept, link) {
		if (fio->io != target)
			continue;
		TAILQ_REMOVE(&ch->kept, fio, link);
		atomic_fetch_sub(&ch->fake->under_way, 1);
		bdev_io_complete_errno(target, -ECANCELED);
		return true;
	}
	return false;
}

static void fake_destruct(struct bdev *bdev)
{
	struct fake *f = container_of(bdev, struct fake, bdev);

	f->destructed = true;
	bdev_destruct_done(bdev, 0);
}

static const struct bdev_ops fake_ops = {
	.channel_open = fake_open,
	.channel_close = fake_close,
	.submit = fake_submit,
	.abort = fake_abort,
	.destruct = fake_destruct,
};

/* --- for tests ------------------------------------------------------------------------------ */

void fake_init(struct fake *f, uint64_t blocks)
{
	memset(f, 0, sizeof(*f));
	f->bdev.block_size = 512;
	f->bdev.num_blocks = blocks;
	f->bdev.alignment = 1;
	f->fail_block = UINT64_MAX;
}

struct register_call {
	struct fake *f;
	const char *name;
	int rc;
};

static void register_here(void *arg)
{
	struct register_call *c = arg;

	c->rc = bdev_register(&c->f->bdev, c->name, NULL);
}

void fake_register(struct fake *f, const char *name)
{
	struct register_call c = { .f = f, .name = name };

	f->bdev.product_name = "Fake disk";
	f->bdev.module = &fake_module;
	f->bdev.ops = &fake_ops;
	f->bdev.channel_bytes = sizeof(struct fake_channel);
	if (f->bdev.types == 0)
		f->bdev.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE;
	f->memory = calloc(f->bdev.num_blocks, f->bdev.block_size);
	assert_non_null(f->memory);
	harness_call(0, register_here, &c);
	assert_int_equal(c.rc, 0);
}

static void release_here(void *arg)
{
	struct fake_channel *ch = arg;
	struct fake_io_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct fake_io *fio;

	TAILQ_CONCAT(&batch, &ch->kept, link);
	while ((fio = TAILQ_FIRST(&batch)) != NULL) {
		TAILQ_REMOVE(&batch, fio, link);
		finish(fio->io);
	}
}

void fake_release(struct fake *f, unsigned int reactor)
{
	harness_call(reactor, release_here, f->contexts[reactor]);
}

void fake_wait(struct fake *f, unsigned int count)
{
	while (atomic_load(&f->under_way) != count)
		usleep(100);
}

void fake_free(struct fake *f)
{
	assert_int_equal(atomic_load(&f->violations), 0);
	assert_int_equal(atomic_load(&f->channels), 0);
	assert_int_equal(atomic_load(&f->under_way), 0);
	assert_true(f->destructed);
	free(f->memory);
	f->memory = NULL;
}

void fake_fini(struct fake *f)
{
	assert_int_equal(harness_unregister(&f->bdev), 0);
	fake_free(f);
}

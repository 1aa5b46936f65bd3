/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O of the rbd module: each goes to librbd, which completes it on a thread of its own; a message
 * brings that to the reactor that asked.
 *
 * Threading: the channel's reactor, except completed(), which is librbd's.
 */
#include <errno.h>

#include "bdev_modules/rbd_internal.h"

/**
 * struct rbd_io - an I/O under way
 * @origin: the reactor that asked
 * @result: librbd's: a negative errno, bytes of a read, else 0
 * @flushing: a write that is to be durable is done, its flush is under way
 */
struct rbd_io {
	struct bdev_io *io;
	struct reactor *origin;
	struct reactor_msg msg;
	ssize_t result;
	bool flushing;
};

static struct rbd_bdev *rbd_of(const struct bdev_io *io)
{
	return container_of(bdev_channel_bdev(io->channel), struct rbd_bdev, bdev);
}

static const struct rbd_lib *lib_of(const struct bdev_io *io)
{
	return rbd_of(io)->cluster->lib;
}

static uint64_t bytes_of(const struct bdev_io *io)
{
	return io->blocks * rbd_of(io)->bdev.block_size;
}

static void completed(void *completion, void *arg)
{
	struct rbd_io *rio = arg;
	const struct rbd_lib *lib = lib_of(rio->io);

	rio->result = lib->rbd_aio_get_return_value(completion);
	lib->rbd_aio_release(completion);
	reactor_send_foreign(rio->origin, &rio->msg);
}

static int start_type(struct rbd_io *rio, void *completion)
{
	const struct bdev_io *io = rio->io;
	const struct rbd_bdev *r = rbd_of(io);
	const struct rbd_lib *lib = r->cluster->lib;
	uint64_t offset = io->offset * r->bdev.block_size, bytes = bytes_of(io);

	if (rio->flushing)
		return lib->rbd_aio_flush(r->image, completion);
	switch (io->type) {
	case BDEV_IO_READ:
		return lib->rbd_aio_readv(r->image, io->iov, io->iovcnt, offset, completion);
	case BDEV_IO_WRITE:
		return lib->rbd_aio_writev(r->image, io->iov, io->iovcnt, offset, completion);
	case BDEV_IO_FLUSH:
		return lib->rbd_aio_flush(r->image, completion);
	case BDEV_IO_UNMAP:
		return lib->rbd_aio_discard(r->image, offset, bytes, completion);
	case BDEV_IO_WRITE_ZEROES:
		return lib->rbd_aio_write_zeroes(r->image, offset, bytes, completion, 0, 0);
	default:
		return -EOPNOTSUPP;
	}
}

static void start(struct rbd_io *rio)
{
	const struct rbd_lib *lib = lib_of(rio->io);
	void *completion;
	int rc = lib->rbd_aio_create_completion(rio, completed, &completion);

	if (rc == 0) {
		rc = start_type(rio, completion);
		if (rc < 0)
			lib->rbd_aio_release(completion);
	}
	if (rc < 0)
		bdev_io_complete_errno(rio->io, rc);
}

/* An image that was cut by somebody else gives less than was asked for. */
static int outcome(const struct rbd_io *rio)
{
	if (rio->result < 0)
		return (int)rio->result;
	if (rio->io->type == BDEV_IO_READ && (uint64_t)rio->result != bytes_of(rio->io))
		return -EIO;
	return 0;
}

static bool is_to_be_durable(const struct bdev_io *io)
{
	return (io->flags & BDEV_IO_FUA) != 0 &&
	       (io->type == BDEV_IO_WRITE || io->type == BDEV_IO_WRITE_ZEROES);
}

static void returned(struct reactor_msg *msg)
{
	struct rbd_io *rio = container_of(msg, struct rbd_io, msg);
	int rc = outcome(rio);

	if (rc < 0 || rio->flushing || !is_to_be_durable(rio->io)) {
		bdev_io_complete_errno(rio->io, rc);
		return;
	}
	rio->flushing = true;
	start(rio);
}

void rbd_bdev_submit(void *ctx, struct bdev_io *io)
{
	struct rbd_io *rio = bdev_io_ctx(io, struct rbd_io);

	(void)ctx;
	rio->io = io;
	rio->origin = reactor_self();
	rio->msg.fn = returned;
	rio->flushing = false;
	start(rio);
}

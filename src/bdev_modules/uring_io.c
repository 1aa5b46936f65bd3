/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O of the uring module: each goes to the reactor's I/O, short transfers are continued, and what
 * the kernel has no asynchronous call for is done on a helper thread.
 *
 * Threading: the channel's reactor; the run functions of works on helper threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bdev_modules/uring_internal.h"
#include "reactor/io.h"

/* Where there is no ZERO_RANGE, so many times the zeroes that all share are written at once. */
#define ZERO_IOV 4u

/**
 * struct uring_io - an I/O under way
 * @done, @total: bytes
 * @iov: the segment that a short transfer ended in; zeroes to be written
 * @work_result: of a helper thread, a negative errno or where a seek came to
 */
struct uring_io {
	struct reactor_io rio;
	struct reactor_work work;
	struct bdev_io *io;
	uint64_t done, total;
	struct iovec iov[ZERO_IOV];
	int64_t work_result;
};

static struct uring_io *uring_io_of(struct bdev_io *io)
{
	return bdev_io_ctx(io, struct uring_io);
}

static struct uring_bdev *uring_of(const struct bdev_io *io)
{
	return container_of(bdev_channel_bdev(io->channel), struct uring_bdev, bdev);
}

static uint64_t offset_of(const struct bdev_io *io)
{
	return io->offset * uring_of(io)->bdev.block_size;
}

/* What the kernel's block layer means by some errnos (block/blk-core.c) is narrower here. */
static struct bdev_status status_of(const struct bdev_io *io, int err)
{
	if (err == -EIO && io->type == BDEV_IO_READ)
		return bdev_status_nvme(0x2, 0x81, false); /* Unrecovered Read Error */
	if (err == -EIO && (io->type == BDEV_IO_WRITE || io->type == BDEV_IO_WRITE_ZEROES))
		return bdev_status_nvme(0x2, 0x80, false); /* Write Fault */
	if (err == -EILSEQ)
		return bdev_status_nvme(0x2, 0x82, true); /* Guard Check Error */
	return bdev_status_from_errno(err);
}

static void end(struct uring_io *uio, int err)
{
	bdev_io_complete(uio->io, status_of(uio->io, err));
}

static struct uring_io *begin(struct bdev_io *io)
{
	struct uring_io *uio = uring_io_of(io);

	uio->io = io;
	uio->done = 0;
	uio->total = io->blocks * uring_of(io)->bdev.block_size;
	return uio;
}

/* --- read and write ------------------------------------------------------------------------- */

static void transfer_done(struct reactor_io *rio, int32_t result);

static void transfer(struct uring_io *uio, const struct iovec *iov, uint16_t iovcnt)
{
	struct bdev_io *io = uio->io;
	int fd = uring_of(io)->fd;
	uint64_t offset = offset_of(io) + uio->done;

	uio->rio.done = transfer_done;
	if (io->type == BDEV_IO_READ)
		reactor_io_readv(&uio->rio, fd, iov, iovcnt, offset);
	else
		reactor_io_writev(&uio->rio, fd, iov, iovcnt, offset,
				  (io->flags & BDEV_IO_FUA) != 0);
}

/* First the rest of the segment that was cut, by itself; then all behind it. */
static void transfer_rest(struct uring_io *uio)
{
	const struct iovec *iov = uio->io->iov;
	uint16_t left = uio->io->iovcnt;
	uint64_t skip = uio->done;

	while (left > 0 && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		left--;
	}
	if (skip == 0) {
		transfer(uio, iov, left);
		return;
	}
	uio->iov[0].iov_base = (char *)iov->iov_base + skip;
	uio->iov[0].iov_len = iov->iov_len - skip;
	transfer(uio, uio->iov, 1);
}

/* Nothing at all means that the file has become shorter than the bdev. */
static int progress(struct uring_io *uio, int32_t result)
{
	if (result == -EINTR || result == -EAGAIN)
		return 0;
	if (result <= 0)
		return result < 0 ? result : -EIO;
	uio->done += (uint32_t)result;
	return 0;
}

static void transfer_done(struct reactor_io *rio, int32_t result)
{
	struct uring_io *uio = container_of(rio, struct uring_io, rio);
	int rc = progress(uio, result);

	if (__builtin_expect(rc < 0 || uio->done == uio->total, 1))
		end(uio, rc);
	else
		transfer_rest(uio);
}

/* --- flush ---------------------------------------------------------------------------------- */

static void simple_done(struct reactor_io *rio, int32_t result)
{
	end(container_of(rio, struct uring_io, rio), result < 0 ? result : 0);
}

static void sync_data(struct uring_io *uio)
{
	uio->rio.done = simple_done;
	reactor_io_fdatasync(&uio->rio, uring_of(uio->io)->fd);
}

/* --- write zeroes --------------------------------------------------------------------------- */

static void zeroes_written(struct reactor_io *rio, int32_t result);

static void write_some_zeroes(struct uring_io *uio)
{
	uint64_t left = uio->total - uio->done;
	unsigned int count = 0;

	while (left > 0 && count < ZERO_IOV) {
		size_t len = left < BDEV_ZEROES_BYTES ? left : BDEV_ZEROES_BYTES;

		uio->iov[count].iov_base = bdev_zeroes();
		uio->iov[count].iov_len = len;
		left -= len;
		count++;
	}
	uio->rio.done = zeroes_written;
	reactor_io_writev(&uio->rio, uring_of(uio->io)->fd, uio->iov, count,
			  offset_of(uio->io) + uio->done, (uio->io->flags & BDEV_IO_FUA) != 0);
}

static void zeroes_written(struct reactor_io *rio, int32_t result)
{
	struct uring_io *uio = container_of(rio, struct uring_io, rio);
	int rc = progress(uio, result);

	if (rc < 0 || uio->done == uio->total)
		end(uio, rc);
	else
		write_some_zeroes(uio);
}

static void zero_range_done(struct reactor_io *rio, int32_t result)
{
	struct uring_io *uio = container_of(rio, struct uring_io, rio);

	if (result == -EOPNOTSUPP) {
		__atomic_store_n(&uring_of(uio->io)->no_zero_range, true, __ATOMIC_RELAXED);
		write_some_zeroes(uio);
	} else if (result == 0 && (uio->io->flags & BDEV_IO_FUA) != 0) {
		sync_data(uio);
	} else {
		end(uio, result);
	}
}

static void submit_zeroes(struct uring_io *uio)
{
	struct uring_bdev *u = uring_of(uio->io);

	if (__atomic_load_n(&u->no_zero_range, __ATOMIC_RELAXED)) {
		write_some_zeroes(uio);
		return;
	}
	uio->rio.done = zero_range_done;
	reactor_io_fallocate(&uio->rio, u->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
			     offset_of(uio->io), uio->total);
}

/* --- unmap and seek ------------------------------------------------------------------------- */

static void work_done(struct reactor_work *work)
{
	struct uring_io *uio = container_of(work, struct uring_io, work);

	end(uio, uio->work_result < 0 ? (int)uio->work_result : 0);
}

static void discard(struct reactor_work *work)
{
	struct uring_io *uio = container_of(work, struct uring_io, work);
	uint64_t range[2] = { offset_of(uio->io), uio->total };

	uio->work_result = ioctl(uring_of(uio->io)->fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

/*
 * A queue may say that it can, and its device refuse: the kernel gives it up only then. Unmapped
 * blocks were promised to read as zeroes, so they are written.
 */
static void punch_done(struct reactor_io *rio, int32_t result)
{
	struct uring_io *uio = container_of(rio, struct uring_io, rio);

	if (result == -EOPNOTSUPP)
		submit_zeroes(uio);
	else
		end(uio, result);
}

static void submit_unmap(struct uring_io *uio)
{
	struct uring_bdev *u = uring_of(uio->io);

	if (u->unmap == URING_UNMAP_DISCARD) {
		uio->work.run = discard;
		uio->work.done = work_done;
		reactor_work_start(&uio->work);
		return;
	}
	uio->rio.done = punch_done;
	reactor_io_fallocate(&uio->rio, u->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     offset_of(uio->io), uio->total);
}

/*
 * The first hole that a whole block lies in: those of a file system with smaller blocks may begin
 * and end between two of ours.
 */
static int64_t seek_hole(int fd, int64_t at, int64_t block)
{
	for (;;) {
		int64_t hole = lseek(fd, at, SEEK_HOLE), data;

		if (hole < 0)
			return -errno;
		hole = (hole + block - 1) / block * block;
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? hole : -errno;
		if (data - hole >= block)
			return hole;
		at = data;
	}
}

static int64_t seek_data(int fd, int64_t at)
{
	int64_t data = lseek(fd, at, SEEK_DATA);

	return data < 0 ? -errno : data;
}

static void seek(struct reactor_work *work)
{
	struct uring_io *uio = container_of(work, struct uring_io, work);
	struct bdev_io *io = uio->io;
	int64_t at = (int64_t)offset_of(io);
	int fd = uring_of(io)->fd;

	uio->work_result = io->type == BDEV_IO_SEEK_DATA
				   ? seek_data(fd, at)
				   : seek_hole(fd, at, uring_of(io)->bdev.block_size);
}

/*
 * A block that is data in part is data, and a hole begins with a block; the one that every file has
 * behind its end is none of the bdev's.
 */
static uint64_t seek_block(const struct uring_io *uio)
{
	const struct bdev *bdev = &uring_of(uio->io)->bdev;
	uint64_t at = (uint64_t)uio->work_result, block = at / bdev->block_size;

	return block < bdev_num_blocks(bdev) ? block : UINT64_MAX;
}

static void seek_done(struct reactor_work *work)
{
	struct uring_io *uio = container_of(work, struct uring_io, work);

	if (uio->work_result >= 0)
		uio->io->seek_result = seek_block(uio);
	else if (uio->work_result == -ENXIO)
		uio->work_result = 0;
	work_done(work);
}

static void submit_seek(struct uring_io *uio)
{
	uio->work.run = seek;
	uio->work.done = seek_done;
	reactor_work_start(&uio->work);
}

/* --- submission ----------------------------------------------------------------------------- */

void uring_bdev_submit(void *ctx, struct bdev_io *io)
{
	struct uring_io *uio = begin(io);

	(void)ctx;
	switch (io->type) {
	case BDEV_IO_READ:
	case BDEV_IO_WRITE:
		transfer(uio, io->iov, io->iovcnt);
		break;
	case BDEV_IO_FLUSH:
		sync_data(uio);
		break;
	case BDEV_IO_WRITE_ZEROES:
		submit_zeroes(uio);
		break;
	case BDEV_IO_UNMAP:
		submit_unmap(uio);
		break;
	case BDEV_IO_SEEK_DATA:
	case BDEV_IO_SEEK_HOLE:
		submit_seek(uio);
		break;
	default:
		end(uio, -EOPNOTSUPP);
		break;
	}
}

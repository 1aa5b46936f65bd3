/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of an I/O: checks, the gate, dispatch to the module, completion.
 *
 * An I/O completes in a later turn than that of its submission: what a module completes inside its
 * submit goes to the home's list and is delivered, with all others of that turn, in the next one.
 *
 * Threading: the channel's reactor.
 */
#include <assert.h>
#include <errno.h>

#include "base/checked.h"
#include "base/clock.h"
#include "bdev/internal.h"
#include "bdev/iov.h"

static const struct bdev_status status_ok;

/* --- completion ----------------------------------------------------------------------------- */

static void count(uint64_t ticks, uint64_t *sum, uint64_t *min, uint64_t *max)
{
	*sum += ticks;
	if (ticks > *max)
		*max = ticks;
	if (ticks < *min || *min == 0)
		*min = ticks;
}

static void account(struct bdev_channel *ch, const struct bdev_io *io)
{
	struct bdev_iostat *s = &ch->local->stat;
	uint64_t bytes = io->blocks * ch->bdev->block_size;
	uint64_t ticks;

	if (__builtin_expect(io->status.err != 0, 0)) {
		s->errors++;
		return;
	}
	ticks = clock_ticks() - io->submit_ticks;
	switch (io->type) {
	case BDEV_IO_READ:
	case BDEV_IO_COMPARE:
		s->reads++;
		s->bytes_read += bytes;
		count(ticks, &s->read_ticks, &s->min_read_ticks, &s->max_read_ticks);
		break;
	case BDEV_IO_WRITE:
	case BDEV_IO_COMPARE_AND_WRITE:
		s->writes++;
		s->bytes_written += bytes;
		count(ticks, &s->write_ticks, &s->min_write_ticks, &s->max_write_ticks);
		break;
	case BDEV_IO_UNMAP:
		s->unmaps++;
		s->bytes_unmapped += bytes;
		count(ticks, &s->unmap_ticks, &s->min_unmap_ticks, &s->max_unmap_ticks);
		break;
	default:
		break;
	}
}

void bdev_io_end(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;
	uint32_t left = --ch->in_flight[io->epoch];

	if (__builtin_expect(ch->drain_now != 0, 0) && left == 0)
		bdev_channel_drained(ch);
	account(ch, io);
	io->state = BDEV_IO_IDLE;
	io->done(io);
}

void bdev_io_finish(struct bdev_io *io)
{
	if (__builtin_expect(io->parent != NULL, 0))
		bdev_piece_done(io);
	else if (__builtin_expect(io->type == BDEV_IO_RESET, 0))
		bdev_reset_module_done(io);
	else
		bdev_io_end(io);
}

void bdev_io_complete(struct bdev_io *io, struct bdev_status status)
{
	io->status = status;
	if (io->state == BDEV_IO_SUBMITTING) {
		bdev_io_defer(io);
		return;
	}
	assert(io->state == BDEV_IO_MODULE);
	bdev_io_finish(io);
}

void bdev_io_fail(struct bdev_io *io, struct bdev_status status)
{
	io->epoch = BDEV_EPOCH_NONE;
	io->channel->in_flight[BDEV_EPOCH_NONE]++;
	io->status = status;
	bdev_io_defer(io);
}

/* --- dispatch ------------------------------------------------------------------------------- */

void bdev_io_hand_over(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;

	io->state = BDEV_IO_SUBMITTING;
	ch->ops->submit(ch->ctx, io);
	if (io->state == BDEV_IO_SUBMITTING)
		io->state = BDEV_IO_MODULE;
}

bool bdev_io_fits(const struct bdev *bdev, const struct bdev_io *io)
{
	uint32_t boundary = bdev->split_on_boundary ? bdev->boundary : 0;

	if (bdev->max_rw != 0 && io->blocks > bdev->max_rw)
		return false;
	if (boundary != 0 && io->offset / boundary != (io->offset + io->blocks - 1) / boundary)
		return false;
	if (bdev->max_iov != 0 && io->iovcnt > bdev->max_iov)
		return false;
	return bdev_segments_aligned(bdev, io->iov, io->iovcnt);
}

static void dispatch_data(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;

	if (__builtin_expect(ch->limited, 0) && !bdev_io_fits(ch->bdev, io))
		bdev_pieces_start(io, io->type);
	else
		bdev_io_hand_over(io);
}

/* A type that a module carries out over a range without data, with a limit of its own. */
static void dispatch_range(struct bdev_io *io, uint64_t max)
{
	bool own = (io->channel->bdev->types & BDEV_BIT(io->type)) != 0;

	if (own && (max == 0 || io->blocks <= max))
		bdev_io_hand_over(io);
	else
		bdev_pieces_start(io, io->type);
}

static void borrow_buffer(struct bdev_io *io, void *buffer)
{
	io->own_buffer = buffer;
	io->own_iov[0].iov_base = buffer;
	io->own_iov[0].iov_len = io->blocks * io->channel->bdev->block_size;
	io->iov = io->own_iov;
	io->iovcnt = 1;
	dispatch_data(io);
}

static void borrow_waited(struct reactor_buffer_wait *wait, void *buffer)
{
	struct bdev_io *io = container_of(wait, struct bdev_io, wait);

	TAILQ_REMOVE(&io->channel->bufferless, io, link);
	borrow_buffer(io, buffer);
}

static void dispatch_borrow(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;
	void *buffer;

	if (ch->bdev->lends) {
		bdev_io_hand_over(io);
		return;
	}
	io->wait.fn = borrow_waited;
	buffer = reactor_buffer_get((uint32_t)(io->blocks * ch->bdev->block_size), &io->wait);
	if (buffer != NULL) {
		borrow_buffer(io, buffer);
		return;
	}
	io->state = BDEV_IO_BUFFERLESS;
	TAILQ_INSERT_TAIL(&ch->bufferless, io, link);
}

void bdev_io_dispatch(struct bdev_io *io)
{
	const struct bdev *bdev = io->channel->bdev;

	switch (io->type) {
	case BDEV_IO_READ:
		if (io->iovcnt == 0)
			dispatch_borrow(io);
		else
			dispatch_data(io);
		break;
	case BDEV_IO_WRITE:
		dispatch_data(io);
		break;
	case BDEV_IO_COMPARE:
		if ((bdev->types & BDEV_BIT(BDEV_IO_COMPARE)) != 0)
			dispatch_data(io);
		else
			bdev_pieces_start(io, BDEV_IO_COMPARE);
		break;
	case BDEV_IO_UNMAP:
		dispatch_range(io, bdev->max_unmap);
		break;
	case BDEV_IO_WRITE_ZEROES:
		dispatch_range(io, bdev->max_write_zeroes);
		break;
	case BDEV_IO_FLUSH:
		if ((bdev->types & BDEV_BIT(BDEV_IO_FLUSH)) != 0)
			bdev_io_hand_over(io);
		else
			bdev_io_defer(io);
		break;
	default:
		bdev_io_hand_over(io);
		break;
	}
}

static void pass(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;

	io->epoch = ch->epoch;
	ch->in_flight[io->epoch]++;
	bdev_io_dispatch(io);
}

static void hold(struct bdev_io *io)
{
	io->state = BDEV_IO_HELD;
	TAILQ_INSERT_TAIL(&io->channel->held, io, link);
}

static void look_at_gate(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;

	if (bdev_gate_holds(ch, io))
		hold(io);
	else if ((ch->gate & BDEV_GATE_QOS) == 0 || !bdev_qos_holds(io))
		pass(io);
}

void bdev_io_admit(struct bdev_io *io)
{
	if (__builtin_expect(io->channel->gate != 0, 0))
		look_at_gate(io);
	else
		pass(io);
}

/* A compare-and-write meets the gates when it has its range. */
bool bdev_io_is_held(const struct bdev_io *io)
{
	return io->type != BDEV_IO_COMPARE_AND_WRITE && bdev_gate_holds(io->channel, io);
}

void bdev_io_go_on(struct bdev_io *io)
{
	if (io->type == BDEV_IO_COMPARE_AND_WRITE)
		bdev_caw_submit(io);
	else if (bdev_io_is_held(io))
		hold(io);
	else
		pass(io);
}

/* --- checks --------------------------------------------------------------------------------- */

static struct bdev_status check(const struct bdev_channel *ch, const struct bdev_io *io)
{
	const struct bdev *bdev = ch->bdev;

	if (__builtin_expect((ch->allowed & BDEV_BIT(io->type)) == 0, 0))
		return bdev_status_from_errno(
			bdev->read_only && (BDEV_CHANGING_TYPES & BDEV_BIT(io->type)) != 0
				? -EROFS
				: -EOPNOTSUPP);
	if (!range_is_within(io->offset, io->blocks, bdev_blocks_now(bdev)))
		return bdev_status_from_errno(-ERANGE);
	if (__builtin_expect(io->blocks == 0, 0) && io->type != BDEV_IO_FLUSH)
		return bdev_status_from_errno(-EINVAL);
	return status_ok;
}

/* Inside the bdev's range bytes do not overflow: registration has seen to it. */
static bool lengths_agree(const struct bdev_io *io, const struct iovec *iov, uint16_t iovcnt)
{
	return iov_bytes(iov, iovcnt) == io->blocks * io->channel->bdev->block_size;
}

static void prepare(struct bdev_channel *ch, struct bdev_io *io, enum bdev_io_type type,
		    uint64_t offset, uint64_t blocks, uint8_t flags)
{
	io->channel = ch;
	io->type = (uint8_t)type;
	io->flags = ch->bdev->write_cache ? flags : (uint8_t)(flags & ~BDEV_IO_FUA);
	io->status = status_ok;
	io->offset = offset;
	io->blocks = blocks;
	io->lock = BDEV_LOCK_NONE;
	io->parent = NULL;
	io->own_buffer = NULL;
	io->submit_ticks = clock_ticks();
}

static void submit(struct bdev_io *io)
{
	struct bdev_status status = check(io->channel, io);

	if (__builtin_expect(status.err != 0, 0))
		bdev_io_fail(io, status);
	else
		bdev_io_admit(io);
}

static void submit_data(struct bdev_io *io, const struct iovec *iov, uint16_t iovcnt)
{
	struct bdev_status status = check(io->channel, io);

	io->iov = iov;
	io->iovcnt = iovcnt;
	if (status.err == 0 && !lengths_agree(io, iov, iovcnt))
		status = bdev_status_from_errno(-EINVAL);
	if (__builtin_expect(status.err != 0, 0))
		bdev_io_fail(io, status);
	else
		bdev_io_admit(io);
}

/* --- what users call ------------------------------------------------------------------------ */

void bdev_readv(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		uint16_t iovcnt, uint64_t offset, uint64_t blocks)
{
	prepare(ch, io, BDEV_IO_READ, offset, blocks, 0);
	submit_data(io, iov, iovcnt);
}

void bdev_writev(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		 uint16_t iovcnt, uint64_t offset, uint64_t blocks, uint8_t flags)
{
	prepare(ch, io, BDEV_IO_WRITE, offset, blocks, flags & BDEV_IO_FUA);
	submit_data(io, iov, iovcnt);
}

void bdev_comparev(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		   uint16_t iovcnt, uint64_t offset, uint64_t blocks)
{
	prepare(ch, io, BDEV_IO_COMPARE, offset, blocks, 0);
	submit_data(io, iov, iovcnt);
}

void bdev_compare_and_writev(struct bdev_channel *ch, struct bdev_io *io,
			     const struct iovec *compare, uint16_t compare_cnt,
			     const struct iovec *write, uint16_t write_cnt, uint64_t offset,
			     uint64_t blocks, uint8_t flags)
{
	struct bdev_status status;

	prepare(ch, io, BDEV_IO_COMPARE_AND_WRITE, offset, blocks, flags & BDEV_IO_FUA);
	io->iov = write;
	io->iovcnt = write_cnt;
	io->compare_iov = compare;
	io->compare_iovcnt = compare_cnt;
	status = check(ch, io);
	if (status.err == 0 &&
	    (!lengths_agree(io, compare, compare_cnt) || !lengths_agree(io, write, write_cnt)))
		status = bdev_status_from_errno(-EINVAL);
	if (status.err != 0)
		bdev_io_fail(io, status);
	else if ((ch->gate & BDEV_GATE_QOS) == 0 || !bdev_qos_holds(io))
		bdev_caw_submit(io);
}

void bdev_read_borrow(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset, uint64_t blocks)
{
	struct bdev_status status;

	prepare(ch, io, BDEV_IO_READ, offset, blocks, BDEV_IO_OWNED);
	io->iov = NULL;
	io->iovcnt = 0;
	status = check(ch, io);
	if (status.err == 0 && blocks * ch->bdev->block_size > BDEV_BORROW_MAX)
		status = bdev_status_from_errno(-EINVAL);
	if (__builtin_expect(status.err != 0, 0))
		bdev_io_fail(io, status);
	else
		bdev_io_admit(io);
}

void bdev_io_return(struct bdev_io *io)
{
	assert(io->state == BDEV_IO_IDLE && (io->flags & BDEV_IO_OWNED) != 0);
	if (io->own_buffer != NULL)
		reactor_buffer_put(io->own_buffer);
	io->own_buffer = NULL;
	io->iovcnt = 0;
}

void bdev_flush(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset, uint64_t blocks)
{
	prepare(ch, io, BDEV_IO_FLUSH, offset, blocks, 0);
	submit(io);
}

void bdev_unmap(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset, uint64_t blocks)
{
	prepare(ch, io, BDEV_IO_UNMAP, offset, blocks, 0);
	submit(io);
}

void bdev_write_zeroes(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset,
		       uint64_t blocks, uint8_t flags)
{
	prepare(ch, io, BDEV_IO_WRITE_ZEROES, offset, blocks, flags & BDEV_IO_FUA);
	submit(io);
}

void bdev_seek_data(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset)
{
	prepare(ch, io, BDEV_IO_SEEK_DATA, offset, 1, 0);
	io->seek_result = UINT64_MAX;
	submit(io);
}

void bdev_seek_hole(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset)
{
	prepare(ch, io, BDEV_IO_SEEK_HOLE, offset, 1, 0);
	io->seek_result = UINT64_MAX;
	submit(io);
}

void bdev_reset(struct bdev_channel *ch, struct bdev_io *io)
{
	prepare(ch, io, BDEV_IO_RESET, 0, 0, 0);
	bdev_reset_submit(io);
}

void bdev_abort(struct bdev_channel *ch, struct bdev_io *io, struct bdev_io *target)
{
	prepare(ch, io, BDEV_IO_ABORT, 0, 0, 0);
	io->abort_target = target;
	bdev_abort_submit(io);
}

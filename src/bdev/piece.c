/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying out an I/O in pieces: what exceeds the module's limits is split, what has not the
 * alignment the module needs goes through a pool buffer, and what the module cannot do is done by
 * reads (compare) and writes (write zeroes).
 *
 * A parent has as many pieces under way as there are; when the reactor's pool has none left, one
 * parent at a time goes on with the channel's spare piece and the others wait in order. The first
 * error ends the parent, when the pieces under way have ended.
 *
 * Threading: the channel's reactor.
 */
#include <assert.h>
#include <errno.h>

#include "bdev/internal.h"
#include "bdev/iov.h"

/* The segments that the pieces of an I/O work on. */
struct segments {
	const struct iovec *iov;
	uint16_t count;
};

static struct segments segments_of(const struct bdev_io *parent)
{
	bool compares =
		parent->type == BDEV_IO_COMPARE_AND_WRITE && parent->piece_type == BDEV_IO_COMPARE;

	if (compares)
		return (struct segments){ parent->compare_iov, parent->compare_iovcnt };
	return (struct segments){ parent->iov, parent->iovcnt };
}

bool bdev_segments_aligned(const struct bdev *bdev, const struct iovec *iov, uint16_t iovcnt)
{
	uintptr_t mask = bdev->alignment - 1u, bits = 0;

	for (uint16_t i = 0; i < iovcnt; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return (bits & mask) == 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Blocks from @parent->split_next on that one I/O with data may have. */
static uint64_t data_blocks(const struct bdev *bdev, const struct bdev_io *parent)
{
	uint64_t blocks = parent->split_left;

	if (bdev->max_rw != 0)
		blocks = smaller(blocks, bdev->max_rw);
	if (bdev->split_on_boundary && bdev->boundary != 0)
		blocks = smaller(blocks, bdev->boundary - parent->split_next % bdev->boundary);
	return blocks;
}

static bool module_has(const struct bdev_io *parent, enum bdev_io_type type)
{
	return (parent->channel->bdev->types & BDEV_BIT(type)) != 0;
}

/* --- bouncing ------------------------------------------------------------------------------- */

static size_t skip_of(const struct bdev_io *piece)
{
	return (piece->offset - piece->parent->offset) * piece->channel->bdev->block_size;
}

static void bounce_start(struct bdev_io *piece, void *buffer)
{
	struct segments s = segments_of(piece->parent);
	size_t len = piece->blocks * piece->channel->bdev->block_size;

	piece->own_buffer = buffer;
	piece->own_iov[0].iov_base = buffer;
	piece->own_iov[0].iov_len = len;
	piece->iov = piece->own_iov;
	piece->iovcnt = 1;
	if (piece->type != BDEV_IO_READ)
		iov_gather(buffer, s.iov, s.count, skip_of(piece), len);
	bdev_io_hand_over(piece);
}

static void bounce_waited(struct reactor_buffer_wait *wait, void *buffer)
{
	struct bdev_io *piece = container_of(wait, struct bdev_io, wait);

	TAILQ_REMOVE(&piece->channel->bufferless, piece, link);
	bounce_start(piece, buffer);
}

static void bounce(struct bdev_io *piece)
{
	struct bdev_channel *ch = piece->channel;
	uint32_t len;
	void *buffer;

	piece->blocks = smaller(piece->blocks, BDEV_BORROW_MAX / ch->bdev->block_size);
	len = (uint32_t)(piece->blocks * ch->bdev->block_size);
	piece->wait.fn = bounce_waited;
	buffer = reactor_buffer_get(len, &piece->wait);
	if (buffer != NULL) {
		bounce_start(piece, buffer);
		return;
	}
	piece->state = BDEV_IO_BUFFERLESS;
	TAILQ_INSERT_TAIL(&ch->bufferless, piece, link);
}

static void bounce_end(struct bdev_io *piece)
{
	struct bdev_io *parent = piece->parent;
	struct segments s = segments_of(parent);
	size_t len = piece->blocks * piece->channel->bdev->block_size;

	if (piece->status.err == 0 && piece->type == BDEV_IO_READ) {
		if (parent->piece_type == BDEV_IO_READ)
			iov_scatter(s.iov, s.count, skip_of(piece), piece->own_buffer, len);
		else if (!iov_equals(s.iov, s.count, skip_of(piece), piece->own_buffer, len))
			piece->status = bdev_status_from_errno(-EILSEQ);
	}
	reactor_buffer_put(piece->own_buffer);
	piece->own_buffer = NULL;
}

/* --- making pieces -------------------------------------------------------------------------- */

/*
 * Pieces of data take the parent's segments as they are, as many as fit; a block that lies in too
 * many of them, or a part whose alignment is not the module's, is bounced.
 */
static bool take_segments(struct bdev_piece *piece)
{
	struct bdev_io *io = &piece->io;
	const struct bdev *bdev = io->channel->bdev;
	struct segments s = segments_of(io->parent);
	size_t skip = skip_of(io), want = io->blocks * bdev->block_size, covered;
	uint16_t max = BDEV_PIECE_IOV;

	if (bdev->max_iov != 0 && bdev->max_iov < max)
		max = bdev->max_iov;
	iov_cut(s.iov, s.count, skip, want, piece->iov, max, &covered);
	if (covered < bdev->block_size) {
		io->blocks = 1;
		return false;
	}
	io->blocks = covered / bdev->block_size;
	want = io->blocks * bdev->block_size;
	io->iovcnt = iov_cut(s.iov, s.count, skip, want, piece->iov, max, &covered);
	io->iov = piece->iov;
	return bdev_segments_aligned(bdev, io->iov, io->iovcnt);
}

static void start_data(struct bdev_piece *piece)
{
	struct bdev_io *io = &piece->io;

	io->blocks = data_blocks(io->channel->bdev, io->parent);
	if (io->type == BDEV_IO_COMPARE && !module_has(io->parent, BDEV_IO_COMPARE)) {
		io->type = BDEV_IO_READ;
		bounce(io);
	} else if (take_segments(piece)) {
		bdev_io_hand_over(io);
	} else {
		bounce(io);
	}
}

static void start_zeroes(struct bdev_io *piece)
{
	const struct bdev *bdev = piece->channel->bdev;

	if (module_has(piece->parent, BDEV_IO_WRITE_ZEROES)) {
		piece->blocks = smaller(piece->parent->split_left, bdev->max_write_zeroes);
	} else {
		piece->type = BDEV_IO_WRITE;
		piece->blocks = smaller(data_blocks(bdev, piece->parent),
					BDEV_ZEROES_BYTES / bdev->block_size);
		piece->own_iov[0].iov_base = bdev_zeroes();
		piece->own_iov[0].iov_len = piece->blocks * bdev->block_size;
		piece->iov = piece->own_iov;
		piece->iovcnt = 1;
	}
	bdev_io_hand_over(piece);
}

static void piece_start(struct bdev_piece *piece, struct bdev_io *parent)
{
	struct bdev_io *io = &piece->io;

	io->channel = parent->channel;
	io->parent = parent;
	io->type = parent->piece_type;
	io->flags = parent->flags & BDEV_IO_FUA;
	io->status.err = 0;
	io->offset = parent->split_next;
	io->iovcnt = 0;
	io->own_buffer = NULL;
	if (io->type == BDEV_IO_UNMAP) {
		io->blocks = smaller(parent->split_left, parent->channel->bdev->max_unmap);
		bdev_io_hand_over(io);
	} else if (io->type == BDEV_IO_WRITE_ZEROES) {
		start_zeroes(io);
	} else {
		start_data(piece);
	}
	/* No piece is done before the next turn, so that @io is still what it was. */
	parent->split_next += io->blocks;
	parent->split_left -= io->blocks;
}

/* --- the parent ----------------------------------------------------------------------------- */

static void parent_end(struct bdev_io *parent)
{
	if (parent->type == BDEV_IO_COMPARE_AND_WRITE)
		bdev_caw_step(parent);
	else
		bdev_io_end(parent);
}

void bdev_pieces_run(struct bdev_io *parent)
{
	struct bdev_channel *ch = parent->channel;

	while (parent->split_left > 0) {
		struct bdev_piece *piece = bdev_piece_get(ch);

		if (piece == NULL) {
			if (parent->split_outstanding > 0)
				return;
			parent->state = BDEV_IO_STARVED;
			TAILQ_INSERT_TAIL(&ch->starved, parent, link);
			return;
		}
		parent->split_outstanding++;
		piece_start(piece, parent);
	}
	if (parent->split_outstanding == 0)
		parent_end(parent);
}

void bdev_pieces_start(struct bdev_io *parent, enum bdev_io_type type)
{
	parent->state = BDEV_IO_SPLIT;
	parent->piece_type = (uint8_t)type;
	parent->split_next = parent->offset;
	parent->split_left = parent->blocks;
	parent->split_outstanding = 0;
	bdev_pieces_run(parent);
}

static void serve_starved(struct bdev_channel *ch)
{
	struct bdev_io *parent = TAILQ_FIRST(&ch->starved);

	if (parent == NULL)
		return;
	TAILQ_REMOVE(&ch->starved, parent, link);
	parent->state = BDEV_IO_SPLIT;
	bdev_pieces_run(parent);
}

void bdev_piece_done(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;
	struct bdev_io *parent = io->parent;
	struct bdev_status status;

	if (io->own_buffer != NULL)
		bounce_end(io);
	status = io->status;
	io->state = BDEV_IO_IDLE;
	bdev_piece_put(ch, container_of(io, struct bdev_piece, io));
	parent->split_outstanding--;
	if (status.err != 0) {
		parent->split_left = 0;
		if (parent->status.err == 0)
			parent->status = status;
	}
	serve_starved(ch);
	bdev_pieces_run(parent);
}

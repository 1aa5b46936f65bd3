/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of an I/O to the clusters that are there.
 *
 * An I/O is carried out in pieces, each a range that lies in one run of clusters; the usual one is
 * one piece with the caller's own segments. Reads of holes go to what stands behind them. A write
 * that meets a hole, and an unmap that can give clusters back, go to reactor 0 with all that is
 * left of them (write.c).
 *
 * Threading: the channel's reactor.
 */
#include "blob/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "bdev/iov.h"

_Static_assert(sizeof(struct blob_io) <= BDEV_IO_DRIVER_BYTES, "scratch too small");

static void run(struct blob_io *bio);

/* --- the end ---------------------------------------------------------------------------------- */

static bool metadata_is_durable(struct blob_io *bio);

static void end(struct blob_io *bio)
{
	struct bdev_io *io = bio->io;
	struct bdev_status status;

	if (__builtin_expect((io->flags & BDEV_IO_FUA) != 0, 0) && !metadata_is_durable(bio))
		return;
	status = bio->status;
	if (bio->spare != NULL)
		bdev_io_put(bio->spare);
	blob_leave(bio->ch, bio->epoch);
	bdev_io_complete(io, status);
}

static void fail(struct blob_io *bio, struct bdev_status status)
{
	if (bio->status.err == 0)
		bio->status = status;
	bio->left = 0;
}

static void enter(struct blob_io *bio);

static void begin_again(struct blob_io *bio)
{
	bio->again = false;
	if (bio->left == 0) {
		end(bio);
		return;
	}
	blob_leave(bio->ch, bio->epoch);
	enter(bio);
}

static void one_less(struct blob_io *bio)
{
	bio->under_way--;
	if (__builtin_expect(bio->again, 0)) {
		if (bio->under_way == 0)
			begin_again(bio);
		return;
	}
	if (bio->left > 0 && !bio->waiting)
		run(bio);
	else if (bio->left == 0 && bio->under_way == 0)
		end(bio);
}

static void piece_done(struct bdev_io *piece)
{
	struct blob_io *bio = piece->arg;

	if (__builtin_expect(piece->status.err != 0, 0))
		fail(bio, piece->status);
	bdev_io_put(piece);
	one_less(bio);
}

static void long_piece_done(struct bdev_io *piece)
{
	struct blob_io *bio = piece->arg;

	free(bio->long_iov);
	bio->long_iov = NULL;
	piece_done(piece);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void wait_over(struct bdev_io_wait *wait, struct bdev_io *piece)
{
	struct blob_io *bio = container_of(wait, struct blob_io, wait);

	/* What it was wanted for is looked up again: the map may have changed. */
	bio->spare = piece;
	bio->waiting = false;
	bio->under_way--;
	run(bio);
}

static struct bdev_io *piece_get(struct blob_io *bio)
{
	struct bdev_io *piece = bio->spare;

	bio->spare = NULL;
	if (__builtin_expect(piece == NULL, 1)) {
		bio->wait.fn = wait_over;
		piece = bdev_io_get(&bio->wait);
	}
	if (piece == NULL) {
		bio->waiting = true;
		bio->under_way++;
		return NULL;
	}
	piece->arg = bio;
	piece->done = piece_done;
	return piece;
}

/* --- FUA -------------------------------------------------------------------------------------- */

static void metadata_flushed(struct bdev_io *piece)
{
	struct blob_io *bio = piece->arg;

	if (piece->status.err != 0)
		fail(bio, piece->status);
	else
		blob_commits_durable(bio->blob->store, bio->commits);
	bdev_io_put(piece);
	bio->under_way--;
	end(bio);
}

/*
 * The data is durable, but the extent page that names its cluster may be one that was written in
 * place and not flushed yet (change.c): without it the data is lost all the same.
 */
static bool metadata_is_durable(struct blob_io *bio)
{
	struct blob_store *store = bio->blob->store;
	uint64_t commits = atomic_load_explicit(&store->commits, memory_order_acquire);
	struct bdev_io *piece;

	if (bio->status.err != 0 || bio->flushed || !store->cache ||
	    commits == atomic_load_explicit(&store->durable_commits, memory_order_relaxed))
		return true;
	piece = piece_get(bio);
	if (piece == NULL)
		return false;
	bio->commits = commits;
	bio->flushed = true;
	bio->under_way++;
	piece->done = metadata_flushed;
	bdev_flush(bio->ch->base, piece, 0, bdev_num_blocks(store->bdev));
	return false;
}

static size_t bytes_done(const struct blob_io *bio)
{
	return (size_t)(bio->next - bio->io->offset) * bio->blob->store->geo.io_unit_size;
}

static void advance(struct blob_io *bio, uint64_t units)
{
	bio->next += units;
	bio->left -= units;
}

struct segments {
	const struct iovec *iov;
	uint16_t count;
};

/*
 * A unit that lies in more segments than an I/O has room for: a list from memory, for one piece at
 * a time. Nothing real sends such.
 */
static int long_segments(struct blob_io *bio, struct bdev_io *piece, size_t len,
			 struct segments *out)
{
	const struct bdev_io *io = bio->io;
	size_t covered;

	bio->long_iov = malloc(io->iovcnt * sizeof(struct iovec));
	if (bio->long_iov == NULL)
		return -ENOMEM;
	out->count = iov_cut(io->iov, io->iovcnt, bytes_done(bio), len, bio->long_iov, io->iovcnt,
			     &covered);
	out->iov = bio->long_iov;
	piece->done = long_piece_done;
	return 0;
}

/* The segments of a piece; @units becomes less when there is no room for more. */
static int segments_of(struct blob_io *bio, struct bdev_io *piece, uint64_t *units,
		       struct segments *out)
{
	const struct bdev_io *io = bio->io;
	uint32_t unit = bio->blob->store->geo.io_unit_size;
	struct iovec *room = bdev_io_room(piece);
	size_t covered;

	if (__builtin_expect(*units == io->blocks, 1)) {
		*out = (struct segments){ io->iov, io->iovcnt };
		return 0;
	}
	out->count = iov_cut(io->iov, io->iovcnt, bytes_done(bio), (size_t)*units * unit, room,
			     BDEV_IO_ROOM, &covered);
	out->iov = room;
	if (covered == (size_t)*units * unit)
		return 0;
	*units = covered / unit;
	if (*units > 0) {
		out->count = iov_cut(io->iov, io->iovcnt, bytes_done(bio), (size_t)*units * unit,
				     room, BDEV_IO_ROOM, &covered);
		return 0;
	}
	*units = 1;
	return long_segments(bio, piece, unit, out);
}

/* --- reads ------------------------------------------------------------------------------------ */

static void read_piece(struct blob_io *bio, const struct blob_place *place, struct bdev_io *piece)
{
	const struct blob_store *store = bio->blob->store;
	struct bdev_channel *ch = bio->ch->base;
	uint32_t block = store->block_size;
	uint64_t units = place->units;
	struct segments s;
	int rc = 0;

	if (place->kind == BLOB_PLACE_ESNAP) {
		rc = blob_channel_esnap(bio->ch, place->esnap, &ch);
		block = place->esnap->block_size;
	}
	if (rc == 0)
		rc = segments_of(bio, piece, &units, &s);
	if (rc < 0) {
		bdev_io_put(piece);
		fail(bio, bdev_status_from_errno(rc));
		return;
	}
	bio->under_way++;
	advance(bio, units);
	bdev_readv(ch, piece, s.iov, s.count, place->block,
		   units * (store->geo.io_unit_size / block));
}

static bool read_next(struct blob_io *bio)
{
	const struct bdev_io *io = bio->io;
	struct blob_place place;
	struct bdev_io *piece;

	blob_place_read(bio->blob, bio->next, bio->left, &place);
	if (place.kind == BLOB_PLACE_ZEROES) {
		iov_clear(io->iov, io->iovcnt, bytes_done(bio),
			  (size_t)place.units * bio->blob->store->geo.io_unit_size);
		advance(bio, place.units);
		return true;
	}
	piece = piece_get(bio);
	if (piece == NULL)
		return false;
	read_piece(bio, &place, piece);
	return true;
}

/* --- what reactor 0 does ---------------------------------------------------------------------- */

static void write_done(struct blob_write *w)
{
	struct blob_io *bio = container_of(w, struct blob_io, write);

	if (w->result == -ERESTART && bio->status.err == 0) {
		bio->again = true;
		bio->next = w->unit;
		bio->left = w->units;
	} else if (w->result < 0) {
		fail(bio, bdev_status_from_errno(w->result));
	}
	one_less(bio);
}

/* All that is left goes there, so that nothing is behind it. */
static void send_rest(struct blob_io *bio, enum blob_write_kind kind)
{
	const struct bdev_io *io = bio->io;

	bio->write = (struct blob_write){
		.blob = bio->blob,
		.kind = kind,
		.fua = (io->flags & BDEV_IO_FUA) != 0,
		.unit = bio->next,
		.units = bio->left,
		.skip = bytes_done(bio),
		.iov = io->iov,
		.iovcnt = io->iovcnt,
		.done = write_done,
	};
	bio->left = 0;
	bio->under_way++;
	blob_write_send(&bio->write);
}

/* --- writes ----------------------------------------------------------------------------------- */

static bool write_next(struct blob_io *bio)
{
	const struct blob_store *store = bio->blob->store;
	struct blob_place place;
	struct bdev_io *piece;
	struct segments s;
	int rc;

	blob_place_own(bio->blob, bio->next, bio->left, &place);
	if (place.kind != BLOB_PLACE_DEVICE) {
		send_rest(bio, BLOB_WRITE_DATA);
		return true;
	}
	piece = piece_get(bio);
	if (piece == NULL)
		return false;
	rc = segments_of(bio, piece, &place.units, &s);
	if (rc < 0) {
		bdev_io_put(piece);
		fail(bio, bdev_status_from_errno(rc));
		return true;
	}
	bio->under_way++;
	advance(bio, place.units);
	bdev_writev(bio->ch->base, piece, s.iov, s.count, place.block,
		    place.units * store->blocks_per_unit, bio->io->flags & BDEV_IO_FUA);
	return true;
}

static bool has_back(const struct blob *b)
{
	const struct blob_map *map = blob_map(b);

	return map->back.parent != NULL || map->back.esnap != NULL;
}

static bool zero_next(struct blob_io *bio)
{
	const struct blob_store *store = bio->blob->store;
	struct blob_place place;
	struct bdev_io *piece;

	blob_place_own(bio->blob, bio->next, bio->left, &place);
	if (place.kind != BLOB_PLACE_DEVICE) {
		if (has_back(bio->blob))
			send_rest(bio, BLOB_WRITE_ZEROES);
		else
			advance(bio, place.units);
		return true;
	}
	piece = piece_get(bio);
	if (piece == NULL)
		return false;
	bio->under_way++;
	advance(bio, place.units);
	bdev_write_zeroes(bio->ch->base, piece, place.block, place.units * store->blocks_per_unit,
			  bio->io->flags & BDEV_IO_FUA);
	return true;
}

/* Whole clusters of a thin blob with nothing behind it are given back. */
static bool can_release(const struct blob_io *bio)
{
	const struct blob *b = bio->blob;
	uint32_t upc = b->store->units_per_cluster;
	uint64_t first = blob_unit_cluster(b->store, bio->next + upc - 1);

	return (b->invalid & BLOB_INVALID_THIN) != 0 && !has_back(b) &&
	       (first + 1) * upc <= bio->next + bio->left;
}

static bool unmap_next(struct blob_io *bio)
{
	const struct blob_store *store = bio->blob->store;
	struct blob_place place;
	struct bdev_io *piece;

	if (can_release(bio)) {
		send_rest(bio, BLOB_WRITE_RELEASE);
		return true;
	}
	blob_place_own(bio->blob, bio->next, bio->left, &place);
	/* An unmap is advice: of a hole, and on a device that has none, it is done. */
	if (place.kind != BLOB_PLACE_DEVICE || !bdev_supports(store->bdev, BDEV_IO_UNMAP)) {
		advance(bio, place.units);
		return true;
	}
	piece = piece_get(bio);
	if (piece == NULL)
		return false;
	bio->under_way++;
	advance(bio, place.units);
	bdev_unmap(bio->ch->base, piece, place.block, place.units * store->blocks_per_unit);
	return true;
}

/* --- flush and seek --------------------------------------------------------------------------- */

static bool flush_next(struct blob_io *bio)
{
	const struct blob_store *store = bio->blob->store;
	struct bdev_io *piece = piece_get(bio);

	if (piece == NULL)
		return false;
	bio->under_way++;
	bio->left = 0;
	bdev_flush(bio->ch->base, piece, 0, bdev_num_blocks(store->bdev));
	return true;
}

static bool is_data(const struct blob_io *bio, struct blob_place *place)
{
	blob_place_read(bio->blob, bio->next, bio->left, place);
	return place->kind != BLOB_PLACE_ZEROES;
}

/* By clusters: what is allocated, here or behind, is data. */
static void seek(struct blob_io *bio, bool data)
{
	struct bdev_io *io = bio->io;
	struct blob_place place;

	io->seek_result = UINT64_MAX;
	while (bio->left > 0) {
		if (is_data(bio, &place) == data) {
			io->seek_result = bio->next;
			bio->left = 0;
			return;
		}
		advance(bio, place.units);
	}
	/* Behind the end there is a hole, as in a file. */
	if (!data)
		io->seek_result = bio->next;
}

/* --- the way in ------------------------------------------------------------------------------- */

static bool run_one(struct blob_io *bio)
{
	switch (bio->io->type) {
	case BDEV_IO_READ:
		return read_next(bio);
	case BDEV_IO_WRITE:
		return write_next(bio);
	case BDEV_IO_WRITE_ZEROES:
		return zero_next(bio);
	case BDEV_IO_UNMAP:
		return unmap_next(bio);
	case BDEV_IO_FLUSH:
		return flush_next(bio);
	case BDEV_IO_SEEK_DATA:
	case BDEV_IO_SEEK_HOLE:
		seek(bio, bio->io->type == BDEV_IO_SEEK_DATA);
		return true;
	default:
		fail(bio, bdev_status_from_errno(-EOPNOTSUPP));
		return true;
	}
}

static void run(struct blob_io *bio)
{
	/* A long list of segments serves one piece at a time. */
	while (bio->left > 0 && bio->long_iov == NULL) {
		if (!run_one(bio))
			return;
	}
	if (bio->left == 0 && bio->under_way == 0)
		end(bio);
}

static bool changes_data(const struct bdev_io *io)
{
	return io->type == BDEV_IO_WRITE || io->type == BDEV_IO_WRITE_ZEROES ||
	       io->type == BDEV_IO_UNMAP;
}

static void begin(struct blob_io *bio)
{
	const struct bdev_io *io = bio->io;
	uint64_t units = blob_units(bio->blob);

	bio->epoch = blob_enter(bio->ch);
	if (io->type == BDEV_IO_SEEK_DATA || io->type == BDEV_IO_SEEK_HOLE)
		bio->left = io->offset < units ? units - io->offset : 0;
	else if (io->type == BDEV_IO_FLUSH)
		bio->left = 1;
	else if (!range_is_within(io->offset, io->blocks, units))
		fail(bio, bdev_status_from_errno(-ERANGE));
	if (changes_data(io) && bio->blob->read_only)
		fail(bio, bdev_status_from_errno(-EROFS));
	run(bio);
}

static void enter(struct blob_io *bio)
{
	if (__builtin_expect(atomic_load_explicit(&bio->blob->frozen, memory_order_relaxed), 0) &&
	    changes_data(bio->io))
		TAILQ_INSERT_TAIL(&bio->ch->held, bio, link);
	else
		begin(bio);
}

void blob_io_again(struct blob_io *bio)
{
	begin(bio);
}

void blob_submit(struct blob_channel *ch, struct blob *blob, struct bdev_io *io)
{
	struct blob_io *bio = bdev_io_ctx(io, struct blob_io);

	bio->io = io;
	bio->ch = ch;
	bio->blob = blob;
	bio->next = io->offset;
	bio->left = io->blocks;
	bio->under_way = 0;
	bio->waiting = false;
	bio->again = false;
	bio->flushed = false;
	bio->long_iov = NULL;
	bio->spare = NULL;
	bio->status = (struct bdev_status){ .err = 0 };
	enter(bio);
}

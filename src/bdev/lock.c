/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks, and compare-and-write under them.
 *
 * A compare-and-write asks reactor 0 for its range. Reactor 0 gives each request, in order, one of
 * a few locks, sets the lock's bit in the gate of every reactor, and grants the lock when each has
 * answered that what it had let pass before is done. From then until the bit is cleared, I/O that
 * touches the range waits on its channel, whichever it is; the holder's own pieces pass. A bdev
 * without compare-and-write keeps its gates at 0, which is all that other I/O looks at.
 *
 * Threading: requests, states and order of locks on reactor 0; gates on their reactors.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "bdev/internal.h"

static void pump(struct bdev_internal *in);

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* Flush, which has no range of its own, and seeks do not see data: only a quiesce holds them. */
static bool has_range(const struct bdev_io *io)
{
	return io->type != BDEV_IO_FLUSH && io->type != BDEV_IO_SEEK_DATA &&
	       io->type != BDEV_IO_SEEK_HOLE;
}

bool bdev_gate_holds(const struct bdev_channel *ch, const struct bdev_io *io)
{
	const struct bdev_internal *in = ch->bdev->internal;

	if ((ch->gate & BDEV_GATE_QUIESCE) != 0)
		return true;
	if ((ch->gate & BDEV_GATE_LOCKS) == 0 || !has_range(io))
		return false;
	for (unsigned int i = 0; i < BDEV_LOCKS; i++) {
		const struct bdev_lock *lock = &in->locks[i];

		if ((ch->gate & (1u << i)) != 0 &&
		    overlap(io->offset, io->blocks, lock->offset, lock->blocks))
			return true;
	}
	return false;
}

bool bdev_locks_idle(const struct bdev_internal *in)
{
	for (unsigned int i = 0; in->locks != NULL && i < BDEV_LOCKS; i++) {
		if (in->locks[i].state != BDEV_LOCK_FREE)
			return false;
	}
	return TAILQ_EMPTY(&in->lock_queue);
}

static uint32_t bit_of(const struct bdev_lock *lock)
{
	return 1u << (uint32_t)(lock - lock->in->locks);
}

static struct bdev_local *local_here(struct bdev_internal *in)
{
	return &in->local[reactor_index(reactor_self())];
}

/* --- setting -------------------------------------------------------------------------------- */

static void set_here(struct reactor_each *each)
{
	struct bdev_lock *lock = container_of(each, struct bdev_lock, each);
	struct bdev_local *local = local_here(lock->in);

	local->gate |= bit_of(lock);
	if (local->channel == NULL) {
		reactor_each_next(each);
		return;
	}
	local->channel->gate = local->gate;
	bdev_channel_drain(local->channel, bit_of(lock));
}

static void granted(struct reactor_msg *msg)
{
	struct bdev_lock *lock = container_of(msg, struct bdev_lock, msg);

	lock->io->lock = (uint8_t)(lock - lock->in->locks);
	bdev_caw_granted(lock->io);
}

static void set_everywhere(struct reactor_each *each)
{
	struct bdev_lock *lock = container_of(each, struct bdev_lock, each);

	lock->state = BDEV_LOCK_SET;
	lock->msg.fn = granted;
	reactor_send(lock->io->channel->reactor, &lock->msg);
}

/* The lock that the request may have now: a free one, when its range touches no other's. */
static struct bdev_lock *available(struct bdev_internal *in, const struct bdev_io *io)
{
	struct bdev_lock *available = NULL;

	for (unsigned int i = 0; i < BDEV_LOCKS; i++) {
		struct bdev_lock *lock = &in->locks[i];

		if (lock->state == BDEV_LOCK_FREE)
			available = lock;
		else if (overlap(io->offset, io->blocks, lock->offset, lock->blocks))
			return NULL;
	}
	return available;
}

/* Strictly in order, so that none starves. */
static void pump(struct bdev_internal *in)
{
	struct bdev_io *io;

	while ((io = TAILQ_FIRST(&in->lock_queue)) != NULL) {
		struct bdev_lock *lock = available(in, io);

		if (lock == NULL)
			return;
		TAILQ_REMOVE(&in->lock_queue, io, link);
		lock->state = BDEV_LOCK_SETTING;
		lock->io = io;
		lock->offset = io->offset;
		lock->blocks = io->blocks;
		lock->each.fn = set_here;
		lock->each.done = set_everywhere;
		reactor_for_each(&lock->each);
	}
}

/*
 * Other reactors look at a lock only once the gate has its bit, which they set at a message that is
 * sent after this.
 */
static bool make_locks(struct bdev_internal *in)
{
	if (in->locks != NULL)
		return true;
	in->locks = calloc(BDEV_LOCKS, sizeof(*in->locks));
	for (unsigned int i = 0; in->locks != NULL && i < BDEV_LOCKS; i++)
		in->locks[i].in = in;
	return in->locks != NULL;
}

static void refused(struct reactor_msg *msg)
{
	bdev_io_fail(container_of(msg, struct bdev_io, msg), bdev_status_from_errno(-ENOMEM));
}

static void request(struct reactor_msg *msg)
{
	struct bdev_io *io = container_of(msg, struct bdev_io, msg);
	struct bdev_internal *in = io->channel->bdev->internal;

	if (!make_locks(in)) {
		io->msg.fn = refused;
		reactor_send(io->channel->reactor, &io->msg);
		return;
	}
	TAILQ_INSERT_TAIL(&in->lock_queue, io, link);
	pump(in);
}

/* --- clearing ------------------------------------------------------------------------------- */

static void clear_here(struct reactor_each *each)
{
	struct bdev_lock *lock = container_of(each, struct bdev_lock, each);
	struct bdev_local *local = local_here(lock->in);

	local->gate &= ~bit_of(lock);
	if (local->channel != NULL) {
		local->channel->gate = local->gate;
		bdev_channel_rerun(local->channel);
	}
	reactor_each_next(each);
}

static void cleared_everywhere(struct reactor_each *each)
{
	struct bdev_lock *lock = container_of(each, struct bdev_lock, each);
	struct bdev_internal *in = lock->in;

	lock->state = BDEV_LOCK_FREE;
	lock->io = NULL;
	pump(in);
	bdev_try_destruct(in);
}

static void released(struct reactor_msg *msg)
{
	struct bdev_lock *lock = container_of(msg, struct bdev_lock, msg);

	lock->state = BDEV_LOCK_CLEARING;
	lock->each.fn = clear_here;
	lock->each.done = cleared_everywhere;
	reactor_for_each(&lock->each);
}

/* --- compare-and-write ---------------------------------------------------------------------- */

void bdev_caw_submit(struct bdev_io *io)
{
	io->state = BDEV_IO_LOCKING;
	io->msg.fn = request;
	reactor_send(reactor_at(0), &io->msg);
}

void bdev_caw_granted(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;

	if ((ch->gate & BDEV_GATE_QUIESCE) != 0) {
		io->state = BDEV_IO_HELD;
		TAILQ_INSERT_TAIL(&ch->held, io, link);
		return;
	}
	io->epoch = ch->epoch;
	ch->in_flight[io->epoch]++;
	bdev_pieces_start(io, BDEV_IO_COMPARE);
}

void bdev_caw_step(struct bdev_io *io)
{
	struct bdev_lock *lock = &io->channel->bdev->internal->locks[io->lock];

	if (io->status.err == 0 && io->piece_type == BDEV_IO_COMPARE) {
		bdev_pieces_start(io, BDEV_IO_WRITE);
		return;
	}
	/* The message is the lock's: the I/O is its owner's again before reactor 0 has it. */
	lock->msg.fn = released;
	reactor_send(reactor_at(0), &lock->msg);
	io->lock = BDEV_LOCK_NONE;
	bdev_io_end(io);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset and abort.
 *
 * A reset closes the gates of all reactors, ends what waits there (for limits, buffers or pieces),
 * lets the module reset, and opens the gates again. One at a time a bdev; others wait in order.
 * Where the module has no reset of its own it is done when what was in flight has completed. A
 * compare-and-write that has its range is never cut short between its compare and its write.
 *
 * Threading: order of resets on reactor 0; gates on their reactors; abort on the channel's.
 */
#include <errno.h>

#include "bdev/internal.h"

static void begin_next(struct bdev_internal *in);

static struct bdev_internal *in_of_each(struct reactor_each *each)
{
	return container_of(each, struct bdev_internal, reset_each);
}

static struct bdev_local *local_here(struct bdev_internal *in)
{
	return &in->local[reactor_index(reactor_self())];
}

static bool is_native(const struct bdev *bdev)
{
	return (bdev->types & BDEV_BIT(BDEV_IO_RESET)) != 0;
}

/* --- ending what waits ---------------------------------------------------------------------- */

static bool may_be_cut(const struct bdev_io *io)
{
	const struct bdev_io *owner = io->parent != NULL ? io->parent : io;

	return owner->type != BDEV_IO_COMPARE_AND_WRITE;
}

static void cut_held(struct bdev_channel *ch, struct bdev_io *io)
{
	TAILQ_REMOVE(&ch->held, io, link);
	bdev_io_fail(io, bdev_status_from_errno(-ECANCELED));
}

static void cut_throttled(struct bdev_io *io)
{
	bdev_qos_leave(io);
	bdev_io_fail(io, bdev_status_from_errno(-ECANCELED));
}

static void cut_bufferless(struct bdev_channel *ch, struct bdev_io *io)
{
	TAILQ_REMOVE(&ch->bufferless, io, link);
	reactor_buffer_wait_cancel(&io->wait);
	io->status = bdev_status_from_errno(-ECANCELED);
	bdev_io_defer(io);
}

static void cut_starved(struct bdev_channel *ch, struct bdev_io *io)
{
	TAILQ_REMOVE(&ch->starved, io, link);
	if (io->status.err == 0)
		io->status = bdev_status_from_errno(-ECANCELED);
	bdev_io_defer(io);
}

static void cut_all(struct bdev_channel *ch)
{
	struct bdev_io *io, *next;

	for (io = TAILQ_FIRST(&ch->held); io != NULL; io = next) {
		next = TAILQ_NEXT(io, link);
		if (may_be_cut(io))
			cut_held(ch, io);
	}
	for (unsigned int kind = 0; kind < BDEV_QOS_KINDS; kind++) {
		while ((io = TAILQ_FIRST(&ch->throttled[kind])) != NULL)
			cut_throttled(io);
	}
	for (io = TAILQ_FIRST(&ch->bufferless); io != NULL; io = next) {
		next = TAILQ_NEXT(io, link);
		if (may_be_cut(io))
			cut_bufferless(ch, io);
	}
	for (io = TAILQ_FIRST(&ch->starved); io != NULL; io = next) {
		next = TAILQ_NEXT(io, link);
		if (may_be_cut(io))
			cut_starved(ch, io);
	}
}

/* --- reset ---------------------------------------------------------------------------------- */

static void close_here(struct reactor_each *each)
{
	struct bdev_internal *in = in_of_each(each);
	struct bdev_local *local = local_here(in);

	local->gate |= BDEV_GATE_QUIESCE;
	if (local->channel == NULL) {
		reactor_each_next(each);
		return;
	}
	local->channel->gate = local->gate;
	cut_all(local->channel);
	if (is_native(in->bdev))
		reactor_each_next(each);
	else
		bdev_channel_drain(local->channel, BDEV_GATE_QUIESCE);
}

static void go(struct reactor_msg *msg)
{
	struct bdev_io *io = container_of(msg, struct bdev_io, msg);

	if (is_native(io->channel->bdev))
		bdev_io_hand_over(io);
	else
		bdev_reset_module_done(io);
}

static void closed_everywhere(struct reactor_each *each)
{
	struct bdev_io *io = in_of_each(each)->reset;

	io->msg.fn = go;
	reactor_send(io->channel->reactor, &io->msg);
}

static void open_here(struct reactor_each *each)
{
	struct bdev_local *local = local_here(in_of_each(each));

	local->gate &= ~BDEV_GATE_QUIESCE;
	if (local->channel != NULL) {
		local->channel->gate = local->gate;
		bdev_channel_rerun(local->channel);
	}
	reactor_each_next(each);
}

static void end(struct reactor_msg *msg)
{
	struct bdev_io *io = container_of(msg, struct bdev_io, msg);

	io->epoch = BDEV_EPOCH_NONE;
	io->channel->in_flight[BDEV_EPOCH_NONE]++;
	bdev_io_end(io);
}

static void opened_everywhere(struct reactor_each *each)
{
	struct bdev_internal *in = in_of_each(each);
	struct bdev_io *io = in->reset;

	in->reset = NULL;
	io->msg.fn = end;
	reactor_send(io->channel->reactor, &io->msg);
	begin_next(in);
}

static void reopen(struct reactor_msg *msg)
{
	struct bdev_io *io = container_of(msg, struct bdev_io, msg);
	struct bdev_internal *in = io->channel->bdev->internal;

	in->reset_each.fn = open_here;
	in->reset_each.done = opened_everywhere;
	reactor_for_each(&in->reset_each);
}

void bdev_reset_module_done(struct bdev_io *io)
{
	io->state = BDEV_IO_RESETTING;
	io->msg.fn = reopen;
	reactor_send(reactor_at(0), &io->msg);
}

/* The one that runs is in no list: its link belongs to the way of every I/O. */
static void begin_next(struct bdev_internal *in)
{
	in->reset = TAILQ_FIRST(&in->resets);
	if (in->reset == NULL)
		return;
	TAILQ_REMOVE(&in->resets, in->reset, link);
	in->reset_each.fn = close_here;
	in->reset_each.done = closed_everywhere;
	reactor_for_each(&in->reset_each);
}

static void request(struct reactor_msg *msg)
{
	struct bdev_io *io = container_of(msg, struct bdev_io, msg);
	struct bdev_internal *in = io->channel->bdev->internal;

	TAILQ_INSERT_TAIL(&in->resets, io, link);
	if (in->reset == NULL)
		begin_next(in);
}

void bdev_reset_submit(struct bdev_io *io)
{
	io->state = BDEV_IO_RESETTING;
	io->msg.fn = request;
	reactor_send(reactor_at(0), &io->msg);
}

/* --- abort ---------------------------------------------------------------------------------- */

static bool cut_split(struct bdev_channel *ch, struct bdev_io *target)
{
	struct bdev_io *io, *next;
	bool caught = target->split_left > 0;

	for (io = TAILQ_FIRST(&ch->bufferless); io != NULL; io = next) {
		next = TAILQ_NEXT(io, link);
		if (io->parent != target)
			continue;
		cut_bufferless(ch, io);
		caught = true;
	}
	if (!caught)
		return false;
	target->split_left = 0;
	if (target->status.err == 0)
		target->status = bdev_status_from_errno(-ECANCELED);
	return true;
}

/* A target that the module ends inside the call is delivered in the next turn, as ever. */
static bool ask_module(struct bdev_channel *ch, struct bdev_io *target)
{
	bool caught;

	if (ch->ops->abort == NULL)
		return false;
	target->state = BDEV_IO_SUBMITTING;
	caught = ch->ops->abort(ch->ctx, target);
	if (target->state == BDEV_IO_SUBMITTING)
		target->state = BDEV_IO_MODULE;
	return caught;
}

static bool cut(struct bdev_channel *ch, struct bdev_io *target)
{
	if (target->state == BDEV_IO_THROTTLED) {
		cut_throttled(target);
		return true;
	}
	if (!may_be_cut(target))
		return false;
	switch (target->state) {
	case BDEV_IO_HELD:
		cut_held(ch, target);
		return true;
	case BDEV_IO_BUFFERLESS:
		cut_bufferless(ch, target);
		return true;
	case BDEV_IO_STARVED:
		cut_starved(ch, target);
		return true;
	case BDEV_IO_SPLIT:
		return cut_split(ch, target);
	case BDEV_IO_MODULE:
		return ask_module(ch, target);
	default:
		return false;
	}
}

void bdev_abort_submit(struct bdev_io *io)
{
	bool caught = cut(io->channel, io->abort_target);

	bdev_io_fail(io, bdev_status_from_errno(caught ? 0 : -EBUSY));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bdev on one reactor: the channel, made at the first need and shared by all who ask, and the
 * counts of I/O in flight on it.
 *
 * Draining costs the I/O path nothing: each I/O is counted in the channel's current epoch, one of
 * two. Who wants all earlier I/O to be done flips the epoch and waits for the count of the other
 * one to fall to 0, while new I/O goes on in the new epoch. Requests that come during a drain share
 * the next one.
 *
 * Threading: the channel's reactor; the last step of closing is reactor 0's.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bdev/internal.h"

uint32_t bdev_allowed_types(const struct bdev *bdev)
{
	const uint32_t read = BDEV_BIT(BDEV_IO_READ), write = BDEV_BIT(BDEV_IO_WRITE);
	uint32_t types = bdev->types | BDEV_BIT(BDEV_IO_RESET) | BDEV_BIT(BDEV_IO_ABORT);

	if ((types & read) != 0)
		types |= BDEV_BIT(BDEV_IO_COMPARE);
	if ((types & write) != 0)
		types |= BDEV_BIT(BDEV_IO_WRITE_ZEROES);
	if ((types & read) != 0 && (types & write) != 0)
		types |= BDEV_BIT(BDEV_IO_COMPARE_AND_WRITE);
	if (!bdev->write_cache)
		types |= BDEV_BIT(BDEV_IO_FLUSH);
	if (__atomic_load_n(&bdev->read_only, __ATOMIC_RELAXED))
		types &= ~BDEV_CHANGING_TYPES;
	return types;
}

static struct bdev_channel *channel_create(struct bdev *bdev, struct bdev_local *local)
{
	size_t align = _Alignof(struct bdev_channel);
	size_t size = sizeof(struct bdev_channel) + bdev->channel_bytes;
	struct bdev_channel *ch = aligned_alloc(align, (size + align - 1) / align * align);

	if (ch == NULL)
		return NULL;
	memset(ch, 0, size);
	ch->bdev = bdev;
	ch->ops = bdev->ops;
	ch->home = bdev_home();
	ch->reactor = reactor_self();
	ch->local = local;
	ch->allowed = bdev_allowed_types(bdev);
	ch->limited = bdev->max_rw != 0 || bdev->max_iov != 0 || bdev->alignment > 1 ||
		      (bdev->split_on_boundary && bdev->boundary != 0);
	ch->gate = local->gate;
	TAILQ_INIT(&ch->held);
	TAILQ_INIT(&ch->bufferless);
	TAILQ_INIT(&ch->starved);
	bdev_qos_open(ch);
	return ch;
}

static int channel_open(struct bdev *bdev, struct bdev_local *local)
{
	struct bdev_channel *ch = channel_create(bdev, local);
	int rc = 0;

	if (ch == NULL || ch->home == NULL) {
		free(ch);
		return -ENOMEM;
	}
	if (bdev->ops->channel_open != NULL)
		rc = bdev->ops->channel_open(bdev, ch->ctx);
	if (rc < 0) {
		free(ch);
		return rc;
	}
	/* The caller's descriptor keeps the bdev; reactor 0 reads this when that is closed. */
	atomic_fetch_add_explicit(&bdev->internal->channels, 1, memory_order_relaxed);
	local->channel = ch;
	return 0;
}

int bdev_channel_get(struct bdev_desc *desc, struct bdev_channel **channel)
{
	struct bdev *bdev = desc->bdev;
	struct bdev_internal *in = bdev->internal;
	struct bdev_local *local = &in->local[reactor_index(reactor_self())];

	if (atomic_load_explicit(&in->removing, memory_order_relaxed))
		return -ENODEV;
	if (local->channel == NULL) {
		int rc = channel_open(bdev, local);

		if (rc < 0)
			return rc;
	}
	local->channel->refs++;
	*channel = local->channel;
	return 0;
}

static void channel_gone(struct reactor_msg *msg)
{
	struct bdev_channel *ch = container_of(msg, struct bdev_channel, msg);
	struct bdev_internal *in = ch->bdev->internal;

	atomic_fetch_sub_explicit(&in->channels, 1, memory_order_relaxed);
	free(ch);
	bdev_try_destruct(in);
}

static void channel_close(struct reactor_msg *msg)
{
	struct bdev_channel *ch = container_of(msg, struct bdev_channel, msg);

	ch->local->closing = false;
	if (ch->refs > 0)
		return;
	assert(ch->in_flight[0] == 0 && ch->in_flight[1] == 0 && TAILQ_EMPTY(&ch->held));
	bdev_qos_close(ch);
	if (ch->ops->channel_close != NULL)
		ch->ops->channel_close(ch->bdev, ch->ctx);
	ch->local->channel = NULL;
	msg->fn = channel_gone;
	reactor_send(reactor_at(0), msg);
}

/* A module may be in the middle of its channel when a completion puts it: close in a later turn. */
void bdev_channel_put(struct bdev_channel *ch)
{
	assert(ch->refs > 0 && ch->reactor == reactor_self());
	if (--ch->refs > 0 || ch->local->closing)
		return;
	ch->local->closing = true;
	ch->msg.fn = channel_close;
	reactor_defer(&ch->msg);
}

struct bdev *bdev_channel_bdev(const struct bdev_channel *channel)
{
	return channel->bdev;
}

/* --- draining ------------------------------------------------------------------------------- */

static void drain_end(struct bdev_channel *ch, uint32_t bits)
{
	struct bdev_internal *in = ch->bdev->internal;

	for (unsigned int i = 0; i < BDEV_LOCKS; i++) {
		if ((bits & (1u << i)) != 0)
			reactor_each_next(&in->locks[i].each);
	}
	if ((bits & BDEV_GATE_QUIESCE) != 0)
		reactor_each_next(&in->reset_each);
}

void bdev_channel_drained(struct bdev_channel *ch)
{
	while (ch->drain_now != 0 && ch->in_flight[ch->epoch ^ 1u] == 0) {
		uint32_t ended = ch->drain_now;

		ch->drain_now = ch->drain_next;
		ch->drain_next = 0;
		if (ch->drain_now != 0)
			ch->epoch ^= 1u;
		drain_end(ch, ended);
	}
}

void bdev_channel_drain(struct bdev_channel *ch, uint32_t bit)
{
	if (ch->drain_now != 0) {
		ch->drain_next |= bit;
		return;
	}
	ch->drain_now = bit;
	ch->epoch ^= 1u;
	bdev_channel_drained(ch);
}

void bdev_channel_rerun(struct bdev_channel *ch)
{
	struct bdev_io_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct bdev_io *io;

	TAILQ_CONCAT(&batch, &ch->held, link);
	while ((io = TAILQ_FIRST(&batch)) != NULL) {
		TAILQ_REMOVE(&batch, io, link);
		if (io->lock != BDEV_LOCK_NONE)
			bdev_caw_granted(io);
		else
			bdev_io_admit(io);
	}
}

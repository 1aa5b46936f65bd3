/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of I/Os and bytes a second (QoS), one set a bdev, shared by all its channels.
 *
 * A limit is one number that all reactors share: when all that it has let pass will have been paid
 * for at its rate. An I/O passes while that is less than BURST_NS ahead of now, whatever its size,
 * and moves it by its own price. So no I/O is too large, a large one is paid for by those behind
 * it, and over any time no more than the rate, a burst and one I/O pass. Who has to wait stands in
 * a queue of the channel, reads apart from writes, and a timer looks again.
 *
 * What has no limit does not come here: a channel looks at its gate alone, which has a bit for it.
 *
 * Threading: I/O on the channel's reactor; rates are set on reactor 0, which then tells all; the
 * numbers are atomic, and nothing else is read by what they say.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bdev/internal.h"

/* Prices are in parts of a nanosecond: at 10 GB/s a byte costs a tenth. */
#define PARTS	  UINT64_C(16)
#define BURST_NS  NS_PER_MSEC
#define PRICE_MAX (UINT64_MAX / 4)
/* How long a queue waits: not for a few I/Os each time, and not longer than what may change. */
#define WAIT_MIN_NS (NS_PER_MSEC / 4)
#define WAIT_MAX_NS (100 * NS_PER_MSEC)

static atomic_bool ended;

/* --- one limit ------------------------------------------------------------------------------ */

static uint64_t price_of(uint64_t amount, uint64_t rate)
{
	unsigned __int128 price = (unsigned __int128)amount * NS_PER_SEC * PARTS / rate;

	return price < PRICE_MAX ? (uint64_t)price : PRICE_MAX;
}

/* The nanoseconds until @amount may pass; 0: it has, for @price. */
static uint64_t take(struct bdev_limit *l, uint64_t amount, uint64_t now_ns, uint64_t *price)
{
	uint64_t rate = atomic_load_explicit(&l->rate, memory_order_relaxed);
	uint64_t due = atomic_load_explicit(&l->due, memory_order_relaxed);
	uint64_t now = now_ns * PARTS, next;

	*price = 0;
	if (rate == 0 || amount == 0)
		return 0;
	*price = price_of(amount, rate);
	do {
		if (due > now + BURST_NS * PARTS)
			return (due - now) / PARTS - BURST_NS + 1;
		next = (due > now ? due : now) + *price;
	} while (!atomic_compare_exchange_weak_explicit(&l->due, &due, next, memory_order_relaxed,
							memory_order_relaxed));
	return 0;
}

/* Another rate may have begun anew meanwhile: nothing is owed for less than no time. */
static void give_back(struct bdev_limit *l, uint64_t price)
{
	uint64_t due = atomic_load_explicit(&l->due, memory_order_relaxed), next;

	do {
		next = due > price ? due - price : 0;
	} while (!atomic_compare_exchange_weak_explicit(&l->due, &due, next, memory_order_relaxed,
							memory_order_relaxed));
}

/* --- all limits ----------------------------------------------------------------------------- */

uint64_t bdev_qos_take(struct bdev_qos *qos, enum bdev_qos_kind kind, uint64_t bytes,
		       uint64_t now_ns)
{
	const uint64_t amount[BDEV_LIMITS] = {
		[BDEV_LIMIT_RW_IOS] = 1,
		[BDEV_LIMIT_RW_BYTES] = bytes,
		[BDEV_LIMIT_R_BYTES] = kind == BDEV_QOS_READ ? bytes : 0,
		[BDEV_LIMIT_W_BYTES] = kind == BDEV_QOS_WRITE ? bytes : 0,
	};
	uint64_t price[BDEV_LIMITS];

	for (unsigned int i = 0; i < BDEV_LIMITS; i++) {
		uint64_t wait = take(&qos->limit[i], amount[i], now_ns, &price[i]);

		if (wait == 0)
			continue;
		while (i-- > 0)
			give_back(&qos->limit[i], price[i]);
		return wait;
	}
	return 0;
}

void bdev_qos_set(struct bdev_qos *qos, const uint64_t rate[static BDEV_LIMITS])
{
	for (unsigned int i = 0; i < BDEV_LIMITS; i++) {
		if (rate[i] == BDEV_LIMIT_KEEP)
			continue;
		atomic_store_explicit(&qos->limit[i].rate, rate[i], memory_order_relaxed);
		/* What passed at the old rate is not paid for at the new one. */
		atomic_store_explicit(&qos->limit[i].due, 0, memory_order_relaxed);
	}
}

static bool any_limit(struct bdev_qos *qos)
{
	uint64_t rates = 0;

	for (unsigned int i = 0; i < BDEV_LIMITS; i++)
		rates |= atomic_load_explicit(&qos->limit[i].rate, memory_order_relaxed);
	return rates != 0;
}

/* --- I/O ------------------------------------------------------------------------------------ */

/* As in SPDK: reads and writes, whatever they are part of; the rest moves no data of a host's. */
static bool is_limited(const struct bdev_io *io, enum bdev_qos_kind *kind)
{
	*kind = BDEV_QOS_WRITE;
	switch (io->type) {
	case BDEV_IO_READ:
	case BDEV_IO_COMPARE:
		*kind = BDEV_QOS_READ;
		return true;
	case BDEV_IO_WRITE:
	case BDEV_IO_COMPARE_AND_WRITE:
		return true;
	default:
		return false;
	}
}

static uint64_t wait_of(const struct bdev_io *io, enum bdev_qos_kind kind)
{
	struct bdev_internal *in = io->channel->bdev->internal;

	/* Who closes a bdev that goes, or leaves, waits for its I/O. */
	if (atomic_load_explicit(&in->removing, memory_order_relaxed) ||
	    atomic_load_explicit(&ended, memory_order_relaxed))
		return 0;
	return bdev_qos_take(in->qos, kind, io->blocks * io->channel->bdev->block_size,
			     reactor_now_ns());
}

static void look_again(struct bdev_channel *ch, uint64_t wait_ns)
{
	if (wait_ns < WAIT_MIN_NS)
		wait_ns = WAIT_MIN_NS;
	if (wait_ns > WAIT_MAX_NS)
		wait_ns = WAIT_MAX_NS;
	reactor_timer_start(&ch->throttle, wait_ns);
}

bool bdev_qos_holds(struct bdev_io *io)
{
	struct bdev_channel *ch = io->channel;
	enum bdev_qos_kind kind;
	uint64_t wait = 0;

	if (!is_limited(io, &kind))
		return false;
	if (TAILQ_EMPTY(&ch->throttled[kind])) {
		wait = wait_of(io, kind);
		if (wait == 0)
			return false;
	}
	io->state = BDEV_IO_THROTTLED;
	TAILQ_INSERT_TAIL(&ch->throttled[kind], io, link);
	if (!reactor_timer_is_started(&ch->throttle))
		look_again(ch, wait);
	return true;
}

void bdev_qos_leave(struct bdev_io *io)
{
	enum bdev_qos_kind kind;
	bool limited = is_limited(io, &kind);

	assert(limited && io->state == BDEV_IO_THROTTLED);
	(void)limited;
	TAILQ_REMOVE(&io->channel->throttled[kind], io, link);
}

/* The first of a queue goes on, if it may; @wait becomes less if that is sooner. */
static bool serve_one(struct bdev_channel *ch, enum bdev_qos_kind kind, uint64_t *wait)
{
	struct bdev_io *io = TAILQ_FIRST(&ch->throttled[kind]);
	uint64_t more;

	if (io == NULL)
		return false;
	/* Behind a gate it waits with the others, and comes again when that opens. */
	more = bdev_io_is_held(io) ? 0 : wait_of(io, kind);
	if (more > 0) {
		*wait = more < *wait ? more : *wait;
		return false;
	}
	TAILQ_REMOVE(&ch->throttled[kind], io, link);
	bdev_io_go_on(io);
	return true;
}

void bdev_qos_serve(struct bdev_channel *ch)
{
	uint64_t wait;
	bool any;

	/* In turns, so that neither starves where both share a limit. */
	do {
		wait = UINT64_MAX;
		any = serve_one(ch, BDEV_QOS_READ, &wait);
		any |= serve_one(ch, BDEV_QOS_WRITE, &wait);
	} while (any);
	if (wait != UINT64_MAX)
		look_again(ch, wait);
}

static void timer_due(struct reactor_timer *timer)
{
	bdev_qos_serve(container_of(timer, struct bdev_channel, throttle));
}

void bdev_qos_open(struct bdev_channel *ch)
{
	ch->throttle.fn = timer_due;
	TAILQ_INIT(&ch->throttled[BDEV_QOS_READ]);
	TAILQ_INIT(&ch->throttled[BDEV_QOS_WRITE]);
}

void bdev_qos_close(struct bdev_channel *ch)
{
	assert(TAILQ_EMPTY(&ch->throttled[BDEV_QOS_READ]) &&
	       TAILQ_EMPTY(&ch->throttled[BDEV_QOS_WRITE]));
	reactor_timer_stop(&ch->throttle);
}

/* --- setting -------------------------------------------------------------------------------- */

static void apply_here(struct reactor_each *each)
{
	struct bdev_limits_set *set = container_of(each, struct bdev_limits_set, each);
	struct bdev_internal *in = set->bdev->internal;
	struct bdev_local *local = &in->local[reactor_index(reactor_self())];

	if (any_limit(in->qos))
		local->gate |= BDEV_GATE_QOS;
	else
		local->gate &= ~BDEV_GATE_QOS;
	if (local->channel != NULL) {
		local->channel->gate = local->gate;
		bdev_qos_serve(local->channel);
	}
	reactor_each_next(each);
}

static void applied(struct reactor_each *each)
{
	struct bdev_limits_set *set = container_of(each, struct bdev_limits_set, each);

	set->done(set);
}

int bdev_limits_set(struct bdev_limits_set *set)
{
	struct bdev_internal *in = set->bdev->internal;

	/* Other reactors look at it only once their gate has the bit. */
	if (in->qos == NULL)
		in->qos = calloc(1, sizeof(*in->qos));
	if (in->qos == NULL)
		return -ENOMEM;
	bdev_qos_set(in->qos, set->rate);
	set->each.fn = apply_here;
	set->each.done = applied;
	reactor_for_each(&set->each);
	return 0;
}

/* The queues look again before WAIT_MAX_NS has passed. */
void bdev_limits_end(void)
{
	atomic_store_explicit(&ended, true, memory_order_relaxed);
}

bool bdev_limits_get(const struct bdev *bdev, uint64_t rate[static BDEV_LIMITS])
{
	struct bdev_qos *qos = bdev->internal->qos;

	for (unsigned int i = 0; i < BDEV_LIMITS; i++)
		rate[i] = qos == NULL
				  ? 0
				  : atomic_load_explicit(&qos->limit[i].rate, memory_order_relaxed);
	return qos != NULL && any_limit(qos);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded single-producer, single-consumer ring of pointers, without locks and without atomic
 * read-modify-write.
 *
 * Threading: one thread puts, one thread takes. Each side keeps a copy of the other's index and
 * reads the shared one only when its copy says full (or empty), so that a busy ring moves few
 * cache lines.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_CACHE_LINE 64

struct ring {
	_Alignas(RING_CACHE_LINE) _Atomic uint32_t head; /* next to take; written by the consumer */
	uint32_t tail_seen;				 /* the consumer's copy of tail */
	_Alignas(RING_CACHE_LINE) _Atomic uint32_t tail; /* next to put; written by the producer */
	uint32_t head_seen;				 /* the producer's copy of head */
	_Alignas(RING_CACHE_LINE) uint32_t mask;
	void **slots;
};

/** ring_init() - @size is a power of two of at least 2; -EINVAL, -ENOMEM */
int ring_init(struct ring *r, uint32_t size);
void ring_fini(struct ring *r);

/** ring_put() - producer: false when the ring is full */
static inline bool ring_put(struct ring *r, void *item)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail - r->head_seen > r->mask) {
		/* Pairs with the release in ring_take(): the slot was read before it is reused. */
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail - r->head_seen > r->mask)
			return false;
	}
	r->slots[tail & r->mask] = item;
	/* What the item points to, and the slot, are seen by whoever sees the new tail. */
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

/** ring_take() - consumer: the oldest item, or NULL when the ring is empty */
static inline void *ring_take(struct ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	void *item;

	if (head == r->tail_seen) {
		/* Pairs with the release in ring_put(). */
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head == r->tail_seen)
			return NULL;
	}
	item = r->slots[head & r->mask];
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return item;
}

/** ring_is_empty() - consumer: nothing to take now; orders nothing */
static inline bool ring_is_empty(const struct ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) ==
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffer pools: a mapping per size whose pages are touched only when a buffer is first used, the
 * last given back handed out first, and an ordered queue for those who came too late.
 *
 * Threading: each reactor has its own.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "reactor/internal.h"

#define HUGE_PAGE (UINT64_C(2) << 20)

/* --- memory --------------------------------------------------------------------------------- */

/* Free huge pages of the system, in bytes; 0 when there are none or they cannot be counted. */
static uint64_t huge_bytes_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * HUGE_PAGE;
}

static void *map(size_t size, size_t *mapped)
{
	size_t huge = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
	void *p;

	if (huge_bytes_free() >= huge) {
		/* Reserved as a whole by this call, so that a later touch cannot fail. */
		p = mmap(NULL, huge, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (p != MAP_FAILED) {
			*mapped = huge;
			return p;
		}
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	*mapped = size;
	/* Transparent huge pages would make one touched buffer cost 2 MiB. */
	(void)madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static void pool_serve(struct reactor_msg *msg);

static int pool_init(struct buffer_pool *pool, uint32_t size, uint32_t total)
{
	*pool = (struct buffer_pool){ .size = size, .total = total };
	pool->serve.fn = pool_serve;
	if (total == 0)
		return 0;
	pool->base = map((size_t)size * total, &pool->mapped);
	return pool->base ? 0 : -ENOMEM;
}

static void pool_fini(struct buffer_pool *pool)
{
	if (pool->base)
		munmap(pool->base, pool->mapped);
}

int buffers_init(struct reactor *r, const struct reactor_options *opts)
{
	int rc = pool_init(&r->small, REACTOR_SMALL_BUFFER, opts->small_buffers);

	return rc < 0 ? rc : pool_init(&r->large, REACTOR_LARGE_BUFFER, opts->large_buffers);
}

void buffers_fini(struct reactor *r)
{
	pool_fini(&r->small);
	pool_fini(&r->large);
}

/* --- get and put ---------------------------------------------------------------------------- */

static void *pool_take(struct buffer_pool *pool)
{
	void *buffer = pool->free_head;

	if (buffer)
		pool->free_head = *(void **)buffer;
	else if (pool->fresh < pool->total)
		buffer = pool->base + (size_t)pool->size * pool->fresh++;
	else
		return NULL;
	pool->used++;
	return buffer;
}

static bool pool_has(const struct buffer_pool *pool, const void *buffer)
{
	const uint8_t *p = buffer;

	return pool->base && p >= pool->base && p < pool->base + (size_t)pool->size * pool->total;
}

static void pool_wait(struct buffer_pool *pool, struct reactor_buffer_wait *wait)
{
	wait->next = NULL;
	if (pool->wait_head)
		pool->wait_tail->next = wait;
	else
		pool->wait_head = wait;
	pool->wait_tail = wait;
	pool->waiting++;
	reactor_current->stats.buffer_waits++;
}

static void serve_later(struct buffer_pool *pool)
{
	if (pool->serving || !pool->wait_head || pool->used == pool->total)
		return;
	pool->serving = true;
	reactor_defer(&pool->serve);
}

static void pool_serve(struct reactor_msg *msg)
{
	struct buffer_pool *pool = container_of(msg, struct buffer_pool, serve);
	/* Who queues again while being served waits for the next turn. */
	uint32_t count = pool->waiting;

	pool->serving = false;
	while (count-- > 0 && pool->wait_head) {
		struct reactor_buffer_wait *wait = pool->wait_head;
		void *buffer = pool_take(pool);

		if (!buffer)
			break;
		pool->wait_head = wait->next;
		pool->waiting--;
		wait->fn(wait, buffer);
	}
	serve_later(pool);
}

void *reactor_buffer_get(uint32_t size, struct reactor_buffer_wait *wait)
{
	struct reactor *r = reactor_current;
	struct buffer_pool *pool = size <= REACTOR_SMALL_BUFFER ? &r->small : &r->large;
	void *buffer = NULL;

	assert(size <= REACTOR_LARGE_BUFFER);
	if (!pool->wait_head)
		buffer = pool_take(pool);
	if (!buffer && wait)
		pool_wait(pool, wait);
	return buffer;
}

void reactor_buffer_put(void *buffer)
{
	struct reactor *r = reactor_current;
	struct buffer_pool *pool = pool_has(&r->small, buffer) ? &r->small : &r->large;

	assert(pool_has(pool, buffer));
	assert(((size_t)((uint8_t *)buffer - pool->base)) % pool->size == 0);
	assert(pool->used > 0);
	*(void **)buffer = pool->free_head;
	pool->free_head = buffer;
	pool->used--;
	serve_later(pool);
}

static bool pool_forget(struct buffer_pool *pool, struct reactor_buffer_wait *wait)
{
	struct reactor_buffer_wait *prev = NULL;

	for (struct reactor_buffer_wait *w = pool->wait_head; w; prev = w, w = w->next) {
		if (w != wait)
			continue;
		if (prev)
			prev->next = w->next;
		else
			pool->wait_head = w->next;
		if (pool->wait_tail == w)
			pool->wait_tail = prev;
		pool->waiting--;
		return true;
	}
	return false;
}

void reactor_buffer_wait_cancel(struct reactor_buffer_wait *wait)
{
	if (!pool_forget(&reactor_current->small, wait))
		pool_forget(&reactor_current->large, wait);
}

/* --- receive buffers ------------------------------------------------------------------------ */

int recv_buffers_init(struct recv_buffers *b, uint32_t total)
{
	*b = (struct recv_buffers){ .total = total };
	b->base = mmap(NULL, (size_t)total * REACTOR_RECV_BUFFER, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->base == MAP_FAILED) {
		b->base = NULL;
		return -ENOMEM;
	}
	(void)madvise(b->base, (size_t)total * REACTOR_RECV_BUFFER, MADV_NOHUGEPAGE);
	return 0;
}

void recv_buffers_fini(struct recv_buffers *b)
{
	if (b->base)
		munmap(b->base, (size_t)b->total * REACTOR_RECV_BUFFER);
	b->base = NULL;
}

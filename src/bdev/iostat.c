/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting the counts of I/O that each reactor keeps.
 *
 * Threading: asked for on reactor 0; each reactor adds, and resets, what is its own.
 */
#include <string.h>

#include "bdev/internal.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* 0 stands for "none yet". */
static uint64_t smaller(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static void add(struct bdev_iostat *to, const struct bdev_iostat *s)
{
	to->bytes_read += s->bytes_read;
	to->reads += s->reads;
	to->bytes_written += s->bytes_written;
	to->writes += s->writes;
	to->bytes_unmapped += s->bytes_unmapped;
	to->unmaps += s->unmaps;
	to->copies += s->copies;
	to->read_ticks += s->read_ticks;
	to->write_ticks += s->write_ticks;
	to->unmap_ticks += s->unmap_ticks;
	to->max_read_ticks = larger(to->max_read_ticks, s->max_read_ticks);
	to->max_write_ticks = larger(to->max_write_ticks, s->max_write_ticks);
	to->max_unmap_ticks = larger(to->max_unmap_ticks, s->max_unmap_ticks);
	to->min_read_ticks = smaller(to->min_read_ticks, s->min_read_ticks);
	to->min_write_ticks = smaller(to->min_write_ticks, s->min_write_ticks);
	to->min_unmap_ticks = smaller(to->min_unmap_ticks, s->min_unmap_ticks);
	to->errors += s->errors;
}

static void reset(struct bdev_iostat *s, enum bdev_iostat_reset how)
{
	if (how == BDEV_IOSTAT_RESET_ALL)
		memset(s, 0, sizeof(*s));
	if (how == BDEV_IOSTAT_RESET_ERRORS)
		s->errors = 0;
	if (how != BDEV_IOSTAT_RESET_MAXMIN)
		return;
	s->max_read_ticks = s->max_write_ticks = s->max_unmap_ticks = 0;
	s->min_read_ticks = s->min_write_ticks = s->min_unmap_ticks = 0;
}

static void collect_here(struct reactor_each *each)
{
	struct bdev_iostat_get *get = container_of(each, struct bdev_iostat_get, each);
	unsigned int index = reactor_index(reactor_self());
	struct bdev_local *local = &get->bdev->internal->local[index];
	struct bdev_iostat *s = &local->stat;

	add(&get->total, s);
	if (get->per_reactor != NULL && local->channel != NULL)
		get->per_reactor[index] = *s;
	reset(s, get->reset);
	reactor_each_next(each);
}

static void collected(struct reactor_each *each)
{
	struct bdev_iostat_get *get = container_of(each, struct bdev_iostat_get, each);

	get->done(get);
}

void bdev_iostat_get(struct bdev_iostat_get *get)
{
	memset(&get->total, 0, sizeof(get->total));
	get->each.fn = collect_here;
	get->each.done = collected;
	reactor_for_each(&get->each);
}

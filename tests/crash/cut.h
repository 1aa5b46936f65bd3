/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every image that a power cut may leave: the record is cut behind each event, and of what was not
 * flushed by then each atomic unit has any of its versions: the durable one, or one of those
 * written since. That is writes lost, torn and reordered in any combination. All combinations while
 * they are few; otherwise a sample by the seed, with the telling ones first (all lost, all there,
 * each write alone, all but one).
 *
 * A data block is a unit. A metadata page is one in mode 1; in mode 2 each of its 512 bytes is.
 *
 * Threading: a fiber, where there is one reactor.
 */
#ifndef TESTS_CRASH_CUT_H
#define TESTS_CRASH_CUT_H

#include "disk.h"

#define CUT_TORN_MAX 64

struct cut;

/**
 * struct cut_image - an image, as it is on the disk when it is looked at
 * @at: events before this one had happened
 * @torn: metadata pages of the device that are neither one version nor another (mode 2)
 * @before, @behind: what those hold without and with all writes
 * @outer: the image whose load was cut again; NULL
 */
struct cut_image {
	const struct cut *cut;
	uint32_t at;
	uint32_t torn_count;
	uint64_t torn[CUT_TORN_MAX];
	const uint8_t *before, *behind;
	const struct cut_image *outer;
};

/**
 * struct cut_options
 * @begin: cut from this event on; what was before is durable
 * @order: the events in another order, or some of them (NULL: as recorded); @order_count
 * @limit: images of one cut; all combinations are tried while they are no more
 * @md_first, @md_blocks: the block of metadata page 0, and where metadata ends
 * @look: judges an image; false stops the whole run. Its changes of the disk are undone
 */
struct cut_options {
	const struct record *record;
	const uint32_t *order;
	uint32_t order_count;
	uint32_t begin;
	uint32_t limit;
	unsigned int mode;
	uint64_t md_first, md_blocks;
	uint64_t seed;
	bool (*look)(const struct cut_image *image, void *arg);
	void *arg;
};

/** struct cut_count - what was done */
struct cut_count {
	uint64_t cuts, images, exhaustive;
};

/**
 * cut_run() - all cuts of a record
 * @disk: holds what the device held at @begin with nothing missing; is left as it was
 *
 * Return: false when an image was found wrong.
 */
bool cut_run(struct disk *disk, const struct cut_options *opts, struct cut_count *count);
/** cut_mend() - make torn pages whole, @new or old, as the best of repairs would */
void cut_mend(const struct cut_image *image, struct disk *disk, bool new);
/** cut_explain() - what the image has of what was not flushed, as lines of text */
void cut_explain(const struct cut_image *image, char *text, size_t size);
/** event_name() - what kind of write this is, by place and content */
const char *event_name(const struct event *e, uint64_t md_first, uint64_t md_blocks);

#endif

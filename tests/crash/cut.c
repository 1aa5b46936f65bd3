/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enumeration of the images of a cut.
 *
 * Threading: see cut.h.
 */
#include "cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/format.h"
#include "kit.h"

#define PENDING_MAX 512u
#define NOT_YET	    UINT32_MAX

/* struct pending - a write that no flush has covered; @done: place in the order of its answer */
struct pending {
	uint32_t event;
	uint32_t place;
	uint32_t done;
};

/* struct unit - blocks that change together; its versions are versions[first .. first + count - 1],
 * indices of pending writes, oldest first */
struct unit {
	uint64_t block;
	uint32_t blocks;
	uint32_t first, count;
};

/* struct cut - @settled: by block, the place of the last write that is durable, plus one
 * @choice: by unit, 0 for the durable version */
struct cut {
	const struct cut_options *opts;
	struct disk *disk;
	struct cut_count *count;
	struct random random;
	struct pending pending[PENDING_MAX];
	uint32_t pending_count;
	uint32_t *settled;
	struct unit *units;
	uint32_t unit_count, unit_room;
	uint32_t *versions;
	uint32_t version_count, version_room;
	uint32_t *choice;
	uint32_t *place_of; /* by event: of a flush; of the answer of a write */
	uint64_t seen[256];
	uint32_t seen_count;
	uint32_t at;
	int must; /* a pending write that has to be there, or -1: its absence was looked at before
		   */
	uint32_t tried;
	bool good;
	uint8_t before[CUT_TORN_MAX * PAGE], behind[CUT_TORN_MAX * PAGE];
};

static const struct event *event_at(const struct cut *c, uint32_t index)
{
	return &c->opts->record->at[index];
}

/* --- units ------------------------------------------------------------------------------------ */

static void add_version(struct cut *c, struct unit *u, uint32_t pending)
{
	if (c->version_count == c->version_room) {
		c->version_room = c->version_room == 0 ? 256 : c->version_room * 2;
		c->versions = kit_realloc(c->versions, c->version_room * sizeof(*c->versions));
	}
	c->versions[c->version_count++] = pending;
	u->count++;
}

static bool has_version(const struct cut *c, const struct pending *p, uint64_t block)
{
	const struct event *e = event_at(c, p->event);

	if (block < e->block || block >= e->block + e->blocks || event_block(e, block) == NULL)
		return false;
	/* Answered before a durable one was written: it can never come back. */
	return c->settled[block] == 0 || p->done >= c->settled[block] - 1;
}

static void add_unit(struct cut *c, uint64_t block, uint32_t blocks)
{
	struct unit u = { .block = block, .blocks = blocks, .first = c->version_count };

	for (uint32_t i = 0; i < c->pending_count; i++) {
		if (has_version(c, &c->pending[i], block))
			add_version(c, &u, i);
	}
	if (u.count == 0)
		return;
	if (c->unit_count == c->unit_room) {
		c->unit_room = c->unit_room == 0 ? 256 : c->unit_room * 2;
		c->units = kit_realloc(c->units, c->unit_room * sizeof(*c->units));
		c->choice = kit_realloc(c->choice, c->unit_room * sizeof(*c->choice));
	}
	c->units[c->unit_count++] = u;
}

static uint32_t unit_blocks(const struct cut *c, uint64_t block)
{
	return c->opts->mode == 1 && block < c->opts->md_blocks ? PAGE_BLOCKS : 1;
}

static bool in_earlier(const struct cut *c, uint32_t pending, uint64_t block)
{
	for (uint32_t i = 0; i < pending; i++) {
		const struct event *e = event_at(c, c->pending[i].event);

		if (block >= e->block && block < e->block + e->blocks)
			return true;
	}
	return false;
}

static void find_units(struct cut *c)
{
	c->unit_count = c->version_count = 0;
	for (uint32_t i = 0; i < c->pending_count; i++) {
		const struct event *e = event_at(c, c->pending[i].event);
		uint64_t block = e->block;

		while (block < e->block + e->blocks) {
			uint32_t blocks = unit_blocks(c, block);

			if (!in_earlier(c, i, block))
				add_unit(c, block, blocks);
			block += blocks;
		}
	}
}

/* --- an image --------------------------------------------------------------------------------- */

static const struct pending *chosen(const struct cut *c, uint32_t unit)
{
	const struct unit *u = &c->units[unit];

	if (c->choice[unit] == 0)
		return NULL;
	return &c->pending[c->versions[u->first + c->choice[unit] - 1]];
}

static void put_image(struct cut *c)
{
	for (uint32_t i = 0; i < c->unit_count; i++) {
		const struct pending *p = chosen(c, i);

		for (uint32_t j = 0; p != NULL && j < c->units[i].blocks; j++) {
			uint64_t block = c->units[i].block + j;
			const uint8_t *bytes = event_block(event_at(c, p->event), block);

			if (bytes != NULL)
				disk_put(c->disk, block, bytes);
		}
	}
}

static void note_torn(struct cut_image *image, uint64_t page)
{
	for (uint32_t i = 0; i < image->torn_count; i++) {
		if (image->torn[i] == page)
			return;
	}
	if (image->torn_count < CUT_TORN_MAX)
		image->torn[image->torn_count++] = page;
}

/* Units of a page follow each other, since writes to metadata are of whole pages. */
static void find_torn(const struct cut *c, struct cut_image *image)
{
	for (uint32_t i = 1; i < c->unit_count; i++) {
		uint64_t block = c->units[i].block;

		if (block < c->opts->md_blocks && block % PAGE_BLOCKS != 0 &&
		    c->units[i - 1].block + 1 == block && chosen(c, i - 1) != chosen(c, i))
			note_torn(image, block / PAGE_BLOCKS);
	}
}

/* The versions of torn pages, from a disk that has the durable one of each block. */
static void keep_versions(struct cut *c, struct cut_image *image)
{
	for (uint32_t i = 0; i < image->torn_count; i++) {
		const uint8_t *page = disk_data(c->disk) + image->torn[i] * PAGE;

		memcpy(c->before + (size_t)i * PAGE, page, PAGE);
		memcpy(c->behind + (size_t)i * PAGE, page, PAGE);
	}
	for (uint32_t i = 0; i < c->unit_count; i++) {
		const struct unit *u = &c->units[i];
		const struct pending *last = &c->pending[c->versions[u->first + u->count - 1]];

		for (uint32_t j = 0; j < image->torn_count; j++) {
			if (image->torn[j] == u->block / PAGE_BLOCKS)
				memcpy(c->behind + (size_t)j * PAGE +
					       (u->block % PAGE_BLOCKS) * BLOCK,
				       event_block(event_at(c, last->event), u->block), BLOCK);
		}
	}
	image->before = c->before;
	image->behind = c->behind;
}

/* Of two versions that differ in a few sectors all may be there. */
static bool is_whole(const uint8_t *page)
{
	uint32_t crc = crc32c_finish(crc32c_update(CRC32C_INIT, page, PAGE - 4));

	return le32_get(page + PAGE - 4) == crc;
}

void cut_mend(const struct cut_image *image, struct disk *disk, bool new)
{
	const uint8_t *pages = new ? image->behind : image->before;

	for (uint32_t i = 0; i < image->torn_count; i++) {
		if (is_whole(disk_data(disk) + image->torn[i] * PAGE))
			continue;
		for (unsigned int j = 0; j < PAGE_BLOCKS; j++)
			disk_put(disk, image->torn[i] * PAGE_BLOCKS + j,
				 pages + (size_t)i * PAGE + (size_t)j * BLOCK);
	}
}

static bool was_seen(struct cut *c)
{
	uint64_t hash = 1469598103934665603u;

	for (uint32_t i = 0; i < c->unit_count; i++)
		hash = (hash ^ c->choice[i]) * 1099511628211u;
	for (uint32_t i = 0; i < c->seen_count; i++) {
		if (c->seen[i] == hash)
			return true;
	}
	if (c->seen_count < sizeof(c->seen) / sizeof(c->seen[0]))
		c->seen[c->seen_count++] = hash;
	return false;
}

static bool has_must(const struct cut *c)
{
	if (c->must < 0)
		return true;
	for (uint32_t i = 0; i < c->unit_count; i++) {
		if (chosen(c, i) == &c->pending[c->must])
			return true;
	}
	return false;
}

static void look(struct cut *c)
{
	struct cut_image image = { .cut = c, .at = c->at };
	struct disk_mark mark;

	if (!c->good || !has_must(c) || was_seen(c))
		return;
	mark = disk_mark(c->disk);
	find_torn(c, &image);
	if (image.torn_count > 0)
		keep_versions(c, &image);
	put_image(c);
	c->count->images++;
	c->tried++;
	c->good = c->opts->look(&image, c->opts->arg);
	disk_undo(c->disk, mark);
}

/* --- combinations ----------------------------------------------------------------------------- */

/* Each unit has the last version of those writes that @there has. */
static void choose_writes(struct cut *c, const bool *there)
{
	for (uint32_t i = 0; i < c->unit_count; i++) {
		const struct unit *u = &c->units[i];

		c->choice[i] = 0;
		for (uint32_t j = 0; j < u->count; j++) {
			if (there[c->versions[u->first + j]])
				c->choice[i] = j + 1;
		}
	}
}

static void set_all(bool *there, uint32_t count, bool value)
{
	for (uint32_t i = 0; i < count; i++)
		there[i] = value;
}

/* How many combinations there are, up to a bit more than the limit. */
static uint64_t combinations(const struct cut *c)
{
	uint64_t n = 1;

	for (uint32_t i = 0; i < c->unit_count && n <= c->opts->limit; i++)
		n *= c->units[i].count + 1;
	return n;
}

static void look_at_all(struct cut *c)
{
	uint32_t i;

	memset(c->choice, 0, c->unit_count * sizeof(*c->choice));
	do {
		look(c);
		for (i = 0; i < c->unit_count; i++) {
			if (++c->choice[i] <= c->units[i].count)
				break;
			c->choice[i] = 0;
		}
	} while (i < c->unit_count && c->good);
}

static void look_at_telling(struct cut *c, bool *there)
{
	uint32_t n = c->pending_count;

	set_all(there, n, true);
	choose_writes(c, there);
	look(c);
	set_all(there, n, false);
	choose_writes(c, there);
	look(c);
	for (uint32_t i = n; i-- > 0 && c->tried < c->opts->limit;) {
		set_all(there, n, false);
		there[i] = true;
		choose_writes(c, there);
		look(c);
		set_all(there, n, true);
		there[i] = false;
		choose_writes(c, there);
		look(c);
	}
}

/* One write is there up to some block, or from some block on. */
static void tear(struct cut *c, uint32_t pending)
{
	const struct event *e = event_at(c, c->pending[pending].event);
	uint64_t at = e->block + random_next(&c->random) % e->blocks;
	bool front = random_one_in(&c->random, 2);

	for (uint32_t i = 0; i < c->unit_count; i++) {
		const struct unit *u = &c->units[i];

		if (chosen(c, i) == &c->pending[pending] && (u->block < at) != front)
			c->choice[i] -= 1;
	}
}

static void look_at_random(struct cut *c, bool *there)
{
	uint32_t kind = random_below(&c->random, 3);

	for (uint32_t i = 0; i < c->pending_count; i++)
		there[i] = random_one_in(&c->random, 2);
	if (c->must >= 0)
		there[c->must] = true;
	choose_writes(c, there);
	if (kind == 0)
		tear(c, random_below(&c->random, c->pending_count));
	for (uint32_t i = 0; kind == 1 && i < c->unit_count; i++)
		c->choice[i] = random_below(&c->random, c->units[i].count + 1);
	look(c);
}

static void look_at_some(struct cut *c)
{
	bool *there = kit_alloc(c->pending_count * sizeof(*there));

	look_at_telling(c, there);
	for (uint32_t i = 0; i < 2 * c->opts->limit && c->tried < c->opts->limit && c->good; i++)
		look_at_random(c, there);
	free(there);
}

static void visit(struct cut *c, uint32_t at, int must)
{
	if (!c->good)
		return;
	c->at = at;
	c->must = must;
	c->seen_count = 0;
	c->tried = 0;
	c->count->cuts++;
	find_units(c);
	if (c->unit_count == 0) {
		look(c);
		c->count->exhaustive++;
	} else if (combinations(c) <= c->opts->limit) {
		look_at_all(c);
		c->count->exhaustive++;
	} else {
		look_at_some(c);
	}
}

/* --- the order of events ---------------------------------------------------------------------- */

static void settle(struct cut *c, const struct pending *p)
{
	const struct event *e = event_at(c, p->event);

	for (uint64_t i = e->block; i < e->block + e->blocks; i++) {
		const uint8_t *bytes = event_block(e, i);

		/* One that is durable already and was written later stays. */
		if (bytes == NULL || c->settled[i] > p->place + 1)
			continue;
		disk_put(c->disk, i, bytes);
		c->settled[i] = p->place + 1;
	}
}

/* What was answered before place @before is durable. */
static void settle_before(struct cut *c, uint32_t before)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->pending_count; i++) {
		if (c->pending[i].done < before)
			settle(c, &c->pending[i]);
		else
			c->pending[kept++] = c->pending[i];
	}
	c->pending_count = kept;
}

static void write_done(struct cut *c, uint32_t event, uint32_t place)
{
	uint32_t i = 0;

	c->place_of[event] = place;
	while (i < c->pending_count && c->pending[i].event != event)
		i++;
	if (i == c->pending_count)
		return;
	c->pending[i].done = place;
	if (!event_at(c, event)->fua)
		return;
	settle(c, &c->pending[i]);
	c->pending_count--;
	memmove(&c->pending[i], &c->pending[i + 1], (c->pending_count - i) * sizeof(c->pending[0]));
}

static void begin_write(struct cut *c, uint32_t index, uint32_t place)
{
	if (c->pending_count == PENDING_MAX)
		kit_die("more than %u writes without a flush", PENDING_MAX);
	/* One that was moved behind its answer is done as soon as it is there. */
	c->pending[c->pending_count++] = (struct pending){
		.event = index,
		.place = place,
		.done = c->place_of[index] == NOT_YET ? NOT_YET : place,
	};
}

static void happen(struct cut *c, uint32_t index, uint32_t place, uint32_t at)
{
	const struct event *e = event_at(c, index);

	switch (e->kind) {
	case EVENT_WRITE:
		begin_write(c, index, place);
		visit(c, at, (int)c->pending_count - 1);
		break;
	case EVENT_DONE:
		write_done(c, e->of, place);
		break;
	case EVENT_FLUSH:
		c->place_of[index] = place;
		break;
	case EVENT_FLUSHED:
		if (c->place_of[e->of] != NOT_YET)
			settle_before(c, c->place_of[e->of]);
		break;
	case EVENT_END:
		if (e->promise)
			visit(c, at, -1);
		break;
	default:
		break;
	}
}

bool cut_run(struct disk *disk, const struct cut_options *opts, struct cut_count *count)
{
	uint32_t events = opts->order != NULL ? opts->order_count : opts->record->count, at = 0;
	struct disk_mark mark = disk_mark(disk);
	struct cut *c = kit_alloc(sizeof(*c));
	bool good;

	c->opts = opts;
	c->disk = disk;
	c->count = count;
	c->random.state = opts->seed;
	c->good = true;
	c->settled = kit_alloc(disk_bytes(disk) / BLOCK * sizeof(*c->settled));
	c->place_of = kit_alloc(opts->record->count * sizeof(*c->place_of));
	memset(c->place_of, 0xff, opts->record->count * sizeof(*c->place_of));
	for (uint32_t i = 0; i < events && c->good; i++) {
		uint32_t index = opts->order != NULL ? opts->order[i] : i;

		if (index < opts->begin)
			continue;
		at = index + 1 > at ? index + 1 : at;
		happen(c, index, i, at);
	}
	good = c->good;
	free(c->settled);
	free(c->place_of);
	free(c->units);
	free(c->versions);
	free(c->choice);
	free(c);
	disk_undo(disk, mark);
	return good;
}

/* --- words ------------------------------------------------------------------------------------ */

static const char *page_name(const uint8_t *page, uint64_t index)
{
	const struct blob_disk_page *p = (const void *)page;
	uint32_t sequence = le32_get(page + offsetof(struct blob_disk_page, sequence));

	if (p->descriptors[0] == BLOB_DESC_EXTENT_PAGE && sequence == 0)
		return "extents";
	if (sequence != 0)
		return "chain";
	return le64_get(page) == BLOB_ID_BASE + index ? "root" : "page";
}

const char *event_name(const struct event *e, uint64_t md_first, uint64_t md_blocks)
{
	if (e->block >= md_blocks)
		return e->data != NULL ? "data" : e->unmap ? "unmap" : "zeroes";
	if (e->block == 0)
		return "super";
	if (e->block < md_first)
		return "mask";
	if (e->data == NULL)
		return "erase";
	return page_name(e->data, (e->block - md_first) / PAGE_BLOCKS);
}

static const char *presence(const struct cut *c, uint32_t pending)
{
	bool any = false, all = true;

	for (uint32_t i = 0; i < c->unit_count; i++) {
		const struct unit *u = &c->units[i];
		bool here = chosen(c, i) == &c->pending[pending];

		for (uint32_t j = 0; j < u->count; j++) {
			if (c->versions[u->first + j] != pending)
				continue;
			any |= here;
			all &= here;
		}
	}
	return all && any ? "there" : any ? "torn" : "lost";
}

void cut_explain(const struct cut_image *image, char *text, size_t size)
{
	const struct cut *c = image->cut;
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < c->pending_count && used < size; i++) {
		const struct event *e = event_at(c, c->pending[i].event);
		int n = snprintf(text + used, size - used,
				 "  event %" PRIu32 ": %s, blocks %" PRIu64 " + %" PRIu64 ": %s\n",
				 c->pending[i].event,
				 event_name(e, c->opts->md_first, c->opts->md_blocks), e->block,
				 e->blocks, presence(c, i));

		used += n > 0 ? (size_t)n : 0;
	}
}

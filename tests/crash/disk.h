/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory with a write cache that a power cut empties: each write, unmap, write zeroes and
 * flush is recorded with its data, in the order in which the disk saw them begin and end. What is
 * done to the memory can be undone up to a mark, so that thousands of images of a cut cost no more
 * than what differs between them.
 *
 * Threading: registered and deleted by a fiber of reactor 0; I/O on any reactor. Marks only where
 * there is one reactor.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <pthread.h>

#include "bdev/module.h"
#include "random.h"

/* The same tests are built for 4096 too: then no page tears. */
#ifndef BLOCK
#define BLOCK 512u
#endif
#define PAGE	    4096u
#define PAGE_BLOCKS (PAGE / BLOCK)
#define POISON	    0xd5 /* what the disk is full of before anybody wrote */

enum event_kind {
	EVENT_WRITE,   /* write, unmap or write zeroes, submitted */
	EVENT_DONE,    /* @of was answered */
	EVENT_FLUSH,   /* submitted */
	EVENT_FLUSHED, /* @of was answered: what was answered before @of began is durable */
	EVENT_BEGIN,   /* operation or data I/O @of begins */
	EVENT_END,     /* @of was answered */
};

/**
 * struct event
 * @of: index of another event, or a number that the recording program gave
 * @fua: durable with its DONE
 * @promise: of END: what it tells survives the next cut
 * @spares_odd: an unmap of a disk that does not read as zeroes afterwards: odd blocks keep what
 *              they have
 * @data: of a write; NULL: zeroes
 */
struct event {
	enum event_kind kind;
	uint32_t of;
	bool fua, promise, spares_odd, unmap;
	uint64_t block, blocks;
	uint8_t *data;
};

struct record {
	pthread_mutex_t lock;
	struct event *at;
	uint32_t count, room;
};

struct record *record_create(void);
void record_destroy(struct record *r);
/** record_note() - BEGIN or END; its index. Any reactor */
uint32_t record_note(struct record *r, enum event_kind kind, uint32_t of, bool promise);
/** event_block() - what @e makes of a block in its range: BLOCK bytes; NULL: it stays */
const uint8_t *event_block(const struct event *e, uint64_t block);

struct disk;
/** disk_create() - @room bytes in memory, of which the bdev shows @bytes */
struct disk *disk_create(const char *name, uint64_t bytes, uint64_t room, bool unmap_zeroes);
void disk_delete(struct disk *d);
struct bdev *disk_bdev(struct disk *d);
uint8_t *disk_data(struct disk *d);
uint64_t disk_bytes(const struct disk *d);
/** disk_record() - from now on into @r (NULL: no more); @late: answers come late, in any order */
void disk_record(struct disk *d, struct record *r, struct random *late);
/** disk_changes() - writes so far */
uint64_t disk_changes(const struct disk *d);

struct disk_mark {
	uint32_t saved, serial;
};
struct disk_mark disk_mark(struct disk *d);
/** disk_undo() - the memory is what it was at @mark; marks made since are void */
void disk_undo(struct disk *d, struct disk_mark mark);
/** disk_put() - a block, to be undone like any write */
void disk_put(struct disk *d, uint64_t block, const uint8_t *bytes);

#endif

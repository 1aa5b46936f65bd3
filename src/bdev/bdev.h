/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block layer as its users see it: names, descriptors, channels, block I/O.
 *
 * Threading: names, descriptors and everything that changes what bdevs there are belong to reactor
 * 0. A channel belongs to the reactor that got it, and I/O goes through a channel of the calling
 * reactor. Nothing here takes a lock.
 */
#ifndef BDEV_BDEV_H
#define BDEV_BDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include <jansson.h>

#include "base/error.h"
#include "base/uuid.h"
#include "reactor/reactor.h"

struct bdev;
struct bdev_desc;
struct bdev_channel;
struct bdev_io;
struct bdev_module;

/**
 * struct bdev_status - how an I/O ended
 * @err: 0 or a negative errno
 * @sct, @sc: NVMe status code type and code; both 0 on success. A module that has no NVMe status of
 *            its own leaves it to bdev_status_from_errno().
 * @dnr: do not retry
 */
struct bdev_status {
	int err;
	uint8_t sct;
	uint8_t sc;
	bool dnr;
};

/**
 * bdev_status_from_errno() - the NVMe status that says best what an errno says
 *
 * status.c has the table; what is not in it becomes Internal Error.
 */
struct bdev_status bdev_status_from_errno(int err);
/** bdev_status_nvme() - a status a device or a check gave; @err follows from it */
struct bdev_status bdev_status_nvme(uint8_t sct, uint8_t sc, bool dnr);

enum bdev_io_type {
	BDEV_IO_READ,
	BDEV_IO_WRITE,
	BDEV_IO_FLUSH,
	BDEV_IO_UNMAP,
	BDEV_IO_WRITE_ZEROES,
	BDEV_IO_RESET,
	BDEV_IO_COMPARE,
	BDEV_IO_COMPARE_AND_WRITE,
	BDEV_IO_ABORT,
	BDEV_IO_SEEK_DATA,
	BDEV_IO_SEEK_HOLE,
	BDEV_IO_TYPES,
};

/* What a bdev's block may be: a multiple of 512 bytes, of which a pool buffer takes at least two.
 */
#define BDEV_BLOCK_SIZE_MIN 512u
#define BDEV_BLOCK_SIZE_MAX 65536u
#define BDEV_NAME_MAX	    255u

/** bdev_io_type_name() - "read", "write", ... as bdev_get_bdevs spells them */
const char *bdev_io_type_name(enum bdev_io_type type);

/* Flags of an I/O. */
#define BDEV_IO_FUA   (1u << 0) /* durable when done */
#define BDEV_IO_OWNED (1u << 1) /* set by bdev_read_borrow(): goes back with bdev_io_return() */

/* Bytes of each I/O that the module which carries it may use as it likes. */
#define BDEV_IO_DRIVER_BYTES 320

/**
 * struct bdev_io - one I/O; the caller embeds it, or takes one from bdev_io_get()
 *
 * Nothing of it may be touched between submission and completion; @status, @iov and @iovcnt may be
 * read in the completion.
 */
struct bdev_io {
	struct bdev_channel *channel;
	void (*done)(struct bdev_io *io);
	void *arg;    /* the caller's */
	uint8_t type; /* enum bdev_io_type */
	uint8_t flags;
	uint16_t iovcnt;
	struct bdev_status status;
	uint64_t offset; /* in blocks */
	uint64_t blocks;
	const struct iovec *iov;
	const struct iovec *compare_iov; /* COMPARE_AND_WRITE: what must be there */
	uint16_t compare_iovcnt;
	uint64_t seek_result; /* SEEK_*: block, or UINT64_MAX when there is none */
	struct bdev_io *abort_target;

	/*
	 * The block layer's own: where the I/O is (enum bdev_io_state), which count of the channel
	 * has it, what its pieces do (enum bdev_io_type), and the range lock it holds.
	 */
	uint8_t state;
	uint8_t epoch;
	uint8_t piece_type;
	uint8_t lock;
	uint32_t split_outstanding;
	struct reactor_msg msg;
	TAILQ_ENTRY(bdev_io) link;
	struct bdev_io *parent;
	struct iovec own_iov[2];
	void *own_buffer;
	struct reactor_buffer_wait wait;
	uint64_t submit_ticks;
	uint64_t split_next, split_left;
	_Alignas(16) uint8_t driver[BDEV_IO_DRIVER_BYTES];
};

/* --- descriptors (reactor 0) ------------------------------------------------------------------ */

enum bdev_event {
	BDEV_EVENT_REMOVE, /* the bdev is going: finish, put channels, close the descriptor */
	BDEV_EVENT_RESIZE, /* its number of blocks changed */
};

/**
 * bdev_open() - a descriptor of the bdev with that name, alias or UUID
 * @writable: -EPERM when the bdev is claimed by a module
 * @event: told on reactor 0
 *
 * Return: 0; -ENODEV, -EPERM, -ENOMEM with @err filled.
 */
int bdev_open(const char *name, bool writable,
	      void (*event)(struct bdev_desc *desc, enum bdev_event event, void *user), void *user,
	      struct bdev_desc **desc, struct error *err);
/** bdev_close() - all channels got through it have been put; no event comes after this */
void bdev_close(struct bdev_desc *desc);
struct bdev *bdev_of(const struct bdev_desc *desc);

/**
 * bdev_claim() - @module alone writes to the bdev from now on; the descriptor becomes writable
 *
 * Return: 0; -EPERM (with @err: who holds it) when claimed or open for writing elsewhere.
 */
int bdev_claim(struct bdev_desc *desc, const struct bdev_module *module, struct error *err);
void bdev_release(struct bdev_desc *desc);

enum bdev_change { BDEV_CHANGE_ADDED, BDEV_CHANGE_RESIZED, BDEV_CHANGE_REMOVED };

/**
 * struct bdev_watcher - told of all bdevs, on reactor 0, inside the call that changes one
 * @changed: changes no bdev itself
 */
struct bdev_watcher {
	void (*changed)(struct bdev_watcher *watcher, struct bdev *bdev, enum bdev_change change);
	TAILQ_ENTRY(bdev_watcher) link;
};
void bdev_watch(struct bdev_watcher *watcher);
void bdev_unwatch(struct bdev_watcher *watcher);

/** bdev_find() - by name, alias or UUID text; NULL when there is none */
struct bdev *bdev_find(const char *name);
/** bdev_first(), bdev_next() - all bdevs, in the order of their registration */
struct bdev *bdev_first(void);
struct bdev *bdev_next(const struct bdev *bdev);

const char *bdev_name(const struct bdev *bdev);
const struct uuid *bdev_uuid(const struct bdev *bdev);
uint32_t bdev_block_size(const struct bdev *bdev);
uint64_t bdev_num_blocks(const struct bdev *bdev);
/**
 * bdev_supports() - an I/O of that type works, whether the module or the block layer does it
 *
 * supported_io_types of bdev_get_bdevs says, as SPDK does, what the module does itself.
 */
bool bdev_supports(const struct bdev *bdev, enum bdev_io_type type);
/** bdev_has_write_cache() - a write may be lost by a power cut until a flush is done */
bool bdev_has_write_cache(const struct bdev *bdev);
/** bdev_unmap_zeroes() - unmapped blocks read as zeroes */
bool bdev_unmap_zeroes(const struct bdev *bdev);
/** bdev_optimal_boundary() - in blocks; 0 when there is none */
uint32_t bdev_optimal_boundary(const struct bdev *bdev);
/** bdev_max_unmap() - blocks of one unmap that the device takes well; 0 without limit */
uint64_t bdev_max_unmap(const struct bdev *bdev);

/** bdev_to_json() - the object of bdev_get_bdevs; a new reference */
json_t *bdev_to_json(const struct bdev *bdev);

/* --- channels (any reactor) ------------------------------------------------------------------- */

/**
 * bdev_channel_get() - a channel of the calling reactor; the descriptor stays open until it is put
 *
 * Return: 0; -ENODEV when the bdev is being removed, -ENOMEM, or what the module says.
 */
int bdev_channel_get(struct bdev_desc *desc, struct bdev_channel **channel);
/** bdev_channel_put() - no I/O of the caller is in flight on it */
void bdev_channel_put(struct bdev_channel *channel);
struct bdev *bdev_channel_bdev(const struct bdev_channel *channel);

/** bdev_fini() - give back what the reactors' pools hold; after reactor_system_fini() */
void bdev_fini(void);

/* --- I/O (the channel's reactor) -------------------------------------------------------------- */

/*
 * All of these complete through io->done, later, with io->status; a range past the end is answered
 * with LBA Out of Range, an operation the bdev cannot do at all with Invalid Opcode. Offsets and
 * lengths are in blocks. Buffers are the caller's until completion, of any alignment: the block
 * layer bounces where a module needs alignment. What exceeds a module's limits is split. Write
 * zeroes, compare and compare-and-write work on every bdev: the block layer does them by reads and
 * writes where a module cannot; compare-and-write is atomic against all other I/O of the bdev's
 * range. A miscompare is NVMe's Compare Failure (-EILSEQ). FUA on a bdev without a write cache asks
 * for nothing. A flush may name no blocks; the range of it is advice, all is flushed. No other I/O
 * may have zero blocks, nor segments that are not as long as its blocks: Invalid Field.
 */
void bdev_readv(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		uint16_t iovcnt, uint64_t offset, uint64_t blocks);
void bdev_writev(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		 uint16_t iovcnt, uint64_t offset, uint64_t blocks, uint8_t flags);
void bdev_flush(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset, uint64_t blocks);
void bdev_unmap(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset, uint64_t blocks);
void bdev_write_zeroes(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset,
		       uint64_t blocks, uint8_t flags);
/**
 * bdev_reset() - hold back new I/O of all reactors, abort what waits, and let the module reset
 *
 * Where the module has no reset, it is done when what was in flight has completed.
 */
void bdev_reset(struct bdev_channel *ch, struct bdev_io *io);
void bdev_comparev(struct bdev_channel *ch, struct bdev_io *io, const struct iovec *iov,
		   uint16_t iovcnt, uint64_t offset, uint64_t blocks);
void bdev_compare_and_writev(struct bdev_channel *ch, struct bdev_io *io,
			     const struct iovec *compare, uint16_t compare_cnt,
			     const struct iovec *write, uint16_t write_cnt, uint64_t offset,
			     uint64_t blocks, uint8_t flags);
/**
 * bdev_abort() - try to end @target, which is in flight on the same channel, early
 *
 * @target completes all the same, with Command Abort Requested if it was caught. @io: success when
 * it was, -EBUSY when it will end by itself.
 */
void bdev_abort(struct bdev_channel *ch, struct bdev_io *io, struct bdev_io *target);
void bdev_seek_data(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset);
void bdev_seek_hole(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset);

/**
 * bdev_read_borrow() - a read whose bytes stay where they are
 *
 * The completion finds the bytes at io->iov: the memory of a memory-backed bdev itself (they may
 * change while a write to the same blocks runs), or a buffer of this reactor's pool. The caller
 * gives them back with bdev_io_return() when it has used them, also after a failure. At most
 * BDEV_BORROW_MAX bytes.
 */
#define BDEV_BORROW_MAX (128u * 1024)
void bdev_read_borrow(struct bdev_channel *ch, struct bdev_io *io, uint64_t offset,
		      uint64_t blocks);
void bdev_io_return(struct bdev_io *io);

/* --- statistics ---------------------------------------------------------------------------- */

/*
 * Counted at completion: an I/O of a user, not its pieces; a compare as a read, a compare-and-write
 * as a write, write zeroes not at all. Times are clock_ticks(); minima and maxima are 0 while there
 * is none. A failed I/O is an error and nothing else.
 */
struct bdev_iostat {
	uint64_t bytes_read, reads;
	uint64_t bytes_written, writes;
	uint64_t bytes_unmapped, unmaps;
	uint64_t copies;
	uint64_t read_ticks, write_ticks, unmap_ticks;
	uint64_t max_read_ticks, max_write_ticks, max_unmap_ticks;
	uint64_t min_read_ticks, min_write_ticks, min_unmap_ticks;
	uint64_t errors;
};

/**
 * struct bdev_iostat_get - the sum over all reactors
 * @per_reactor: with room for reactor_count() entries, all zeros, or NULL: of the reactors that
 *               have a channel now
 * @reset: afterwards: nothing, all, only maxima and minima, or only errors
 * @done: later, on reactor 0
 */
enum bdev_iostat_reset {
	BDEV_IOSTAT_KEEP,
	BDEV_IOSTAT_RESET_ALL,
	BDEV_IOSTAT_RESET_MAXMIN,
	BDEV_IOSTAT_RESET_ERRORS,
};
struct bdev_iostat_get {
	struct bdev *bdev; /* kept alive by a descriptor of the caller's */
	enum bdev_iostat_reset reset;
	struct bdev_iostat total;
	struct bdev_iostat *per_reactor;
	void (*done)(struct bdev_iostat_get *get);
	struct reactor_each each;
};
void bdev_iostat_get(struct bdev_iostat_get *get);

/* --- limits --------------------------------------------------------------------------------- */

/* I/Os and bytes a second, of reads and writes together or apart. */
enum bdev_limit_type {
	BDEV_LIMIT_RW_IOS,
	BDEV_LIMIT_RW_BYTES,
	BDEV_LIMIT_R_BYTES,
	BDEV_LIMIT_W_BYTES,
	BDEV_LIMITS,
};
#define BDEV_LIMIT_KEEP UINT64_MAX

/**
 * struct bdev_limits_set - change limits, also while I/O runs
 * @bdev: kept alive by a descriptor of the caller's
 * @rate: 0: none; BDEV_LIMIT_KEEP: as it is
 * @done: later, on reactor 0: from now on they hold on every reactor
 */
struct bdev_limits_set {
	struct bdev *bdev;
	uint64_t rate[BDEV_LIMITS];
	void (*done)(struct bdev_limits_set *set);
	struct reactor_each each;
};
/** bdev_limits_set() - reactor 0. Return: 0, or -ENOMEM and @set->done is not called */
int bdev_limits_set(struct bdev_limits_set *set);
/** bdev_limits_end() - the program is leaving: what any limit holds goes on, and none holds more */
void bdev_limits_end(void);
/** bdev_limits_get() - reactor 0. Whether there are any */
bool bdev_limits_get(const struct bdev *bdev, uint64_t rate[static BDEV_LIMITS]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the block layer share, and nobody else sees.
 *
 * Threading: struct bdev_internal belongs to reactor 0, its local[] entries each to the reactor of
 * that index; channels and what hangs on them belong to their reactor. What reactor 0 writes and
 * others read is either constant from registration on, or read without ordering and said so, or
 * handed over by a message.
 */
#ifndef BDEV_INTERNAL_H
#define BDEV_INTERNAL_H

#include <stdatomic.h>

#include "base/container_of.h"
#include "bdev/module.h"

/* Segments a piece of a split I/O may have before it is bounced. */
#define BDEV_PIECE_IOV BDEV_IO_ROOM
/* Range locks of a bdev at one time; more wait in order. */
#define BDEV_LOCKS     8u
#define BDEV_LOCK_NONE 255u
/* Bits of a gate: one per range lock, one that stops everything, and one for limits. */
#define BDEV_GATE_LOCKS	  ((1u << BDEV_LOCKS) - 1u)
#define BDEV_GATE_QUIESCE (1u << BDEV_LOCKS)
#define BDEV_GATE_QOS	  (1u << (BDEV_LOCKS + 1u))
/* The epoch of an I/O that no drain waits for. */
#define BDEV_EPOCH_NONE 2u

enum bdev_io_state {
	BDEV_IO_IDLE,
	BDEV_IO_LOCKING,    /* compare-and-write: asks reactor 0 for its range */
	BDEV_IO_HELD,	    /* in channel->held, behind a gate */
	BDEV_IO_THROTTLED,  /* in channel->throttled: a limit is used up */
	BDEV_IO_BUFFERLESS, /* in channel->bufferless, waits for a pool buffer */
	BDEV_IO_STARVED,    /* in channel->starved, waits for a piece */
	BDEV_IO_SPLIT,	    /* carried out by its pieces */
	BDEV_IO_SUBMITTING, /* the module's submit is running */
	BDEV_IO_MODULE,	    /* with the module */
	BDEV_IO_RESETTING,  /* a reset between its steps */
	BDEV_IO_DONE,	    /* in home->done, delivered in the next turn */
};

TAILQ_HEAD(bdev_io_list, bdev_io);

/** struct bdev_piece - what the pool holds: an I/O with room for the segments of a piece */
struct bdev_piece {
	struct bdev_io io;
	struct iovec iov[BDEV_PIECE_IOV];
};

/* What limits tell apart. */
enum bdev_qos_kind { BDEV_QOS_READ, BDEV_QOS_WRITE, BDEV_QOS_KINDS };

/**
 * struct bdev_limit - one limit of a bdev
 * @rate: I/Os or bytes a second; 0: none
 * @due: when what it let pass is paid for, in parts of nanoseconds (qos.c)
 */
struct bdev_limit {
	_Atomic uint64_t rate, due;
};

struct bdev_qos {
	struct bdev_limit limit[BDEV_LIMITS];
};

struct bdev_io_chunk;

/** struct bdev_home - what one reactor keeps for all bdevs */
struct bdev_home {
	struct bdev_io_list done;
	struct reactor_msg deliver;
	struct bdev_io_list free;
	TAILQ_HEAD(, bdev_io_wait) waiting;
	struct reactor_msg serve;
	bool serving;
	struct bdev_io_chunk *chunks;
	uint32_t chunk_count;
};

/**
 * struct bdev_channel - a bdev on one reactor
 * @allowed: bit per type that may be submitted at all
 * @limited: data I/O must be held against max_rw, boundary, max_iov and alignment
 * @gate: copy of local->gate; not 0: look before letting an I/O pass
 * @in_flight: I/Os of users that passed the gate, per epoch; the third is for those not counted
 * @drain_now, @drain_next: gate bits that wait for the end of the other epoch, or of the one after
 * @throttled, @throttle: I/O that waits for a limit, in order, and when to look again
 * @spare: the piece that lets a split I/O go on when the pool is empty, so that bdevs standing on
 *         each other never wait in a circle
 */
struct bdev_channel {
	struct bdev *bdev;
	const struct bdev_ops *ops;
	struct bdev_home *home;
	struct reactor *reactor;
	struct bdev_local *local;
	uint32_t refs;
	uint32_t allowed;
	bool limited;
	bool spare_used;
	uint8_t epoch;
	uint32_t gate;
	uint32_t drain_now, drain_next;
	uint32_t in_flight[3];
	struct bdev_io_list held, bufferless, starved;
	struct bdev_io_list throttled[BDEV_QOS_KINDS];
	struct reactor_timer throttle;
	struct reactor_msg msg;
	struct bdev_piece spare;
	_Alignas(64) uint8_t ctx[];
};

/** struct bdev_local - what a reactor keeps of a bdev, with or without a channel */
struct bdev_local {
	_Alignas(64) uint32_t gate;
	bool closing;
	struct bdev_channel *channel;
	struct bdev_iostat stat;
};

enum bdev_lock_state { BDEV_LOCK_FREE, BDEV_LOCK_SETTING, BDEV_LOCK_SET, BDEV_LOCK_CLEARING };

/**
 * struct bdev_lock - a range lock
 *
 * @io, @offset and @blocks are written by reactor 0 while the lock is free and no gate has its bit;
 * other reactors read them only while their gate has it.
 */
struct bdev_lock {
	enum bdev_lock_state state;
	struct bdev_internal *in;
	struct bdev_io *io;
	uint64_t offset, blocks;
	struct reactor_each each;
	struct reactor_msg msg;
};

/** struct bdev_label - a name, alias or UUID text that leads to a bdev */
struct bdev_label {
	char *text;
	struct bdev *bdev;
	TAILQ_ENTRY(bdev_label) link;
};

struct bdev_desc {
	struct bdev *bdev;
	bool writable;
	bool closed;
	uint32_t pending; /* bit per enum bdev_event that is on its way */
	void (*event)(struct bdev_desc *desc, enum bdev_event event, void *user);
	void *user;
	struct reactor_msg msg;
	TAILQ_ENTRY(bdev_desc) link;
};

/**
 * struct bdev_internal
 * @labels: the name first
 * @removing: read by other reactors without ordering
 * @channels: on all reactors; raised there while a descriptor keeps the bdev, lowered on reactor 0
 * @examining: modules are still to be told of it
 * @locks: BDEV_LOCKS, from the first compare-and-write on: most bdevs never see one
 * @qos: from the first limit on
 */
struct bdev_internal {
	struct bdev *bdev;
	TAILQ_ENTRY(bdev_internal) link;
	TAILQ_HEAD(bdev_labels, bdev_label) labels;
	TAILQ_HEAD(, bdev_desc) descs;
	struct bdev_desc *claim;
	const struct bdev_module *claim_module;
	atomic_bool removing;
	bool destructing;
	bool examining;
	atomic_uint channels;
	void (*done)(void *arg, int result);
	void *done_arg;
	int result;
	struct reactor_msg msg;
	struct reactor_msg examine_msg;
	struct bdev_lock *locks;
	struct bdev_qos *qos;
	struct bdev_io_list lock_queue;
	struct bdev_io *reset;
	struct bdev_io_list resets;
	struct reactor_each reset_each;
	struct bdev_local local[];
};

TAILQ_HEAD(bdev_list, bdev_internal);
extern struct bdev_list bdev_list;

#define BDEV_BIT(type) (1u << (type))
/* What a read-only bdev refuses. */
#define BDEV_CHANGING_TYPES                                                                        \
	(BDEV_BIT(BDEV_IO_WRITE) | BDEV_BIT(BDEV_IO_WRITE_ZEROES) | BDEV_BIT(BDEV_IO_UNMAP) |      \
	 BDEV_BIT(BDEV_IO_COMPARE_AND_WRITE))

static inline uint64_t bdev_blocks_now(const struct bdev *bdev)
{
	return __atomic_load_n(&bdev->num_blocks, __ATOMIC_RELAXED);
}

/* home.c */
struct bdev_home *bdev_home(void);
void bdev_io_defer(struct bdev_io *io);
struct bdev_piece *bdev_piece_get(struct bdev_channel *ch);
void bdev_piece_put(struct bdev_channel *ch, struct bdev_piece *piece);

/* label.c */
struct bdev *bdev_label_find(const char *text);
int bdev_label_add(struct bdev *bdev, const char *text, struct error *err);
void bdev_label_remove(struct bdev_label *label);
struct bdev_label *bdev_label_of(const struct bdev *bdev, const char *text);

/* registry.c */
void bdev_try_destruct(struct bdev_internal *in);
/* examine.c */
void bdev_examine(struct bdev_internal *in);
/* channel.c */
uint32_t bdev_allowed_types(const struct bdev *bdev);
void bdev_channel_drain(struct bdev_channel *ch, uint32_t bit);
void bdev_channel_drained(struct bdev_channel *ch);
/** bdev_channel_rerun() - give those that a gate held another try */
void bdev_channel_rerun(struct bdev_channel *ch);

/* io.c */
void bdev_io_admit(struct bdev_io *io);
void bdev_io_hand_over(struct bdev_io *io);
void bdev_io_fail(struct bdev_io *io, struct bdev_status status);
void bdev_io_finish(struct bdev_io *io);
void bdev_io_end(struct bdev_io *io);
/** bdev_io_dispatch() - past the gate: to the module, or to pieces */
void bdev_io_dispatch(struct bdev_io *io);
/** bdev_io_is_held() - a gate would hold it now, limits aside */
bool bdev_io_is_held(const struct bdev_io *io);
/** bdev_io_go_on() - past its limits */
void bdev_io_go_on(struct bdev_io *io);
bool bdev_io_fits(const struct bdev *bdev, const struct bdev_io *io);

/* piece.c */
void bdev_pieces_start(struct bdev_io *parent, enum bdev_io_type type);
void bdev_pieces_run(struct bdev_io *parent);
void bdev_piece_done(struct bdev_io *io);
bool bdev_segments_aligned(const struct bdev *bdev, const struct iovec *iov, uint16_t iovcnt);

/* lock.c */
void bdev_caw_submit(struct bdev_io *io);
void bdev_caw_granted(struct bdev_io *io);
void bdev_caw_step(struct bdev_io *io);
bool bdev_gate_holds(const struct bdev_channel *ch, const struct bdev_io *io);
void bdev_lock_release(struct bdev_io *io);
bool bdev_locks_idle(const struct bdev_internal *in);

/* qos.c */
/**
 * bdev_qos_take() - let an I/O pass at @now_ns, if all limits that concern it do
 *
 * Return: 0, or the nanoseconds after which it is worth asking again.
 */
uint64_t bdev_qos_take(struct bdev_qos *qos, enum bdev_qos_kind kind, uint64_t bytes,
		       uint64_t now_ns);
/** bdev_qos_set() - other rates; what was let pass before counts no more for those that change */
void bdev_qos_set(struct bdev_qos *qos, const uint64_t rate[static BDEV_LIMITS]);
/** bdev_qos_holds() - it has to wait for a limit, and does */
bool bdev_qos_holds(struct bdev_io *io);
/** bdev_qos_leave() - take one that waits out of its queue */
void bdev_qos_leave(struct bdev_io *io);
/** bdev_qos_serve() - let those go on that may */
void bdev_qos_serve(struct bdev_channel *ch);
void bdev_qos_open(struct bdev_channel *ch);
void bdev_qos_close(struct bdev_channel *ch);

/* json.c */
/** bdev_save_limits() - append the method that sets them, if there are any */
void bdev_save_limits(const struct bdev *bdev, json_t *array);

/* reset.c */
void bdev_reset_submit(struct bdev_io *io);
void bdev_reset_module_done(struct bdev_io *io);
void bdev_abort_submit(struct bdev_io *io);

#endif

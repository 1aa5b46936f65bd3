/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block layer as its modules see it: registration, and how an I/O reaches and leaves a module.
 *
 * Threading: registration and removal on reactor 0; submit and complete on the channel's reactor.
 */
#ifndef BDEV_MODULE_H
#define BDEV_MODULE_H

#include "bdev/bdev.h"

/**
 * struct bdev_module - a kind of bdev
 * @claim_type: how bdev_get_bdevs calls its claims; NULL for "exclusive_write"
 * @examine: a bdev appeared: claim and use it, or not; ends with bdev_examine_done(), later or
 * inside. NULL for modules that build on no other bdev.
 * @save: append {"method", "params"} objects to @array that make the module's options again (not
 * its bdevs: see bdev_ops.save)
 */
struct bdev_module {
	const char *name;
	const char *claim_type;
	void (*examine)(struct bdev *bdev);
	void (*save)(json_t *array);
	TAILQ_ENTRY(bdev_module) link;
};

/** bdev_module_register() - from a constructor or at start; the order is that of examination */
void bdev_module_register(struct bdev_module *module);
void bdev_examine_done(const struct bdev_module *module, struct bdev *bdev);
/** bdev_wait_for_examine() - @msg is sent when no examination is under way */
void bdev_wait_for_examine(struct reactor_msg *msg);

/**
 * struct bdev_ops - what a module does for its bdevs
 * @channel_open: fill @ctx (bdev->channel_bytes of it, zeroed) for the calling reactor
 * @channel_close: all I/O of the channel is done
 * @submit: carry out @io; ends with bdev_io_complete(). Ranges, types and limits were checked, the
 * segments are as long as the blocks, and begin and length of each have the alignment that the bdev
 * asks for. BDEV_IO_FUA comes only to a bdev with a write cache. For a read with io->iovcnt == 0
 * (only when bdev->lends is set, and whatever max_iov and boundary are) the module sets own_iov and
 * iov itself.
 * @abort: try to end @target early: true when it will complete with -ECANCELED (inside the call or
 *         later); NULL when the module cannot
 * @destruct: unregistered, no channel left: release what the module holds, then
 *            bdev_destruct_done(), later or inside, and free the bdev
 * @dump: add the members of driver_specific to @object; may be NULL
 * @save: append the method that makes this bdev again to @array; may be NULL
 */
struct bdev_ops {
	int (*channel_open)(struct bdev *bdev, void *ctx);
	void (*channel_close)(struct bdev *bdev, void *ctx);
	void (*submit)(void *ctx, struct bdev_io *io);
	bool (*abort)(void *ctx, struct bdev_io *target);
	void (*destruct)(struct bdev *bdev);
	void (*dump)(const struct bdev *bdev, json_t *object);
	void (*save)(const struct bdev *bdev, json_t *array);
};

/**
 * struct bdev - a block device; embedded in the module's own object
 * @name: its own copy, see bdev_register(); @product_name, @module, @ops: set by the module
 * @types: bit per enum bdev_io_type that the module carries out itself
 * @physical_block_size: 0 for block_size
 * @alignment: of buffers in memory, 1 for none: a power of two up to REACTOR_BUFFER_ALIGN of which
 *             @block_size is a multiple
 * @max_rw, @max_unmap, @max_write_zeroes: blocks of one I/O; 0 without limit
 * @max_iov: segments of one I/O; 0 without limit
 * @boundary: I/O with data does not cross multiples of so many blocks if @split_on_boundary; else
 *            advice
 * @preferred_write_alignment ... @preferred_unmap_granularity: in blocks, 0 for none: advice
 * @lends: reads without a buffer are answered in place
 * @read_only: whatever changes it is refused as write protected; a module may set it later, and
 *             refuses by itself then what comes through channels that were open before
 * @may_be_empty: 0 blocks are allowed
 * @numa_known: bdev_get_bdevs shows @numa_id (-1: any)
 *
 * All but @num_blocks and @read_only stay as they are from registration on.
 */
struct bdev {
	char *name;
	const char *product_name;
	struct uuid uuid;
	uint32_t block_size;
	uint32_t physical_block_size;
	uint64_t num_blocks;
	uint32_t types;
	uint32_t alignment;
	uint64_t max_rw, max_unmap, max_write_zeroes;
	uint16_t max_iov;
	uint32_t boundary;
	uint32_t preferred_write_alignment, preferred_write_granularity, optimal_write_size;
	uint32_t preferred_unmap_alignment, preferred_unmap_granularity;
	int32_t numa_id;
	bool numa_known;
	bool split_on_boundary;
	bool write_cache;
	bool unmap_zeroes;
	bool lends;
	bool read_only;
	bool may_be_empty;
	size_t channel_bytes;
	const struct bdev_module *module;
	const struct bdev_ops *ops;

	struct bdev_internal *internal; /* the block layer's own */
};

/**
 * bdev_register() - show a bdev to the world; modules examine it
 * @name: copied
 * A nil bdev->uuid gets a random one.
 *
 * Return: 0; -EEXIST when the name or UUID is in use, -EINVAL for a wrong geometry, with @err
 * filled.
 */
int bdev_register(struct bdev *bdev, const char *name, struct error *err);
/**
 * bdev_unregister() - take it away
 * @done: later, on reactor 0: the result of destruct; NULL when nobody asks
 *
 * Users are told by BDEV_EVENT_REMOVE; new opens and channels are refused from now on; it goes when
 * the last descriptor was closed. Return: 0, -EBUSY when it is going already.
 */
int bdev_unregister(struct bdev *bdev, void (*done)(void *arg, int result), void *arg);
/** bdev_destruct_done() - the block layer touches @bdev no more once this returns */
void bdev_destruct_done(struct bdev *bdev, int result);

/** bdev_alias_add(), bdev_alias_remove() - -EEXIST, -ENOENT */
int bdev_alias_add(struct bdev *bdev, const char *alias, struct error *err);
int bdev_alias_remove(struct bdev *bdev, const char *alias);
/** bdev_rename() - the old name is free at once; -EEXIST when the new one is in use */
int bdev_rename(struct bdev *bdev, const char *name, struct error *err);
/** bdev_resize() - shrinking with open descriptors is refused: -EBUSY */
int bdev_resize(struct bdev *bdev, uint64_t num_blocks, struct error *err);

/**
 * bdev_zeroes() - BDEV_ZEROES_BYTES of zeroes, aligned to a page, for any thread to read and lend
 *
 * Not const only because an iovec is not; nobody writes there.
 */
#define BDEV_ZEROES_BYTES BDEV_BORROW_MAX
void *bdev_zeroes(void);

/** bdev_io_complete() - the module is done with @io; may be called inside submit */
void bdev_io_complete(struct bdev_io *io, struct bdev_status status);
static inline void bdev_io_complete_errno(struct bdev_io *io, int err)
{
	bdev_io_complete(io, bdev_status_from_errno(err));
}

/** bdev_io_ctx() - the module's scratch of an I/O, as its own type */
#define bdev_io_ctx(io, type)                                                                      \
	({                                                                                         \
		_Static_assert(sizeof(type) <= BDEV_IO_DRIVER_BYTES, "scratch too small");         \
		(type *)(void *)(io)->driver;                                                      \
	})

/**
 * bdev_io_get() - an I/O from this reactor's pool, for modules that stand on other bdevs
 * @wait: called later, in the order of asking, when the pool is empty or others wait already
 *
 * Return: the I/O, or NULL (@wait will be called).
 */
struct bdev_io_wait {
	void (*fn)(struct bdev_io_wait *wait, struct bdev_io *io);
	TAILQ_ENTRY(bdev_io_wait) link;
};
struct bdev_io *bdev_io_get(struct bdev_io_wait *wait);
void bdev_io_put(struct bdev_io *io);
/** bdev_io_room() - segments that an I/O of the pool brings, for whoever took it to fill */
#define BDEV_IO_ROOM 32u
struct iovec *bdev_io_room(struct bdev_io *io);

/** bdev_save_config() - all modules' and bdevs' methods, in an order that loads */
void bdev_save_config(json_t *array);
/** bdev_save_found() - what concerns bdevs that are found by examination: comes when that is over
 */
void bdev_save_found(json_t *array);

#endif

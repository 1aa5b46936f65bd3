/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The malloc bdev: one anonymous mapping, read in place, copied into, and given back to the system
 * page by page when it is unmapped.
 *
 * Threading: making and deleting on reactor 0; I/O on any reactor, each copying by itself. What two
 * hosts write to one block at the same time mixes no worse than on a disk: by pieces.
 */
#include "bdev_modules/malloc.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "bdev/iov.h"
#include "bdev_modules/memory.h"
#include "reactor/reactor.h"

#define PAGE 4096u
/* Giving pages back takes about 0.1 us each: a turn's share of a large range is so many bytes. */
#define CLEAR_A_TURN (4u << 20)
/* Below this, writing zeroes is cheaper than giving pages back and faulting them in again. */
#define GIVE_BACK_BYTES (128u * 1024)
#define NUMA_NODES_MAX	1024

struct malloc_bdev {
	struct bdev bdev;
	char *memory;
	size_t bytes;
	struct reactor_work unmap;
};

/** struct clearing - an unmap or write zeroes under way: @left bytes from @at on */
struct clearing {
	struct reactor_msg msg;
	struct bdev_io *io;
	char *at;
	size_t left;
};

static struct bdev_module module = { .name = "malloc" };

__attribute__((constructor)) static void register_module(void)
{
	bdev_module_register(&module);
}

/* --- I/O ------------------------------------------------------------------------------------ */

static void lend(struct bdev_io *io, char *at, size_t bytes)
{
	io->own_iov[0].iov_base = at;
	io->own_iov[0].iov_len = bytes;
	io->iov = io->own_iov;
	io->iovcnt = 1;
}

static void clear(char *at, size_t bytes)
{
	uintptr_t begin = (uintptr_t)at, end = begin + bytes;
	uintptr_t first = (begin + PAGE - 1) / PAGE * PAGE, last = end / PAGE * PAGE;

	if (bytes < GIVE_BACK_BYTES) {
		memset(at, 0, bytes);
		return;
	}
	memset(at, 0, first - begin);
	memset(at + (last - begin), 0, end - last);
	/* Private anonymous pages read as zeroes after this (madvise(2)). */
	if (madvise(at + (first - begin), last - first, MADV_DONTNEED) < 0)
		memset(at + (first - begin), 0, last - first);
}

static void clear_some(struct reactor_msg *msg)
{
	struct clearing *c = container_of(msg, struct clearing, msg);
	/* Shares end between pages, so that each page is given back as a whole. */
	size_t bytes = CLEAR_A_TURN - (uintptr_t)c->at % PAGE;

	if (bytes > c->left)
		bytes = c->left;
	clear(c->at, bytes);
	c->at += bytes;
	c->left -= bytes;
	if (c->left > 0)
		reactor_defer(msg);
	else
		bdev_io_complete_errno(c->io, 0);
}

static void submit_clear(struct bdev_io *io, char *at, size_t bytes)
{
	struct clearing *c = bdev_io_ctx(io, struct clearing);

	*c = (struct clearing){ .msg.fn = clear_some, .io = io, .at = at, .left = bytes };
	clear_some(&c->msg);
}

static int carry_out(struct bdev_io *io, char *at, size_t bytes)
{
	switch (io->type) {
	case BDEV_IO_READ:
		if (io->iovcnt == 0)
			lend(io, at, bytes);
		else
			iov_scatter(io->iov, io->iovcnt, 0, at, bytes);
		return 0;
	case BDEV_IO_WRITE:
		iov_gather(at, io->iov, io->iovcnt, 0, bytes);
		return 0;
	case BDEV_IO_COMPARE:
		return iov_equals(io->iov, io->iovcnt, 0, at, bytes) ? 0 : -EILSEQ;
	case BDEV_IO_FLUSH:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void malloc_submit(void *ctx, struct bdev_io *io)
{
	struct bdev *bdev = bdev_channel_bdev(io->channel);
	struct malloc_bdev *mem = container_of(bdev, struct malloc_bdev, bdev);
	uint64_t offset = io->offset * bdev->block_size, bytes = io->blocks * bdev->block_size;

	(void)ctx;
	if (io->type == BDEV_IO_UNMAP || io->type == BDEV_IO_WRITE_ZEROES)
		submit_clear(io, mem->memory + offset, bytes);
	else
		bdev_io_complete_errno(io, carry_out(io, mem->memory + offset, bytes));
}

/* Giving back GiBs takes long. */
static void unmap_run(struct reactor_work *work)
{
	struct malloc_bdev *mem = container_of(work, struct malloc_bdev, unmap);

	munmap(mem->memory, mem->bytes);
}

static void unmap_done(struct reactor_work *work)
{
	struct malloc_bdev *mem = container_of(work, struct malloc_bdev, unmap);

	bdev_destruct_done(&mem->bdev, 0);
	free(mem);
}

static void malloc_destruct(struct bdev *bdev)
{
	struct malloc_bdev *mem = container_of(bdev, struct malloc_bdev, bdev);

	mem->unmap.run = unmap_run;
	mem->unmap.done = unmap_done;
	reactor_work_start(&mem->unmap);
}

static void malloc_save(const struct bdev *bdev, json_t *array)
{
	char uuid[UUID_TEXT_SIZE];

	uuid_to_text(&bdev->uuid, uuid);
	bdev_save_method(array, "bdev_malloc_create",
			 json_pack("{s:s,s:I,s:I,s:I,s:s,s:I,s:i,s:i,s:b,s:i,s:i}", "name",
				   bdev->name, "num_blocks", (json_int_t)bdev->num_blocks,
				   "block_size", (json_int_t)bdev->block_size,
				   "physical_block_size", (json_int_t)bdev->physical_block_size,
				   "uuid", uuid, "optimal_io_boundary", (json_int_t)bdev->boundary,
				   "md_size", 0, "dif_type", 0, "dif_is_head_of_md", 0,
				   "dif_pi_format", 0, "numa_id", (int)bdev->numa_id));
}

static const struct bdev_ops ops = {
	.submit = malloc_submit,
	.destruct = malloc_destruct,
	.save = malloc_save,
};

/* --- memory --------------------------------------------------------------------------------- */

static int check_numa(const struct bdev_malloc_options *o, const char *name, struct error *err)
{
	char path[64];

	if (o->numa_id == -1)
		return 0;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", o->numa_id);
	if (o->numa_id < 0 || o->numa_id >= NUMA_NODES_MAX || access(path, F_OK) < 0)
		return error_set(err, -EINVAL,
				 "numa_id %d of bdev \"%s\": there is no such node; -1 means any",
				 o->numa_id, name);
	return 0;
}

/* A wish, as MPOL_PREFERRED is: where the kernel has no NUMA the memory is simply anywhere. */
static void prefer_node(void *memory, size_t bytes, int32_t node)
{
	unsigned long mask[NUMA_NODES_MAX / (8 * sizeof(unsigned long))] = { 0 };
	const size_t bits = 8 * sizeof(mask[0]);

	if (node < 0)
		return;
	mask[(size_t)node / bits] |= 1UL << ((size_t)node % bits);
	if (syscall(SYS_mbind, memory, bytes, MPOL_PREFERRED, mask, NUMA_NODES_MAX, 0) < 0)
		log_notice("malloc bdev: NUMA node %d cannot be preferred: %s", node,
			   error_errno_text(-errno));
}

static int take_memory(struct malloc_bdev *mem, const char *name, struct error *err)
{
	uint64_t bytes, available = memory_available();

	if (!checked_mul_u64(mem->bdev.num_blocks, mem->bdev.block_size, &bytes) ||
	    bytes > available || bytes > SIZE_MAX - PAGE)
		return error_set(err, -ENOMEM,
				 "bdev \"%s\" of %llu blocks of %u bytes: %llu MiB of memory "
				 "available to this process (by /proc/meminfo and the limits of "
				 "its control groups)",
				 name, (unsigned long long)mem->bdev.num_blocks,
				 mem->bdev.block_size, (unsigned long long)(available >> 20));
	mem->bytes = bytes;
	mem->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem->memory == MAP_FAILED)
		return error_set(err, -ENOMEM, "bdev \"%s\": %llu bytes of memory: %s", name,
				 (unsigned long long)bytes, error_errno_text(-errno));
	return 0;
}

/* --- making and deleting -------------------------------------------------------------------- */

void bdev_malloc_options_init(struct bdev_malloc_options *options)
{
	memset(options, 0, sizeof(*options));
	options->numa_id = -1;
}

/* The number goes on over bdevs that are gone, as in SPDK, but not onto a name in use. */
static const char *name_of(const struct bdev_malloc_options *o, char *text, size_t size)
{
	static unsigned int next;

	if (o->name != NULL)
		return o->name;
	do {
		snprintf(text, size, "Malloc%u", next++);
	} while (bdev_find(text) != NULL);
	return text;
}

static int fill(struct bdev *bdev, const struct bdev_malloc_options *o, const char *name,
		struct error *err)
{
	if (o->block_size == 0 || o->block_size % BDEV_BLOCK_SIZE_MIN != 0)
		return error_set(err, -EINVAL,
				 "block size %u of bdev \"%s\": a multiple of %u is needed",
				 o->block_size, name, BDEV_BLOCK_SIZE_MIN);
	if (o->num_blocks == 0)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" would have 0 blocks: it needs at least one", name);
	bdev->product_name = "Malloc disk";
	bdev->uuid = o->uuid;
	bdev->block_size = o->block_size;
	bdev->physical_block_size = o->physical_block_size;
	bdev->num_blocks = o->num_blocks;
	/* Reset is the block layer's: it waits for ranges that are still being cleared. */
	bdev->types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
		      1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES | 1u << BDEV_IO_COMPARE |
		      1u << BDEV_IO_ABORT;
	bdev->alignment = 1;
	bdev->boundary = o->optimal_io_boundary;
	bdev->split_on_boundary = o->optimal_io_boundary != 0;
	bdev->unmap_zeroes = true;
	bdev->lends = true;
	bdev->numa_known = true;
	bdev->numa_id = o->numa_id;
	bdev->module = &module;
	bdev->ops = &ops;
	return 0;
}

static int make(struct malloc_bdev *mem, const struct bdev_malloc_options *o, const char *name,
		struct error *err)
{
	int rc = bdev_md_refuse(&o->md, name, err);

	if (rc == 0)
		rc = check_numa(o, name, err);
	if (rc == 0)
		rc = fill(&mem->bdev, o, name, err);
	if (rc == 0)
		rc = take_memory(mem, name, err);
	if (rc < 0)
		return rc;
	prefer_node(mem->memory, mem->bytes, o->numa_id);
	rc = bdev_register(&mem->bdev, name, err);
	if (rc < 0)
		munmap(mem->memory, mem->bytes);
	return rc;
}

int bdev_malloc_create(const struct bdev_malloc_options *options, struct bdev **bdev,
		       struct error *err)
{
	struct malloc_bdev *mem = calloc(1, sizeof(*mem));
	char text[32];
	int rc;

	if (mem == NULL)
		return error_set(err, -ENOMEM, "no memory for a malloc bdev");
	rc = make(mem, options, name_of(options, text, sizeof(text)), err);
	if (rc < 0) {
		free(mem);
		return rc;
	}
	if (bdev != NULL)
		*bdev = &mem->bdev;
	return 0;
}

int bdev_malloc_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		       struct error *err)
{
	return bdev_delete_of_module(name, &module, done, arg, err);
}

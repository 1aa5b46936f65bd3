/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-volumes: what logical volumes cost inside one program, without a network.
 *
 *   bench-volumes read null|size DEPTH COUNT ROUNDS [bare|volume]
 *
 * CPU time, in ns, of a 4 KiB random read. null: of a thick volume on a null bdev against a null
 * bdev; size: of a volume of 63 TiB against one of a cluster. With a side named only that one is
 * read, for callgrind to count.
 *
 *   bench-volumes write fresh|loaded|clone DEPTH COUNT
 *
 * What reaches the base for a 4 KiB write that is the first in its cluster: in a store that was
 * just made, in one that was loaded, and in a clone, whose cluster is copied.
 *
 * The answer is JSON. Threading: the main thread is the one reactor, and all runs in a fiber of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "bdev/iov.h"
#include "bdev/module.h"
#include "bdev_modules/null.h"
#include "lvol/lvol.h"
#include "reactor/fiber.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#endif

#define BLOCK	  4096u
#define CLUSTER	  (UINT64_C(4) << 20)
#define MIB	  (UINT64_C(1) << 20)
#define GIB	  (UINT64_C(1) << 30)
#define TIB	  (UINT64_C(1) << 40)
#define DEPTH_MAX 1024u

static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void must(int rc, const struct error *err)
{
	if (rc < 0)
		die("bench-volumes: %s", err->text[0] != '\0' ? err->text : error_errno_text(rc));
}

/* --- a base that counts ----------------------------------------------------------------------- */

struct counts {
	uint64_t reads, writes, written, flushes, unmaps, zeroes;
};

/* Memory that nobody has touched is none. */
struct base {
	struct bdev bdev;
	uint8_t *memory;
	struct counts counts;
};

static void base_submit(void *ctx, struct bdev_io *io)
{
	struct base *b = *(struct base **)ctx;
	size_t bytes = io->blocks * BLOCK;
	uint8_t *at = b->memory + io->offset * BLOCK;

	switch (io->type) {
	case BDEV_IO_READ:
		b->counts.reads++;
		iov_scatter(io->iov, io->iovcnt, 0, at, bytes);
		break;
	case BDEV_IO_WRITE:
		b->counts.writes++;
		b->counts.written += bytes;
		iov_gather(at, io->iov, io->iovcnt, 0, bytes);
		break;
	case BDEV_IO_FLUSH:
		b->counts.flushes++;
		break;
	case BDEV_IO_UNMAP:
		b->counts.unmaps++;
		madvise(at, bytes, MADV_DONTNEED);
		break;
	default:
		b->counts.zeroes++;
		madvise(at, bytes, MADV_DONTNEED);
		break;
	}
	bdev_io_complete_errno(io, 0);
}

static int base_open(struct bdev *bdev, void *ctx)
{
	*(struct base **)ctx = container_of(bdev, struct base, bdev);
	return 0;
}

static void base_destruct(struct bdev *bdev)
{
	bdev_destruct_done(bdev, 0);
}

static const struct bdev_ops base_ops = {
	.channel_open = base_open,
	.submit = base_submit,
	.destruct = base_destruct,
};
static const struct bdev_module base_module = { .name = "counting" };
static struct base base;

static void base_register(uint64_t bytes)
{
	struct error err = ERROR_INIT;

	base.bdev = (struct bdev){
		.product_name = "counting",
		.block_size = BLOCK,
		.num_blocks = bytes / BLOCK,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
			 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES,
		.alignment = 1,
		.write_cache = true,
		.unmap_zeroes = true,
		.channel_bytes = sizeof(struct base *),
		.module = &base_module,
		.ops = &base_ops,
	};
	must(bdev_register(&base.bdev, "base", &err), &err);
}

static void base_create(uint64_t bytes)
{
	base.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base.memory == MAP_FAILED)
		die("bench-volumes: no memory: %m");
	/* What is counted are requests, and what they touch shall be small. */
	madvise(base.memory, bytes, MADV_NOHUGEPAGE);
	base_register(bytes);
}

/* --- making ----------------------------------------------------------------------------------- */

static void null_create(const char *name, uint64_t bytes)
{
	struct bdev_null_options opts = { .name = name,
					  .block_size = BLOCK,
					  .num_blocks = bytes / BLOCK };
	struct error err = ERROR_INIT;

	must(bdev_null_create(&opts, NULL, &err), &err);
}

static struct lvol_store *store_create(void)
{
	struct lvol_store_options opts = { .name = "store", .cluster_size = CLUSTER };
	struct error err = ERROR_INIT;
	struct lvol_store *store = NULL;

	must(lvol_store_create("base", &opts, &store, &err), &err);
	return store;
}

static struct lvol *volume_create(struct lvol_store *store, const char *name, uint64_t size,
				  bool thin)
{
	struct lvol_options opts = { .name = name, .size = size, .thin = thin };
	struct error err = ERROR_INIT;
	struct lvol *lvol = NULL;

	must(lvol_create(store, &opts, &lvol, &err), &err);
	return lvol;
}

static void no_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	(void)event;
	(void)user;
}

/* A bdev that is open until the program ends, or closed by end_use(). */
struct use {
	struct bdev_desc *desc;
	struct bdev_channel *ch;
};

static struct use use(const char *name)
{
	struct error err = ERROR_INIT;
	struct use u;

	must(bdev_open(name, true, no_event, NULL, &u.desc, &err), &err);
	must(bdev_channel_get(u.desc, &u.ch), &err);
	return u;
}

static void end_use(struct use *u)
{
	bdev_channel_put(u->ch);
	bdev_close(u->desc);
}

/* --- I/O -------------------------------------------------------------------------------------- */

/**
 * struct load - I/Os of a block, so many at a time, until all are done
 * @next: the place of the next one
 */
struct load {
	struct use *use;
	uint64_t blocks, left, random, index;
	uint32_t under_way;
	bool write;
	uint64_t (*next)(struct load *load);
	struct fiber_event over;
};

struct slot {
	struct bdev_io io;
	struct iovec iov;
	struct load *load;
};

static struct slot slots[DEPTH_MAX];
static _Alignas(4096) uint8_t buffers[DEPTH_MAX][BLOCK];

static uint64_t anywhere(struct load *load)
{
	load->random ^= load->random << 13;
	load->random ^= load->random >> 7;
	load->random ^= load->random << 17;
	return (uint64_t)((unsigned __int128)load->random * load->blocks >> 64);
}

/* Another cluster each time, all over the volume, as many as it has. */
static uint64_t another_cluster(struct load *load)
{
	uint64_t clusters = load->blocks * BLOCK / CLUSTER;

	return load->index++ * 7919 % clusters * (CLUSTER / BLOCK);
}

static void go_on(struct slot *s)
{
	struct load *load = s->load;
	uint64_t at = load->next(load);

	load->left--;
	load->under_way++;
	if (load->write)
		bdev_writev(load->use->ch, &s->io, &s->iov, 1, at, 1, 0);
	else
		bdev_readv(load->use->ch, &s->io, &s->iov, 1, at, 1);
}

static void io_done(struct bdev_io *io)
{
	struct slot *s = container_of(io, struct slot, io);
	struct load *load = s->load;

	if (io->status.err != 0)
		die("bench-volumes: an I/O failed: %s", error_errno_text(io->status.err));
	load->under_way--;
	if (load->left > 0)
		go_on(s);
	else if (load->under_way == 0)
		fiber_event_set(&load->over, 0);
}

/* CPU time of one I/O. */
static double run(struct use *u, bool write, uint32_t depth, uint64_t count)
{
	struct load load = { .use = u,
			     .blocks = bdev_num_blocks(bdev_of(u->desc)),
			     .left = count,
			     .random = UINT64_C(88172645463325252),
			     .write = write,
			     .next = write ? another_cluster : anywhere,
			     .over = FIBER_EVENT_INIT };
	uint64_t begin = clock_thread_cpu_ns();

	/* What comes before is not what is to be counted. */
	CALLGRIND_START_INSTRUMENTATION;
	for (uint32_t i = 0; i < depth && load.left > 0; i++) {
		slots[i].io.done = io_done;
		slots[i].iov = (struct iovec){ buffers[i], BLOCK };
		slots[i].load = &load;
		go_on(&slots[i]);
	}
	fiber_event_wait(&load.over);
	return (double)(clock_thread_cpu_ns() - begin) / (double)count;
}

/* --- read ------------------------------------------------------------------------------------- */

struct args {
	const char *what, *side;
	uint32_t depth, rounds;
	uint64_t count;
};

static void tell_list(const char *name, const double *values, uint32_t count)
{
	printf("\"%s\": [", name);
	for (uint32_t i = 0; i < count; i++)
		printf("%s%.2f", i > 0 ? ", " : "", values[i]);
	printf("]");
}

/* Both sides in turns, each first as often as the other. */
static void pairs(const struct args *a, struct use *bare, struct use *volume)
{
	double *ns[2] = { calloc(a->rounds, sizeof(double)), calloc(a->rounds, sizeof(double)) };
	struct use *sides[2] = { bare, volume };

	if (ns[0] == NULL || ns[1] == NULL)
		die("bench-volumes: no memory");
	for (uint32_t i = 0; i < 2 * a->rounds; i++) {
		uint32_t side = (i + i / 2) % 2;

		ns[side][i / 2] = run(sides[side], false, a->depth, a->count);
	}
	printf("{");
	tell_list("bare_ns", ns[0], a->rounds);
	printf(", ");
	tell_list("volume_ns", ns[1], a->rounds);
	printf("}\n");
	free(ns[0]);
	free(ns[1]);
}

static void bench_read(const struct args *a)
{
	bool by_size = strcmp(a->what, "size") == 0;
	struct use bare, volume;
	struct lvol_store *store;

	null_create("base", by_size ? 64 * TIB : 128 * MIB);
	store = store_create();
	if (by_size)
		volume_create(store, "small", CLUSTER, false);
	else
		null_create("bare", 64 * MIB);
	volume_create(store, "large", by_size ? 63 * TIB : 64 * MIB, false);
	bare = use(by_size ? "store/small" : "bare");
	volume = use("store/large");
	if (a->side == NULL)
		pairs(a, &bare, &volume);
	else
		run(strcmp(a->side, "bare") == 0 ? &bare : &volume, false, a->depth, a->count);
	end_use(&bare);
	end_use(&volume);
}

/* --- write ------------------------------------------------------------------------------------ */

static void gone(void *arg, int result)
{
	fiber_event_set(arg, result);
}

struct examination {
	struct reactor_msg msg;
	struct fiber_event over;
};

static void examined(struct reactor_msg *msg)
{
	fiber_event_set(&container_of(msg, struct examination, msg)->over, 0);
}

/* The store is unloaded with its base, and loaded when that appears again. */
static void reload(void)
{
	struct examination e = { .msg.fn = examined, .over = FIBER_EVENT_INIT };
	struct fiber_event event = FIBER_EVENT_INIT;

	must(bdev_unregister(&base.bdev, gone, &event), NULL);
	must(fiber_event_wait(&event), NULL);
	base_register(base.bdev.num_blocks * BLOCK);
	bdev_wait_for_examine(&e.msg);
	fiber_event_wait(&e.over);
}

/* What the first writes are made to. */
static struct use write_to(const char *what, uint64_t bytes)
{
	struct lvol_store *store = store_create();
	struct error err = ERROR_INIT;
	struct lvol *lvol, *snapshot, *clone;
	bool copied = strcmp(what, "clone") == 0;

	lvol = volume_create(store, "volume", bytes, !copied);
	if (strcmp(what, "loaded") == 0)
		reload();
	if (!copied)
		return use("store/volume");
	must(lvol_snapshot(lvol, "snapshot", &snapshot, &err), &err);
	must(lvol_clone(snapshot, "clone", &clone, &err), &err);
	return use("store/clone");
}

static void tell_count(const char *name, uint64_t value, uint64_t count)
{
	printf(", \"%s\": %.4f", name, (double)value / (double)count);
}

static void bench_write(const struct args *a)
{
	uint64_t bytes = a->count * CLUSTER;
	struct counts before, *now = &base.counts;
	struct use volume;
	double ns;

	base_create(3 * bytes + GIB);
	volume = write_to(a->what, bytes);
	before = *now;
	ns = run(&volume, true, a->depth, a->count);
	printf("{\"cpu_ns\": %.0f", ns);
	tell_count("reads", now->reads - before.reads, a->count);
	tell_count("writes", now->writes - before.writes, a->count);
	tell_count("bytes_written", now->written - before.written, a->count);
	tell_count("flushes", now->flushes - before.flushes, a->count);
	tell_count("unmaps", now->unmaps - before.unmaps, a->count);
	tell_count("write_zeroes", now->zeroes - before.zeroes, a->count);
	printf("}\n");
	end_use(&volume);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void main_fiber(void *arg)
{
	const struct args *a = arg;

	if (a->rounds > 0)
		bench_read(a);
	else
		bench_write(a);
	fflush(stdout);
	/* Nothing outlives the program that would have to be put in order. */
	_exit(0);
}

static void start(void *arg)
{
	must(fiber_start(main_fiber, arg), NULL);
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 1 || value > max)
		die("bench-volumes: \"%s\": a number from 1 to %" PRIu64 " is needed", text, max);
	return value;
}

static bool is_one_of(const char *text, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (strcmp(text, *names) == 0)
			return true;
	}
	return false;
}

static void usage(void)
{
	die("usage: bench-volumes read null|size DEPTH COUNT ROUNDS [bare|volume]\n"
	    "       bench-volumes write fresh|loaded|clone DEPTH COUNT");
}

static struct args parse(int argc, char **argv)
{
	static const char *const reads[] = { "null", "size", NULL };
	static const char *const writes[] = { "fresh", "loaded", "clone", NULL };
	static const char *const sides[] = { "bare", "volume", NULL };
	struct args a = { 0 };
	bool read = argc >= 6 && strcmp(argv[1], "read") == 0;

	if (!read && (argc != 5 || strcmp(argv[1], "write") != 0))
		usage();
	if (!is_one_of(argv[2], read ? reads : writes) || argc > 7 ||
	    (argc == 7 && !is_one_of(argv[6], sides)))
		usage();
	a.what = argv[2];
	a.depth = (uint32_t)number(argv[3], DEPTH_MAX);
	a.count = number(argv[4], UINT32_MAX);
	a.rounds = read ? (uint32_t)number(argv[5], 1000) : 0;
	a.side = argc == 7 ? argv[6] : NULL;
	return a;
}

int main(int argc, char **argv)
{
	struct args args = parse(argc, argv);
	struct error err = ERROR_INIT;
	struct reactor_options opts;

	reactor_options_init(&opts);
	opts.share_cores = true;
	must(reactor_system_start(&opts, &err), &err);
	reactor_system_run(start, &args);
	return 0;
}

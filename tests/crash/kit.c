/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reactors, memory, and I/O to blobs, for tests that feed Blobstore images.
 *
 * Threading: see kit.h.
 */
#include "kit.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/cpuset.h"

/* --- memory ----------------------------------------------------------------------------------- */

void kit_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void kit_must(int rc, const struct error *err)
{
	if (rc < 0)
		kit_die("%d (%s): %s", rc, error_errno_text(rc), err != NULL ? err->text : "");
}

void *kit_alloc(size_t bytes)
{
	size_t size = (bytes + 63) / 64 * 64;
	void *p = aligned_alloc(64, size == 0 ? 64 : size);

	if (p == NULL)
		kit_die("no memory for %zu bytes", bytes);
	memset(p, 0, size);
	return p;
}

void *kit_realloc(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (p == NULL)
		kit_die("no memory for %zu bytes", bytes);
	return p;
}

/* --- reactors --------------------------------------------------------------------------------- */

struct job {
	void (*fn)(void *arg);
	void *arg;
};

static void job_fiber(void *arg)
{
	struct job *job = arg;

	job->fn(job->arg);
	reactor_system_stop();
}

static void job_start(void *arg)
{
	kit_must(fiber_start(job_fiber, arg), NULL);
}

static void allowed_cores(cpu_set_t *allowed)
{
	if (sched_getaffinity(0, sizeof(*allowed), allowed) < 0)
		kit_die("the cores of this program are not known: %m");
}

unsigned int kit_cores(void)
{
	cpu_set_t allowed;
	unsigned int count;

	allowed_cores(&allowed);
	count = (unsigned int)CPU_COUNT(&allowed);
	return count < KIT_REACTORS_MAX ? count : KIT_REACTORS_MAX;
}

static void first_cores(unsigned int count, char *text, size_t size)
{
	cpu_set_t allowed, set;

	allowed_cores(&allowed);
	CPU_ZERO(&set);
	for (unsigned int core = 0; core < CPU_SETSIZE && count > 0; core++) {
		if (CPU_ISSET(core, &allowed)) {
			CPU_SET(core, &set);
			count--;
		}
	}
	cpuset_print(&set, text, size);
}

void kit_fiber(unsigned int reactors, void (*fn)(void *arg), void *arg)
{
	struct job job = { .fn = fn, .arg = arg };
	struct error err = ERROR_INIT;
	struct reactor_options opts;
	char cores[CPU_SETSIZE / 4 + 8];

	reactor_options_init(&opts);
	first_cores(reactors, cores, sizeof(cores));
	opts.cores = cores;
	opts.share_cores = true;
	kit_must(reactor_system_start(&opts, &err), &err);
	reactor_system_run(job_start, &job);
	reactor_system_fini();
	bdev_fini();
}

/* --- turns ------------------------------------------------------------------------------------ */

/* struct turns - @whose: the reactor that may run; @over: all may */
static struct turns {
	_Atomic unsigned int whose;
	_Atomic bool over;
	struct reactor_poller poller[KIT_REACTORS_MAX];
	struct reactor_msg msg;
	struct fiber_event told;
} turns;

static bool give_turn(struct reactor_poller *poller)
{
	unsigned int me = (unsigned int)(poller - turns.poller);

	atomic_store(&turns.whose, (me + 1) % reactor_count());
	while (atomic_load(&turns.whose) != me && !atomic_load(&turns.over))
		sched_yield();
	return true;
}

static struct reactor_poller *poller_here(void)
{
	return &turns.poller[reactor_index(reactor_self())];
}

static void turn_told(struct reactor_msg *msg)
{
	(void)msg;
	fiber_event_set(&turns.told, 0);
}

static void turn_add_now(struct reactor_msg *msg)
{
	(void)msg;
	reactor_poller_add(poller_here());
}

/* Only in the next turn: a reactor that sleeps is woken at the end of this one. */
static void turn_add(struct reactor_msg *msg)
{
	static struct reactor_msg later;

	later.fn = turn_add_now;
	reactor_defer(&later);
	msg->fn = turn_told;
	reactor_send(reactor_at(0), msg);
}

static void turn_remove(struct reactor_msg *msg)
{
	reactor_poller_remove(poller_here());
	msg->fn = turn_told;
	reactor_send(reactor_at(0), msg);
}

static void turns_tell(void (*fn)(struct reactor_msg *msg))
{
	for (unsigned int i = 1; i < reactor_count(); i++) {
		turns.told = (struct fiber_event)FIBER_EVENT_INIT;
		turns.msg.fn = fn;
		reactor_send(reactor_at(i), &turns.msg);
		fiber_event_wait(&turns.told);
	}
}

void kit_turns_begin(void)
{
	if (reactor_count() == 1)
		return;
	for (unsigned int i = 0; i < KIT_REACTORS_MAX; i++)
		turns.poller[i] = (struct reactor_poller){ .fn = give_turn, .name = "turns" };
	atomic_store(&turns.over, false);
	atomic_store(&turns.whose, 1);
	turns_tell(turn_add);
	while (atomic_load(&turns.whose) != 0)
		sched_yield();
	reactor_poller_add(poller_here());
}

void kit_turns_end(void)
{
	if (reactor_count() == 1)
		return;
	atomic_store(&turns.over, true);
	turns_tell(turn_remove);
	reactor_poller_remove(poller_here());
}

/* --- bdevs ------------------------------------------------------------------------------------ */

static void no_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	(void)event;
	(void)user;
}

struct bdev_desc *kit_open(const char *name)
{
	struct error err = ERROR_INIT;
	struct bdev_desc *desc;

	kit_must(bdev_open(name, true, no_event, NULL, &desc, &err), &err);
	return desc;
}

static void unregistered(void *arg, int result)
{
	fiber_event_set(arg, result);
}

void kit_unregister(struct bdev *bdev)
{
	struct fiber_event event = FIBER_EVENT_INIT;

	kit_must(bdev_unregister(bdev, unregistered, &event), NULL);
	kit_must(fiber_event_wait(&event), NULL);
}

/* --- the glass -------------------------------------------------------------------------------- */

/*
 * A bdev without a size of its own: an I/O names its blob in what its submitter hung on it, and the
 * blob checks the range.
 */
struct glass {
	struct bdev bdev;
	struct bdev_desc *desc;
	struct blob_store *store;
	struct bdev_channel *base[KIT_REACTORS_MAX];
	struct blob_channel *blobs[KIT_REACTORS_MAX];
	struct reactor_msg msg;
	struct fiber_event told;
};

static struct glass glass;

static int glass_channel(struct bdev *bdev, void *ctx)
{
	(void)bdev;
	*(unsigned int *)ctx = reactor_index(reactor_self());
	return 0;
}

static void glass_submit(void *ctx, struct bdev_io *io)
{
	const struct kit_io *kio = container_of(io, struct kit_io, io);

	blob_submit(glass.blobs[*(unsigned int *)ctx], kio->blob, io);
}

static void glass_destruct(struct bdev *bdev)
{
	bdev_destruct_done(bdev, 0);
}

static const struct bdev_ops glass_ops = {
	.channel_open = glass_channel,
	.submit = glass_submit,
	.destruct = glass_destruct,
};
static const struct bdev_module glass_module = { .name = "glass" };

void kit_glass_open(uint32_t unit)
{
	struct error err = ERROR_INIT;

	memset(&glass, 0, sizeof(glass));
	glass.bdev = (struct bdev){
		.product_name = "glass",
		.block_size = unit,
		.num_blocks = UINT64_C(1) << 50,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
			 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES |
			 1u << BDEV_IO_SEEK_DATA | 1u << BDEV_IO_SEEK_HOLE,
		.alignment = 1,
		.write_cache = true,
		.channel_bytes = sizeof(unsigned int),
		.module = &glass_module,
		.ops = &glass_ops,
	};
	kit_must(bdev_register(&glass.bdev, "glass", &err), &err);
	glass.desc = kit_open("glass");
}

void kit_glass_close(void)
{
	bdev_close(glass.desc);
	kit_unregister(&glass.bdev);
}

static void attach_here(void)
{
	unsigned int i = reactor_index(reactor_self());

	kit_must(bdev_channel_get(glass.desc, &glass.base[i]), NULL);
	kit_must(blob_channel_get(glass.store, &glass.blobs[i]), NULL);
}

static void detach_here(void)
{
	unsigned int i = reactor_index(reactor_self());

	bdev_channel_put(glass.base[i]);
	blob_channel_put(glass.blobs[i]);
}

static void told(struct reactor_msg *msg)
{
	(void)msg;
	fiber_event_set(&glass.told, 0);
}

static void attach_msg(struct reactor_msg *msg)
{
	attach_here();
	msg->fn = told;
	reactor_send(reactor_at(0), msg);
}

static void detach_msg(struct reactor_msg *msg)
{
	detach_here();
	msg->fn = told;
	reactor_send(reactor_at(0), msg);
}

static void tell_others(void (*fn)(struct reactor_msg *msg))
{
	for (unsigned int i = 1; i < reactor_count(); i++) {
		glass.told = (struct fiber_event)FIBER_EVENT_INIT;
		glass.msg.fn = fn;
		reactor_send(reactor_at(i), &glass.msg);
		fiber_event_wait(&glass.told);
	}
}

void kit_attach(struct blob_store *store)
{
	glass.store = store;
	attach_here();
	tell_others(attach_msg);
}

void kit_detach(void)
{
	detach_here();
	tell_others(detach_msg);
	glass.store = NULL;
}

/* --- I/O -------------------------------------------------------------------------------------- */

static void io_answered(struct reactor_msg *msg)
{
	struct kit_io *kio = container_of(msg, struct kit_io, msg);

	fiber_event_set(&kio->event, kio->result);
}

static void io_done(struct bdev_io *io)
{
	struct kit_io *kio = container_of(io, struct kit_io, io);

	kio->result = io->status.err;
	if (kio->ended != NULL)
		kio->ended(kio);
	kio->msg.fn = io_answered;
	reactor_send(reactor_at(0), &kio->msg);
}

static void io_submit(struct reactor_msg *msg)
{
	struct kit_io *kio = container_of(msg, struct kit_io, msg);
	struct bdev_channel *ch = glass.base[reactor_index(reactor_self())];
	struct bdev_io *io = &kio->io;

	io->done = io_done;
	switch (kio->type) {
	case BDEV_IO_READ:
		bdev_readv(ch, io, &kio->iov, 1, kio->offset, kio->blocks);
		break;
	case BDEV_IO_WRITE:
		bdev_writev(ch, io, &kio->iov, 1, kio->offset, kio->blocks, kio->flags);
		break;
	case BDEV_IO_UNMAP:
		bdev_unmap(ch, io, kio->offset, kio->blocks);
		break;
	case BDEV_IO_WRITE_ZEROES:
		bdev_write_zeroes(ch, io, kio->offset, kio->blocks, kio->flags);
		break;
	default:
		bdev_flush(ch, io, 0, 1);
		break;
	}
}

struct kit_io *kit_io_start(unsigned int reactor, struct blob *blob, enum bdev_io_type type,
			    void *buffer, uint64_t offset, uint64_t blocks, uint8_t flags,
			    void (*ended)(struct kit_io *kio), void *arg)
{
	struct kit_io *kio = kit_alloc(sizeof(*kio));

	kio->blob = blob;
	kio->type = type;
	kio->flags = flags;
	kio->iov = (struct iovec){ buffer, blocks * glass.bdev.block_size };
	kio->offset = offset;
	kio->blocks = blocks;
	kio->ended = ended;
	kio->arg = arg;
	if (reactor == 0) {
		io_submit(&kio->msg);
	} else {
		kio->msg.fn = io_submit;
		reactor_send(reactor_at(reactor), &kio->msg);
	}
	return kio;
}

int kit_io_wait(struct kit_io *kio)
{
	int rc = fiber_event_wait(&kio->event);

	free(kio);
	return rc;
}

int kit_io(struct blob *blob, enum bdev_io_type type, void *buffer, uint64_t offset,
	   uint64_t blocks)
{
	return kit_io_wait(kit_io_start(0, blob, type, buffer, offset, blocks, 0, NULL, NULL));
}

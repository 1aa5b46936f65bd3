/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reactors, a disk in memory, and blobs as bdevs, for tests.
 *
 * Threading: see blob_unit.h.
 */
#include "blob_unit.h"

#include <sched.h>
#include <stdio.h>

#include "base/container_of.h"
#include "base/cpuset.h"
#include "bdev/iov.h"

/* --- reactors --------------------------------------------------------------------------------- */

static void test_fiber(void *arg)
{
	void (*fn)(void) = *(void (**)(void))arg;

	fn();
	reactor_system_stop();
}

static void start(void *arg)
{
	assert_int_equal(fiber_start(test_fiber, arg), 0);
}

static const char *first_cores(unsigned int count)
{
	static char text[CPU_SETSIZE / 4 + 8];
	cpu_set_t allowed, set;
	unsigned int found = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	CPU_ZERO(&set);
	for (unsigned int core = 0; core < CPU_SETSIZE && found < count; core++) {
		if (CPU_ISSET(core, &allowed)) {
			CPU_SET(core, &set);
			found++;
		}
	}
	if (found < count)
		skip();
	cpuset_print(&set, text, sizeof(text));
	return text;
}

void unit_fiber(unsigned int reactors, void (*fn)(void))
{
	static bool running;
	struct error err = ERROR_INIT;
	struct reactor_options opts;

	/* A failed assertion jumps out of the fiber and leaves the reactors as they are. */
	if (running)
		fail_msg("the test that failed before still has the reactors");
	reactor_options_init(&opts);
	opts.cores = first_cores(reactors);
	opts.share_cores = true;
	assert_done(reactor_system_start(&opts, &err), err);
	running = true;
	reactor_system_run(start, &fn);
	running = false;
	reactor_system_fini();
	bdev_fini();
}

/* --- bdevs ------------------------------------------------------------------------------------ */

static void no_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	(void)event;
	(void)user;
}

struct bdev_desc *unit_open(const char *name)
{
	struct error err = ERROR_INIT;
	struct bdev_desc *desc;

	assert_done(bdev_open(name, true, no_event, NULL, &desc, &err), err);
	return desc;
}

static void deleted(void *arg, int result)
{
	fiber_event_set(arg, result);
}

void unit_delete_bdev(struct bdev *bdev)
{
	struct fiber_event event = FIBER_EVENT_INIT;

	assert_int_equal(bdev_unregister(bdev, deleted, &event), 0);
	assert_int_equal(fiber_event_wait(&event), 0);
}

struct waited_io {
	struct bdev_io io;
	struct iovec iov;
	struct fiber_event event;
};

static void waited(struct bdev_io *io)
{
	fiber_event_set(&container_of(io, struct waited_io, io)->event, io->status.err);
}

static void whole_io(const char *name, bool write, void *buffer, uint64_t bytes)
{
	struct waited_io *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	struct bdev_desc *desc = unit_open(name);
	struct bdev_channel *ch;
	uint64_t blocks = bytes / bdev_block_size(bdev_of(desc));

	memset(w, 0, sizeof(*w));
	w->io.done = waited;
	w->iov = (struct iovec){ buffer, bytes };
	assert_int_equal(bdev_channel_get(desc, &ch), 0);
	if (write)
		bdev_writev(ch, &w->io, &w->iov, 1, 0, blocks, 0);
	else
		bdev_readv(ch, &w->io, &w->iov, 1, 0, blocks);
	assert_int_equal(fiber_event_wait(&w->event), 0);
	bdev_channel_put(ch);
	bdev_close(desc);
	free(w);
}

void unit_fill(const char *name, uint32_t seed, uint64_t bytes)
{
	uint8_t *data = malloc(bytes);

	pattern(data, bytes, seed);
	whole_io(name, true, data, bytes);
	free(data);
}

void unit_read(const char *name, void *buffer, uint64_t bytes)
{
	whole_io(name, false, buffer, bytes);
}

/* --- the disk --------------------------------------------------------------------------------- */

struct disk_channel {
	struct disk *disk;
};

static int disk_open(struct bdev *bdev, void *ctx)
{
	struct disk_channel *ch = ctx;

	ch->disk = container_of(bdev, struct disk, bdev);
	return 0;
}

static void record(struct disk *d, const void *data, uint64_t offset, uint64_t bytes)
{
	struct disk_event *e;

	if (!d->recording)
		return;
	if (d->event_count == d->event_room) {
		d->event_room = d->event_room * 2 + 16;
		d->events = realloc(d->events, d->event_room * sizeof(*d->events));
	}
	e = &d->events[d->event_count++];
	*e = (struct disk_event){ .offset = offset, .bytes = bytes };
	if (data == NULL)
		return;
	e->data = malloc(bytes);
	memcpy(e->data, data, bytes);
}

void disk_record(struct disk *d)
{
	d->base = malloc(d->bytes);
	memcpy(d->base, d->data, d->bytes);
	d->recording = true;
}

void disk_forget(struct disk *d)
{
	for (unsigned int i = 0; i < d->event_count; i++)
		free(d->events[i].data);
	free(d->events);
	free(d->base);
	d->events = NULL;
	d->base = NULL;
	d->event_count = d->event_room = 0;
	d->recording = false;
}

bool disk_is_durable(const struct disk *d, unsigned int event, unsigned int upto)
{
	for (unsigned int i = event + 1; i < upto; i++) {
		if (d->events[i].data == NULL)
			return true;
	}
	return false;
}

void disk_apply(const struct disk *d, unsigned int event, uint8_t *image)
{
	const struct disk_event *e = &d->events[event];

	if (e->data != NULL)
		memcpy(image + e->offset, e->data, e->bytes);
}

static int disk_change(struct disk *d, struct bdev_io *io)
{
	uint8_t *at = d->data + io->offset * d->bdev.block_size;
	size_t bytes = io->blocks * d->bdev.block_size;

	if (d->fail_after >= 0 && d->fail_after-- == 0) {
		d->fail_after = 0;
		return -EIO;
	}
	__atomic_fetch_add(&d->writes, 1, __ATOMIC_RELAXED);
	if (io->type == BDEV_IO_WRITE)
		iov_gather(at, io->iov, io->iovcnt, 0, bytes);
	else if (io->type == BDEV_IO_WRITE_ZEROES || d->zeroing_unmap)
		memset(at, 0, bytes);
	if (io->type == BDEV_IO_UNMAP)
		__atomic_fetch_add(&d->unmaps, 1, __ATOMIC_RELAXED);
	record(d, at, io->offset * d->bdev.block_size, bytes);
	return 0;
}

static void disk_flush(struct disk *d)
{
	__atomic_fetch_add(&d->flushes, 1, __ATOMIC_RELAXED);
	record(d, NULL, 0, 0);
}

static void disk_carry_out(struct disk *d, struct bdev_io *io)
{
	int rc = 0;

	if (io->type == BDEV_IO_READ)
		iov_scatter(io->iov, io->iovcnt, 0, d->data + io->offset * d->bdev.block_size,
			    io->blocks * d->bdev.block_size);
	else if (io->type == BDEV_IO_FLUSH)
		disk_flush(d);
	else
		rc = disk_change(d, io);
	bdev_io_complete_errno(io, rc);
}

struct disk_io {
	struct reactor_timer timer;
	struct disk *disk;
	struct bdev_io *io;
};

static void disk_later(struct reactor_timer *timer)
{
	struct disk_io *di = container_of(timer, struct disk_io, timer);

	disk_carry_out(di->disk, di->io);
}

static void disk_submit(void *ctx, struct bdev_io *io)
{
	struct disk *d = ((struct disk_channel *)ctx)->disk;
	struct disk_io *di = bdev_io_ctx(io, struct disk_io);
	static unsigned int turn;

	if (d->slow_from == 0 || io->offset * d->bdev.block_size < d->slow_from ||
	    io->type == BDEV_IO_READ || io->type == BDEV_IO_FLUSH) {
		disk_carry_out(d, io);
		return;
	}
	*di = (struct disk_io){ .timer.fn = disk_later, .disk = d, .io = io };
	/* 1 to 3 milliseconds, neither equal nor in order. */
	reactor_timer_start(&di->timer,
			    1000000 + __atomic_fetch_add(&turn, 7, __ATOMIC_RELAXED) % 16 * 125000);
}

static void disk_destruct(struct bdev *bdev)
{
	bdev_destruct_done(bdev, 0);
	free(container_of(bdev, struct disk, bdev)->data);
	free(container_of(bdev, struct disk, bdev));
}

static const struct bdev_ops disk_ops = {
	.channel_open = disk_open,
	.submit = disk_submit,
	.destruct = disk_destruct,
};
static const struct bdev_module disk_module = { .name = "disk" };

static struct disk *disk_make(const char *name, uint64_t bytes, uint32_t block_size, bool cache,
			      bool zeroing_unmap)
{
	struct disk *d = calloc(1, sizeof(*d));
	struct error err = ERROR_INIT;

	d->data = malloc(bytes);
	memset(d->data, 0xd5, bytes);
	d->bytes = bytes;
	d->zeroing_unmap = zeroing_unmap;
	d->fail_after = -1;
	d->bdev = (struct bdev){
		.product_name = "disk",
		.block_size = block_size,
		.num_blocks = bytes / block_size,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
			 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES,
		.alignment = 1,
		.write_cache = cache,
		.unmap_zeroes = zeroing_unmap,
		.channel_bytes = sizeof(struct disk_channel),
		.module = &disk_module,
		.ops = &disk_ops,
	};
	assert_done(bdev_register(&d->bdev, name, &err), err);
	return d;
}

struct disk *disk_create(uint64_t bytes, uint32_t block_size, bool cache, bool zeroing_unmap)
{
	return disk_make("disk", bytes, block_size, cache, zeroing_unmap);
}

struct disk *disk_copy(const struct disk *disk, const uint8_t *data)
{
	struct disk *copy = disk_make("copy", disk->bytes, disk->bdev.block_size,
				      disk->bdev.write_cache, disk->zeroing_unmap);

	memcpy(copy->data, data, disk->bytes);
	return copy;
}

void disk_delete(struct disk *disk)
{
	disk_forget(disk);
	unit_delete_bdev(&disk->bdev);
}

/* --- a view ----------------------------------------------------------------------------------- */

/* struct view - @ch: [reactor], got when first needed */
struct view {
	struct bdev bdev;
	struct blob_store *store;
	struct blob *blob;
	struct bdev_desc *desc;
	struct bdev_channel **ch;
};

struct view_channel {
	struct blob_channel *ch;
	struct view *view;
};

static int view_open(struct bdev *bdev, void *ctx)
{
	struct view_channel *vc = ctx;

	vc->view = container_of(bdev, struct view, bdev);
	return blob_channel_get(vc->view->store, &vc->ch);
}

static void view_close(struct bdev *bdev, void *ctx)
{
	(void)bdev;
	blob_channel_put(((struct view_channel *)ctx)->ch);
}

static void view_submit(void *ctx, struct bdev_io *io)
{
	struct view_channel *vc = ctx;

	blob_submit(vc->ch, vc->view->blob, io);
}

static void view_destruct(struct bdev *bdev)
{
	struct view *v = container_of(bdev, struct view, bdev);

	bdev_destruct_done(bdev, 0);
	free(v->ch);
	free(v);
}

static const struct bdev_ops view_ops = {
	.channel_open = view_open,
	.channel_close = view_close,
	.submit = view_submit,
	.destruct = view_destruct,
};
static const struct bdev_module view_module = { .name = "view" };

struct view *view_create(struct blob_store *store, struct blob *blob, uint32_t unit)
{
	struct view *v = calloc(1, sizeof(*v));
	struct error err = ERROR_INIT;
	struct blob_store_info si;
	struct blob_info bi;
	char name[32];

	blob_store_info_get(store, &si);
	blob_info_get(blob, &bi);
	v->store = store;
	v->blob = blob;
	v->ch = calloc(reactor_count(), sizeof(struct bdev_channel *));
	v->bdev = (struct bdev){
		.product_name = "view",
		.block_size = unit,
		.num_blocks = bi.clusters * si.cluster_size / unit,
		.types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_FLUSH |
			 1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES |
			 1u << BDEV_IO_SEEK_DATA | 1u << BDEV_IO_SEEK_HOLE,
		.alignment = 1,
		.write_cache = true,
		.channel_bytes = sizeof(struct view_channel),
		.module = &view_module,
		.ops = &view_ops,
	};
	snprintf(name, sizeof(name), "view-%" PRIx64, blob_id(blob));
	assert_done(bdev_register(&v->bdev, name, &err), err);
	v->desc = unit_open(name);
	return v;
}

struct on_reactor {
	struct reactor_msg msg;
	struct view *view;
	struct fiber_event event;
};

static void answered(struct reactor_msg *msg)
{
	fiber_event_set(&container_of(msg, struct on_reactor, msg)->event, 0);
}

static void put_channel(struct reactor_msg *msg)
{
	struct on_reactor *o = container_of(msg, struct on_reactor, msg);
	unsigned int index = reactor_index(reactor_self());

	if (o->view->ch[index] != NULL)
		bdev_channel_put(o->view->ch[index]);
	o->view->ch[index] = NULL;
	msg->fn = answered;
	reactor_send(reactor_at(0), msg);
}

void view_delete(struct view *v)
{
	for (unsigned int i = 0; i < reactor_count(); i++) {
		struct on_reactor o = { .msg.fn = put_channel,
					.view = v,
					.event = FIBER_EVENT_INIT };

		reactor_send(reactor_at(i), &o.msg);
		fiber_event_wait(&o.event);
	}
	bdev_close(v->desc);
	unit_delete_bdev(&v->bdev);
}

/* --- its I/O ---------------------------------------------------------------------------------- */

struct view_op {
	struct reactor_msg msg;
	struct bdev_io io;
	struct view *view;
	enum bdev_io_type type;
	struct iovec one;
	const struct iovec *iov;
	uint16_t iovcnt;
	uint64_t offset, blocks;
	int result;
	uint64_t seek;
	struct fiber_event event;
};

static void op_answered(struct reactor_msg *msg)
{
	struct view_op *op = container_of(msg, struct view_op, msg);

	fiber_event_set(&op->event, op->result);
}

static void op_answer(struct view_op *op, int result)
{
	op->result = result;
	op->msg.fn = op_answered;
	reactor_send(reactor_at(0), &op->msg);
}

static void op_done(struct bdev_io *io)
{
	struct view_op *op = io->arg;

	op->seek = io->seek_result;
	op_answer(op, io->status.err);
}

static void op_submit(struct view_op *op, struct bdev_channel *ch)
{
	op->io.done = op_done;
	op->io.arg = op;
	switch (op->type) {
	case BDEV_IO_READ:
		bdev_readv(ch, &op->io, op->iov, op->iovcnt, op->offset, op->blocks);
		break;
	case BDEV_IO_WRITE:
		bdev_writev(ch, &op->io, op->iov, op->iovcnt, op->offset, op->blocks, 0);
		break;
	case BDEV_IO_UNMAP:
		bdev_unmap(ch, &op->io, op->offset, op->blocks);
		break;
	case BDEV_IO_WRITE_ZEROES:
		bdev_write_zeroes(ch, &op->io, op->offset, op->blocks, 0);
		break;
	case BDEV_IO_SEEK_DATA:
		bdev_seek_data(ch, &op->io, op->offset);
		break;
	case BDEV_IO_SEEK_HOLE:
		bdev_seek_hole(ch, &op->io, op->offset);
		break;
	default:
		bdev_flush(ch, &op->io, 0, 1);
		break;
	}
}

static void op_start(struct reactor_msg *msg)
{
	struct view_op *op = container_of(msg, struct view_op, msg);
	struct bdev_channel **ch = &op->view->ch[reactor_index(reactor_self())];
	int rc = *ch == NULL ? bdev_channel_get(op->view->desc, ch) : 0;

	if (rc < 0)
		op_answer(op, rc);
	else
		op_submit(op, *ch);
}

struct view_op *view_start(struct view *v, unsigned int reactor, enum bdev_io_type type,
			   const struct iovec *iov, uint16_t iovcnt, uint64_t offset,
			   uint64_t bytes)
{
	struct view_op *op = aligned_alloc(64, (sizeof(*op) + 63) / 64 * 64);

	memset(op, 0, sizeof(*op));
	op->view = v;
	op->type = type;
	op->iov = iov;
	op->iovcnt = iovcnt;
	op->offset = offset / v->bdev.block_size;
	op->blocks = bytes / v->bdev.block_size;
	op->msg.fn = op_start;
	reactor_send(reactor_at(reactor), &op->msg);
	return op;
}

int view_wait(struct view_op *op)
{
	int rc = fiber_event_wait(&op->event);

	free(op);
	return rc;
}

int view_iov(struct view *v, unsigned int reactor, enum bdev_io_type type, const struct iovec *iov,
	     uint16_t iovcnt, uint64_t offset, uint64_t bytes)
{
	return view_wait(view_start(v, reactor, type, iov, iovcnt, offset, bytes));
}

int view_io(struct view *v, unsigned int reactor, enum bdev_io_type type, void *buffer,
	    uint64_t offset, uint64_t bytes)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = bytes };

	return view_iov(v, reactor, type, &iov, 1, offset, bytes);
}

uint64_t view_seek(struct view *v, enum bdev_io_type type, uint64_t offset)
{
	struct view_op *op = view_start(v, 0, type, NULL, 0, offset, 0);
	uint64_t seek;

	assert_int_equal(fiber_event_wait(&op->event), 0);
	seek = op->seek;
	free(op);
	return seek == UINT64_MAX ? seek : seek * v->bdev.block_size;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static uint8_t byte_at(size_t i, uint32_t seed)
{
	return (uint8_t)((i * 31 + i / 512 * 7 + seed * 101 + 1) & 0xff);
}

void pattern(void *buffer, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)buffer)[i] = byte_at(i, seed);
}

bool is_pattern(const void *buffer, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		if (((const uint8_t *)buffer)[i] != byte_at(i, seed))
			return false;
	}
	return true;
}

bool is_zero(const void *buffer, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (((const uint8_t *)buffer)[i] != 0)
			return false;
	}
	return true;
}

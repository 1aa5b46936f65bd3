/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of bdevs as straight code, over running reactors.
 *
 * Threading: what a reactor tells the test's thread is under one lock.
 */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"

static pthread_t runner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct reactor_options options;
static char cores_text[64];
static int start_result;
static bool started, may_end;
static unsigned int completed;

/* --- reactors ------------------------------------------------------------------------------- */

static void tell_started(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	started = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *run(void *arg)
{
	struct error err = ERROR_INIT;

	start_result = reactor_system_start(&options, &err);
	if (start_result < 0) {
		fprintf(stderr, "reactors: %s\n", err.text);
		tell_started(NULL);
		return arg;
	}
	reactor_system_run(tell_started, NULL);
	/* Not under the feet of the thread that is still leaving reactor_send_foreign(). */
	pthread_mutex_lock(&lock);
	while (!may_end)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	reactor_system_fini();
	bdev_fini();
	return arg;
}

static void choose_cores(unsigned int reactors)
{
	cpu_set_t set;
	unsigned int found = 0;
	size_t at = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	if ((unsigned int)CPU_COUNT(&set) < reactors) {
		print_message("needs %u cores\n", reactors);
		skip();
	}
	cores_text[at++] = '[';
	for (unsigned int core = 0; core < CPU_SETSIZE && found < reactors; core++) {
		if (!CPU_ISSET(core, &set))
			continue;
		at += (size_t)snprintf(cores_text + at, sizeof(cores_text) - at, "%s%u",
				       found == 0 ? "" : ",", core);
		found++;
	}
	snprintf(cores_text + at, sizeof(cores_text) - at, "]");
}

static void start(void)
{
	options.cores = cores_text;
	options.share_cores = true;
	options.spin_ns = 0;
	started = false;
	may_end = false;
	completed = 0;
	assert_int_equal(pthread_create(&runner, NULL, run, NULL), 0);
	pthread_mutex_lock(&lock);
	while (!started)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(start_result, 0);
}

void harness_start(unsigned int reactors)
{
	choose_cores(reactors);
	reactor_options_init(&options);
	start();
}

void harness_start_pools(unsigned int reactors, uint32_t small, uint32_t large)
{
	choose_cores(reactors);
	reactor_options_init(&options);
	options.small_buffers = small;
	options.large_buffers = large;
	start();
}

/* cmocka's assertions are for the test's thread only. */
static void stop(void *arg)
{
	*(bool *)arg = bdev_first() == NULL;
	reactor_system_stop();
}

void harness_stop(void)
{
	bool all_gone = false;

	harness_settle();
	harness_call(0, stop, &all_gone);
	pthread_mutex_lock(&lock);
	may_end = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	assert_int_equal(pthread_join(runner, NULL), 0);
	assert_true(all_gone);
}

/* --- calls ---------------------------------------------------------------------------------- */

struct call {
	struct reactor_msg msg;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void call_run(struct reactor_msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	if (call->fn != NULL)
		call->fn(call->arg);
	pthread_mutex_lock(&lock);
	call->done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void harness_call(unsigned int reactor, void (*fn)(void *arg), void *arg)
{
	struct call call = { .msg.fn = call_run, .fn = fn, .arg = arg };

	reactor_send_foreign(reactor_at(reactor), &call.msg);
	pthread_mutex_lock(&lock);
	while (!call.done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void harness_settle(void)
{
	for (unsigned int round = 0; round < 32; round++) {
		for (unsigned int i = 0; i < reactor_count(); i++)
			harness_call(i, NULL, NULL);
	}
}

/* --- bdevs ---------------------------------------------------------------------------------- */

struct open_call {
	const char *name;
	struct bdev_desc *desc;
	int rc;
};

static void open_here(void *arg)
{
	struct open_call *c = arg;

	c->rc = bdev_open(c->name, true, NULL, NULL, &c->desc, NULL);
}

struct bdev_desc *harness_open(const char *name)
{
	struct open_call c = { .name = name };

	harness_call(0, open_here, &c);
	assert_int_equal(c.rc, 0);
	return c.desc;
}

static void close_here(void *arg)
{
	bdev_close(arg);
}

void harness_close(struct bdev_desc *desc)
{
	harness_call(0, close_here, desc);
}

struct delete_call {
	struct bdev *bdev;
	int (*fn)(const char *name, void (*done)(void *arg, int result), void *arg,
		  struct error *err);
	const char *name;
	struct error *err;
	int rc;
	bool done;
	int result;
};

static void delete_done(void *arg, int result)
{
	struct delete_call *c = arg;

	pthread_mutex_lock(&lock);
	c->done = true;
	c->result = result;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void delete_here(void *arg)
{
	struct delete_call *c = arg;

	if (c->fn != NULL)
		c->rc = c->fn(c->name, delete_done, c, c->err);
	else
		c->rc = bdev_unregister(c->bdev, delete_done, c);
}

static int delete_and_wait(struct delete_call *c)
{
	harness_call(0, delete_here, c);
	if (c->rc < 0)
		return c->rc;
	pthread_mutex_lock(&lock);
	while (!c->done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return c->result;
}

int harness_unregister(struct bdev *bdev)
{
	struct delete_call c = { .bdev = bdev };

	return delete_and_wait(&c);
}

int harness_delete(int (*delete_fn)(const char *name, void (*done)(void *arg, int result),
				    void *arg, struct error *err),
		   const char *name, struct error *err)
{
	struct delete_call c = { .fn = delete_fn, .name = name, .err = err };

	return delete_and_wait(&c);
}

struct json_call {
	struct bdev *bdev;
	json_t *json;
};

static void json_here(void *arg)
{
	struct json_call *c = arg;

	c->json = bdev_to_json(c->bdev);
}

json_t *harness_json(struct bdev *bdev)
{
	struct json_call c = { .bdev = bdev };

	harness_call(0, json_here, &c);
	return c.json;
}

static void config_here(void *arg)
{
	bdev_save_config(arg);
}

json_t *harness_config(void)
{
	json_t *array = json_array();

	harness_call(0, config_here, array);
	return array;
}

/* --- channels and I/O ----------------------------------------------------------------------- */

static void get_here(void *arg)
{
	struct harness_channel *c = arg;

	c->rc = bdev_channel_get(c->desc, &c->ch);
}

void harness_get(struct harness_channel *c, struct bdev_desc *desc, unsigned int reactor)
{
	c->reactor = reactor;
	c->desc = desc;
	c->ch = NULL;
	harness_call(reactor, get_here, c);
}

static void put_here(void *arg)
{
	struct harness_channel *c = arg;

	bdev_channel_put(c->ch);
}

void harness_put(struct harness_channel *c)
{
	harness_call(c->reactor, put_here, c);
}

static void io_done(struct bdev_io *io)
{
	struct harness_io *h = container_of(io, struct harness_io, io);

	pthread_mutex_lock(&lock);
	h->inside = h->submitting;
	h->order = completed++;
	h->done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void submit_type(struct harness_io *h)
{
	struct bdev_channel *ch = h->c->ch;
	struct bdev_io *io = &h->io;

	switch (h->type) {
	case BDEV_IO_READ:
		if (h->borrow)
			bdev_read_borrow(ch, io, h->offset, h->blocks);
		else
			bdev_readv(ch, io, h->iov, h->iovcnt, h->offset, h->blocks);
		break;
	case BDEV_IO_WRITE:
		bdev_writev(ch, io, h->iov, h->iovcnt, h->offset, h->blocks, h->flags);
		break;
	case BDEV_IO_FLUSH:
		bdev_flush(ch, io, h->offset, h->blocks);
		break;
	case BDEV_IO_UNMAP:
		bdev_unmap(ch, io, h->offset, h->blocks);
		break;
	case BDEV_IO_WRITE_ZEROES:
		bdev_write_zeroes(ch, io, h->offset, h->blocks, h->flags);
		break;
	case BDEV_IO_RESET:
		bdev_reset(ch, io);
		break;
	case BDEV_IO_COMPARE:
		bdev_comparev(ch, io, h->iov, h->iovcnt, h->offset, h->blocks);
		break;
	case BDEV_IO_COMPARE_AND_WRITE:
		bdev_compare_and_writev(ch, io, h->compare, h->compare_cnt, h->iov, h->iovcnt,
					h->offset, h->blocks, h->flags);
		break;
	case BDEV_IO_ABORT:
		bdev_abort(ch, io, h->target);
		break;
	case BDEV_IO_SEEK_DATA:
		bdev_seek_data(ch, io, h->offset);
		break;
	case BDEV_IO_SEEK_HOLE:
		bdev_seek_hole(ch, io, h->offset);
		break;
	default:
		abort();
	}
}

static void submit_one(struct harness_io *h)
{
	h->done = false;
	h->inside = false;
	h->io.done = io_done;
	h->submitting = true;
	submit_type(h);
	h->submitting = false;
}

struct submit_call {
	struct reactor_msg msg;
	struct harness_io *h;
	unsigned int count;
};

static void submit_here(void *arg)
{
	struct submit_call *c = arg;

	for (unsigned int i = 0; i < c->count; i++)
		submit_one(&c->h[i]);
}

void harness_submit_all(struct harness_io *h, unsigned int count)
{
	struct submit_call c = { .h = h, .count = count };

	harness_call(h->c->reactor, submit_here, &c);
}

void harness_submit(struct harness_io *h)
{
	harness_submit_all(h, 1);
}

struct bdev_status harness_wait(struct harness_io *h)
{
	pthread_mutex_lock(&lock);
	while (!h->done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	assert_false(h->inside);
	return h->io.status;
}

bool harness_is_done(struct harness_io *h)
{
	bool done;

	pthread_mutex_lock(&lock);
	done = h->done;
	pthread_mutex_unlock(&lock);
	return done;
}

static void return_here(void *arg)
{
	bdev_io_return(arg);
}

void harness_return(struct harness_io *h)
{
	harness_call(h->c->reactor, return_here, &h->io);
}

static struct bdev_status do_one(struct harness_io *h)
{
	harness_submit(h);
	return harness_wait(h);
}

void harness_io_data(struct harness_io *h, struct harness_channel *c, enum bdev_io_type type,
		     void *buffer, uint64_t offset, uint64_t blocks)
{
	memset(h, 0, sizeof(*h));
	h->c = c;
	h->type = type;
	h->one.iov_base = buffer;
	h->one.iov_len = blocks * bdev_block_size(bdev_channel_bdev(c->ch));
	h->iov = &h->one;
	h->iovcnt = 1;
	h->offset = offset;
	h->blocks = blocks;
}

struct bdev_status harness_read(struct harness_channel *c, void *buffer, uint64_t offset,
				uint64_t blocks)
{
	struct harness_io h;

	harness_io_data(&h, c, BDEV_IO_READ, buffer, offset, blocks);
	return do_one(&h);
}

struct bdev_status harness_write(struct harness_channel *c, const void *buffer, uint64_t offset,
				 uint64_t blocks, uint8_t flags)
{
	struct harness_io h;

	harness_io_data(&h, c, BDEV_IO_WRITE, (void *)(uintptr_t)buffer, offset, blocks);
	h.flags = flags;
	return do_one(&h);
}

struct bdev_status harness_compare(struct harness_channel *c, const void *buffer, uint64_t offset,
				   uint64_t blocks)
{
	struct harness_io h;

	harness_io_data(&h, c, BDEV_IO_COMPARE, (void *)(uintptr_t)buffer, offset, blocks);
	return do_one(&h);
}

struct bdev_status harness_caw(struct harness_channel *c, const void *compare, const void *write,
			       uint64_t offset, uint64_t blocks)
{
	struct harness_io h;

	harness_io_data(&h, c, BDEV_IO_COMPARE_AND_WRITE, (void *)(uintptr_t)write, offset, blocks);
	h.one_compare.iov_base = (void *)(uintptr_t)compare;
	h.one_compare.iov_len = h.one.iov_len;
	h.compare = &h.one_compare;
	h.compare_cnt = 1;
	return do_one(&h);
}

struct bdev_status harness_range(struct harness_channel *c, enum bdev_io_type type, uint64_t offset,
				 uint64_t blocks)
{
	struct harness_io h = { .c = c, .type = type, .offset = offset, .blocks = blocks };

	return do_one(&h);
}

struct bdev_status harness_seek(struct harness_channel *c, enum bdev_io_type type, uint64_t offset,
				uint64_t *result)
{
	struct harness_io h = { .c = c, .type = type, .offset = offset };
	struct bdev_status status = do_one(&h);

	*result = h.io.seek_result;
	return status;
}

/* --- the rest ------------------------------------------------------------------------------- */

static bool iostat_is_done;

static void iostat_done(struct bdev_iostat_get *get)
{
	(void)get;
	pthread_mutex_lock(&lock);
	iostat_is_done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void iostat_here(void *arg)
{
	bdev_iostat_get(arg);
}

void harness_iostat(struct bdev *bdev, struct bdev_iostat_get *get)
{
	get->bdev = bdev;
	get->done = iostat_done;
	iostat_is_done = false;
	harness_call(0, iostat_here, get);
	pthread_mutex_lock(&lock);
	while (!iostat_is_done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void pattern(void *buffer, size_t bytes, uint32_t seed)
{
	uint32_t *words = buffer;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = (uint32_t)(i * 2654435761u) ^ (seed * 40503u + 17u);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short transfers: the kernel may do less than it was asked for. Here it always does, since the
 * linker puts the two functions below between the module and the reactor.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bdev/iov.h"
#include "bdev_modules/uring.h"
#include "reactor/io.h"

/* A multiple of what direct I/O takes, and no divisor of the segments below. */
#define AT_MOST	 1536u
#define BLOCK	 512u
#define SEGMENTS 4u
#define BYTES	 (64u * BLOCK)

void __real_reactor_io_readv(struct reactor_io *io, int fd, const struct iovec *iov,
			     unsigned int iovcnt, uint64_t offset);
void __wrap_reactor_io_readv(struct reactor_io *io, int fd, const struct iovec *iov,
			     unsigned int iovcnt, uint64_t offset);
void __real_reactor_io_writev(struct reactor_io *io, int fd, const struct iovec *iov,
			      unsigned int iovcnt, uint64_t offset, bool dsync);
void __wrap_reactor_io_writev(struct reactor_io *io, int fd, const struct iovec *iov,
			      unsigned int iovcnt, uint64_t offset, bool dsync);

/* One I/O at a time is under way. */
static struct iovec cut[SEGMENTS];
static unsigned int calls;

static unsigned int shorten(const struct iovec *iov, unsigned int iovcnt)
{
	size_t covered, all = iov_bytes(iov, (uint16_t)iovcnt);

	calls++;
	return iov_cut(iov, (uint16_t)iovcnt, 0, all < AT_MOST ? all : AT_MOST, cut, SEGMENTS,
		       &covered);
}

void __wrap_reactor_io_readv(struct reactor_io *io, int fd, const struct iovec *iov,
			     unsigned int iovcnt, uint64_t offset)
{
	__real_reactor_io_readv(io, fd, cut, shorten(iov, iovcnt), offset);
}

void __wrap_reactor_io_writev(struct reactor_io *io, int fd, const struct iovec *iov,
			      unsigned int iovcnt, uint64_t offset, bool dsync)
{
	__real_reactor_io_writev(io, fd, cut, shorten(iov, iovcnt), offset, dsync);
}

struct create {
	struct bdev_uring_options o;
	struct bdev *bdev;
	int rc;
};

static void create_here(void *arg)
{
	struct create *c = arg;

	c->rc = bdev_uring_create(&c->o, &c->bdev, NULL);
}

static void do_data(struct harness_channel *ch, enum bdev_io_type type, char *buffer)
{
	struct iovec iov[SEGMENTS] = { { buffer, BLOCK },
				       { buffer + BLOCK, 10 * BLOCK },
				       { buffer + 11 * BLOCK, 3 * BLOCK },
				       { buffer + 14 * BLOCK, 50 * BLOCK } };
	struct harness_io h;

	calls = 0;
	harness_io_data(&h, ch, type, buffer, 9, BYTES / BLOCK);
	h.iov = iov;
	h.iovcnt = SEGMENTS;
	harness_submit(&h);
	assert_ok(harness_wait(&h));
	assert_true(calls >= BYTES / AT_MOST);
}

static void test_short_transfers(void **state)
{
	char path[] = "/var/tmp/test-bdev-short-XXXXXX";
	struct create c = { .o = { .name = "s", .filename = path, .block_size = BLOCK } };
	char *out = aligned_alloc(4096, BYTES), *in = aligned_alloc(4096, BYTES);
	struct harness_channel ch;
	struct bdev_desc *desc;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
	close(fd);
	harness_start(1);
	harness_call(0, create_here, &c);
	assert_int_equal(c.rc, 0);
	desc = harness_open("s");
	harness_get(&ch, desc, 0);
	pattern(out, BYTES, 4);
	memset(in, 0, BYTES);
	do_data(&ch, BDEV_IO_WRITE, out);
	do_data(&ch, BDEV_IO_READ, in);
	assert_memory_equal(in, out, BYTES);
	harness_put(&ch);
	harness_close(desc);
	assert_int_equal(harness_unregister(c.bdev), 0);
	harness_stop();
	unlink(path);
	free(out);
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that says it can make holes and zeroes and then refuses both: the linker puts the
 * function below between the module and the reactor.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bdev_modules/uring.h"
#include "reactor/io.h"

#define BLOCK  512u
#define BLOCKS 4096u
/* No mode of fallocate(2), which the kernel refuses with EOPNOTSUPP. */
#define NO_MODE 0x4000

void __real_reactor_io_fallocate(struct reactor_io *io, int fd, int mode, uint64_t offset,
				 uint64_t len);
void __wrap_reactor_io_fallocate(struct reactor_io *io, int fd, int mode, uint64_t offset,
				 uint64_t len);

static unsigned int refusals;

void __wrap_reactor_io_fallocate(struct reactor_io *io, int fd, int mode, uint64_t offset,
				 uint64_t len)
{
	refusals++;
	__real_reactor_io_fallocate(io, fd, mode | NO_MODE, offset, len);
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

static void check_zeroes(struct harness_channel *ch, enum bdev_io_type type)
{
	const size_t bytes = (size_t)BLOCKS * BLOCK;
	char *model = malloc(bytes), *in = malloc(bytes);

	assert_non_null(model);
	assert_non_null(in);
	pattern(model, bytes, type);
	assert_ok(harness_write(ch, model, 0, BLOCKS, 0));
	assert_ok(harness_range(ch, type, 5, BLOCKS - 10));
	memset(model + 5 * BLOCK, 0, bytes - 10 * BLOCK);
	assert_ok(harness_read(ch, in, 0, BLOCKS));
	assert_memory_equal(in, model, bytes);
	free(model);
	free(in);
}

static void test_zeroes_are_written_where_the_device_refuses(void **state)
{
	char path[] = "/var/tmp/test-bdev-refused-XXXXXX";
	struct create c = { .o = { .name = "r", .filename = path, .block_size = BLOCK } };
	struct harness_channel ch;
	struct bdev_desc *desc;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)BLOCKS * BLOCK), 0);
	close(fd);
	c.o.fallocate = true;
	harness_start(1);
	harness_call(0, create_here, &c);
	assert_int_equal(c.rc, 0);
	desc = harness_open("r");
	harness_get(&ch, desc, 0);
	assert_true(bdev_unmap_zeroes(c.bdev));
	check_zeroes(&ch, BDEV_IO_UNMAP);
	/* The hole, and the zeroes in its place; from then on none are asked for. */
	assert_int_equal(refusals, 2);
	check_zeroes(&ch, BDEV_IO_WRITE_ZEROES);
	assert_int_equal(refusals, 2);
	harness_put(&ch);
	harness_close(desc);
	assert_int_equal(harness_unregister(c.bdev), 0);
	harness_stop();
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroes_are_written_where_the_device_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

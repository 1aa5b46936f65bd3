/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uring bdev on block devices (loop devices), and on a full file system: what only root can
 * make. Skipped elsewhere.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bdev_modules/uring.h"

#define MIB (1024u * 1024)

struct create {
	struct bdev_uring_options o;
	struct bdev *bdev;
	struct error err;
	int rc;
};

struct disk {
	struct bdev *bdev;
	struct bdev_desc *desc;
	struct harness_channel ch;
};

static char directory[64], file[128], device[64];
static int loop_fd = -1;

static void create_here(void *arg)
{
	struct create *c = arg;

	c->rc = bdev_uring_create(&c->o, &c->bdev, &c->err);
}

static struct create create(const char *filename, uint32_t block_size)
{
	struct create c = { 0 };

	bdev_uring_options_init(&c.o);
	c.o.name = "ur0";
	c.o.filename = filename;
	c.o.block_size = block_size;
	harness_call(0, create_here, &c);
	return c;
}

static struct disk disk_open(const char *filename, uint32_t block_size)
{
	struct create c = create(filename, block_size);
	struct disk d;

	if (c.rc < 0)
		fail_msg("%s", c.err.text);
	d.bdev = c.bdev;
	d.desc = harness_open("ur0");
	harness_get(&d.ch, d.desc, 0);
	return d;
}

static void disk_close(struct disk *d)
{
	harness_put(&d->ch);
	harness_close(d->desc);
	assert_int_equal(harness_unregister(d->bdev), 0);
}

/* --- loop devices --------------------------------------------------------------------------- */

static bool loop_make(unsigned long logical)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing, number;

	if (control < 0)
		return false;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number < 0)
		return false;
	snprintf(device, sizeof(device), "/dev/loop%d", number);
	loop_fd = open(device, O_RDWR | O_CLOEXEC);
	if (loop_fd < 0)
		return false;
	backing = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (backing < 0 || ftruncate(backing, 8 * MIB) < 0 ||
	    ioctl(loop_fd, LOOP_SET_FD, backing) < 0) {
		close(backing);
		close(loop_fd);
		loop_fd = -1;
		return false;
	}
	close(backing);
	return ioctl(loop_fd, LOOP_SET_BLOCK_SIZE, logical) == 0;
}

static void loop_need(unsigned long logical)
{
	if (loop_make(logical))
		return;
	print_message("no loop device can be made here: %s\n", strerror(errno));
	skip();
}

static int setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/var/tmp/test-bdev-device-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/disk", directory);
	harness_start(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	harness_stop();
	if (loop_fd >= 0) {
		ioctl(loop_fd, LOOP_CLR_FD, 0);
		close(loop_fd);
		loop_fd = -1;
	}
	unlink(file);
	rmdir(directory);
	return 0;
}

static void zeroes_and_neighbours(struct disk *d, enum bdev_io_type type)
{
	const uint32_t block = bdev_block_size(d->bdev);
	const uint64_t first = 3, count = 2 * MIB / block + 1;
	char *model = malloc(4 * MIB), *in = malloc(4 * MIB);

	pattern(model, 4 * MIB, 77);
	assert_ok(harness_write(&d->ch, model, 0, 4 * MIB / block, 0));
	assert_ok(harness_range(&d->ch, type, first, count));
	memset(model + first * block, 0, count * block);
	assert_ok(harness_read(&d->ch, in, 0, 4 * MIB / block));
	assert_memory_equal(in, model, 4 * MIB);
	free(model);
	free(in);
}

static void test_device(void **state)
{
	struct disk d;

	(void)state;
	loop_need(512);
	d = disk_open(device, 0);
	assert_int_equal(bdev_block_size(d.bdev), 512);
	assert_int_equal(bdev_num_blocks(d.bdev), 8 * MIB / 512);
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES);
	if (bdev_supports(d.bdev, BDEV_IO_UNMAP) && bdev_unmap_zeroes(d.bdev))
		zeroes_and_neighbours(&d, BDEV_IO_UNMAP);
	assert_ok(harness_range(&d.ch, BDEV_IO_FLUSH, 0, 0));
	assert_false(bdev_supports(d.bdev, BDEV_IO_SEEK_DATA));
	disk_close(&d);
	d = disk_open(device, 4096);
	assert_int_equal(bdev_num_blocks(d.bdev), 2048);
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES);
	disk_close(&d);
}

static void test_device_block_size(void **state)
{
	struct create c;
	struct disk d;

	(void)state;
	loop_need(4096);
	c = create(device, 512);
	assert_int_equal(c.rc, -EINVAL);
	assert_non_null(strstr(c.err.text, "logical block size"));
	d = disk_open(device, 0);
	assert_int_equal(bdev_block_size(d.bdev), 4096);
	disk_close(&d);
}

/* Mounted, part of RAID, swap: whoever uses a device has it open exclusively. */
static void test_security_device_in_use(void **state)
{
	struct create c;
	struct disk d;
	int fd;

	(void)state;
	loop_need(512);
	fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	c = create(device, 512);
	assert_int_equal(c.rc, -EAGAIN);
	assert_non_null(strstr(c.err.text, "mounted"));
	close(fd);
	d = disk_open(device, 512);
	assert_int_equal(open(device, O_RDWR | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	disk_close(&d);
	fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

/* --- a full file system --------------------------------------------------------------------- */

static void test_no_space(void **state)
{
	char *out = malloc(2 * MIB);
	struct disk d;
	int fd;

	(void)state;
	if (mount("tmpfs", directory, "tmpfs", 0, "size=1m") < 0) {
		free(out);
		print_message("tmpfs cannot be mounted here: %s\n", strerror(errno));
		skip();
	}
	fd = open(file, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 4 * MIB), 0);
	close(fd);
	d = disk_open(file, 512);
	pattern(out, 2 * MIB, 1);
	assert_nvme(harness_write(&d.ch, out, 0, 2 * MIB / 512, 0), 0, 0x81);
	/* A place for what is unmapped, and the bdev goes on. */
	assert_ok(harness_range(&d.ch, BDEV_IO_UNMAP, 0, 4 * MIB / 512));
	assert_ok(harness_write(&d.ch, out, 4096, 8, 0));
	disk_close(&d);
	unlink(file);
	assert_int_equal(umount(directory), 0);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_block_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_security_device_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_space, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

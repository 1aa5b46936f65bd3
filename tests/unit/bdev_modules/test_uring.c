/* SPDX-License-Identifier: Apache-2.0 */
/* The uring and aio bdevs on files: data, zeroes, holes, locks, sizes, what is shown and saved. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bdev_modules/uring.h"

#define BLOCK 512u
#define MIB   (1024u * 1024)

struct create {
	struct bdev_uring_options o;
	bool aio;
	struct bdev *bdev;
	struct error err;
	int rc;
};

struct disk {
	struct bdev *bdev;
	struct bdev_desc *desc;
	struct harness_channel ch;
};

static char directory[64];
static char file[128], other[128];

static void create_here(void *arg)
{
	struct create *c = arg;

	if (c->aio)
		c->rc = bdev_aio_create(&c->o, &c->bdev, &c->err);
	else
		c->rc = bdev_uring_create(&c->o, &c->bdev, &c->err);
}

static int create(struct create *c)
{
	harness_call(0, create_here, c);
	return c->rc;
}

static struct create defaults(void)
{
	struct create c = { 0 };

	bdev_uring_options_init(&c.o);
	c.o.name = "ur0";
	c.o.filename = file;
	c.o.block_size = BLOCK;
	return c;
}

static struct create aio_defaults(void)
{
	struct create c = defaults();

	bdev_aio_options_init(&c.o);
	c.o.name = "aio0";
	c.o.filename = file;
	c.o.block_size = BLOCK;
	c.aio = true;
	return c;
}

static struct disk disk_open(struct create c)
{
	struct disk d;

	if (create(&c) < 0)
		fail_msg("%s", c.err.text);
	d.bdev = c.bdev;
	d.desc = harness_open(bdev_name(c.bdev));
	harness_get(&d.ch, d.desc, 0);
	assert_int_equal(d.ch.rc, 0);
	return d;
}

static void disk_close(struct disk *d)
{
	harness_put(&d->ch);
	harness_close(d->desc);
	assert_int_equal(harness_unregister(d->bdev), 0);
}

static void make_file(const char *path, off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/var/tmp/test-bdev-uring-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/disk", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	make_file(file, 4 * MIB);
	harness_start(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	harness_stop();
	unlink(file);
	unlink(other);
	rmdir(directory);
	return 0;
}

static void refused(const struct create *template, int code, const char *words)
{
	struct create c = *template;

	assert_int_equal(create(&c), code);
	assert_int_equal(c.err.code, code);
	if (strstr(c.err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", c.err.text, words);
}

static blkcnt_t allocated(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_blocks;
}

/* --- data ----------------------------------------------------------------------------------- */

static void test_data(void **state)
{
	struct disk d = disk_open(defaults());
	const size_t bytes = 300 * BLOCK;
	char *out = malloc(bytes + 1), *in = malloc(bytes + 1);
	struct harness_io h;
	struct iovec iov[3];
	int fd;

	(void)state;
	assert_true(bdev_has_write_cache(d.bdev));
	pattern(out, bytes, 5);
	/* Malloc's memory is aligned to nothing that a disk likes; one byte off is worse. */
	memmove(out + 1, out, bytes);
	assert_ok(harness_write(&d.ch, out + 1, 7, 300, 0));
	assert_ok(harness_read(&d.ch, in + 1, 7, 300));
	assert_memory_equal(in + 1, out + 1, bytes);
	iov[0] = (struct iovec){ in, 100 };
	iov[1] = (struct iovec){ in + 100, 5 * BLOCK };
	iov[2] = (struct iovec){ in + 100 + 5 * BLOCK, 3 * BLOCK - 100 };
	harness_io_data(&h, &d.ch, BDEV_IO_READ, in, 9, 8);
	h.iov = iov;
	h.iovcnt = 3;
	harness_submit(&h);
	assert_ok(harness_wait(&h));
	assert_memory_equal(in, out + 1 + 2 * BLOCK, 8 * BLOCK);
	assert_ok(harness_compare(&d.ch, out + 1, 7, 300));
	assert_ok(harness_write(&d.ch, out + 1, 1000, 8, BDEV_IO_FUA));
	assert_ok(harness_range(&d.ch, BDEV_IO_FLUSH, 0, 0));
	assert_ok(harness_range(&d.ch, BDEV_IO_RESET, 0, 0));
	assert_nvme(harness_read(&d.ch, in, 8190, 8), 0, 0x80);
	disk_close(&d);
	fd = open(file, O_RDONLY);
	assert_int_equal(pread(fd, in, 8 * BLOCK, 1000 * BLOCK), 8 * BLOCK);
	assert_memory_equal(in, out + 1, 8 * BLOCK);
	close(fd);
	free(out);
	free(in);
}

/* A borrowed read comes in a pool buffer, as deep as the test goes. */
static void test_borrow(void **state)
{
	struct disk d = disk_open(defaults());
	struct harness_io h[64];
	char out[8 * BLOCK];

	(void)state;
	pattern(out, sizeof(out), 8);
	assert_ok(harness_write(&d.ch, out, 64, 8, 0));
	for (unsigned int i = 0; i < 64; i++)
		h[i] = (struct harness_io){
			.c = &d.ch, .type = BDEV_IO_READ, .borrow = true, .offset = 64, .blocks = 8
		};
	harness_submit_all(h, 64);
	for (unsigned int i = 0; i < 64; i++) {
		assert_ok(harness_wait(&h[i]));
		assert_int_equal(h[i].io.iovcnt, 1);
		assert_memory_equal(h[i].io.iov[0].iov_base, out, sizeof(out));
		harness_return(&h[i]);
	}
	disk_close(&d);
}

static void zeroes_and_neighbours(struct disk *d, enum bdev_io_type type, uint8_t flags)
{
	const size_t bytes = 3 * MIB;
	char *model = malloc(bytes), *in = malloc(bytes);
	struct harness_io h = { .c = &d->ch, .type = type, .flags = flags, .offset = 5 };

	h.blocks = 2 * MIB / BLOCK + 3;
	pattern(model, bytes, 77);
	assert_ok(harness_write(&d->ch, model, 0, bytes / BLOCK, 0));
	harness_submit(&h);
	assert_ok(harness_wait(&h));
	memset(model + h.offset * BLOCK, 0, h.blocks * BLOCK);
	assert_ok(harness_read(&d->ch, in, 0, bytes / BLOCK));
	assert_memory_equal(in, model, bytes);
	free(model);
	free(in);
}

static void test_unmap_makes_holes(void **state)
{
	struct disk d = disk_open(defaults());
	blkcnt_t full;
	char *out = calloc(4, MIB);

	(void)state;
	if (!bdev_supports(d.bdev, BDEV_IO_UNMAP)) {
		free(out);
		disk_close(&d);
		print_message("the file system has no holes\n");
		skip();
	}
	assert_true(bdev_unmap_zeroes(d.bdev));
	pattern(out, 4 * MIB, 6);
	assert_ok(harness_write(&d.ch, out, 0, 4 * MIB / BLOCK, BDEV_IO_FUA));
	full = allocated(file);
	assert_ok(harness_range(&d.ch, BDEV_IO_UNMAP, 2048, 4096));
	assert_true(allocated(file) <= full - 4096 + 64);
	zeroes_and_neighbours(&d, BDEV_IO_UNMAP, 0);
	free(out);
	disk_close(&d);
}

static void test_write_zeroes(void **state)
{
	struct disk d = disk_open(defaults());

	(void)state;
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES, 0);
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES, BDEV_IO_FUA);
	disk_close(&d);
}

/* aio without fallocate writes its zeroes, and has no unmap. */
static void test_aio_without_fallocate(void **state)
{
	struct disk d = disk_open(aio_defaults());

	(void)state;
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES, 0);
	assert_nvme(harness_range(&d.ch, BDEV_IO_UNMAP, 0, 8), 0, 0x01);
	disk_close(&d);
}

/* /dev/shm has neither ZERO_RANGE nor, before Linux 6.6, direct I/O. */
static void test_tmpfs(void **state)
{
	struct create c = defaults();
	char path[] = "/dev/shm/test-bdev-uring-XXXXXX";
	int fd = mkstemp(path);
	struct disk d;

	(void)state;
	if (fd < 0) {
		print_message("no /dev/shm\n");
		skip();
	}
	assert_int_equal(ftruncate(fd, 4 * MIB), 0);
	close(fd);
	c.o.filename = path;
	d = disk_open(c);
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES, 0);
	zeroes_and_neighbours(&d, BDEV_IO_WRITE_ZEROES, BDEV_IO_FUA);
	zeroes_and_neighbours(&d, BDEV_IO_UNMAP, 0);
	disk_close(&d);
	unlink(path);
}

static void test_seek(void **state)
{
	struct disk d = disk_open(defaults());
	uint64_t at;
	char *out = malloc(64 * 1024);

	(void)state;
	pattern(out, 64 * 1024, 1);
	assert_ok(harness_write(&d.ch, out, 2048, 128, BDEV_IO_FUA));
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_DATA, 0, &at));
	assert_int_equal(at, 2048);
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_HOLE, 2050, &at));
	assert_int_equal(at, 2048 + 128);
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_DATA, 4000, &at));
	assert_true(at == UINT64_MAX);
	assert_ok(harness_write(&d.ch, out, 8192 - 128, 128, BDEV_IO_FUA));
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_HOLE, 8191, &at));
	assert_true(at == UINT64_MAX);
	assert_nvme(harness_seek(&d.ch, BDEV_IO_SEEK_HOLE, 8192, &at), 0, 0x80);
	free(out);
	disk_close(&d);
}

/* Blocks larger than the file system's: a hole within one, or over the edge of two, is data. */
static void test_seek_passes_over_small_holes(void **state)
{
	struct create c = defaults();
	char *out = malloc(64 * 1024);
	struct disk d;
	uint64_t at;
	int fd;

	(void)state;
	c.o.block_size = 65536;
	d = disk_open(c);
	fd = open(file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	pattern(out, 64 * 1024, 1);
	for (off_t kib = 0; kib < 256; kib += 32)
		assert_int_equal(pwrite(fd, out, 16384, kib * 1024), 16384);
	fsync(fd);
	close(fd);
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_HOLE, 0, &at));
	assert_int_equal(at, 4);
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_HOLE, 2, &at));
	assert_int_equal(at, 4);
	assert_ok(harness_seek(&d.ch, BDEV_IO_SEEK_DATA, 1, &at));
	assert_int_equal(at, 1);
	free(out);
	disk_close(&d);
}

/* A limit of the file's size stands for a full disk: EFBIG and ENOSPC are both Capacity Exceeded.
 */
static void test_no_space(void **state)
{
	struct rlimit old, small;
	struct disk d = disk_open(defaults());
	char *out = calloc(8, BLOCK);

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_nvme(harness_write(&d.ch, out, 4096, 8, 0), 0, 0x81);
	assert_ok(harness_write(&d.ch, out, 64, 8, 0));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_ok(harness_write(&d.ch, out, 4096, 8, 0));
	free(out);
	disk_close(&d);
}

/* A file that was cut under the bdev: what is gone cannot be read, all else can. */
static void test_truncated_below(void **state)
{
	struct disk d = disk_open(defaults());
	char *in = malloc(64 * BLOCK);

	(void)state;
	assert_int_equal(truncate(file, 1024 * BLOCK + 2048), 0);
	assert_ok(harness_read(&d.ch, in, 1000, 24));
	assert_nvme(harness_read(&d.ch, in, 1020, 64), 2, 0x81);
	assert_nvme(harness_read(&d.ch, in, 4000, 8), 2, 0x81);
	free(in);
	disk_close(&d);
}

/* --- opening -------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
	struct create c = defaults();

	(void)state;
	c.o.block_size = 0;
	refused(&c, -EINVAL, "block_size of bdev \"ur0\" is not given");
	c.o.block_size = 100;
	refused(&c, -EINVAL, "block size 100");
	c.o.block_size = 1536;
	refused(&c, -EINVAL, "power of two");
	c.o.block_size = 33554432;
	refused(&c, -EINVAL, "block size 33554432");
	c = defaults();
	c.o.filename = "/nonexistent/disk";
	refused(&c, -ENOENT, "/nonexistent/disk");
	c.o.filename = directory;
	refused(&c, -EISDIR, "is a directory");
	c.o.filename = "/dev/null";
	refused(&c, -EINVAL, "is a character device");
	make_file(other, 511);
	c.o.filename = other;
	refused(&c, -EINVAL, "less than one block");
	c = defaults();
	c.o.nowait = true;
	refused(&c, -EOPNOTSUPP, "nowait");
}

/* Opening a pipe for reading would wait for a writer. */
static void test_refuses_a_pipe(void **state)
{
	struct create c = defaults();

	(void)state;
	assert_int_equal(mkfifo(other, 0600), 0);
	c.o.filename = other;
	c.o.readonly = true;
	refused(&c, -EINVAL, "is a pipe");
}

static void test_one_writer(void **state)
{
	struct disk d = disk_open(defaults());
	struct create second = aio_defaults();
	struct disk a, b;

	(void)state;
	refused(&second, -EBUSY, "already used by bdev \"ur0\"");
	second.o.readonly = true;
	refused(&second, -EBUSY, "already used by bdev \"ur0\"");
	assert_int_equal(link(file, other), 0);
	second.o.filename = other;
	refused(&second, -EBUSY, "already used by bdev \"ur0\"");
	second.o.name = "ur0";
	refused(&second, -EEXIST, "ur0");
	disk_close(&d);

	second.o.name = "aio0";
	a = disk_open(second);
	second.o.name = "aio1";
	b = disk_open(second);
	disk_close(&a);
	disk_close(&b);
}

/* Between programs: a lock of an open file description, as QEMU's. */
static void test_locked_by_another_program(void **state)
{
	struct flock range = { .l_type = F_WRLCK };
	struct create c = defaults();
	int fd = open(file, O_RDWR);
	struct disk d;

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
	refused(&c, -EAGAIN, "locked by another program");
	close(fd);
	d = disk_open(c);
	fd = open(file, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), -1);
	close(fd);
	disk_close(&d);
}

static void test_read_only(void **state)
{
	struct create c = aio_defaults();
	struct disk d;
	char buffer[BLOCK] = { 0 };

	(void)state;
	assert_int_equal(chmod(file, 0400), 0);
	if (geteuid() != 0)
		refused(&c, -EACCES, "ask for readonly");
	c.o.readonly = true;
	d = disk_open(c);
	assert_ok(harness_read(&d.ch, buffer, 0, 1));
	assert_nvme(harness_write(&d.ch, buffer, 0, 1, 0), 0, 0x20);
	assert_nvme(harness_range(&d.ch, BDEV_IO_WRITE_ZEROES, 0, 1), 0, 0x20);
	assert_nvme(harness_range(&d.ch, BDEV_IO_UNMAP, 0, 1), 0, 0x20);
	assert_nvme(harness_caw(&d.ch, buffer, buffer, 0, 1), 0, 0x20);
	assert_false(bdev_supports(d.bdev, BDEV_IO_WRITE));
	disk_close(&d);
}

/* --- sizes ---------------------------------------------------------------------------------- */

struct rescan {
	int (*fn)(const char *name, struct error *err);
	const char *name;
	struct error err;
	int rc;
};

static void rescan_here(void *arg)
{
	struct rescan *r = arg;

	r->rc = r->fn(r->name, &r->err);
}

static int rescan(int (*fn)(const char *name, struct error *err), const char *name)
{
	struct rescan r = { .fn = fn, .name = name };

	harness_call(0, rescan_here, &r);
	return r.rc;
}

static void test_rescan(void **state)
{
	struct disk d = disk_open(defaults());
	char buffer[BLOCK] = { 1 };

	(void)state;
	assert_int_equal(rescan(bdev_uring_rescan, "ur0"), 0);
	assert_int_equal(bdev_num_blocks(d.bdev), 8192);
	assert_int_equal(truncate(file, 8 * MIB + 100), 0);
	assert_int_equal(rescan(bdev_aio_rescan, "ur0"), -ENODEV);
	assert_int_equal(rescan(bdev_uring_rescan, "nope"), -ENODEV);
	assert_int_equal(rescan(bdev_uring_rescan, "ur0"), 0);
	assert_int_equal(bdev_num_blocks(d.bdev), 16384);
	assert_ok(harness_write(&d.ch, buffer, 16383, 1, 0));
	assert_int_equal(truncate(file, 4 * MIB), 0);
	assert_int_equal(rescan(bdev_uring_rescan, "ur0"), -EBUSY);
	assert_int_equal(bdev_num_blocks(d.bdev), 16384);
	disk_close(&d);
}

/* The tail that fills no block is left out; 4096-byte blocks work as well. */
static void test_odd_size(void **state)
{
	struct create c = defaults();
	struct disk d;
	char out[4096], in[4096];

	(void)state;
	assert_int_equal(truncate(file, MIB + 4095), 0);
	c.o.block_size = 4096;
	d = disk_open(c);
	assert_int_equal(bdev_num_blocks(d.bdev), 256);
	pattern(out, sizeof(out), 2);
	assert_ok(harness_write(&d.ch, out, 255, 1, 0));
	assert_ok(harness_read(&d.ch, in, 255, 1));
	assert_memory_equal(in, out, sizeof(in));
	disk_close(&d);
}

/* --- what is shown and saved ---------------------------------------------------------------- */

static void check_text(json_t *json, const char *format, const char *path)
{
	char expected[1024], *text = json_dumps(json, JSON_COMPACT);

	snprintf(expected, sizeof(expected), format, path);
	assert_string_equal(text, expected);
	free(text);
	json_decref(json);
}

static void test_uring_json(void **state)
{
	struct create c = defaults();
	struct disk d;
	json_t *json;

	(void)state;
	assert_int_equal(uuid_from_text(&c.o.uuid, "60000000-1111-4222-8333-444444444444"), 0);
	d = disk_open(c);
	json = harness_json(d.bdev);
	assert_string_equal(json_string_value(json_object_get(json, "product_name")), "URING bdev");
	assert_null(json_object_get(json, "numa_id"));
	check_text(json_incref(json_object_get(json, "driver_specific")),
		   "{\"uring\":{\"filename\":\"%s\"}}", file);
	json_decref(json);
	check_text(harness_config(),
		   "[{\"method\":\"bdev_uring_create\",\"params\":{\"name\":\"ur0\",\"block_size\":"
		   "512,\"filename\":\"%s\",\"uuid\":\"60000000-1111-4222-8333-444444444444\"}}]",
		   file);
	disk_close(&d);
}

static void test_aio_json(void **state)
{
	struct create c = aio_defaults();
	struct disk d;
	json_t *json;

	(void)state;
	assert_int_equal(uuid_from_text(&c.o.uuid, "50000000-1111-4222-8333-444444444444"), 0);
	d = disk_open(c);
	json = harness_json(d.bdev);
	assert_string_equal(json_string_value(json_object_get(json, "product_name")), "AIO disk");
	check_text(json_incref(json_object_get(json, "driver_specific")),
		   "{\"aio\":{\"filename\":\"%s\",\"block_size_override\":true,\"readonly\":false,"
		   "\"fallocate\":false,\"nowait\":false}}",
		   file);
	json_decref(json);
	check_text(harness_config(),
		   "[{\"method\":\"bdev_aio_create\",\"params\":{\"name\":\"aio0\",\"block_size\":"
		   "512,\"filename\":\"%s\",\"readonly\":false,\"fallocate\":false,\"uuid\":"
		   "\"50000000-1111-4222-8333-444444444444\",\"nowait\":false}}]",
		   file);
	assert_int_equal(harness_delete(bdev_uring_delete, "aio0", NULL), -ENODEV);
	harness_put(&d.ch);
	harness_close(d.desc);
	assert_int_equal(harness_delete(bdev_aio_delete, "aio0", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_borrow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_makes_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aio_without_fallocate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tmpfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek_passes_over_small_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_below, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_a_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_by_another_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uring_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aio_json, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

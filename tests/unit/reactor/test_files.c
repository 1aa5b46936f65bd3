/* SPDX-License-Identifier: Apache-2.0 */
/* Files: reads, writes, durability, holes; more at once than any queue holds; errors. */
#include "reactor_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define COUNT 600u

struct transfer {
	struct reactor_io io;
	struct iovec iov[2];
	struct files *files;
};

struct files {
	int fd;
	int extra_flags;
	uint8_t *out;
	uint8_t *in;
	struct transfer items[COUNT];
	struct reactor_io io;
	unsigned int done;
	bool asking;
};

static void files_open(struct files *f)
{
	const char *dir = getenv("TMPDIR");
	char path[256];

	snprintf(path, sizeof(path), "%s/cyborg-spdk-unit-XXXXXX", dir ? dir : "/var/tmp");
	f->fd = mkostemp(path, O_CLOEXEC);
	assert_true(f->fd >= 0);
	if (f->extra_flags) {
		close(f->fd);
		f->fd = open(path, O_RDWR | O_CLOEXEC | f->extra_flags);
	}
	unlink(path);
	if (f->fd < 0 && errno == EINVAL) {
		print_message("no O_DIRECT in %s\n", dir ? dir : "/var/tmp");
		skip();
	}
	assert_true(f->fd >= 0);
	f->out = aligned_alloc(BLOCK, (size_t)COUNT * BLOCK);
	f->in = aligned_alloc(BLOCK, (size_t)COUNT * BLOCK);
	assert_non_null(f->out);
	assert_non_null(f->in);
	for (size_t i = 0; i < (size_t)COUNT * BLOCK; i++)
		f->out[i] = (uint8_t)(i * 31 >> 4);
	memset(f->in, 0, (size_t)COUNT * BLOCK);
}

static void files_close(struct files *f)
{
	close(f->fd);
	free(f->out);
	free(f->in);
}

/* --- write all, sync, read all, punch, read the hole ---------------------------------------- */

static void hole_read(struct reactor_io *io, int32_t result)
{
	struct files *f = container_of(io, struct files, items[0].io);

	assert_int_equal(result, 2 * BLOCK);
	for (size_t i = 0; i < BLOCK; i++)
		assert_int_equal(f->in[i], 0);
	assert_memory_equal(f->in + BLOCK, f->out + BLOCK, BLOCK);
	reactor_system_stop();
}

static void punched(struct reactor_io *io, int32_t result)
{
	struct files *f = container_of(io, struct files, io);
	struct transfer *t = &f->items[0];

	if (result == -EOPNOTSUPP) {
		reactor_system_stop();
		return;
	}
	assert_int_equal(result, 0);
	t->io.done = hole_read;
	t->iov[0] = (struct iovec){ f->in, 2 * BLOCK };
	reactor_io_readv(&t->io, f->fd, t->iov, 1, 0);
}

static void one_read(struct reactor_io *io, int32_t result)
{
	struct transfer *t = container_of(io, struct transfer, io);
	struct files *f = t->files;

	assert_false(f->asking);
	assert_int_equal(result, BLOCK);
	if (++f->done < COUNT)
		return;
	assert_memory_equal(f->in, f->out, (size_t)COUNT * BLOCK);
	f->io.done = punched;
	reactor_io_fallocate(&f->io, f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK);
}

static void synced(struct reactor_io *io, int32_t result)
{
	struct files *f = container_of(io, struct files, io);

	assert_int_equal(result, 0);
	f->done = 0;
	f->asking = true;
	for (unsigned int i = 0; i < COUNT; i++) {
		struct transfer *t = &f->items[i];

		t->io.done = one_read;
		t->iov[0].iov_base = f->in + (size_t)i * BLOCK;
		t->iov[1].iov_base = f->in + (size_t)i * BLOCK + BLOCK / 2;
		reactor_io_readv(&t->io, f->fd, t->iov, 2, (uint64_t)i * BLOCK);
	}
	f->asking = false;
}

static void one_written(struct reactor_io *io, int32_t result)
{
	struct transfer *t = container_of(io, struct transfer, io);
	struct files *f = t->files;

	assert_false(f->asking);
	assert_int_equal(result, BLOCK);
	if (++f->done < COUNT)
		return;
	f->io.done = synced;
	reactor_io_fdatasync(&f->io, f->fd);
}

static void files_start(void *arg)
{
	struct files *f = arg;

	f->asking = true;
	for (unsigned int i = 0; i < COUNT; i++) {
		struct transfer *t = &f->items[i];

		t->files = f;
		t->io.done = one_written;
		t->iov[0] = (struct iovec){ f->out + (size_t)i * BLOCK, BLOCK / 2 };
		t->iov[1] = (struct iovec){ f->out + (size_t)i * BLOCK + BLOCK / 2, BLOCK / 2 };
		reactor_io_writev(&t->io, f->fd, t->iov, 2, (uint64_t)i * BLOCK, i % 100 == 0);
	}
	f->asking = false;
}

static void run_files(int extra_flags)
{
	struct files *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->extra_flags = extra_flags;
	files_open(f);
	unit_run(1, files_start, f);
	files_close(f);
	free(f);
}

static void test_file_through_the_page_cache(void **state)
{
	(void)state;
	run_files(0);
}

static void test_file_past_the_page_cache(void **state)
{
	(void)state;
	run_files(O_DIRECT);
}

/* --- short and wrong ------------------------------------------------------------------------ */

static void bad_sync(struct reactor_io *io, int32_t result)
{
	(void)io;
	assert_int_equal(result, -EBADF);
	reactor_system_stop();
}

static void bad_write(struct reactor_io *io, int32_t result)
{
	assert_int_equal(result, -EBADF);
	io->done = bad_sync;
	reactor_io_fdatasync(io, 1000000);
}

static void read_behind_end(struct reactor_io *io, int32_t result)
{
	struct files *f = container_of(io, struct files, io);

	assert_int_equal(result, 0);
	io->done = bad_write;
	reactor_io_writev(io, 1000000, f->items[0].iov, 1, 0, false);
}

static void read_short(struct reactor_io *io, int32_t result)
{
	struct files *f = container_of(io, struct files, io);

	assert_int_equal(result, 100);
	io->done = read_behind_end;
	reactor_io_readv(io, f->fd, f->items[0].iov, 1, 1 << 20);
}

static void short_start(void *arg)
{
	struct files *f = arg;

	assert_int_equal(pwrite(f->fd, f->out, 100, 0), 100);
	f->items[0].iov[0] = (struct iovec){ f->in, BLOCK };
	f->io.done = read_short;
	reactor_io_readv(&f->io, f->fd, f->items[0].iov, 1, 0);
}

static void test_short_reads_and_bad_descriptors(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	(void)state;
	assert_non_null(f);
	files_open(f);
	unit_run(1, short_start, f);
	files_close(f);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_through_the_page_cache),
		cmocka_unit_test(test_file_past_the_page_cache),
		cmocka_unit_test(test_short_reads_and_bad_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

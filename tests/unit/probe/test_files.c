/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as backing, on the running system.
 *
 * Threading: one thread; children hold files open and locked.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/internal.h"

#define SIZE (4 << 20)

struct file {
	char *dir;
	char path[128];
	struct probe *probe;
	struct probe_device *dev;
};

static int setup(void **state)
{
	static struct file f;

	f.dir = tree_make();
	snprintf(f.path, sizeof(f.path), "%s/backing", f.dir);
	tree_file(f.dir, "backing", "");
	assert_int_equal(truncate(f.path, SIZE), 0);
	f.probe = probe_create(NULL);
	f.dev = calloc(1, sizeof(*f.dev));
	assert_non_null(f.dev);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct file *f = *state;

	probe_device_fini(f->dev);
	free(f->dev);
	probe_destroy(f->probe);
	tree_remove(f->dir);
	return 0;
}

static void put(const struct file *f, const char *bytes, off_t at)
{
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
	close(fd);
}

static void look(struct file *f)
{
	struct error err = ERROR_INIT;

	assert_int_equal(probe_path(f->probe, f->path, f->dev, &err), 0);
}

static void expect(struct file *f, enum probe_verdict verdict, enum probe_reason reason,
		   const char *word)
{
	const struct probe_finding *found;

	look(f);
	found = probe_device_reason(f->dev);
	assert_non_null(found);
	assert_int_equal(found->reason, reason);
	assert_int_equal(found->verdict, verdict);
	assert_non_null(strstr(found->text, word));
}

static void test_empty_file_is_free(void **state)
{
	struct file *f = *state;

	look(f);
	assert_int_equal(probe_device_verdict(f->dev), PROBE_FREE);
	assert_string_equal(f->dev->kind, "file");
	assert_int_equal(f->dev->size, SIZE);
	assert_memory_equal(f->dev->serial, "FILE-", 5);
}

static void test_security_bytes_of_no_format_are_data(void **state)
{
	put(*state, "x", SIZE - 1);
	expect(*state, PROBE_HOLDS_DATA, PROBE_REASON_CONTENT, "not empty");
}

static void test_security_bytes_in_the_middle_are_data(void **state)
{
	put(*state, "x", SIZE / 2);
	expect(*state, PROBE_HOLDS_DATA, PROBE_REASON_CONTENT, "not empty");
}

/* Wherever it stands: of a sparse file the kernel tells what was written. */
static void test_security_one_byte_of_a_large_file_is_data(void **state)
{
	struct file *f = *state;
	int fd;

	assert_int_equal(truncate(f->path, (off_t)8 << 30), 0);
	/* Something that is zero comes first. */
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "", 1, (off_t)2 << 30), 1);
	close(fd);
	put(f, "x", ((off_t)5 << 30) + 12345);
	expect(f, PROBE_HOLDS_DATA, PROBE_REASON_CONTENT, "not empty");
}

static void test_security_blobstore_is_data(void **state)
{
	put(*state, "SPDKBLOB", 0);
	expect(*state, PROBE_HOLDS_DATA, PROBE_REASON_BLOBSTORE, "Blobstore");
}

static void test_security_swap_signature_is_data(void **state)
{
	/* Version 1, one page, at the end of a page of 4 KiB. */
	put(*state, "\x01", 1024);
	put(*state, "\x01", 1028);
	put(*state, "SWAPSPACE2", 4096 - 10);
	expect(*state, PROBE_HOLDS_DATA, PROBE_REASON_SIGNATURE, "swap");
}

/* A child that does something to the file, and what it did holds until it is killed. */
static pid_t hold(const struct file *f, void (*how)(int fd))
{
	int pipefd[2];
	char ready;
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(f->path, O_RDWR);

		how(fd);
		if (write(pipefd[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(pipefd[0], &ready, 1), 1);
	close(pipefd[0]);
	close(pipefd[1]);
	return pid;
}

static void release(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void only_open(int fd)
{
	(void)fd;
}

static void lock_it(int fd)
{
	flock(fd, LOCK_EX);
}

static void test_security_open_file_is_refused(void **state)
{
	struct file *f = *state;
	pid_t pid = hold(f, only_open);
	char word[32];

	snprintf(word, sizeof(word), "process %d", pid);
	expect(f, PROBE_IN_USE, PROBE_REASON_OPEN, word);
	release(pid);
	probe_device_fini(f->dev);
	look(f);
	assert_int_equal(probe_device_verdict(f->dev), PROBE_FREE);
}

static void *stay(void *arg)
{
	pause();
	return arg;
}

static char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state;
}

/* /proc/PID/fd is that of the first thread, and empty once it has ended. */
static void test_security_file_open_in_another_thread_is_refused(void **state)
{
	struct file *f = *state;
	pthread_t thread;
	pid_t pid = fork();
	char word[32];

	if (pid == 0) {
		if (open(f->path, O_RDWR) < 0 || pthread_create(&thread, NULL, stay, NULL) != 0)
			_exit(1);
		pthread_exit(NULL);
	}
	while (state_of(pid) != 'Z')
		usleep(1000);
	snprintf(word, sizeof(word), "process %d", pid);
	expect(f, PROBE_IN_USE, PROBE_REASON_OPEN, word);
	release(pid);
}

static void test_security_locked_file_is_refused(void **state)
{
	struct file *f = *state;
	pid_t pid = hold(f, lock_it);
	bool locked = false;

	look(f);
	for (size_t i = 0; i < f->dev->finding_count; i++)
		locked = locked || f->dev->findings[i].reason == PROBE_REASON_LOCK;
	release(pid);
	assert_true(locked);
}

static void only_map(int fd)
{
	mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static void test_security_mapped_file_is_refused(void **state)
{
	struct file *f = *state;
	pid_t pid = hold(f, only_map);
	char word[48];

	snprintf(word, sizeof(word), "mapped into the memory of process %d", pid);
	expect(f, PROBE_IN_USE, PROBE_REASON_OPEN, word);
	release(pid);
	probe_device_fini(f->dev);
	look(f);
	assert_int_equal(probe_device_verdict(f->dev), PROBE_FREE);
}

static void only_register(int fd)
{
	struct io_uring_params params = { .flags = 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0)
		_exit(1);
	close(fd);
}

static void test_security_file_of_an_io_uring_is_refused(void **state)
{
	struct io_uring_params params = { .flags = 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	struct file *f = *state;
	char word[48];
	pid_t pid;

	if (ring < 0)
		skip();
	close(ring);
	pid = hold(f, only_register);
	snprintf(word, sizeof(word), "registered with an io_uring of process %d", pid);
	expect(f, PROBE_IN_USE, PROBE_REASON_OPEN, word);
	release(pid);
}

/* Root may write what is write-protected, but not what runs. */
static void test_security_program_that_runs_is_refused(void **state)
{
	struct file *f = *state;
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to;
	char *const none[] = { NULL };
	char buf[65536], zero[SIZE / 64] = "";
	pid_t pid;
	ssize_t n;

	to = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(write(to, buf, (size_t)n), n);
	for (int i = 0; i < 64; i++)
		assert_int_equal(write(to, zero, sizeof(zero)), sizeof(zero));
	assert_int_equal(fchmod(to, 0700), 0);
	close(from);
	close(to);
	pid = fork();
	if (pid == 0) {
		setenv("TEST_FILES_WAIT", "1", 1);
		execve(f->path, none, environ);
		_exit(1);
	}
	while (state_of(pid) != 'T')
		usleep(1000);
	expect(f, PROBE_IN_USE, PROBE_REASON_EXCLUSIVE, "a program that runs");
	release(pid);
}

/* The label, its header with one data and one metadata area, and the text that is in the latter. */
static void put_lvm(const struct file *f, const char *text)
{
	static const unsigned char start[] = { 0, 2 }, data[] = { 0, 0, 16 }, area[] = { 0, 16 };
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "LABELONE\x01", 9, 512), 9);
	assert_int_equal(pwrite(fd, " ", 1, 512 + 20), 1); /* the header's place */
	assert_int_equal(pwrite(fd, "LVM2 001", 8, 512 + 24), 8);
	assert_int_equal(pwrite(fd, data, sizeof(data), 512 + 32 + 40), sizeof(data));
	assert_int_equal(pwrite(fd, area, sizeof(area), 512 + 32 + 40 + 32), sizeof(area));
	assert_int_equal(pwrite(fd, " LVM2 x[5A%r0N*>", 16, 4096 + 4), 16);
	assert_int_equal(pwrite(fd, area, sizeof(area), 4096 + 32), sizeof(area));
	assert_int_equal(pwrite(fd, start, sizeof(start), 4096 + 40), sizeof(start));
	assert_int_equal(pwrite(fd, text, strlen(text), 4096 + 512), strlen(text));
	close(fd);
}

static void test_group_of_a_physical_volume(void **state)
{
	struct file *f = *state;
	struct probe_lvm lvm;
	int fd;

	put_lvm(f, "vg-one {\nid = \"abcdef-0123-4567-89ab-cdef-0123-456789\"\nseqno = 1\n");
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	probe_lvm_read(fd, &lvm);
	assert_string_equal(lvm.group, "vg-one");
	assert_string_equal(lvm.id, "abcdef0123456789abcdef0123456789");
	close(fd);
}

/* Every word of it may be anything. */
static void test_security_physical_volume_of_noise(void **state)
{
	struct file *f = *state;
	struct probe_lvm lvm;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	for (unsigned int round = 0; round < 2000; round++) {
		static const int places[] = {
			532, 584, 592, 600, 608, 616, 4100, 4128, 4136, 4608
		};
		unsigned int seed = round;
		unsigned char noise[8];

		put_lvm(f, "vg {\nid = \"a-b\"\n");
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (unsigned char)(rand_r(&seed) >> 3);
		assert_int_equal(pwrite(fd, noise, 1 + round % 8,
					places[round % (sizeof(places) / sizeof(places[0]))]),
				 1 + round % 8);
		probe_lvm_read(fd, &lvm);
		assert_true(strlen(lvm.group) < sizeof(lvm.group));
		assert_true(strlen(lvm.id) < sizeof(lvm.id));
	}
	close(fd);
}

/* The kernel gives it to nobody and says not who has it: its content tells. */
static void held(struct file *f, enum probe_reason reason, const char *word)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	const struct probe_finding *found;

	snprintf(f->dev->path, sizeof(f->dev->path), "%s", f->path);
	snprintf(f->dev->name, sizeof(f->dev->name), "backing");
	assert_int_equal(probe_find_holder_by_content(f->probe, f->dev, fd), 0);
	close(fd);
	found = probe_device_reason(f->dev);
	assert_int_equal(found->verdict, PROBE_IN_USE);
	assert_int_equal(found->reason, reason);
	assert_non_null(strstr(found->text, word));
	probe_device_fini(f->dev);
}

static void test_security_holder_is_told_by_content(void **state)
{
	held(*state, PROBE_REASON_EXCLUSIVE, "held exclusively by the kernel");
	put(*state, "LUKS\xba\xbe", 0);
	put(*state, "\x01", 7);
	held(*state, PROBE_REASON_DM, "opened LUKS volume");
}

static void test_small_file_is_unfit(void **state)
{
	struct file *f = *state;

	assert_int_equal(truncate(f->path, 4096), 0);
	expect(f, PROBE_UNFIT, PROBE_REASON_SIZE, "4096 bytes");
}

/* A FUSE server that never says a word, in a mount namespace that goes with this process. */
static int mount_silent(const char *where)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return mount("silent", where, "fuse", 0, options);
}

static int look_at_silent(struct file *f)
{
	struct error err = ERROR_INIT;
	char path[128];
	int rc;

	if (mount_silent(f->dir) < 0)
		return 77;
	snprintf(path, sizeof(path), "%s/backing", f->dir);
	f->probe->patience_ns = NS_PER_SEC;
	rc = probe_path(f->probe, path, f->dev, &err);
	return rc == -ETIMEDOUT && strstr(err.text, path) && strstr(err.text, "within 1 s") ? 0 : 1;
}

static void test_file_on_a_dead_file_system_is_named(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(look_at_silent(*state));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_same_paths(void **state)
{
	struct file *f = *state;
	char link[128];

	tree_link(f->dir, "link", f->path);
	snprintf(link, sizeof(link), "%s/link", f->dir);
	assert_true(probe_is_same_path(f->probe, f->path, link));
	assert_true(probe_is_same_path(f->probe, "/dev/null", "/dev/null"));
	assert_false(probe_is_same_path(f->probe, f->path, "/dev/null"));
	assert_false(probe_is_same_path(f->probe, f->path, "/nonexistent"));
	assert_false(probe_is_same_path(f->probe, "/nonexistent", "/nonexistent/too"));
	assert_false(probe_is_same_path(f->probe, "", ""));
}

static void test_missing_and_odd_paths(void **state)
{
	struct file *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(probe_path(f->probe, "/nonexistent/x", f->dev, &err), -ENOENT);
	assert_int_equal(probe_path(f->probe, f->dir, f->dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "neither"));
	assert_int_equal(probe_path(f->probe, "/dev/null", f->dev, &err), -EINVAL);
}

int main(void)
{
	/* As the program of another test, which waits until it is killed. */
	if (getenv("TEST_FILES_WAIT"))
		raise(SIGSTOP);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_empty_file_is_free),
		T(test_security_bytes_of_no_format_are_data),
		T(test_security_bytes_in_the_middle_are_data),
		T(test_security_one_byte_of_a_large_file_is_data),
		T(test_security_blobstore_is_data),
		T(test_security_swap_signature_is_data),
		T(test_security_open_file_is_refused),
		T(test_security_file_open_in_another_thread_is_refused),
		T(test_security_locked_file_is_refused),
		T(test_security_mapped_file_is_refused),
		T(test_security_file_of_an_io_uring_is_refused),
		T(test_security_program_that_runs_is_refused),
		T(test_group_of_a_physical_volume),
		T(test_security_physical_volume_of_noise),
		T(test_security_holder_is_told_by_content),
		T(test_small_file_is_unfit),
		T(test_file_on_a_dead_file_system_is_named),
		T(test_same_paths),
		T(test_missing_and_odd_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

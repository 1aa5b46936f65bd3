/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as backing, on the running system.
 *
 * Threading: one thread; children hold files open and locked.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* The kernel gives it to nobody and says not who has it: its content tells. */
static void held(struct file *f, enum probe_reason reason, const char *word)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	const struct probe_finding *found;

	snprintf(f->dev->path, sizeof(f->dev->path), "%s", f->path);
	assert_int_equal(probe_find_holder_by_content(f->dev, fd), 0);
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
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_empty_file_is_free),
		T(test_security_bytes_of_no_format_are_data),
		T(test_security_bytes_in_the_middle_are_data),
		T(test_security_blobstore_is_data),
		T(test_security_swap_signature_is_data),
		T(test_security_open_file_is_refused),
		T(test_security_file_open_in_another_thread_is_refused),
		T(test_security_locked_file_is_refused),
		T(test_security_holder_is_told_by_content),
		T(test_small_file_is_unfit),
		T(test_missing_and_odd_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds a device or file in one of the ways that leave no descriptor in /proc/PID/fd, or a special
 * one. Comes back when it is held; a process in the background goes on holding it.
 *
 *   hold WAY PATH
 *
 *   exclusive  open with O_EXCL
 *   mapped     mapped shared, the descriptor closed
 *   ring       registered with an io_uring, the descriptor closed
 *   thread     open in a process whose first thread has ended
 *
 * Threading: one thread; "thread" has a second one that only waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ready;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_it(const char *path, int flags)
{
	int fd = open(path, O_RDWR | flags);

	if (fd < 0)
		fail(path);
	return fd;
}

static void hold_exclusive(const char *path)
{
	open_it(path, O_EXCL);
}

static void hold_mapped(const char *path)
{
	int fd = open_it(path, 0);

	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void hold_ring(const char *path)
{
	struct io_uring_params params = { 0 };
	int fd = open_it(path, 0);
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0)
		fail("io_uring");
	close(fd);
}

static void *wait_on(void *arg)
{
	(void)arg;
	/* The first thread's end is what is waited for. */
	usleep(10000);
	if (write(ready, "", 1) != 1)
		exit(1);
	for (;;)
		pause();
	return NULL;
}

static void hold_thread(const char *path)
{
	pthread_t thread;

	open_it(path, 0);
	if (pthread_create(&thread, NULL, wait_on, NULL) != 0)
		fail("thread");
	/* pthread_exit() would look for a library that unwinds. */
	syscall(SYS_exit, 0);
}

static const struct {
	const char *name;
	void (*hold)(const char *path);
} ways[] = {
	{ "exclusive", hold_exclusive },
	{ "mapped", hold_mapped },
	{ "ring", hold_ring },
	{ "thread", hold_thread },
};

static void hold(const char *name, const char *path)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, name) == 0) {
			ways[i].hold(path);
			return;
		}
	}
	fprintf(stderr, "hold: no way %s\n", name);
	exit(1);
}

int main(int argc, char **argv)
{
	int ends[2];
	char byte;

	if (argc != 3 || pipe(ends) < 0)
		return 1;
	if (fork() != 0) {
		close(ends[1]);
		return read(ends[0], &byte, 1) == 1 ? 0 : 1;
	}
	ready = ends[1];
	setsid();
	hold(argv[1], argv[2]);
	if (write(ready, "", 1) != 1)
		return 1;
	/* Whoever waits for the end of the output waits for us otherwise. */
	close(ready);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	for (;;)
		pause();
}

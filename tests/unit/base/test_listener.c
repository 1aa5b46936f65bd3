/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens on a UNIX socket, and whether that process still lives.
 *
 * Threading: one thread; children make sockets listen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/listener.h"

/**
 * struct node - a socket, and a connection to it
 * @listener: made to listen by @pid, and held by this process as a ring would
 */
struct node {
	char dir[32], path[64];
	int listener, fd;
	pid_t pid;
};

static struct sockaddr_un address_of(const struct node *n)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", n->path);
	return addr;
}

static int setup(void **state)
{
	static struct node n;
	struct sockaddr_un addr;
	int said[2];
	char byte;

	snprintf(n.dir, sizeof(n.dir), "/tmp/cs-listener-XXXXXX");
	assert_non_null(mkdtemp(n.dir));
	snprintf(n.path, sizeof(n.path), "%s/s", n.dir);
	addr = address_of(&n);
	n.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(n.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(pipe(said), 0);
	n.pid = fork();
	if (n.pid == 0) {
		if (listen(n.listener, 4) == 0 && write(said[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(said[0], &byte, 1), 1);
	close(said[0]);
	close(said[1]);
	n.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(n.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	*state = &n;
	return 0;
}

static int teardown(void **state)
{
	struct node *n = *state;

	close(n->fd);
	close(n->listener);
	if (n->pid) {
		kill(n->pid, SIGKILL);
		waitpid(n->pid, NULL, 0);
	}
	unlink(n->path);
	rmdir(n->dir);
	return 0;
}

static void test_of_a_process_that_lives(void **state)
{
	struct node *n = *state;

	assert_false(listener_is_stale(n->fd, 0));
	assert_false(listener_is_stale(n->fd, getpid()));
}

static void test_of_a_process_that_has_ended(void **state)
{
	struct node *n = *state;
	siginfo_t info;

	kill(n->pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)n->pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(listener_is_stale(n->fd, 0));
	waitpid(n->pid, NULL, 0);
	n->pid = 0;
	assert_true(listener_is_stale(n->fd, 0));
}

/* Of an earlier target that is still on its way out. */
static void test_of_a_process_that_began_before(void **state)
{
	struct node *n = *state;
	pid_t later;

	/* More than the tick in which the kernel counts starts. */
	nanosleep(&(struct timespec){ .tv_nsec = 30 * 1000 * 1000 }, NULL);
	later = fork();
	if (later == 0) {
		pause();
		_exit(0);
	}
	assert_true(listener_is_stale(n->fd, later));
	kill(later, SIGKILL);
	waitpid(later, NULL, 0);
}

static void test_what_is_no_connection(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_false(listener_is_stale(fd, 0));
	assert_false(listener_is_stale(-1, 0));
	close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_of_a_process_that_lives),
		T(test_of_a_process_that_has_ended),
		T(test_of_a_process_that_began_before),
		T(test_what_is_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

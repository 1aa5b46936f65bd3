/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are run: waited for, not waited for, and such as do not end.
 *
 * Threading: one thread.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

#define SHORT_NS (50 * NS_PER_MSEC)
#define LONG_NS	 (60 * NS_PER_SEC)

static struct loop *loop;
static unsigned int polls;

/* In place of the C library's, to see how often the loop is awake. */
int poll(struct pollfd *fds, nfds_t count, int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	polls++;
	return ppoll(fds, count, ms < 0 ? NULL : &t, NULL);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_create();
	return !loop;
}

static int teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

static struct child *begin(const char *script, uint64_t limit_ns)
{
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			 (char *)(uintptr_t)script, NULL };
	struct error err = ERROR_INIT;
	struct child *c;

	assert_int_equal(child_begin(loop, argv, limit_ns, true, &c, &err), 0);
	return c;
}

static void test_output_and_status(void **state)
{
	struct child *c = begin("echo out; echo err >&2; exit 3", LONG_NS);
	struct error err = ERROR_INIT;
	struct child_result r;

	(void)state;
	assert_int_equal(child_end(c, &r, &err), 0);
	assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 3);
	assert_string_equal(r.out, "out\n");
	assert_string_equal(r.err_out, "err\n");
	child_result_fini(&r);
}

/* Who asks for the end later than the limit gets what came before it. */
static void test_one_that_ended_is_not_late(void **state)
{
	struct child *c = begin("echo out", SHORT_NS);
	struct error err = ERROR_INIT;
	struct child_result r;

	(void)state;
	assert_int_equal(loop_sleep(loop, 4 * SHORT_NS), 0);
	assert_int_equal(child_end(c, &r, &err), 0);
	assert_string_equal(r.out, "out\n");
	child_result_fini(&r);
}

static void test_one_that_ended_lets_the_loop_sleep(void **state)
{
	struct child *c = begin("exit 0", LONG_NS);
	struct error err = ERROR_INIT;
	struct child_result r;

	(void)state;
	assert_int_equal(loop_sleep(loop, 4 * SHORT_NS), 0);
	polls = 0;
	assert_int_equal(loop_sleep(loop, SHORT_NS), 0);
	assert_in_range(polls, 1, 5);
	assert_int_equal(child_end(c, &r, &err), 0);
	child_result_fini(&r);
}

static void test_hung_one_is_killed(void **state)
{
	struct child *c = begin("sleep 1000", 4 * SHORT_NS);
	char *argv[] = { (char *)(uintptr_t) "/nonexistent/x", NULL };
	struct error err = ERROR_INIT;
	struct child_result r;

	(void)state;
	assert_int_equal(child_end(c, &r, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "did not end in time"));
	assert_null(r.out);
	assert_int_equal(child_begin(loop, argv, LONG_NS, true, &c, &err), -ENOENT);
	assert_null(c);
}

/* What a daemon keeps for months is not what its caller happened to have. */
static void test_nothing_is_inherited(void **state)
{
	struct error err = ERROR_INIT;
	struct child_result r;
	struct child *c;
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_true(fd > STDERR_FILENO);
	signal(SIGUSR1, SIG_IGN);
	c = begin("pwd; ls /proc/$$/fd | tr '\\n' ' '; kill -USR1 $$; echo lives", LONG_NS);
	signal(SIGUSR1, SIG_DFL);
	close(fd);
	assert_int_equal(child_end(c, &r, &err), 0);
	assert_string_equal(r.out, "/\n0 1 2 ");
	assert_true(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGUSR1);
	child_result_fini(&r);
}

/* Nor does what it left hold anybody up by writing for ever. */
static void test_what_it_left_ends_with_it(void **state)
{
	struct child *c = begin("yes & echo $! >&2; exit 0", LONG_NS);
	struct error err = ERROR_INIT;
	struct child_result r;
	pid_t left;

	(void)state;
	assert_int_equal(child_end(c, &r, &err), 0);
	left = atoi(r.err_out);
	child_result_fini(&r);
	assert_true(left > 1);
	for (int i = 0; i < 1000 && kill(left, 0) == 0; i++)
		loop_sleep(loop, 5 * NS_PER_MSEC);
	assert_int_equal(kill(left, 0), -1);
}

static void test_caller_that_ignores_ends_is_told(void **state)
{
	struct error err = ERROR_INIT;
	struct child_result r;
	struct child *c;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	c = begin("sleep 0.1; exit 3", LONG_NS);
	assert_int_equal(child_end(c, &r, &err), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
	assert_non_null(strstr(err.text, "ignores SIGCHLD"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_output_and_status),
		T(test_one_that_ended_is_not_late),
		T(test_one_that_ended_lets_the_loop_sleep),
		T(test_hung_one_is_killed),
		T(test_nothing_is_inherited),
		T(test_what_it_left_ends_with_it),
		T(test_caller_that_ignores_ends_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

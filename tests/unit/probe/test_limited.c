/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that block for ever are left after their time, and hold nothing of ours.
 *
 * Threading: one thread; children block.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/internal.h"

#define ITEMS 8

struct job {
	char what[ITEMS + 1]; /* of each item: 'b' blocks, 'd' dies, else it answers that */
	int lock;
	int status[ITEMS];
	char answer[ITEMS];
};

static void work(void *arg, size_t i, void *answer)
{
	const struct job *j = arg;

	if (j->what[i] == 'b')
		pause();
	if (j->what[i] == 'd')
		raise(SIGKILL);
	/* What the parent has open is not open here. */
	if (j->what[i] == 'l')
		*(char *)answer = fcntl(j->lock, F_GETFD) < 0 && errno == EBADF ? 'c' : 'o';
	else
		*(char *)answer = j->what[i];
}

static void done(void *arg, size_t i, int status, const void *answer)
{
	struct job *j = arg;

	j->status[i] = status;
	j->answer[i] = answer ? *(const char *)answer : '-';
}

static struct job run(const char *what, uint64_t limit_ns)
{
	struct job j = { .lock = fcntl(0, F_DUPFD_CLOEXEC, 50) };
	struct probe *p = probe_create(NULL);

	snprintf(j.what, sizeof(j.what), "%s", what);
	assert_int_equal(probe_limited(p, &(struct probe_limited){ .count = strlen(what),
								   .size = 1,
								   .limit_ns = limit_ns,
								   .work = work,
								   .done = done,
								   .arg = &j }),
			 0);
	assert_int_equal(p->stuck_count, 0);
	probe_destroy(p);
	close(j.lock);
	/* No child is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return j;
}

static void test_all_answer(void **state)
{
	struct job j = run("xyz", 20 * NS_PER_SEC);

	(void)state;
	assert_memory_equal(j.answer, "xyz", 3);
}

static void test_security_what_blocks_is_left(void **state)
{
	struct job j = run("xby", NS_PER_SEC);

	(void)state;
	assert_memory_equal(j.answer, "x-y", 3);
	assert_int_equal(j.status[1], -ETIMEDOUT);
}

static void test_what_dies_is_told(void **state)
{
	struct job j = run("dx", 20 * NS_PER_SEC);

	(void)state;
	assert_int_equal(j.status[0], -ECHILD);
	assert_int_equal(j.answer[1], 'x');
}

static void test_many_that_block_do_not_add_up(void **state)
{
	struct job j = run("bbbbbbxx", 20 * NS_PER_MSEC);

	(void)state;
	for (size_t i = 0; i < PROBE_LIMITED_ALL; i++)
		assert_int_equal(j.status[i], -ETIMEDOUT);
	for (size_t i = PROBE_LIMITED_ALL; i < ITEMS; i++)
		assert_int_equal(j.status[i], -ETIME);
}

/* One that cannot be killed would hold a lock or a caller's pipe for ever. */
static void test_security_child_holds_nothing_of_ours(void **state)
{
	struct job j = run("l", 20 * NS_PER_SEC);

	(void)state;
	assert_int_equal(j.answer[0], 'c');
}

static void test_without_standard_streams(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		close_range(0, 2, 0);
		_exit(run("xy", 20 * NS_PER_SEC).answer[1] == 'y' ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_answer),
		cmocka_unit_test(test_security_what_blocks_is_left),
		cmocka_unit_test(test_what_dies_is_told),
		cmocka_unit_test(test_many_that_block_do_not_add_up),
		cmocka_unit_test(test_security_child_holds_nothing_of_ours),
		cmocka_unit_test(test_without_standard_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's parts: pauses, log rotation, pid file. The whole is tested by
 * tests/functional/test_supervise.py.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervise/supervise.h"

static void test_pauses_grow_to_a_bound(void **state)
{
	const struct supervise_options o = { .backoff_min_ns = 100, .backoff_max_ns = 350 };
	uint64_t pause = 0;

	(void)state;
	pause = supervise_backoff_next(&o, pause, 0);
	assert_int_equal(pause, 100);
	pause = supervise_backoff_next(&o, pause, 0);
	assert_int_equal(pause, 200);
	pause = supervise_backoff_next(&o, pause, 0);
	assert_int_equal(pause, 350);
	pause = supervise_backoff_next(&o, pause, 0);
	assert_int_equal(pause, 350);
	assert_int_equal(supervise_backoff_next(&o, pause, 3600 * NS_PER_SEC), 100);
}

static void expect_size(const char *path, off_t size)
{
	struct stat st;

	if (size < 0) {
		assert_int_equal(stat(path, &st), -1);
		return;
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, size);
	unlink(path);
}

static void test_log_is_bounded(void **state)
{
	struct error err = ERROR_INIT;
	char dir[] = "/tmp/cs-log-XXXXXX", path[64], old[80];
	struct logfile l;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	assert_int_equal(logfile_open(&l, path, 100, 2, &err), 0);
	for (int i = 0; i < 10; i++)
		logfile_write(&l, "0123456789012345678901234567890123456789", 40);
	logfile_close(&l);
	expect_size(path, 80);
	snprintf(old, sizeof(old), "%s.1", path);
	expect_size(old, 80);
	snprintf(old, sizeof(old), "%s.2", path);
	expect_size(old, 80);
	snprintf(old, sizeof(old), "%s.3", path);
	expect_size(old, -1);
	rmdir(dir);
}

static void test_pidfile_names_its_holder(void **state)
{
	struct error err = ERROR_INIT;
	char path[] = "/tmp/cs-pid-XXXXXX";
	int fd;

	(void)state;
	close(mkstemp(path));
	fd = pidfile_take(path, &err);
	assert_true(fd >= 0);
	pidfile_write(fd, 4711, 4712);
	assert_int_equal(pidfile_take(path, &err), -EBUSY);
	assert_non_null(strstr(err.text, "4711"));
	close(fd);
	fd = pidfile_take(path, &err);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void answer(int listener)
{
	char question[128];
	int fd = accept(listener, NULL, NULL);

	assert_true(fd >= 0);
	assert_true(recv(fd, question, sizeof(question), 0) > 0);
	assert_int_equal(send(fd, "{}", 2, MSG_NOSIGNAL), 2);
	close(fd);
}

/* Times are the caller's: nothing waits here. */
static void test_overdue_answer(void **state)
{
	char dir[] = "/tmp/cs-alive-XXXXXX", path[64];
	struct alive a = { .fd = -1 };
	struct supervise_options o = { .ready = path, .alive_ns = 1000 };
	int listener;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	listener = listen_at(path);
	alive_begin(&a, 0);
	assert_true(alive_check(&a, &o, 0));
	/* It may have much to load. */
	assert_true(alive_check(&a, &o, 50000));
	answer(listener);
	assert_true(alive_check(&a, &o, 50000));
	assert_true(alive_check(&a, &o, 50999));
	assert_false(alive_check(&a, &o, 51000));
	assert_int_equal(alive_next(&a, &o), 51000);
	/* An answer that is there when somebody looks again counts, however late that is. */
	answer(listener);
	assert_true(alive_check(&a, &o, 90000));
	answer(listener);
	/* Nobody listens any more. */
	alive_begin(&a, 90000);
	assert_true(alive_check(&a, &o, 90000));
	answer(listener);
	unlink(path);
	assert_true(alive_check(&a, &o, 90250));
	assert_true(alive_check(&a, &o, 91249));
	assert_false(alive_check(&a, &o, 91250));
	close(listener);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses_grow_to_a_bound),
		cmocka_unit_test(test_log_is_bounded),
		cmocka_unit_test(test_pidfile_names_its_holder),
		cmocka_unit_test(test_overdue_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

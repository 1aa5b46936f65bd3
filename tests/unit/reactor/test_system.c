/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and ending: cores and their locks, the choice of the backend, sleep, statistics. */
#include "reactor_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static void stop_at_once(void *arg)
{
	(void)arg;
	reactor_system_stop();
}

/* --- cores ---------------------------------------------------------------------------------- */

static void test_core_outside_the_affinity_mask_is_refused(void **state)
{
	struct reactor_options opts = unit_options(1);
	struct error err = ERROR_INIT;

	(void)state;
	opts.cores = "[1023]";
	assert_int_equal(reactor_system_start(&opts, &err), -EINVAL);
	assert_text_has(err.text, "core 1023");
	assert_text_has(err.text, "may use: 0x");
	opts.cores = "no cores";
	assert_int_equal(reactor_system_start(&opts, &err), -EINVAL);
}

/* Another program's reactors, which a child is; it holds the core when this returns. */
static pid_t child_on(const char *cores, const int from_child[2], const int to_child[2])
{
	struct reactor_options opts;
	pid_t pid = fork();
	char byte = 0;

	assert_true(pid >= 0);
	if (pid > 0) {
		close(from_child[1]);
		close(to_child[0]);
		(void)!read(from_child[0], &byte, 1);
		return pid;
	}
	close(from_child[0]);
	close(to_child[1]);
	reactor_options_init(&opts);
	opts.cores = cores;
	/* When even this one is refused, another program has the core: just as good. */
	(void)reactor_system_start(&opts, NULL);
	(void)!write(from_child[1], &byte, 1);
	(void)!read(to_child[0], &byte, 1);
	_exit(0);
}

static void test_core_of_another_program_is_refused(void **state)
{
	struct reactor_options opts = unit_options(1);
	struct error err = ERROR_INIT;
	int from_child[2], to_child[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);
	assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
	pid = child_on(opts.cores, from_child, to_child);
	opts.share_cores = false;
	assert_int_equal(reactor_system_start(&opts, &err), -EBUSY);
	assert_text_has(err.text, "held by another cyborg-spdk program");
	assert_text_has(err.text, ".lock");
	/* Without a wish another core is found, or shared when there is none. */
	opts.cores = NULL;
	unit_run_with(&opts, stop_at_once, NULL);
	opts.cores = unit_cores(1);
	opts.share_cores = true;
	unit_run_with(&opts, stop_at_once, NULL);
	close(from_child[0]);
	close(to_child[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* --- backend -------------------------------------------------------------------------------- */

static void test_backend_is_the_one_asked_for(void **state)
{
	const char *want = getenv("CYBORG_SPDK_BACKEND");

	(void)state;
	unit_run(1, stop_at_once, NULL);
	if (want && strcmp(want, "epoll") == 0)
		assert_string_equal(reactor_backend_name(), "epoll");
	else if (want)
		assert_string_equal(reactor_backend_name(), "io_uring");
}

static void test_unknown_backend_is_refused(void **state)
{
	struct reactor_options opts = unit_options(1);
	const char *before = getenv("CYBORG_SPDK_BACKEND");
	char *kept = before ? strdup(before) : NULL;
	struct error err = ERROR_INIT;

	(void)state;
	setenv("CYBORG_SPDK_BACKEND", "kqueue", 1);
	assert_int_equal(reactor_system_start(&opts, &err), -EINVAL);
	assert_text_has(err.text, "CYBORG_SPDK_BACKEND");
	assert_text_has(err.text, "kqueue");
	assert_text_has(err.text, "uring or epoll");
	if (kept)
		setenv("CYBORG_SPDK_BACKEND", kept, 1);
	else
		unsetenv("CYBORG_SPDK_BACKEND");
	free(kept);
}

/* A container's seccomp profile: @denied fails with EPERM. */
static void deny(unsigned int denied)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(77);
}

static int child_denied(unsigned int denied, void (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		deny(denied);
		body();
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("no seccomp here\n");
		skip();
	}
	return WEXITSTATUS(status);
}

static void without_uring(void)
{
	struct reactor_options opts;
	struct error err = ERROR_INIT;

	unsetenv("CYBORG_SPDK_BACKEND");
	reactor_options_init(&opts);
	opts.share_cores = true;
	if (reactor_system_start(&opts, &err) < 0 || strcmp(reactor_backend_name(), "epoll") != 0)
		_exit(1);
	reactor_system_fini();
	opts.backend = REACTOR_BACKEND_URING;
	if (reactor_system_start(&opts, &err) >= 0 || !strstr(err.text, "seccomp"))
		_exit(2);
	_exit(0);
}

static void test_epoll_takes_over_where_uring_is_forbidden(void **state)
{
	(void)state;
	assert_int_equal(child_denied(SYS_io_uring_setup, without_uring), 0);
	assert_int_equal(child_denied(SYS_io_uring_enter, without_uring), 0);
	assert_int_equal(child_denied(SYS_io_uring_register, without_uring), 0);
}

/*
 * Locked memory that is enough for the probe and not for all reactors, somewhere between none and
 * plenty (where the kernel accounts rings so, which it does for users without CAP_IPC_LOCK).
 */
static void short_of_locked_memory(const struct reactor_options *opts)
{
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		_exit(77);
	unsetenv("CYBORG_SPDK_BACKEND");
	for (rlim_t limit = 0; limit <= (rlim_t)1024 * 1024; limit += 32768) {
		const struct rlimit memlock = { limit, 8u << 20 };
		struct error err = ERROR_INIT;

		if (setrlimit(RLIMIT_MEMLOCK, &memlock) < 0)
			_exit(77);
		if (reactor_system_start(opts, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			_exit(1);
		}
		reactor_system_fini();
	}
	_exit(0);
}

static void test_epoll_takes_over_where_rings_are_too_few(void **state)
{
	struct reactor_options opts = unit_options(2);
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		short_of_locked_memory(&opts);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static struct {
	struct reactor_io io;
	struct iovec iov;
	_Alignas(4096) uint8_t bytes[4096];
} file;

static void file_read(struct reactor_io *io, int32_t result)
{
	(void)io;
	if (result != (int32_t)sizeof(file.bytes) || memcmp(file.bytes, "\177ELF", 4) != 0)
		_exit(4);
	reactor_system_stop();
}

static void file_start(void *arg)
{
	file.io.done = file_read;
	file.iov = (struct iovec){ file.bytes, sizeof(file.bytes) };
	reactor_io_readv(&file.io, *(int *)arg, &file.iov, 1, 0);
}

static void without_aio(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC | O_DIRECT);
	struct reactor_options opts;

	if (fd < 0)
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	reactor_options_init(&opts);
	opts.share_cores = true;
	opts.backend = REACTOR_BACKEND_EPOLL;
	if (reactor_system_start(&opts, NULL) < 0)
		_exit(1);
	reactor_system_run(file_start, &fd);
	reactor_system_fini();
	_exit(0);
}

static void test_helper_threads_take_over_where_aio_is_forbidden(void **state)
{
	(void)state;
	assert_int_equal(child_denied(SYS_io_setup, without_aio), 0);
}

/* --- running -------------------------------------------------------------------------------- */

static void stop_from_there(struct reactor_msg *msg)
{
	(void)msg;
	reactor_system_stop();
}

static void start_there(void *arg)
{
	struct reactor_msg *msg = arg;

	msg->fn = stop_from_there;
	reactor_send(reactor_at(1), msg);
}

static void test_any_reactor_stops_the_system(void **state)
{
	struct reactor_msg msg;

	(void)state;
	unit_run(2, start_there, &msg);
}

static void check_idle(struct reactor_timer *timer)
{
	struct reactor_stats stats;

	(void)timer;
	reactor_stats_get(&stats);
	assert_true(stats.sleeps > 0);
	assert_true(stats.turns < 100000);
	assert_true(stats.idle_ns > stats.busy_ns);
	reactor_system_stop();
}

static struct reactor_timer idle_timer = { .fn = check_idle };

/* The kernel maps the ring of each libaio queue into the process. */
static bool aio_is_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "[aio]") != NULL;
	fclose(f);
	return found;
}

static void start_without_files(void *arg)
{
	*(bool *)arg = aio_is_mapped();
	reactor_system_stop();
}

static void test_no_libaio_before_a_file_needs_it(void **state)
{
	struct reactor_options opts = unit_options(1);
	bool mapped = true;

	(void)state;
	opts.backend = REACTOR_BACKEND_EPOLL;
	unit_run_with(&opts, start_without_files, &mapped);
	assert_false(mapped);
}

static void start_idle(void *arg)
{
	(void)arg;
	assert_ptr_equal(reactor_self(), reactor_at(0));
	assert_int_equal(reactor_index(reactor_self()), 0);
	assert_int_equal(reactor_count(), 1);
	assert_true(reactor_now_ns() > 0);
	reactor_timer_start(&idle_timer, 50 * NS_PER_MSEC);
}

static void test_idle_reactor_sleeps(void **state)
{
	(void)state;
	unit_run(1, start_idle, NULL);
	assert_null(reactor_self());
}

static void test_nothing_is_left_behind(void **state)
{
	unsigned int fds;

	(void)state;
	unit_run(1, stop_at_once, NULL);
	fds = unit_fds();
	for (int i = 0; i < 20; i++)
		unit_run(1, stop_at_once, NULL);
	assert_int_equal(unit_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_core_outside_the_affinity_mask_is_refused),
		cmocka_unit_test(test_core_of_another_program_is_refused),
		cmocka_unit_test(test_backend_is_the_one_asked_for),
		cmocka_unit_test(test_unknown_backend_is_refused),
		cmocka_unit_test(test_epoll_takes_over_where_uring_is_forbidden),
		cmocka_unit_test(test_epoll_takes_over_where_rings_are_too_few),
		cmocka_unit_test(test_helper_threads_take_over_where_aio_is_forbidden),
		cmocka_unit_test(test_no_libaio_before_a_file_needs_it),
		cmocka_unit_test(test_any_reactor_stops_the_system),
		cmocka_unit_test(test_idle_reactor_sleeps),
		cmocka_unit_test(test_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

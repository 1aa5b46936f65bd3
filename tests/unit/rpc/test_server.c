/* SPDX-License-Identifier: Apache-2.0 */
/* The socket and its lock, clients that go, and the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/socket.h"
#include "server_unit.h"

static void wait_for(atomic_uint *count, unsigned int value)
{
	for (unsigned int ms = 0; *count != value; ms++) {
		assert_in_range(ms, 0, UNIT_PATIENCE_MS);
		usleep(1000);
	}
}

/* --- the socket ------------------------------------------------------------------------------- */

static void test_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(unit_path(), &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_second_is_refused(void **state)
{
	struct rpc_socket second;
	struct error err = ERROR_INIT;
	char pid[32];

	(void)state;
	assert_int_equal(rpc_socket_open(&second, unit_path(), &err), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
	assert_text_has(err.text, pid);
	assert_text_has(err.text, unit_path());
	/* The first did not lose anything by it. */
	assert_string_equal(unit_exchange(LEVEL("1")), NOTICE("1") "\n");
}

/** struct place - a folder with a path in it */
struct place {
	char dir[64];
	char path[80];
	char lock[96];
};

static void place_make(struct place *p)
{
	strcpy(p->dir, "/tmp/rpc-unit-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	snprintf(p->lock, sizeof(p->lock), "%s/s.lock", p->dir);
}

static void bind_at(const char *path, int *fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void test_stale_socket_is_replaced(void **state)
{
	struct error err = ERROR_INIT;
	struct rpc_socket s;
	struct place p;
	int fd;

	(void)state;
	place_make(&p);
	bind_at(p.path, &fd);
	close(fd);
	fd = open(p.lock, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "1\n", 2), 2);
	close(fd);
	if (rpc_socket_open(&s, p.path, &err) < 0)
		fail_msg("%s", err.text);
	rpc_socket_close(&s);
	assert_int_equal(rmdir(p.dir), 0);
}

static void test_socket_without_a_lock_is_served(void **state)
{
	struct error err = ERROR_INIT;
	struct rpc_socket s;
	struct place p;
	int fd;

	(void)state;
	place_make(&p);
	bind_at(p.path, &fd);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(rpc_socket_open(&s, p.path, &err), -EBUSY);
	assert_text_has(err.text, "some process without a lock file serves it");
	close(fd);
	assert_int_equal(unlink(p.path), 0);
	assert_int_equal(rmdir(p.dir), 0);
}

static void test_something_else_is_left_alone(void **state)
{
	struct error err = ERROR_INIT;
	struct rpc_socket s;
	struct place p;
	int fd;

	(void)state;
	place_make(&p);
	fd = open(p.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(rpc_socket_open(&s, p.path, &err), -EEXIST);
	assert_text_has(err.text, "is something that is no socket");
	assert_int_equal(unlink(p.path), 0);
	assert_int_equal(rmdir(p.dir), 0);
}

static void test_paths_that_cannot_be(void **state)
{
	struct error err = ERROR_INIT;
	struct rpc_socket s;
	char lengthy[200];

	(void)state;
	memset(lengthy, 'x', sizeof(lengthy));
	lengthy[sizeof(lengthy) - 1] = '\0';
	assert_int_equal(rpc_socket_open(&s, lengthy, &err), -EINVAL);
	assert_text_has(err.text, "the path has 199 bytes; it may have 1 to 107");
	assert_int_equal(rpc_socket_open(&s, "", &err), -EINVAL);
	assert_int_equal(rpc_socket_open(&s, "/nonexistent/s", &err), -ENOENT);
	assert_text_has(err.text, "/nonexistent/s");
}

/* --- clients that go -------------------------------------------------------------------------- */

static void test_client_goes_while_it_waits(void **state)
{
	int fd = unit_connect();

	(void)state;
	unit_send(fd, "{\"method\":\"never\",\"id\":1}[{\"method\":\"never\",\"id\":2},"
		      "{\"method\":\"never\"}]" LEVEL("3"));
	assert_string_equal(unit_lines(fd, 1), NOTICE("3") "\n");
	close(fd);
	wait_for(&unit_gone, 3);
}

static void test_half_closed_client_gets_its_answer(void **state)
{
	(void)state;
	assert_string_equal(
		unit_exchange("{\"method\":\"later\",\"params\":{\"number\":30},\"id\":1}"),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
}

static void test_many_clients(void **state)
{
	enum { CLIENTS = 100 };
	int fds[CLIENTS];

	(void)state;
	for (unsigned int i = 0; i < CLIENTS; i++)
		fds[i] = unit_connect();
	for (unsigned int i = 0; i < CLIENTS; i++)
		unit_send(fds[i], LEVEL("1"));
	for (unsigned int i = 0; i < CLIENTS; i++) {
		assert_string_equal(unit_lines(fds[i], 1), NOTICE("1") "\n");
		close(fds[i]);
	}
	for (unsigned int i = 0; i < 500; i++)
		assert_string_equal(unit_exchange(LEVEL("1")), NOTICE("1") "\n");
}

/* --- the end ---------------------------------------------------------------------------------- */

static int teardown_nothing(void **state)
{
	(void)state;
	return 0;
}

static void test_end_with_clients(void **state)
{
	int idle = unit_connect(), half = unit_connect(), waiting = unit_connect();

	(void)state;
	unit_send(half, "{\"method\":");
	unit_send(waiting,
		  "{\"method\":\"later\",\"params\":{\"number\":100},\"id\":1}" LEVEL("2"));
	unit_lines(waiting, 1);
	unit_stop();
	assert_string_equal(unit_rest(idle), "");
	assert_string_equal(unit_rest(half), "");
	assert_string_equal(unit_rest(waiting), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
	close(idle);
	close(half);
	close(waiting);
}

/* It does not wait for ever for one that neither reads nor goes. */
static void test_end_with_one_that_waits(void **state)
{
	int fd = unit_connect();

	(void)state;
	unit_send(fd, "{\"method\":\"never\",\"id\":1}" LEVEL("2"));
	unit_lines(fd, 1);
	unit_stop();
	assert_string_equal(unit_rest(fd), "");
	assert_int_equal(unit_gone, 1);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup, unit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mode),
		TEST(test_second_is_refused),
		cmocka_unit_test(test_stale_socket_is_replaced),
		cmocka_unit_test(test_socket_without_a_lock_is_served),
		cmocka_unit_test(test_something_else_is_left_alone),
		cmocka_unit_test(test_paths_that_cannot_be),
		TEST(test_client_goes_while_it_waits),
		TEST(test_half_closed_client_gets_its_answer),
		TEST(test_many_clients),
		cmocka_unit_test_setup_teardown(test_end_with_clients, unit_setup,
						teardown_nothing),
		cmocka_unit_test_setup_teardown(test_end_with_one_that_waits, unit_setup,
						teardown_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end's negotiation, against a back-end in a thread that speaks vhost-user from the
 * other side, well or badly.
 *
 * Threading: the test's thread, and one of the back-end for each test.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

#define F_PROTOCOL (UINT64_C(1) << 30)
#define F_RO	   (UINT64_C(1) << 5)
#define F_CONFIG   (UINT64_C(1) << 9)
#define REPLY	   5u /* version 1, reply */
#define PATIENCE   (20 * NS_PER_SEC)

/**
 * struct peer - a back-end
 * @config_least: shorter requests for the configuration get an answer without payload
 * @break_at: message type whose answer is spoilt by @spoil
 * @seen: bit set of the types of messages that came
 */
struct peer {
	char dir[64], path[96];
	int fd;
	pthread_t thread;
	uint64_t features, protocol, sectors;
	uint32_t config_least;
	uint32_t break_at;
	void (*spoil)(uint32_t head[3]);
	uint64_t seen;
	uint64_t features_set, protocol_set;
};

static void answer(struct peer *p, int fd, uint32_t type, const void *payload, uint32_t size)
{
	uint32_t head[3] = { type, REPLY, size };

	if (p->break_at == type && !p->spoil)
		return;
	if (p->break_at == type)
		p->spoil(head);
	for (int i = 0; i < 3; i++)
		head[i] = htole32(head[i]);
	if (send(fd, head, sizeof(head), MSG_NOSIGNAL) == sizeof(head) && size)
		send(fd, payload, size, MSG_NOSIGNAL);
}

static void answer_config(struct peer *p, int fd, const uint8_t *payload, uint32_t size)
{
	uint64_t sectors = htole64(p->sectors);
	uint8_t config[12 + 256] = { 0 };

	if (size - 12 < p->config_least) {
		answer(p, fd, 24, NULL, 0);
		return;
	}
	memcpy(config, payload, 12);
	memcpy(config + 12, &sectors, sizeof(sectors));
	answer(p, fd, 24, config, size);
}

static void serve(struct peer *p, int fd)
{
	uint8_t payload[512];
	uint32_t head[3];
	uint64_t value;

	while (recv(fd, head, sizeof(head), MSG_WAITALL) == sizeof(head)) {
		uint32_t type = le32toh(head[0]), size = le32toh(head[2]);

		if (size > sizeof(payload) ||
		    (size && recv(fd, payload, size, MSG_WAITALL) != (ssize_t)size))
			break;
		p->seen |= UINT64_C(1) << type;
		memcpy(&value, payload, sizeof(value));
		if (type == 1)
			value = htole64(p->features), answer(p, fd, type, &value, sizeof(value));
		else if (type == 15)
			value = htole64(p->protocol), answer(p, fd, type, &value, sizeof(value));
		else if (type == 2)
			p->features_set = le64toh(value);
		else if (type == 16)
			p->protocol_set = le64toh(value);
		else if (type == 24)
			answer_config(p, fd, payload, size);
		if (p->break_at == type)
			break;
	}
}

static void *run(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->fd, NULL, NULL);

	serve(p, fd);
	close(fd);
	return NULL;
}

static int setup(void **state)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(p->dir, sizeof(p->dir), "/tmp/cs-vhost-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	memcpy(addr.sun_path, p->path, strlen(p->path));
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(p->fd, 1), 0);
	p->features = F_PROTOCOL | UINT64_C(1) << 32;
	p->protocol = F_CONFIG | 1;
	p->sectors = 8192;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct peer *p = *state;

	close(p->fd);
	unlink(p->path);
	rmdir(p->dir);
	free(p);
	return 0;
}

static int ask(struct peer *p, struct vhost_seen *seen, struct error *err)
{
	int rc;

	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
	rc = vhost_user_ask(p->path, PATIENCE, seen, err);
	pthread_join(p->thread, NULL);
	return rc;
}

static void test_capacity_is_read(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;

	assert_int_equal(ask(p, &seen, &err), 0);
	assert_int_equal(seen.bytes, 8192 * 512);
	assert_false(seen.read_only);
	assert_int_equal(p->protocol_set, F_CONFIG);
	assert_int_equal(p->features_set & ~p->features, 0);
	assert_true(p->seen & UINT64_C(1) << 3);
}

static void test_read_only_is_seen(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;

	p->features |= F_RO;
	assert_int_equal(ask(p, &seen, &err), 0);
	assert_true(seen.read_only);
}

static void test_larger_configuration_is_asked_for(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;

	p->config_least = 96;
	assert_int_equal(ask(p, &seen, &err), 0);
	assert_int_equal(seen.bytes, 8192 * 512);
	p->config_least = 300;
	assert_int_equal(ask(p, &seen, &err), -EPROTO);
}

static void test_what_is_missing_is_told(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;

	p->protocol = 0;
	assert_int_equal(ask(p, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no block device"));
	p->features = 0;
	assert_int_equal(ask(p, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no protocol features"));
}

static void test_nobody_there(void **state)
{
	struct error err = ERROR_INIT;
	struct vhost_seen seen;
	char longer[200];

	(void)state;
	assert_int_equal(vhost_user_ask("/nonexistent/sock", PATIENCE, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "/nonexistent/sock"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(vhost_user_ask(longer, PATIENCE, &seen, &err), -ENAMETOOLONG);
}

static void wrong_type(uint32_t head[3])
{
	head[0]++;
}

static void wrong_version(uint32_t head[3])
{
	head[1] = 4 | 2;
}

static void no_reply(uint32_t head[3])
{
	head[1] = 1;
}

static void huge(uint32_t head[3])
{
	head[2] = UINT32_MAX;
}

static void longer(uint32_t head[3])
{
	head[2] += 4;
}

static void shorter(uint32_t head[3])
{
	head[2] = 4;
}

static void test_security_spoilt_answers(void **state)
{
	static void (*const spoils[])(uint32_t head[3]) = { NULL,     wrong_type, wrong_version,
							    no_reply, huge,	  longer,
							    shorter };
	static const uint32_t types[] = { 1, 15, 24 };
	struct peer *p = *state;
	struct vhost_seen seen;

	for (size_t t = 0; t < 3; t++) {
		for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
			struct error err = ERROR_INIT;

			p->break_at = types[t];
			p->spoil = spoils[i];
			assert_int_equal(ask(p, &seen, &err), -EPROTO);
			assert_non_null(strstr(err.text, p->path));
		}
	}
}

static void test_security_capacity_that_overflows(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;

	p->sectors = UINT64_MAX / 256;
	assert_int_equal(ask(p, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "capacity"));
}

/* --- a back-end that keeps its caller waiting ---------------------------------------------------
 */

#define IMPATIENCE (50 * NS_PER_MSEC)

static void *say_nothing(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->fd, NULL, NULL);
	uint8_t byte;

	while (recv(fd, &byte, 1, 0) > 0)
		continue;
	close(fd);
	return NULL;
}

/* A header that never ends well: a byte each time that the caller might have lost its patience. */
static void *dribble(void *arg)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	const uint8_t header[12] = { 1, 0, 0, 0, REPLY, 0, 0, 0, 8, 0, 0, 0 };
	struct peer *p = arg;
	int fd = accept(p->fd, NULL, NULL);

	for (size_t i = 0; send(fd, &header[i % 11], 1, MSG_NOSIGNAL) == 1; i++)
		nanosleep(&pause, NULL);
	close(fd);
	return NULL;
}

static void expect_impatience(struct peer *p, void *(*peer)(void *))
{
	struct error err = ERROR_INIT;
	struct vhost_seen seen;

	assert_int_equal(pthread_create(&p->thread, NULL, peer, p), 0);
	assert_int_equal(vhost_user_ask(p->path, IMPATIENCE, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, p->path));
	assert_non_null(strstr(err.text, "no whole answer"));
	pthread_join(p->thread, NULL);
}

static void test_security_silence_ends(void **state)
{
	expect_impatience(*state, say_nothing);
}

static void test_security_slow_answer_ends(void **state)
{
	expect_impatience(*state, dribble);
}

/* Its queue of connections is full, and it takes none out of it. */
static void test_security_nobody_accepts(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;
	int fds[8], n = 0;

	memcpy(addr.sun_path, p->path, strlen(p->path));
	for (; n < 8; n++) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fds[n], (struct sockaddr *)&addr, sizeof(addr)) < 0)
			break;
	}
	assert_in_range(n, 1, 7);
	assert_int_equal(vhost_user_ask(p->path, IMPATIENCE, &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no whole answer"));
	for (; n >= 0; n--)
		close(fds[n]);
}

static void *pass_descriptors(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->fd, NULL, NULL), passed[16];
	uint32_t head[3] = { htole32(1), htole32(REPLY), htole32(8) };
	uint64_t features = htole64(p->features);
	uint8_t control[CMSG_SPACE(sizeof(passed))] = { 0 };
	struct iovec iov[] = { { head, sizeof(head) }, { &features, sizeof(features) } };
	struct msghdr m = { .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	for (size_t i = 0; i < 16; i++)
		passed[i] = p->fd;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(passed));
	memcpy(CMSG_DATA(c), passed, sizeof(passed));
	recv(fd, head, sizeof(head), MSG_WAITALL);
	head[1] = htole32(REPLY);
	head[2] = htole32(8);
	sendmsg(fd, &m, MSG_NOSIGNAL);
	serve(p, fd);
	close(fd);
	return NULL;
}

static void test_security_descriptors_are_closed(void **state)
{
	struct error err = ERROR_INIT;
	struct peer *p = *state;
	struct vhost_seen seen;
	int before = dup(p->fd), after;

	close(before);
	assert_int_equal(pthread_create(&p->thread, NULL, pass_descriptors, p), 0);
	assert_int_equal(vhost_user_ask(p->path, PATIENCE, &seen, &err), 0);
	pthread_join(p->thread, NULL);
	after = dup(p->fd);
	close(after);
	assert_int_equal(after, before);
	assert_int_equal(seen.bytes, 8192 * 512);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_capacity_is_read),
		T(test_read_only_is_seen),
		T(test_larger_configuration_is_asked_for),
		T(test_what_is_missing_is_told),
		T(test_nobody_there),
		T(test_security_spoilt_answers),
		T(test_security_capacity_that_overflows),
		T(test_security_silence_ends),
		T(test_security_slow_answer_ends),
		T(test_security_nobody_accepts),
		T(test_security_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

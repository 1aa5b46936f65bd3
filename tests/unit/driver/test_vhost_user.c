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
#include <unistd.h>

#include "driver/driver.h"

#define F_PROTOCOL (UINT64_C(1) << 30)
#define F_RO	   (UINT64_C(1) << 5)
#define F_CONFIG   (UINT64_C(1) << 9)
#define REPLY	   5u /* version 1, reply */

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
	rc = vhost_user_ask(p->path, seen, err);
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
	assert_int_equal(vhost_user_ask("/nonexistent/sock", &seen, &err), -EPROTO);
	assert_non_null(strstr(err.text, "/nonexistent/sock"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(vhost_user_ask(longer, &seen, &err), -ENAMETOOLONG);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

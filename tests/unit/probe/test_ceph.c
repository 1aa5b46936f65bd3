/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ceph's configuration, and monitors that greet, lie, close and are silent.
 *
 * Threading: one thread; a child plays each monitor.
 */
#include "tree.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/ceph.h"

static void expect(const struct probe_ceph *c, size_t i, const char *host, unsigned int port)
{
	assert_true(i < c->monitor_count);
	assert_string_equal(c->monitors[i].host, host);
	assert_int_equal(c->monitors[i].port, port);
}

static void test_addresses_of_monitors(void **state)
{
	struct probe_ceph *c = calloc(1, sizeof(*c));

	(void)state;
	ceph_parse_monitors(c, "[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0],[v2:[fe80::1]:3301/7]");
	assert_int_equal(c->monitor_count, 3);
	expect(c, 0, "10.0.0.1", 3300);
	expect(c, 1, "10.0.0.1", 6789);
	expect(c, 2, "fe80::1", 3301);
	c->monitor_count = 0;
	ceph_parse_monitors(c, "mon-a, [::1]:6790 v1:b;c:1");
	assert_int_equal(c->monitor_count, 5);
	expect(c, 0, "mon-a", 3300);
	expect(c, 1, "mon-a", 6789);
	expect(c, 2, "::1", 6790);
	expect(c, 3, "b", 6789);
	expect(c, 4, "c", 1);
	free(c);
}

static void test_security_damaged_addresses_do_no_harm(void **state)
{
	static const char *const texts[] = { "[",      "]",    "[v",	  "[v2:", "v2:", ":",
					     "[[",     "a:b",  "a:99999", "[::1", "/",	 "a/",
					     ",,,;; ", "v2:[", "a:-1",	  "[]:1" };
	struct probe_ceph *c = calloc(1, sizeof(*c));
	char many[4096] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		c->monitor_count = 0;
		ceph_parse_monitors(c, texts[i]);
		for (size_t k = 0; k < c->monitor_count; k++)
			assert_in_range(c->monitors[k].port, 1, 65535);
	}
	for (size_t i = 0; i < sizeof(many) - 3; i += 2)
		memcpy(many + i, "h,", 3);
	c->monitor_count = 0;
	ceph_parse_monitors(c, many);
	assert_int_equal(c->monitor_count, PROBE_CEPH_MONITORS);
	memset(many, 'h', sizeof(many) - 1);
	c->monitor_count = 0;
	ceph_parse_monitors(c, many);
	assert_int_equal(c->monitor_count, 0);
	free(c);
}

/* A child that takes one connection, says @words, and stays when it shall be silent. */
static pid_t monitor(const char *words, bool stay, unsigned int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	pid = fork();
	if (pid == 0) {
		int peer = accept(fd, NULL, NULL);

		if (write(peer, words, strlen(words)) < 0)
			_exit(1);
		if (stay)
			pause();
		_exit(0);
	}
	close(fd);
	return pid;
}

static void test_monitors_greet(void **state)
{
	static const struct {
		const char *words;
		bool stay;
		const char *protocol, *error;
	} kinds[] = {
		{ "ceph v2\n\x10", true, "v2", "" },
		{ "ceph v027", true, "v1", "" },
		{ "HTTP/1.1 400 Bad Request\r\n", true, "", "no Ceph monitor" },
		{ "", false, "", "without a greeting" },
		{ "ceph", true, "", "silent" },
	};
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
	char *root = tree_make(), text[400] = "[global]\n fsid = aa-bb # comment\nmon host = ";
	struct probe *p = probe_create(root);
	struct probe_ceph *c;
	pid_t pids[KINDS];

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		unsigned int port;

		pids[i] = monitor(kinds[i].words, kinds[i].stay, &port);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "v2:127.0.0.1:%u,",
			 port);
	}
	tree_file(root, "etc/ceph/prod.conf", text);
	tree_file(root, "etc/ceph/prod.client.cinder.keyring", "[client.cinder]\n\tkey = A==\n");
	tree_file(root, "etc/ceph/other.client.admin.keyring", "[client.admin]\n");
	tree_file(root, "etc/ceph/rbdmap", "");
	assert_int_equal(probe_ceph(p, &c), 1);
	assert_string_equal(c->name, "prod");
	assert_string_equal(c->fsid, "aa-bb");
	assert_int_equal(c->keyring_count, 1);
	assert_string_equal(c->keyrings[0].user, "client.cinder");
	assert_true(c->keyrings[0].readable);
	assert_true(c->reachable);
	for (size_t i = 0; i < KINDS; i++) {
		assert_string_equal(c->monitors[i].protocol, kinds[i].protocol);
		assert_non_null(strstr(c->monitors[i].error, kinds[i].error));
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	probe_ceph_free(c, 1);
	probe_destroy(p);
	tree_remove(root);
}

static void test_nobody_there_is_told(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_ceph *c;

	(void)state;
	assert_int_equal(probe_ceph(p, &c), 0);
	tree_file(root, "etc/ceph/a.conf", "[global]\nmon_host = 127.0.0.1:1\n");
	tree_file(root, "etc/ceph/b.conf", "[global]\n; mon_host = 127.0.0.1:1\n");
	assert_int_equal(probe_ceph(p, &c), 2);
	for (size_t i = 0; i < 2; i++) {
		json_t *o = probe_ceph_json(&c[i]);

		assert_false(c[i].reachable);
		assert_non_null(strstr(c[i].error, c[i].monitor_count ? "no monitor answers"
								      : "names no monitor"));
		assert_true(json_is_false(json_object_get(o, "reachable")));
		json_decref(o);
	}
	probe_ceph_free(c, 2);
	probe_destroy(p);
	tree_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_of_monitors),
		cmocka_unit_test(test_security_damaged_addresses_do_no_harm),
		cmocka_unit_test(test_monitors_greet),
		cmocka_unit_test(test_nobody_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

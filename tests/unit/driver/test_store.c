/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and volumes that a target finds only some time after their bdev: releases before 21.01
 * cannot be asked to wait for that.
 *
 * Threading: as peer.h.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "driver/driver.h"
#include "peer.h"

#define STORE "11111111-2222-3333-4444-555555555555"
#define OLD                                                                                        \
	"\"rpc_get_methods\",\"spdk_get_version\",\"bdev_get_bdevs\","                             \
	"\"bdev_lvol_get_lvstores\",\"nvmf_get_subsystems\",\"nvmf_create_subsystem\","            \
	"\"nvmf_subsystem_add_ns\",\"nvmf_subsystem_add_host\","                                   \
	"\"nvmf_subsystem_add_listener\""
#define LATE 3 /* questions until the store, or the volume, is there */

static const char *methods;
static _Atomic int waits, stores_asked, bdevs_asked, exported;

static const char *result_for(const char *method)
{
	if (!strcmp(method, "rpc_get_methods"))
		return methods;
	if (!strcmp(method, "spdk_get_version"))
		return strstr(methods, "wait_for_examine") ? "{\"version\":\"SPDK v21.01\"}"
							   : "{\"version\":\"SPDK v20.10\"}";
	if (!strcmp(method, "bdev_lvol_get_lvstores"))
		return ++stores_asked < LATE && !waits ? "[]"
						       : "[{\"uuid\":\"" STORE
							 "\",\"name\":\"pool\"}]";
	if (!strcmp(method, "bdev_get_bdevs"))
		return ++bdevs_asked < LATE && !waits
			       ? "[]"
			       : "[{\"name\":\"volume\",\"block_size\":512,\"num_blocks\":8}]";
	if (!strcmp(method, "nvmf_get_subsystems"))
		return "[]";
	waits += !strcmp(method, "bdev_wait_for_examine");
	exported += !strcmp(method, "nvmf_subsystem_add_ns");
	return "true";
}

static void answer(int fd, const json_t *request)
{
	json_t *result =
		json_loads(result_for(view_text(request, "method")), JSON_DECODE_ANY, NULL);
	json_t *o = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id",
			      json_object_get(request, "id"), "result", result);
	char *text = json_dumps(o, JSON_COMPACT);

	peer_say(fd, text);
	free(text);
	json_decref(o);
}

static void target(int fd)
{
	char text[8192];
	size_t have = 0;
	ssize_t n;

	while ((n = recv(fd, text + have, sizeof(text) - have, 0)) > 0) {
		json_error_t at;
		json_t *request;

		have += (size_t)n;
		while ((request = json_loadb(text, have, JSON_DISABLE_EOF_CHECK, &at))) {
			answer(fd, request);
			json_decref(request);
			have -= (size_t)at.position;
			memmove(text, text + at.position, have);
		}
	}
}

static void start(const char *list)
{
	methods = list;
	waits = stores_asked = bdevs_asked = exported = 0;
	peer_start(target, NULL);
	assert_int_equal(client_learn(peer.client, NULL), 0);
}

static int stop(void **state)
{
	(void)state;
	peer_stop();
	return 0;
}

static void test_an_old_target_is_asked_until_the_store_is_there(void **state)
{
	struct error err = ERROR_INIT;
	json_t *store;

	(void)state;
	start("[" OLD "]");
	assert_int_equal(store_look(peer.client, "uuid", STORE, true, &store, &err), 0);
	assert_string_equal(view_text(store, "name"), "pool");
	assert_int_equal(stores_asked, LATE);
	json_decref(store);
}

static void test_a_store_that_nobody_expects_is_not_waited_for(void **state)
{
	struct error err = ERROR_INIT;
	json_t *store;

	(void)state;
	start("[" OLD "]");
	assert_int_equal(store_look(peer.client, "uuid", STORE, false, &store, &err), 0);
	assert_null(store);
	assert_int_equal(stores_asked, 1);
}

static void test_a_target_that_can_wait_is_asked_to_first(void **state)
{
	struct error err = ERROR_INIT;
	json_t *store;

	(void)state;
	start("[" OLD ",\"bdev_wait_for_examine\"]");
	assert_int_equal(store_look(peer.client, "uuid", STORE, false, &store, &err), 0);
	assert_non_null(store);
	assert_int_equal(waits, 1);
	assert_int_equal(stores_asked, 1);
	json_decref(store);
}

static void test_a_volume_that_comes_late_is_exported(void **state)
{
	struct accelerator acc = { .id = "a", .store_uuid = STORE };
	struct attachment a = { .instance = "vm",
				.nqn = "nqn.2016-06.io.spdk:a",
				.host = "nqn.2016-06.io.spdk:h",
				.volume = "volume",
				.bdev = "volume",
				.family = "IPv4",
				.address = "127.0.0.1",
				.port = 4420,
				.nsid = 1 };
	struct error err = ERROR_INIT;

	(void)state;
	start("[" OLD "]");
	assert_int_equal(export_ensure(peer.client, &acc, &a, &err), 0);
	assert_int_equal(exported, 1);
	assert_int_equal(bdevs_asked, LATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_an_old_target_is_asked_until_the_store_is_there,
					  stop),
		cmocka_unit_test_teardown(test_a_store_that_nobody_expects_is_not_waited_for, stop),
		cmocka_unit_test_teardown(test_a_target_that_can_wait_is_asked_to_first, stop),
		cmocka_unit_test_teardown(test_a_volume_that_comes_late_is_exported, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

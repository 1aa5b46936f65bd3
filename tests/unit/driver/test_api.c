/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions of the shared library, without a target.
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

#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "cyborg-spdk/cyborg-spdk.h"

#define NOWHERE "/tmp/cs-api-no-such-dir"

static void test_look_changes_nothing(void **state)
{
	struct cyborg_spdk *h;
	char *answer;
	json_t *o;

	(void)state;
	assert_int_equal(cyborg_spdk_open(NOWHERE, &h), 0);
	assert_int_equal(cyborg_spdk_status(h, NULL, &answer), 0);
	o = json_loads(answer, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "health")), "ok");
	json_decref(o);
	cyborg_spdk_free(answer);
	assert_int_equal(cyborg_spdk_list(h, "{}", &answer), 0);
	cyborg_spdk_free(answer);
	assert_int_equal(access(NOWHERE, F_OK), -1);
	cyborg_spdk_close(h);
}

static void test_bad_requests(void **state)
{
	static const char *const requests[] = {
		"", "[]", "{", "5", "{\"a\":1}", "{\"id\":1}", "{\"id\":\"a\",\"id\":\"a\"}"
	};
	struct cyborg_spdk *h;
	char *answer;

	(void)state;
	assert_int_equal(cyborg_spdk_open(NOWHERE, &h), 0);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_int_equal(cyborg_spdk_status(h, requests[i], &answer), -EINVAL);
		assert_null(answer);
		assert_true(strlen(cyborg_spdk_error(h)) > 0);
	}
	cyborg_spdk_close(h);
	cyborg_spdk_close(NULL);
	cyborg_spdk_free(NULL);
}

static void test_unknown_things(void **state)
{
	struct cyborg_spdk *h;
	char *answer;

	(void)state;
	assert_int_equal(cyborg_spdk_open(NOWHERE, &h), 0);
	assert_int_equal(cyborg_spdk_status(h, "{\"id\":\"x\"}", &answer), -ENOENT);
	assert_int_equal(cyborg_spdk_detach(h, "{\"instance\":\"x\",\"dry_run\":true}", &answer),
			 -ENOENT);
	assert_non_null(strstr(cyborg_spdk_error(h), "instance x is not attached"));
	assert_int_equal(cyborg_spdk_attach(h, "{\"instance\":\"x\",\"dry_run\":true}", &answer),
			 -EINVAL);
	assert_int_equal(access(NOWHERE, F_OK), -1);
	cyborg_spdk_close(h);
}

static void test_only_public_symbols_are_there(void **state)
{
	Dl_info info;
	void *lib;

	(void)state;
	assert_true(dladdr((void *)(uintptr_t)cyborg_spdk_version, &info));
	lib = dlopen(info.dli_fname, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(lib);
	assert_non_null(dlsym(lib, "cyborg_spdk_open"));
	assert_null(dlsym(lib, "client_connect"));
	assert_null(dlsym(lib, "state_open"));
	dlclose(lib);
	assert_true(strlen(cyborg_spdk_version()) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look_changes_nothing),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_unknown_things),
		cmocka_unit_test(test_only_public_symbols_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and requests from outside.
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
#include <string.h>

#include "driver/driver.h"

static void test_ids(void **state)
{
	static const char *const good[] = { "a", "disk-0", "A.b_c-9" };
	static const char *const bad[] = { "",
					   "-a",
					   "../x",
					   "a/b",
					   "a b",
					   "\xc3\xa9",
					   "1234567890123456789012345678901234567890123456789" };
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(check_id(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check_id(bad[i], &err), -EINVAL);
}

static void test_nqns(void **state)
{
	static const char *const good[] = {
		"nqn.2014-08.org.nvmexpress:uuid:2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60b",
		"nqn.2016-06.io.spdk:host1",
		"nqn.2016-06.io",
	};
	static const char *const bad[] = {
		"",
		"host1",
		"iqn.2016-06.io.spdk:x",
		"nqn.2016-13.io.spdk:x",
		"nqn.2016-06.",
		"nqn.16-06.io.spdk:x",
		"nqn.2016-06.io spdk",
		"nqn.2014-08.org.nvmexpress:uuid:zz",
	};
	struct error err = ERROR_INIT;
	char longer[300] = "nqn.2016-06.io.spdk:";

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(check_nqn("host", good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check_nqn("host", bad[i], &err), -EINVAL);
	memset(longer + 20, 'x', 203);
	assert_int_equal(check_nqn("host", longer, &err), 0);
	longer[223] = 'x';
	assert_int_equal(check_nqn("host", longer, &err), -EINVAL);
}

static void expect_listen(const char *text, const char *address, const char *family, unsigned port)
{
	struct error err = ERROR_INIT;
	struct attachment a;

	memset(&a, 0, sizeof(a));
	assert_int_equal(parse_listen(text, &a, &err), 0);
	assert_string_equal(a.address, address);
	assert_string_equal(a.family, family);
	assert_int_equal(a.port, port);
}

static void test_listen(void **state)
{
	static const char *const bad[] = { "",		"host",	    "0.0.0.0",	 "::",
					   "[::]:4420", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536",
					   "[::1",	"[::1]x",   "1.2.3",	 "1.2.3.4:x" };
	struct error err = ERROR_INIT;
	struct attachment a;

	(void)state;
	expect_listen("127.0.0.1", "127.0.0.1", "IPv4", 0);
	expect_listen("10.1.2.3:4421", "10.1.2.3", "IPv4", 4421);
	expect_listen("::1", "::1", "IPv6", 0);
	expect_listen("[fd00::5]:4420", "fd00::5", "IPv6", 4420);
	expect_listen("[::1]", "::1", "IPv6", 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_listen(bad[i], &a, &err), -EINVAL);
}

static void test_members_are_checked(void **state)
{
	static const char *const names[] = { "a", "b", NULL };
	json_t *o = json_loads("{\"a\": 5, \"b\": -1}", 0, NULL);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(request_check(o, names, &err), 0);
	assert_int_equal(request_u64(o, "a", 0, &err), 5);
	assert_int_equal(err.code, 0);
	request_u64(o, "b", 0, &err);
	assert_int_equal(err.code, -EINVAL);
	err.code = 0;
	assert_null(request_text(o, "a", &err));
	assert_int_equal(err.code, -EINVAL);
	json_object_set_new(o, "c", json_true());
	assert_int_equal(request_check(o, names, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"c\""));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_nqns),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_members_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

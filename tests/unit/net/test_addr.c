/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: what is taken, what is refused and why, and how they are written. */
#include "net_unit.h"

#include <errno.h>

static void assert_round(const char *host, const char *port, const char *text)
{
	struct net_addr addr;
	char buf[NET_ADDR_TEXT];

	assert_int_equal(net_addr_parse(&addr, host, port, NULL), 0);
	net_addr_text(&addr, buf, sizeof(buf));
	assert_string_equal(buf, text);
	net_addr_host(&addr, buf, sizeof(buf));
	assert_string_equal(buf, host);
	assert_int_equal(net_addr_port(&addr), atoi(port));
}

static void test_addresses_are_taken(void **state)
{
	(void)state;
	assert_round("127.0.0.1", "4420", "127.0.0.1:4420");
	assert_round("0.0.0.0", "0", "0.0.0.0:0");
	assert_round("::1", "65535", "[::1]:65535");
	assert_round("fe80::1:2", "8009", "[fe80::1:2]:8009");
}

static void assert_refused(const char *host, const char *port, const char *part)
{
	struct error err = ERROR_INIT;
	struct net_addr addr;

	assert_int_equal(net_addr_parse(&addr, host, port, &err), -EINVAL);
	assert_text_has(err.text, part);
}

static void test_others_are_refused(void **state)
{
	(void)state;
	assert_refused("localhost", "4420", "\"localhost\" is no numeric");
	assert_refused("", "4420", "no numeric");
	assert_refused("[::1]", "4420", "[::1]");
	assert_refused("127.0.0.1.5", "4420", "127.0.0.1.5");
	assert_refused("127.0.0.1", "", "port \"\"");
	assert_refused("127.0.0.1", "65536", "between 0 and 65535");
	assert_refused("127.0.0.1", "-1", "port \"-1\"");
	assert_refused("127.0.0.1", "0x10", "port \"0x10\"");
	assert_refused("127.0.0.1", " 1", "port \" 1\"");
	assert_refused("127.0.0.1", "99999999999999999999", "between 0 and 65535");
}

static void test_equality(void **state)
{
	struct net_addr a, b;

	(void)state;
	net_addr_parse(&a, "127.0.0.1", "1", NULL);
	net_addr_parse(&b, "127.0.0.1", "1", NULL);
	assert_true(net_addr_equal(&a, &b));
	net_addr_parse(&b, "127.0.0.1", "2", NULL);
	assert_false(net_addr_equal(&a, &b));
	net_addr_parse(&b, "127.0.0.2", "1", NULL);
	assert_false(net_addr_equal(&a, &b));
	net_addr_parse(&b, "::1", "1", NULL);
	assert_false(net_addr_equal(&a, &b));
	net_addr_parse(&a, "0:0::1", "1", NULL);
	assert_true(net_addr_equal(&a, &b));
}

static void test_unknown_family(void **state)
{
	struct net_addr addr = { .len = 0 };
	char buf[NET_ADDR_TEXT];

	(void)state;
	net_addr_text(&addr, buf, sizeof(buf));
	assert_string_equal(buf, "unknown:0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_taken),
		cmocka_unit_test(test_others_are_refused),
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_unknown_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target tells of vhost controllers, as releases tell it, and the words for QEMU.
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

#include "driver/driver.h"

#define NAME "cs-11111111-2222-3333-4444-555555555555"

static struct attachment disk(void)
{
	struct attachment a = { .read_only = false };

	snprintf(a.instance, sizeof(a.instance), "2b:vm");
	snprintf(a.nqn, sizeof(a.nqn),
		 "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555");
	snprintf(a.bdev, sizeof(a.bdev), "disk");
	snprintf(a.transport, sizeof(a.transport), TRANSPORT_VHOST);
	snprintf(a.socket, sizeof(a.socket), "/dev/null/a,b");
	return a;
}

static struct view view_of(const char *controllers)
{
	struct view v = { .controllers = json_loads(controllers, 0, NULL) };

	assert_non_null(v.controllers);
	return v;
}

#define CONTROLLER(more, bdev, readonly)                                                           \
	"[{\"ctrlr\":\"" NAME "\"," more "\"backend_specific\":{\"block\":{\"readonly\":" readonly \
	",\"bdev\":" bdev "}}}]"

static int sessions_of(const char *controllers, struct error *err)
{
	struct attachment a = disk();
	struct view v = view_of(controllers);
	int rc = vhost_sessions(&v, &a, err);

	view_fini(&v);
	return rc;
}

static void test_machines_are_counted(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(sessions_of("[]", &err), 0);
	assert_int_equal(sessions_of(CONTROLLER("\"sessions\":[],", "\"disk\"", "false"), &err), 0);
	assert_int_equal(
		sessions_of(CONTROLLER("\"sessions\":[{},{}],", "\"disk\"", "false"), &err), 2);
}

static void test_releases_that_tell_of_none_are_refused(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(sessions_of(CONTROLLER("", "\"disk\"", "false"), &err), -ENOSYS);
	assert_non_null(strstr(err.text, "--force"));
}

static void expect_drift(const char *controllers, const char *words)
{
	struct attachment a = disk();
	struct view v = view_of(controllers);
	json_t *list = json_array();
	char *text;

	vhost_drift(&v, &a, list);
	text = json_dumps(list, JSON_COMPACT);
	if (!strstr(text, words))
		print_error("\"%s\" in %s\n", words, text);
	assert_non_null(strstr(text, words));
	free(text);
	json_decref(list);
	view_fini(&v);
}

static void test_drift(void **state)
{
	(void)state;
	expect_drift("[]", "is not exported");
	expect_drift(CONTROLLER("", "null", "false"), "shows bdev");
	expect_drift(CONTROLLER("", "\"disk\"", "true"), "may only read and should write");
	expect_drift(CONTROLLER("\"socket\":\"/nowhere/x\",", "\"disk\"", "false"),
		     "socket /nowhere/x is gone");
	expect_drift(CONTROLLER("\"socket\":7,", "[]", "{}"), "shows bdev");
}

static void expect_command(const struct attachment *a, const char *text)
{
	json_t *command = attachment_command(a);

	assert_string_equal(json_string_value(command), text);
	json_decref(command);
}

/* An id begins with a letter there, and a comma ends a value unless it is doubled. */
static void test_words_for_qemu(void **state)
{
	struct attachment a = disk();

	(void)state;
	expect_command(&a, "-chardev socket,id=" NAME ",path=/dev/null/a,,b,reconnect=1 "
			   "-device vhost-user-blk-pci,chardev=" NAME);
	snprintf(a.socket, sizeof(a.socket), "/a b/c");
	expect_command(&a, "-chardev 'socket,id=" NAME ",path=/a b/c,reconnect=1' "
			   "-device vhost-user-blk-pci,chardev=" NAME);
}

/* It is put into a shell as it is. */
static void test_security_words_for_a_shell(void **state)
{
	struct attachment a = { .transport = TRANSPORT_TCP, .port = 4420 };

	(void)state;
	snprintf(a.address, sizeof(a.address), "::1");
	snprintf(a.nqn, sizeof(a.nqn), "nqn.2014-08.org:s");
	snprintf(a.host, sizeof(a.host), "nqn.2014-08.org:$(reboot)'");
	snprintf(a.dhchap_key, sizeof(a.dhchap_key), "/my keys/k");
	expect_command(&a, "nvme connect -t tcp -a ::1 -s 4420 -n nqn.2014-08.org:s "
			   "-q 'nqn.2014-08.org:$(reboot)'\\''' -S \"$(cat '/my keys/k')\"");
	snprintf(a.psk, sizeof(a.psk), "/k");
	a.dhchap_key[0] = '\0';
	snprintf(a.host, sizeof(a.host), "nqn.2014-08.org:h");
	expect_command(&a, "nvme check-tls-key --insert --hostnqn=nqn.2014-08.org:h "
			   "--subsysnqn=nqn.2014-08.org:s --keydata=\"$(cat /k)\" && "
			   "nvme connect -t tcp -a ::1 -s 4420 -n nqn.2014-08.org:s "
			   "-q nqn.2014-08.org:h --tls");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines_are_counted),
		cmocka_unit_test(test_releases_that_tell_of_none_are_refused),
		cmocka_unit_test(test_drift),
		cmocka_unit_test(test_words_for_qemu),
		cmocka_unit_test(test_security_words_for_a_shell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

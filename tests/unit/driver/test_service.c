/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The systemd unit of a target, as systemd itself reads it.
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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/env.h"

struct box {
	struct driver d;
	struct accelerator a;
	struct environment e;
	char dir[32];
	char unit[64];
};

static int setup(void **state)
{
	static struct box b;

	memset(&b, 0, sizeof(b));
	snprintf(b.dir, sizeof(b.dir), "/tmp/cs-unit-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	snprintf(b.unit, sizeof(b.unit), "%s/cyborg-spdk-a.service", b.dir);
	snprintf(b.d.dir, sizeof(b.d.dir), "/var/lib/cyborg-spdk");
	snprintf(b.a.id, sizeof(b.a.id), "a");
	snprintf(b.a.kind, sizeof(b.a.kind), "file");
	snprintf(b.a.path, sizeof(b.a.path), "/srv/my file 100%%.img");
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	unlink(b->unit);
	rmdir(b->dir);
	return 0;
}

/* The unit's text, to be freed. */
static char *write_unit(struct box *b)
{
	char *argv[] = { (char *)"/bin/true", (char *)"--pidfile", (char *)"/a \"b\" 5% $HOME",
			 NULL };
	FILE *f = fopen(b->unit, "w+");
	char *text = calloc(1, 8192);

	assert_non_null(f);
	assert_non_null(text);
	service_unit(f, &b->d, &b->a, &b->e, argv);
	rewind(f);
	assert_true(fread(text, 1, 8191, f) > 0);
	fclose(f);
	return text;
}

static char *write_boot_unit(struct box *b)
{
	FILE *f = fopen(b->unit, "w+");
	char *text = calloc(1, 8192);

	assert_non_null(f);
	assert_non_null(text);
	service_boot_unit(f, &b->d, &b->a, "/bin/true");
	rewind(f);
	assert_true(fread(text, 1, 8191, f) > 0);
	fclose(f);
	return text;
}

static void expect(struct box *b, const char *line, bool there)
{
	char *text = write_unit(b);

	if (there != (strstr(text, line) != NULL))
		print_error("\"%s\" in\n%s\n", line, text);
	assert_int_equal(there, strstr(text, line) != NULL);
	free(text);
}

/* It says nothing of a unit that is right. */
static void verify(struct box *b, char *(*write)(struct box *))
{
	char command[160], said[1024] = "";
	FILE *p;

	free(write(b));
	snprintf(command, sizeof(command), "systemd-analyze verify --man=no %s 2>&1", b->unit);
	p = popen(command, "r");
	assert_non_null(p);
	if (fread(said, 1, sizeof(said) - 1, p) == 0)
		said[0] = '\0';
	if (pclose(p) != 0 || said[0])
		print_error("%s\n", said);
	assert_string_equal(said, "");
}

static void test_systemd_reads_it(void **state)
{
	struct box *b = *state;

	if (system("command -v systemd-analyze >/dev/null") != 0) {
		print_message("systemd-analyze is not installed: tools/install-deps.sh check\n");
		skip();
	}
	verify(b, write_unit);
	verify(b, write_boot_unit);
	snprintf(b->a.kind, sizeof(b->a.kind), "device");
	snprintf(b->a.path, sizeof(b->a.path), "/dev/null");
	b->e.memory = ENV_MEMORY_HUGE;
	b->e.device_count = 1;
	verify(b, write_unit);
}

static void test_command_is_quoted(void **state)
{
	expect(*state, "ExecStart=\"/bin/true\" \"--pidfile\" \"/a \\\"b\\\" 5%% $$HOME\"", true);
}

static void test_what_may_be_written(void **state)
{
	struct box *b = *state;

	expect(b, "\"/var/lib/cyborg-spdk/targets/a\" \"-/srv/my file 100%%.img\"", true);
	expect(b, "DeviceAllow", false);
	snprintf(b->a.kind, sizeof(b->a.kind), "device");
	snprintf(b->a.path, sizeof(b->a.path), "/dev/sdz");
	expect(b, "DeviceAllow=/dev/sdz rw\n", true);
	expect(b, "-/dev/sdz", false);
	expect(b, "char-vfio", false);
	b->e.device_count = 1;
	expect(b, "DeviceAllow=char-vfio rw\n", true);
	snprintf(b->e.sockets.dir, sizeof(b->e.sockets.dir), "/run/cyborg-spdk");
	expect(b, "\"/run/cyborg-spdk/a\"", true);
}

static void test_only_an_spdk_gets_more_capabilities(void **state)
{
	struct box *b = *state;

	snprintf(b->a.kind, sizeof(b->a.kind), "memory");
	expect(b, "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE\n", true);
	expect(b, "SystemCallFilter=@system-service io_uring_setup", true);
	b->e.memory = ENV_MEMORY_PLAIN;
	expect(b, "CAP_DAC_OVERRIDE CAP_IPC_LOCK", true);
	expect(b, "SystemCallFilter", false);
}

/* The folder is whoever runs the test's own; where that is not root its rights are the others'. */
static void test_only_a_backing_that_root_may_not_use_overrides_rights(void **state)
{
	struct box *b = *state;
	FILE *f;

	expect(b, "CAP_DAC_OVERRIDE", true);
	snprintf(b->a.path, sizeof(b->a.path), "%s/a.img", b->dir);
	f = fopen(b->a.path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(b->dir, 0711), 0);
	assert_int_equal(chmod(b->a.path, 0666), 0);
	expect(b, "CAP_DAC_OVERRIDE", false);
	assert_int_equal(chmod(b->a.path, 0440), 0);
	expect(b, "CAP_DAC_OVERRIDE", true);
	assert_int_equal(chmod(b->a.path, 0666), 0);
	assert_int_equal(chmod(b->dir, 0600), 0);
	expect(b, "CAP_DAC_OVERRIDE", true);
	assert_int_equal(chmod(b->dir, 0700), 0);
	assert_int_equal(unlink(b->a.path), 0);
}

static void test_boot_unit_recovers_that_accelerator(void **state)
{
	char *text = write_boot_unit(*state);

	assert_non_null(strstr(text, "ExecStart=\"/bin/true\" recover a --state-dir "
				     "\"/var/lib/cyborg-spdk\""));
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_systemd_reads_it),
		TEST(test_command_is_quoted),
		TEST(test_what_may_be_written),
		TEST(test_only_an_spdk_gets_more_capabilities),
		TEST(test_only_a_backing_that_root_may_not_use_overrides_rights),
		TEST(test_boot_unit_recovers_that_accelerator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

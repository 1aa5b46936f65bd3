/* SPDX-License-Identifier: Apache-2.0 */
/* What limits of control groups leave, on trees of files like the kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bdev_modules/memory.h"

#define MIB (UINT64_C(1) << 20)

static char root[64];

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void put_group(const char *group)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, group);
	assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/cyborg-spdk-cgroup-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void test_nothing_told_is_no_limit(void **state)
{
	(void)state;
	assert_true(memory_cgroup_available(root, "/", true) == UINT64_MAX);
	assert_true(memory_cgroup_available(root, "/not/here", true) == UINT64_MAX);
	assert_true(memory_cgroup_available("/not/here", "/", false) == UINT64_MAX);
	assert_true(memory_available() > 0);
}

static void test_tightest_group_counts(void **state)
{
	(void)state;
	put_group("a");
	put_group("a/b");
	put("a/memory.max", "104857600\n");
	put("a/memory.current", "41943040\n");
	put("a/memory.stat", "anon 31457280\nfile 10485760\ninactive_file 8388608\n");
	put("a/b/memory.max", "max\n");
	put("a/b/memory.current", "1048576\n");
	assert_true(memory_cgroup_available(root, "/a/b", true) == 68 * MIB);
	assert_true(memory_cgroup_available(root, "/a", true) == 68 * MIB);
	assert_true(memory_cgroup_available(root, "/", true) == UINT64_MAX);
	put("a/b/memory.max", "3145728\n");
	assert_true(memory_cgroup_available(root, "/a/b", true) == 2 * MIB);
	put("a/b/memory.current", "4194304\n");
	assert_true(memory_cgroup_available(root, "/a/b", true) == 0);
}

/* In a container the group is the mount itself, whatever its path is outside. */
static void test_container_without_its_path(void **state)
{
	(void)state;
	put("memory.limit_in_bytes", "67108864\n");
	put("memory.usage_in_bytes", "16777216\n");
	put("memory.stat", "cache 0\ninactive_file 1\ntotal_inactive_file 1048576\n");
	assert_true(memory_cgroup_available(root, "/docker/0123", false) == 49 * MIB);
	put("memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(memory_cgroup_available(root, "/", false) > (UINT64_C(1) << 60));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_told_is_no_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tightest_group_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_container_without_its_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

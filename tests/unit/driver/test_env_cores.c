/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which core an SPDK is given, where others have locked theirs: on a made-up tree.
 *
 * Threading: none.
 */
#include "../probe/tree.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "driver/env.h"

#define SPDK_LOCK "var/tmp/spdk_cpu_lock_%03u"
#define OUR_LOCK  "run/lock/cyborg-spdk-core-%u.lock"

struct box {
	char *root;
	struct probe *probe;
	unsigned int cores[CPU_SETSIZE], count;
	unsigned int taken[CPU_SETSIZE];
	char locks[64 * CPU_SETSIZE], out[ENV_CORE_SIZE];
};

static void lock(struct box *b, const char *format, unsigned int core)
{
	char file[64], path[PATH_MAX];
	size_t at = strlen(b->locks);
	struct stat st;

	snprintf(file, sizeof(file), format, core);
	tree_file(b->root, file, "");
	snprintf(path, sizeof(path), "%s/%s", b->root, file);
	assert_int_equal(stat(path, &st), 0);
	snprintf(b->locks + at, sizeof(b->locks) - at,
		 "1: POSIX  ADVISORY  WRITE 77 %02x:%02x:%llu 0 EOF\n", major(st.st_dev),
		 minor(st.st_dev), (unsigned long long)st.st_ino);
	tree_file(b->root, "proc/locks", b->locks);
}

/* The first @count cores, by turns by SPDKs and by our own programs. */
static void hold(struct box *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		lock(b, i % 2 ? OUR_LOCK : SPDK_LOCK, b->cores[i]);
}

static const char *plan(struct box *b, const char *arguments, const char *old,
			bool can_do_without_lock)
{
	struct environment e = { .memory = ENV_MEMORY_PLAIN };

	snprintf(e.arguments, sizeof(e.arguments), "%s", old ? old : "");
	env_core_plan(b->probe, arguments, old ? &e : NULL, b->taken, can_do_without_lock, b->out);
	return b->out;
}

static const char *option(unsigned int core, const char *more)
{
	static char text[64];

	snprintf(text, sizeof(text), "-m\n[%u]\n%s", core, more);
	return text;
}

static int setup(void **state)
{
	static struct box b;
	cpu_set_t allowed;

	b = (struct box){ .root = tree_make() };
	b.probe = probe_create(b.root);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (unsigned int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &allowed))
			b.cores[b.count++] = i;
	}
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	probe_destroy(b->probe);
	tree_remove(b->root);
	return 0;
}

static void test_first_free_core(void **state)
{
	struct box *b = *state;

	assert_string_equal(plan(b, "", NULL, true),
			    option(b->cores[0], "--disable-cpumask-locks\n"));
	assert_string_equal(plan(b, "", NULL, false), option(b->cores[0], ""));
	hold(b, b->count - 1);
	assert_string_equal(plan(b, "", NULL, false), option(b->cores[b->count - 1], ""));
}

/* Our own SPDKs lock none. */
static void test_fewest_on_a_core(void **state)
{
	struct environment e = { .size = 0 };
	struct box *b = *state;
	unsigned int last = b->cores[b->count - 1];

	for (unsigned int i = 0; i < b->count; i++) {
		snprintf(e.arguments, sizeof(e.arguments), "-s\n512\n%s", option(b->cores[i], ""));
		env_core_note(&e, b->taken);
	}
	assert_int_equal(b->taken[last], 1);
	hold(b, b->count - 1);
	assert_string_equal(plan(b, "", NULL, false), option(last, ""));
	b->taken[last] = 3;
	assert_string_equal(plan(b, "", NULL, false), option(b->cores[0], ""));
}

static void test_files_of_dead_programs_say_nothing(void **state)
{
	struct box *b = *state;
	char file[64];

	snprintf(file, sizeof(file), SPDK_LOCK, b->cores[0]);
	tree_file(b->root, file, "4711");
	tree_file(b->root, "proc/locks", "1: POSIX  ADVISORY  WRITE 77 00:01:1 0 EOF\n");
	assert_string_equal(plan(b, "", NULL, false), option(b->cores[0], ""));
}

static void test_the_operator_s_word_holds(void **state)
{
	struct box *b = *state;

	assert_string_equal(plan(b, "-m\n0x2\n", NULL, true), "");
	assert_string_equal(plan(b, "--iova-mode\npa\n--cpumask=0x2\n", NULL, true), "");
	assert_string_equal(plan(b, "--lcores\n(0-1)@1\n", NULL, true), "");
	assert_string_equal(plan(b, "--mem-channels\n4\n", NULL, false), option(b->cores[0], ""));
	/* Those that the old target has, and the new one keeps. */
	assert_string_equal(plan(b, NULL, "-s\n512\n", true), "");
}

static void test_update_keeps_the_core(void **state)
{
	struct box *b = *state;
	char old[96];

	hold(b, b->count);
	snprintf(old, sizeof(old), "-s\n512\n%s--no-pci\n", option(b->cores[b->count - 1], ""));
	assert_string_equal(plan(b, NULL, old, false), option(b->cores[b->count - 1], ""));
	/* A core that is not this process's any more. */
	assert_string_equal(plan(b, NULL, "-m\n[1023]\n", false), option(b->cores[0], ""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_free_core),	  TEST(test_files_of_dead_programs_say_nothing),
		TEST(test_fewest_on_a_core),	  TEST(test_the_operator_s_word_holds),
		TEST(test_update_keeps_the_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

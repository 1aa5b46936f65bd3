/* SPDX-License-Identifier: Apache-2.0 */
/* What `--version` says. */
#include "unit.h"

#include <stdio.h>

#include "base/version.h"

static void test_version_is_three_numbers(void **state)
{
	unsigned int major, minor, patch;
	int end = 0;

	(void)state;
	assert_int_equal(sscanf(version_release(), "%u.%u.%u%n", &major, &minor, &patch, &end), 3);
	assert_int_equal(version_release()[end], '\0');
}

static void test_version_commit_is_filled_in(void **state)
{
	const char *commit = version_commit();

	(void)state;
	assert_null(strchr(commit, '@'));
	if (strcmp(commit, "unknown") != 0)
		assert_true(strspn(commit, "0123456789abcdef") >= 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_three_numbers),
		cmocka_unit_test(test_version_commit_is_filled_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

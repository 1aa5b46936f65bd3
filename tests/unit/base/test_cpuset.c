/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of cores, as masks and as lists. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/cpuset.h"

static void check(const char *text, const char *mask)
{
	struct error err = ERROR_INIT;
	cpu_set_t set;
	char printed[300];

	if (cpuset_parse(text, &set, &err))
		fail_msg("'%s': %s", text, err.text);
	cpuset_print(&set, printed, sizeof(printed));
	assert_string_equal(printed, mask);
}

static void refuse(const char *text, const char *words)
{
	struct error err = ERROR_INIT;
	cpu_set_t set;

	assert_int_equal(cpuset_parse(text, &set, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_text_has(err.text, words);
	assert_int_equal(cpuset_parse(text, &set, NULL), -EINVAL);
}

static void test_cpuset_masks(void **state)
{
	(void)state;
	check("0x3", "0x3");
	check("3", "0x3");
	check("0XfF", "0xff");
	check("10", "0x10");
	check("0x100000000000000000000", "0x100000000000000000000");
	check("00000000000000000000000000000000000000000000000000000001", "0x1");
}

static void test_cpuset_lists(void **state)
{
	(void)state;
	check("[0]", "0x1");
	check("[0,2-4]", "0x1d");
	check("0,2-4", "0x1d");
	check("2-4", "0x1c");
	check("[ 1 , 3 - 5 ]", "0x3a");
	check("[1,1,0-1]", "0x3");
}

static void test_cpuset_highest_core(void **state)
{
	char text[CPU_SETSIZE / 4 + 8] = "0x8";

	(void)state;
	memset(text + 3, '0', CPU_SETSIZE / 4 - 1);
	check(text, text);
	check("[1023]", text);
	refuse("[1024]", "core 1024 is over the highest possible, 1023");
	text[2] = '1';
	strcat(text, "0");
	refuse(text, "core 1024 is over");
}

static void test_cpuset_refusals(void **state)
{
	(void)state;
	refuse("", "is empty");
	refuse("0x", "is empty");
	refuse("0x0", "is empty");
	refuse("0xg", "'g' is no hexadecimal digit");
	refuse("3 cores", "' ' is no hexadecimal digit");
	refuse("[]", "no list of cores at character 2");
	refuse("[1", "no list of cores");
	refuse("[1,]", "no list of cores at character 4");
	refuse("1,", "no list of cores at character 3");
	refuse("1]", "no hexadecimal digit");
	refuse("[1]x", "no list of cores at character 4");
	refuse("1--3", "no list of cores at character 3");
	refuse("-1", "no list of cores at character 1");
	refuse("[4-2]", "4-2 runs backwards");
	refuse("[99999999999999999999999]", "is over the highest");
	refuse("0-99999999999999999999999", "is over the highest");
}

static void test_cpuset_print_is_cut(void **state)
{
	cpu_set_t set;
	char text[5] = "????";

	(void)state;
	assert_int_equal(cpuset_parse("0x123456", &set, NULL), 0);
	cpuset_print(&set, text, sizeof(text));
	assert_string_equal(text, "0x12");
	cpuset_print(&set, text, 2);
	assert_string_equal(text, "0");
	cpuset_print(&set, NULL, 0);
	CPU_ZERO(&set);
	cpuset_print(&set, text, sizeof(text));
	assert_string_equal(text, "0x0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpuset_masks),	    cmocka_unit_test(test_cpuset_lists),
		cmocka_unit_test(test_cpuset_highest_core), cmocka_unit_test(test_cpuset_refusals),
		cmocka_unit_test(test_cpuset_print_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

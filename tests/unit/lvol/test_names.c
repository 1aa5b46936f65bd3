/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: taken once, given back, and what may be one.
 *
 * Threading: one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lvol/internal.h"

static void test_taken_once(void **state)
{
	struct lvol_names names = { 0 };
	struct lvol_name *a, *b, *again;
	int owner_a, owner_b;

	(void)state;
	assert_null(lvol_name_owner(&names, "a"));
	assert_int_equal(lvol_name_take(&names, "a", &owner_a, &a), 0);
	assert_int_equal(lvol_name_take(&names, "b", &owner_b, &b), 0);
	assert_int_equal(lvol_name_take(&names, "a", &owner_b, &again), -EEXIST);
	assert_ptr_equal(lvol_name_owner(&names, "a"), &owner_a);
	lvol_name_give(&names, a);
	assert_null(lvol_name_owner(&names, "a"));
	assert_int_equal(lvol_name_take(&names, "a", &owner_b, &a), 0);
	assert_ptr_equal(lvol_name_owner(&names, "a"), &owner_b);
	lvol_name_give(&names, NULL);
	lvol_name_give(&names, a);
	lvol_name_give(&names, b);
	assert_null(names.root);
}

static void test_lengths(void **state)
{
	struct error err = ERROR_INIT;
	char name[70];

	(void)state;
	assert_int_equal(lvol_name_check_text("volume", "", &err), -EINVAL);
	assert_non_null(strstr(err.text, "must not be empty"));
	for (size_t len = 1; len < sizeof(name); len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		assert_int_equal(lvol_name_check_text("volume", name, &err),
				 len <= 63 ? 0 : -EINVAL);
	}
	assert_non_null(strstr(err.text, "63 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_once),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe Qualified Names.
 *
 * Threading: one thread.
 */
#include "check.h"

#include <errno.h>
#include <string.h>

#include "nvmf/nvmf.h"

static void test_good_names(void **state)
{
	static const char *const names[] = {
		"nqn.2014-08.org.nvmexpress.discovery",
		"nqn.2016-06.io.spdk:cnode1",
		"nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555",
		"nqn.2014-08.org.nvmexpress:UUID:x",
		"nqn.2016-06.io.sp-dk.a9:a:b c/\xc3\xa9\xf0\x9f\x90\xa7",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(nvmf_nqn_check(names[i], NULL), 0);
}

static void test_refused_names(void **state)
{
	static const char *const names[] = {
		"",
		"bad",
		"NQN.2016-06.io.spdk:x",
		"nqn.",
		"nqn.2016-06",
		"nqn.2016-06.",
		"nqn.2016-06.io.spdk",
		"nqn.2016-06.io.spdk:",
		"nqn.2016-06.:x",
		"nqn.16-06.io.spdk:x",
		"nqn.2016_06.io.spdk:x",
		"nqn.2016-06.-io.spdk:x",
		"nqn.2016-06.io-.spdk:x",
		"nqn.2016-06.io..spdk:x",
		"nqn.2016-06.io.spdk.:x",
		"nqn.2016-06.io.sp_dk:x",
		"nqn.2014-08.org.nvmexpress:uuid:zzzz",
		"nqn.2014-08.org.nvmexpress:uuid:",
		"nqn.2016-06.io.spdk:\xff",
		"nqn.2016-06.io.spdk:\xc0\x80",
		"nqn.2016-06.io.spdk:\xed\xa0\x80",
		"nqn.2016-06.io.spdk:\xf4\x90\x80\x80",
		"nqn.2016-06.io.spdk:a\nb",
		"nqn.2016-06.io.spdk:\xc3",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(nvmf_nqn_check(names[i], &err), -EINVAL);
		assert_non_null(strstr(err.text, "NQN '"));
	}
}

static void test_length(void **state)
{
	char name[NVME_NQN_MAX + 2] = "nqn.2016-06.io.spdk:";
	size_t start = strlen(name);

	(void)state;
	memset(name + start, 'a', NVME_NQN_MAX - start);
	name[NVME_NQN_MAX] = 0;
	assert_int_equal(nvmf_nqn_check(name, NULL), 0);
	name[NVME_NQN_MAX] = 'a';
	name[NVME_NQN_MAX + 1] = 0;
	assert_int_equal(nvmf_nqn_check(name, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_names),
		cmocka_unit_test(test_refused_names),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

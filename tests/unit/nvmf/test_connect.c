/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a Connect can be checked by itself.
 *
 * Threading: one thread.
 */
#include "check.h"

#include <string.h>

#include "base/le.h"
#include "nvmf/ctrlr.h"

#define INVALID                                                                                    \
	(NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_CONNECT_INVALID_PARAMETERS) | NVME_STATUS_DNR)
#define FORMAT (NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_CONNECT_FORMAT) | NVME_STATUS_DNR)

static uint16_t check_cmd(uint16_t recfmt, uint16_t qid, uint16_t sqsize, uint8_t cattr,
			  uint32_t *where)
{
	struct nvmf_transport_options tcp;
	struct nvme_connect_cmd cmd;

	nvmf_transport_options_init(&tcp);
	memset(&cmd, 0, sizeof(cmd));
	le16_put(&cmd.recfmt, recfmt);
	le16_put(&cmd.qid, qid);
	le16_put(&cmd.sqsize, sqsize);
	cmd.cattr = cattr;
	*where = 0;
	return nvmf_connect_check_cmd(&cmd, &tcp, where);
}

static void test_fields_of_the_command(void **state)
{
	uint32_t where;

	(void)state;
	assert_int_equal(check_cmd(0, 0, 31, 0, &where), 0);
	assert_int_equal(check_cmd(0, 127, 127, 0x0f, &where), 0);
	assert_int_equal(check_cmd(1, 0, 31, 0, &where), FORMAT);
	assert_int_equal(check_cmd(0, 128, 31, 0, &where), INVALID);
	assert_int_equal(where, 42);
	assert_int_equal(check_cmd(0, 0, 0, 0, &where), INVALID);
	assert_int_equal(where, 44);
	assert_int_equal(check_cmd(0, 1, 128, 0, &where), INVALID);
	assert_int_equal(where, 44);
	assert_int_equal(check_cmd(0, 1, 127, 0x10, &where), INVALID);
	assert_int_equal(where, 46);
}

static uint16_t check_data(const char *subnqn, const char *hostnqn, uint32_t *where)
{
	struct nvme_connect_data data;

	memset(&data, 0, sizeof(data));
	strcpy(data.subnqn, subnqn);
	strcpy(data.hostnqn, hostnqn);
	*where = 0;
	return nvmf_connect_check_data(&data, where);
}

static void test_names(void **state)
{
	static const char host[] = "nqn.2016-06.io.spdk:host";
	uint32_t where;

	(void)state;
	assert_int_equal(check_data("nqn.2016-06.io.spdk:a", host, &where), 0);
	assert_int_equal(check_data(NVME_DISCOVERY_NQN, host, &where), 0);
	assert_int_equal(check_data("a", host, &where), INVALID);
	assert_int_equal(where, NVME_CONNECT_INVALID_IN_DATA | 256);
}

static void test_security_fields_without_an_end(void **state)
{
	struct nvme_connect_data data;
	uint32_t where = 0;

	(void)state;
	memset(&data, 'n', sizeof(data));
	assert_int_equal(nvmf_connect_check_data(&data, &where), INVALID);
	assert_int_equal(where, NVME_CONNECT_INVALID_IN_DATA | 256);
	strcpy(data.subnqn, "nqn.2016-06.io.spdk:a");
	assert_int_equal(nvmf_connect_check_data(&data, &where), INVALID);
	assert_int_equal(where, NVME_CONNECT_INVALID_IN_DATA | 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_of_the_command),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_security_fields_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

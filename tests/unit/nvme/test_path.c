/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, NQNs and transport IDs from text; status words; commands.
 *
 * Threading: a single-threaded test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "nvme/host.h"

static struct nvme_path path;
static struct error err;

static const char *where(void)
{
	static char text[NET_ADDR_TEXT];

	net_addr_text(&path.addr, text, sizeof(text));
	return text;
}

static void test_init_is_stable(void **state)
{
	struct nvme_path again;

	(void)state;
	nvme_path_init(&path);
	nvme_path_init(&again);
	assert_string_equal(path.hostnqn, again.hostnqn);
	assert_true(uuid_equal(&path.hostid, &again.hostid));
	assert_false(uuid_is_nil(&path.hostid));
	assert_string_equal(path.subnqn, NVME_DISCOVERY_NQN);
}

static void test_addr(void **state)
{
	static const char *const good[][2] = {
		{ "127.0.0.1:4421", "127.0.0.1:4421" },
		{ "127.0.0.1", "127.0.0.1:4420" },
		{ "[::1]:4422", "[::1]:4422" },
		{ "[::1]", "[::1]:4420" },
		{ "::1", "[::1]:4420" },
	};
	static const char *const bad[] = { "",	     ":1",	 "[::1",	  "[::1]x",
					   "host",   "1.2.3.4:", "1.2.3.4:99999", "1.2.3.4:x",
					   "[]:4420" };

	(void)state;
	nvme_path_init(&path);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(nvme_path_set_addr(&path, good[i][0], &err), 0);
		assert_string_equal(where(), good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct error){ 0 };
		if (nvme_path_set_addr(&path, bad[i], &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_true(err.text[0] != '\0');
	}
}

static void test_transport_id(void **state)
{
	(void)state;
	nvme_path_init(&path);
	assert_int_equal(nvme_path_parse(&path,
					 "trtype:TCP adrfam:IPv4  traddr:10.0.0.1 trsvcid:4421 "
					 "subnqn:nqn.2024-01.org.example:a "
					 "hostnqn:nqn.2024-01.org.example:h "
					 "hostid:6ba7b810-9dad-41d1-80b4-00c04fd430c8",
					 &err),
			 0);
	assert_string_equal(where(), "10.0.0.1:4421");
	assert_string_equal(path.subnqn, "nqn.2024-01.org.example:a");
	assert_string_equal(path.hostnqn, "nqn.2024-01.org.example:h");
	assert_int_equal(nvme_path_parse(&path, "adrfam:ipv6 traddr:::1", &err), 0);
	assert_string_equal(where(), "[::1]:4420");
	/* What is not named stays. */
	assert_string_equal(path.subnqn, "nqn.2024-01.org.example:a");
	assert_int_equal(nvme_path_parse(&path, "  ", &err), 0);
}

static void test_transport_id_refused(void **state)
{
	static const struct {
		const char *text, *why;
		int code;
	} bad[] = {
		{ "trtype:RDMA", "RDMA", -EPROTONOSUPPORT },
		{ "traddr", "name:value", -EINVAL },
		{ "colour:red", "colour", -EINVAL },
		{ "trsvcid:4420", "need a traddr", -EINVAL },
		{ "adrfam:IPv6 traddr:10.0.0.1", "not of adrfam", -EINVAL },
		{ "adrfam:IB traddr:10.0.0.1", "'IB'", -EINVAL },
		{ "subnqn:iqn.x", "no NQN", -EINVAL },
		{ "hostid:zzz", "no UUID", -EINVAL },
		{ "hostid:00000000-0000-0000-0000-000000000000", "no UUID", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nvme_path_init(&path);
		assert_int_equal(nvme_path_parse(&path, bad[i].text, &err), bad[i].code);
		if (!strstr(err.text, bad[i].why))
			fail_msg("'%s' lacks '%s'", err.text, bad[i].why);
	}
}

static void test_long_texts(void **state)
{
	char nqn[NVME_NQN_MAX + 2] = "nqn.", text[1000];

	(void)state;
	nvme_path_init(&path);
	memset(nqn + 4, 'a', sizeof(nqn) - 5);
	assert_int_equal(strlen(nqn), NVME_NQN_MAX + 1);
	assert_int_equal(nvme_path_set_nqn(path.subnqn, "NQN", nqn, &err), -EINVAL);
	nqn[NVME_NQN_MAX] = '\0';
	assert_int_equal(nvme_path_set_nqn(path.subnqn, "NQN", nqn, &err), 0);
	assert_int_equal(nvme_path_set_nqn(path.subnqn, "NQN", "nqn.a b", &err), -EINVAL);
	assert_int_equal(nvme_path_set_nqn(path.subnqn, "NQN", "nqn.a\n", &err), -EINVAL);
	assert_string_equal(path.subnqn, nqn);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(nvme_path_parse(&path, text, &err), -EINVAL);
	memcpy(text, "traddr:", 7);
	assert_int_equal(nvme_path_parse(&path, text, &err), -EINVAL);
	assert_int_equal(nvme_path_set_addr(&path, text + 10, &err), -EINVAL);
}

static void test_status(void **state)
{
	char text[NVME_STATUS_TEXT];

	(void)state;
	assert_int_equal(nvme_status_errno(0), 0);
	assert_int_equal(nvme_status_errno(NVME_STATUS(NVME_SCT_MEDIA, NVME_SC_COMPARE_FAILURE)),
			 -EILSEQ);
	assert_int_equal(nvme_status_errno(NVME_STATUS(7, 0x42)), -EIO);
	nvme_status_text(NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_LBA_OUT_OF_RANGE) | NVME_STATUS_DNR,
			 text, sizeof(text));
	assert_string_equal(text, "LBA Out of Range (0x0/0x80), do not retry");
	nvme_status_text(NVME_STATUS(7, 0x42), text, sizeof(text));
	assert_string_equal(text, "status (0x7/0x42)");
}

static void test_commands(void **state)
{
	struct nvme_request req = { 0 };

	(void)state;
	nvme_cmd_rw(&req, NVME_IO_WRITE, 3, UINT64_C(0x123456789a), 65536);
	assert_int_equal(req.cmd.opc, NVME_IO_WRITE);
	assert_int_equal(le32_get(&req.cmd.nsid), 3);
	assert_int_equal(le32_get(&req.cmd.cdw10), 0x3456789a);
	assert_int_equal(le32_get(&req.cmd.cdw11), 0x12);
	assert_int_equal(le32_get(&req.cmd.cdw12), 0xffff);
	assert_int_equal(req.direction, NVME_TO_CTRLR);
	nvme_cmd_write_zeroes(&req, 1, 8, 8, true);
	assert_int_equal(le32_get(&req.cmd.cdw12), 7 | NVME_IO_DEAC_BIT);
	assert_int_equal(req.direction, NVME_NO_DATA);
	nvme_cmd_deallocate(&req, 1, 256);
	assert_int_equal(le32_get(&req.cmd.cdw10), 255);
	assert_int_equal(le32_get(&req.cmd.cdw11), NVME_DSM_DEALLOCATE);
	nvme_cmd_get_log_page(&req, NVME_LOG_DISCOVERY, UINT64_C(0x500000004), 4 * 0x12345);
	assert_int_equal(le32_get(&req.cmd.cdw10), 0x70 | 0x2344u << 16);
	assert_int_equal(le32_get(&req.cmd.cdw11), 1);
	assert_int_equal(le32_get(&req.cmd.cdw12), 4);
	assert_int_equal(le32_get(&req.cmd.cdw13), 5);
}

static void test_field_text(void **state)
{
	char text[9];

	(void)state;
	nvme_field_text("ab  ", 4, text, sizeof(text));
	assert_string_equal(text, "ab");
	nvme_field_text("a\x01\xff"
			"b",
			4, text, sizeof(text));
	assert_string_equal(text, "a??b");
	nvme_field_text("0123456789", 10, text, sizeof(text));
	assert_string_equal(text, "01234567");
	nvme_field_text("    ", 4, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_is_stable), cmocka_unit_test(test_addr),
		cmocka_unit_test(test_transport_id),   cmocka_unit_test(test_transport_id_refused),
		cmocka_unit_test(test_long_texts),     cmocka_unit_test(test_status),
		cmocka_unit_test(test_commands),       cmocka_unit_test(test_field_text),
	};

	return cmocka_run_group_tests_name("nvme/path", tests, NULL, NULL);
}

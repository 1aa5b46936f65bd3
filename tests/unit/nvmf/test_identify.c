/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identify data.
 *
 * Threading: one thread.
 */
#include "check.h"

#include <string.h>

#include "base/le.h"
#include "nvmf/identify.h"

struct fixture {
	struct nvmf_target tgt;
	struct nvmf_subsystem s;
	struct nvmf_ctrlr ctrlr;
	struct nvmf_ns ns;
	struct nvmf_ns_part part;
};

static struct fixture f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	nvmf_transport_options_init(&f.tgt.tcp);
	f.s.tgt = &f.tgt;
	strcpy(f.s.nqn, "nqn.2016-06.io.spdk:a");
	strcpy(f.s.serial, "12345678901234567890");
	strcpy(f.s.model, "m");
	f.s.max_namespaces = 7;
	f.ctrlr.subsystem = &f.s;
	f.ctrlr.cntlid = 0x1234;
	f.ns.subsystem = &f.s;
	f.ns.nsid = 3;
	f.ns.block_size = 4096;
	f.ns.block_shift = 12;
	f.ns.unmaps = true;
	f.ns.unmap_zeroes = true;
	f.part.ns = &f.ns;
	f.part.blocks = 1000;
	return 0;
}

static void test_controller(void **state)
{
	struct nvme_id_ctrlr id;

	(void)state;
	nvmf_identify_ctrlr(&f.ctrlr, &id);
	assert_memory_equal(id.sn, "12345678901234567890", 20);
	assert_memory_equal(id.mn, "m                                       ", 40);
	assert_int_equal(id.mdts, 5);
	assert_int_equal(le16_get(&id.cntlid), 0x1234);
	assert_int_equal(le32_get(&id.nn), 7);
	assert_int_equal(id.cntrltype, NVME_CNTRLTYPE_IO);
	assert_string_equal(id.subnqn, f.s.nqn);
}

static void test_mdts_follows_the_transport(void **state)
{
	static const struct {
		uint32_t size;
		uint8_t mdts;
	} rows[] = { { 8192, 1 }, { 65536, 4 }, { 131072, 5 }, { 1048576, 8 } };

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nvme_id_ctrlr id;

		f.tgt.tcp.max_io_size = rows[i].size;
		nvmf_identify_ctrlr(&f.ctrlr, &id);
		assert_int_equal(id.mdts, rows[i].mdts);
	}
}

static void test_discovery_controller(void **state)
{
	struct nvme_id_ctrlr id;

	(void)state;
	f.s.is_discovery = true;
	nvmf_identify_ctrlr(&f.ctrlr, &id);
	assert_int_equal(id.cntrltype, NVME_CNTRLTYPE_DISCOVERY);
	assert_int_equal(le32_get(&id.nn), 0);
	assert_int_equal(le32_get(&id.oaes), NVME_OAES_DISCOVERY);
}

static void test_namespace(void **state)
{
	struct nvme_id_ns id;

	(void)state;
	nvmf_identify_ns(&f.part, &id);
	assert_int_equal(le64_get(&id.nsze), 1000);
	assert_int_equal(le64_get(id.nvmcap), 4096000);
	assert_int_equal(id.lbaf[0].lbads, 12);
	assert_int_equal(id.dlfeat, 9);
	f.ns.unmap_zeroes = false;
	nvmf_identify_ns(&f.part, &id);
	assert_int_equal(id.dlfeat, 0);
}

/* The page is whole however it is cut. */
static void test_descriptors_in_pieces(void **state)
{
	uint8_t whole[96], cut[96];
	struct iovec iov = { whole, sizeof(whole) };
	struct nvmf_window w = { .iov = &iov, .iovcnt = 1, .len = sizeof(whole) };

	(void)state;
	memset(f.ns.uuid.raw, 0xab, 16);
	memset(f.ns.nguid, 0xcd, 16);
	memset(f.ns.eui64, 0xef, 8);
	f.ns.has_eui64 = true;
	nvmf_window_clear(&w);
	nvmf_identify_ns_descriptors(&f.part, &w);
	assert_int_equal(whole[0], NVME_NIDT_EUI64);
	assert_int_equal(whole[12], NVME_NIDT_NGUID);
	assert_int_equal(whole[32], NVME_NIDT_UUID);
	assert_int_equal(whole[52], NVME_NIDT_CSI);
	assert_int_equal(whole[57], 0);
	for (uint32_t at = 0; at < sizeof(whole); at += 4) {
		struct iovec small = { cut + at, 4 };
		struct nvmf_window part = { .iov = &small, .iovcnt = 1, .offset = at, .len = 4 };

		nvmf_window_clear(&part);
		nvmf_identify_ns_descriptors(&f.part, &part);
	}
	assert_memory_equal(cut, whole, sizeof(whole));
}

static void test_visibility(void **state)
{
	struct nvmf_ns_hosts *hosts = test_calloc(1, sizeof(*hosts) + sizeof(hosts->nqn[0]));

	(void)state;
	assert_true(nvmf_ns_sees(&f.part, "nqn.2016-06.io.spdk:x"));
	f.part.visible = hosts;
	assert_false(nvmf_ns_sees(&f.part, "nqn.2016-06.io.spdk:x"));
	strcpy(hosts->nqn[0], "nqn.2016-06.io.spdk:x");
	hosts->count = 1;
	assert_true(nvmf_ns_sees(&f.part, "nqn.2016-06.io.spdk:x"));
	assert_false(nvmf_ns_sees(&f.part, "nqn.2016-06.io.spdk:xx"));
	test_free(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_controller, setup),
		cmocka_unit_test_setup(test_mdts_follows_the_transport, setup),
		cmocka_unit_test_setup(test_discovery_controller, setup),
		cmocka_unit_test_setup(test_namespace, setup),
		cmocka_unit_test_setup(test_descriptors_in_pieces, setup),
		cmocka_unit_test_setup(test_visibility, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

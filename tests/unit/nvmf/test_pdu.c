/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of PDUs against the state of their connection.
 *
 * Threading: one thread.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "nvmf/tcp.h"

static struct nvmf_conn conn;
static struct nvmf_req reqs[NVMF_REQ_CHUNK];
static struct nvmf_req *chunks[] = { reqs };

static int setup(void **state)
{
	struct nvmf_transport_options tcp;

	(void)state;
	nvmf_transport_options_init(&tcp);
	memset(&conn, 0, sizeof(conn));
	memset(reqs, 0, sizeof(reqs));
	conn.rules.from_host = true;
	conn.rules.alignment = 4;
	conn.rules.max_plen = nvmf_tcp_max_plen(&tcp);
	conn.capsule_data_max = tcp.in_capsule_data_size;
	conn.state = NVMF_CONN_LIVE;
	conn.chunks = chunks;
	conn.chunk_count = 1;
	reqs[3].state = NVMF_REQ_H2C_DATA;
	reqs[3].index = 3;
	reqs[3].cid = 77;
	reqs[3].data_len = 8192;
	return 0;
}

static void fill_common(struct nvme_tcp_common *ch, uint8_t type, uint32_t data_len)
{
	nvme_tcp_fill_common(ch, type, 0, conn.rules.hdgst, conn.rules.ddgst, 4, data_len);
}

/* Which types may come, by state: a mask of types. */
static void test_types_by_state(void **state)
{
	static const struct {
		uint8_t state;
		uint32_t types;
	} rows[] = {
		{ NVMF_CONN_ICREQ, 1u << NVME_TCP_IC_REQ | 1u << NVME_TCP_H2C_TERM },
		{ NVMF_CONN_CONNECT,
		  1u << NVME_TCP_CMD | 1u << NVME_TCP_H2C_DATA | 1u << NVME_TCP_H2C_TERM },
		{ NVMF_CONN_LIVE,
		  1u << NVME_TCP_CMD | 1u << NVME_TCP_H2C_DATA | 1u << NVME_TCP_H2C_TERM },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint8_t type = 0; type < 16; type++) {
			struct nvme_tcp_common ch = { .type = type };
			struct nvme_tcp_layout layout;
			uint32_t fei = 0;

			if (nvme_tcp_header_len(type))
				fill_common(&ch, type, type == NVME_TCP_H2C_DATA ? 4 : 0);
			conn.state = rows[i].state;
			assert_int_equal(nvmf_tcp_check_common(&conn, &ch, &layout, &fei) == 0,
					 rows[i].types >> type & 1);
		}
	}
}

struct h2c {
	uint16_t cccid, ttag;
	uint32_t datao, datal;
	uint8_t flags;
	int fes;
	uint32_t fei;
};

static void check_h2c(const struct h2c *row)
{
	struct nvme_tcp_data pdu;
	struct nvme_tcp_layout layout = { .header = 24, .data = 24, .data_len = row->datal };
	uint32_t fei = 0;

	memset(&pdu, 0, sizeof(pdu));
	fill_common(&pdu.ch, NVME_TCP_H2C_DATA, row->datal);
	pdu.ch.flags = row->flags;
	le16_put(&pdu.cccid, row->cccid);
	le16_put(&pdu.ttag, row->ttag);
	le32_put(&pdu.datao, row->datao);
	le32_put(&pdu.datal, row->datal);
	assert_int_equal(nvmf_tcp_check_pdu(&conn, (const uint8_t *)&pdu, &layout, &fei), row->fes);
	if (row->fes)
		assert_int_equal(fei, row->fei);
}

static void test_h2c_data(void **state)
{
	static const struct h2c rows[] = {
		{ 77, 3, 0, 8192, NVME_TCP_FLAG_LAST, 0, 0 },
		{ 77, 3, 0, 4096, 0, 0, 0 },
		{ 77, 2, 0, 8192, NVME_TCP_FLAG_LAST, NVME_TCP_FES_INVALID_HEADER, 10 },
		{ 77, 8, 0, 8192, NVME_TCP_FLAG_LAST, NVME_TCP_FES_INVALID_HEADER, 10 },
		{ 77, 0xffff, 0, 8192, NVME_TCP_FLAG_LAST, NVME_TCP_FES_INVALID_HEADER, 10 },
		{ 78, 3, 0, 8192, NVME_TCP_FLAG_LAST, NVME_TCP_FES_INVALID_HEADER, 8 },
		{ 77, 3, 1, 8191, NVME_TCP_FLAG_LAST, NVME_TCP_FES_DATA_OUT_OF_RANGE, 0 },
		{ 77, 3, 0xffffffff, 4, 0, NVME_TCP_FES_DATA_OUT_OF_RANGE, 0 },
		{ 77, 3, 0, 8193, NVME_TCP_FLAG_LAST, NVME_TCP_FES_DATA_OUT_OF_RANGE, 0 },
		{ 77, 3, 0, NVMF_MAX_H2C_DATA + 1, 0, NVME_TCP_FES_LIMIT_EXCEEDED, 0 },
		{ 77, 3, 0, 8192, 0, NVME_TCP_FES_INVALID_HEADER, 1 },
		{ 77, 3, 0, 4096, NVME_TCP_FLAG_LAST, NVME_TCP_FES_INVALID_HEADER, 1 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_h2c(&rows[i]);
}

static void test_header_digest(void **state)
{
	uint8_t pdu[sizeof(struct nvme_tcp_cmd) + 4] = { 0 };
	struct nvme_tcp_layout layout;
	uint32_t fei = 0;
	uint32_t crc;

	(void)state;
	conn.rules.hdgst = true;
	fill_common((void *)pdu, NVME_TCP_CMD, 0);
	assert_int_equal(nvmf_tcp_check_common(&conn, (void *)pdu, &layout, &fei), 0);
	crc = crc32c_finish(crc32c_update(CRC32C_INIT, pdu, sizeof(struct nvme_tcp_cmd)));
	le32_put(pdu + sizeof(struct nvme_tcp_cmd), crc);
	assert_int_equal(nvmf_tcp_check_pdu(&conn, pdu, &layout, &fei), 0);
	for (unsigned int bit = 8 * 8; bit < 8 * sizeof(pdu); bit++) {
		pdu[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(nvmf_tcp_check_pdu(&conn, pdu, &layout, &fei),
				 NVME_TCP_FES_HEADER_DIGEST);
		pdu[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_capsule_limit(void **state)
{
	struct nvme_tcp_cmd pdu;
	struct nvme_tcp_layout layout = { .header = 72, .data = 72, .data_len = 4096 };
	uint32_t fei = 0;

	(void)state;
	memset(&pdu, 0, sizeof(pdu));
	fill_common(&pdu.ch, NVME_TCP_CMD, 4096);
	assert_int_equal(nvmf_tcp_check_pdu(&conn, (const uint8_t *)&pdu, &layout, &fei), 0);
	layout.data_len = 4097;
	assert_int_equal(nvmf_tcp_check_pdu(&conn, (const uint8_t *)&pdu, &layout, &fei),
			 NVME_TCP_FES_LIMIT_EXCEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_types_by_state, setup),
		cmocka_unit_test_setup(test_h2c_data, setup),
		cmocka_unit_test_setup(test_header_digest, setup),
		cmocka_unit_test_setup(test_capsule_limit, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

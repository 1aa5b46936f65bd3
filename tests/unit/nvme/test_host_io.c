/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands against a controller that keeps to the rules: data in pieces and padded, R2Ts,
 * in-capsule data, digests, a full queue, fused pairs, timeouts.
 *
 * Threading: the host on the main thread, the peer on its own.
 */
#include "host_unit.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/le.h"

#define LEN	 (256u * 1024)
#define REQUESTS 64u

static struct {
	struct peer peer;
	struct host host;
	struct nvme_request req[REQUESTS];
	struct iovec iov[NVME_REQUEST_IOV_MAX];
	uint8_t data[LEN];
	uint16_t status[REQUESTS];
	unsigned int answers, wanted;
	uint32_t pieces;
	unsigned int order[REQUESTS];
	unsigned int seen;
} t;

static void answered(struct nvme_request *req)
{
	t.status[req - t.req] = nvme_request_status(req);
	t.order[t.answers] = (unsigned int)(req - t.req);
	if (++t.answers == t.wanted && !t.host.closing_qpair && t.host.qpair_lost == 0 &&
	    nvme_status_sct(nvme_request_status(req)) != NVME_SCT_PATH)
		host_close_qpair(&t.host);
}

static void setup(void (*script)(struct peer_conn *c), void (*go)(struct host *h))
{
	memset(&t, 0, sizeof(t));
	peer_init(&t.peer);
	t.peer.script = script;
	t.host.go = go;
	t.wanted = 1;
}

static void run(void)
{
	void (*go)(struct host * h) = t.host.go;

	peer_start(&t.peer);
	host_init(&t.host, &t.peer);
	t.host.go = go;
}

static void finish(void)
{
	host_run(&t.host);
	peer_stop(&t.peer);
}

/* The request over @pieces of uneven sizes. */
static void set_data(struct nvme_request *req, uint32_t len, uint32_t pieces)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < pieces; i++) {
		uint32_t n = i + 1 < pieces ? (len - at) / 2 + 1 : len - at;

		t.iov[i] = (struct iovec){ t.data + at, n };
		at += n;
	}
	*req = (struct nvme_request){
		.iov = t.iov, .iovcnt = pieces, .len = len, .done = answered
	};
}

static void check_data(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (t.data[i] != peer_byte(i))
			fail_msg("byte %u is 0x%02x, not 0x%02x", i, t.data[i], peer_byte(i));
}

/* --- reads ------------------------------------------------------------------------------------ */

static void read_in_pieces(struct peer_conn *c)
{
	static uint8_t bytes[LEN];
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint16_t cid = le16_get(&cmd->cid);
	uint32_t step = t.pieces;

	assert(cmd->opc == NVME_IO_READ && le32_get(&cmd->dptr.sgl.length) == LEN);
	assert(cmd->dptr.sgl.type == 0x5a && (cmd->flags & NVME_CMD_PSDT_MASK) == 0x40);
	for (uint32_t i = 0; i < LEN; i++)
		bytes[i] = peer_byte(i);
	for (uint32_t at = 0; at < LEN; at += step)
		peer_c2h(c, cid, at, bytes + at, step, at + step == LEN ? NVME_TCP_FLAG_LAST : 0);
	peer_reply(c, cid, 0, 0, 0);
	peer_recv_term(c);
}

static void submit_read(struct host *h)
{
	set_data(&t.req[0], LEN, 7);
	nvme_cmd_rw(&t.req[0], NVME_IO_READ, 1, 0, LEN / 512);
	nvme_submit(h->qp, &t.req[0]);
}

static void test_read_in_pieces(void **state)
{
	static const uint32_t steps[] = { 64, 4096, 32768, LEN };

	(void)state;
	for (unsigned int i = 0; i < 16; i++) {
		setup(read_in_pieces, submit_read);
		t.pieces = steps[i / 4];
		run();
		t.host.opts.hdgst = i & 1;
		t.host.opts.ddgst = i & 2;
		finish();
		assert_int_equal(t.status[0], 0);
		check_data(LEN);
		assert_int_equal(t.peer.terms, 0);
		assert_int_equal(t.peer.shutdowns, 1);
	}
}

static void read_with_success(struct peer_conn *c)
{
	uint8_t bytes[4096] = { 1 };
	const struct nvme_cmd *cmd;

	while ((cmd = peer_recv_cmd(c)) != NULL)
		peer_c2h(c, le16_get(&cmd->cid), 0, bytes, sizeof(bytes),
			 NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
}

static void submit_many(struct host *h)
{
	for (unsigned int i = 0; i < t.wanted; i++) {
		set_data(&t.req[i], 4096, 1);
		nvme_cmd_rw(&t.req[i], NVME_IO_READ, 1, i, 8);
		nvme_submit(h->qp, &t.req[i]);
	}
}

static void answer_in_short(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint8_t bytes[512] = { 1 };

	peer_c2h(c, le16_get(&cmd->cid), 0, bytes, sizeof(bytes),
		 NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
}

static void submit_what_may_be_short(struct host *h)
{
	set_data(&t.req[0], 4096, 1);
	t.req[0].may_be_short = true;
	nvme_cmd_rw(&t.req[0], NVME_IO_READ, 1, 0, 8);
	nvme_submit(h->qp, &t.req[0]);
}

/* SPDK to 26.05 ends every command so, of an Authentication Receive with what there is to say. */
static void test_success_with_fewer_bytes(void **state)
{
	(void)state;
	setup(answer_in_short, submit_what_may_be_short);
	run();
	finish();
	assert_int_equal(t.status[0], 0);
	assert_int_equal(t.peer.terms, 0);
}

static void test_full_queue_waits_in_order(void **state)
{
	(void)state;
	setup(read_with_success, submit_many);
	t.wanted = REQUESTS;
	run();
	t.host.depth = 2;
	finish();
	assert_int_equal(t.answers, REQUESTS);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		assert_int_equal(t.status[i], 0);
		assert_int_equal(t.order[i], i);
	}
}

static void read_with_bad_digest(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint16_t cid = le16_get(&cmd->cid);
	struct nvme_tcp_data pdu = { 0 };
	uint8_t bytes[4096 + 4] = { 0 };

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_C2H_DATA, NVME_TCP_FLAG_LAST, false, true, 4, 4096);
	pdu.cccid = htole16(cid);
	pdu.datal = htole32(4096);
	peer_send(c, &pdu, sizeof(pdu));
	/* The digest is four zero bytes. */
	peer_send(c, bytes, sizeof(bytes));
	peer_reply(c, cid, 0, 0, 0);
	cmd = peer_recv_cmd(c);
	assert(cmd);
	peer_c2h(c, le16_get(&cmd->cid), 0, bytes, 4096,
		 NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
	peer_recv_term(c);
}

/* A wrong data digest costs the command, and the connection goes on. */
static void test_security_data_digest(void **state)
{
	(void)state;
	setup(read_with_bad_digest, submit_many);
	t.wanted = 2;
	run();
	t.host.opts.ddgst = true;
	finish();
	assert_int_equal(t.status[0],
			 NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_TRANSIENT_TRANSPORT_ERROR));
	assert_int_equal(t.status[1], 0);
	assert_int_equal(t.host.qpair_lost, 0);
}

/* --- writes ----------------------------------------------------------------------------------- */

static void check_written(const uint8_t *data, uint32_t at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		assert(data[i] == peer_byte(at + i));
}

/* Data of one R2T, in H2CData PDUs of at most MAXH2CDATA, with its tag. */
static void take_h2c(struct peer_conn *c, uint16_t cid, uint16_t ttag, uint32_t at, uint32_t len)
{
	while (len) {
		const struct nvme_tcp_data *pdu = (const struct nvme_tcp_data *)c->header;
		int type = peer_recv(c);

		assert(type == NVME_TCP_H2C_DATA);
		assert(le16_get(&pdu->cccid) == cid && le16_get(&pdu->ttag) == ttag);
		assert(le32_get(&pdu->datao) == at && le32_get(&pdu->datal) == c->data_len);
		assert(c->data_len <= c->peer->max_h2c);
		check_written(c->data, at, c->data_len);
		at += c->data_len;
		len -= c->data_len;
		assert(!(pdu->ch.flags & NVME_TCP_FLAG_LAST) == (len != 0));
	}
}

static void take_write(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint16_t cid = le16_get(&cmd->cid);
	uint32_t step = t.pieces;
	uint16_t tag = 100;

	assert(cmd->opc == NVME_IO_WRITE && c->data_len == 0);
	/* Four at once, as ICReq allows. */
	for (uint32_t at = 0; at < LEN; at += 4 * step) {
		for (uint32_t i = 0; i < 4; i++)
			peer_r2t(c, cid, (uint16_t)(tag + i), at + i * step, step);
		for (uint32_t i = 0; i < 4; i++)
			take_h2c(c, cid, tag++, at + i * step, step);
	}
	peer_reply(c, cid, 0, 0, 0);
	peer_recv_term(c);
}

static void submit_write(struct host *h)
{
	for (uint32_t i = 0; i < LEN; i++)
		t.data[i] = peer_byte(i);
	set_data(&t.req[0], LEN, 9);
	nvme_cmd_rw(&t.req[0], NVME_IO_WRITE, 1, 0, LEN / 512);
	nvme_submit(h->qp, &t.req[0]);
}

static void test_write_by_r2t(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		setup(take_write, submit_write);
		t.pieces = i & 4 ? LEN / 4 : 4096;
		t.peer.max_h2c = 4096 + 8;
		t.peer.cpda = i & 4 ? 31 : 1;
		run();
		t.host.opts.hdgst = i & 1;
		t.host.opts.ddgst = i & 2;
		finish();
		assert_int_equal(t.status[0], 0);
		assert_int_equal(t.peer.terms, 0);
	}
}

static void take_capsule(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);

	assert(cmd->opc == NVME_IO_WRITE && c->data_len == 8192);
	assert(cmd->dptr.sgl.type == 0x01 && le32_get(&cmd->dptr.sgl.length) == 8192);
	check_written(c->data, 0, 8192);
	peer_reply(c, le16_get(&cmd->cid), 0, 0, 0);
	peer_recv_term(c);
}

static void submit_small_write(struct host *h)
{
	for (uint32_t i = 0; i < 8192; i++)
		t.data[i] = peer_byte(i);
	set_data(&t.req[0], 8192, 5);
	nvme_cmd_rw(&t.req[0], NVME_IO_WRITE, 1, 0, 16);
	nvme_submit(h->qp, &t.req[0]);
}

static void test_write_in_capsule(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		setup(take_capsule, submit_small_write);
		t.peer.ioccsz = 4 + 8192 / 16;
		t.peer.cpda = 7;
		run();
		t.host.opts.hdgst = i & 1;
		t.host.opts.ddgst = i & 2;
		finish();
		assert_int_equal(t.status[0], 0);
	}
}

/* The controller answers with an error before it has taken the data: the host lets go of it. */
static void refuse_write(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint16_t cid = le16_get(&cmd->cid);

	peer_r2t(c, cid, 1, 0, 4096);
	peer_reply(c, cid, NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_LBA_OUT_OF_RANGE), 0, 0);
	peer_recv_term(c);
}

static void test_error_before_data(void **state)
{
	(void)state;
	setup(refuse_write, submit_write);
	run();
	finish();
	assert_int_equal(t.status[0], NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(nvme_status_errno(t.status[0]), -ERANGE);
}

#define LONG_WRITE (16u * 1024 * 1024)

static uint8_t *long_data;

/* The peer takes nothing before the host was told the answer, or has had its time to be told. */
static void answer_then_take(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	uint16_t cid = le16_get(&cmd->cid);

	peer_r2t(c, cid, 1, 0, LONG_WRITE);
	peer_reply(c, cid, NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR), 0, 0);
	for (unsigned int i = 0; i < 100 && !__atomic_load_n(&t.seen, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	while (peer_recv(c) == NVME_TCP_H2C_DATA)
		check_written(c->data, le32_get(&((struct nvme_tcp_data *)c->header)->datao),
			      c->data_len);
}

/* The memory is the caller's again: what is still sent from it would be seen. */
static void answered_and_wiped(struct nvme_request *req)
{
	memset(long_data, 0xdd, LONG_WRITE);
	__atomic_store_n(&t.seen, 1, __ATOMIC_RELEASE);
	answered(req);
}

static void submit_long_write(struct host *h)
{
	for (uint32_t i = 0; i < LONG_WRITE; i++)
		long_data[i] = peer_byte(i);
	t.iov[0] = (struct iovec){ long_data, LONG_WRITE };
	t.req[0] = (struct nvme_request){
		.iov = t.iov, .iovcnt = 1, .len = LONG_WRITE, .done = answered_and_wiped
	};
	nvme_cmd_rw(&t.req[0], NVME_IO_WRITE, 1, 0, LONG_WRITE / 512);
	nvme_submit(h->qp, &t.req[0]);
}

/* An answer before the data was taken does not give back memory that the stream still sends. */
static void test_security_answer_while_sending(void **state)
{
	(void)state;
	setup(answer_then_take, submit_long_write);
	long_data = malloc(LONG_WRITE);
	t.peer.max_h2c = PEER_DATA - 128;
	run();
	finish();
	assert_int_equal(t.status[0], NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR));
	free(long_data);
}

/* --- fused ------------------------------------------------------------------------------------ */

static void take_fused(struct peer_conn *c)
{
	uint8_t fuse, last = 0;
	const struct nvme_cmd *cmd;

	while ((cmd = peer_recv_cmd(c)) != NULL) {
		fuse = cmd->flags & NVME_CMD_FUSE_MASK;
		assert((last == NVME_CMD_FUSE_FIRST) == (fuse == NVME_CMD_FUSE_SECOND));
		last = fuse;
		t.seen += fuse != 0;
		peer_reply(c, le16_get(&cmd->cid), 0, 0, 0);
	}
}

static void submit_fused(struct host *h)
{
	for (unsigned int i = 0; i < t.wanted; i += 3) {
		for (unsigned int j = i; j < i + 3; j++) {
			t.req[j] = (struct nvme_request){ .done = answered };
			nvme_cmd_flush(&t.req[j], 1);
		}
		nvme_submit(h->qp, &t.req[i]);
		nvme_submit_fused(h->qp, &t.req[i + 1], &t.req[i + 2]);
	}
}

static void test_fused_stay_together(void **state)
{
	(void)state;
	for (uint16_t depth = 2; depth < 5; depth++) {
		setup(take_fused, submit_fused);
		t.wanted = 30;
		run();
		t.host.depth = depth;
		finish();
		assert_int_equal(t.answers, 30);
		assert_int_equal(t.seen, 20);
	}
}

static void test_fused_needs_two_slots(void **state)
{
	(void)state;
	setup(take_fused, submit_fused);
	t.wanted = 3;
	run();
	t.host.depth = 1;
	finish();
	assert_int_equal(t.status[1], NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_MISSING_FUSED));
	assert_int_equal(t.status[2], t.status[1]);
	assert_int_equal(t.status[0], 0);
}

/* --- what is not answered --------------------------------------------------------------------- */

static void ignore_all(struct peer_conn *c)
{
	peer_recv_term(c);
}

static void test_command_timeout(void **state)
{
	(void)state;
	setup(ignore_all, submit_many);
	t.wanted = 20;
	run();
	t.host.opts.timeout_ms = 50;
	finish();
	assert_int_equal(t.host.qpair_lost, -ETIMEDOUT);
	assert_text_has(t.host.text, "nor as long after its Abort");
	assert_text_has(t.host.text, PEER_NQN);
	assert_true(t.peer.aborts >= 1);
	assert_int_equal(t.answers, 20);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(t.status[i], NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR));
}

static void submit_and_close(struct host *h)
{
	submit_many(h);
	host_close_qpair(h);
	/* What comes too late is answered too. */
	t.req[20] = (struct nvme_request){ .done = answered };
	nvme_cmd_flush(&t.req[20], 1);
	nvme_submit(h->qp, &t.req[20]);
	t.req[21] = t.req[22] = t.req[20];
	nvme_submit_fused(h->qp, &t.req[21], &t.req[22]);
}

static void test_close_answers_all(void **state)
{
	(void)state;
	setup(ignore_all, submit_and_close);
	t.wanted = 20;
	run();
	finish();
	assert_int_equal(t.answers, 23);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(t.status[i], NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_ABORTED));
	for (unsigned int i = 20; i < 23; i++)
		assert_int_equal(t.status[i], NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_in_pieces),
		cmocka_unit_test(test_success_with_fewer_bytes),
		cmocka_unit_test(test_full_queue_waits_in_order),
		cmocka_unit_test(test_security_data_digest),
		cmocka_unit_test(test_write_by_r2t),
		cmocka_unit_test(test_write_in_capsule),
		cmocka_unit_test(test_error_before_data),
		cmocka_unit_test(test_security_answer_while_sending),
		cmocka_unit_test(test_fused_stay_together),
		cmocka_unit_test(test_fused_needs_two_slots),
		cmocka_unit_test(test_command_timeout),
		cmocka_unit_test(test_close_answers_all),
	};

	return cmocka_run_group_tests_name("nvme/host_io", tests, NULL, NULL);
}

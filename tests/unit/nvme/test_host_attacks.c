/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile controller: whatever it sends, the host answers by the right termination request, ends
 * that connection, answers every request with a path error, and touches no byte it may not.
 *
 * Threading: the host on the main thread, the peer on its own.
 */
#include "host_unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/le.h"

#define LEN    8192u
#define GUARD  64u
#define FES(x) NVME_TCP_FES_##x

/**
 * struct attack - what the peer does to one command
 * @writes: the command is a write, else a read
 * @fes: of the termination that the host sends; 0: none
 * @text: part of the host's reason
 */
struct attack {
	const char *name;
	bool writes;
	void (*script)(struct peer_conn *c, uint16_t cid);
	uint16_t fes;
	const char *text;
};

static struct {
	struct peer peer;
	struct host host;
	const struct attack *attacks;
	size_t count, at;
	struct nvme_request req;
	struct iovec iov[2];
	uint8_t memory[2 * (LEN / 2 + 2 * GUARD)];
	unsigned int answers;
} t;

static uint8_t bytes[LEN * 2];

/* --- the host's side -------------------------------------------------------------------------- */

static const struct attack *now(void)
{
	return &t.attacks[t.at];
}

static uint8_t *part(unsigned int i)
{
	return t.memory + i * (LEN / 2 + 2 * GUARD) + GUARD;
}

static void check_guards(void)
{
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int j = 0; j < GUARD; j++) {
			assert_int_equal(part(i)[-1 - (int)j], 0xee);
			assert_int_equal(part(i)[LEN / 2 + j], 0xee);
		}
}

static void answered(struct nvme_request *req)
{
	t.answers++;
	if (nvme_request_status(req) != NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR))
		fail_msg("%s: status 0x%x", now()->name, nvme_request_status(req));
}

static void submit(struct host *h)
{
	memset(t.memory, 0xee, sizeof(t.memory));
	for (unsigned int i = 0; i < 2; i++)
		t.iov[i] = (struct iovec){ part(i), LEN / 2 };
	t.req = (struct nvme_request){ .iov = t.iov, .iovcnt = 2, .len = LEN, .done = answered };
	nvme_cmd_rw(&t.req, now()->writes ? NVME_IO_WRITE : NVME_IO_READ, 1, 0, LEN / 512);
	t.answers = 0;
	h->qpair_lost = 0;
	t.peer.terms = 0;
	nvme_submit(h->qp, &t.req);
}

static void next(struct host *h)
{
	assert_int_equal(t.answers, 1);
	assert_true(h->qpair_lost < 0);
	check_guards();
	if (!strstr(h->text, now()->text))
		fail_msg("%s: '%s' lacks '%s'", now()->name, h->text, now()->text);
	if (++t.at < t.count)
		host_open_qpair(h);
	else
		host_leave(h);
}

/* --- the peer's side -------------------------------------------------------------------------- */

static void attack(struct peer_conn *c)
{
	const struct attack *a = now();
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	unsigned int before = c->peer->terms;

	if (!cmd)
		abort();
	a->script(c, le16_get(&cmd->cid));
	peer_recv_term(c);
	if ((a->fes != 0) != (c->peer->terms > before) || (a->fes && c->peer->fes != a->fes)) {
		fprintf(stderr, "%s: FES %u came, not %u\n", a->name,
			c->peer->terms > before ? c->peer->fes : 0, a->fes);
		abort();
	}
}

static void run_attacks(const struct attack *attacks, size_t count, bool digests)
{
	memset(&t, 0, sizeof(t));
	t.attacks = attacks;
	t.count = count;
	peer_init(&t.peer);
	t.peer.script = attack;
	peer_start(&t.peer);
	host_init(&t.host, &t.peer);
	t.host.opts.hdgst = t.host.opts.ddgst = digests;
	t.host.go = submit;
	t.host.after = next;
	host_run(&t.host);
	assert_int_equal(t.at, count);
	assert_int_equal(t.host.ctrlr_lost, 0);
	peer_stop(&t.peer);
}

/* --- C2HData ---------------------------------------------------------------------------------- */

static void c2h_beyond(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, LEN + 4, NVME_TCP_FLAG_LAST);
}

static void c2h_offset_beyond(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, LEN, bytes, 4, 0);
}

static void c2h_offset_wraps(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0xfffffffc, bytes, 8, 0);
}

static void c2h_skips(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 512, bytes, 512, 0);
}

static void c2h_twice(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, 512, 0);
	peer_c2h(c, cid, 0, bytes, 512, 0);
}

static void c2h_overlaps(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, 512, 0);
	peer_c2h(c, cid, 508, bytes, 512, 0);
}

static void c2h_after_last(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, 512, NVME_TCP_FLAG_LAST);
	peer_c2h(c, cid, 512, bytes, 512, NVME_TCP_FLAG_LAST);
}

static void c2h_unknown_cid(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, (uint16_t)(cid + 1), 0, bytes, 512, 0);
}

static void c2h_cid_out_of_range(struct peer_conn *c, uint16_t cid)
{
	(void)cid;
	peer_c2h(c, 0xffff, 0, bytes, 512, 0);
}

static void c2h_other_generation(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, (uint16_t)(cid + 0x1000), 0, bytes, 512, 0);
}

static void c2h_datal_wrong(struct peer_conn *c, uint16_t cid)
{
	struct nvme_tcp_data pdu = { 0 };

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_C2H_DATA, 0, c->hdgst, c->ddgst, 4, 512);
	pdu.cccid = htole16(cid);
	pdu.datal = htole32(1024);
	peer_send_pdu(c, &pdu, bytes, 512);
}

static void c2h_success_without_last(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, LEN, NVME_TCP_FLAG_SUCCESS);
}

static void c2h_success_too_early(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, 512, NVME_TCP_FLAG_SUCCESS | NVME_TCP_FLAG_LAST);
}

static void c2h_then_eof(struct peer_conn *c, uint16_t cid)
{
	struct nvme_tcp_data pdu = { 0 };

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_C2H_DATA, 0, c->hdgst, c->ddgst, 4, LEN);
	pdu.cccid = htole16(cid);
	pdu.datal = htole32(LEN);
	peer_send_pdu(c, &pdu, NULL, 0);
	peer_send(c, bytes, 100);
	shutdown(c->fd, SHUT_WR);
}

static const struct attack c2h_attacks[] = {
	{ "more than the buffer", false, c2h_beyond, FES(DATA_OUT_OF_RANGE), "C2HData of 8196" },
	{ "offset at the end", false, c2h_offset_beyond, FES(DATA_OUT_OF_RANGE), "at 8192" },
	{ "offset wraps", false, c2h_offset_wraps, FES(DATA_OUT_OF_RANGE), "at 4294967292" },
	{ "a gap", false, c2h_skips, FES(INVALID_HEADER), "where 0 is next" },
	{ "twice", false, c2h_twice, FES(INVALID_HEADER), "where 512 is next" },
	{ "overlap", false, c2h_overlaps, FES(INVALID_HEADER), "at 508 where 512 is next" },
	{ "after LAST_PDU", false, c2h_after_last, FES(INVALID_HEADER), "expects no data" },
	{ "unknown CCCID", false, c2h_unknown_cid, FES(INVALID_HEADER), "expects no data" },
	{ "CCCID over the queue", false, c2h_cid_out_of_range, FES(INVALID_HEADER), "65535" },
	{ "CCCID of earlier", false, c2h_other_generation, FES(INVALID_HEADER), "no data" },
	{ "for a write", true, c2h_twice, FES(INVALID_HEADER), "expects no data" },
	{ "DATAL is not PLEN's", false, c2h_datal_wrong, FES(INVALID_HEADER), "carries 512" },
	{ "SUCCESS alone", false, c2h_success_without_last, FES(INVALID_HEADER), "SUCCESS" },
	{ "SUCCESS early", false, c2h_success_too_early, FES(INVALID_HEADER), "SUCCESS" },
	{ "end inside data", false, c2h_then_eof, 0, "closed the connection" },
};

static void test_security_c2h_data(void **state)
{
	(void)state;
	run_attacks(c2h_attacks, sizeof(c2h_attacks) / sizeof(c2h_attacks[0]), false);
	run_attacks(c2h_attacks, sizeof(c2h_attacks) / sizeof(c2h_attacks[0]), true);
}

/* --- R2T -------------------------------------------------------------------------------------- */

static void r2t_for_read(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0, LEN);
}

static void r2t_unknown_cid(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, (uint16_t)(cid ^ 1), 1, 0, LEN);
}

static void r2t_huge(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0, 0xffffffff);
}

static void r2t_wraps(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0xfffffff0, 0x20);
}

static void r2t_empty(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0, 0);
}

static void r2t_gap(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 512, 512);
}

static void r2t_overlap(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0, 1024);
	peer_r2t(c, cid, 2, 512, 1024);
}

static void r2t_again(struct peer_conn *c, uint16_t cid)
{
	peer_r2t(c, cid, 1, 0, LEN);
	peer_r2t(c, cid, 2, 0, LEN);
}

static void success_before_data(struct peer_conn *c, uint16_t cid)
{
	peer_reply(c, cid, 0, 0, 0);
}

static const struct attack r2t_attacks[] = {
	{ "for a read", false, r2t_for_read, FES(INVALID_HEADER), "no data to send" },
	{ "unknown CCCID", true, r2t_unknown_cid, FES(INVALID_HEADER), "no data to send" },
	{ "huge", true, r2t_huge, FES(DATA_OUT_OF_RANGE), "R2T for 4294967295" },
	{ "wraps", true, r2t_wraps, FES(DATA_OUT_OF_RANGE), "at 4294967280" },
	{ "empty", true, r2t_empty, FES(INVALID_HEADER), "no bytes" },
	{ "gap", true, r2t_gap, FES(INVALID_HEADER), "at 512 where 0 is next" },
	{ "overlap", true, r2t_overlap, FES(INVALID_HEADER), "at 512 where 1024 is next" },
	{ "again", true, r2t_again, FES(INVALID_HEADER), "at 0 where 8192 is next" },
	{ "success before R2T", true, success_before_data, FES(SEQUENCE), "before all its 8192" },
};

static void test_security_r2t(void **state)
{
	(void)state;
	run_attacks(r2t_attacks, sizeof(r2t_attacks) / sizeof(r2t_attacks[0]), false);
	run_attacks(r2t_attacks, sizeof(r2t_attacks) / sizeof(r2t_attacks[0]), true);
}

/* --- responses, order, terminations ----------------------------------------------------------- */

static void resp_unknown(struct peer_conn *c, uint16_t cid)
{
	peer_reply(c, (uint16_t)(cid + 7), 0, 0, 0);
}

static void resp_half_read(struct peer_conn *c, uint16_t cid)
{
	peer_c2h(c, cid, 0, bytes, 512, NVME_TCP_FLAG_LAST);
	peer_reply(c, cid, 0, 0, 0);
}

static void second_ic_resp(struct peer_conn *c, uint16_t cid)
{
	struct nvme_tcp_ic_resp resp = { 0 };

	(void)cid;
	nvme_tcp_fill_common(&resp.ch, NVME_TCP_IC_RESP, 0, false, false, 0, 0);
	resp.maxh2cdata = htole32(65536);
	peer_send(c, &resp, sizeof(resp));
}

static void term(struct peer_conn *c, uint16_t cid)
{
	uint8_t pdu[sizeof(struct nvme_tcp_term) + 24] = { 0 };
	struct nvme_tcp_term *head = (struct nvme_tcp_term *)pdu;

	(void)cid;
	nvme_tcp_fill_common(&head->ch, NVME_TCP_C2H_TERM, 0, false, false, 0, 0);
	le32_put(&head->ch.plen, sizeof(pdu));
	le16_put(&head->fes, NVME_TCP_FES_SEQUENCE);
	peer_send(c, pdu, sizeof(pdu));
}

static void term_unknown(struct peer_conn *c, uint16_t cid)
{
	struct nvme_tcp_term head = { 0 };

	(void)cid;
	nvme_tcp_fill_common(&head.ch, NVME_TCP_C2H_TERM, 0, false, false, 0, 0);
	le16_put(&head.fes, 0xbeef);
	peer_send(c, &head, sizeof(head));
}

static void closes(struct peer_conn *c, uint16_t cid)
{
	(void)cid;
	shutdown(c->fd, SHUT_WR);
}

static void resets(struct peer_conn *c, uint16_t cid)
{
	struct linger linger = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)cid;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	/* The last reference to the connection goes: it is reset. */
	dup2(fd, c->fd);
	close(fd);
}

static void wrong_digest(struct peer_conn *c, uint16_t cid)
{
	struct nvme_tcp_resp pdu = { 0 };
	uint32_t digest = 0x12345678;

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_RESP, 0, true, false, 0, 0);
	pdu.cqe.cid = htole16(cid);
	peer_send(c, &pdu, sizeof(pdu));
	peer_send(c, &digest, sizeof(digest));
}

static const struct attack order_attacks[] = {
	{ "response to nothing", false, resp_unknown, FES(INVALID_HEADER), "not outstanding" },
	{ "half a read", false, resp_half_read, FES(SEQUENCE), "before all its 8192 bytes" },
	{ "second ICResp", false, second_ic_resp, FES(SEQUENCE), "a second time" },
	{ "termination", false, term, 0, "PDU sequence error" },
	{ "unknown termination", true, term_unknown, 0, "FES 48879" },
	{ "close", false, closes, 0, "closed the connection" },
	{ "reset", true, resets, 0, "connection broke" },
};

static const struct attack digest_attacks[] = {
	{ "header digest", false, wrong_digest, FES(HEADER_DIGEST), "header digest 0x12345678" },
};

static void test_security_order(void **state)
{
	(void)state;
	run_attacks(order_attacks, sizeof(order_attacks) / sizeof(order_attacks[0]), false);
	run_attacks(order_attacks, sizeof(order_attacks) / sizeof(order_attacks[0]), true);
	run_attacks(digest_attacks, 1, true);
}

/* --- every wrong common header ---------------------------------------------------------------- */

static const uint8_t from_ctrlr[] = { NVME_TCP_RESP, NVME_TCP_C2H_DATA, NVME_TCP_R2T,
				      NVME_TCP_C2H_TERM };

static void wrong_header(struct peer_conn *c, uint8_t type, size_t field, uint32_t value)
{
	uint8_t pdu[256] = { 0 };
	struct nvme_tcp_common *ch = (struct nvme_tcp_common *)pdu;
	bool digest = type != NVME_TCP_C2H_TERM && c->hdgst;
	bool has_data = type == NVME_TCP_C2H_DATA;

	nvme_tcp_fill_common(ch, type, 0, digest, c->ddgst, 4, has_data ? 64 : 0);
	if (field == offsetof(struct nvme_tcp_common, plen))
		le32_put(&ch->plen, value);
	else
		pdu[field] = (uint8_t)value;
	/* Followed by other bytes, which must not be taken for the header's. */
	peer_send(c, pdu, sizeof(pdu));
}

/* Values come by the number of the attack: the table has the same script in each row. */
static struct header_case {
	size_t field;
	uint32_t value;
	uint8_t type;
} * cases;

static void send_case(struct peer_conn *c, uint16_t cid)
{
	const struct header_case *h = &cases[t.at];

	(void)cid;
	wrong_header(c, h->type, h->field, h->value);
}

#define CASES_MAX 4096

static size_t add_cases(struct header_case *list, size_t n, size_t field, const uint32_t *values,
			size_t count)
{
	for (size_t i = 0; i < sizeof(from_ctrlr); i++)
		for (size_t j = 0; j < count; j++) {
			/* Reserved without data, and a termination's own length is free. */
			if (field == offsetof(struct nvme_tcp_common, pdo) &&
			    from_ctrlr[i] != NVME_TCP_C2H_DATA)
				continue;
			if (field == offsetof(struct nvme_tcp_common, hlen) &&
			    values[j] == nvme_tcp_header_len(from_ctrlr[i]))
				continue;
			list[n++] = (struct header_case){ field, values[j], from_ctrlr[i] };
		}
	return n;
}

static void run_headers(bool digests)
{
	static struct header_case list[CASES_MAX];
	static struct attack attacks[CASES_MAX];
	static const uint32_t plens[] = { 0, 1, 7, 8, 23 };
	static const uint32_t pdos[] = { 0, 1, 8, 23, 25, 129, 255 };
	uint32_t hlens[256];
	size_t n = 0;

	for (uint32_t i = 0; i < 256; i++)
		hlens[i] = i;
	n = add_cases(list, n, offsetof(struct nvme_tcp_common, hlen), hlens, 256);
	/* The longest PLEN is C2HData's to say: DATAL is what it is checked against. */
	n = add_cases(list, n, offsetof(struct nvme_tcp_common, plen), plens, 5);
	n = add_cases(list, n, offsetof(struct nvme_tcp_common, pdo), pdos, 7);
	cases = list;
	for (size_t i = 0; i < n; i++)
		attacks[i] = (struct attack){ "header", i & 1, send_case, FES(INVALID_HEADER),
					      "wrong at byte" };
	run_attacks(attacks, n, digests);
}

/* CVE-2025-21927: the host believed a header's length when digests were on. */
static void test_security_every_wrong_header(void **state)
{
	(void)state;
	run_headers(false);
	run_headers(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_c2h_data),
		cmocka_unit_test(test_security_r2t),
		cmocka_unit_test(test_security_order),
		cmocka_unit_test(test_security_every_wrong_header),
	};

	return cmocka_run_group_tests_name("nvme/host_attacks", tests, NULL, NULL);
}

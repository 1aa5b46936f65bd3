/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers: refusals of Connect and of ICResp, properties that make no sense, loss, keep-alive,
 * events, namespaces, the discovery log.
 *
 * Threading: the host on the main thread, the peer on its own.
 */
#include "host_unit.h"

#include <assert.h>
#include <stdlib.h>

#include "base/le.h"

#define REQUESTS 5u

static struct {
	struct peer peer;
	struct host host;
	struct nvme_request req[REQUESTS];
	unsigned int answers;
	bool leaving;
	unsigned int calls;
	int result;
	struct nvme_discovery_log *log;
	void (*after)(struct host *h);
} t;

static void nothing(struct peer_conn *c)
{
	peer_recv_term(c);
}

static void setup(void)
{
	memset(&t, 0, sizeof(t));
	peer_init(&t.peer);
	t.peer.script = nothing;
}

static void start(void)
{
	peer_start(&t.peer);
	host_init(&t.host, &t.peer);
	t.host.go = host_close_qpair;
}

static void finish(void)
{
	host_run(&t.host);
	peer_stop(&t.peer);
}

/* --- Connect ---------------------------------------------------------------------------------- */

#define CONNECT(sc) NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_CONNECT_##sc)
#define DATA(field)                                                                                \
	(NVME_CONNECT_INVALID_IN_DATA | (uint32_t)offsetof(struct nvme_connect_data, field))

static const struct refusal {
	uint16_t status;
	uint32_t dw0;
	int code;
	const char *text;
} refusals[] = {
	{ CONNECT(INVALID_HOST), 0, -EACCES, "host is not allowed" },
	{ CONNECT(INVALID_PARAMETERS), DATA(subnqn), -ENOENT, "no subsystem of this NQN" },
	{ CONNECT(INVALID_PARAMETERS), DATA(hostnqn), -EINVAL, "the host NQN" },
	{ CONNECT(INVALID_PARAMETERS), 44, -EINVAL, "queue size" },
	{ CONNECT(INVALID_PARAMETERS), 0x1fffe, -EINVAL, "a parameter" },
	{ CONNECT(BUSY), 0, -EBUSY, "busy" },
	{ CONNECT(FORMAT), 0, -ECONNREFUSED, "format" },
	{ CONNECT(RESTART_DISCOVERY), 0, -EAGAIN, "discover it again" },
	{ NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR), 0, -ECONNREFUSED,
	  "Internal Error" },
	{ NVME_STATUS(7, 0xee), 0, -ECONNREFUSED, "0x7/0xee" },
};

static void test_connect_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		setup();
		t.peer.admin_connect_status = refusals[i].status;
		t.peer.admin_connect_dw0 = refusals[i].dw0;
		start();
		finish();
		assert_int_equal(t.host.ctrlr_result, refusals[i].code);
		assert_text_has(t.host.ctrlr_text, refusals[i].text);
		assert_text_has(t.host.ctrlr_text, PEER_NQN);
		assert_text_has(t.host.ctrlr_text, PEER_HOST);
	}
}

static void test_authentication_is_told(void **state)
{
	(void)state;
	setup();
	t.peer.admin_connect_dw0 = 1 | 1 << 17;
	start();
	finish();
	assert_int_equal(t.host.ctrlr_result, -EACCES);
	assert_text_has(t.host.ctrlr_text, "authenticate");
}

static void test_io_connect_refused(void **state)
{
	(void)state;
	setup();
	t.peer.connect_status = CONNECT(INVALID_HOST);
	start();
	finish();
	assert_int_equal(t.host.ctrlr_result, 0);
	assert_int_equal(t.host.qpair_result, -EACCES);
	assert_text_has(t.host.text, "queue pair 1 of " PEER_NQN);
	assert_int_equal(t.peer.shutdowns, 1);
}

static void test_nobody_listens(void **state)
{
	(void)state;
	setup();
	start();
	peer_stop(&t.peer);
	host_run(&t.host);
	assert_int_equal(t.host.ctrlr_result, -ECONNREFUSED);
	assert_text_has(t.host.ctrlr_text, "cannot connect");
}

/* --- ICResp ----------------------------------------------------------------------------------- */

static void ic_pfv(struct nvme_tcp_ic_resp *resp)
{
	resp->pfv = htole16(1);
}

static void ic_cpda(struct nvme_tcp_ic_resp *resp)
{
	resp->cpda = NVME_TCP_CPDA_MAX + 1;
}

static void ic_cpda_max(struct nvme_tcp_ic_resp *resp)
{
	resp->cpda = 255;
}

static void ic_digests(struct nvme_tcp_ic_resp *resp)
{
	resp->dgst = 3;
}

static void ic_digest_reserved(struct nvme_tcp_ic_resp *resp)
{
	resp->dgst = 4;
}

static void ic_h2c_zero(struct nvme_tcp_ic_resp *resp)
{
	resp->maxh2cdata = 0;
}

static void ic_h2c_odd(struct nvme_tcp_ic_resp *resp)
{
	resp->maxh2cdata = htole32(8193);
}

static void ic_hlen(struct nvme_tcp_ic_resp *resp)
{
	resp->ch.hlen = 24;
}

static void ic_plen(struct nvme_tcp_ic_resp *resp)
{
	resp->ch.plen = htole32(136);
}

static void ic_flags(struct nvme_tcp_ic_resp *resp)
{
	resp->ch.flags = NVME_TCP_FLAG_HDGST;
}

static void ic_other(struct nvme_tcp_ic_resp *resp)
{
	resp->ch.type = NVME_TCP_RESP;
	resp->ch.hlen = 24;
	resp->ch.plen = htole32(24);
}

static const struct ic_case {
	void (*change)(struct nvme_tcp_ic_resp *resp);
	uint16_t fes;
	const char *text;
} ic_cases[] = {
	{ ic_pfv, NVME_TCP_FES_UNSUPPORTED, "PDU format 1" },
	{ ic_cpda, NVME_TCP_FES_INVALID_HEADER, "CPDA 32" },
	{ ic_cpda_max, NVME_TCP_FES_INVALID_HEADER, "CPDA 255" },
	{ ic_digests, NVME_TCP_FES_INVALID_HEADER, "digests 0x3" },
	{ ic_digest_reserved, NVME_TCP_FES_INVALID_HEADER, "digests 0x4" },
	{ ic_h2c_zero, NVME_TCP_FES_INVALID_HEADER, "MAXH2CDATA 0" },
	{ ic_h2c_odd, NVME_TCP_FES_INVALID_HEADER, "MAXH2CDATA 8193" },
	{ ic_hlen, NVME_TCP_FES_INVALID_HEADER, "HLEN 24" },
	{ ic_plen, NVME_TCP_FES_INVALID_HEADER, "PLEN 136" },
	{ ic_flags, NVME_TCP_FES_INVALID_HEADER, "flags 0x01" },
	{ ic_other, NVME_TCP_FES_SEQUENCE, "before ICResp" },
};

static void test_security_ic_resp(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ic_cases) / sizeof(ic_cases[0]); i++) {
		setup();
		t.peer.ic = ic_cases[i].change;
		/* Once for the admin queue, once for an I/O queue. */
		t.peer.ic_on_io_only = i & 1;
		start();
		finish();
		assert_int_equal(t.peer.ic_on_io_only ? t.host.qpair_result : t.host.ctrlr_result,
				 -EPROTO);
		assert_text_has(t.peer.ic_on_io_only ? t.host.text : t.host.ctrlr_text,
				ic_cases[i].text);
		assert_int_equal(t.peer.terms, 1);
		assert_int_equal(t.peer.fes, ic_cases[i].fes);
	}
}

static void ic_no_digest(struct nvme_tcp_ic_resp *resp)
{
	resp->dgst = 0;
}

static void test_digest_not_granted(void **state)
{
	(void)state;
	setup();
	t.peer.ic = ic_no_digest;
	start();
	t.host.opts.ddgst = true;
	finish();
	assert_int_equal(t.host.ctrlr_result, -EPROTO);
	assert_text_has(t.host.ctrlr_text, "data digest");
}

/* --- setup ------------------------------------------------------------------------------------ */

static bool never(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	(void)c;
	(void)cmd;
	return true;
}

static void test_silent_controller(void **state)
{
	(void)state;
	setup();
	t.peer.admin = never;
	start();
	t.host.opts.timeout_ms = 50;
	finish();
	assert_int_equal(t.host.ctrlr_result, -ETIMEDOUT);
	assert_text_has(t.host.ctrlr_text, "within 50 ms");
}

static void test_no_queue_entries(void **state)
{
	(void)state;
	setup();
	t.peer.mqes = 0;
	start();
	finish();
	assert_int_equal(t.host.ctrlr_result, -EPROTO);
	assert_text_has(t.host.ctrlr_text, "MQES");
}

static void test_capsule_too_small(void **state)
{
	(void)state;
	setup();
	t.peer.ioccsz = 3;
	start();
	finish();
	assert_int_equal(t.host.ctrlr_result, -EPROTO);
	assert_text_has(t.host.ctrlr_text, "IOCCSZ is 3");
}

static void test_close_behind_connect(void **state)
{
	(void)state;
	setup();
	t.peer.stop_after_connect = true;
	start();
	finish();
	assert_true(t.host.ctrlr_result < 0);
	assert_text_has(t.host.ctrlr_text, "connection");
}

static void ready_checks(struct host *h)
{
	const struct nvme_ctrlr_info *info = nvme_ctrlr_info(h->ctrlr);
	char text[NVME_SERIAL_BYTES + 1];

	assert_int_equal(info->max_depth, 127);
	assert_int_equal(info->io_queues, 4);
	assert_int_equal(info->max_transfer, 4096u << 5);
	nvme_field_text(info->id.sn, sizeof(info->id.sn), text, sizeof(text));
	assert_string_equal(text, "SERIAL");
	host_leave(h);
}

static void test_info(void **state)
{
	(void)state;
	setup();
	start();
	t.host.ready = ready_checks;
	finish();
	assert_int_equal(t.host.ctrlr_result, 0);
	assert_int_equal(t.peer.shutdowns, 1);
}

/* --- loss ------------------------------------------------------------------------------------- */

/* The admin command of a controller that its user leaves is aborted by the host. */
static void answered(struct nvme_request *req)
{
	bool is_left = req == &t.req[REQUESTS - 1] && t.host.ctrlr_lost == 0 && t.leaving;

	assert_int_equal(nvme_request_status(req),
			 NVME_STATUS(NVME_SCT_PATH,
				     is_left ? NVME_SC_HOST_ABORTED : NVME_SC_HOST_PATH_ERROR));
	t.answers++;
}

static void submit_all(struct host *h)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		t.req[i] = (struct nvme_request){ .done = answered };
		nvme_cmd_flush(&t.req[i], 1);
		if (i + 1 < REQUESTS)
			nvme_submit(h->qp, &t.req[i]);
		else
			nvme_ctrlr_admin(h->ctrlr, &t.req[i]);
	}
}

static bool no_keep_alive(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	(void)c;
	return cmd->opc == NVME_ADMIN_KEEP_ALIVE || cmd->opc == NVME_IO_FLUSH;
}

static void check_loss(int reason)
{
	assert_int_equal(t.host.ctrlr_lost, reason);
	assert_int_equal(t.host.qpair_lost, -ENOLINK);
	assert_text_has(t.host.text, "controller is lost");
	assert_int_equal(t.answers, REQUESTS);
}

static void test_keep_alive_unanswered(void **state)
{
	(void)state;
	setup();
	t.peer.admin = no_keep_alive;
	start();
	t.host.opts.kato_ms = 40;
	t.host.go = submit_all;
	finish();
	check_loss(-ETIMEDOUT);
	assert_text_has(t.host.ctrlr_text, "Keep Alive");
}

static bool refuses_keep_alive(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	if (cmd->opc == NVME_IO_FLUSH)
		return true;
	if (cmd->opc != NVME_ADMIN_KEEP_ALIVE)
		return false;
	peer_reply(c, le16_get(&cmd->cid), NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_KATO_EXPIRED), 0,
		   0);
	return true;
}

static void test_keep_alive_refused(void **state)
{
	(void)state;
	setup();
	t.peer.admin = refuses_keep_alive;
	start();
	t.host.opts.kato_ms = 40;
	t.host.go = submit_all;
	finish();
	check_loss(-EPROTO);
	assert_text_has(t.host.ctrlr_text, "Keep Alive Timeout Expired");
}

static bool drops_at_flush(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	if (cmd->opc != NVME_IO_FLUSH)
		return false;
	shutdown(c->fd, SHUT_WR);
	return true;
}

static void test_admin_connection_closes(void **state)
{
	(void)state;
	setup();
	t.peer.admin = drops_at_flush;
	start();
	t.host.go = submit_all;
	finish();
	check_loss(-ECONNRESET);
	assert_text_has(t.host.ctrlr_text, "closed the connection");
}

/* Disconnect with a queue pair in use: its owner is told, closes it, and only then it ends. */
static void disconnect_at_once(struct host *h)
{
	submit_all(h);
	t.leaving = true;
	host_leave(h);
}

static void stay(struct host *h)
{
	t.calls++;
	assert_null(h->qp);
}

static void test_disconnect_waits_for_queue_pairs(void **state)
{
	(void)state;
	setup();
	t.peer.admin = no_keep_alive;
	start();
	t.host.go = disconnect_at_once;
	t.host.after = stay;
	finish();
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.host.qpair_lost, -ENOLINK);
	assert_int_equal(t.peer.shutdowns, 1);
}

static bool no_shutdown(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	const struct nvme_property_cmd *p = (const struct nvme_property_cmd *)cmd;

	(void)c;
	return cmd->opc == NVME_OPC_FABRICS && p->fctype == NVME_FCTYPE_PROPERTY_SET &&
	       NVME_CC_SHN(le64_get(&p->value));
}

static void test_shutdown_unanswered(void **state)
{
	(void)state;
	setup();
	t.peer.admin = no_shutdown;
	start();
	t.host.opts.shutdown_timeout_ms = 30;
	finish();
	assert_int_equal(t.host.ctrlr_result, 0);
}

/* --- events ----------------------------------------------------------------------------------- */

static bool notice_at_first_event(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint8_t page[NVME_IDENTIFY_BYTES] = { 0 };
	uint16_t cid = le16_get(&cmd->cid);

	if (cmd->opc == NVME_ADMIN_ASYNC_EVENT && t.calls++ == 0) {
		peer_reply(c, cid, 0, NVME_AEN_RESULT(2, NVME_AEN_INFO_NS_CHANGED, 4), 0);
		return true;
	}
	if (cmd->opc != NVME_ADMIN_GET_LOG_PAGE)
		return false;
	assert((le32_get(&cmd->cdw10) & 0xff) == NVME_LOG_CHANGED_NS);
	peer_c2h(c, cid, 0, page, sizeof(page), NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
	return true;
}

static void leave_at_event(struct reactor_timer *timer)
{
	if (t.host.events)
		host_close_qpair(&t.host);
	else
		reactor_timer_start(timer, 1000000);
}

static struct reactor_timer event_timer = { .fn = leave_at_event };

static void wait_event(struct host *h)
{
	(void)h;
	reactor_timer_start(&event_timer, 1000000);
}

static void test_event_reads_the_log(void **state)
{
	(void)state;
	setup();
	t.peer.admin = notice_at_first_event;
	start();
	t.host.go = wait_event;
	finish();
	assert_int_equal(t.host.events, 1);
	assert_int_equal(t.host.event & 0xffff, NVME_AEN_RESULT(2, NVME_AEN_INFO_NS_CHANGED, 0));
	/* Asked for again behind the first. */
	assert_int_equal(t.calls, 2);
}

/* --- namespaces ------------------------------------------------------------------------------- */

static void scanned(void *arg, int result)
{
	t.result = result;
	t.calls++;
	if (t.after)
		t.after(arg);
	host_leave(arg);
}

static void scan(struct host *h)
{
	assert_int_equal(nvme_ctrlr_scan(h->ctrlr, scanned, h), 0);
	assert_int_equal(nvme_ctrlr_scan(h->ctrlr, scanned, h), -EBUSY);
}

static void check_ns(struct host *h)
{
	const struct nvme_ns *ns = nvme_ctrlr_first_ns(h->ctrlr);
	char uuid[UUID_TEXT_SIZE];

	assert_non_null(ns);
	assert_int_equal(ns->nsid, 1);
	assert_int_equal(ns->block_size, 512);
	assert_int_equal(ns->blocks, 2048);
	uuid_to_text(&ns->uuid, uuid);
	assert_string_equal(uuid, "a5a5a5a5-a5a5-a5a5-a5a5-a5a5a5a5a5a5");
	assert_int_equal(ns->nguid[0], 0x5a);
	assert_null(ns->next);
	assert_ptr_equal(nvme_ctrlr_ns(h->ctrlr, 1), ns);
	assert_null(nvme_ctrlr_ns(h->ctrlr, 2));
}

static void test_scan(void **state)
{
	(void)state;
	setup();
	start();
	t.host.ready = scan;
	t.after = check_ns;
	finish();
	assert_int_equal(t.result, 0);
	assert_int_equal(t.calls, 1);
}

/* Answers one form of Identify with @page and leaves the others to the peer. */
static bool answer_identify(struct peer_conn *c, const struct nvme_cmd *cmd, uint8_t cns,
			    const void *page)
{
	if (cmd->opc != NVME_ADMIN_IDENTIFY || (le32_get(&cmd->cdw10) & 0xff) != cns)
		return false;
	peer_c2h(c, le16_get(&cmd->cid), 0, page, NVME_IDENTIFY_BYTES,
		 NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
	return true;
}

static bool list_goes_back(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint32_t list[1024];

	for (uint32_t i = 0; i < 1024; i++)
		list[i] = htole32(i < 1023 ? i + 1 : 5);
	return answer_identify(c, cmd, NVME_CNS_ACTIVE_NS_LIST, list);
}

static bool list_repeats(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint32_t list[1024] = { htole32(7), htole32(7) };

	return answer_identify(c, cmd, NVME_CNS_ACTIVE_NS_LIST, list);
}

/* A list that never ends would be read for ever. */
static void test_security_namespace_list(void **state)
{
	static bool (*const lists[])(struct peer_conn *, const struct nvme_cmd *) = {
		list_goes_back,
		list_repeats,
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		setup();
		t.peer.admin = lists[i];
		start();
		t.host.ready = scan;
		finish();
		assert_int_equal(t.result, -EPROTO);
	}
}

static bool descriptors_overrun(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint8_t page[NVME_IDENTIFY_BYTES];

	/* Descriptors of another type up to the end, the last one past it. */
	memset(page, 0, sizeof(page));
	for (size_t at = 0; at + 4 <= sizeof(page); at += 4 + 200) {
		page[at] = NVME_NIDT_CSI;
		page[at + 1] = 200;
	}
	return answer_identify(c, cmd, NVME_CNS_NS_DESCRIPTORS, page);
}

static void check_no_uuid(struct host *h)
{
	assert_true(uuid_is_nil(&nvme_ctrlr_first_ns(h->ctrlr)->uuid));
}

static void test_security_descriptors(void **state)
{
	(void)state;
	setup();
	t.peer.admin = descriptors_overrun;
	start();
	t.host.ready = scan;
	t.after = check_no_uuid;
	finish();
	assert_int_equal(t.result, 0);
}

static bool block_size_huge(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	struct nvme_id_ns ns;

	memset(&ns, 0, sizeof(ns));
	ns.nsze = htole64(UINT64_MAX);
	ns.flbas = 0x6f;
	ns.lbaf[63].lbads = 255;
	return answer_identify(c, cmd, NVME_CNS_NS, &ns);
}

static bool size_overflows(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	struct nvme_id_ns ns;

	memset(&ns, 0, sizeof(ns));
	ns.nsze = htole64(UINT64_MAX);
	ns.lbaf[0].lbads = 12;
	return answer_identify(c, cmd, NVME_CNS_NS, &ns);
}

static void check_no_ns(struct host *h)
{
	assert_null(nvme_ctrlr_first_ns(h->ctrlr));
}

static void test_security_namespace_sizes(void **state)
{
	static bool (*const sizes[])(struct peer_conn *, const struct nvme_cmd *) = {
		block_size_huge,
		size_overflows,
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		setup();
		t.peer.admin = sizes[i];
		start();
		t.host.ready = scan;
		t.after = check_no_ns;
		finish();
		assert_int_equal(t.result, 0);
	}
}

/* --- discovery -------------------------------------------------------------------------------- */

static struct {
	unsigned int headers;
	unsigned int changes; /* how often the generation changes while the log is read */
	uint64_t records;
	uint16_t format;
} d;

static bool discovery(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	static uint8_t log[sizeof(struct nvme_discovery_log) +
			   40 * sizeof(struct nvme_discovery_log_entry)];
	struct nvme_discovery_log *head = (struct nvme_discovery_log *)log;
	uint32_t offset = le32_get(&cmd->cdw12);
	uint32_t len = ((le32_get(&cmd->cdw10) >> 16) + 1) * 4;

	if (cmd->opc != NVME_ADMIN_GET_LOG_PAGE)
		return false;
	assert((le32_get(&cmd->cdw10) & 0xff) == NVME_LOG_DISCOVERY);
	if (offset == 0)
		d.headers++;
	head->genctr = htole64(d.headers / 2 < d.changes ? d.headers : 1000);
	head->numrec = htole64(d.records);
	head->recfmt = htole16(d.format);
	for (uint64_t i = 0; i < d.records && i < 40; i++)
		head->entries[i].portid = htole16((uint16_t)i);
	assert(offset + len <= sizeof(log));
	peer_c2h(c, le16_get(&cmd->cid), 0, log + offset, len,
		 NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
	return true;
}

static void discovered(void *arg, int result, struct nvme_discovery_log *log)
{
	t.result = result;
	if (log)
		for (unsigned int i = 0; i < d.records; i++)
			assert_int_equal(le16_get(&log->entries[i].portid), i);
	free(log);
	host_leave(arg);
}

static void discover(struct host *h)
{
	assert_int_equal(nvme_discovery_read(h->ctrlr, discovered, h), 0);
}

static void run_discovery(uint64_t records, unsigned int changes, uint16_t format)
{
	setup();
	d.headers = 0;
	d.records = records;
	d.changes = changes;
	d.format = format;
	t.peer.admin = discovery;
	start();
	t.host.ready = discover;
	finish();
}

static void test_discovery(void **state)
{
	(void)state;
	run_discovery(0, 0, 0);
	assert_int_equal(t.result, 0);
	run_discovery(40, 0, 0);
	assert_int_equal(t.result, 0);
}

static void test_discovery_reads_again(void **state)
{
	(void)state;
	run_discovery(3, 2, 0);
	assert_int_equal(t.result, 0);
	assert_true(d.headers >= 4);
	run_discovery(3, 1000, 0);
	assert_int_equal(t.result, -EAGAIN);
}

static void test_security_discovery_log(void **state)
{
	(void)state;
	run_discovery(UINT64_MAX, 0, 0);
	assert_int_equal(t.result, -EPROTO);
	run_discovery(NVME_DISCOVERY_RECORDS_MAX + 1, 0, 0);
	assert_int_equal(t.result, -EPROTO);
	run_discovery(1, 0, 9);
	assert_int_equal(t.result, -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_authentication_is_told),
		cmocka_unit_test(test_io_connect_refused),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_security_ic_resp),
		cmocka_unit_test(test_digest_not_granted),
		cmocka_unit_test(test_silent_controller),
		cmocka_unit_test(test_no_queue_entries),
		cmocka_unit_test(test_capsule_too_small),
		cmocka_unit_test(test_close_behind_connect),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_keep_alive_unanswered),
		cmocka_unit_test(test_keep_alive_refused),
		cmocka_unit_test(test_admin_connection_closes),
		cmocka_unit_test(test_disconnect_waits_for_queue_pairs),
		cmocka_unit_test(test_shutdown_unanswered),
		cmocka_unit_test(test_event_reads_the_log),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_security_namespace_list),
		cmocka_unit_test(test_security_descriptors),
		cmocka_unit_test(test_security_namespace_sizes),
		cmocka_unit_test(test_discovery),
		cmocka_unit_test(test_discovery_reads_again),
		cmocka_unit_test(test_security_discovery_log),
	};

	return cmocka_run_group_tests_name("nvme/host_ctrlr", tests, NULL, NULL);
}

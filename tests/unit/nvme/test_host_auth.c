/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile controller that asks the host to authenticate: no message of it is taken that has not
 * its form and its turn, and nothing but the controller's key proves it.
 *
 * Threading: the host on the main thread, the peer on its own.
 */
#include "host_unit.h"

#include <assert.h>

#include "base/le.h"
#include "nvme/auth_message.h"

#define ROOM 4096u
#define HASH 32u

/**
 * struct attack - how one message that the host receives is spoilt
 * @receive: which one, from 0 on: the challenge, Success1
 * @code, @text: of what the host says
 */
struct attack {
	const char *name;
	unsigned int receive;
	void (*spoil)(uint8_t *message);
	int code;
	const char *text;
};

static struct {
	struct peer peer;
	struct host host;
	const struct attack *attack;
	unsigned int received;
	uint8_t reply[ROOM];
	bool failure_sent;
} t;

/* --- the controller --------------------------------------------------------------------------- */

static uint16_t tid;

static void make_challenge(uint8_t *out)
{
	struct nvme_auth_challenge *m = (void *)out;

	nvme_auth_fill_head(m, ROOM, NVME_AUTH_DHCHAP, NVME_AUTH_CHALLENGE, tid);
	m->hash_len = HASH;
	m->hash = NVME_DHCHAP_SHA256;
	m->group = NVME_DHCHAP_GROUP_NULL;
	le32_put(&m->seq, 1);
	memset(m->data, 0x5a, HASH);
}

static void make_success1(uint8_t *out)
{
	struct nvme_auth_success1 *m = (void *)out;

	nvme_auth_fill_head(m, ROOM, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS1, tid);
	m->hash_len = HASH;
	m->response_valid = 1;
}

static void give(struct peer_conn *c, uint16_t cid)
{
	uint8_t message[ROOM];

	if (t.received == 0)
		make_challenge(message);
	else
		make_success1(message);
	if (t.received == t.attack->receive)
		t.attack->spoil(message);
	t.received++;
	peer_c2h(c, cid, 0, message, ROOM, NVME_TCP_FLAG_LAST | NVME_TCP_FLAG_SUCCESS);
}

static void take(struct peer_conn *c, uint16_t cid)
{
	const struct nvme_auth_head *head = (void *)c->data;

	tid = le16_get(&head->tid);
	if (nvme_auth_is(c->data, c->data_len, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY))
		memcpy(t.reply, c->data, c->data_len);
	if (nvme_auth_is(c->data, c->data_len, NVME_AUTH_COMMON, NVME_AUTH_FAILURE2))
		t.failure_sent = true;
	assert(!nvme_auth_is(c->data, c->data_len, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS2));
	peer_reply(c, cid, 0, 0, 0);
}

static bool admin(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	const struct nvme_auth_cmd *auth = (const void *)cmd;

	/* Before the end of it the host asks for nothing else. */
	assert(cmd->opc == NVME_OPC_FABRICS);
	if (auth->fctype == NVME_FCTYPE_AUTH_SEND)
		take(c, le16_get(&cmd->cid));
	else if (auth->fctype == NVME_FCTYPE_AUTH_RECV)
		give(c, le16_get(&cmd->cid));
	else
		assert(false);
	return true;
}

/* --- attacks ---------------------------------------------------------------------------------- */

static struct nvme_auth_challenge *challenge(uint8_t *message)
{
	return (void *)message;
}

static struct nvme_auth_success1 *success1(uint8_t *message)
{
	return (void *)message;
}

static void another_message(uint8_t *message)
{
	challenge(message)->head.id = NVME_AUTH_SUCCESS2;
}

static void failure1(uint8_t *message)
{
	struct nvme_auth_failure *m = (void *)message;

	nvme_auth_fill_head(m, ROOM, NVME_AUTH_COMMON, NVME_AUTH_FAILURE1, tid);
	m->reason = NVME_AUTH_FAILURE;
	m->explanation = NVME_AUTH_REASON_HASH;
}

static void another_tid(uint8_t *message)
{
	le16_put(&challenge(message)->head.tid, (uint16_t)(tid + 1));
}

static void no_hash(uint8_t *message)
{
	challenge(message)->hash = 0;
	challenge(message)->hash_len = 0;
}

static void unknown_hash(uint8_t *message)
{
	challenge(message)->hash = 4;
	challenge(message)->hash_len = 80;
}

static void hash_not_offered(uint8_t *message)
{
	challenge(message)->hash = NVME_DHCHAP_SHA384;
	challenge(message)->hash_len = 48;
}

static void long_hash(uint8_t *message)
{
	challenge(message)->hash_len = 255;
}

static void no_seq(uint8_t *message)
{
	challenge(message)->seq = 0;
}

static void value_without_group(uint8_t *message)
{
	le16_put(&challenge(message)->dh_len, 256);
}

static void unknown_group(uint8_t *message)
{
	challenge(message)->group = 6;
}

static void group_without_value(uint8_t *message)
{
	challenge(message)->group = NVME_DHCHAP_GROUP_2048;
}

static void longest_value(uint8_t *message)
{
	group_without_value(message);
	le16_put(&challenge(message)->dh_len, 0xfffc);
}

static void value_of_no_secret(uint8_t *message)
{
	group_without_value(message);
	le16_put(&challenge(message)->dh_len, 256);
	challenge(message)->data[HASH + 255] = 1;
}

static void group_not_offered(uint8_t *message)
{
	value_of_no_secret(message);
	challenge(message)->group = NVME_DHCHAP_GROUP_3072;
}

static void as_it_is(uint8_t *message)
{
	(void)message;
}

static void no_response(uint8_t *message)
{
	success1(message)->response_valid = 0;
}

static void odd_validity(uint8_t *message)
{
	success1(message)->response_valid = 2;
}

static void short_response(uint8_t *message)
{
	success1(message)->hash_len = 0;
}

/* The host's own response, and the challenge that it was asked for. */
static void reflected(uint8_t *message)
{
	memcpy(success1(message)->response, ((struct nvme_auth_reply *)(void *)t.reply)->data,
	       HASH);
}

#define FORM	 "wrong form, or chooses what was not offered"
#define UNPROVED "did not prove its own key"

static const struct attack attacks[] = {
	{ "another message", 0, another_message, -EPROTO, "something else than a challenge" },
	{ "Failure1", 0, failure1, -EACCES, "no hash of both" },
	{ "another transaction", 0, another_tid, -EPROTO, FORM },
	{ "no hash", 0, no_hash, -EPROTO, FORM },
	{ "unknown hash", 0, unknown_hash, -EPROTO, FORM },
	{ "hash not offered", 0, hash_not_offered, -EPROTO, FORM },
	{ "long hash", 0, long_hash, -EPROTO, FORM },
	{ "no sequence number", 0, no_seq, -EPROTO, FORM },
	{ "value without a group", 0, value_without_group, -EPROTO, FORM },
	{ "unknown group", 0, unknown_group, -EPROTO, FORM },
	{ "group without a value", 0, group_without_value, -EPROTO, FORM },
	{ "value beyond the end", 0, longest_value, -EPROTO, FORM },
	{ "group not offered", 0, group_not_offered, -EPROTO, FORM },
	{ "value of no secret", 0, value_of_no_secret, -EPROTO, "none of its group" },
	{ "another message at the end", 1, another_message, -EPROTO, "else than Success1" },
	{ "Failure1 at the end", 1, failure1, -EACCES, "no hash of both" },
	{ "another transaction at the end", 1, another_tid, -EPROTO, "wrong form" },
	{ "validity of 2", 1, odd_validity, -EPROTO, "wrong form" },
	{ "short response", 1, short_response, -EPROTO, "wrong form" },
	{ "no response", 1, no_response, -EACCES, UNPROVED },
	{ "response of zeroes", 1, as_it_is, -EACCES, UNPROVED },
	{ "the host's own response", 1, reflected, -EACCES, UNPROVED },
};

static void run(const struct attack *attack)
{
	struct key key = { .len = HASH };

	memset(&t, 0, sizeof(t));
	memset(key.bytes, 7, HASH);
	t.attack = attack;
	peer_init(&t.peer);
	t.peer.admin = admin;
	t.peer.admin_connect_dw0 = 1 | NVME_CONNECT_AUTHENTICATE;
	peer_start(&t.peer);
	host_init(&t.host, &t.peer);
	t.host.opts.dhchap_key = key;
	t.host.opts.dhchap_ctrlr_key = key;
	t.host.opts.dhchap_hashes = 1u << NVME_DHCHAP_SHA256;
	t.host.opts.dhchap_groups = 1u << NVME_DHCHAP_GROUP_NULL | 1u << NVME_DHCHAP_GROUP_2048;
	host_run(&t.host);
	peer_stop(&t.peer);
}

static void test_security_spoilt_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		run(&attacks[i]);
		if (t.host.ctrlr_result != attacks[i].code ||
		    !strstr(t.host.ctrlr_text, attacks[i].text))
			fail_msg("%s: %d, %s", attacks[i].name, t.host.ctrlr_result,
				 t.host.ctrlr_text);
		assert_int_equal(t.failure_sent, strcmp(attacks[i].text, UNPROVED) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_spoilt_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

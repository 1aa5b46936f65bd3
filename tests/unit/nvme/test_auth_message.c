/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of authentication against their form: in every length, and of random bytes. Each lies at
 * the end of memory of just its size, so that a sanitizer sees the first byte that is read beyond.
 *
 * Threading: one thread.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "nvme/auth_message.h"
#include "nvme/dhchap.h"

#define TID  0x1234
#define MOST 2048u

/* What a message is given to; 0 when it was taken. */
typedef int taker(const void *message, size_t len);

static int take_negotiate(const void *message, size_t len)
{
	struct nvme_auth_offer offer;

	return nvme_auth_take_negotiate(message, len, &offer);
}

static bool lies_within(const void *message, size_t len, const uint8_t *at, size_t size)
{
	const uint8_t *start = message;

	return !at || (at >= start && size <= len && at <= start + len - size);
}

static int take_challenge(const void *message, size_t len)
{
	struct nvme_auth_asked asked;
	int rc = nvme_auth_take_challenge(message, len, TID, &asked);

	if (rc == 0) {
		assert_true(lies_within(message, len, asked.challenge,
					nvme_dhchap_hash_len(asked.hash)));
		assert_true(lies_within(message, len, asked.dh, asked.dh_len));
		assert_true(asked.dh_len <= nvme_dhchap_group_len(asked.group));
		assert_true(asked.seq != 0);
	}
	return rc;
}

static int take_reply(const void *message, size_t len, uint8_t hash, uint8_t group)
{
	struct nvme_auth_replied r;
	int rc = nvme_auth_take_reply(message, len, TID, hash, group, &r);

	if (rc == 0) {
		uint8_t size = nvme_dhchap_hash_len(hash);

		assert_true(lies_within(message, len, r.response, size));
		assert_true(lies_within(message, len, r.challenge, size));
		assert_true(lies_within(message, len, r.dh, r.dh_len));
		assert_true(!r.challenge || r.seq != 0);
		assert_true(!r.dh == (group == NVME_DHCHAP_GROUP_NULL));
	}
	return rc;
}

static int take_reply_null(const void *message, size_t len)
{
	return take_reply(message, len, NVME_DHCHAP_SHA384, NVME_DHCHAP_GROUP_NULL);
}

static int take_reply_2048(const void *message, size_t len)
{
	return take_reply(message, len, NVME_DHCHAP_SHA512, NVME_DHCHAP_GROUP_2048);
}

static int take_success1(const void *message, size_t len)
{
	const uint8_t *response;
	int rc = nvme_auth_take_success1(message, len, TID, NVME_DHCHAP_SHA256, &response);

	if (rc == 0)
		assert_true(lies_within(message, len, response, 32));
	return rc;
}

static int take_success2(const void *message, size_t len)
{
	return nvme_auth_take_end(message, len, TID, sizeof(struct nvme_auth_success2));
}

/* A copy that ends where its memory does. */
static int take_exactly(taker *take, const uint8_t *message, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, message, len);
	rc = take(copy, len);
	free(copy);
	return rc;
}

/* --- messages that are right ------------------------------------------------------------------ */

static size_t make_negotiate(uint8_t *out)
{
	struct nvme_auth_negotiate *m = (void *)out;

	nvme_auth_fill_head(m, MOST, NVME_AUTH_COMMON, NVME_AUTH_NEGOTIATE, TID);
	m->count = 1;
	m->protocols[0].id = NVME_AUTH_DHCHAP;
	m->protocols[0].hashes = 3;
	m->protocols[0].groups = 2;
	memcpy(m->protocols[0].hash, "\1\3\77", 3);
	memcpy(m->protocols[0].group, "\0\5", 2);
	return sizeof(*m) + sizeof(m->protocols[0]);
}

static size_t make_challenge(uint8_t *out)
{
	struct nvme_auth_challenge *m = (void *)out;

	nvme_auth_fill_head(m, MOST, NVME_AUTH_DHCHAP, NVME_AUTH_CHALLENGE, TID);
	m->hash_len = 48;
	m->hash = NVME_DHCHAP_SHA384;
	m->group = NVME_DHCHAP_GROUP_3072;
	le16_put(&m->dh_len, 384);
	le32_put(&m->seq, 1);
	return sizeof(*m) + 48 + 384;
}

static size_t make_reply(uint8_t *out, uint8_t hash_len, uint16_t dh_len)
{
	struct nvme_auth_reply *m = (void *)out;

	nvme_auth_fill_head(m, MOST, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY, TID);
	m->hash_len = hash_len;
	m->challenge_valid = 1;
	le16_put(&m->dh_len, dh_len);
	le32_put(&m->seq, 1);
	return sizeof(*m) + 2u * hash_len + dh_len;
}

static size_t make_reply_null(uint8_t *out)
{
	return make_reply(out, 48, 0);
}

static size_t make_reply_2048(uint8_t *out)
{
	return make_reply(out, 64, 256);
}

static size_t make_success1(uint8_t *out)
{
	struct nvme_auth_success1 *m = (void *)out;

	nvme_auth_fill_head(m, MOST, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS1, TID);
	m->hash_len = 32;
	m->response_valid = 1;
	return sizeof(*m) + 32;
}

static size_t make_success2(uint8_t *out)
{
	nvme_auth_fill_head(out, MOST, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS2, TID);
	return sizeof(struct nvme_auth_success2);
}

/* @longer: it was received, so there may be more behind it. */
static const struct {
	size_t (*make)(uint8_t *out);
	taker *take;
	bool longer;
} messages[] = {
	{ make_negotiate, take_negotiate, false },   { make_challenge, take_challenge, true },
	{ make_reply_null, take_reply_null, false }, { make_reply_2048, take_reply_2048, false },
	{ make_success1, take_success1, true },	     { make_success2, take_success2, false },
};

#define MESSAGES (sizeof(messages) / sizeof(messages[0]))

static void test_security_every_length(void **state)
{
	uint8_t text[MOST];

	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		size_t right = messages[i].make(text);

		for (size_t len = 0; len <= MOST; len++) {
			int rc = take_exactly(messages[i].take, text, len);

			if (len == right || (messages[i].longer && len > right))
				assert_int_equal(rc, 0);
			else
				assert_int_equal(rc, NVME_AUTH_REASON_PAYLOAD);
		}
	}
}

/* Every value of every byte of what comes before the data. */
static void test_security_every_byte(void **state)
{
	uint8_t text[MOST];

	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		size_t right = messages[i].make(text);

		for (size_t at = 4; at < 16 && at < right; at++) {
			uint8_t was = text[at];

			for (unsigned int value = 0; value < 256; value++) {
				text[at] = (uint8_t)value;
				(void)take_exactly(messages[i].take, text, right);
			}
			text[at] = was;
			assert_int_equal(take_exactly(messages[i].take, text, right), 0);
		}
	}
}

static void test_security_random_messages(void **state)
{
	uint8_t text[MOST];
	uint32_t seed = 20;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		size_t i = round % MESSAGES, right = messages[i].make(text);

		for (unsigned int n = 0; n < 4; n++) {
			seed = seed * 1664525 + 1013904223;
			text[(seed >> 8) % (right < 20 ? right : 20)] = (uint8_t)(seed >> 24);
		}
		seed = seed * 1664525 + 1013904223;
		(void)take_exactly(messages[i].take, text, seed >> 8 & 1 ? right : seed % MOST);
	}
}

/* --- what is in them -------------------------------------------------------------------------- */

static void test_offer(void **state)
{
	uint8_t text[MOST];
	struct nvme_auth_negotiate *m = (void *)text;
	struct nvme_auth_offer offer;
	size_t len = make_negotiate(text);

	(void)state;
	assert_int_equal(nvme_auth_take_negotiate(text, len, &offer), 0);
	assert_int_equal(offer.hashes, 1 << NVME_DHCHAP_SHA256 | 1 << NVME_DHCHAP_SHA512);
	assert_int_equal(offer.groups, 1 << NVME_DHCHAP_GROUP_NULL | 1 << NVME_DHCHAP_GROUP_8192);
	m->secure_channel = 1;
	assert_int_equal(nvme_auth_take_negotiate(text, len, &offer),
			 NVME_AUTH_REASON_SECURE_CHANNEL);
	m->secure_channel = 0;
	m->protocols[0].id = 2;
	assert_int_equal(nvme_auth_take_negotiate(text, len, &offer), NVME_AUTH_REASON_PROTOCOL);
	m->protocols[0].id = NVME_AUTH_DHCHAP;
	m->protocols[0].hashes = 31;
	assert_int_equal(nvme_auth_take_negotiate(text, len, &offer), NVME_AUTH_REASON_PAYLOAD);
}

static void check_dh_len(uint8_t group, uint16_t dh_len, int expected)
{
	struct nvme_auth_replied r;
	uint8_t text[MOST];
	size_t len = make_reply(text, 32, dh_len);

	assert_int_equal(nvme_auth_take_reply(text, len, TID, NVME_DHCHAP_SHA256, group, &r),
			 expected);
}

static void test_lengths_of_values(void **state)
{
	(void)state;
	for (uint8_t group = NVME_DHCHAP_GROUP_2048; group <= NVME_DHCHAP_GROUP_8192; group++) {
		uint16_t most = nvme_dhchap_group_len(group);

		check_dh_len(group, most, 0);
		check_dh_len(group, 4, 0);
		check_dh_len(group, 0, NVME_AUTH_REASON_PAYLOAD);
		check_dh_len(group, (uint16_t)(most - 2), NVME_AUTH_REASON_PAYLOAD);
		check_dh_len(group, (uint16_t)(most + 4), NVME_AUTH_REASON_PAYLOAD);
	}
	check_dh_len(NVME_DHCHAP_GROUP_NULL, 0, 0);
	check_dh_len(NVME_DHCHAP_GROUP_NULL, 4, NVME_AUTH_REASON_PAYLOAD);
}

static void test_another_transaction(void **state)
{
	uint8_t text[MOST];

	(void)state;
	for (size_t i = 1; i < MESSAGES; i++) {
		size_t right = messages[i].make(text);

		text[4] ^= 1;
		assert_int_equal(take_exactly(messages[i].take, text, right),
				 NVME_AUTH_REASON_PAYLOAD);
	}
}

static void test_which_message(void **state)
{
	uint8_t text[MOST];

	(void)state;
	make_reply_null(text);
	assert_true(nvme_auth_is(text, 6, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY));
	assert_false(nvme_auth_is(text, 5, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY));
	assert_false(nvme_auth_is(text, 6, NVME_AUTH_COMMON, NVME_AUTH_REPLY));
	assert_false(nvme_auth_is(text, 6, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS1));
	assert_int_equal(nvme_auth_tid(text), TID);
	for (unsigned int i = 0; i < 256; i++)
		assert_non_null(nvme_auth_reason_text((uint8_t)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_every_length),
		cmocka_unit_test(test_security_every_byte),
		cmocka_unit_test(test_security_random_messages),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_lengths_of_values),
		cmocka_unit_test(test_another_transaction),
		cmocka_unit_test(test_which_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

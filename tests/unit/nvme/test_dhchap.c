/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses of DH-HMAC-CHAP, and what both sides have by Diffie-Hellman. The expected responses
 * were computed by Python's hmac from the text of Base 2.0, 8.13.5.
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

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme/dhchap.h"

#define PLAIN "DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:"
#define BOUND "DHHC-1:02:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vcSEgBQ==:"
#define HOST  "nqn.2016-06.io.spdk:host1"
#define NQN   "nqn.2016-06.io.spdk:cnode1"

static uint8_t challenge[NVME_DHCHAP_HASH_MAX];

static struct nvme_dhchap_proof proof_of(uint8_t hash)
{
	for (size_t i = 0; i < sizeof(challenge); i++)
		challenge[i] = (uint8_t)(100 + i);
	return (struct nvme_dhchap_proof){ .hash = hash,
					   .challenge = challenge,
					   .seq = 0x01020304,
					   .tid = 1,
					   .role = "HostHost",
					   .owner = HOST,
					   .other = NQN };
}

static void take_key(struct key *key, const char *text)
{
	struct error err = ERROR_INIT;

	assert_int_equal(key_parse(text, &key_form_dhchap, key, &err), 0);
}

static void check_response(const char *text, uint8_t hash, size_t secret_len, const char *expected)
{
	struct nvme_dhchap_proof proof = proof_of(hash);
	uint8_t out[NVME_DHCHAP_HASH_MAX], secret[256];
	char hex[2 * NVME_DHCHAP_HASH_MAX + 1];
	struct key key;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(7 * i);
	proof.secret = secret;
	proof.secret_len = secret_len;
	take_key(&key, text);
	assert_int_equal(nvme_dhchap_respond(&key, &proof, out), 0);
	for (size_t i = 0; i < nvme_dhchap_hash_len(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	assert_string_equal(hex, expected);
}

static void test_responses(void **state)
{
	(void)state;
	check_response(PLAIN, NVME_DHCHAP_SHA256, 0,
		       "8ba00a2bd4f815a252a759ba8a8de2304e942bb055fbe2ebb22d963103d7f435");
	check_response(BOUND, NVME_DHCHAP_SHA256, 0,
		       "d35f17e489bb5bfa1f41c7536cb8a941530189da461af1575b8119648a982a61");
	check_response(PLAIN, NVME_DHCHAP_SHA384, 0,
		       "31b1d10e9ea9654ce10730439319e6a1c60742f3e3c89eb548c4591157803c69"
		       "c52f351ddfee79ed42f3e56229b8a8c3");
	check_response(PLAIN, NVME_DHCHAP_SHA512, 0,
		       "98bc1c7afb8b82aed6eeacb3e3809b96484f8cfa093b7b13b4a54e7d0c7affd8"
		       "40d6a2b79ade205d50a1acf37435fb1077540c381cc460ffdff1b1e7bf7ab0fc");
}

static void test_responses_with_a_secret(void **state)
{
	(void)state;
	check_response(PLAIN, NVME_DHCHAP_SHA256, 256,
		       "2e432264265c7b596fae258b8c4734fa38b22561e5a5f19430ce5ad813d51fb3");
	check_response(PLAIN, NVME_DHCHAP_SHA384, 256,
		       "c34ffe7e92891010439f928b36c29783b172fa437d59278639b085bf83ab7424"
		       "916ec1668ed4db756f05db8a35063eba");
	check_response(PLAIN, NVME_DHCHAP_SHA512, 256,
		       "0d4f52e114dd3f59586272a83dc1b8a5229c26dfac32abfaea191da68ccadae5"
		       "51dd2d30a5c35abc21694464dffba808efde815df3d201abc7d36ddce8ffe13c");
}

static void test_names_that_are_too_long(void **state)
{
	struct nvme_dhchap_proof proof = proof_of(NVME_DHCHAP_SHA256);
	uint8_t out[NVME_DHCHAP_HASH_MAX];
	char longest[225];
	struct key key;

	(void)state;
	take_key(&key, BOUND);
	memset(longest, 'a', sizeof(longest));
	longest[224] = '\0';
	proof.owner = longest;
	assert_int_equal(nvme_dhchap_respond(&key, &proof, out), -EIO);
	longest[223] = '\0';
	proof.other = longest;
	assert_int_equal(nvme_dhchap_respond(&key, &proof, out), 0);
}

static void test_names_and_lengths(void **state)
{
	(void)state;
	assert_int_equal(nvme_dhchap_hash_len(0), 0);
	assert_int_equal(nvme_dhchap_hash_len(NVME_DHCHAP_SHA256), 32);
	assert_int_equal(nvme_dhchap_hash_len(NVME_DHCHAP_SHA384), 48);
	assert_int_equal(nvme_dhchap_hash_len(NVME_DHCHAP_SHA512), 64);
	assert_int_equal(nvme_dhchap_hash_len(4), 0);
	assert_null(nvme_dhchap_hash_name(0));
	assert_null(nvme_dhchap_hash_name(4));
	assert_string_equal(nvme_dhchap_hash_name(3), "sha512");
	assert_string_equal(nvme_dhchap_group_name(0), "null");
	assert_string_equal(nvme_dhchap_group_name(5), "ffdhe8192");
	assert_null(nvme_dhchap_group_name(6));
	assert_int_equal(nvme_dhchap_group_len(0), 0);
	assert_int_equal(nvme_dhchap_group_len(1), 256);
	assert_int_equal(nvme_dhchap_group_len(6), 0);
	assert_int_equal(nvme_dhchap_strongest(0), -1);
	assert_int_equal(nvme_dhchap_strongest(NVME_DHCHAP_HASHES), NVME_DHCHAP_SHA512);
	assert_int_equal(nvme_dhchap_strongest(NVME_DHCHAP_GROUPS), NVME_DHCHAP_GROUP_8192);
	assert_int_equal(nvme_dhchap_strongest(1), NVME_DHCHAP_GROUP_NULL);
}

/* --- Diffie-Hellman --------------------------------------------------------------------------- */

struct side {
	struct nvme_dh *dh;
	uint8_t public[NVME_DHCHAP_DH_MAX], secret[NVME_DHCHAP_DH_MAX];
};

static void side_init(struct side *side, uint8_t group)
{
	memset(side, 0, sizeof(*side));
	side->dh = nvme_dh_create(group);
	assert_non_null(side->dh);
	assert_int_equal(nvme_dh_public(side->dh, side->public), 0);
}

/* Both sides come to the same response in every hash and group, and nobody else does. */
static void check_pair(uint8_t hash, uint8_t group)
{
	struct nvme_dhchap_proof proof = proof_of(hash);
	uint8_t mine[NVME_DHCHAP_HASH_MAX], theirs[NVME_DHCHAP_HASH_MAX];
	uint16_t len = nvme_dhchap_group_len(group);
	struct side host = { .dh = NULL }, ctrlr = { .dh = NULL };
	struct key key;

	take_key(&key, BOUND);
	if (len) {
		side_init(&host, group);
		side_init(&ctrlr, group);
		assert_memory_not_equal(host.public, ctrlr.public, len);
		assert_int_equal(nvme_dh_secret(host.dh, ctrlr.public, len, host.secret), 0);
		assert_int_equal(nvme_dh_secret(ctrlr.dh, host.public, len, ctrlr.secret), 0);
	}
	proof.secret_len = len;
	proof.secret = host.secret;
	assert_int_equal(nvme_dhchap_respond(&key, &proof, mine), 0);
	proof.secret = ctrlr.secret;
	assert_int_equal(nvme_dhchap_respond(&key, &proof, theirs), 0);
	assert_memory_equal(mine, theirs, nvme_dhchap_hash_len(hash));
	if (len) {
		ctrlr.secret[len - 1] ^= 1;
		assert_int_equal(nvme_dhchap_respond(&key, &proof, theirs), 0);
		assert_memory_not_equal(mine, theirs, nvme_dhchap_hash_len(hash));
	}
	nvme_dh_free(host.dh);
	nvme_dh_free(ctrlr.dh);
}

static void test_every_hash_with_every_group(void **state)
{
	(void)state;
	for (uint8_t hash = NVME_DHCHAP_SHA256; hash <= NVME_DHCHAP_SHA512; hash++)
		for (uint8_t group = NVME_DHCHAP_GROUP_NULL; group <= NVME_DHCHAP_GROUP_8192;
		     group++)
			check_pair(hash, group);
}

/* A value whose first bytes are 0 may come without them. */
static void test_short_values(void **state)
{
	uint8_t padded[256] = { 0 }, secret[NVME_DHCHAP_DH_MAX], again[NVME_DHCHAP_DH_MAX];
	struct side side;

	(void)state;
	side_init(&side, NVME_DHCHAP_GROUP_2048);
	padded[255] = 9;
	assert_int_equal(nvme_dh_secret(side.dh, padded, 256, secret), 0);
	assert_int_equal(nvme_dh_secret(side.dh, padded + 252, 4, again), 0);
	assert_memory_equal(secret, again, 256);
	nvme_dh_free(side.dh);
}

static void check_bad_value(struct side *side, uint16_t len, const uint8_t *value)
{
	assert_int_equal(nvme_dh_secret(side->dh, value, len, side->secret), -EINVAL);
}

/* 0, 1, p - 1, p, and what is longer or greater: with them an eavesdropper has the secret. */
static void test_security_values_that_give_no_secret(void **state)
{
	(void)state;
	for (uint8_t group = NVME_DHCHAP_GROUP_2048; group <= NVME_DHCHAP_GROUP_8192; group++) {
		uint8_t value[NVME_DHCHAP_DH_MAX + 4] = { 0 };
		uint16_t len = nvme_dhchap_group_len(group);
		struct side side;

		side_init(&side, group);
		check_bad_value(&side, len, value);
		value[len - 1] = 1;
		check_bad_value(&side, len, value);
		memset(value, 0xff, sizeof(value));
		check_bad_value(&side, len, value);
		check_bad_value(&side, (uint16_t)(len + 4), value);
		nvme_dh_free(side.dh);
	}
}

static void test_no_such_group(void **state)
{
	(void)state;
	assert_null(nvme_dh_create(NVME_DHCHAP_GROUP_NULL));
	assert_null(nvme_dh_create(6));
	assert_null(nvme_dh_create(255));
	nvme_dh_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_responses_with_a_secret),
		cmocka_unit_test(test_names_that_are_too_long),
		cmocka_unit_test(test_names_and_lengths),
		cmocka_unit_test(test_every_hash_with_every_group),
		cmocka_unit_test(test_short_values),
		cmocka_unit_test(test_security_values_that_give_no_secret),
		cmocka_unit_test(test_no_such_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

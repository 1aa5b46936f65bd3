/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and responses of DH-HMAC-CHAP. The expected responses were computed by Python's hmac from
 * the text of Base 2.0, 8.13.5.
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

static void check_response(const char *text, const char *expected)
{
	uint8_t challenge[32], out[NVME_DHCHAP_HASH_MAX];
	struct nvme_dhchap_proof proof = { .hash = NVME_DHCHAP_SHA256,
					   .challenge = challenge,
					   .seq = 0x01020304,
					   .tid = 1,
					   .role = "HostHost",
					   .owner = HOST,
					   .other = NQN };
	struct error err = ERROR_INIT;
	struct nvme_dhchap_key key;
	char hex[65];

	for (size_t i = 0; i < sizeof(challenge); i++)
		challenge[i] = (uint8_t)(100 + i);
	assert_int_equal(nvme_dhchap_key_parse(text, &key, &err), 0);
	assert_int_equal(nvme_dhchap_respond(&key, &proof, out), 0);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	assert_string_equal(hex, expected);
}

static void test_responses(void **state)
{
	(void)state;
	check_response(PLAIN, "8ba00a2bd4f815a252a759ba8a8de2304e942bb055fbe2ebb22d963103d7f435");
	check_response(BOUND, "d35f17e489bb5bfa1f41c7536cb8a941530189da461af1575b8119648a982a61");
}

static void test_keys(void **state)
{
	struct error err = ERROR_INIT;
	struct nvme_dhchap_key key;

	(void)state;
	assert_int_equal(nvme_dhchap_key_parse(PLAIN "\n", &key, &err), 0);
	assert_int_equal(key.len, 32);
	assert_int_equal(key.hash, 0);
	assert_int_equal(key.bytes[31], 31);
	assert_int_equal(nvme_dhchap_key_parse(BOUND, &key, &err), 0);
	assert_int_equal(key.len, 48);
	assert_int_equal(key.hash, NVME_DHCHAP_SHA384);
}

static void test_security_wrong_keys_are_refused_without_their_text(void **state)
{
	static const char *const bad[] = {
		"",
		"DHHC-1:",
		"DHHC-1:04:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:",
		"DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR",
		"DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaS:",
		"DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:x",
		"DHHC-1:00:AAEC:",
		"DHHC-1:00::",
		"DHHC-1:00:A:",
		"DHHC-1:00:!!!!:",
		"DHHC-1:01:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"
		"cSEgBQ==:",
		"NVMeTLSkey-1:01:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:",
	};
	struct nvme_dhchap_key key;
	char longer[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(nvme_dhchap_key_parse(bad[i], &key, &err), -EINVAL);
		assert_null(strstr(err.text, "AAEC"));
	}
	memset(longer, 'A', sizeof(longer));
	memcpy(longer, "DHHC-1:00:", 10);
	memcpy(longer + sizeof(longer) - 2, ":", 2);
	assert_int_equal(nvme_dhchap_key_parse(longer, &key, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_security_wrong_keys_are_refused_without_their_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses of DH-HMAC-CHAP. The expected responses were computed by Python's hmac from
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
	struct key key;
	char hex[65];

	for (size_t i = 0; i < sizeof(challenge); i++)
		challenge[i] = (uint8_t)(100 + i);
	assert_int_equal(key_parse(text, &key_form_dhchap, &key, &err), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

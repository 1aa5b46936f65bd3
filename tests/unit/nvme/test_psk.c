/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys of TLS. Keys and identities of version 1 are those of libnvme's own tests; the
 * other expectations were computed by Python's hmac from NVMe/TCP 1.1, 3.6.1, and RFC 8446, 7.1.
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

#include "nvme/psk.h"

#define HOST   "nqn.psk-test-host"
#define NQN    "nqn.psk-test-subsys"
#define KEY_32 "VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:"
#define KEY_48 "VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwP/w0S89ELi3W2LxIcLXVsDn8kXZQ==:"

static void check_bytes(const struct nvme_psk *psk, const char *expected)
{
	char hex[2 * NVME_PSK_BYTES_MAX + 1];

	for (size_t i = 0; i < psk->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", psk->bytes[i]);
	assert_string_equal(hex, expected);
}

static void retain(const char *text, struct nvme_psk *retained)
{
	struct key key;

	assert_int_equal(key_parse(text, &key_form_tls, &key, NULL), 0);
	assert_int_equal(nvme_psk_retain(&key, HOST, retained), 0);
}

static void check(const char *text, enum nvme_psk_version version, const char *identity,
		  const char *expected)
{
	char made[NVME_PSK_IDENTITY_MAX];
	struct nvme_psk retained, psk;

	retain(text, &retained);
	assert_int_equal(nvme_psk_identity(&retained, version, HOST, NQN, made), 0);
	assert_string_equal(made, identity);
	assert_int_equal(nvme_psk_derive(&retained, made, &psk), 0);
	check_bytes(&psk, expected);
}

static void test_retained(void **state)
{
	struct nvme_psk retained;

	(void)state;
	retain("NVMeTLSkey-1:01:" KEY_32, &retained);
	check_bytes(&retained, "073311dec37e219ff3acd43f130130c5bdd443c066e1cc3424e49030234ff7d5");
	retain("NVMeTLSkey-1:02:" KEY_48, &retained);
	check_bytes(&retained, "73973a1b51a9acdde29a0610ac6a3ef852cf45936cca6830a661d18f68502f1a"
			       "4c7a8ecb37524e0b1f7087cb4d680ad9");
	retain("NVMeTLSkey-1:00:" KEY_32, &retained);
	check_bytes(&retained, "5512dbb6737d0106f65975b773dfb011ffc344bcf442e2dd6d8bc4870b5d5b03");
}

static void test_version_0(void **state)
{
	(void)state;
	check("NVMeTLSkey-1:01:" KEY_32, NVME_PSK_VERSION_0, "NVMe0R01 " HOST " " NQN,
	      "05c6503551ad136e6ee32e6eeb3f6d500b69701d84ec71e328f65c7f51566f68");
	check("NVMeTLSkey-1:02:" KEY_48, NVME_PSK_VERSION_0, "NVMe0R02 " HOST " " NQN,
	      "f42ba63824cdfe421914c582921f85b5b5b7e2d4df084caeedc9be20b212e8bb"
	      "0fe8a23e9d59a1c8fc6449da4970a78d");
	check("NVMeTLSkey-1:00:" KEY_32, NVME_PSK_VERSION_0, "NVMe0R01 " HOST " " NQN,
	      "ec85300ba827726bd3bc4fc07f3a34aec5fe7c8ccac05fefc2f021c74e0df9ef");
}

static void test_version_1(void **state)
{
	(void)state;
	check("NVMeTLSkey-1:01:" KEY_32, NVME_PSK_VERSION_1,
	      "NVMe1R01 " HOST " " NQN " iSbjiStwJ/1TrTvDlt2fjFmzvsytOJelidNnA+X5lEU=",
	      "8fc3c0badfd4c0c66fa3ca33aadd0314f85536cc9bc47338b60f3e6e563786ca");
	check("NVMeTLSkey-1:02:" KEY_48, NVME_PSK_VERSION_1,
	      "NVMe1R02 " HOST " " NQN
	      " QhW2+Rp6RzHlNtCslyRxMnwJ11tKKhz8JCAQpQ+XUD8f9td1VeH5h53yz2wKJG1a",
	      "a2b2f943f479fc682555cec89857c80ed004ce92f32a973d5764155bb7e36b17"
	      "a85368a0666d250afac9282dda2e62ca");
}

/* What is bound to an identity has 255 bytes; one of version 1 binds the digest. */
static void test_long_names(void **state)
{
	char host[224], nqn[224], identity[NVME_PSK_IDENTITY_MAX];
	struct nvme_psk retained, psk;

	(void)state;
	memset(host, 'h', sizeof(host));
	memset(nqn, 'n', sizeof(nqn));
	host[122] = nqn[123] = '\0';
	retain("NVMeTLSkey-1:01:" KEY_32, &retained);
	assert_int_equal(nvme_psk_identity(&retained, NVME_PSK_VERSION_0, host, nqn, identity), 0);
	assert_int_equal(strlen(identity), 255);
	assert_int_equal(nvme_psk_derive(&retained, identity, &psk), 0);
	host[122] = 'h';
	host[123] = '\0';
	assert_int_equal(nvme_psk_identity(&retained, NVME_PSK_VERSION_0, host, nqn, identity),
			 -ENAMETOOLONG);
	host[123] = 'h';
	nqn[123] = 'n';
	host[223] = nqn[223] = '\0';
	assert_int_equal(nvme_psk_identity(&retained, NVME_PSK_VERSION_1, host, nqn, identity), 0);
	assert_int_equal(nvme_psk_derive(&retained, identity, &psk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retained),
		cmocka_unit_test(test_version_0),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

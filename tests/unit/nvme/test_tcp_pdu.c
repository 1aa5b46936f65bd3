/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared PDU checks: every type against every HLEN, PDO, PLEN and flag, digests on and off, for
 * both directions.
 *
 * Threading: a single-threaded test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/le.h"
#include "nvme/tcp_pdu.h"

#define DATA	 512u
#define MAX_PLEN (256u * 1024)

struct combination {
	struct nvme_tcp_rules rules;
	uint8_t type;
};

static bool is_from_host(uint8_t type)
{
	return type == NVME_TCP_IC_REQ || type == NVME_TCP_H2C_TERM || type == NVME_TCP_CMD ||
	       type == NVME_TCP_H2C_DATA;
}

static bool may_have_digest(uint8_t type)
{
	return type >= NVME_TCP_CMD && type <= NVME_TCP_R2T;
}

static bool is_term(uint8_t type)
{
	return type == NVME_TCP_H2C_TERM || type == NVME_TCP_C2H_TERM;
}

static bool needs_data(uint8_t type)
{
	return type == NVME_TCP_H2C_DATA || type == NVME_TCP_C2H_DATA;
}

static const uint8_t types[] = {
	NVME_TCP_IC_REQ, NVME_TCP_IC_RESP,  NVME_TCP_H2C_TERM, NVME_TCP_C2H_TERM, NVME_TCP_CMD,
	NVME_TCP_RESP,	 NVME_TCP_H2C_DATA, NVME_TCP_C2H_DATA, NVME_TCP_R2T,
};

/* Call @fn for every type, digest setting and some alignments, in the type's own direction. */
static void each_combination(void (*fn)(const struct combination *c))
{
	static const uint32_t alignments[] = { 0, 4, 8, 64, 128 };

	for (size_t t = 0; t < sizeof(types); t++)
		for (unsigned int digests = 0; digests < 4; digests++)
			for (size_t a = 0; a < sizeof(alignments) / sizeof(alignments[0]); a++) {
				struct combination c = {
					.type = types[t],
					.rules = {
						.hdgst = digests & 1,
						.ddgst = digests & 2,
						.alignment = alignments[a],
						.from_host = is_from_host(types[t]),
						.max_plen = MAX_PLEN,
					},
				};
				fn(&c);
			}
}

static struct nvme_tcp_common good(const struct combination *c, uint32_t data_len)
{
	struct nvme_tcp_common ch;

	nvme_tcp_fill_common(&ch, c->type, 0, may_have_digest(c->type) && c->rules.hdgst,
			     c->rules.ddgst, c->rules.alignment, data_len);
	return ch;
}

static int check(const struct combination *c, const struct nvme_tcp_common *ch,
		 struct nvme_tcp_layout *layout, uint32_t *fei)
{
	*fei = UINT32_MAX;
	return nvme_tcp_check_common(ch, &c->rules, layout, fei);
}

static void assert_refused(const struct combination *c, const struct nvme_tcp_common *ch,
			   uint32_t offset)
{
	struct nvme_tcp_layout layout;
	uint32_t fei;

	assert_int_equal(check(c, ch, &layout, &fei), NVME_TCP_FES_INVALID_HEADER);
	assert_int_equal(fei, offset);
}

static void good_is_taken(const struct combination *c)
{
	uint32_t data = needs_data(c->type) ? DATA : 0;
	struct nvme_tcp_common ch = good(c, data);
	struct nvme_tcp_layout layout;
	uint32_t fei, header = nvme_tcp_header_len(c->type);

	if (may_have_digest(c->type) && c->rules.hdgst)
		header += NVME_TCP_DIGEST_BYTES;
	assert_int_equal(check(c, &ch, &layout, &fei), 0);
	assert_int_equal(layout.header, header);
	assert_int_equal(layout.data_len, data);
	assert_int_equal(layout.ddgst, data && c->rules.ddgst);
	if (data) {
		assert_true(layout.data >= header);
		if (c->rules.alignment)
			assert_int_equal(layout.data % c->rules.alignment, 0);
	}
}

static void test_good_headers(void **state)
{
	(void)state;
	each_combination(good_is_taken);
}

static void in_capsule_is_taken(const struct combination *c)
{
	struct nvme_tcp_common ch;
	struct nvme_tcp_layout layout;
	uint32_t fei;

	if (c->type != NVME_TCP_CMD)
		return;
	ch = good(c, DATA);
	assert_int_equal(check(c, &ch, &layout, &fei), 0);
	assert_int_equal(layout.data_len, DATA);
	assert_int_equal(layout.ddgst, c->rules.ddgst);
	assert_int_equal(layout.data + DATA + (c->rules.ddgst ? 4 : 0), le32_get(&ch.plen));
}

static void test_capsule_with_data(void **state)
{
	(void)state;
	each_combination(in_capsule_is_taken);
}

static void wrong_hlen_is_refused(const struct combination *c)
{
	struct nvme_tcp_common ch = good(c, needs_data(c->type) ? DATA : 0);

	for (unsigned int hlen = 0; hlen < 256; hlen++) {
		if (hlen == nvme_tcp_header_len(c->type))
			continue;
		ch.hlen = (uint8_t)hlen;
		assert_refused(c, &ch, 2);
	}
}

/* CVE-2025-21927: the length of a header was believed when digests were on. */
static void test_security_every_wrong_hlen(void **state)
{
	(void)state;
	each_combination(wrong_hlen_is_refused);
}

static void wrong_pdo_is_refused(const struct combination *c)
{
	struct nvme_tcp_common ch = good(c, DATA);
	struct nvme_tcp_layout layout;
	uint32_t fei, header;

	if (!needs_data(c->type) && c->type != NVME_TCP_CMD)
		return;
	header = nvme_tcp_header_len(c->type) + (c->rules.hdgst ? 4u : 0u);
	for (unsigned int pdo = 0; pdo < 256; pdo++) {
		ch.pdo = (uint8_t)pdo;
		if (pdo >= header && pdo <= NVME_TCP_PDO_MASK_BYTES &&
		    (!c->rules.alignment || pdo % c->rules.alignment == 0)) {
			le32_put(&ch.plen, pdo + DATA + (c->rules.ddgst ? 4 : 0));
			assert_int_equal(check(c, &ch, &layout, &fei), 0);
			assert_int_equal(layout.data, pdo);
			assert_int_equal(layout.data_len, DATA);
		} else {
			assert_refused(c, &ch, 3);
		}
	}
}

static void test_security_every_wrong_pdo(void **state)
{
	(void)state;
	each_combination(wrong_pdo_is_refused);
}

/* The shortest and longest PLEN that a header of this type may carry. */
static void plen_bounds(const struct combination *c, const struct nvme_tcp_common *ch,
			uint32_t *low, uint32_t *high)
{
	*low = *high = le32_get(&ch->plen);
	if (is_term(c->type)) {
		*high = *low + NVME_TCP_TERM_DATA_MAX;
	} else if (needs_data(c->type)) {
		*low = ch->pdo + 1u + (c->rules.ddgst ? 4u : 0u);
		*high = MAX_PLEN;
	}
}

static void wrong_plen_is_refused(const struct combination *c)
{
	struct nvme_tcp_common ch = good(c, needs_data(c->type) ? DATA : 0);
	static const uint32_t far[] = { MAX_PLEN,   MAX_PLEN + 1, 0x7fffffff,
					0x80000000, 0xfffffffe,	  0xffffffff };
	struct nvme_tcp_layout layout;
	uint32_t low, high, fei;

	if (c->type == NVME_TCP_CMD) /* a longer one has data: test_security_every_wrong_pdo */
		return;
	plen_bounds(c, &ch, &low, &high);
	for (uint32_t plen = 0; plen < 1024; plen++) {
		le32_put(&ch.plen, plen);
		if (plen >= low && plen <= high)
			assert_int_equal(check(c, &ch, &layout, &fei), 0);
		else
			assert_refused(c, &ch, 4);
	}
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		le32_put(&ch.plen, far[i]);
		if (far[i] <= high)
			assert_int_equal(check(c, &ch, &layout, &fei), 0);
		else
			assert_refused(c, &ch, 4);
	}
}

static void short_capsule_is_refused(const struct combination *c)
{
	struct nvme_tcp_common ch;

	if (c->type != NVME_TCP_CMD)
		return;
	ch = good(c, DATA);
	ch.pdo = 128;
	for (uint32_t plen = 0; plen <= 128u + (c->rules.ddgst ? 4 : 0); plen++) {
		uint32_t header = 72u + (c->rules.hdgst ? 4 : 0);

		le32_put(&ch.plen, plen);
		if (plen == header && !c->rules.ddgst)
			continue;
		assert_refused(c, &ch, plen == header ? 1 : 4);
	}
}

static void test_security_every_wrong_plen(void **state)
{
	(void)state;
	each_combination(wrong_plen_is_refused);
	each_combination(short_capsule_is_refused);
}

static void wrong_digest_flags_are_refused(const struct combination *c)
{
	struct nvme_tcp_common ch = good(c, needs_data(c->type) ? DATA : 0);

	ch.flags ^= NVME_TCP_FLAG_HDGST;
	assert_refused(c, &ch, 1);
	ch.flags ^= NVME_TCP_FLAG_HDGST;
	if (is_term(c->type))
		return;
	ch.flags ^= NVME_TCP_FLAG_DDGST;
	assert_refused(c, &ch, 1);
}

static void test_security_digest_flags(void **state)
{
	(void)state;
	each_combination(wrong_digest_flags_are_refused);
}

static void other_direction_is_refused(const struct combination *c)
{
	struct combination other = *c;
	struct nvme_tcp_common ch = good(c, needs_data(c->type) ? DATA : 0);

	other.rules.from_host = !other.rules.from_host;
	assert_refused(&other, &ch, 0);
}

static void test_security_direction_and_unknown_types(void **state)
{
	struct combination c = { .rules = { .max_plen = MAX_PLEN } };
	struct nvme_tcp_common ch = { .hlen = 24 };

	(void)state;
	each_combination(other_direction_is_refused);
	for (unsigned int type = 0; type < 256; type++) {
		ch.type = (uint8_t)type;
		if (nvme_tcp_header_len(ch.type) != 0)
			continue;
		c.rules.from_host = type & 1;
		assert_refused(&c, &ch, 0);
	}
}

static void test_header_lengths(void **state)
{
	(void)state;
	assert_int_equal(nvme_tcp_header_len(NVME_TCP_IC_REQ), 128);
	assert_int_equal(nvme_tcp_header_len(NVME_TCP_CMD), 72);
	assert_int_equal(nvme_tcp_header_len(NVME_TCP_R2T), 24);
	assert_int_equal(nvme_tcp_header_len(0x08), 0);
	assert_int_equal(nvme_tcp_header_len(0xff), 0);
}

static void test_fes_names(void **state)
{
	(void)state;
	assert_string_equal(nvme_tcp_fes_name(NVME_TCP_FES_SEQUENCE), "PDU sequence error");
	assert_string_equal(nvme_tcp_fes_name(0), "unknown fatal error status");
	assert_string_equal(nvme_tcp_fes_name(0xffff), "unknown fatal error status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_headers),
		cmocka_unit_test(test_capsule_with_data),
		cmocka_unit_test(test_security_every_wrong_hlen),
		cmocka_unit_test(test_security_every_wrong_pdo),
		cmocka_unit_test(test_security_every_wrong_plen),
		cmocka_unit_test(test_security_digest_flags),
		cmocka_unit_test(test_security_direction_and_unknown_types),
		cmocka_unit_test(test_header_lengths),
		cmocka_unit_test(test_fes_names),
	};

	return cmocka_run_group_tests_name("nvme/tcp_pdu", tests, NULL, NULL);
}

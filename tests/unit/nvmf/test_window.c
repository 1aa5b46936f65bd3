/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows on pages, over memory in pieces of odd sizes.
 *
 * Threading: one thread.
 */
#include "check.h"

#include <string.h>

#include "nvmf/window.h"

#define PAGE 300u

/* Memory in pieces, with guards between them that nobody may write to. */
struct pieces {
	uint8_t memory[2048];
	struct iovec iov[8];
	unsigned int count;
};

static void cut(struct pieces *p, uint32_t len, uint32_t size)
{
	uint32_t at = 16;

	memset(p->memory, 0xee, sizeof(p->memory));
	p->count = 0;
	while (len > 0) {
		uint32_t n = p->count == 7 || len < size ? len : size;

		p->iov[p->count].iov_base = p->memory + at;
		p->iov[p->count++].iov_len = n;
		at += n + 16;
		len -= n;
		size += 3;
	}
}

static void gather(const struct pieces *p, uint8_t *out)
{
	for (unsigned int i = 0; i < p->count; i++) {
		memcpy(out, p->iov[i].iov_base, p->iov[i].iov_len);
		out += p->iov[i].iov_len;
	}
}

static void check_guards(const struct pieces *p)
{
	for (unsigned int i = 0; i < p->count; i++) {
		const uint8_t *base = p->iov[i].iov_base;

		for (int g = 1; g <= 16; g++) {
			assert_int_equal(base[-g], 0xee);
			assert_int_equal(base[p->iov[i].iov_len + (size_t)g - 1], 0xee);
		}
	}
}

/* A page of two parts with a gap between them, through any window. */
static void test_security_every_window_over_odd_pieces(void **state)
{
	uint8_t page[PAGE + 256] = { 0 };
	uint8_t got[256];

	(void)state;
	for (uint32_t i = 0; i < PAGE; i++)
		page[i] = i >= 100 && i < 150 ? 0 : (uint8_t)(i + 1);
	for (uint32_t offset = 0; offset <= PAGE; offset += 7) {
		for (uint32_t len = 1; len < 256; len += 5) {
			for (uint32_t size = 1; size < 300; size = size * 3 + 1) {
				struct pieces p;
				struct nvmf_window w = { .iov = p.iov,
							 .offset = offset,
							 .len = len };

				cut(&p, len, size);
				w.iovcnt = p.count;
				nvmf_window_clear(&w);
				nvmf_window_put(&w, 0, page, 100);
				nvmf_window_put(&w, 150, page + 150, PAGE - 150);
				gather(&p, got);
				assert_memory_equal(got, page + offset, len);
				check_guards(&p);
			}
		}
	}
}

static void test_nothing_outside_of_the_window(void **state)
{
	uint8_t memory[8];
	struct iovec iov = { memory, sizeof(memory) };
	struct nvmf_window w = { .iov = &iov, .iovcnt = 1, .offset = 100, .len = 8 };
	static const uint8_t data[64] = { 1, 2, 3 };

	(void)state;
	memset(memory, 0xee, sizeof(memory));
	nvmf_window_put(&w, 0, data, 64);
	nvmf_window_put(&w, 36, data, 64);
	nvmf_window_put(&w, 108, data, 64);
	nvmf_window_put(&w, UINT64_C(1) << 40, data, 64);
	for (unsigned int i = 0; i < sizeof(memory); i++)
		assert_int_equal(memory[i], 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security_every_window_over_odd_pieces),
		cmocka_unit_test(test_nothing_outside_of_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

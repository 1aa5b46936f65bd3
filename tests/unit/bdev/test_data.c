/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a module's limits are, the bytes are right: I/O of all types, at random places, over
 * segments cut at random and of any alignment, held against a model, while the fake bdev checks
 * that nothing reaches it which its limits forbid.
 */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS	     512u
#define ROUNDS	     300u
#define MAX_BLOCKS   300u
#define MAX_SEGMENTS 400u

#define RW   (1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE)
#define MORE (1u << BDEV_IO_UNMAP | 1u << BDEV_IO_WRITE_ZEROES | 1u << BDEV_IO_COMPARE)

static const struct limits {
	const char *name;
	uint32_t block_size, types, alignment;
	uint64_t max_rw, max_unmap, max_write_zeroes;
	uint16_t max_iov;
	uint32_t boundary;
	bool split, later, write_cache;
} cases[] = {
	{ "none", 512, RW, 1, 0, 0, 0, 0, 0, false, false, false },
	{ "all types", 512, RW | MORE, 1, 0, 0, 0, 0, 0, false, true, true },
	{ "max_rw", 512, RW | MORE, 1, 7, 0, 0, 0, 0, false, true, false },
	{ "max_rw of one block", 512, RW, 1, 1, 0, 0, 0, 0, false, false, true },
	{ "max_unmap", 512, RW | MORE, 1, 0, 9, 0, 0, 0, false, true, false },
	{ "max_write_zeroes", 512, RW | MORE, 1, 0, 0, 11, 0, 0, false, false, true },
	{ "max_iov", 512, RW | MORE, 1, 0, 0, 0, 3, 0, false, true, false },
	{ "max_iov of one", 512, RW | MORE, 1, 0, 0, 0, 1, 0, false, false, false },
	{ "boundary", 512, RW | MORE, 1, 0, 0, 0, 0, 16, true, true, false },
	{ "boundary as advice", 512, RW | MORE, 1, 0, 0, 0, 0, 16, false, true, false },
	{ "odd boundary", 512, RW, 1, 0, 0, 0, 0, 7, true, false, false },
	{ "alignment", 512, RW | MORE, 512, 0, 0, 0, 0, 0, false, true, true },
	{ "alignment of a word", 512, RW | MORE, 4, 0, 0, 0, 0, 0, false, true, true },
	{ "4096", 4096, RW | MORE, 4096, 0, 0, 0, 0, 0, false, true, true },
	{ "4096 everything", 4096, RW, 4096, 13, 0, 0, 2, 8, true, true, true },
	{ "everything", 512, RW | MORE, 512, 10, 5, 3, 4, 32, true, true, true },
	{ "largest blocks", 65536, RW, 512, 2, 0, 0, 5, 0, false, true, true },
};

static uint64_t seed;

static uint32_t random_below(uint32_t bound)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % bound);
}

/* An I/O's data: @bytes in segments that lie, in order but with gaps, in @arena. */
struct data {
	char *arena;
	struct iovec iov[MAX_SEGMENTS];
	uint16_t count;
};

static void data_make(struct data *d, size_t bytes)
{
	uint32_t style = random_below(4);
	char *at = d->arena + (style == 0 ? 0 : random_below(5000));

	d->count = 0;
	while (bytes > 0) {
		size_t len = bytes;

		if (style >= 2 && d->count < MAX_SEGMENTS - 1)
			len = style == 2 ? random_below(20000) : random_below(600);
		if (len > bytes)
			len = bytes;
		d->iov[d->count].iov_base = at;
		d->iov[d->count].iov_len = len;
		d->count++;
		at += len + (style == 0 ? 0 : random_below(3));
		bytes -= len;
	}
}

static void data_fill(struct data *d, uint32_t with)
{
	for (uint16_t i = 0; i < d->count; i++) {
		unsigned char *p = d->iov[i].iov_base;

		for (size_t j = 0; j < d->iov[i].iov_len; j++)
			p[j] = (unsigned char)(with + j * 7 + i * 13 + (j >> 8));
	}
}

static void data_copy(const struct data *d, char *to, bool from)
{
	for (uint16_t i = 0; i < d->count; i++) {
		if (from)
			memcpy(d->iov[i].iov_base, to, d->iov[i].iov_len);
		else
			memcpy(to, d->iov[i].iov_base, d->iov[i].iov_len);
		to += d->iov[i].iov_len;
	}
}

static bool data_is(const struct data *d, const char *model)
{
	for (uint16_t i = 0; i < d->count; i++) {
		if (memcmp(d->iov[i].iov_base, model, d->iov[i].iov_len) != 0)
			return false;
		model += d->iov[i].iov_len;
	}
	return true;
}

struct run {
	struct fake f;
	struct bdev_desc *desc;
	struct harness_channel ch;
	char *model;
	struct data data, compare;
	struct harness_io h;
};

static void begin(struct run *r, const struct limits *l)
{
	fake_init(&r->f, BLOCKS);
	r->f.bdev.block_size = l->block_size;
	r->f.bdev.types = l->types | 1u << BDEV_IO_FLUSH;
	r->f.bdev.alignment = l->alignment;
	r->f.bdev.max_rw = l->max_rw;
	r->f.bdev.max_unmap = l->max_unmap;
	r->f.bdev.max_write_zeroes = l->max_write_zeroes;
	r->f.bdev.max_iov = l->max_iov;
	r->f.bdev.boundary = l->boundary;
	r->f.bdev.split_on_boundary = l->split;
	r->f.bdev.write_cache = l->write_cache;
	r->f.later = l->later;
	fake_register(&r->f, "f");
	r->desc = harness_open("f");
	harness_get(&r->ch, r->desc, 0);
	r->model = calloc(BLOCKS, l->block_size);
	r->data.arena = malloc((size_t)MAX_BLOCKS * l->block_size + 65536);
	r->compare.arena = malloc((size_t)MAX_BLOCKS * l->block_size + 65536);
	assert_true(r->model && r->data.arena && r->compare.arena);
}

static void finish(struct run *r)
{
	harness_put(&r->ch);
	harness_close(r->desc);
	fake_fini(&r->f);
	free(r->model);
	free(r->data.arena);
	free(r->compare.arena);
}

static struct bdev_status go(struct run *r)
{
	harness_submit(&r->h);
	return harness_wait(&r->h);
}

static void choose(struct run *r, enum bdev_io_type type)
{
	uint32_t max = MAX_BLOCKS * 512 / r->f.bdev.block_size + 4;

	memset(&r->h, 0, sizeof(r->h));
	r->h.c = &r->ch;
	r->h.type = type;
	r->h.flags = (uint8_t)random_below(2);
	r->h.offset = random_below(BLOCKS);
	r->h.blocks = 1 + random_below(random_below(3) == 0 ? max : 12);
	if (r->h.blocks > BLOCKS - r->h.offset)
		r->h.blocks = BLOCKS - r->h.offset;
	data_make(&r->data, r->h.blocks * r->f.bdev.block_size);
	r->h.iov = r->data.iov;
	r->h.iovcnt = r->data.count;
}

static char *model_at(const struct run *r)
{
	return r->model + r->h.offset * r->f.bdev.block_size;
}

static void one_compare_and_write(struct run *r, bool match)
{
	data_make(&r->compare, r->h.blocks * r->f.bdev.block_size);
	data_copy(&r->compare, model_at(r), true);
	r->h.compare = r->compare.iov;
	r->h.compare_cnt = r->compare.count;
	data_fill(&r->data, random_below(256));
	if (match) {
		assert_ok(go(r));
		data_copy(&r->data, model_at(r), false);
	} else {
		*(char *)r->compare.iov[random_below(2) != 0 ? r->compare.count - 1u : 0u]
			 .iov_base ^= 1;
		assert_nvme(go(r), 2, 0x85);
	}
}

static void one(struct run *r)
{
	static const enum bdev_io_type types[] = {
		BDEV_IO_READ,  BDEV_IO_WRITE,	BDEV_IO_WRITE_ZEROES,
		BDEV_IO_UNMAP, BDEV_IO_COMPARE, BDEV_IO_COMPARE_AND_WRITE,
		BDEV_IO_READ,  BDEV_IO_COMPARE, BDEV_IO_COMPARE_AND_WRITE,
	};
	uint32_t kind = random_below(sizeof(types) / sizeof(types[0]));
	enum bdev_io_type type = types[kind];

	choose(r, type);
	switch (type) {
	case BDEV_IO_READ:
		data_fill(&r->data, 0x5a);
		assert_ok(go(r));
		assert_true(data_is(&r->data, model_at(r)));
		break;
	case BDEV_IO_WRITE:
		data_fill(&r->data, random_below(256));
		assert_ok(go(r));
		data_copy(&r->data, model_at(r), false);
		break;
	case BDEV_IO_COMPARE:
		data_copy(&r->data, model_at(r), true);
		if (kind == 4) {
			assert_ok(go(r));
		} else if (r->data.iov[r->data.count - 1].iov_len > 0) {
			*(char *)r->data.iov[r->data.count - 1].iov_base ^= 0x10;
			assert_nvme(go(r), 2, 0x85);
		}
		break;
	case BDEV_IO_COMPARE_AND_WRITE:
		one_compare_and_write(r, kind == 5);
		break;
	case BDEV_IO_UNMAP:
		if (!bdev_supports(&r->f.bdev, type)) {
			assert_nvme(go(r), 0, 0x01);
			break;
		}
		/* fallthrough */
	default:
		assert_ok(go(r));
		memset(model_at(r), 0, r->h.blocks * r->f.bdev.block_size);
		break;
	}
}

static void test_limits(void **state)
{
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seed = i + 1;
		harness_start(1);
		begin(&r, &cases[i]);
		for (unsigned int round = 0; round < ROUNDS; round++)
			one(&r);
		assert_memory_equal(r.model, r.f.memory, BLOCKS * cases[i].block_size);
		if (atomic_load(&r.f.violations) != 0)
			fail_msg("%s: %u violations", cases[i].name, atomic_load(&r.f.violations));
		finish(&r);
		harness_stop();
	}
}

/* An I/O within the limits is handed over as it is: one submission each. */
static void test_nothing_needless(void **state)
{
	struct run r;
	static _Alignas(4096) char buffer[16 * 512];
	struct limits l = cases[15];

	(void)state;
	harness_start(1);
	begin(&r, &l);
	for (unsigned int i = 0; i < 8; i++)
		assert_ok(harness_write(&r.ch, buffer, i * 32, 10, 0));
	assert_int_equal(atomic_load(&r.f.submitted[BDEV_IO_WRITE]), 8);
	assert_ok(harness_write(&r.ch, buffer, 0, 11, 0));
	assert_int_equal(atomic_load(&r.f.submitted[BDEV_IO_WRITE]), 10);
	assert_ok(harness_read(&r.ch, buffer, 30, 4));
	assert_int_equal(atomic_load(&r.f.submitted[BDEV_IO_READ]), 2);
	assert_ok(harness_range(&r.ch, BDEV_IO_UNMAP, 0, 10));
	assert_int_equal(atomic_load(&r.f.submitted[BDEV_IO_UNMAP]), 2);
	finish(&r);
	harness_stop();
}

/* Input that no user should send, since NVMe and virtio let hosts choose these numbers. */
static void test_security_ranges_and_lengths(void **state)
{
	struct run r;
	char buffer[4096];
	struct harness_io h;

	(void)state;
	harness_start(1);
	begin(&r, &cases[0]);
	assert_nvme(harness_read(&r.ch, buffer, BLOCKS, 1), 0, 0x80);
	assert_nvme(harness_read(&r.ch, buffer, BLOCKS - 1, 2), 0, 0x80);
	assert_nvme(harness_read(&r.ch, buffer, UINT64_MAX, 1), 0, 0x80);
	assert_nvme(harness_read(&r.ch, buffer, UINT64_MAX - 6, 8), 0, 0x80);
	assert_nvme(harness_range(&r.ch, BDEV_IO_WRITE_ZEROES, 1, UINT64_MAX), 0, 0x80);
	assert_nvme(harness_range(&r.ch, BDEV_IO_WRITE_ZEROES, 1, 0), 0, 0x02);
	assert_nvme(harness_range(&r.ch, BDEV_IO_FLUSH, 1, BLOCKS), 0, 0x80);
	assert_ok(harness_range(&r.ch, BDEV_IO_FLUSH, 0, 0));
	assert_nvme(harness_read(&r.ch, buffer, 0, 0), 0, 0x02);
	harness_io_data(&h, &r.ch, BDEV_IO_WRITE, buffer, 0, 8);
	h.one.iov_len = 4095;
	harness_submit(&h);
	assert_nvme(harness_wait(&h), 0, 0x02);
	h.iovcnt = 0;
	harness_submit(&h);
	assert_nvme(harness_wait(&h), 0, 0x02);
	assert_int_equal(atomic_load(&r.f.submitted[BDEV_IO_WRITE]), 0);
	finish(&r);
	harness_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_nothing_needless),
		cmocka_unit_test(test_security_ranges_and_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

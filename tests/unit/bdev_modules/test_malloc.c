/* SPDX-License-Identifier: Apache-2.0 */
/* The malloc bdev: parameters, data, lending, unmapping, what is saved. */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bdev_modules/malloc.h"

#define BLOCKS 8192u
#define BLOCK  512u

struct create {
	struct bdev_malloc_options o;
	struct bdev *bdev;
	struct error err;
	int rc;
};

static void create_here(void *arg)
{
	struct create *c = arg;

	c->rc = bdev_malloc_create(&c->o, &c->bdev, &c->err);
}

static int create(struct create *c)
{
	harness_call(0, create_here, c);
	return c->rc;
}

static struct create defaults(void)
{
	struct create c = { 0 };

	bdev_malloc_options_init(&c.o);
	c.o.name = "mal0";
	c.o.block_size = BLOCK;
	c.o.num_blocks = BLOCKS;
	return c;
}

struct disk {
	struct bdev *bdev;
	struct bdev_desc *desc;
	struct harness_channel ch;
};

static struct disk disk_open(struct create c)
{
	struct disk d;

	assert_int_equal(create(&c), 0);
	d.bdev = c.bdev;
	d.desc = harness_open(bdev_name(c.bdev));
	return d;
}

static void disk_close(struct disk *d)
{
	harness_put(&d->ch);
	harness_close(d->desc);
	assert_int_equal(harness_unregister(d->bdev), 0);
}

static int setup(void **state)
{
	(void)state;
	harness_start(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	harness_stop();
	return 0;
}

static void test_data(void **state)
{
	struct disk d = disk_open(defaults());
	char out[8 * BLOCK], in[8 * BLOCK], zero[8 * BLOCK] = { 0 };

	(void)state;
	harness_get(&d.ch, d.desc, 0);
	memset(in, 1, sizeof(in));
	assert_ok(harness_read(&d.ch, in, 0, 8));
	assert_memory_equal(in, zero, sizeof(in));
	pattern(out, sizeof(out), 1);
	assert_ok(harness_write(&d.ch, out, BLOCKS - 8, 8, BDEV_IO_FUA));
	assert_ok(harness_read(&d.ch, in, BLOCKS - 8, 8));
	assert_memory_equal(in, out, sizeof(in));
	assert_ok(harness_compare(&d.ch, out, BLOCKS - 8, 8));
	out[sizeof(out) - 1] ^= 1;
	assert_nvme(harness_compare(&d.ch, out, BLOCKS - 8, 8), 2, 0x85);
	assert_nvme(harness_write(&d.ch, out, BLOCKS - 7, 8, 0), 0, 0x80);
	assert_nvme(harness_write(&d.ch, out, UINT64_MAX - 3, 8, 0), 0, 0x80);
	assert_ok(harness_range(&d.ch, BDEV_IO_FLUSH, 0, BLOCKS));
	assert_true(bdev_unmap_zeroes(d.bdev));
	assert_false(bdev_has_write_cache(d.bdev));
	disk_close(&d);
}

/* Unmapped ranges of every alignment read as zeroes, and their neighbours keep their bytes. */
static void clears(struct disk *d, enum bdev_io_type type, uint64_t offset, uint64_t blocks)
{
	const size_t bytes = (size_t)BLOCKS * BLOCK;
	char *model = malloc(bytes), *in = malloc(bytes);

	pattern(model, bytes, (uint32_t)offset);
	assert_ok(harness_write(&d->ch, model, 0, BLOCKS, 0));
	assert_ok(harness_range(&d->ch, type, offset, blocks));
	memset(model + offset * BLOCK, 0, blocks * BLOCK);
	assert_ok(harness_read(&d->ch, in, 0, BLOCKS));
	assert_memory_equal(in, model, bytes);
	free(model);
	free(in);
}

static void test_unmap(void **state)
{
	struct disk d = disk_open(defaults());

	(void)state;
	harness_get(&d.ch, d.desc, 0);
	clears(&d, BDEV_IO_UNMAP, 0, BLOCKS);
	clears(&d, BDEV_IO_UNMAP, 3, 1);
	clears(&d, BDEV_IO_UNMAP, 1, 2047);
	clears(&d, BDEV_IO_UNMAP, 8, 256);
	clears(&d, BDEV_IO_WRITE_ZEROES, 7, 1001);
	clears(&d, BDEV_IO_UNMAP, 5, 1006);
	clears(&d, BDEV_IO_WRITE_ZEROES, BLOCKS - 300, 300);
	disk_close(&d);
}

/* A range is cleared in shares, between which the reactor does other work, and a reset waits. */
static void test_large_unmap_does_not_hold_up_the_reactor(void **state)
{
	struct create c = defaults();
	struct harness_io h[3] = { 0 };
	struct disk d;
	char out[BLOCK], in[BLOCK], zero[BLOCK] = { 0 };

	(void)state;
	c.o.num_blocks = (UINT64_C(256) << 20) / BLOCK;
	d = disk_open(c);
	harness_get(&d.ch, d.desc, 0);
	pattern(out, sizeof(out), 1);
	for (uint64_t at = 0; at < c.o.num_blocks; at += 8191)
		assert_ok(harness_write(&d.ch, out, at, 1, 0));
	harness_io_data(&h[0], &d.ch, BDEV_IO_UNMAP, NULL, 1, c.o.num_blocks - 1);
	harness_io_data(&h[1], &d.ch, BDEV_IO_READ, in, 0, 1);
	harness_io_data(&h[2], &d.ch, BDEV_IO_RESET, NULL, 0, 0);
	harness_submit_all(h, 3);
	assert_ok(harness_wait(&h[0]));
	assert_ok(harness_wait(&h[1]));
	assert_ok(harness_wait(&h[2]));
	assert_true(h[1].order < h[0].order);
	assert_true(h[0].order < h[2].order);
	assert_memory_equal(in, out, sizeof(in));
	for (uint64_t at = 8191; at < c.o.num_blocks; at += 8191) {
		assert_ok(harness_read(&d.ch, in, at, 1));
		assert_memory_equal(in, zero, sizeof(in));
	}
	disk_close(&d);
}

/* Lent bytes are the bdev's own: what is written later is seen there. */
static void test_lends_in_place(void **state)
{
	struct create c = defaults();
	struct harness_io h = { .type = BDEV_IO_READ, .borrow = true, .offset = 4, .blocks = 128 };
	struct disk d;
	char out[BLOCK];

	(void)state;
	/* Also across a boundary, which only what is copied is split at. */
	c.o.optimal_io_boundary = 16;
	d = disk_open(c);
	harness_get(&d.ch, d.desc, 0);
	h.c = &d.ch;
	harness_submit(&h);
	assert_ok(harness_wait(&h));
	assert_int_equal(h.io.iovcnt, 1);
	assert_int_equal(h.io.iov[0].iov_len, 128 * BLOCK);
	pattern(out, sizeof(out), 9);
	assert_ok(harness_write(&d.ch, out, 131, 1, 0));
	assert_memory_equal((char *)h.io.iov[0].iov_base + 127 * BLOCK, out, sizeof(out));
	harness_return(&h);
	disk_close(&d);
}

static void refused(const struct create *template, int code, const char *words)
{
	struct create c = *template;

	assert_int_equal(create(&c), code);
	if (strstr(c.err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", c.err.text, words);
}

static void test_refusals(void **state)
{
	struct create c = defaults();

	(void)state;
	c.o.block_size = 0;
	refused(&c, -EINVAL, "block size 0");
	c.o.block_size = 500;
	refused(&c, -EINVAL, "multiple of 512");
	c.o.block_size = 131072;
	refused(&c, -EINVAL, "up to 65536");
	c = defaults();
	c.o.num_blocks = 0;
	refused(&c, -EINVAL, "0 blocks");
	c.o.num_blocks = 1000000000000;
	refused(&c, -ENOMEM, "MiB of memory available");
	c.o.num_blocks = UINT64_MAX;
	refused(&c, -ENOMEM, "memory available");
	c = defaults();
	c.o.physical_block_size = 777;
	refused(&c, -EINVAL, "physical block size 777");
	c = defaults();
	c.o.md.md_size = 7;
	refused(&c, -EINVAL, "md_size 7");
	c = defaults();
	c.o.numa_id = 4000;
	refused(&c, -EINVAL, "numa_id 4000");
	c.o.numa_id = -2;
	refused(&c, -EINVAL, "numa_id -2");
}

/* A name in use is passed over; SPDK's next creation without a name would fail. */
static void test_names(void **state)
{
	struct create unnamed = defaults(), taken = defaults();
	struct bdev *first, *second, *third;
	char next[32];
	unsigned int number;

	(void)state;
	unnamed.o.name = NULL;
	assert_int_equal(create(&unnamed), 0);
	first = unnamed.bdev;
	assert_int_equal(sscanf(bdev_name(first), "Malloc%u", &number), 1);
	snprintf(next, sizeof(next), "Malloc%u", number + 1);
	taken.o.name = next;
	assert_int_equal(create(&taken), 0);
	second = taken.bdev;
	assert_int_equal(create(&unnamed), 0);
	third = unnamed.bdev;
	snprintf(next, sizeof(next), "Malloc%u", number + 2);
	assert_string_equal(bdev_name(third), next);
	assert_int_equal(harness_unregister(second), 0);
	assert_int_equal(harness_delete(bdev_malloc_delete, bdev_name(first), NULL), 0);
	assert_int_equal(harness_delete(bdev_malloc_delete, next, NULL), 0);
}

static void test_odd_block_size_and_node(void **state)
{
	struct create c = defaults();
	struct disk d;
	char out[3 * 1536], in[3 * 1536];

	(void)state;
	c.o.block_size = 1536;
	c.o.num_blocks = 100;
	c.o.numa_id = 0;
	d = disk_open(c);
	harness_get(&d.ch, d.desc, 0);
	pattern(out, sizeof(out), 3);
	assert_ok(harness_write(&d.ch, out, 97, 3, 0));
	assert_ok(harness_read(&d.ch, in, 97, 3));
	assert_memory_equal(in, out, sizeof(in));
	disk_close(&d);
}

static void test_saved(void **state)
{
	struct create c = defaults();
	json_t *config, *json;
	char *text;

	(void)state;
	assert_int_equal(uuid_from_text(&c.o.uuid, "40000000-1111-4222-8333-444444444444"), 0);
	c.o.block_size = 4096;
	c.o.optimal_io_boundary = 8;
	assert_int_equal(create(&c), 0);
	config = harness_config();
	text = json_dumps(config, JSON_COMPACT);
	assert_string_equal(
		text, "[{\"method\":\"bdev_malloc_create\",\"params\":{\"name\":\"mal0\","
		      "\"num_blocks\":8192,\"block_size\":4096,\"physical_block_size\":4096,"
		      "\"uuid\":\"40000000-1111-4222-8333-444444444444\",\"optimal_io_boundary\":8,"
		      "\"md_size\":0,\"dif_type\":0,\"dif_is_head_of_md\":false,"
		      "\"dif_pi_format\":0,\"numa_id\":-1}}]");
	free(text);
	json_decref(config);
	json = harness_json(c.bdev);
	assert_int_equal(json_integer_value(json_object_get(json, "numa_id")), -1);
	assert_true(json_is_true(
		json_object_get(json_object_get(json, "supported_io_types"), "compare")));
	json_decref(json);
	assert_int_equal(harness_unregister(c.bdev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_unmap_does_not_hold_up_the_reactor,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_lends_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_block_size_and_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_saved, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The null bdev: parameters, reads, borrowing, resizing, what is saved. */
#include "harness.h"

#include <errno.h>
#include <string.h>

#include "bdev_modules/null.h"

struct create {
	struct bdev_null_options o;
	struct bdev *bdev;
	struct error err;
	int rc;
};

static void create_here(void *arg)
{
	struct create *c = arg;

	c->rc = bdev_null_create(&c->o, &c->bdev, &c->err);
}

static int create(struct create *c)
{
	harness_call(0, create_here, c);
	return c->rc;
}

static struct create defaults(void)
{
	return (struct create){ .o = { .name = "null0", .block_size = 512, .num_blocks = 2048 } };
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

static void test_reads_zeroes(void **state)
{
	struct create c = defaults();
	struct harness_channel ch;
	struct bdev_desc *desc;
	char buffer[4096], zero[4096] = { 0 };

	(void)state;
	assert_int_equal(create(&c), 0);
	desc = harness_open("null0");
	harness_get(&ch, desc, 0);
	memset(buffer, 0xa5, sizeof(buffer));
	assert_ok(harness_write(&ch, buffer, 16, 8, 0));
	assert_ok(harness_read(&ch, buffer, 16, 8));
	assert_memory_equal(buffer, zero, sizeof(buffer));
	assert_ok(harness_compare(&ch, zero, 0, 8));
	assert_ok(harness_range(&ch, BDEV_IO_WRITE_ZEROES, 0, 2048));
	assert_ok(harness_range(&ch, BDEV_IO_FLUSH, 0, 0));
	assert_ok(harness_range(&ch, BDEV_IO_RESET, 0, 0));
	assert_nvme(harness_range(&ch, BDEV_IO_UNMAP, 0, 1), 0, 0x01);
	assert_nvme(harness_read(&ch, buffer, 2041, 8), 0, 0x80);
	harness_put(&ch);
	harness_close(desc);
	assert_int_equal(harness_delete(bdev_null_delete, "null0", NULL), 0);
}

static void test_borrow(void **state)
{
	struct create c = defaults();
	struct harness_channel ch;
	struct bdev_desc *desc;
	struct harness_io h = { .c = &ch, .type = BDEV_IO_READ, .borrow = true, .blocks = 256 };

	(void)state;
	assert_int_equal(create(&c), 0);
	desc = harness_open("null0");
	harness_get(&ch, desc, 0);
	harness_submit(&h);
	assert_ok(harness_wait(&h));
	assert_int_equal(h.io.iovcnt, 1);
	assert_ptr_equal(h.io.iov[0].iov_base, bdev_zeroes());
	assert_int_equal(h.io.iov[0].iov_len, BDEV_BORROW_MAX);
	harness_return(&h);
	h.blocks = 257;
	harness_submit(&h);
	assert_nvme(harness_wait(&h), 0, 0x02);
	harness_return(&h);
	harness_put(&ch);
	harness_close(desc);
	assert_int_equal(harness_delete(bdev_null_delete, "null0", NULL), 0);
}

static void refused(const struct create *template, int code, const char *words)
{
	struct create c = *template;

	assert_int_equal(create(&c), code);
	assert_int_equal(c.err.code, code);
	if (strstr(c.err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", c.err.text, words);
}

static void test_refusals(void **state)
{
	struct create c = defaults();

	(void)state;
	c.o.block_size = 0;
	refused(&c, -EINVAL, "block size 0");
	c.o.block_size = 513;
	refused(&c, -EINVAL, "block size 513");
	c.o.block_size = UINT32_MAX - 511;
	refused(&c, -EINVAL, "up to 65536");
	c = defaults();
	c.o.num_blocks = 0;
	refused(&c, -EINVAL, "0 blocks");
	c.o.num_blocks = UINT64_MAX;
	refused(&c, -EINVAL, "2^63");
	c = defaults();
	c.o.physical_block_size = 1000;
	refused(&c, -EINVAL, "physical block size 1000");
	c = defaults();
	c.o.md.md_size = 8;
	refused(&c, -EINVAL, "md_size 8");
	c = defaults();
	c.o.md.dif_type = 1;
	refused(&c, -EINVAL, "dif_type 1");
	c = defaults();
	c.o.md.dif_pi_format = 1;
	refused(&c, -EINVAL, "dif_pi_format 1");
	c = defaults();
	c.o.name = "";
	refused(&c, -EINVAL, "empty");
}

static void test_names_in_use(void **state)
{
	struct create a = defaults(), b = defaults();
	struct error err;

	(void)state;
	assert_int_equal(uuid_from_text(&a.o.uuid, "11111111-2222-4333-8444-555555555555"), 0);
	assert_int_equal(create(&a), 0);
	refused(&b, -EEXIST, "\"null0\"");
	b.o.name = "null1";
	b.o.uuid = a.o.uuid;
	refused(&b, -EEXIST, "11111111-2222-4333-8444-555555555555");
	b.o.name = "11111111-2222-4333-8444-555555555555";
	b.o.uuid = (struct uuid){ 0 };
	refused(&b, -EEXIST, "null0");
	assert_int_equal(harness_delete(bdev_null_delete, "nope", &err), -ENODEV);
	assert_non_null(strstr(err.text, "nope"));
	/* Deleting takes any name of it. */
	assert_int_equal(
		harness_delete(bdev_null_delete, "11111111-2222-4333-8444-555555555555", NULL), 0);
}

struct resize {
	const char *name;
	uint64_t mib;
	struct error err;
	int rc;
};

static void resize_here(void *arg)
{
	struct resize *r = arg;

	r->rc = bdev_null_resize(r->name, r->mib, &r->err);
}

static int resize(const char *name, uint64_t mib)
{
	struct resize r = { .name = name, .mib = mib };

	harness_call(0, resize_here, &r);
	return r.rc;
}

static void test_resize(void **state)
{
	struct create c = defaults();

	(void)state;
	assert_int_equal(create(&c), 0);
	assert_int_equal(resize("null0", 16), 0);
	assert_int_equal(bdev_num_blocks(c.bdev), 32768);
	assert_int_equal(resize("null0", 15), -EINVAL);
	assert_int_equal(resize("null0", 0), -EINVAL);
	assert_int_equal(resize("null0", UINT64_MAX), -EINVAL);
	assert_int_equal(resize("nope", 16), -ENODEV);
	assert_int_equal(bdev_num_blocks(c.bdev), 32768);
	assert_int_equal(harness_unregister(c.bdev), 0);
}

static void test_saved(void **state)
{
	struct create c = defaults();
	json_t *config;
	char *text;

	(void)state;
	assert_int_equal(uuid_from_text(&c.o.uuid, "10000000-1111-4222-8333-444444444444"), 0);
	c.o.num_blocks = 204800;
	assert_int_equal(create(&c), 0);
	config = harness_config();
	text = json_dumps(config, JSON_COMPACT);
	assert_string_equal(
		text,
		"[{\"method\":\"bdev_null_create\",\"params\":{\"name\":\"null0\",\"num_blocks\":"
		"204800,\"block_size\":512,\"physical_block_size\":512,\"md_size\":0,\"dif_type\":"
		"0,\"dif_is_head_of_md\":false,\"dif_pi_format\":0,\"uuid\":"
		"\"10000000-1111-4222-8333-444444444444\",\"preferred_write_granularity\":0,"
		"\"preferred_write_alignment\":0,\"optimal_write_size\":0,"
		"\"preferred_unmap_granularity\":0,\"preferred_unmap_alignment\":0}}]");
	free(text);
	json_decref(config);
	assert_int_equal(harness_unregister(c.bdev), 0);
}

/* The object as SPDK 26.05 prints it, but for what the engine does not have. */
static void test_json(void **state)
{
	struct create c = defaults();
	json_t *json;
	char *text;

	(void)state;
	c.o.preferred_write_granularity = c.o.preferred_write_alignment = 8;
	c.o.optimal_write_size = 64;
	c.o.preferred_unmap_granularity = c.o.preferred_unmap_alignment = 128;
	c.o.name = "null5";
	assert_int_equal(uuid_from_text(&c.o.uuid, "23150aa5-a02e-4f3b-927b-0e889d68234d"), 0);
	assert_int_equal(create(&c), 0);
	json = harness_json(c.bdev);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"name\":\"null5\",\"aliases\":[\"23150aa5-a02e-4f3b-927b-0e889d68234d\"],"
		"\"product_name\":\"Null disk\",\"block_size\":512,\"num_blocks\":2048,"
		"\"preferred_write_alignment\":8,\"preferred_write_granularity\":8,"
		"\"optimal_write_size\":64,\"preferred_unmap_alignment\":128,"
		"\"preferred_unmap_granularity\":128,\"uuid\":"
		"\"23150aa5-a02e-4f3b-927b-0e889d68234d\",\"assigned_rate_limits\":{"
		"\"rw_ios_per_sec\":0,\"rw_mbytes_per_sec\":0,\"r_mbytes_per_sec\":0,"
		"\"w_mbytes_per_sec\":0},\"claimed\":false,\"zoned\":false,"
		"\"supported_io_types\":{\"read\":true,\"write\":true,\"unmap\":false,\"flush\":"
		"false,\"reset\":true,\"nvme_admin\":false,\"nvme_io\":false,\"nvme_io_md\":false,"
		"\"write_zeroes\":true,\"zcopy\":false,\"get_zone_info\":false,"
		"\"zone_management\":false,\"zone_append\":false,\"compare\":false,"
		"\"compare_and_write\":false,\"abort\":true,\"seek_hole\":false,\"seek_data\":"
		"false,\"copy\":false,\"nvme_iov_md\":false,\"nvme_nssr\":false,"
		"\"write_uncorrectable\":false},\"driver_specific\":{}}");
	free(text);
	json_decref(json);
	assert_int_equal(harness_unregister(c.bdev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_borrow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resize, setup, teardown),
		cmocka_unit_test_setup_teardown(test_saved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

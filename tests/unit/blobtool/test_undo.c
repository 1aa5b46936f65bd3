/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans laid over an image, and undo files: whole ones put everything back, others nothing.
 *
 * Threading: one thread.
 */
#include "blobtool_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 64u

static struct error err;

struct bench {
	char folder[32], image[64], undo[64];
	struct image img;
	uint8_t before[PAGES * IMAGE_PAGE];
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	strcpy(b->folder, "/tmp/blobtool.XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	snprintf(b->image, sizeof(b->image), "%s/image", b->folder);
	snprintf(b->undo, sizeof(b->undo), "%s/undo", b->folder);
	for (uint32_t i = 0; i < sizeof(b->before); i++)
		b->before[i] = (uint8_t)(i / IMAGE_PAGE * 7 + i % 251);
	assert_int_equal(image_adopt(&b->img, b->image,
				     open(b->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600), true,
				     &err),
			 0);
	assert_int_equal(image_write(&b->img, b->before, 0, sizeof(b->before), &err), 0);
	b->img.bytes = sizeof(b->before);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	image_close(&b->img);
	unlink(b->image);
	unlink(b->undo);
	rmdir(b->folder);
	free(b);
	return 0;
}

static void plan(struct bench *b)
{
	uint8_t page[IMAGE_PAGE];

	for (uint32_t i = 0; i < 8; i++) {
		memset(page, 0xa0 + (int)i, sizeof(page));
		assert_int_equal(
			image_stage(&b->img, (uint64_t)(i * 5 % 40) * IMAGE_PAGE, page, &err), 0);
	}
	assert_int_equal(
		image_stage_copy(&b->img, 50 * IMAGE_PAGE, 60 * IMAGE_PAGE, 2 * IMAGE_PAGE, &err),
		0);
}

static void now(struct bench *b, uint8_t *bytes)
{
	const struct image plain = { .path = b->image, .fd = b->img.fd, .bytes = b->img.bytes };

	assert_int_equal(image_read(&plain, bytes, 0, sizeof(b->before), &err), 0);
}

static void test_plans_are_read_and_dropped(void **state)
{
	struct bench *b = *state;
	uint8_t page[2 * IMAGE_PAGE];
	uint64_t end;

	plan(b);
	assert_int_equal(image_read(&b->img, page, 5 * IMAGE_PAGE - 100, 200, &err), 0);
	assert_int_equal(page[99], b->before[5 * IMAGE_PAGE - 1]);
	assert_int_equal(page[100], 0xa1);
	assert_true(image_is_staged(&b->img, 5 * IMAGE_PAGE));
	assert_false(image_is_staged(&b->img, 6 * IMAGE_PAGE));
	image_drop_stage(&b->img, 6 * IMAGE_PAGE);
	image_drop_stage(&b->img, 5 * IMAGE_PAGE);
	assert_false(image_is_staged(&b->img, 5 * IMAGE_PAGE));
	assert_true(image_is_staged(&b->img, 10 * IMAGE_PAGE));
	assert_int_equal(image_read(&b->img, page, 5 * IMAGE_PAGE, 1, &err), 0);
	assert_int_equal(page[0], b->before[5 * IMAGE_PAGE]);
	/* What is planned is data, also where the file has a hole. */
	image_unstage(&b->img);
	assert_int_equal(image_zero(&b->img, 0, b->img.bytes, &err), 0);
	memset(page, 1, IMAGE_PAGE);
	assert_int_equal(image_stage(&b->img, 30 * IMAGE_PAGE, page, &err), 0);
	assert_int_equal(image_seek(&b->img, 0, &end), 30 * IMAGE_PAGE);
	assert_int_equal(end, 31 * IMAGE_PAGE);
	assert_int_equal(image_stage(&b->img, b->img.bytes, page, &err), -EIO);
}

static void test_there_and_back(void **state)
{
	struct bench *b = *state;
	uint8_t bytes[sizeof(b->before)];

	plan(b);
	assert_int_equal(undo_write(&b->img, b->undo, &err), 0);
	assert_int_equal(undo_write(&b->img, b->undo, &err), -EEXIST);
	now(b, bytes);
	assert_memory_equal(bytes, b->before, sizeof(bytes));
	assert_int_equal(undo_apply(&b->img, &err), 0);
	now(b, bytes);
	assert_int_equal(bytes[0], 0xa0);
	assert_memory_equal(bytes + 60 * IMAGE_PAGE, b->before + 50 * IMAGE_PAGE, 2 * IMAGE_PAGE);
	image_close(&b->img);
	assert_int_equal(undo_play(b->undo, b->image, &err), 0);
	assert_int_equal(image_open(&b->img, b->image, true, &err), 0);
	now(b, bytes);
	assert_memory_equal(bytes, b->before, sizeof(bytes));
}

static void flip(const char *file, off_t at)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* One wrong bit anywhere in the file: it is refused, and the image stays as it is. */
static void test_security_blobtool_undo_file_with_a_wrong_bit(void **state)
{
	struct bench *b = *state;
	uint8_t repaired[sizeof(b->before)], bytes[sizeof(b->before)];
	struct stat st;

	plan(b);
	assert_int_equal(undo_write(&b->img, b->undo, &err), 0);
	assert_int_equal(undo_apply(&b->img, &err), 0);
	now(b, repaired);
	image_close(&b->img);
	assert_int_equal(stat(b->undo, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 200 ? 1 : 509) {
		flip(b->undo, at);
		assert_true(undo_play(b->undo, b->image, &err) < 0);
		flip(b->undo, at);
	}
	for (off_t end = 0; end < st.st_size; end += 997) {
		char cut[80];
		int fd;

		snprintf(cut, sizeof(cut), "%s.cut", b->undo);
		fd = open(cut, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		for (off_t i = 0; i < end;) {
			uint8_t piece[4096];
			int from = open(b->undo, O_RDONLY | O_CLOEXEC);
			size_t n = (size_t)(end - i) < sizeof(piece) ? (size_t)(end - i)
								     : sizeof(piece);

			assert_int_equal(pread(from, piece, n, i), n);
			assert_int_equal(pwrite(fd, piece, n, i), n);
			i += (off_t)n;
			close(from);
		}
		close(fd);
		assert_true(undo_play(cut, b->image, &err) < 0);
		unlink(cut);
	}
	assert_int_equal(image_open(&b->img, b->image, true, &err), 0);
	now(b, bytes);
	assert_memory_equal(bytes, repaired, sizeof(bytes));
}

static void test_image_that_was_used_since(void **state)
{
	struct bench *b = *state;
	uint8_t bytes[sizeof(b->before)], after[sizeof(b->before)];

	plan(b);
	assert_int_equal(undo_write(&b->img, b->undo, &err), 0);
	assert_int_equal(undo_apply(&b->img, &err), 0);
	image_close(&b->img);
	flip(b->image, 10 * IMAGE_PAGE + 5);
	assert_int_equal(undo_play(b->undo, b->image, &err), -EBUSY);
	assert_int_equal(image_open(&b->img, b->image, true, &err), 0);
	now(b, after);
	assert_int_equal(after[0], 0xa0);
	now(b, bytes);
	assert_memory_equal(bytes, after, sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plans_are_read_and_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_security_blobtool_undo_file_with_a_wrong_bit,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_image_that_was_used_since, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

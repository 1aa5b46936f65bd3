/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening an image, and its bytes.
 *
 * Threading: one thread.
 */
#include "blobtool/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "probe/probe.h"

#define ZERO_BYTES (1u << 20)

/* --- opening ---------------------------------------------------------------------------------- */

static int ask_probe(const char *path, struct error *err)
{
	struct probe *probe = probe_create(NULL);
	const struct probe_finding *why;
	struct probe_device device;
	int rc;

	if (probe == NULL)
		return error_set(err, -ENOMEM, "%s: no memory", path);
	rc = probe_path(probe, path, &device, err);
	if (rc == 0) {
		why = probe_device_reason(&device);
		if (probe_device_verdict(&device) == PROBE_IN_USE)
			rc = error_set(err, -EBUSY, "%s; %s", why->text, why->remedy);
		probe_device_fini(&device);
	}
	probe_destroy(probe);
	return rc;
}

static int lock(const struct image *img, struct error *err)
{
	struct flock range = { .l_type = img->writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (img->is_block || fcntl(img->fd, F_OFD_SETLK, &range) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY,
				 "%s is locked by another program, which may write to it "
				 "(lslocks(8) shows which): stop that first",
				 img->path);
	return error_set(err, -errno, "%s cannot be locked against other programs: %s", img->path,
			 error_errno_text(-errno));
}

static int measure(struct image *img, const struct stat *st, struct error *err)
{
	img->is_block = S_ISBLK(st->st_mode);
	img->bytes = (uint64_t)st->st_size;
	if (img->is_block && ioctl(img->fd, BLKGETSIZE64, &img->bytes) < 0)
		return error_set(err, -errno, "%s does not tell its size: %s", img->path,
				 error_errno_text(-errno));
	return 0;
}

int image_adopt(struct image *img, const char *path, int fd, bool writable, struct error *err)
{
	struct stat st;
	int rc;

	*img = (struct image){ .path = path, .fd = fd, .writable = writable };
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", path, error_errno_text(-errno));
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is neither a file nor a block device", path);
	rc = measure(img, &st, err);
	return rc < 0 ? rc : lock(img, err);
}

int image_open(struct image *img, const char *path, bool writable, struct error *err)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int rc = ask_probe(path, err), fd;

	*img = (struct image){ .path = path, .fd = -1 };
	if (rc < 0)
		return rc;
	/* Of a block device O_EXCL asks that nothing of the kernel's uses it (open(2)). */
	if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(path, flags);
	if (fd < 0)
		return error_set(err, -errno, "%s cannot be opened for %s: %s", path,
				 writable ? "reading and writing" : "reading",
				 error_errno_text(-errno));
	rc = image_adopt(img, path, fd, writable, err);
	if (rc < 0)
		image_close(img);
	return rc;
}

void image_close(struct image *img)
{
	image_unstage(img);
	if (img->fd >= 0)
		close(img->fd);
	img->fd = -1;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static int read_device(const struct image *img, uint8_t *to, uint64_t at, size_t bytes,
		       struct error *err)
{
	if (!range_is_within(at, bytes, img->bytes))
		return error_set(err, -EIO, "%s: bytes %" PRIu64 " + %zu lie behind its end",
				 img->path, at, bytes);
	while (bytes > 0) {
		ssize_t n = pread(img->fd, to, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, -EIO, "%s: byte %" PRIu64 " cannot be read: %s",
					 img->path, at,
					 n < 0 ? error_errno_text(-errno) : "it has shrunk");
		to += n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* The first stage at or behind @at. */
static size_t find_stage(const struct image *img, uint64_t at)
{
	size_t low = 0, high = img->stage_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (img->stages[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void lay_over(const struct image *img, uint8_t *to, uint64_t at, size_t bytes)
{
	uint64_t first = at / IMAGE_PAGE * IMAGE_PAGE;

	for (size_t i = find_stage(img, first); i < img->stage_count; i++) {
		const struct image_stage *s = &img->stages[i];
		uint64_t from = s->at > at ? s->at : at;
		uint64_t end = s->at + IMAGE_PAGE < at + bytes ? s->at + IMAGE_PAGE : at + bytes;

		if (s->at >= at + bytes)
			break;
		memcpy(to + (from - at), s->bytes + (from - s->at), end - from);
	}
}

int image_read(const struct image *img, void *buffer, uint64_t at, size_t bytes, struct error *err)
{
	int rc = read_device(img, buffer, at, bytes, err);

	if (rc == 0 && img->stage_count > 0)
		lay_over(img, buffer, at, bytes);
	return rc;
}

int image_write(const struct image *img, const void *buffer, uint64_t at, size_t bytes,
		struct error *err)
{
	const uint8_t *from = buffer;

	while (bytes > 0) {
		ssize_t n = pwrite(img->fd, from, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, n < 0 ? -errno : -EIO,
					 "%s: byte %" PRIu64 " cannot be written: %s", img->path,
					 at, error_errno_text(n < 0 ? -errno : -EIO));
		from += n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

int image_sync(const struct image *img, struct error *err)
{
	if (fsync(img->fd) == 0)
		return 0;
	return error_set(err, -errno, "%s cannot be made durable: %s", img->path,
			 error_errno_text(-errno));
}

static int write_zeroes(const struct image *img, uint64_t at, uint64_t bytes, struct error *err)
{
	uint8_t *zeroes = calloc(1, ZERO_BYTES);
	int rc = 0;

	if (zeroes == NULL)
		return error_set(err, -ENOMEM, "no memory for zeroes");
	while (bytes > 0 && rc == 0) {
		size_t n = bytes < ZERO_BYTES ? (size_t)bytes : ZERO_BYTES;

		rc = image_write(img, zeroes, at, n, err);
		at += n;
		bytes -= n;
	}
	free(zeroes);
	return rc;
}

int image_zero(const struct image *img, uint64_t at, uint64_t bytes, struct error *err)
{
	uint64_t range[2] = { at, bytes };

	if (bytes == 0)
		return 0;
	if (img->is_block ? ioctl(img->fd, BLKZEROOUT, range) == 0
			  : fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)at, (off_t)bytes) == 0)
		return 0;
	return write_zeroes(img, at, bytes, err);
}

static uint64_t seek_device(const struct image *img, uint64_t at, uint64_t *end)
{
	off_t data, hole;

	if (at >= img->bytes)
		return UINT64_MAX;
	*end = img->bytes;
	if (img->is_block)
		return at;
	data = lseek(img->fd, (off_t)at, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? UINT64_MAX : at;
	hole = lseek(img->fd, data, SEEK_HOLE);
	if (hole > data)
		*end = (uint64_t)hole;
	return (uint64_t)data;
}

uint64_t image_seek(const struct image *img, uint64_t at, uint64_t *end)
{
	uint64_t data = seek_device(img, at, end), first = at / IMAGE_PAGE * IMAGE_PAGE;
	size_t i = find_stage(img, first);
	const struct image_stage *s = i < img->stage_count ? &img->stages[i] : NULL;

	if (s == NULL || (data != UINT64_MAX && s->at >= data))
		return data;
	*end = s->at + IMAGE_PAGE;
	return s->at > at ? s->at : at;
}

/* --- plans ------------------------------------------------------------------------------------ */

static int insert_stage(struct image *img, size_t i, uint64_t at)
{
	uint8_t *bytes = malloc(IMAGE_PAGE);

	if (img->stage_count == img->stage_room) {
		size_t room = img->stage_room == 0 ? 64 : img->stage_room * 2;
		struct image_stage *more = realloc(img->stages, room * sizeof(*more));

		if (more != NULL) {
			img->stages = more;
			img->stage_room = room;
		}
	}
	if (bytes == NULL || img->stage_count == img->stage_room) {
		free(bytes);
		return -ENOMEM;
	}
	memmove(&img->stages[i + 1], &img->stages[i],
		(img->stage_count - i) * sizeof(*img->stages));
	img->stages[i] = (struct image_stage){ .at = at, .bytes = bytes };
	img->stage_count++;
	return 0;
}

int image_stage(struct image *img, uint64_t at, const void *bytes, struct error *err)
{
	size_t i = find_stage(img, at);

	if (!range_is_within(at, IMAGE_PAGE, img->bytes))
		return error_set(err, -EIO, "%s: byte %" PRIu64 " lies behind its end", img->path,
				 at);
	if ((i == img->stage_count || img->stages[i].at != at) && insert_stage(img, i, at) < 0)
		return error_set(err, -ENOMEM, "no memory for what is to be written");
	memcpy(img->stages[i].bytes, bytes, IMAGE_PAGE);
	return 0;
}

bool image_is_staged(const struct image *img, uint64_t at)
{
	size_t i = find_stage(img, at);

	return i < img->stage_count && img->stages[i].at == at;
}

void image_drop_stage(struct image *img, uint64_t at)
{
	size_t i = find_stage(img, at);

	if (!image_is_staged(img, at))
		return;
	free(img->stages[i].bytes);
	img->stage_count--;
	memmove(&img->stages[i], &img->stages[i + 1],
		(img->stage_count - i) * sizeof(*img->stages));
}

int image_stage_copy(struct image *img, uint64_t from, uint64_t to, uint64_t bytes,
		     struct error *err)
{
	if (img->copy_count == img->copy_room) {
		size_t room = img->copy_room == 0 ? 16 : img->copy_room * 2;
		struct image_copy *more = realloc(img->copies, room * sizeof(*more));

		if (more == NULL)
			return error_set(err, -ENOMEM, "no memory for what is to be copied");
		img->copies = more;
		img->copy_room = room;
	}
	img->copies[img->copy_count++] =
		(struct image_copy){ .from = from, .to = to, .bytes = bytes };
	return 0;
}

void image_unstage(struct image *img)
{
	for (size_t i = 0; i < img->stage_count; i++)
		free(img->stages[i].bytes);
	free(img->stages);
	free(img->copies);
	img->stages = NULL;
	img->copies = NULL;
	img->stage_count = img->stage_room = 0;
	img->copy_count = img->copy_room = 0;
}

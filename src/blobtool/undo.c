/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The undo file: what a repair replaces, durable before the repair writes anything.
 *
 * Format, little-endian: a header with the image's path and size, then records. A record tells the
 * hashes of the old and of the new bytes, so that an image that was used since is not overwritten
 * with old metadata. They are no CRC: that of any page that ends with its own CRC is the same.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/le.h"
#include "blob/format.h"
#include "blobtool/descriptors.h"
#include "blobtool/repair.h"
#include "blobtool/tool.h"

#define MAGIC	    "CYBORG-SPDK-UNDO"
#define VERSION	    1u
#define RECORDS_MAX (1u << 24)
#define BYTES_MAX   (1u << 30)

struct undo_header {
	char magic[16];
	uint32_t version;
	uint32_t records;
	uint64_t image_bytes;
	uint32_t path_len;
	uint32_t crc; /* of what comes before, and of the path */
} __attribute__((packed));

/**
 * struct undo_record - followed by @bytes bytes as they were
 * @half: hash of what stands there while a repair is under way, if that is different
 */
struct undo_record {
	uint64_t at;
	uint64_t bytes;
	uint64_t old, new, half;
	uint32_t crc; /* of what comes before */
} __attribute__((packed));

static uint32_t crc_of(const void *data, size_t len)
{
	return crc32c_finish(crc32c_update(CRC32C_INIT, data, len));
}

/* FNV-1a */
static uint64_t hash_of(const uint8_t *data, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool is_super(const struct image_stage *s)
{
	return s->at == 0;
}

/* While a repair writes, the super block says that the store is not clean. */
static void make_half(const uint8_t *old, uint8_t *half)
{
	memcpy(half, old, IMAGE_PAGE);
	le32_put(half + offsetof(struct blob_disk_super, clean), 0);
	desc_seal(half);
}

static int put(FILE *f, const void *data, size_t len)
{
	return fwrite(data, 1, len, f) == len ? 0 : -EIO;
}

static int put_header(FILE *f, const struct image *img)
{
	char path[PATH_MAX] = "";
	struct undo_header h = { .magic = MAGIC };

	if (realpath(img->path, path) == NULL)
		return -errno;
	h.version = htole32(VERSION);
	h.records = htole32((uint32_t)(img->stage_count + img->copy_count));
	h.image_bytes = htole64(img->bytes);
	h.path_len = htole32((uint32_t)strlen(path));
	h.crc = htole32(crc_of(&h, offsetof(struct undo_header, crc)) ^ crc_of(path, strlen(path)));
	if (put(f, &h, sizeof(h)) < 0)
		return -EIO;
	return put(f, path, strlen(path));
}

static int put_record(FILE *f, uint64_t at, const uint8_t *old, const uint8_t *new,
		      const uint8_t *half, size_t bytes)
{
	struct undo_record r = { .at = htole64(at),
				 .bytes = htole64(bytes),
				 .old = htole64(hash_of(old, bytes)),
				 .new = htole64(hash_of(new, bytes)),
				 .half = htole64(hash_of(half, bytes)) };

	r.crc = htole32(crc_of(&r, offsetof(struct undo_record, crc)));
	if (put(f, &r, sizeof(r)) < 0)
		return -EIO;
	return put(f, old, bytes);
}

static int put_stages(FILE *f, const struct image *plain, const struct image *img,
		      struct error *err)
{
	uint8_t old[IMAGE_PAGE], half[IMAGE_PAGE];
	int rc = 0;

	for (size_t i = 0; i < img->stage_count && rc == 0; i++) {
		const struct image_stage *s = &img->stages[i];

		rc = image_read(plain, old, s->at, IMAGE_PAGE, err);
		if (rc < 0)
			return rc;
		make_half(old, half);
		rc = put_record(f, s->at, old, s->bytes, is_super(s) ? half : old, IMAGE_PAGE);
	}
	return rc;
}

static int put_copies(FILE *f, const struct image *plain, const struct image *img,
		      struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < img->copy_count && rc == 0; i++) {
		const struct image_copy *c = &img->copies[i];
		uint8_t *old = malloc(c->bytes), *new = malloc(c->bytes);

		rc = old == NULL || new == NULL ? error_set(err, -ENOMEM, "no memory for a cluster")
						: image_read(plain, old, c->to, c->bytes, err);
		if (rc == 0)
			rc = image_read(plain, new, c->from, c->bytes, err);
		if (rc == 0)
			rc = put_record(f, c->to, old, new, old, c->bytes);
		free(old);
		free(new);
	}
	return rc;
}

static int sync_folder(const char *file)
{
	char path[PATH_MAX];
	char *slash;
	int fd, rc;

	snprintf(path, sizeof(path), "%s", file);
	slash = strrchr(path, '/');
	if (slash == NULL)
		snprintf(path, sizeof(path), ".");
	else if (slash == path)
		slash[1] = '\0';
	else
		*slash = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_all(FILE *f, const struct image *img, struct error *err)
{
	/* The same descriptor without what is planned. */
	const struct image plain = { .path = img->path, .fd = img->fd, .bytes = img->bytes };
	int rc = put_header(f, img);

	if (rc == 0)
		rc = put_stages(f, &plain, img, err);
	if (rc == 0)
		rc = put_copies(f, &plain, img, err);
	if (rc == 0 && (fflush(f) != 0 || fsync(fileno(f)) < 0))
		rc = -errno;
	return rc;
}

int undo_write(const struct image *img, const char *file, struct error *err)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (f == NULL) {
		rc = error_set(err, -errno,
			       "undo file %s cannot be made: %s; --save names another one", file,
			       error_errno_text(-errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rc = write_all(f, img, err);
	if (fclose(f) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		rc = sync_folder(file);
	if (rc < 0) {
		unlink(file);
		if (err->code == 0)
			error_set(err, rc, "undo file %s cannot be written: %s", file,
				  error_errno_text(rc));
	}
	return rc;
}

/* --- the repair's own writes ------------------------------------------------------------------ */

static int copy_cluster(const struct image *img, const struct image_copy *c, struct error *err)
{
	const struct image plain = { .path = img->path, .fd = img->fd, .bytes = img->bytes };
	uint8_t *buffer = malloc(c->bytes);
	int rc = buffer == NULL ? error_set(err, -ENOMEM, "no memory for a cluster")
				: image_read(&plain, buffer, c->from, c->bytes, err);

	if (rc == 0)
		rc = image_write(img, buffer, c->to, c->bytes, err);
	free(buffer);
	return rc;
}

static int mark_half(const struct image *img, struct error *err)
{
	const struct image plain = { .path = img->path, .fd = img->fd, .bytes = img->bytes };
	uint8_t old[IMAGE_PAGE], half[IMAGE_PAGE];
	int rc = image_read(&plain, old, 0, IMAGE_PAGE, err);

	/* One that is broken is not loaded either. */
	if (rc < 0 || img->stage_count == 0 || !is_super(&img->stages[0]) ||
	    !blob_page_crc_is_right(old))
		return rc;
	make_half(old, half);
	rc = image_write(img, half, 0, IMAGE_PAGE, err);
	return rc < 0 ? rc : image_sync(img, err);
}

/*
 * Order: super block, not clean => copies of clusters => pages => super block. What is interrupted
 * can be undone.
 */
int undo_apply(struct image *img, struct error *err)
{
	struct progress progress;
	int rc = mark_half(img, err);

	progress_start(&progress, "copy");
	for (size_t i = 0; i < img->copy_count && rc == 0; i++) {
		rc = copy_cluster(img, &img->copies[i], err);
		progress_show(&progress, (i + 1) * img->copies[i].bytes,
			      img->copy_count * img->copies[i].bytes);
	}
	progress_end(&progress);
	if (rc == 0)
		rc = image_sync(img, err);
	for (size_t i = 0; i < img->stage_count && rc == 0; i++) {
		if (!is_super(&img->stages[i]))
			rc = image_write(img, img->stages[i].bytes, img->stages[i].at, IMAGE_PAGE,
					 err);
	}
	if (rc == 0)
		rc = image_sync(img, err);
	if (rc == 0 && img->stage_count > 0 && is_super(&img->stages[0]))
		rc = image_write(img, img->stages[0].bytes, 0, IMAGE_PAGE, err);
	return rc < 0 ? rc : image_sync(img, err);
}

/* --- playing back ----------------------------------------------------------------------------- */

struct player {
	FILE *f;
	const char *file;
	uint32_t records;
	uint64_t image_bytes;
	char path[PATH_MAX];
};

static int refuse(const struct player *p, struct error *err)
{
	return error_set(err, -EINVAL, "%s is no undo file of this program, or not a whole one",
			 p->file);
}

static int read_header(struct player *p, struct error *err)
{
	struct undo_header h;
	uint32_t len;

	if (fread(&h, sizeof(h), 1, p->f) != 1 || memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 ||
	    le32toh(h.version) != VERSION)
		return refuse(p, err);
	len = le32toh(h.path_len);
	p->records = le32toh(h.records);
	p->image_bytes = le64toh(h.image_bytes);
	if (len >= sizeof(p->path) || p->records > RECORDS_MAX ||
	    fread(p->path, 1, len, p->f) != len)
		return refuse(p, err);
	p->path[len] = '\0';
	if (le32toh(h.crc) !=
	    (crc_of(&h, offsetof(struct undo_header, crc)) ^ crc_of(p->path, len)))
		return refuse(p, err);
	return 0;
}

/* The next record with its old bytes, to be freed. */
static int read_record(struct player *p, const struct image *img, struct undo_record *r,
		       uint8_t **old, struct error *err)
{
	uint64_t bytes;

	if (fread(r, sizeof(*r), 1, p->f) != 1 ||
	    le32toh(r->crc) != crc_of(r, offsetof(struct undo_record, crc)))
		return refuse(p, err);
	bytes = le64toh(r->bytes);
	if (bytes == 0 || bytes > BYTES_MAX || !range_is_within(le64toh(r->at), bytes, img->bytes))
		return refuse(p, err);
	*old = malloc(bytes);
	if (*old == NULL)
		return error_set(err, -ENOMEM, "no memory");
	if (fread(*old, 1, bytes, p->f) != bytes || hash_of(*old, bytes) != le64toh(r->old)) {
		free(*old);
		return refuse(p, err);
	}
	return 0;
}

static int check_record(const struct image *img, const struct undo_record *r, struct error *err)
{
	uint64_t bytes = le64toh(r->bytes);
	uint8_t *now = malloc(bytes);
	int rc = now == NULL ? error_set(err, -ENOMEM, "no memory")
			     : image_read(img, now, le64toh(r->at), bytes, err);
	uint64_t hash = rc == 0 ? hash_of(now, bytes) : 0;

	free(now);
	if (rc == 0 && hash != le64toh(r->old) && hash != le64toh(r->new) &&
	    hash != le64toh(r->half))
		return error_set(err, -EBUSY,
				 "%s: byte %" PRIu64 " and what follows was changed after the "
				 "repair: putting back what was there before would destroy that",
				 img->path, le64toh(r->at));
	return rc;
}

/* All records are looked at before the first one is written. */
static int play(struct player *p, const struct image *img, bool write, struct error *err)
{
	long start = ftell(p->f);
	int rc = 0;

	for (uint32_t i = 0; i < p->records && rc == 0; i++) {
		struct undo_record r;
		uint8_t *old = NULL;

		rc = read_record(p, img, &r, &old, err);
		if (rc < 0)
			break;
		rc = write ? image_write(img, old, le64toh(r.at), le64toh(r.bytes), err)
			   : check_record(img, &r, err);
		free(old);
	}
	if (rc == 0 && !write && fseek(p->f, start, SEEK_SET) != 0)
		rc = refuse(p, err);
	return rc;
}

int undo_play(const char *file, const char *path, struct error *err)
{
	struct player p = { .f = fopen(file, "re"), .file = file };
	struct image img = { .fd = -1 };
	int rc;

	if (p.f == NULL)
		return error_set(err, -errno, "undo file %s: %s", file, error_errno_text(-errno));
	rc = read_header(&p, err);
	if (rc == 0)
		rc = image_open(&img, path != NULL ? path : p.path, true, err);
	if (rc == 0 && img.bytes != p.image_bytes)
		rc = error_set(err, -EBUSY,
			       "%s has %" PRIu64 " bytes, the repaired image had %" PRIu64,
			       img.path, img.bytes, p.image_bytes);
	if (rc == 0)
		rc = play(&p, &img, false, err);
	if (rc == 0)
		rc = play(&p, &img, true, err);
	if (rc == 0)
		rc = image_sync(&img, err);
	if (rc == 0)
		printf("%s is as it was before the repair (%" PRIu32 " pieces put back)\n",
		       img.path, p.records);
	image_close(&img);
	fclose(p.f);
	return rc;
}

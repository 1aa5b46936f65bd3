/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a file name to a descriptor that this bdev alone may write through: what it is, who uses it,
 * how it may be read, how it is unmapped.
 *
 * Threading: reactor 0; all of it may block for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "bdev_modules/uring_internal.h"

#define MIB (1024u * 1024)

/* --- what it is ----------------------------------------------------------------------------- */

static const char *kind_name(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISCHR(mode))
		return "a character device";
	if (S_ISFIFO(mode))
		return "a pipe";
	return "a socket";
}

static int check_kind(struct uring_bdev *u, const struct stat *st, struct error *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return error_set(err, S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL,
				 "\"%s\" is %s: a file or a block device is needed", u->filename,
				 kind_name(st->st_mode));
	u->is_block = S_ISBLK(st->st_mode);
	u->dev = u->is_block ? st->st_rdev : st->st_dev;
	u->ino = u->is_block ? 0 : st->st_ino;
	return 0;
}

/* Between bdevs of this process the one that has it can be named. */
static int check_ours(const struct uring_bdev *u, struct error *err)
{
	const struct uring_bdev *other;

	TAILQ_FOREACH (other, &uring_bdev_list, link) {
		bool same = other->is_block == u->is_block && other->dev == u->dev &&
			    other->ino == u->ino;

		if (!same || (!u->is_block && u->bdev.read_only && other->bdev.read_only))
			continue;
		return error_set(err, -EBUSY,
				 "\"%s\" is already used by bdev \"%s\": delete that first",
				 u->filename, other->bdev.name);
	}
	return 0;
}

/* --- opening -------------------------------------------------------------------------------- */

static int refuse_open(const struct uring_bdev *u, int code, struct error *err)
{
	const char *how = u->bdev.read_only ? "reading" : "reading and writing";
	const char *advice = "";
	int result = code;

	if (code == -EBUSY) {
		advice = ": it is mounted, or part of RAID or LVM, or open for exclusive use "
			 "elsewhere";
		result = -EAGAIN;
	}
	if (code == -EROFS || (code == -EACCES && !u->bdev.read_only))
		advice = ": ask for readonly, or make it writable for this user";
	return error_set(err, result, "\"%s\" cannot be opened for %s: %s%s", u->filename, how,
			 error_errno_text(code), advice);
}

static int open_file(struct uring_bdev *u, struct error *err)
{
	int flags = (u->bdev.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;

	/* Of a block device O_EXCL asks that nothing of the kernel's uses it (open(2)). */
	if (u->is_block)
		flags |= O_EXCL;
	u->direct = true;
	u->fd = open(u->filename, flags | O_DIRECT);
	if (u->fd < 0 && errno == EINVAL) {
		u->direct = false;
		u->fd = open(u->filename, flags);
	}
	return u->fd < 0 ? refuse_open(u, -errno, err) : 0;
}

/* Locks of open file descriptions: they hold between programs, and between bdevs of one. */
static int lock_file(const struct uring_bdev *u, struct error *err)
{
	struct flock range = { .l_type = u->bdev.read_only ? F_RDLCK : F_WRLCK,
			       .l_whence = SEEK_SET };

	if (u->is_block || fcntl(u->fd, F_OFD_SETLK, &range) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EAGAIN,
				 "\"%s\" is locked by another program, which may write to it "
				 "(lslocks(8) shows which): stop that first",
				 u->filename);
	log_notice("\"%s\" cannot be locked against other programs: %s", u->filename,
		   error_errno_text(-errno));
	return 0;
}

static int use_page_cache(struct uring_bdev *u, struct error *err)
{
	int flags = fcntl(u->fd, F_GETFL);

	if (flags < 0 || fcntl(u->fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return error_set(err, -errno, "\"%s\": direct I/O cannot be switched off: %s",
				 u->filename, error_errno_text(-errno));
	u->direct = false;
	return 0;
}

/* --- size and blocks ------------------------------------------------------------------------ */

int uring_bdev_size(const struct uring_bdev *u, uint64_t *bytes)
{
	struct stat st;

	if (u->is_block)
		return ioctl(u->fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
	if (fstat(u->fd, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static int check_block_size(const struct uring_bdev *u, uint32_t size, uint32_t logical,
			    struct error *err)
{
	if (size == 0)
		return error_set(err, -EINVAL,
				 "block_size of bdev \"%s\" is not given, and the file \"%s\" has "
				 "none of its own: give one, 512 or 4096 as a rule",
				 u->name, u->filename);
	if (size < BDEV_BLOCK_SIZE_MIN || size > BDEV_BLOCK_SIZE_MAX || !is_power_of_two(size))
		return error_set(err, -EINVAL,
				 "block size %u of bdev \"%s\": a power of two from %u to %u is "
				 "needed",
				 size, u->name, BDEV_BLOCK_SIZE_MIN, BDEV_BLOCK_SIZE_MAX);
	if (logical != 0 && size % logical != 0)
		return error_set(err, -EINVAL,
				 "block size %u of bdev \"%s\": a multiple of the logical block "
				 "size of \"%s\", %u, is needed",
				 size, u->name, u->filename, logical);
	return 0;
}

static int find_block_size(struct uring_bdev *u, uint32_t asked, struct error *err)
{
	int logical = 0;
	unsigned int physical = 0;
	int rc;

	if (u->is_block &&
	    (ioctl(u->fd, BLKSSZGET, &logical) < 0 || ioctl(u->fd, BLKPBSZGET, &physical) < 0))
		return error_set(err, -errno, "\"%s\" does not tell its block size: %s",
				 u->filename, error_errno_text(-errno));
	u->block_size_given = asked != 0;
	if (asked == 0)
		asked = (uint32_t)logical;
	rc = check_block_size(u, asked, (uint32_t)logical, err);
	if (rc < 0)
		return rc;
	u->bdev.block_size = asked;
	if (is_power_of_two(physical) && physical >= BDEV_BLOCK_SIZE_MIN)
		u->bdev.physical_block_size = physical;
	if (u->direct && logical > (int)REACTOR_BUFFER_ALIGN) {
		rc = use_page_cache(u, err);
		if (rc < 0)
			return rc;
	}
	u->bdev.alignment = u->is_block && u->direct ? (uint32_t)logical : 1;
	return 0;
}

static int measure(struct uring_bdev *u, struct error *err)
{
	int rc = uring_bdev_size(u, &u->bytes);

	if (rc < 0)
		return error_set(err, rc, "\"%s\" does not tell its size: %s", u->filename,
				 error_errno_text(rc));
	u->bdev.num_blocks = u->bytes / u->bdev.block_size;
	if (u->bdev.num_blocks == 0)
		return error_set(err, -EINVAL,
				 "\"%s\" has %llu bytes, less than one block of %u: make it larger",
				 u->filename, (unsigned long long)u->bytes, u->bdev.block_size);
	if (u->bytes % u->bdev.block_size != 0)
		log_notice("bdev \"%s\": the last %llu bytes of \"%s\" fill no block and are not "
			   "used",
			   u->name, (unsigned long long)(u->bytes % u->bdev.block_size),
			   u->filename);
	return 0;
}

/* --- direct I/O ----------------------------------------------------------------------------- */

/* The alignment of memory that a direct read of one block takes: 0 when the file takes none. */
static uint32_t probe_alignment(const struct uring_bdev *u)
{
	const size_t block = u->bdev.block_size;
	char *buffer =
		aligned_alloc(REACTOR_BUFFER_ALIGN, BDEV_BLOCK_SIZE_MAX + REACTOR_BUFFER_ALIGN);
	uint32_t found = 0;

	if (buffer == NULL)
		return 0;
	for (uint32_t align = 512; align <= REACTOR_BUFFER_ALIGN && align <= block; align *= 2) {
		if (pread(u->fd, buffer + align % REACTOR_BUFFER_ALIGN, block, 0) < 0 &&
		    errno == EINVAL)
			continue;
		found = align;
		break;
	}
	free(buffer);
	return found;
}

static int choose_cache(struct uring_bdev *u, struct error *err)
{
	int rc = 0;

	if (u->direct && !u->is_block) {
		uint32_t alignment = probe_alignment(u);

		u->bdev.alignment = alignment != 0 ? alignment : 1;
		if (alignment == 0)
			rc = use_page_cache(u, err);
	}
	if (rc == 0 && !u->direct)
		log_notice("bdev \"%s\": \"%s\" has no direct I/O of %u bytes: it goes through the "
			   "page cache",
			   u->name, u->filename, u->bdev.block_size);
	return rc;
}

/* --- what the device can -------------------------------------------------------------------- */

/* An attribute of the device's queue (of the whole disk, for a partition), as its first word. */
static bool queue_attribute(const struct uring_bdev *u, const char *name, char *word, size_t size)
{
	static const char *const places[] = { "queue", "../queue" };
	char path[128];
	bool found = false;

	for (size_t i = 0; i < 2 && !found; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(u->dev),
			 minor(u->dev), places[i], name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		found = fgets(word, (int)size, f) != NULL;
		fclose(f);
	}
	return found;
}

static bool queue_limit_is_set(const struct uring_bdev *u, const char *name)
{
	char word[32];

	return queue_attribute(u, name, word, sizeof(word)) && strtoull(word, NULL, 10) > 0;
}

/* A hole behind the end changes nothing, and says whether there can be one. */
static bool file_has_holes(const struct uring_bdev *u)
{
	uint64_t end = (u->bytes + MIB - 1) / MIB * MIB;

	return fallocate(u->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)end, MIB) == 0;
}

static enum uring_unmap find_unmap(const struct uring_bdev *u)
{
	if (u->bdev.read_only || !u->fallocate)
		return URING_UNMAP_NONE;
	if (!u->is_block)
		return file_has_holes(u) ? URING_UNMAP_PUNCH : URING_UNMAP_NONE;
	/* On a device a hole is "write zeroes, and unmap": the kernel refuses it without that. */
	if (queue_limit_is_set(u, "write_zeroes_max_bytes"))
		return URING_UNMAP_PUNCH;
	return queue_limit_is_set(u, "discard_max_bytes") ? URING_UNMAP_DISCARD : URING_UNMAP_NONE;
}

static bool has_write_cache(const struct uring_bdev *u)
{
	char word[32];

	return !u->is_block || !u->direct ||
	       !queue_attribute(u, "write_cache", word, sizeof(word)) ||
	       strncmp(word, "write through", 13) != 0;
}

/* --- all of it ------------------------------------------------------------------------------ */

static int look_before(struct uring_bdev *u, struct error *err)
{
	struct stat st;
	int rc;

	if (stat(u->filename, &st) < 0)
		return error_set(err, -errno, "\"%s\" cannot be found: %s", u->filename,
				 error_errno_text(-errno));
	rc = check_kind(u, &st, err);
	return rc < 0 ? rc : check_ours(u, err);
}

/* What was looked at by name may have been replaced before it was opened. */
static int look_after(struct uring_bdev *u, struct error *err)
{
	bool was_block = u->is_block;
	struct stat st;
	int rc;

	if (fstat(u->fd, &st) < 0)
		return error_set(err, -errno, "\"%s\": %s", u->filename, error_errno_text(-errno));
	rc = check_kind(u, &st, err);
	if (rc == 0 && u->is_block != was_block)
		rc = error_set(err, -EBUSY, "\"%s\" was replaced while it was opened: try again",
			       u->filename);
	return rc < 0 ? rc : check_ours(u, err);
}

static int look_closely(struct uring_bdev *u, const struct bdev_uring_options *o, struct error *err)
{
	int rc = look_after(u, err);

	if (rc == 0)
		rc = lock_file(u, err);
	if (rc == 0)
		rc = find_block_size(u, o->block_size, err);
	if (rc == 0)
		rc = measure(u, err);
	if (rc == 0)
		rc = choose_cache(u, err);
	if (rc < 0)
		return rc;
	u->unmap = find_unmap(u);
	u->bdev.unmap_zeroes = u->unmap == URING_UNMAP_PUNCH;
	u->bdev.write_cache = has_write_cache(u);
	return 0;
}

int uring_bdev_open(struct uring_bdev *u, const struct bdev_uring_options *options,
		    struct error *err)
{
	int rc;

	u->fd = -1;
	u->name = options->name;
	rc = look_before(u, err);
	if (rc == 0)
		rc = open_file(u, err);
	if (rc < 0)
		return rc;
	rc = look_closely(u, options, err);
	u->name = NULL;
	if (rc < 0) {
		close(u->fd);
		u->fd = -1;
	}
	return rc;
}

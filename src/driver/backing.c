/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accelerator's backing: its bdev and store in the target; the bytes themselves once the target
 * is gone. Everything here may be repeated at any point.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/le.h"
#include "driver/drift.h"
#include "driver/function.h"

#define MEMORY_BLOCK_SIZE 512

/* Of a Blobstore's super block, bytes and offsets. */
#define SUPER_BYTES	   4096
#define SUPER_MD_START	   64
#define SUPER_MD_LEN	   68
#define SUPER_MD_PAGE_SIZE 92

#define WIPE_PIECE (UINT64_C(64) << 20)

static bool has_transport(const json_t *transports)
{
	json_t *t;
	size_t i;

	json_array_foreach ((json_t *)transports, i, t) {
		if (!strcasecmp(view_text(t, "trtype"), "TCP"))
			return true;
	}
	return false;
}

static int create_memory(struct client *c, const struct accelerator *a, struct error *err)
{
	json_int_t blocks = (json_int_t)(a->size / MEMORY_BLOCK_SIZE);

	return client_wait(c, "bdev_malloc_create",
			   json_pack("{s:s, s:I, s:i, s:s}", "name", a->bdev, "num_blocks", blocks,
				     "block_size", MEMORY_BLOCK_SIZE, "uuid", a->uuid),
			   NULL, err);
}

static int refuse_taken(const struct accelerator *a, struct error *err)
{
	struct probe_device *dev = calloc(1, sizeof(*dev));
	struct probe *probe = probe_create(NULL);
	const struct probe_finding *f = NULL;
	int rc;

	rc = probe && dev ? probe_path(probe, a->path, dev, err)
			  : error_set(err, -ENOMEM, "out of memory");
	if (rc == 0) {
		f = probe_device_reason(dev);
		rc = error_set(err, -EBUSY, "%s; to use it here: %s",
			       f && f->verdict == PROBE_IN_USE ? f->text
							       : "the backing is held exclusively",
			       f && f->verdict == PROBE_IN_USE ? f->remedy : "try again");
		probe_device_fini(dev);
	}
	probe_destroy(probe);
	free(dev);
	return rc;
}

/*
 * Somebody may have taken the device since it was judged, for targets take their time to start. The
 * engine would not get it then; a real SPDK, which does not ask, would write beside a mount.
 */
static int check_not_taken(const struct accelerator *a, struct error *err)
{
	int fd = open(a->path, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY ? refuse_taken(a, err) : 0;
}

/* io_uring where the target has it; the older AIO module otherwise, which wants the block size. */
static int create_backing(struct client *c, const struct accelerator *a, struct error *err)
{
	json_t *params;

	if (!strcmp(a->kind, "memory"))
		return create_memory(c, a, err);
	if (!strcmp(a->kind, "device") && check_not_taken(a, err) < 0)
		return err->code;
	params = json_pack("{s:s, s:s, s:I, s:s}", "name", a->bdev, "filename", a->path,
			   "block_size", (json_int_t)a->block_size, "uuid", a->uuid);
	return client_wait(
		c, client_has(c, "bdev_uring_create") ? "bdev_uring_create" : "bdev_aio_create",
		params, NULL, err);
}

/* Its volumes are called by its name. */
static int name_store(struct client *c, const struct accelerator *a, const json_t *store,
		      struct error *err)
{
	if (!strcmp(view_text(store, "name"), a->store))
		return 0;
	return client_wait(
		c, "bdev_lvol_rename_lvstore",
		json_pack("{s:s, s:s}", "old_name", view_text(store, "name"), "new_name", a->store),
		NULL, err);
}

static int wait_store(struct client *c, const struct accelerator *a, struct error *err)
{
	json_t *store;
	int rc = store_look(c, "uuid", a->store_uuid, true, &store, err);

	if (rc == 0 && !store)
		rc = error_set(
			err, -EPROTO,
			"accelerator %s: the target finds no store %s (%s) on %s: `cyborg-spdk "
			"blob check` tells what is there",
			a->id, a->store, a->store_uuid, a->path);
	else if (rc == 0)
		rc = name_store(c, a, store, err);
	json_decref(store);
	return rc;
}

int export_backing(struct client *c, const struct accelerator *a, struct error *err)
{
	const json_t *store;
	struct view v;
	int rc = is_function(a) ? function_open(c, a, err) : 0;

	if (rc == 0)
		rc = view_take(c, &v, err);
	if (rc < 0)
		return rc;
	if (strcmp(a->kind, "ceph") != 0 && !is_function(a) && !view_bdev(v.bdevs, a->bdev))
		rc = create_backing(c, a, err);
	if (rc == 0 && !has_transport(v.transports))
		rc = client_wait(c, "nvmf_create_transport", json_pack("{s:s}", "trtype", "TCP"),
				 NULL, err);
	store = view_by(v.stores, "uuid", a->store_uuid);
	if (rc == 0 && a->store_uuid[0])
		rc = store ? name_store(c, a, store, err) : wait_store(c, a, err);
	view_fini(&v);
	return rc;
}

int backing_look(const struct accelerator *a, struct error *err)
{
	struct stat st;

	if (!a->path[0] || is_function(a))
		return 0;
	if (stat(a->path, &st) < 0)
		return error_set(err, -errno, "backing %s: %s", a->path, error_errno_text(-errno));
	if (strcmp(a->kind, "file") != 0 || (uint64_t)st.st_size == a->size)
		return 0;
	return error_set(err, -EPROTO, "backing %s has %lld bytes, recorded are %llu", a->path,
			 (long long)st.st_size, (unsigned long long)a->size);
}

static void store_drift(const struct view *v, const struct accelerator *a, json_t *list)
{
	const json_t *s = view_by(v->stores, "uuid", a->store_uuid);

	if (!s)
		drift(list, "store %s (%s) is missing", a->store, a->store_uuid);
	else if (strcmp(view_text(s, "name"), a->store) != 0)
		drift(list, "store %s is named \"%s\" now", a->store, view_text(s, "name"));
}

void backing_drift(const struct view *v, const struct accelerator *a, json_t *list)
{
	const json_t *b = view_bdev(v->bdevs, a->bdev);

	if (!strcmp(a->kind, "ceph"))
		return;
	if (!b)
		drift(list, "bdev %s on %s is missing", a->bdev, a->path[0] ? a->path : "memory");
	else if (view_bdev_size(b) != a->size)
		drift(list, "bdev %s has %llu bytes, recorded are %llu", a->bdev,
		      (unsigned long long)view_bdev_size(b), (unsigned long long)a->size);
	if (is_function(a))
		function_drift(v, a, list);
	if (a->store_uuid[0])
		store_drift(v, a, list);
}

/* Exclusively, so that a device which somebody took meanwhile is left alone. */
static int open_backing(const struct accelerator *a, struct error *err)
{
	int fd = open(a->path, O_RDWR | O_CLOEXEC | (strcmp(a->kind, "device") ? 0 : O_EXCL));

	if (fd < 0)
		error_set(err, -errno, "backing %s cannot be opened: %s", a->path,
			  error_errno_text(-errno));
	return fd;
}

static int zero_piece(int fd, bool device, uint64_t at, uint64_t len)
{
	uint64_t range[2] = { at, len };
	char *zeroes;
	int rc = 0;

	if (device ? ioctl(fd, BLKZEROOUT, range) == 0
		   : fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			       (off_t)len) == 0)
		return 0;
	zeroes = calloc(1, 1 << 20);
	if (!zeroes)
		return -ENOMEM;
	for (uint64_t done = 0; done < len && rc == 0; done += 1 << 20) {
		uint64_t n = len - done < 1 << 20 ? len - done : 1 << 20;

		if (pwrite(fd, zeroes, n, (off_t)(at + done)) != (ssize_t)n)
			rc = errno ? -errno : -EIO;
	}
	free(zeroes);
	return rc;
}

/* Up to where a Blobstore's metadata goes; its data clusters lie behind. */
static uint64_t metadata_end(const struct accelerator *a, const uint8_t *super)
{
	uint64_t start = le32_get(super + SUPER_MD_START), len = le32_get(super + SUPER_MD_LEN);
	uint64_t page = le32_get(super + SUPER_MD_PAGE_SIZE);
	uint64_t end = (start + len) * (page ? page : SUPER_BYTES);

	return end > SUPER_BYTES && end < a->size ? end : a->size;
}

/* The super block goes last: until then a call that was killed can be made again. */
static int clear_store(int fd, const struct accelerator *a)
{
	bool device = !strcmp(a->kind, "device");
	uint8_t super[SUPER_BYTES];
	uint64_t end;
	int rc = 0;

	if (pread(fd, super, sizeof(super), 0) != sizeof(super))
		return -EIO;
	if (memcmp(super, "SPDKBLOB", 8) != 0)
		return 0;
	end = metadata_end(a, super);
	for (uint64_t at = SUPER_BYTES; at < end && rc == 0; at += WIPE_PIECE)
		rc = zero_piece(fd, device, at, end - at < WIPE_PIECE ? end - at : WIPE_PIECE);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	memset(super, 0, sizeof(super));
	if (rc == 0 && pwrite(fd, super, sizeof(super), 0) != sizeof(super))
		rc = -EIO;
	return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

int backing_clear_store(const struct accelerator *a, struct error *err)
{
	int fd, rc;

	if (is_function(a) || access(a->path, F_OK) < 0)
		return 0;
	fd = open_backing(a, err);
	if (fd < 0)
		return err ? err->code : -EIO;
	rc = clear_store(fd, a);
	close(fd);
	return rc == 0 ? 0
		       : error_set(err, rc, "the store on %s cannot be removed: %s", a->path,
				   error_errno_text(rc));
}

int backing_wipe(struct driver *d, const struct accelerator *a, struct error *err)
{
	bool device = !strcmp(a->kind, "device");
	char title[96];
	int fd, rc = 0;

	if (!a->path[0] || !strcmp(a->kind, "ceph") || is_function(a) || access(a->path, F_OK) < 0)
		return 0;
	fd = open_backing(a, err);
	if (fd < 0)
		return err ? err->code : -EIO;
	for (uint64_t at = 0; at < a->size && rc == 0; at += WIPE_PIECE) {
		uint64_t len = a->size - at < WIPE_PIECE ? a->size - at : WIPE_PIECE;

		snprintf(title, sizeof(title), "wipe the backing: %llu of %llu MiB",
			 (unsigned long long)(at >> 20), (unsigned long long)(a->size >> 20));
		driver_step(d, title, d->at.at, d->at.of);
		rc = zero_piece(fd, device, at, len);
	}
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	driver_step(d, "wipe the backing", d->at.at, d->at.of);
	close(fd);
	return rc == 0 ? 0
		       : error_set(err, rc, "backing %s cannot be wiped: %s", a->path,
				   error_errno_text(rc));
}

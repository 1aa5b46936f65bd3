/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uring module and its other name, aio: making, deleting, growing, and what is shown and saved.
 *
 * Threading: reactor 0.
 */
#include "bdev_modules/uring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bdev_modules/uring_internal.h"

/* Well below what one call transfers at most (2 GiB less a page), and fits its result. */
#define MAX_RW_BYTES (1u << 30)

struct uring_bdev_list uring_bdev_list = TAILQ_HEAD_INITIALIZER(uring_bdev_list);

static struct bdev_module uring_module = { .name = "uring" };
static struct bdev_module aio_module = { .name = "aio" };

__attribute__((constructor)) static void register_modules(void)
{
	bdev_module_register(&aio_module);
	bdev_module_register(&uring_module);
}

static const struct uring_bdev *uring_const(const struct bdev *bdev)
{
	return container_of(bdev, const struct uring_bdev, bdev);
}

static void uring_free(struct uring_bdev *u)
{
	free(u->filename);
	free(u);
}

/* --- removal -------------------------------------------------------------------------------- */

/* Closing a block device writes back what its page cache holds, which may take long. */
static void close_run(struct reactor_work *work)
{
	close(container_of(work, struct uring_bdev, close)->fd);
}

static void close_done(struct reactor_work *work)
{
	struct uring_bdev *u = container_of(work, struct uring_bdev, close);

	TAILQ_REMOVE(&uring_bdev_list, u, link);
	bdev_destruct_done(&u->bdev, 0);
	uring_free(u);
}

static void uring_destruct(struct bdev *bdev)
{
	struct uring_bdev *u = container_of(bdev, struct uring_bdev, bdev);

	u->close.run = close_run;
	u->close.done = close_done;
	reactor_work_start(&u->close);
}

/* --- what is shown and saved ---------------------------------------------------------------- */

static void uring_dump(const struct bdev *bdev, json_t *object)
{
	const struct uring_bdev *u = uring_const(bdev);

	if (!u->is_aio) {
		json_object_set_new(object, "uring", json_pack("{s:s}", "filename", u->filename));
		return;
	}
	json_object_set_new(object, "aio",
			    json_pack("{s:s,s:b,s:b,s:b,s:b}", "filename", u->filename,
				      "block_size_override", u->block_size_given, "readonly",
				      bdev->read_only, "fallocate", u->fallocate, "nowait", 0));
}

static void uring_save(const struct bdev *bdev, json_t *array)
{
	const struct uring_bdev *u = uring_const(bdev);
	json_t *p = json_pack("{s:s}", "name", bdev->name);
	char uuid[UUID_TEXT_SIZE];

	uuid_to_text(&bdev->uuid, uuid);
	if (u->block_size_given || !u->is_aio)
		json_object_set_new(p, "block_size", json_integer(bdev->block_size));
	json_object_set_new(p, "filename", json_string(u->filename));
	if (!u->is_aio) {
		json_object_set_new(p, "uuid", json_string(uuid));
		bdev_save_method(array, "bdev_uring_create", p);
		return;
	}
	json_object_set_new(p, "readonly", json_boolean(bdev->read_only));
	json_object_set_new(p, "fallocate", json_boolean(u->fallocate));
	json_object_set_new(p, "uuid", json_string(uuid));
	json_object_set_new(p, "nowait", json_false());
	bdev_save_method(array, "bdev_aio_create", p);
}

static const struct bdev_ops ops = {
	.submit = uring_bdev_submit,
	.destruct = uring_destruct,
	.dump = uring_dump,
	.save = uring_save,
};

/* --- making --------------------------------------------------------------------------------- */

void bdev_uring_options_init(struct bdev_uring_options *options)
{
	memset(options, 0, sizeof(*options));
	options->fallocate = true;
}

void bdev_aio_options_init(struct bdev_uring_options *options)
{
	memset(options, 0, sizeof(*options));
}

static uint32_t types_of(const struct uring_bdev *u)
{
	uint32_t types = 1u << BDEV_IO_READ | 1u << BDEV_IO_FLUSH;

	if (!u->bdev.read_only)
		types |= 1u << BDEV_IO_WRITE;
	if (!u->bdev.read_only && u->fallocate)
		types |= 1u << BDEV_IO_WRITE_ZEROES;
	if (u->unmap != URING_UNMAP_NONE)
		types |= 1u << BDEV_IO_UNMAP;
	if (!u->is_block)
		types |= 1u << BDEV_IO_SEEK_DATA | 1u << BDEV_IO_SEEK_HOLE;
	return types;
}

static void fill(struct uring_bdev *u)
{
	struct bdev *bdev = &u->bdev;

	bdev->product_name = u->is_aio ? "AIO disk" : "URING bdev";
	bdev->types = types_of(u);
	bdev->max_rw = MAX_RW_BYTES / bdev->block_size;
	bdev->max_iov = IOV_MAX;
	bdev->module = u->is_aio ? &aio_module : &uring_module;
	bdev->ops = &ops;
}

static struct uring_bdev *uring_alloc(const struct bdev_uring_options *o, bool is_aio)
{
	struct uring_bdev *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->filename = strdup(o->filename);
	if (u->filename == NULL) {
		free(u);
		return NULL;
	}
	u->is_aio = is_aio;
	u->fallocate = o->fallocate;
	u->bdev.uuid = o->uuid;
	u->bdev.read_only = o->readonly;
	return u;
}

static int make(struct uring_bdev *u, const struct bdev_uring_options *o, struct error *err)
{
	int rc = uring_bdev_open(u, o, err);

	if (rc < 0)
		return rc;
	fill(u);
	rc = bdev_register(&u->bdev, o->name, err);
	if (rc < 0) {
		close(u->fd);
		return rc;
	}
	TAILQ_INSERT_TAIL(&uring_bdev_list, u, link);
	return 0;
}

static int create(const struct bdev_uring_options *o, bool is_aio, struct bdev **bdev,
		  struct error *err)
{
	struct uring_bdev *u;
	int rc;

	if (o->nowait)
		return error_set(err, -EOPNOTSUPP,
				 "nowait of bdev \"%s\" is not supported: the embedded engine's "
				 "I/O never waits in a system call",
				 o->name);
	/* A name in use is told before the file is touched. */
	if (bdev_find(o->name) != NULL)
		return error_set(
			err, -EEXIST,
			"\"%s\" is already a name, alias or UUID of a bdev: choose another",
			o->name);
	u = uring_alloc(o, is_aio);
	if (u == NULL)
		return error_set(err, -ENOMEM, "no memory for bdev \"%s\"", o->name);
	rc = make(u, o, err);
	if (rc < 0) {
		uring_free(u);
		return rc;
	}
	if (bdev != NULL)
		*bdev = &u->bdev;
	return 0;
}

int bdev_uring_create(const struct bdev_uring_options *options, struct bdev **bdev,
		      struct error *err)
{
	return create(options, false, bdev, err);
}

int bdev_aio_create(const struct bdev_uring_options *options, struct bdev **bdev, struct error *err)
{
	return create(options, true, bdev, err);
}

int bdev_uring_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		      struct error *err)
{
	return bdev_delete_of_module(name, &uring_module, done, arg, err);
}

int bdev_aio_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		    struct error *err)
{
	return bdev_delete_of_module(name, &aio_module, done, arg, err);
}

/* --- growing -------------------------------------------------------------------------------- */

static int rescan(const char *name, const struct bdev_module *module, struct error *err)
{
	uint64_t bytes, blocks;
	struct uring_bdev *u;
	struct bdev *bdev;
	int rc = bdev_find_of_module(name, module, &bdev, err);

	if (rc < 0)
		return rc;
	u = container_of(bdev, struct uring_bdev, bdev);
	rc = uring_bdev_size(u, &bytes);
	if (rc < 0)
		return error_set(err, rc, "\"%s\" does not tell its size: %s", u->filename,
				 error_errno_text(rc));
	blocks = bytes / bdev->block_size;
	if (blocks < bdev_num_blocks(bdev))
		return error_set(
			err, -EBUSY,
			"\"%s\" has shrunk to %llu blocks of %u bytes, but bdev \"%s\" has "
			"%llu: make it as large again, or delete the bdev",
			u->filename, (unsigned long long)blocks, bdev->block_size, name,
			(unsigned long long)bdev_num_blocks(bdev));
	rc = bdev_resize(bdev, blocks, err);
	if (rc == 0)
		u->bytes = bytes;
	return rc;
}

int bdev_uring_rescan(const char *name, struct error *err)
{
	return rescan(name, &uring_module, err);
}

int bdev_aio_rescan(const char *name, struct error *err)
{
	return rescan(name, &aio_module, err);
}

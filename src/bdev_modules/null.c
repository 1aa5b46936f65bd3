/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null bdev: reads zeroes, lends them, and drops what is written.
 *
 * Threading: making and deleting on reactor 0; I/O on any, without state.
 */
#include "bdev_modules/null.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "bdev/iov.h"

struct null_bdev {
	struct bdev bdev;
};

static struct bdev_module module = { .name = "null" };

__attribute__((constructor)) static void register_module(void)
{
	bdev_module_register(&module);
}

static void null_read(struct bdev_io *io)
{
	size_t bytes = io->blocks * bdev_channel_bdev(io->channel)->block_size;

	if (io->iovcnt > 0) {
		iov_clear(io->iov, io->iovcnt, 0, bytes);
		return;
	}
	io->own_iov[0].iov_base = bdev_zeroes();
	io->own_iov[0].iov_len = bytes;
	io->iov = io->own_iov;
	io->iovcnt = 1;
}

static void null_submit(void *ctx, struct bdev_io *io)
{
	(void)ctx;
	if (io->type == BDEV_IO_READ)
		null_read(io);
	bdev_io_complete_errno(io, 0);
}

static void null_destruct(struct bdev *bdev)
{
	bdev_destruct_done(bdev, 0);
	free(container_of(bdev, struct null_bdev, bdev));
}

static void null_save(const struct bdev *bdev, json_t *array)
{
	char uuid[UUID_TEXT_SIZE];
	json_t *p;

	uuid_to_text(&bdev->uuid, uuid);
	p = json_pack("{s:s,s:I,s:I,s:I,s:i,s:i,s:b,s:i,s:s}", "name", bdev->name, "num_blocks",
		      (json_int_t)bdev_num_blocks(bdev), "block_size", (json_int_t)bdev->block_size,
		      "physical_block_size", (json_int_t)bdev->physical_block_size, "md_size", 0,
		      "dif_type", 0, "dif_is_head_of_md", 0, "dif_pi_format", 0, "uuid", uuid);
	json_object_set_new(p, "preferred_write_granularity",
			    json_integer(bdev->preferred_write_granularity));
	json_object_set_new(p, "preferred_write_alignment",
			    json_integer(bdev->preferred_write_alignment));
	json_object_set_new(p, "optimal_write_size", json_integer(bdev->optimal_write_size));
	json_object_set_new(p, "preferred_unmap_granularity",
			    json_integer(bdev->preferred_unmap_granularity));
	json_object_set_new(p, "preferred_unmap_alignment",
			    json_integer(bdev->preferred_unmap_alignment));
	bdev_save_method(array, "bdev_null_create", p);
}

static const struct bdev_ops ops = {
	.submit = null_submit,
	.destruct = null_destruct,
	.save = null_save,
};

static void fill(struct bdev *bdev, const struct bdev_null_options *o)
{
	bdev->product_name = "Null disk";
	bdev->uuid = o->uuid;
	bdev->block_size = o->block_size;
	bdev->physical_block_size = o->physical_block_size;
	bdev->num_blocks = o->num_blocks;
	bdev->types = 1u << BDEV_IO_READ | 1u << BDEV_IO_WRITE | 1u << BDEV_IO_WRITE_ZEROES |
		      1u << BDEV_IO_RESET | 1u << BDEV_IO_ABORT;
	bdev->alignment = 1;
	bdev->preferred_write_granularity = o->preferred_write_granularity;
	bdev->preferred_write_alignment = o->preferred_write_alignment;
	bdev->optimal_write_size = o->optimal_write_size;
	bdev->preferred_unmap_granularity = o->preferred_unmap_granularity;
	bdev->preferred_unmap_alignment = o->preferred_unmap_alignment;
	bdev->lends = true;
	bdev->module = &module;
	bdev->ops = &ops;
}

int bdev_null_create(const struct bdev_null_options *options, struct bdev **bdev, struct error *err)
{
	int rc = bdev_md_refuse(&options->md, options->name, err);
	struct null_bdev *null;

	if (rc < 0)
		return rc;
	null = calloc(1, sizeof(*null));
	if (null == NULL)
		return error_set(err, -ENOMEM, "no memory for bdev \"%s\"", options->name);
	fill(&null->bdev, options);
	rc = bdev_register(&null->bdev, options->name, err);
	if (rc < 0) {
		free(null);
		return rc;
	}
	if (bdev != NULL)
		*bdev = &null->bdev;
	return 0;
}

int bdev_null_delete(const char *name, void (*done)(void *arg, int result), void *arg,
		     struct error *err)
{
	return bdev_delete_of_module(name, &module, done, arg, err);
}

int bdev_null_resize(const char *name, uint64_t mib, struct error *err)
{
	struct bdev *bdev;
	uint64_t bytes;
	int rc = bdev_find_of_module(name, &module, &bdev, err);

	if (rc < 0)
		return rc;
	if (!checked_mul_u64(mib, 1024 * 1024, &bytes) || bytes > INT64_MAX)
		return error_set(err, -EINVAL,
				 "new size %llu MiB of bdev \"%s\": at most 2^63 - 1 bytes",
				 (unsigned long long)mib, name);
	if (bytes / bdev->block_size < bdev_num_blocks(bdev))
		return error_set(err, -EINVAL,
				 "new size %llu MiB of bdev \"%s\" is smaller than what it has, "
				 "%llu blocks of %u bytes: a null bdev only grows",
				 (unsigned long long)mib, name,
				 (unsigned long long)bdev_num_blocks(bdev), bdev->block_size);
	return bdev_resize(bdev, bytes / bdev->block_size, err);
}

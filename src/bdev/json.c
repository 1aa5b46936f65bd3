/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bdev as bdev_get_bdevs shows it: members, order and types of SPDK 26.05.
 *
 * Threading: reactor 0.
 */
#include <string.h>

#include "bdev/internal.h"

/* SPDK's names in SPDK's order; what this block layer does not know is never supported. */
static const struct {
	const char *name;
	int type;
} io_types[] = {
	{ "read", BDEV_IO_READ },
	{ "write", BDEV_IO_WRITE },
	{ "unmap", BDEV_IO_UNMAP },
	{ "flush", BDEV_IO_FLUSH },
	{ "reset", BDEV_IO_RESET },
	{ "nvme_admin", -1 },
	{ "nvme_io", -1 },
	{ "nvme_io_md", -1 },
	{ "write_zeroes", BDEV_IO_WRITE_ZEROES },
	{ "zcopy", -1 },
	{ "get_zone_info", -1 },
	{ "zone_management", -1 },
	{ "zone_append", -1 },
	{ "compare", BDEV_IO_COMPARE },
	{ "compare_and_write", BDEV_IO_COMPARE_AND_WRITE },
	{ "abort", BDEV_IO_ABORT },
	{ "seek_hole", BDEV_IO_SEEK_HOLE },
	{ "seek_data", BDEV_IO_SEEK_DATA },
	{ "copy", -1 },
	{ "nvme_iov_md", -1 },
	{ "nvme_nssr", -1 },
	{ "write_uncorrectable", -1 },
};

#define IO_TYPES (sizeof(io_types) / sizeof(io_types[0]))

const char *bdev_io_type_name(enum bdev_io_type type)
{
	for (size_t i = 0; i < IO_TYPES; i++) {
		if (io_types[i].type == (int)type)
			return io_types[i].name;
	}
	return "unknown";
}

static json_t *types_to_json(uint32_t types)
{
	json_t *object = json_object();

	for (size_t i = 0; i < IO_TYPES; i++) {
		bool on = io_types[i].type >= 0 &&
			  (types & BDEV_BIT((uint32_t)io_types[i].type)) != 0;

		json_object_set_new_nocheck(object, io_types[i].name, json_boolean(on));
	}
	return object;
}

/*
 * As in SPDK: what the module does by itself, and zeroes wherever there are writes; and reset,
 * which works on every bdev. Bdevs of a kind share one object, as nobody changes an answer: of a
 * list of thousands it would be the largest part.
 */
static json_t *supported_to_json(const struct bdev *bdev)
{
	static struct {
		uint32_t types;
		json_t *object;
	} shared[8];
	uint32_t types = bdev->types | BDEV_BIT(BDEV_IO_RESET);

	if ((types & BDEV_BIT(BDEV_IO_WRITE)) != 0)
		types |= BDEV_BIT(BDEV_IO_WRITE_ZEROES);
	types &= bdev_allowed_types(bdev);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		if (!shared[i].object) {
			shared[i].types = types;
			shared[i].object = types_to_json(types);
		}
		if (shared[i].types == types)
			return json_incref(shared[i].object);
	}
	return types_to_json(types);
}

static json_t *aliases_to_json(const struct bdev *bdev)
{
	json_t *array = json_array();
	struct bdev_label *label;

	TAILQ_FOREACH (label, &bdev->internal->labels, link) {
		if (label->text != bdev->name)
			json_array_append_new(array, json_string(label->text));
	}
	return array;
}

static void set_u64(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static const char *const limit_names[BDEV_LIMITS] = {
	[BDEV_LIMIT_RW_IOS] = "rw_ios_per_sec",
	[BDEV_LIMIT_RW_BYTES] = "rw_mbytes_per_sec",
	[BDEV_LIMIT_R_BYTES] = "r_mbytes_per_sec",
	[BDEV_LIMIT_W_BYTES] = "w_mbytes_per_sec",
};

/* In SPDK's words a megabyte has 2^20 bytes. */
static void set_limits(json_t *o, const struct bdev *bdev, bool unset)
{
	uint64_t rate[BDEV_LIMITS];

	bdev_limits_get(bdev, rate);
	for (unsigned int i = 0; i < BDEV_LIMITS; i++) {
		if (rate[i] != 0 || unset)
			set_u64(o, limit_names[i],
				i == BDEV_LIMIT_RW_IOS ? rate[i] : rate[i] >> 20);
	}
}

/* Shared as well, by all that have no limit. */
static json_t *limits_to_json(const struct bdev *bdev)
{
	static json_t *unlimited;
	uint64_t rate[BDEV_LIMITS];
	json_t *o;

	if (unlimited && !bdev_limits_get(bdev, rate))
		return json_incref(unlimited);
	o = json_object();
	set_limits(o, bdev, true);
	if (!bdev_limits_get(bdev, rate))
		unlimited = json_incref(o);
	return o;
}

void bdev_save_limits(const struct bdev *bdev, json_t *array)
{
	uint64_t rate[BDEV_LIMITS];
	json_t *p;

	if (!bdev_limits_get(bdev, rate))
		return;
	p = json_pack("{s:s}", "name", bdev->name);
	set_limits(p, bdev, false);
	json_array_append_new(array,
			      json_pack("{s:s,s:o}", "method", "bdev_set_qos_limit", "params", p));
}

static void set_geometry(json_t *o, const struct bdev *bdev)
{
	char uuid[UUID_TEXT_SIZE];

	uuid_to_text(&bdev->uuid, uuid);
	set_u64(o, "block_size", bdev->block_size);
	set_u64(o, "num_blocks", bdev_blocks_now(bdev));
	set_u64(o, "preferred_write_alignment", bdev->preferred_write_alignment);
	set_u64(o, "preferred_write_granularity", bdev->preferred_write_granularity);
	set_u64(o, "optimal_write_size", bdev->optimal_write_size);
	set_u64(o, "preferred_unmap_alignment", bdev->preferred_unmap_alignment);
	set_u64(o, "preferred_unmap_granularity", bdev->preferred_unmap_granularity);
	json_object_set_new(o, "uuid", json_string(uuid));
	if (bdev->numa_known)
		json_object_set_new(o, "numa_id", json_integer(bdev->numa_id));
}

static const char *claim_type(const struct bdev_internal *in)
{
	const char *type = in->claim_module->claim_type;

	return type != NULL ? type : "exclusive_write";
}

json_t *bdev_to_json(const struct bdev *bdev)
{
	const struct bdev_internal *in = bdev->internal;
	json_t *o = json_object(), *specific = json_object();

	json_object_set_new(o, "name", json_string(bdev->name));
	json_object_set_new(o, "aliases", aliases_to_json(bdev));
	json_object_set_new(o, "product_name", json_string(bdev->product_name));
	set_geometry(o, bdev);
	json_object_set_new(o, "assigned_rate_limits", limits_to_json(bdev));
	json_object_set_new(o, "claimed", json_boolean(in->claim != NULL));
	if (in->claim != NULL)
		json_object_set_new(o, "claim_type", json_string(claim_type(in)));
	json_object_set_new(o, "zoned", json_false());
	json_object_set_new(o, "supported_io_types", supported_to_json(bdev));
	if (bdev->ops->dump != NULL)
		bdev->ops->dump(bdev, specific);
	json_object_set_new(o, "driver_specific", specific);
	return o;
}

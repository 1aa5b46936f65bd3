/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging an image.
 *
 * Threading: see verify.h.
 */
#include "verify_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "external.h"
#include "mend.h"

/* --- one image -------------------------------------------------------------------------------- */

static bool judge(struct verify *v, const struct cut_image *image)
{
	if (!verify_look(v))
		return false;
	if (!verify_any_damage(v))
		return verify_compare(v, image) && verify_go_on(v);
	if (v->mode == 1)
		return verify_wrong(v, "a blob is damaged: %s",
				    v->found[0].damage != NULL ? v->found[0].damage
							       : "not the first one");
	if (!verify_compare_torn(v, image) || !verify_go_on(v))
		return false;
	return verify_survives_mending(v, image);
}

static bool is_torn_super(const struct verify *v, const struct cut_image *image,
			  const struct error *err)
{
	bool torn = false;

	for (const struct cut_image *at = image; at != NULL; at = at->outer) {
		for (uint32_t i = 0; i < at->torn_count; i++)
			torn |= at->torn[i] == 0;
	}
	return torn && v->mode == 2 && err->text[0] != '\0';
}

/* What a person does about a super block of two halves: its fields are sound. */
static bool mend_super(struct verify *v, const struct cut_image *image, const struct error *err)
{
	uint8_t *super = disk_data(v->disk), copy[PAGE];

	if (!is_torn_super(v, image, err))
		return verify_wrong(v, "load: %s", err->text);
	memcpy(copy, super, PAGE);
	le32_put(copy + offsetof(struct blob_disk_super, clean), 0);
	le32_put(copy + PAGE - 4, crc32c_finish(crc32c_update(CRC32C_INIT, copy, PAGE - 4)));
	for (unsigned int i = 0; i < PAGE_BLOCKS; i++)
		disk_put(v->disk, i, copy + (size_t)i * BLOCK);
	v->torn_supers++;
	return true;
}

/* There is no store, or none any more, or not yet. */
static bool may_be_gone(const struct verify *v, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	return states[0]->none || states[1]->none || (states[0] != states[1] && states[1]->anew);
}

/* Then another can be made, and shows nothing of what was there. */
static bool judge_gone(struct verify *v)
{
	struct blob_store_options opts;
	struct error err = ERROR_INIT;

	blob_store_options_init(&opts);
	opts.cluster_size = CLUSTER;
	opts.md_pages = STORE_MD_PAGES;
	opts.clear = BLOB_CLEAR_NONE;
	if (blob_store_init(v->desc, &opts, &v->store, &err) < 0)
		return verify_wrong(v, "init: %s", err.text);
	kit_attach(v->store);
	return verify_look(v) && verify_go_on(v);
}

/* The real repair gets the super block as it is. */
static bool super_is_repaired(struct verify *v, const struct cut_image *image)
{
	struct disk_mark mark = disk_mark(v->disk);
	char printed[900];
	bool good;

	mend_run(v->tool, v->disk, printed, sizeof(printed));
	v->repaired++;
	good = verify_load_mended(v, printed) && judge(v, image);
	verify_give_up(v);
	verify_forget(v);
	disk_undo(v->disk, mark);
	return good;
}

/* There is no store that can be loaded: none at all, or one with a torn super block. */
static bool judge_unloadable(struct verify *v, const struct cut_image *image, struct error *err)
{
	if (may_be_gone(v, image))
		return judge_gone(v);
	if (is_torn_super(v, image, err) && verify_is_to_be_repaired(v) &&
	    !super_is_repaired(v, image))
		return false;
	if (!mend_super(v, image, err))
		return false;
	*err = (struct error)ERROR_INIT;
	if (verify_load(v, false, err) < 0)
		return verify_wrong(v, "load with a mended super block: %s", err->text);
	return judge(v, image);
}

static bool load_and_judge(struct verify *v, const struct cut_image *image)
{
	struct error err = ERROR_INIT;
	bool good;

	if (verify_load(v, false, &err) < 0)
		good = judge_unloadable(v, image, &err);
	else
		good = judge(v, image);
	verify_give_up(v);
	verify_forget(v);
	return good;
}

/* --- looked at without being written ---------------------------------------------------------- */

static bool read_only_fits(struct verify *v, const struct cut_image *image)
{
	uint64_t changes = disk_changes(v->disk);
	struct error err = ERROR_INIT;
	bool good;

	/* A torn super block is the writing load's to judge. */
	if (verify_load(v, true, &err) < 0)
		return true;
	good = verify_look(v) && (verify_any_damage(v) || verify_compare(v, image));
	if (good)
		good = verify_unload(v);
	verify_give_up(v);
	verify_forget(v);
	if (good && disk_changes(v->disk) != changes)
		good = verify_wrong(v, "a load to read only wrote");
	return good;
}

/* --- a cut while a cut is put right ----------------------------------------------------------- */

struct again {
	struct verify *v;
	const struct cut_image *outer;
};

static bool again_image(const struct cut_image *image, void *arg)
{
	struct again *a = arg;
	struct cut_image both = *image;

	both.at = a->outer->at;
	both.outer = a->outer;
	a->v->nested_images++;
	return load_and_judge(a->v, &both);
}

static bool recovery_survives(struct verify *v, const struct cut_image *image)
{
	struct record *r = record_create();
	struct disk_mark mark = disk_mark(v->disk);
	struct again again = { v, image };
	struct cut_options opts = {
		.record = r,
		.limit = 8,
		.mode = v->mode,
		.md_first = STORE_MD_FIRST,
		.md_blocks = STORE_MD_BLOCKS,
		.seed = v->seed + image->at,
		.look = again_image,
		.arg = &again,
	};
	struct cut_count count = { 0 };
	struct error err = ERROR_INIT;
	bool good = true;

	disk_record(v->disk, r, NULL);
	if (verify_load(v, false, &err) == 0)
		good = verify_unload(v);
	disk_record(v->disk, NULL, NULL);
	disk_undo(v->disk, mark);
	if (good && !cut_run(v->disk, &opts, &count)) {
		char first[sizeof(v->why)];

		memcpy(first, v->why, sizeof(first));
		good = verify_wrong(v, "cut again while it was loaded and unloaded: %.1900s",
				    first);
	}
	record_destroy(r);
	return good;
}

bool verify_image(const struct cut_image *image, void *arg)
{
	struct verify *v = arg;
	struct disk_mark mark = disk_mark(v->disk);
	bool good = true;

	v->looked++;
	if (v->looked % 4 == 0)
		good = read_only_fits(v, image);
	if (good && v->nested > 0 && v->looked % v->nested == 0)
		good = recovery_survives(v, image);
	good = good && load_and_judge(v, image);
	disk_undo(v->disk, mark);
	return good;
}

void verify_begin(struct verify *v, struct disk *disk, const struct model *model, unsigned int mode)
{
	*v = (struct verify){ .disk = disk, .model = model, .mode = mode, .mend_every = 4 };
	v->desc = kit_open("cut");
	v->external = external_create();
	v->found = kit_alloc(FOUND_MAX * sizeof(*v->found));
	kit_glass_open(BLOCK);
}

void verify_end(struct verify *v)
{
	kit_glass_close();
	bdev_close(v->desc);
	disk_delete(v->external);
	free(v->found);
}

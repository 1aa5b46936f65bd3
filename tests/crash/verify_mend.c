/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose torn pages become whole, by whatever means.
 *
 * Threading: see verify.h.
 */
#include "verify_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mend.h"

static bool told_fits(struct verify *v, const struct found *f, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (unsigned int k = 0; k < 2; k++) {
		const struct volume *vol = verify_volume_of(states[k], f->id);

		if (vol != NULL && verify_is_as_told(v, f, vol, states[k]))
			return true;
	}
	return false;
}

/* @before: the volume in the store that was not repaired yet; NULL: it was not there */
static bool repaired_volume_fits(struct verify *v, const struct found *f,
				 const struct found *before, const struct cut_image *image)
{
	if (f->damage != NULL && (before == NULL || before->damage == NULL))
		return verify_wrong(v, "repair damages blob 0x%" PRIx64 ": %s", f->id, f->damage);
	if (f->damage != NULL) {
		v->lost++;
		return true;
	}
	if (before == NULL || before->damage != NULL)
		return verify_whole_fits(v, f, image);
	if (f->blocks != before->blocks ||
	    memcmp(f->seen, before->seen, f->blocks * sizeof(*f->seen)) != 0)
		return verify_wrong(v, "repair changes the content of blob 0x%" PRIx64, f->id);
	return v->unguarded || told_fits(v, f, image);
}

static bool repaired_fits(struct verify *v, const struct found *before, uint32_t count,
			  const struct cut_image *image)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		const struct found *was = NULL;

		for (uint32_t j = 0; j < count; j++) {
			if (before[j].id == v->found[i].id && !before[j].gone)
				was = &before[j];
		}
		if (!repaired_volume_fits(v, &v->found[i], was, image))
			return false;
	}
	return verify_lost_fits(v, image);
}

bool verify_load_mended(struct verify *v, const char *by)
{
	struct error err = ERROR_INIT;

	if (verify_load(v, false, &err) == 0)
		return true;
	return verify_wrong(v, "load of the mended store: %s; %s", err.text, by);
}

static bool is_mended(struct verify *v, const struct found *before, uint32_t count,
		      const struct cut_image *image)
{
	if (!verify_look(v) || !repaired_fits(v, before, count, image))
		return false;
	/* What a repair cannot read either is still guarded. */
	if (verify_any_damage(v) && !verify_is_guarded(v) && !v->unguarded)
		return verify_wrong(v, "a damaged volume is left, and all is called known");
	return true;
}

enum mended { MENDED_OLD, MENDED_NEW, MENDED_BY_TOOL };

static bool mend(struct verify *v, const struct cut_image *image, enum mended mended)
{
	char printed[900] = "its torn pages are whole";

	if (mended == MENDED_BY_TOOL) {
		mend_run(v->tool, v->disk, printed, sizeof(printed));
		v->repaired++;
		return verify_load_mended(v, printed);
	}
	cut_mend(image, v->disk, mended == MENDED_NEW);
	return verify_load_mended(v, printed);
}

/*
 * The torn pages become whole, by whatever means, when the store that had them was used in the
 * meantime: the torn volumes are as they were before or behind, and the others as they were left.
 */
static bool judge_mended(struct verify *v, const struct cut_image *image, enum mended mended)
{
	struct disk_mark mark = disk_mark(v->disk);
	struct found *before = v->found;
	uint32_t count = v->found_count;
	uint64_t lost = v->lost;
	bool good;

	v->found = kit_alloc(FOUND_MAX * sizeof(*v->found));
	v->found_count = 0;
	good = mend(v, image, mended) && is_mended(v, before, count, image);
	if (good && mended != MENDED_BY_TOOL && v->lost > lost)
		good = verify_wrong(v, "a volume is damaged, although its pages are whole again");
	good = good && verify_go_on(v);
	verify_give_up(v);
	verify_forget(v);
	free(v->found);
	v->found = before;
	v->found_count = count;
	disk_undo(v->disk, mark);
	return good;
}

bool verify_is_to_be_repaired(struct verify *v)
{
	return v->tool != NULL && v->repairable++ % v->repair_every == 0;
}

bool verify_survives_mending(struct verify *v, const struct cut_image *image)
{
	bool good = true;

	if (image->outer == NULL && v->mendable++ % v->mend_every == 0)
		good = judge_mended(v, image, MENDED_OLD) && judge_mended(v, image, MENDED_NEW);
	if (good && verify_is_to_be_repaired(v))
		good = judge_mended(v, image, MENDED_BY_TOOL);
	return good;
}

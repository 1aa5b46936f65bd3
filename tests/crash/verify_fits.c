/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image compared with the model, and with a second opinion on who owns what.
 *
 * Threading: see verify.h.
 */
#include "verify_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "walk.h"

/* --- compared with the model ------------------------------------------------------------------ */

const struct volume *verify_volume_of(const struct state *st, uint64_t id)
{
	for (uint32_t i = 0; i < st->count; i++) {
		if (st->volume[i].there && st->volume[i].id == id)
			return &st->volume[i];
	}
	return NULL;
}

static struct found *found_of(struct verify *v, uint64_t id)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].id == id && !v->found[i].gone)
			return &v->found[i];
	}
	return NULL;
}

static const char *value_name(uint32_t value, char *text, size_t size)
{
	if (value == VALUE_GARBAGE)
		return "garbage";
	if (value == VALUE_POISON)
		return "what was on the disk before";
	snprintf(text, size, "value %" PRIu32, value);
	return value == 0 ? "zeroes" : text;
}

static bool pad_is_right(const struct found *f, const char *name, uint16_t bytes)
{
	uint16_t len = 0;
	bool has = blob_xattr_get(f->blob, name, &len) != NULL;

	return has == (bytes > 0) && len == bytes;
}

static bool pads_are_right(const struct found *f, const struct volume *vol)
{
	return pad_is_right(f, PAD_NAME, vol->pad) &&
	       pad_is_right(f, PAD_NAME_1, vol->pads > 0 ? PAD_BYTES : 0) &&
	       pad_is_right(f, PAD_NAME_2, vol->pads > 1 ? PAD_BYTES : 0);
}

bool verify_is_as_told(struct verify *v, const struct found *f, const struct volume *vol,
		       const struct state *st)
{
	uint64_t parent = vol->parent < 0 ? BLOB_ID_NONE : st->volume[vol->parent].id;
	uint16_t len = 0;
	const void *label = blob_xattr_get(f->blob, "name", &len);

	if (f->info.clusters != vol->clusters)
		return verify_wrong(v, "blob 0x%" PRIx64 " has %" PRIu64 " clusters, not %" PRIu64,
				    f->id, f->info.clusters, vol->clusters);
	if (f->info.thin != vol->thin)
		return verify_wrong(v, "blob 0x%" PRIx64 " is %s", f->id,
				    f->info.thin ? "thin" : "thick");
	if (f->info.read_only != vol->read_only)
		return verify_wrong(v, "blob 0x%" PRIx64 " is %s", f->id,
				    f->info.read_only ? "read-only" : "not read-only");
	if (f->info.esnap_clone != vol->external)
		return verify_wrong(v, "blob 0x%" PRIx64 " stands %s", f->id,
				    vol->external ? "not on the external snapshot"
						  : "on the external snapshot");
	if (f->info.parent != parent)
		return verify_wrong(v,
				    "blob 0x%" PRIx64 " has parent 0x%" PRIx64 ", not 0x%" PRIx64,
				    f->id, f->info.parent, parent);
	if (label == NULL || len != sizeof(vol->label) ||
	    memcmp(label, &vol->label, sizeof(vol->label)) != 0 || !pads_are_right(f, vol))
		return verify_wrong(v, "blob 0x%" PRIx64 " has other xattrs", f->id);
	return true;
}

static bool content_is_allowed(struct verify *v, const struct found *f, const struct volume *vol,
			       uint32_t at)
{
	char text[32];

	for (uint64_t i = 0; i < f->blocks; i++) {
		if (!model_allows(v->model, &vol->content->block[i], at, f->seen[i]))
			return verify_wrong(v, "blob 0x%" PRIx64 ", block %" PRIu64 " has %s",
					    f->id, i, value_name(f->seen[i], text, sizeof(text)));
	}
	return true;
}

static bool volume_fits(struct verify *v, const struct found *f, const struct state *st,
			uint32_t at)
{
	const struct volume *vol = verify_volume_of(st, f->id);

	if (vol == NULL)
		return verify_wrong(v, "blob 0x%" PRIx64 " should not be there", f->id);
	return verify_is_as_told(v, f, vol, st) && content_is_allowed(v, f, vol, at);
}

static bool state_fits(struct verify *v, const struct state *st, uint32_t at)
{
	struct blob_store_info info;

	if (st->none)
		return verify_wrong(v, "the store is there, although it was destroyed");
	for (uint32_t i = 0; i < st->count; i++) {
		if (st->volume[i].there && found_of(v, st->volume[i].id) == NULL)
			return verify_wrong(v, "blob 0x%" PRIx64 " is lost", st->volume[i].id);
	}
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (!volume_fits(v, &v->found[i], st, at))
			return false;
	}
	blob_store_info_get(v->store, &info);
	if (info.total_clusters != st->clusters)
		return verify_wrong(v, "%" PRIu64 " clusters, not %" PRIu64, info.total_clusters,
				    st->clusters);
	if (blob_store_super(v->store) != st->super)
		return verify_wrong(v, "the root blob is 0x%" PRIx64 ", not 0x%" PRIx64,
				    blob_store_super(v->store), st->super);
	return true;
}

bool verify_compare(struct verify *v, const struct cut_image *image)
{
	const struct state *states[2];
	char before[400], behind[400];

	model_at(v->model, image->at, states);
	if (state_fits(v, states[0], image->at))
		return true;
	if (states[0] == states[1])
		return false;
	snprintf(before, sizeof(before), "%.399s", v->why);
	if (state_fits(v, states[1], image->at))
		return true;
	snprintf(behind, sizeof(behind), "%.399s", v->why);
	return verify_wrong(v, "not as before \"%s\": %s; nor as behind it: %s", states[1]->by,
			    before, behind);
}

/* --- compared where pages are torn (mode 2) --------------------------------------------------- */

static uint64_t torn_id(const struct verify *v, uint64_t page)
{
	uint64_t first = STORE_MD_FIRST / PAGE_BLOCKS;

	(void)v;
	return page < first ? BLOB_ID_NONE : BLOB_ID_BASE + (page - first);
}

/* The torn page was its root, or names it, in some version, as who wrote an extent page. */
static bool is_torn(const struct verify *v, const struct cut_image *image, uint64_t id)
{
	for (uint32_t i = 0; i < image->torn_count; i++) {
		const uint8_t *page = disk_data(v->disk) + image->torn[i] * PAGE;
		size_t at = (size_t)i * PAGE;

		if (torn_id(v, image->torn[i]) == id || le64_get(page) == id ||
		    le64_get(image->before + at) == id || le64_get(image->behind + at) == id)
			return true;
	}
	return image->outer != NULL && is_torn(v, image->outer, id);
}

/* A snapshot has the extent pages that its origin wrote. */
static bool has_torn_child(const struct verify *v, const struct cut_image *image,
			   const struct state *st, const struct volume *vol)
{
	for (uint32_t i = 0; i < st->count; i++) {
		const struct volume *child = &st->volume[i];

		if (child->there && child->parent >= 0 && &st->volume[child->parent] == vol &&
		    is_torn(v, image, child->id))
			return true;
	}
	return false;
}

static bool may_be_damaged(const struct verify *v, const struct cut_image *image, uint64_t id)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (unsigned int k = 0; k < 2; k++) {
		const struct volume *vol = verify_volume_of(states[k], id);

		while (vol != NULL) {
			if (is_torn(v, image, vol->id) || has_torn_child(v, image, states[k], vol))
				return true;
			vol = vol->parent < 0 ? NULL : &states[k]->volume[vol->parent];
		}
	}
	return is_torn(v, image, id);
}

/* A snapshot whose origin is damaged waits, unfinished, for the origin to be mended. */
static bool waits_for_damaged(const struct verify *v, const struct state *st, uint64_t id)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		const struct volume *vol = verify_volume_of(st, v->found[i].id);

		if (v->found[i].damage != NULL && vol != NULL && vol->parent >= 0 &&
		    st->volume[vol->parent].id == id)
			return true;
	}
	return false;
}

bool verify_whole_fits(struct verify *v, const struct found *f, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (unsigned int k = 0; k < 2; k++) {
		const struct volume *vol = verify_volume_of(states[k], f->id);

		if (volume_fits(v, f, states[k], image->at))
			return true;
		if (vol != NULL && waits_for_damaged(v, states[k], f->id) &&
		    f->info.clusters == vol->clusters && content_is_allowed(v, f, vol, image->at))
			return true;
	}
	return false;
}

bool verify_lost_fits(struct verify *v, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (uint32_t i = 0; i < states[0]->count; i++) {
		const struct volume *vol = &states[0]->volume[i];

		if (vol->there && found_of(v, vol->id) == NULL &&
		    verify_volume_of(states[1], vol->id) != NULL)
			return verify_wrong(v, "blob 0x%" PRIx64 " is lost without a word",
					    vol->id);
	}
	return true;
}

bool verify_compare_torn(struct verify *v, const struct cut_image *image)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		const struct found *f = &v->found[i];

		if (f->damage == NULL) {
			if (!verify_whole_fits(v, f, image))
				return false;
			continue;
		}
		if (v->copied)
			return verify_wrong(v,
					    "blob 0x%" PRIx64
					    " is damaged, although its root has a copy: %s",
					    f->id, f->damage);
		if (f->damage[0] == '\0')
			return verify_wrong(v, "blob 0x%" PRIx64 " is damaged without a reason",
					    f->id);
		if (!may_be_damaged(v, image, f->id))
			return verify_wrong(
				v, "blob 0x%" PRIx64 " is damaged, and none of its pages torn: %s",
				f->id, f->damage);
	}
	v->damaged++;
	return verify_lost_fits(v, image);
}

/* --- compared with a second opinion ----------------------------------------------------------- */

bool verify_owners(struct verify *v, bool unloaded)
{
	struct blob_store_info info;
	struct walk w;
	bool good = walk_run(&w, disk_data(v->disk), disk_bytes(v->disk));

	if (good && unloaded) {
		good = walk_masks(&w, disk_data(v->disk));
	} else if (good) {
		blob_store_info_get(v->store, &info);
		good = info.free_clusters == info.data_clusters - w.owned;
		if (!good)
			snprintf(w.why, sizeof(w.why),
				 "%" PRIu64 " clusters are free, of %" PRIu64 " with %" PRIu64
				 " owned",
				 info.free_clusters, info.data_clusters, w.owned);
	}
	if (!good)
		verify_wrong(v, "%s", w.why);
	walk_free(&w);
	return good;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging an image.
 *
 * Threading: see verify.h.
 */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "blob/internal.h"
#include "external.h"
#include "mend.h"
#include "walk.h"

/* struct found - a volume of the image; @seen: value of each block; @damage: NULL: none */
struct found {
	uint64_t id;
	struct blob *blob;
	struct blob_info info;
	char *damage;
	uint64_t blocks;
	uint32_t *seen;
	bool gone; /* deleted by what used the image on */
};

#define FOUND_MAX (MODEL_VOLUMES + 8)

__attribute__((format(printf, 2, 3))) static bool wrong(struct verify *v, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, args);
	va_end(args);
	return false;
}

/* --- the store -------------------------------------------------------------------------------- */

static int load(struct verify *v, bool read_only, struct error *err)
{
	struct blob_store_options opts;
	int rc;

	blob_store_options_init(&opts);
	opts.read_only = read_only;
	opts.esnap = external_ops();
	rc = blob_store_load(v->desc, &opts, &v->store, err);
	if (rc < 0)
		return rc;
	kit_attach(v->store);
	if (v->unguarded) {
		free(v->store->unknown);
		v->store->unknown = NULL;
	}
	return 0;
}

static bool is_guarded(const struct verify *v)
{
	struct blob_store_info info;

	blob_store_info_get(v->store, &info);
	return info.unknown != NULL;
}

static void close_found(struct verify *v)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].blob != NULL)
			blob_close(v->found[i].blob);
		v->found[i].blob = NULL;
	}
}

static void forget_found(struct verify *v)
{
	close_found(v);
	for (uint32_t i = 0; i < v->found_count; i++) {
		free(v->found[i].damage);
		free(v->found[i].seen);
	}
	v->found_count = 0;
}

static bool unload(struct verify *v)
{
	struct error err = ERROR_INIT;
	int rc;

	close_found(v);
	kit_detach();
	rc = blob_store_unload(v->store, &err);
	v->store = NULL;
	return rc == 0 ? true : wrong(v, "unload: %s", err.text);
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool note_blob(const struct blob_summary *b, void *arg)
{
	struct verify *v = arg;
	struct found *f = &v->found[v->found_count];

	if (v->found_count == FOUND_MAX)
		kit_die("more than %d volumes", FOUND_MAX);
	*f = (struct found){ .id = b->id };
	if (b->damage != 0)
		f->damage = strdup(b->damage_text != NULL ? b->damage_text : "");
	v->found_count++;
	return true;
}

static bool open_one(struct verify *v, struct found *f)
{
	struct error err = ERROR_INIT;

	if (blob_open(v->store, f->id, &f->blob, &err) < 0)
		return wrong(v, "blob 0x%" PRIx64 ": open: %s", f->id, err.text);
	blob_info_get(f->blob, &f->info);
	f->blocks = f->info.clusters * CLUSTER_BLOCKS;
	return true;
}

static bool read_one(struct verify *v, struct found *f, uint32_t *seen)
{
	uint8_t *buffer;
	int rc;

	if (f->blocks == 0)
		return true;
	buffer = aligned_alloc(4096, f->blocks * BLOCK);
	rc = buffer == NULL ? -ENOMEM : kit_io(f->blob, BDEV_IO_READ, buffer, 0, f->blocks);
	for (uint64_t i = 0; rc == 0 && i < f->blocks; i++)
		seen[i] = data_value(buffer + i * BLOCK, i);
	free(buffer);
	return rc == 0 ? true
		       : wrong(v, "blob 0x%" PRIx64 ": read: %s", f->id, error_errno_text(rc));
}

static bool look_around(struct verify *v)
{
	v->found_count = 0;
	blob_store_each(v->store, note_blob, v);
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[i];

		if (f->damage != NULL)
			continue;
		if (!open_one(v, f))
			return false;
		f->seen = kit_alloc(f->blocks * sizeof(*f->seen));
		if (!read_one(v, f, f->seen))
			return false;
	}
	return true;
}

/* --- compared with the model ------------------------------------------------------------------ */

static const struct volume *volume_of(const struct state *st, uint64_t id)
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

static bool is_as_told(struct verify *v, const struct found *f, const struct volume *vol,
		       const struct state *st)
{
	uint64_t parent = vol->parent < 0 ? BLOB_ID_NONE : st->volume[vol->parent].id;
	uint16_t len = 0;
	const void *label = blob_xattr_get(f->blob, "name", &len);

	if (f->info.clusters != vol->clusters)
		return wrong(v, "blob 0x%" PRIx64 " has %" PRIu64 " clusters, not %" PRIu64, f->id,
			     f->info.clusters, vol->clusters);
	if (f->info.thin != vol->thin)
		return wrong(v, "blob 0x%" PRIx64 " is %s", f->id, f->info.thin ? "thin" : "thick");
	if (f->info.read_only != vol->read_only)
		return wrong(v, "blob 0x%" PRIx64 " is %s", f->id,
			     f->info.read_only ? "read-only" : "not read-only");
	if (f->info.esnap_clone != vol->external)
		return wrong(v, "blob 0x%" PRIx64 " stands %s", f->id,
			     vol->external ? "not on the external snapshot"
					   : "on the external snapshot");
	if (f->info.parent != parent)
		return wrong(v, "blob 0x%" PRIx64 " has parent 0x%" PRIx64 ", not 0x%" PRIx64,
			     f->id, f->info.parent, parent);
	if (label == NULL || len != sizeof(vol->label) ||
	    memcmp(label, &vol->label, sizeof(vol->label)) != 0 || !pads_are_right(f, vol))
		return wrong(v, "blob 0x%" PRIx64 " has other xattrs", f->id);
	return true;
}

static bool content_is_allowed(struct verify *v, const struct found *f, const struct volume *vol,
			       uint32_t at)
{
	char text[32];

	for (uint64_t i = 0; i < f->blocks; i++) {
		if (!model_allows(v->model, &vol->content->block[i], at, f->seen[i]))
			return wrong(v, "blob 0x%" PRIx64 ", block %" PRIu64 " has %s", f->id, i,
				     value_name(f->seen[i], text, sizeof(text)));
	}
	return true;
}

static bool volume_fits(struct verify *v, const struct found *f, const struct state *st,
			uint32_t at)
{
	const struct volume *vol = volume_of(st, f->id);

	if (vol == NULL)
		return wrong(v, "blob 0x%" PRIx64 " should not be there", f->id);
	return is_as_told(v, f, vol, st) && content_is_allowed(v, f, vol, at);
}

static bool state_fits(struct verify *v, const struct state *st, uint32_t at)
{
	struct blob_store_info info;

	if (st->none)
		return wrong(v, "the store is there, although it was destroyed");
	for (uint32_t i = 0; i < st->count; i++) {
		if (st->volume[i].there && found_of(v, st->volume[i].id) == NULL)
			return wrong(v, "blob 0x%" PRIx64 " is lost", st->volume[i].id);
	}
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (!volume_fits(v, &v->found[i], st, at))
			return false;
	}
	blob_store_info_get(v->store, &info);
	if (info.total_clusters != st->clusters)
		return wrong(v, "%" PRIu64 " clusters, not %" PRIu64, info.total_clusters,
			     st->clusters);
	if (blob_store_super(v->store) != st->super)
		return wrong(v, "the root blob is 0x%" PRIx64 ", not 0x%" PRIx64,
			     blob_store_super(v->store), st->super);
	return true;
}

static bool any_damage(const struct verify *v)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].damage != NULL)
			return true;
	}
	return false;
}

static bool compare(struct verify *v, const struct cut_image *image)
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
	return wrong(v, "not as before \"%s\": %s; nor as behind it: %s", states[1]->by, before,
		     behind);
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
		const struct volume *vol = volume_of(states[k], id);

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
		const struct volume *vol = volume_of(st, v->found[i].id);

		if (v->found[i].damage != NULL && vol != NULL && vol->parent >= 0 &&
		    st->volume[vol->parent].id == id)
			return true;
	}
	return false;
}

static bool whole_fits(struct verify *v, const struct found *f, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (unsigned int k = 0; k < 2; k++) {
		const struct volume *vol = volume_of(states[k], f->id);

		if (volume_fits(v, f, states[k], image->at))
			return true;
		if (vol != NULL && waits_for_damaged(v, states[k], f->id) &&
		    f->info.clusters == vol->clusters && content_is_allowed(v, f, vol, image->at))
			return true;
	}
	return false;
}

static bool lost_fits(struct verify *v, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (uint32_t i = 0; i < states[0]->count; i++) {
		const struct volume *vol = &states[0]->volume[i];

		if (vol->there && found_of(v, vol->id) == NULL &&
		    volume_of(states[1], vol->id) != NULL)
			return wrong(v, "blob 0x%" PRIx64 " is lost without a word", vol->id);
	}
	return true;
}

static bool compare_torn(struct verify *v, const struct cut_image *image)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		const struct found *f = &v->found[i];

		if (f->damage == NULL) {
			if (!whole_fits(v, f, image))
				return false;
			continue;
		}
		if (v->copied)
			return wrong(v,
				     "blob 0x%" PRIx64
				     " is damaged, although its root has a copy: %s",
				     f->id, f->damage);
		if (f->damage[0] == '\0')
			return wrong(v, "blob 0x%" PRIx64 " is damaged without a reason", f->id);
		if (!may_be_damaged(v, image, f->id))
			return wrong(
				v, "blob 0x%" PRIx64 " is damaged, and none of its pages torn: %s",
				f->id, f->damage);
	}
	v->damaged++;
	return lost_fits(v, image);
}

/* --- compared with a second opinion ----------------------------------------------------------- */

static bool owners_are_right(struct verify *v, bool unloaded)
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
		wrong(v, "%s", w.why);
	walk_free(&w);
	return good;
}

/* --- used on ---------------------------------------------------------------------------------- */

#define VALUE_USE 0x70000000u

static bool io(struct verify *v, struct found *f, enum bdev_io_type type, uint64_t block,
	       uint32_t value)
{
	uint8_t buffer[BLOCK] __attribute__((aligned(64)));
	int rc;

	data_fill(buffer, block, 1, value);
	rc = kit_io(f->blob, type, buffer, block, 1);
	if (rc < 0)
		return wrong(v, "blob 0x%" PRIx64 ": I/O: %s", f->id, error_errno_text(rc));
	if (type == BDEV_IO_WRITE)
		f->seen[block] = value;
	return true;
}

static struct found *add_found(struct verify *v, uint64_t id, const uint32_t *seen)
{
	struct found *f = &v->found[v->found_count];

	if (v->found_count == FOUND_MAX)
		kit_die("more than %d volumes", FOUND_MAX);
	*f = (struct found){ .id = id };
	v->found_count++;
	if (!open_one(v, f))
		return NULL;
	f->seen = kit_alloc(f->blocks * sizeof(*f->seen));
	if (seen != NULL)
		memcpy(f->seen, seen, f->blocks * sizeof(*f->seen));
	return f;
}

static struct found *create(struct verify *v, bool thin)
{
	struct blob_options opts = { .clusters = 3, .thin = thin };
	struct error err = ERROR_INIT;
	uint64_t id;

	if (blob_create(v->store, &opts, &id, &err) < 0) {
		wrong(v, "create: %s", err.text);
		return NULL;
	}
	return add_found(v, id, NULL);
}

static bool delete (struct verify *v, struct found *f)
{
	struct error err = ERROR_INIT;

	blob_close(f->blob);
	f->blob = NULL;
	if (blob_delete(v->store, f->id, &err) < 0)
		return wrong(v, "delete: %s", err.text);
	f->gone = true;
	return true;
}

static struct found *writable(struct verify *v)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[(i + v->looked) % v->found_count];

		if (f->blob != NULL && !f->info.read_only && f->blocks > 0)
			return f;
	}
	return NULL;
}

static bool snapshot_and_back(struct verify *v, struct found *f)
{
	struct error err = ERROR_INIT;
	struct found *s;
	uint64_t id;

	if (blob_snapshot(f->blob, NULL, 0, &id, &err) < 0)
		return wrong(v, "snapshot: %s", err.text);
	s = add_found(v, id, f->seen);
	if (s == NULL || !io(v, f, BDEV_IO_WRITE, 1, VALUE_USE + 3))
		return false;
	return v->looked % 2 == 0 ? delete (v, s) : true;
}

static bool use(struct verify *v)
{
	struct found *old = writable(v), *thick = create(v, false), *thin = create(v, true);

	if (thick == NULL || thin == NULL)
		return false;
	if (!io(v, thin, BDEV_IO_WRITE, 3, VALUE_USE) ||
	    !io(v, thick, BDEV_IO_WRITE, 9, VALUE_USE + 1))
		return false;
	if (old != NULL && (!io(v, old, BDEV_IO_WRITE, old->blocks - 1, VALUE_USE + 2) ||
			    !snapshot_and_back(v, old)))
		return false;
	if (!io(v, thin, BDEV_IO_FLUSH, 0, 0))
		return false;
	return v->looked % 3 != 0 || delete (v, thick);
}

static bool is_as_seen(struct verify *v)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[i];
		uint32_t *now;
		bool good;

		if (f->blob == NULL)
			continue;
		now = kit_alloc(f->blocks * sizeof(*now));
		good = read_one(v, f, now);
		if (good && memcmp(now, f->seen, f->blocks * sizeof(*now)) != 0)
			good = wrong(v, "blob 0x%" PRIx64 " changed while others were used", f->id);
		free(now);
		if (!good)
			return false;
	}
	return true;
}

/* --- loaded again ----------------------------------------------------------------------------- */

static bool reopen(struct verify *v, bool damage)
{
	struct error err = ERROR_INIT;
	struct blob_store_info info;

	if (load(v, false, &err) < 0)
		return wrong(v, "the second load: %s", err.text);
	blob_store_info_get(v->store, &info);
	if (!info.was_clean || info.was_recovered)
		return wrong(v, "the store is not clean after it was unloaded");
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[i];

		if (!f->gone && f->damage == NULL && !open_one(v, f))
			return false;
	}
	return is_as_seen(v) && (damage || owners_are_right(v, false));
}

/* --- used on where a volume cannot be read ---------------------------------------------------- */

static bool refused(struct verify *v, int rc, const struct error *err, const char *what)
{
	if (rc == -EUCLEAN && strstr(err->text, "cyborg-spdk blob repair") != NULL)
		return true;
	return wrong(v, "%s, although not all is known: %d, \"%s\"", what, rc, err->text);
}

static bool creation_is_refused(struct verify *v)
{
	struct blob_options opts = { .clusters = 3, .thin = v->looked % 2 == 0 };
	struct error err = ERROR_INIT;
	uint64_t id;

	return refused(v, blob_create(v->store, &opts, &id, &err), &err, "a creation");
}

/* What it has can be written, and nothing else. */
static bool writes_as_it_has(struct verify *v, struct found *f)
{
	uint8_t buffer[BLOCK] __attribute__((aligned(64)));
	int rc;

	data_fill(buffer, f->blocks - 1, 1, VALUE_USE + 4);
	rc = kit_io(f->blob, BDEV_IO_WRITE, buffer, f->blocks - 1, 1);
	if (rc == 0)
		f->seen[f->blocks - 1] = VALUE_USE + 4;
	if (rc == 0 ? f->info.allocated_clusters > 0
		    : rc == -EUCLEAN && f->info.allocated_clusters < f->info.clusters)
		return true;
	return wrong(v, "blob 0x%" PRIx64 ": a write, although not all is known: %s", f->id,
		     error_errno_text(rc));
}

static bool changes_are_refused(struct verify *v, struct found *f)
{
	struct error err = ERROR_INIT;
	uint64_t id;

	if (!refused(v, blob_snapshot(f->blob, NULL, 0, &id, &err), &err, "a snapshot") ||
	    !refused(v, blob_resize(f->blob, f->info.clusters + 1, &err), &err, "a resize"))
		return false;
	blob_close(f->blob);
	f->blob = NULL;
	if (f->info.children == 0 &&
	    !refused(v, blob_delete(v->store, f->id, &err), &err, "a deletion"))
		return false;
	return open_one(v, f);
}

static bool refuses(struct verify *v)
{
	struct found *f = writable(v);

	if (!creation_is_refused(v))
		return false;
	return f == NULL || (writes_as_it_has(v, f) && changes_are_refused(v, f));
}

/* Nothing that another volume may have is given away, in this session or a later one. */
static bool go_on_guarded(struct verify *v)
{
	struct error err = ERROR_INIT;

	if (!refuses(v) || !is_as_seen(v) || !unload(v))
		return false;
	if (load(v, false, &err) < 0)
		return wrong(v, "the second load: %s", err.text);
	if (!is_guarded(v))
		return wrong(v, "the second load knows all");
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].damage == NULL && !open_one(v, &v->found[i]))
			return false;
	}
	return is_as_seen(v) && unload(v);
}

static bool go_on(struct verify *v)
{
	bool damage = any_damage(v);

	if (is_guarded(v))
		return go_on_guarded(v);
	if (v->unguarded && damage)
		return use(v) && unload(v);
	/* What is damaged is to be mended before anything new is written over what it has. */
	if (!damage && (!owners_are_right(v, false) || !use(v) || !is_as_seen(v)))
		return false;
	if (!unload(v) || (!damage && !owners_are_right(v, true)))
		return false;
	return reopen(v, damage) && unload(v);
}

/* --- repaired --------------------------------------------------------------------------------- */

static bool told_fits(struct verify *v, const struct found *f, const struct cut_image *image)
{
	const struct state *states[2];

	model_at(v->model, image->at, states);
	for (unsigned int k = 0; k < 2; k++) {
		const struct volume *vol = volume_of(states[k], f->id);

		if (vol != NULL && is_as_told(v, f, vol, states[k]))
			return true;
	}
	return false;
}

/* @before: the volume in the store that was not repaired yet; NULL: it was not there */
static bool repaired_volume_fits(struct verify *v, const struct found *f,
				 const struct found *before, const struct cut_image *image)
{
	if (f->damage != NULL && (before == NULL || before->damage == NULL))
		return wrong(v, "repair damages blob 0x%" PRIx64 ": %s", f->id, f->damage);
	if (f->damage != NULL) {
		v->lost++;
		return true;
	}
	if (before == NULL || before->damage != NULL)
		return whole_fits(v, f, image);
	if (f->blocks != before->blocks ||
	    memcmp(f->seen, before->seen, f->blocks * sizeof(*f->seen)) != 0)
		return wrong(v, "repair changes the content of blob 0x%" PRIx64, f->id);
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
	return lost_fits(v, image);
}

static bool load_mended(struct verify *v, const char *by)
{
	struct error err = ERROR_INIT;

	if (load(v, false, &err) == 0)
		return true;
	return wrong(v, "load of the mended store: %s; %s", err.text, by);
}

static bool is_mended(struct verify *v, const struct found *before, uint32_t count,
		      const struct cut_image *image)
{
	if (!look_around(v) || !repaired_fits(v, before, count, image))
		return false;
	/* What a repair cannot read either is still guarded. */
	if (any_damage(v) && !is_guarded(v) && !v->unguarded)
		return wrong(v, "a damaged volume is left, and all is called known");
	return true;
}

static void give_up(struct verify *v)
{
	struct error err = ERROR_INIT;

	if (v->store == NULL)
		return;
	close_found(v);
	kit_detach();
	(void)blob_store_unload(v->store, &err);
	v->store = NULL;
}

enum mended { MENDED_OLD, MENDED_NEW, MENDED_BY_TOOL };

static bool mend(struct verify *v, const struct cut_image *image, enum mended mended)
{
	char printed[900] = "its torn pages are whole";

	if (mended == MENDED_BY_TOOL) {
		mend_run(v->tool, v->disk, printed, sizeof(printed));
		v->repaired++;
		return load_mended(v, printed);
	}
	cut_mend(image, v->disk, mended == MENDED_NEW);
	return load_mended(v, printed);
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
		good = wrong(v, "a volume is damaged, although its pages are whole again");
	good = good && go_on(v);
	give_up(v);
	forget_found(v);
	free(v->found);
	v->found = before;
	v->found_count = count;
	disk_undo(v->disk, mark);
	return good;
}

static bool is_to_be_repaired(struct verify *v)
{
	return v->tool != NULL && v->repairable++ % v->repair_every == 0;
}

static bool survives_mending(struct verify *v, const struct cut_image *image)
{
	bool good = true;

	if (image->outer == NULL && v->mendable++ % v->mend_every == 0)
		good = judge_mended(v, image, MENDED_OLD) && judge_mended(v, image, MENDED_NEW);
	if (good && is_to_be_repaired(v))
		good = judge_mended(v, image, MENDED_BY_TOOL);
	return good;
}

/* --- one image -------------------------------------------------------------------------------- */

static bool judge(struct verify *v, const struct cut_image *image)
{
	if (!look_around(v))
		return false;
	if (!any_damage(v))
		return compare(v, image) && go_on(v);
	if (v->mode == 1)
		return wrong(v, "a blob is damaged: %s",
			     v->found[0].damage != NULL ? v->found[0].damage : "not the first one");
	if (!compare_torn(v, image) || !go_on(v))
		return false;
	return survives_mending(v, image);
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
		return wrong(v, "load: %s", err->text);
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
		return wrong(v, "init: %s", err.text);
	kit_attach(v->store);
	return look_around(v) && go_on(v);
}

/* The real repair gets the super block as it is. */
static bool super_is_repaired(struct verify *v, const struct cut_image *image)
{
	struct disk_mark mark = disk_mark(v->disk);
	char printed[900];
	bool good;

	mend_run(v->tool, v->disk, printed, sizeof(printed));
	v->repaired++;
	good = load_mended(v, printed) && judge(v, image);
	give_up(v);
	forget_found(v);
	disk_undo(v->disk, mark);
	return good;
}

/* There is no store that can be loaded: none at all, or one with a torn super block. */
static bool judge_unloadable(struct verify *v, const struct cut_image *image, struct error *err)
{
	if (may_be_gone(v, image))
		return judge_gone(v);
	if (is_torn_super(v, image, err) && is_to_be_repaired(v) && !super_is_repaired(v, image))
		return false;
	if (!mend_super(v, image, err))
		return false;
	*err = (struct error)ERROR_INIT;
	if (load(v, false, err) < 0)
		return wrong(v, "load with a mended super block: %s", err->text);
	return judge(v, image);
}

static bool load_and_judge(struct verify *v, const struct cut_image *image)
{
	struct error err = ERROR_INIT;
	bool good;

	if (load(v, false, &err) < 0)
		good = judge_unloadable(v, image, &err);
	else
		good = judge(v, image);
	give_up(v);
	forget_found(v);
	return good;
}

/* --- looked at without being written ---------------------------------------------------------- */

static bool read_only_fits(struct verify *v, const struct cut_image *image)
{
	uint64_t changes = disk_changes(v->disk);
	struct error err = ERROR_INIT;
	bool good;

	/* A torn super block is the writing load's to judge. */
	if (load(v, true, &err) < 0)
		return true;
	good = look_around(v) && (any_damage(v) || compare(v, image));
	if (good)
		good = unload(v);
	give_up(v);
	forget_found(v);
	if (good && disk_changes(v->disk) != changes)
		good = wrong(v, "a load to read only wrote");
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
	if (load(v, false, &err) == 0)
		good = unload(v);
	disk_record(v->disk, NULL, NULL);
	disk_undo(v->disk, mark);
	if (good && !cut_run(v->disk, &opts, &count)) {
		char first[sizeof(v->why)];

		memcpy(first, v->why, sizeof(first));
		good = wrong(v, "cut again while it was loaded and unloaded: %.1900s", first);
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

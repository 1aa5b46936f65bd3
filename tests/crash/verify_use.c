/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of an image used on, unloaded, and loaded again.
 *
 * Threading: see verify.h.
 */
#include "verify_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
		return verify_wrong(v, "blob 0x%" PRIx64 ": I/O: %s", f->id, error_errno_text(rc));
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
	if (!verify_open(v, f))
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
		verify_wrong(v, "create: %s", err.text);
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
		return verify_wrong(v, "delete: %s", err.text);
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
		return verify_wrong(v, "snapshot: %s", err.text);
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
		good = verify_read(v, f, now);
		if (good && memcmp(now, f->seen, f->blocks * sizeof(*now)) != 0)
			good = verify_wrong(v, "blob 0x%" PRIx64 " changed while others were used",
					    f->id);
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

	if (verify_load(v, false, &err) < 0)
		return verify_wrong(v, "the second load: %s", err.text);
	blob_store_info_get(v->store, &info);
	if (!info.was_clean || info.was_recovered)
		return verify_wrong(v, "the store is not clean after it was unloaded");
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[i];

		if (!f->gone && f->damage == NULL && !verify_open(v, f))
			return false;
	}
	return is_as_seen(v) && (damage || verify_owners(v, false));
}

/* --- used on where a volume cannot be read ---------------------------------------------------- */

static bool refused(struct verify *v, int rc, const struct error *err, const char *what)
{
	if (rc == -EUCLEAN && strstr(err->text, "cyborg-spdk blob repair") != NULL)
		return true;
	return verify_wrong(v, "%s, although not all is known: %d, \"%s\"", what, rc, err->text);
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
	return verify_wrong(v, "blob 0x%" PRIx64 ": a write, although not all is known: %s", f->id,
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
	return verify_open(v, f);
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

	if (!refuses(v) || !is_as_seen(v) || !verify_unload(v))
		return false;
	if (verify_load(v, false, &err) < 0)
		return verify_wrong(v, "the second load: %s", err.text);
	if (!verify_is_guarded(v))
		return verify_wrong(v, "the second load knows all");
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].damage == NULL && !verify_open(v, &v->found[i]))
			return false;
	}
	return is_as_seen(v) && verify_unload(v);
}

bool verify_go_on(struct verify *v)
{
	bool damage = verify_any_damage(v);

	if (verify_is_guarded(v))
		return go_on_guarded(v);
	if (v->unguarded && damage)
		return use(v) && verify_unload(v);
	/* What is damaged is to be mended before anything new is written over what it has. */
	if (!damage && (!verify_owners(v, false) || !use(v) || !is_as_seen(v)))
		return false;
	if (!verify_unload(v) || (!damage && !verify_owners(v, true)))
		return false;
	return reopen(v, damage) && verify_unload(v);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of an image, and what is there.
 *
 * Threading: see verify.h.
 */
#include "verify_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"
#include "external.h"

bool verify_wrong(struct verify *v, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, args);
	va_end(args);
	return false;
}

/* --- the store -------------------------------------------------------------------------------- */

int verify_load(struct verify *v, bool read_only, struct error *err)
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

bool verify_is_guarded(const struct verify *v)
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

void verify_forget(struct verify *v)
{
	close_found(v);
	for (uint32_t i = 0; i < v->found_count; i++) {
		free(v->found[i].damage);
		free(v->found[i].seen);
	}
	v->found_count = 0;
}

bool verify_unload(struct verify *v)
{
	struct error err = ERROR_INIT;
	int rc;

	close_found(v);
	kit_detach();
	rc = blob_store_unload(v->store, &err);
	v->store = NULL;
	return rc == 0 ? true : verify_wrong(v, "unload: %s", err.text);
}

void verify_give_up(struct verify *v)
{
	struct error err = ERROR_INIT;

	if (v->store == NULL)
		return;
	close_found(v);
	kit_detach();
	(void)blob_store_unload(v->store, &err);
	v->store = NULL;
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

bool verify_open(struct verify *v, struct found *f)
{
	struct error err = ERROR_INIT;

	if (blob_open(v->store, f->id, &f->blob, &err) < 0)
		return verify_wrong(v, "blob 0x%" PRIx64 ": open: %s", f->id, err.text);
	blob_info_get(f->blob, &f->info);
	f->blocks = f->info.clusters * CLUSTER_BLOCKS;
	return true;
}

bool verify_read(struct verify *v, struct found *f, uint32_t *seen)
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
		       : verify_wrong(v, "blob 0x%" PRIx64 ": read: %s", f->id,
				      error_errno_text(rc));
}

bool verify_look(struct verify *v)
{
	v->found_count = 0;
	blob_store_each(v->store, note_blob, v);
	for (uint32_t i = 0; i < v->found_count; i++) {
		struct found *f = &v->found[i];

		if (f->damage != NULL)
			continue;
		if (!verify_open(v, f))
			return false;
		f->seen = kit_alloc(f->blocks * sizeof(*f->seen));
		if (!verify_read(v, f, f->seen))
			return false;
	}
	return true;
}

bool verify_any_damage(const struct verify *v)
{
	for (uint32_t i = 0; i < v->found_count; i++) {
		if (v->found[i].damage != NULL)
			return true;
	}
	return false;
}

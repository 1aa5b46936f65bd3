/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing blobs, and what can be asked of them.
 *
 * Threading: reactor 0.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "blob/internal.h"

static int no_such(const struct blob_store *store, uint64_t id, struct error *err)
{
	return error_set(err, -ENOENT, "bdev \"%s\": there is no blob 0x%" PRIx64,
			 bdev_name(store->bdev), id);
}

/* A missing external snapshot leaves the blob degraded; another fault refuses it. */
static int open_esnap(struct blob *b, struct error *err)
{
	struct blob_esnap *e = blob_esnap_of(b);
	struct error why = ERROR_INIT;
	int rc = e == NULL ? 0 : blob_esnap_open(b->store, e, &why);

	if (rc == 0)
		return 0;
	if (rc != -ENODEV)
		return error_set(err, rc, "blob 0x%" PRIx64 ": %s", b->id, why.text);
	log_warning("blob 0x%" PRIx64 " is degraded: %s", b->id, why.text);
	return 0;
}

int blob_open(struct blob_store *store, uint64_t id, struct blob **out, struct error *err)
{
	struct blob *b = blob_find(store, id);
	int rc;

	if (b == NULL || b->hidden)
		return no_such(store, id, err);
	if (b->damage != NULL)
		return error_set(err, b->damage->code, "blob 0x%" PRIx64 " is damaged: %s", id,
				 b->damage->text);
	b->refs++;
	rc = open_esnap(b, err);
	if (rc < 0) {
		b->refs--;
		return rc;
	}
	*out = b;
	return 0;
}

void blob_close(struct blob *b)
{
	assert(b->refs > 0);
	b->refs--;
}

int blob_esnap_retry(struct blob *b, struct error *err)
{
	struct blob_esnap *e = blob_esnap_of(b);

	if (e == NULL)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64 " does not stand on an external snapshot",
				 b->id);
	return blob_esnap_open(b->store, e, err);
}

uint64_t blob_id(const struct blob *b)
{
	return b->id;
}

void blob_info_get(const struct blob *b, struct blob_info *info)
{
	const struct blob_esnap *e = blob_esnap_of(b);

	*info = (struct blob_info){
		.id = b->id,
		.clusters = blob_map(b)->clusters,
		.allocated_clusters = b->allocated,
		.parent = b->parent != NULL ? b->parent->id : BLOB_ID_NONE,
		.children = b->child_count,
		.clear = blob_clear_of(b),
		.thin = (b->invalid & BLOB_INVALID_THIN) != 0,
		.read_only = b->read_only,
		.snapshot = b->child_count > 0,
		.clone = b->parent != NULL,
		.esnap_clone = b->esnap != NULL,
		.degraded = e != NULL && e->desc == NULL,
	};
}

const void *blob_esnap_id(const struct blob *b, uint16_t *len)
{
	if (b->esnap == NULL)
		return NULL;
	*len = b->esnap->id_len;
	return b->esnap->id;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

size_t blob_children(const struct blob *b, uint64_t *ids, size_t room)
{
	const struct blob *child;
	size_t n = 0, count = 0;

	LIST_FOREACH (child, &b->children, sibling) {
		if (child->hidden)
			continue;
		if (n < room)
			ids[n++] = child->id;
		count++;
	}
	if (n > 0)
		qsort(ids, n, sizeof(*ids), ascending);
	return count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store and its blobs in memory: made, found, freed.
 *
 * Threading: reactor 0.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "blob/internal.h"

LOG_FLAG_DEFINE(blob);

void blob_store_options_init(struct blob_store_options *opts)
{
	*opts = (struct blob_store_options){ .cluster_size = 1024 * 1024 };
}

/* --- stores ----------------------------------------------------------------------------------- */

static void channels_init(struct blob_store *store)
{
	for (unsigned int i = 0; i < reactor_count(); i++) {
		store->channel[i].store = store;
		TAILQ_INIT(&store->channel[i].held);
	}
}

int blob_store_create(struct bdev_desc *desc, const struct blob_store_options *opts,
		      struct blob_store **out, struct error *err)
{
	struct blob_store *store = calloc(1, sizeof(*store));
	size_t channels = sizeof(struct blob_channel) * reactor_count();
	int rc;

	if (store == NULL)
		return error_set(err, -ENOMEM, "no memory for a store");
	store->desc = desc;
	store->bdev = bdev_of(desc);
	store->block_size = bdev_block_size(store->bdev);
	store->cache = bdev_has_write_cache(store->bdev);
	store->unmap_zeroes =
		bdev_unmap_zeroes(store->bdev) && bdev_supports(store->bdev, BDEV_IO_UNMAP);
	store->tears = store->block_size < BLOB_PAGE_BYTES &&
		       store->bdev->physical_block_size < BLOB_PAGE_BYTES;
	store->read_only = opts->read_only;
	store->esnap_ops = opts->esnap;
	TAILQ_INIT(&store->work);
	LIST_INIT(&store->esnaps);
	store->super = aligned_alloc(BLOB_PAGE_BYTES, BLOB_PAGE_BYTES);
	store->channel = aligned_alloc(_Alignof(struct blob_channel), channels);
	if (store->super == NULL || store->channel == NULL) {
		rc = error_set(err, -ENOMEM, "no memory for a store");
		goto fail;
	}
	memset(store->channel, 0, channels);
	channels_init(store);
	rc = bdev_channel_get(desc, &store->md);
	if (rc < 0) {
		error_set(err, rc, "bdev \"%s\": no channel: %s", bdev_name(store->bdev),
			  error_errno_text(rc));
		goto fail;
	}
	*out = store;
	return 0;
fail:
	blob_store_free(store);
	return rc;
}

int blob_store_size(struct blob_store *store, struct error *err)
{
	const struct blob_geometry *geo = &store->geo;
	uint32_t units = geo->cluster_size / geo->io_unit_size;
	size_t leaves = geo->md.len / BLOB_INDEX_LEAF + 1;

	store->blocks_per_unit = geo->io_unit_size / store->block_size;
	store->blocks_per_cluster = geo->cluster_size / store->block_size;
	store->units_per_cluster = units;
	store->cluster_shift = is_power_of_two(units) ? __builtin_ctz(units) : -1;
	store->pages = bit_array_create(geo->md.len);
	store->clusters = bit_array_create(geo->total_clusters);
	store->zeroed = bit_array_create(geo->total_clusters);
	store->index = calloc(leaves, sizeof(*store->index));
	if (store->pages == NULL || store->clusters == NULL || store->zeroed == NULL ||
	    store->index == NULL)
		return error_set(err, -ENOMEM, "no memory for the masks of %" PRIu32 " clusters",
				 geo->total_clusters);
	for (uint32_t i = 0; i < geo->md_clusters; i++)
		bit_array_set(store->clusters, i);
	return 0;
}

static void index_free(struct blob_store *store)
{
	struct blob *b;

	if (store->index == NULL)
		return;
	while ((b = blob_next(store, 0)) != NULL)
		blob_forget(b);
	for (size_t i = 0; i <= store->geo.md.len / BLOB_INDEX_LEAF; i++)
		free(store->index[i]);
	free(store->index);
}

void blob_store_interrupt(struct blob_store *store)
{
	store->interrupted = true;
}

void blob_store_free(struct blob_store *store)
{
	index_free(store);
	if (store->md != NULL)
		bdev_channel_put(store->md);
	bit_array_destroy(store->pages);
	bit_array_destroy(store->clusters);
	bit_array_destroy(store->zeroed);
	for (unsigned int i = 0; store->channel != NULL && i < reactor_count(); i++)
		free(store->channel[i].esnap);
	free(store->channel);
	free(store->super);
	free(store->unknown);
	free(store);
}

/* --- the index -------------------------------------------------------------------------------- */

static bool is_id(const struct blob_store *store, uint64_t id)
{
	return id >= BLOB_ID_BASE && id - BLOB_ID_BASE < store->geo.md.len;
}

struct blob *blob_find(const struct blob_store *store, uint64_t id)
{
	uint64_t root = id - BLOB_ID_BASE;
	struct blob **leaf;

	if (!is_id(store, id))
		return NULL;
	leaf = store->index[root / BLOB_INDEX_LEAF];
	return leaf == NULL ? NULL : leaf[root % BLOB_INDEX_LEAF];
}

struct blob *blob_next(const struct blob_store *store, uint64_t id)
{
	uint64_t root = id <= BLOB_ID_BASE ? 0 : id - BLOB_ID_BASE;

	while (root < store->geo.md.len) {
		struct blob **leaf = store->index[root / BLOB_INDEX_LEAF];

		if (leaf == NULL)
			root = (root / BLOB_INDEX_LEAF + 1) * BLOB_INDEX_LEAF;
		else if (leaf[root % BLOB_INDEX_LEAF] != NULL)
			return leaf[root % BLOB_INDEX_LEAF];
		else
			root++;
	}
	return NULL;
}

struct blob *blob_new(struct blob_store *store, uint32_t root)
{
	struct blob ***leaf = &store->index[root / BLOB_INDEX_LEAF];
	struct blob *b;

	if (*leaf == NULL)
		*leaf = calloc(BLOB_INDEX_LEAF, sizeof(**leaf));
	if (*leaf == NULL)
		return NULL;
	assert((*leaf)[root % BLOB_INDEX_LEAF] == NULL);
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->store = store;
	b->id = BLOB_ID_BASE + root;
	TAILQ_INIT(&b->writes);
	LIST_INIT(&b->children);
	(*leaf)[root % BLOB_INDEX_LEAF] = b;
	store->blob_count++;
	return b;
}

void blob_forget(struct blob *b)
{
	struct blob_store *store = b->store;
	uint32_t root = blob_root(b);
	struct blob *child;

	/* Only when the whole store goes are there children left. */
	while ((child = LIST_FIRST(&b->children)) != NULL)
		blob_abandon(child);
	blob_abandon(b);
	store->index[root / BLOB_INDEX_LEAF][root % BLOB_INDEX_LEAF] = NULL;
	store->blob_count--;
	if (b->damage != NULL)
		store->damaged--;
	if (b->esnap != NULL)
		blob_esnap_put(store, b->esnap);
	blob_map_destroy(blob_map(b));
	blob_xattrs_free(&b->xattrs);
	free(b->chain);
	free(b->damage);
	free(b);
}

/* --- what blobs are to each other ------------------------------------------------------------- */

void blob_adopt(struct blob *parent, struct blob *child)
{
	assert(child->parent == NULL);
	child->parent = parent;
	parent->child_count++;
	LIST_INSERT_HEAD(&parent->children, child, sibling);
}

void blob_abandon(struct blob *child)
{
	if (child->parent == NULL)
		return;
	LIST_REMOVE(child, sibling);
	child->parent->child_count--;
	child->parent = NULL;
}

/* --- state ------------------------------------------------------------------------------------ */

void blob_damage_set(struct blob *b, int code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	size_t len;
	va_list args;

	if (b->damage != NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	len = strlen(text) + 1;
	b->damage = malloc(sizeof(*b->damage) + len);
	if (b->damage == NULL)
		abort();
	b->damage->code = code;
	b->store->damaged++;
	memcpy(b->damage->text, text, len);
	log_error("bdev \"%s\": blob 0x%" PRIx64 " cannot be used: %s", bdev_name(b->store->bdev),
		  b->id, text);
}

void blob_set_flags(struct blob *b, uint64_t invalid, uint64_t data_ro, uint64_t md_ro)
{
	b->invalid = invalid;
	b->data_ro = data_ro;
	b->md_ro = md_ro;
	b->read_only = data_ro != 0;
	b->md_read_only = (md_ro & ~BLOB_MD_RO_KNOWN) != 0;
}

int blob_check_writable(const struct blob_store *store, struct error *err)
{
	if (!store->read_only)
		return 0;
	return error_set(err, -EROFS, "bdev \"%s\": the store was loaded to be read only",
			 bdev_name(store->bdev));
}

int blob_store_check_known(const struct blob_store *store, struct error *err)
{
	if (store->unknown == NULL)
		return 0;
	return error_set(
		err, -EUCLEAN,
		"bdev \"%s\": %s: what it has is not known, and nothing can be allocated or "
		"freed before `cyborg-spdk blob repair` has mended it",
		bdev_name(store->bdev), store->unknown);
}

int blob_check_change(const struct blob *b, struct error *err)
{
	int rc = blob_check_writable(b->store, err);

	if (rc < 0)
		return rc;
	if (b->read_only)
		return error_set(err, -EPERM,
				 "blob 0x%" PRIx64 " is read-only; clone it to change it", b->id);
	if (b->md_read_only)
		return error_set(err, -EPERM,
				 "blob 0x%" PRIx64 ": flags 0x%" PRIx64
				 " of a later release forbid to change its metadata",
				 b->id, b->md_ro);
	return 0;
}

/* --- information ------------------------------------------------------------------------------ */

void blob_store_info_get(const struct blob_store *store, struct blob_store_info *info)
{
	const struct blob_geometry *geo = &store->geo;

	*info = (struct blob_store_info){
		.version = geo->version,
		.cluster_size = geo->cluster_size,
		.io_unit_size = geo->io_unit_size,
		.md_page_size = geo->page_size,
		.md_pages = geo->md.len,
		.size = geo->size,
		.total_clusters = geo->total_clusters,
		.data_clusters = geo->total_clusters - geo->md_clusters,
		.free_clusters = geo->total_clusters - bit_array_count_set(store->clusters),
		.max_growable_size = blob_layout_max_size(geo),
		.was_clean = store->was_clean,
		.was_recovered = store->was_recovered,
		.unknown = store->unknown,
	};
	memcpy(info->bstype, geo->bstype, sizeof(info->bstype));
}

uint64_t blob_store_super(const struct blob_store *store)
{
	return store->geo.super_blob;
}

void blob_store_each(const struct blob_store *store,
		     bool (*fn)(const struct blob_summary *b, void *arg), void *arg)
{
	struct blob *b = blob_next(store, 0);

	while (b != NULL) {
		uint64_t id = b->id;
		struct blob_summary summary = {
			.id = id,
			.damage = b->damage != NULL ? b->damage->code : 0,
			.damage_text = b->damage != NULL ? b->damage->text : NULL,
		};

		if (!b->hidden && !fn(&summary, arg))
			return;
		b = blob_next(store, id + 1);
	}
}

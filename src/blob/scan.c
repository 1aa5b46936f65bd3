/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the metadata region once, in large pieces, several under way: roots and extent pages are
 * parsed as they pass, each byte is looked at once.
 *
 * A clean store reads the pages that its mask has, with small gaps read along; one to be recovered
 * reads all, but for holes that the device knows of.
 *
 * Threading: reactor 0, inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/internal.h"

#define SCAN_BYTES  (512u * 1024)
#define SCAN_FIBERS 16u
#define SCAN_GAP    16u /* pages that are cheaper to read than to leave out */

struct scanner {
	struct blob_store *store;
	struct blob_scan *scan;
	const struct bit_array *only;
	struct fiber_lock lock; /* of @next and @data_end */
	uint64_t next;
	uint64_t data_end; /* up to here it is known not to be a hole */
	bool seeks;
	int result;
};

/* --- what is found ---------------------------------------------------------------------------- */

int blob_scan_add_root(struct blob_scan *scan, const struct blob_scan_root *root)
{
	if (scan->root_count == scan->root_room) {
		uint32_t room = scan->root_room == 0 ? 64 : scan->root_room * 2;
		struct blob_scan_root *more = realloc(scan->roots, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		scan->roots = more;
		scan->root_room = room;
	}
	scan->roots[scan->root_count++] = *root;
	return 0;
}

int blob_scan_leaf_make(const struct blob_extents *extents, uint32_t page,
			struct blob_scan_leaf *leaf)
{
	leaf->start = extents->start;
	leaf->count = extents->count;
	leaf->leaf = blob_leaf_create(extents->count);
	if (leaf->leaf == NULL)
		return -ENOMEM;
	leaf->leaf->page = page;
	for (uint32_t i = 0; i < extents->count; i++)
		blob_leaf_set(leaf->leaf, i, le32_get(extents->entries + (size_t)4 * i));
	return 0;
}

static int add_leaf(struct scanner *s, uint32_t page, const struct blob_extents *extents)
{
	struct blob_scan_leaf **piece = &s->scan->leaves[page / BLOB_INDEX_LEAF];

	if (*piece == NULL)
		*piece = calloc(BLOB_INDEX_LEAF, sizeof(**piece));
	if (*piece == NULL)
		return -ENOMEM;
	return blob_scan_leaf_make(extents, page, &(*piece)[page % BLOB_INDEX_LEAF]);
}

bool blob_scan_take(struct blob_scan *scan, uint32_t page, struct blob_scan_leaf *leaf)
{
	struct blob_scan_leaf *piece = scan->leaves[page / BLOB_INDEX_LEAF];

	if (piece == NULL || piece[page % BLOB_INDEX_LEAF].leaf == NULL)
		return false;
	*leaf = piece[page % BLOB_INDEX_LEAF];
	piece[page % BLOB_INDEX_LEAF].leaf = NULL;
	return true;
}

int blob_scan_root_parse(struct blob_scan_root *root, const void *page,
			 const struct blob_geometry *geo)
{
	struct error err = ERROR_INIT;

	free(root->text);
	root->text = NULL;
	root->torn = false;
	root->is_long = blob_page_is_long(page);
	root->next = blob_page_next(page);
	root->code = blob_content_add(&root->content, page, geo, &err);
	if (root->code == -ENOMEM)
		return -ENOMEM;
	if (root->code < 0)
		root->text = strdup(err.text);
	return 0;
}

static int parse_root(struct scanner *s, const uint8_t *p, uint32_t index)
{
	struct blob_scan_root root = { .page = index };
	int rc = blob_scan_root_parse(&root, p, &s->store->geo);

	if (rc == 0)
		rc = blob_scan_add_root(s->scan, &root);
	if (rc < 0) {
		blob_content_free(&root.content);
		free(root.text);
	}
	return rc;
}

static int parse_broken(struct scanner *s, uint32_t index)
{
	struct blob_scan_root root = { .page = index, .next = BLOB_NEXT_NONE, .code = -EILSEQ };

	root.torn = true;
	root.text = strdup("the checksum is wrong");
	return blob_scan_add_root(s->scan, &root);
}

static int add_spare(struct scanner *s, uint32_t root, uint32_t page)
{
	struct blob_scan *scan = s->scan;

	if (scan->spare_count == scan->spare_room) {
		uint32_t room = scan->spare_room == 0 ? 8 : scan->spare_room * 2;
		struct blob_scan_spare *more = realloc(scan->spares, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		scan->spares = more;
		scan->spare_room = room;
	}
	scan->spares[scan->spare_count++] = (struct blob_scan_spare){ root, page };
	return 0;
}

static int parse_other(struct scanner *s, const uint8_t *p, uint32_t index)
{
	uint32_t root;

	if (s->only != NULL || !blob_page_is_spare(p, index, &root))
		return 0;
	return add_spare(s, root, index);
}

static int parse_page(struct scanner *s, const uint8_t *p, uint32_t index)
{
	struct error unheard = ERROR_INIT;
	struct blob_extents extents;

	switch (blob_page_classify(p, index)) {
	case BLOB_PAGE_ROOT:
		return parse_root(s, p, index);
	case BLOB_PAGE_BROKEN:
		return parse_broken(s, index);
	case BLOB_PAGE_EXTENTS:
		/* What is wrong with it is told when a blob wants it. */
		if (blob_extents_parse(p, &s->store->geo, &extents, &unheard) < 0)
			return 0;
		return add_leaf(s, index, &extents);
	case BLOB_PAGE_EMPTY:
		return parse_other(s, p, index);
	default:
		return 0;
	}
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The next pages that the mask has, @max at most. */
static uint32_t next_of_mask(const struct scanner *s, uint32_t max, uint32_t *first)
{
	uint64_t begin = bit_array_find_set(s->only, s->next), end, next;

	if (begin == UINT64_MAX)
		return 0;
	end = begin + 1;
	while ((next = bit_array_find_set(s->only, end)) != UINT64_MAX && next - end <= SCAN_GAP &&
	       next - begin < max)
		end = next + 1;
	*first = (uint32_t)begin;
	return (uint32_t)(end - begin);
}

static uint32_t next_of_all(const struct scanner *s, uint32_t max, uint32_t *first)
{
	uint64_t left = s->store->geo.md.len - s->next;

	*first = (uint32_t)s->next;
	return left < max ? (uint32_t)left : max;
}

/* Pages in a hole are zeroes, and those are no pages of a blob: go on behind it. */
static bool skips_hole(struct scanner *s, uint32_t first)
{
	struct blob_store *store = s->store;
	uint64_t base = blob_page_offset(&store->geo, 0);
	uint64_t at = blob_page_offset(&store->geo, first), data;

	if (!s->seeks || at < s->data_end)
		return false;
	data = md_seek(store, false, at);
	if (data == UINT64_MAX) {
		s->next = store->geo.md.len;
		return true;
	}
	s->data_end = md_seek(store, true, data);
	if (data < at + store->geo.page_size)
		return false;
	s->next = (data - base) / store->geo.page_size;
	return true;
}

/* Pages from @first on that begin before the next hole. */
static uint32_t clip_at_hole(const struct scanner *s, uint32_t first, uint32_t count)
{
	uint64_t page = s->store->geo.page_size, at = blob_page_offset(&s->store->geo, first);
	uint64_t known;

	if (!s->seeks || s->data_end <= at)
		return count;
	known = (s->data_end - at) / page + ((s->data_end - at) % page != 0);
	return known < count ? (uint32_t)known : count;
}

static uint32_t next_pages(struct scanner *s, uint32_t *first)
{
	uint32_t max = SCAN_BYTES / s->store->geo.page_size, count = 0;

	fiber_lock(&s->lock);
	while (s->result == 0 && s->next < s->store->geo.md.len) {
		count = s->only != NULL ? next_of_mask(s, max, first) : next_of_all(s, max, first);
		if (count == 0 || !skips_hole(s, *first))
			break;
		count = 0;
	}
	if (count > 0) {
		count = clip_at_hole(s, *first, count);
		s->next = *first + count;
	}
	fiber_unlock(&s->lock);
	return count;
}

static int scan_pages(struct scanner *s, uint8_t *buffer, uint32_t first, uint32_t count)
{
	uint32_t page = s->store->geo.page_size;
	int rc = md_read(s->store, buffer, blob_page_offset(&s->store->geo, first),
			 (size_t)count * page);

	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = parse_page(s, buffer + (size_t)i * page, first + i);
	return rc;
}

static void scan_some(void *arg)
{
	struct scanner *s = arg;
	uint64_t all = (uint64_t)s->store->geo.md.len * s->store->geo.page_size;
	uint8_t *buffer = aligned_alloc(BLOB_PAGE_BYTES, all < SCAN_BYTES ? all : SCAN_BYTES);
	uint32_t first, count;

	if (buffer == NULL) {
		s->result = -ENOMEM;
		return;
	}
	while ((count = next_pages(s, &first)) > 0) {
		int rc = scan_pages(s, buffer, first, count);

		if (rc < 0)
			s->result = rc;
	}
	free(buffer);
}

/* As many as have something to do. */
static unsigned int fibers_for(const struct blob_store *store)
{
	uint64_t pieces = (uint64_t)store->geo.md.len * store->geo.page_size / SCAN_BYTES + 1;

	return pieces < SCAN_FIBERS ? (unsigned int)pieces : SCAN_FIBERS;
}

static int by_page(const void *a, const void *b)
{
	uint32_t x = ((const struct blob_scan_root *)a)->page;
	uint32_t y = ((const struct blob_scan_root *)b)->page;

	return (x > y) - (x < y);
}

static int by_root(const void *a, const void *b)
{
	uint32_t x = ((const struct blob_scan_spare *)a)->root;
	uint32_t y = ((const struct blob_scan_spare *)b)->root;

	return (x > y) - (x < y);
}

int blob_scan_run(struct blob_store *store, const struct bit_array *only, struct blob_scan *scan,
		  struct error *err)
{
	struct scanner s = {
		.store = store,
		.scan = scan,
		.only = only,
		.seeks = bdev_supports(store->bdev, BDEV_IO_SEEK_DATA) &&
			 bdev_supports(store->bdev, BDEV_IO_SEEK_HOLE),
	};

	*scan = (struct blob_scan){ .leaf_pieces = store->geo.md.len / BLOB_INDEX_LEAF + 1 };
	scan->leaves = calloc(scan->leaf_pieces, sizeof(*scan->leaves));
	if (scan->leaves == NULL)
		s.result = -ENOMEM;
	else if (blob_parallel(fibers_for(store), scan_some, &s) < 0)
		s.result = -ENOMEM;
	if (s.result < 0)
		return error_set(err, s.result, "metadata could not be read: %s",
				 error_errno_text(s.result));
	if (scan->root_count > 0)
		qsort(scan->roots, scan->root_count, sizeof(*scan->roots), by_page);
	if (scan->spare_count > 0)
		qsort(scan->spares, scan->spare_count, sizeof(*scan->spares), by_root);
	return 0;
}

void blob_scan_free(struct blob_scan *scan)
{
	for (uint32_t i = 0; i < scan->root_count; i++) {
		blob_content_free(&scan->roots[i].content);
		free(scan->roots[i].text);
	}
	for (uint32_t i = 0; scan->leaves != NULL && i < scan->leaf_pieces; i++) {
		for (uint32_t j = 0; scan->leaves[i] != NULL && j < BLOB_INDEX_LEAF; j++)
			free(scan->leaves[i][j].leaf);
		free(scan->leaves[i]);
	}
	free(scan->leaves);
	free(scan->spares);
	free(scan->roots);
	*scan = (struct blob_scan){ 0 };
}

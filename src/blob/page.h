/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata pages: what is on them, checked before use, and how they are written (format page,
 * sections 6 to 10). No I/O: these functions take any bytes and give an error or sound numbers.
 *
 * Threading: pure functions but for memory.
 */
#ifndef BLOB_PAGE_H
#define BLOB_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "blob/format.h"
#include "blob/map.h"
#include "blob/super.h"
#include "blob/xattrs.h"

/* Where a loop over hostile xattrs ends; SPDK writes a handful. */
#define BLOB_XATTRS_MAX 1024u

enum blob_page_kind {
	BLOB_PAGE_EMPTY,   /* zeroes, or nothing that was ever a page */
	BLOB_PAGE_BROKEN,  /* a root by its id, but the checksum is wrong */
	BLOB_PAGE_ROOT,	   /* of the blob with this index */
	BLOB_PAGE_CHAIN,   /* some blob's continuation page */
	BLOB_PAGE_EXTENTS, /* an extent page */
};

/** blob_page_classify() - what page @index holds, by checksum, id, sequence and first descriptor */
enum blob_page_kind blob_page_classify(const void *page, uint32_t index);
bool blob_page_crc_is_right(const void *page);
/** blob_page_is_long() - it says something behind its first sector */
bool blob_page_is_long(const void *page);
/** blob_page_is_spare() - page @index is a copy of root page @root, which is another (spare.c) */
bool blob_page_is_spare(const void *page, uint32_t index, uint32_t *root);
uint32_t blob_page_next(const void *page);

/** struct blob_extents - an extent page; @entries are little-endian numbers of clusters */
struct blob_extents {
	uint32_t start;
	uint32_t count;
	const uint8_t *entries;
};

/**
 * blob_extents_parse() - an extent page: checksum, sequence 0, no next, one descriptor that fits,
 * every cluster a data cluster of the store or 0
 *
 * Return: 0; -EILSEQ with @err naming the field. A count of 0, which an interrupted shrink of SPDK
 * leaves, is accepted; it is the caller's to judge.
 */
int blob_extents_parse(const void *page, const struct blob_geometry *geo, struct blob_extents *out,
		       struct error *err);
/** blob_extents_write() - the page of @leaf, the @table th of blob @id, with so many entries */
void blob_extents_write(void *page, uint64_t id, uint64_t table, const struct blob_leaf *leaf,
			uint32_t entries);

/* A list of pairs of numbers as they stand on disk: extent table entries or runs. */
struct blob_pairs {
	struct blob_pair {
		uint32_t a, b;
	} * pair;
	uint32_t count, room;
};

enum blob_form {
	BLOB_FORM_NONE,	 /* no extents at all: runs, of a blob with 0 clusters */
	BLOB_FORM_RUNS,	 /* descriptors of type 1: @pairs are cluster, count */
	BLOB_FORM_TABLE, /* descriptors of type 5: @pairs are extent page, count */
};

/**
 * struct blob_content - what the chain of a blob says, gathered page by page
 * @table_clusters: num_clusters of the extent table
 * @clusters: of runs: their sum; of a table: how many its pages can cover
 */
struct blob_content {
	uint64_t invalid, data_ro, md_ro;
	bool has_flags;
	enum blob_form form;
	uint64_t table_clusters;
	uint64_t clusters;
	uint32_t xattr_count;
	struct blob_pairs pairs;
	struct blob_xattrs xattrs;
};

/**
 * blob_content_add() - the descriptors of the next page of the chain
 * @page: its checksum is right
 *
 * Return: 0; -EILSEQ, -EINVAL a format that is not known, -ENOMEM, with @err naming the field.
 */
int blob_content_add(struct blob_content *c, const void *page, const struct blob_geometry *geo,
		     struct error *err);
void blob_content_free(struct blob_content *c);

/** struct blob_chain - pages to be written: the root, then its continuation */
struct blob_chain {
	uint8_t *pages; /* BLOB_PAGE_BYTES each, aligned to that */
	uint32_t count;
};

/**
 * struct blob_source - what a chain is made from
 * @table: write an extent table, not runs
 */
struct blob_source {
	uint64_t id;
	uint64_t invalid, data_ro, md_ro;
	bool table;
	const struct blob_map *map;
	const struct blob_xattrs *xattrs;
};

/** blob_chain_build() - the descriptors on as many pages as they need; -ENOMEM */
int blob_chain_build(struct blob_chain *chain, const struct blob_source *src);
/** blob_chain_link() - say where the continuation pages will be, and close all with checksums */
void blob_chain_link(struct blob_chain *chain, const uint32_t *continuation);
void blob_chain_free(struct blob_chain *chain);
static inline void *blob_chain_page(const struct blob_chain *chain, uint32_t i)
{
	return chain->pages + (size_t)i * BLOB_PAGE_BYTES;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small store in memory, made page by page, for tests of the tool.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_UNIT_H
#define BLOBTOOL_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "blobtool/repair.h"

#define STORE_CLUSTERS 4096u
#define STORE_CLUSTER  4096u
#define STORE_PAGES    512u

struct store {
	struct image img;
	struct blob_geometry geo;
};

/**
 * struct blob_spec - what a blob is to be
 * @leaf_page: [tables]; 0: no extent page; NULL: it keeps runs, of @runs
 * @parent, @marks: ids, 0: none; @extra: bytes of a user xattr
 */
struct blob_spec {
	uint32_t root;
	const char *name;
	uint16_t name_bytes, extra;
	uint64_t invalid, data_ro, clusters;
	const uint32_t *leaf_page;
	const struct blob_pair *runs;
	uint32_t run_count;
	uint64_t parent, snaptmp;
	const uint32_t *next;
};

void store_open(struct store *s, bool clean);
void store_close(struct store *s);
void store_write(struct store *s, uint32_t index, const void *page);
void store_read(struct store *s, uint32_t index, void *page);
/** store_extents() - extent page @index: @count entries for table @table of blob @root */
void store_extents(struct store *s, uint32_t index, uint32_t root, uint32_t table,
		   const uint32_t *cluster, uint32_t count);
/** spec_root() - the root page; further pages of the chain are written to @s at @spec->next */
void spec_root(struct store *s, const struct blob_spec *spec, uint8_t *page);

#endif

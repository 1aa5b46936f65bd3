/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which page and cluster, read from the bytes of a whole store without the code that is
 * tested: format page, sections 2 and 5 to 10, and nothing else.
 *
 * Threading: pure functions but for memory.
 */
#ifndef TESTS_CRASH_WALK_H
#define TESTS_CRASH_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct walk - @pages, @clusters: by number, how many own it; @md_clusters among the clusters */
struct walk {
	uint32_t page_bytes, cluster_bytes;
	uint32_t md_start, md_len, md_clusters, total_clusters;
	uint64_t owned;
	bool clean;
	uint8_t *pages, *clusters, *ids;
	char why[160];
};

/**
 * walk_run() - every root page with a right checksum, what it refers to, and who owns what
 *
 * Return: false with @w->why when something has two owners or is not as it must be in a store
 * without damage. walk_free() either way.
 */
bool walk_run(struct walk *w, const uint8_t *device, uint64_t bytes);
/** walk_masks() - the masks on the device say the same, and the super block says clean */
bool walk_masks(struct walk *w, const uint8_t *device);
void walk_free(struct walk *w);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging an image: it is loaded, compared with the model and with a second opinion on who owns
 * what, used on, unloaded, and loaded again.
 *
 * Threading: a fiber, where there is one reactor.
 */
#ifndef TESTS_CRASH_VERIFY_H
#define TESTS_CRASH_VERIFY_H

#include "cut.h"
#include "model.h"
#include "run.h"

/**
 * struct verify
 * @mode: in 2, what a torn page belonged to may be damaged, with a reason
 * @nested: the load itself is recorded and cut again, so deep
 * @mend_every: of stores with torn pages, in which these are made whole again
 * @tool: the program that repairs every @repair_every'th store with torn pages; NULL: none does
 * @copied: of struct scenario
 * @unguarded: a store is used as if what torn volumes have were known (a mutant)
 * @found: volumes of the image; see verify_parts.h
 * @damaged, @torn_supers, @nested_images, @repaired: counts
 * @lost: torn volumes that repair could not read either
 * @why: after a fault
 */
struct verify {
	struct disk *disk, *external;
	struct bdev_desc *desc;
	const struct model *model;
	unsigned int mode;
	unsigned int nested;
	uint64_t seed;
	const char *tool;
	unsigned int repair_every, mend_every;
	bool unguarded, copied;
	struct blob_store *store;
	struct found *found;
	uint32_t found_count;
	uint64_t looked, damaged, torn_supers, nested_images, mendable, repairable, repaired, lost;
	char why[2048];
};

void verify_begin(struct verify *v, struct disk *disk, const struct model *model,
		  unsigned int mode);
void verify_end(struct verify *v);
/** verify_image() - the look of struct cut_options, @arg is the struct verify */
bool verify_image(const struct cut_image *image, void *arg);

#endif

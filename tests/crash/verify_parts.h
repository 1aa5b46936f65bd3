/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of verify_image() share. Where one answers false, the reason is in @why.
 *
 * Threading: see verify.h.
 */
#ifndef TESTS_CRASH_VERIFY_PARTS_H
#define TESTS_CRASH_VERIFY_PARTS_H

#include "verify.h"

#define FOUND_MAX (MODEL_VOLUMES + 8)

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

/** verify_wrong() - note the reason; false */
__attribute__((format(printf, 2, 3))) bool verify_wrong(struct verify *v, const char *fmt, ...);

int verify_load(struct verify *v, bool read_only, struct error *err);
bool verify_unload(struct verify *v);
/** verify_give_up() - unload what may be half of a store; forget nothing that was found */
void verify_give_up(struct verify *v);
/** verify_is_guarded() - torn pages keep the store from giving space away */
bool verify_is_guarded(const struct verify *v);

/** verify_look() - find all volumes, open and read those that are whole */
bool verify_look(struct verify *v);
bool verify_open(struct verify *v, struct found *f);
bool verify_read(struct verify *v, struct found *f, uint32_t *seen);
void verify_forget(struct verify *v);
bool verify_any_damage(const struct verify *v);

const struct volume *verify_volume_of(const struct state *st, uint64_t id);
/** verify_is_as_told() - all but the content is as @vol says */
bool verify_is_as_told(struct verify *v, const struct found *f, const struct volume *vol,
		       const struct state *st);
/** verify_compare() - the image is the model's state before or behind the operation that was cut */
bool verify_compare(struct verify *v, const struct cut_image *image);
/** verify_compare_torn() - the same, but what a torn page belonged to may be damaged */
bool verify_compare_torn(struct verify *v, const struct cut_image *image);
bool verify_whole_fits(struct verify *v, const struct found *f, const struct cut_image *image);
/** verify_lost_fits() - no volume is lost without a word */
bool verify_lost_fits(struct verify *v, const struct cut_image *image);
/** verify_owners() - who owns what, and @unloaded: the masks, as a second opinion reads them */
bool verify_owners(struct verify *v, bool unloaded);

/** verify_go_on() - use the loaded store, unload it, load it again; it is unloaded at the end */
bool verify_go_on(struct verify *v);

/** verify_is_to_be_repaired() - it is this store's turn for the real repair */
bool verify_is_to_be_repaired(struct verify *v);
bool verify_load_mended(struct verify *v, const char *by);
/** verify_survives_mending() - torn pages become whole behind the back of a store that was used */
bool verify_survives_mending(struct verify *v, const struct cut_image *image);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store must hold after a cut: volumes and their content, told by what was promised.
 *
 * Time is counted in events of the record. Changes of metadata come one after the other, each makes
 * a new state; a cut while one is under way leaves the state before or the one behind it. Data is
 * judged block by block: the last write that a flush (or FUA) made durable, or any later one.
 *
 * Threading: made by a fiber of reactor 0; the end of a change is noted by the reactor that did it.
 */
#ifndef TESTS_CRASH_MODEL_H
#define TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_VOLUMES 40
#define NEVER	      UINT32_MAX

/** struct change - blocks that got @value (0: zeroes) between two events */
struct change {
	uint32_t value;
	uint32_t begin, end;
	uint32_t durable; /* filled by model_finish() */
	bool fua;
};

/**
 * struct past - what a block may have had; @count entries, oldest first
 * @soft: it may have come too late for this content (a write under way during a snapshot), or have
 *        left the block as it was (an unmap of a disk that does not zero): it settles nothing
 */
struct past {
	struct past_entry {
		uint32_t change;
		bool soft;
	} * at;
	uint32_t count;
};

struct content {
	uint64_t blocks;
	struct past *block;
};

/**
 * struct volume
 * @parent: -1: none
 * @external: what it has not written itself is the external snapshot's
 * @label: value of its xattr
 * @pads: so many xattrs more, each on a page of its own; @pad: bytes of one more in the root page
 */
struct volume {
	bool there, thin, read_only, external;
	unsigned int pads;
	uint16_t pad;
	int parent;
	uint32_t label;
	uint64_t id, clusters;
	struct content *content;
};

/**
 * struct state - volumes behind a change of metadata that ran from @begin to @end
 * @none: there is no store; @anew: until @end there may be none
 * @clusters: of the store, in all
 * @super: its root blob
 */
struct state {
	const char *by;
	uint32_t begin, end;
	bool none, anew;
	uint64_t clusters, super;
	uint32_t count;
	struct volume volume[MODEL_VOLUMES];
};

struct model {
	uint32_t blocks_per_cluster;
	struct state **states;
	uint32_t state_count;
	struct change **changes;
	uint32_t change_count;
	struct content **contents;
	uint32_t content_count;
	struct flush {
		uint32_t begin, end;
	} * flushes;
	uint32_t flush_count;
};

struct model *model_create(uint32_t blocks_per_cluster, uint64_t clusters);
void model_destroy(struct model *m);
static inline struct state *model_now(const struct model *m)
{
	return m->states[m->state_count - 1];
}
/** model_step() - the state that a change of metadata makes, so far like the one before */
struct state *model_step(struct model *m, const char *by, uint32_t begin);
struct content *model_content(struct model *m, uint64_t blocks);
/** model_content_copy() - of another size; for a snapshot what is under way may come too late */
struct content *model_content_copy(struct model *m, const struct content *from, uint64_t blocks,
				   bool snapshot);
/** model_change() - data that changes in @c */
struct change *model_change(struct model *m, struct content *c, uint64_t block, uint64_t blocks,
			    uint32_t value, bool soft, uint32_t begin);
void model_flush(struct model *m, uint32_t begin, uint32_t end);
/** model_finish() - the record is over: what became durable when */
void model_finish(struct model *m);

/** model_at() - the states that a cut at @at may leave; the same twice where there is one only */
void model_at(const struct model *m, uint32_t at, const struct state *states[2]);
/** model_allows() - @value may be in a block with this past after a cut at @at */
bool model_allows(const struct model *m, const struct past *p, uint32_t at, uint32_t value);

#endif

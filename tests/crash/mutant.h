/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliberately broken orders: the record of a scenario without a flush or a write, or with two
 * steps exchanged. It is what the disk would have seen of a Blobstore with that fault; the
 * simulator is worth something if it finds each.
 *
 * Threading: pure functions but for memory.
 */
#ifndef TESTS_CRASH_MUTANT_H
#define TESTS_CRASH_MUTANT_H

#include "disk.h"

enum mutation {
	MUTATE_FLUSH, /* the flush behind the step is left out */
	MUTATE_CLEAR, /* the same, on a disk that unmaps to zeroes */
	MUTATE_WRITE, /* the step is left out */
	MUTATE_LATE,  /* the step comes only behind the flush that follows step @behind */
	MUTATE_COPY,  /* the flush behind the step is left out, where pages tear */
	MUTATE_GUARD, /* torn pages do not keep the store from being used (mode 2) */
};

/**
 * struct mutant
 * @step, @nth: the nth (from 0) write of that kind (event_name()) behind the start of the record
 * @behind, @behind_nth: of MUTATE_LATE
 */
struct mutant {
	const char *name;
	const char *help;
	const char *scenario;
	enum mutation mutation;
	const char *step;
	unsigned int nth;
	const char *behind;
	unsigned int behind_nth;
};

extern const struct mutant mutants[];
extern const unsigned int mutant_count;

/** mutant_order() - the events of @r from @start on as the mutant has them; freed by the caller */
uint32_t *mutant_order(const struct mutant *m, const struct record *r, uint32_t start,
		       uint32_t *count);
/** mutant_without_flush() - without the flush at event @flush */
uint32_t *mutant_without_flush(const struct record *r, uint32_t flush, uint32_t *count);

#endif

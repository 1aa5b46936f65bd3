/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is cut: each operation of a store with what has to be there first, and random sequences.
 *
 * Threading: constants, and functions that run in a fiber of reactor 0.
 */
#ifndef TESTS_CRASH_SCENARIO_H
#define TESTS_CRASH_SCENARIO_H

#include "run.h"

/**
 * struct scenario
 * @make: prepares, calls run_start(), does what is to be cut
 * @reactors: that its I/O comes from
 * @copied: each page that can be torn has a copy: no tear costs anything
 */
struct scenario {
	const char *name;
	const char *help;
	void (*make)(struct run *r);
	unsigned int reactors;
	bool copied;
};

extern const struct scenario scenarios[];
extern const unsigned int scenario_count;
const struct scenario *scenario_find(const char *name);

#endif

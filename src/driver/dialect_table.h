/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts about SPDK's releases as tables.
 *
 * Threading: constants.
 */
#ifndef DRIVER_DIALECT_TABLE_H
#define DRIVER_DIALECT_TABLE_H

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"

enum dialect_kind {
	DIALECT_ANY,
	DIALECT_ARRAY,
	DIALECT_OBJECT,
};

/**
 * struct dialect_method - a method that the driver calls
 * @name: as of 26.05
 * @older: names before, newest first
 * @since: first release in which it does what the driver needs, under whatever name; 0: 18.04
 * @reads: changes nothing
 * @kind: of its result
 * @without: what to do where it is missing, for a person; NULL for nothing special
 */
struct dialect_method {
	const char *name;
	const char *older[4];
	unsigned int since;
	bool reads;
	enum dialect_kind kind;
	const char *without;
};

enum dialect_rule {
	DIALECT_LEAVE_OUT, /* the same without, or less comfortable */
	DIALECT_REFUSE, /* something else without; false, 0, "" and null may always be left out */
};

/**
 * struct dialect_param - a parameter that came later than 18.04
 * @param: name; "OUTER.INNER" for a member of an object
 * @since: the first release that knows it
 */
struct dialect_param {
	const char *method;
	const char *param;
	unsigned int since;
	enum dialect_rule rule;
};

/**
 * struct dialect_form - parameters that had another form
 * @before: the first release that has today's
 * @turn: make the older form; 0 or a negative errno with @err
 */
struct dialect_form {
	const char *method;
	unsigned int before;
	int (*turn)(json_t *params, struct error *err);
};

/* Each ends with a row whose name or method is NULL. */
extern const struct dialect_method dialect_methods[];
extern const struct dialect_param dialect_params[];
extern const struct dialect_form dialect_forms[];

#endif

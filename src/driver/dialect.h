/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SPDK's releases call differently: the one place that knows. The driver speaks as to
 * SPDK 26.05; a dialect, made from what a target answers about itself, turns a request into that
 * target's own names and parameters, and its answer into the form of today. Facts about releases
 * are in the tables of dialect_table.c, from 18.04 on.
 *
 * A parameter that a release does not know is left out where the effect is the same or only less
 * comfortable, and refused by name where leaving it out would do something else than was asked.
 * The embedded engine takes everything.
 *
 * Threading: a dialect belongs to its client; the tables are constant.
 */
#ifndef DRIVER_DIALECT_H
#define DRIVER_DIALECT_H

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"

#define DIALECT_NEWEST	     9999
#define DIALECT_VERSION_SIZE 160

/**
 * struct dialect - what a target said about itself
 * @methods: object whose keys are the names that it has
 * @release: year times 100 and month, as 2605; of a development version one less than the release
 *           that it leads to; DIALECT_NEWEST of the engine
 * @version: its own words; made up from its methods before 19.04, which cannot tell
 */
struct dialect {
	json_t *methods;
	unsigned int release;
	bool is_engine;
	char version[DIALECT_VERSION_SIZE];
};

/** dialect_release() - the release that a version's words name; 0 when they name none */
unsigned int dialect_release(const char *version);

/**
 * dialect_learn() - from the answers of rpc_get_methods and of spdk_get_version
 * @version: NULL when it has no such method
 *
 * Return: 0; -EBADMSG when @methods is no array of names; -ENOMEM.
 */
int dialect_learn(struct dialect *d, const json_t *methods, const json_t *version,
		  struct error *err);
void dialect_fini(struct dialect *d);

/** dialect_name() - this target's name of @method; NULL when it has none that would do */
const char *dialect_name(const struct dialect *d, const char *method);
/** dialect_has_param() - @method is there and knows @param ("namespace.uuid" for an inner one) */
bool dialect_has_param(const struct dialect *d, const char *method, const char *param);
/** dialect_is_read() - @method changes nothing, so that it may be asked twice */
bool dialect_is_read(const char *method);

/**
 * dialect_request() - a request as this target wants it
 * @params: changed in place, borrowed; may be NULL
 * @name: set to the target's name of @method; @method itself when the tables do not know it
 *
 * Return: 0; -ENOSYS: this release has no such method; -ENOTSUP: it does not know a parameter that
 * cannot be left out; -EINVAL: a size that it cannot take. @err names release, method and remedy.
 */
int dialect_request(const struct dialect *d, const char *method, json_t *params, const char **name,
		    struct error *err);

/**
 * dialect_own_answer() - what a target that lacks @method would answer, when that is known here
 *
 * So it is with spdk_get_version before 19.04.
 *
 * Return: new reference; NULL when the target has to be asked.
 */
json_t *dialect_own_answer(const struct dialect *d, const char *method);

/**
 * dialect_answer() - an answer in the form of today
 * @result: changed in place, or replaced
 *
 * Return: 0; -EBADMSG when it is not of the kind that @method answers; -ENOMEM.
 */
int dialect_answer(const char *method, json_t **result, struct error *err);

/** dialect_today() - the name of 26.05 for an older one; @name itself when it is none */
const char *dialect_today(const char *name);
/** dialect_old_names() - older names of a method, newest first, ends with NULL */
const char *const *dialect_old_names(const char *method);

#endif

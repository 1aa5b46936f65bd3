/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a target: waiting for its start-up methods, running, leaving; and its subsystems in
 * the sense of SPDK's configuration.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_FRAMEWORK_H
#define RPC_FRAMEWORK_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

/** rpc_engine_register() - all methods of the engine; once, at start */
void rpc_engine_register(void);
/** rpc_engine_unregister() - forget them; no request is in flight */
void rpc_engine_unregister(void);

/**
 * rpc_engine_stop() - hosts are told and get their answers, then all targets and bdevs go
 * @drain_ms: bound of the first part
 * @done: called once, later or inside, when nothing is left
 */
void rpc_engine_stop(uint32_t drain_ms, void (*done)(void *arg), void *arg);

/**
 * framework_start() - initialise the subsystems; from then on run-time methods answer
 *
 * Return: 0, or a negative errno with @err filled.
 */
int framework_start(struct error *err);
/** framework_leave() - from now on requests are refused; those that wait are answered */
void framework_leave(void);
/** framework_set_polling() - what framework_get_reactors says: reactors never sleep */
void framework_set_polling(bool polling);
/** framework_set_max_connections() - of transports that do not say their own; 0: their default */
void framework_set_max_connections(uint32_t count);

/**
 * struct framework_subsystem - a part of a configuration
 * @depends_on: ends with NULL
 * @save: append what makes its present state again
 */
struct framework_subsystem {
	const char *name;
	const char *const *depends_on;
	void (*save)(json_t *array);
};

/** framework_subsystems() - in the order in which they load; ends with a name of NULL */
const struct framework_subsystem *framework_subsystems(void);

#endif

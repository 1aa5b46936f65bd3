/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a saved configuration: SPDK's JSON, method by method, in its order.
 *
 * Start-up methods of all subsystems run first, then the framework is started (if it was not), then
 * the others. A method that tunes a part of SPDK which is not here is noted and left out.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_CONFIG_H
#define RPC_CONFIG_H

#include <stdbool.h>

#include "base/error.h"

/**
 * rpc_config_load() - load @path
 * @go_on: log what fails and go on with the rest
 * @done: called once, inside or later; a failure names file, subsystem, method and parameter
 */
void rpc_config_load(const char *path, bool go_on,
		     void (*done)(void *arg, int result, const struct error *err), void *arg);

#endif

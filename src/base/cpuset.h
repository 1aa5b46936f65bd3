/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of CPU cores as SPDK's command lines write them: a mask ("0x3", "3") or a list
 * ("[0,2-4]", "0,2-4" with at least a comma, a dash or brackets).
 *
 * Threading: pure functions.
 */
#ifndef BASE_CPUSET_H
#define BASE_CPUSET_H

#include <sched.h>
#include <stddef.h>

#include "base/error.h"

/** cpuset_parse() - -EINVAL (with @err) for no set, an empty one, or a core over CPU_SETSIZE */
int cpuset_parse(const char *text, cpu_set_t *set, struct error *err);
/** cpuset_print() - the hexadecimal mask with 0x in front */
void cpuset_print(const cpu_set_t *set, char *buf, size_t size);

#endif

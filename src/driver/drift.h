/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling what is not as recorded.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_DRIFT_H
#define DRIVER_DRIFT_H

#include "driver/driver.h"

/** drift() - append a sentence to @list */
void drift(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

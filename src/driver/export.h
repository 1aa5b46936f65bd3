/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What making an export and comparing it share: parts of a target's answers.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_EXPORT_H
#define DRIVER_EXPORT_H

#include "driver/driver.h"

/** export_namespace() - of a subsystem, by number; NULL */
json_t *export_namespace(const json_t *subsystem, uint32_t nsid);
/** export_listens() - the subsystem listens where the attachment says */
bool export_listens(const json_t *subsystem, const struct attachment *a);
/** export_model_is_right() - true also of a target that does not show it */
bool export_model_is_right(const json_t *subsystem, const struct attachment *a);
/** export_controller() - the attachment's among the answers of vhost_get_controllers; NULL */
json_t *export_controller(const json_t *controllers, const struct attachment *a);

#endif

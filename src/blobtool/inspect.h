/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect: what its two files share.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_INSPECT_H
#define BLOBTOOL_INSPECT_H

#include "blobtool/model.h"

/* How deep the tree is shown; the stack is not the image's to use. */
#define INSPECT_DEPTH_MAX 256

/** inspect_json() - print {"stores": [...], "findings": [...]} */
void inspect_json(const struct model *m);

#endif

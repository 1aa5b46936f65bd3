/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The external snapshot that volumes of a scenario stand on: a disk that nobody writes to.
 *
 * Threading: a fiber of reactor 0.
 */
#ifndef TESTS_CRASH_EXTERNAL_H
#define TESTS_CRASH_EXTERNAL_H

#include "blob/blob.h"
#include "disk.h"

#define EXTERNAL_NAME	  "external"
#define EXTERNAL_CLUSTERS 5u
#define EXTERNAL_VALUE	  0x60000001u

/** external_create() - full of EXTERNAL_VALUE; disk_delete() ends it */
struct disk *external_create(void);
/** external_ops() - what finds it when a store asks */
struct blob_esnap_ops external_ops(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of install share.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_INSTALL_H
#define DRIVER_INSTALL_H

#include "driver/verb.h"

/* verb_install.c: what holds for each backing */

/** backing_judge() - empty, or a store to be taken over, or its serial is named by @force */
int backing_judge(struct driver *d, const struct probe_device *dev, const char *force,
		  struct accelerator *a, struct error *err);
/** backing_check_unshared() - no other accelerator has it, also one whose target is down */
int backing_check_unshared(struct driver *d, const struct accelerator *a, struct error *err);

/* install_store.c: what the backing is for */

/** scenario_plan() - the scenario and what belongs to it, checked; before the backing is planned */
int scenario_plan(struct verb_run *v, const json_t *request, struct accelerator *a,
		  struct error *err);
/** scenario_repeat() - the request asks for what is recorded */
int scenario_repeat(const struct accelerator *a, const json_t *request, struct error *err);
/**
 * store_adopt() - a Blobstore was found on the backing: take its store over, when that is meant
 *
 * Return: 0; -ENOENT when it is to be replaced by consent, which the caller judges; else a refusal.
 */
int store_adopt(struct driver *d, const struct probe_device *dev, const char *force,
		struct accelerator *a, struct error *err);

/* Steps. */

int store_make(struct verb_run *v, struct error *err);
int store_unmake(struct verb_run *v, struct error *err);

#endif

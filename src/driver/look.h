/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs that only look share: running targets with what they serve, Ceph.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_LOOK_H
#define DRIVER_LOOK_H

#include "driver/driver.h"

/**
 * look_targets() - the targets that run here, each asked for its version and what it can do
 * @served: also for all that it serves
 *
 * Takes at most about ten seconds, however many targets are silent.
 *
 * Return: array, new reference.
 */
json_t *look_targets(struct driver *d, bool served);

/** look_ceph() - the clusters that this node is configured for; array, new reference */
json_t *look_ceph(struct driver *d);

/**
 * look_ceph_candidates() - where an RBD image could be attached: pools and targets, best first
 * @targets, @clusters: of look_targets() and look_ceph(), borrowed
 */
json_t *look_ceph_candidates(const json_t *targets, const json_t *clusters);

/** look_insert() - put a candidate (stolen) behind those with the same "score" or a higher one */
void look_insert(json_t *list, json_t *candidate);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs that only look share: running targets with what they serve, whose devices are by
 * the record, Ceph.
 *
 * Threading: as driver.h.
 */
#ifndef DRIVER_LOOK_H
#define DRIVER_LOOK_H

#include "driver/driver.h"

struct looks;

/**
 * look_start() - greet the targets that run here, and ask each for all that it serves
 * @all_served: false: only what each is and can do
 *
 * They work on it while the caller does something else and lets the loop turn now and then. Who is
 * silent for three seconds is not asked.
 *
 * Return: for look_finish(); NULL when memory is short.
 */
struct looks *look_start(struct driver *d, bool all_served);
/**
 * look_finish() - wait for what they answer, at most five seconds
 * @looks: gone afterwards; NULL gives an empty array
 *
 * Return: array, new reference.
 */
json_t *look_finish(struct looks *looks);

/**
 * owned_mark() - tell of devices and functions that are accelerators' by the record
 * @devices: @count of them; @node: whose functions are marked too
 *
 * Where there is no record, or it may not be read, nothing is marked; install asks for itself.
 */
void owned_mark(struct driver *d, struct probe_device *devices, size_t count,
		struct probe_node *node);

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

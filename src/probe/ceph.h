/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files about Ceph share.
 *
 * Threading: as probe.h.
 */
#ifndef PROBE_CEPH_H
#define PROBE_CEPH_H

#include "probe/internal.h"

/** ceph_read_conf() - fill all but what only the cluster itself can tell; @c->error otherwise */
void ceph_read_conf(const struct probe *p, struct probe_ceph *c, const char *path);
/** ceph_parse_monitors() - add the addresses of a "mon_host" */
void ceph_parse_monitors(struct probe_ceph *c, const char *text);

#endif

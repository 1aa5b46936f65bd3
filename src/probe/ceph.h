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

/**
 * struct ceph_rados - librados, opened at run time: the signatures are those of librados.h
 */
struct ceph_rados {
	int (*create2)(void **cluster, const char *name, const char *user, uint64_t flags);
	int (*conf_read_file)(void *cluster, const char *path);
	int (*conf_set)(void *cluster, const char *option, const char *value);
	int (*connect)(void *cluster);
	int (*pool_list)(void *cluster, char *buf, size_t len);
	int (*ioctx_create)(void *cluster, const char *pool, void **ioctx);
};

/**
 * struct ceph_session - as whom, with what
 * @user: client.NAME
 * @keyring: NULL: as configured
 * @seconds: for each answer
 */
struct ceph_session {
	const char *cluster, *user, *conf, *keyring, *seconds;
};

/** ceph_rados_open() - in a child process; false when it is not installed */
bool ceph_rados_open(struct ceph_rados *r);
bool ceph_has_librbd(void);
/** ceph_rados_session() - in a child process, which ends it */
int ceph_rados_session(const struct ceph_rados *r, const struct ceph_session *s, void **cluster);

#endif

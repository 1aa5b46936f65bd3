/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librados, opened at run time, and a session with a cluster.
 *
 * Threading: as probe.h; only in child processes, which may be held for ever.
 */
#include <dlfcn.h>
#include <errno.h>

#include "probe/ceph.h"

bool ceph_rados_open(struct ceph_rados *r)
{
	void *lib = dlopen("librados.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		return false;
	*(void **)&r->create2 = dlsym(lib, "rados_create2");
	*(void **)&r->conf_read_file = dlsym(lib, "rados_conf_read_file");
	*(void **)&r->conf_set = dlsym(lib, "rados_conf_set");
	*(void **)&r->connect = dlsym(lib, "rados_connect");
	*(void **)&r->pool_list = dlsym(lib, "rados_pool_list");
	*(void **)&r->ioctx_create = dlsym(lib, "rados_ioctx_create");
	return r->create2 && r->conf_read_file && r->conf_set && r->connect && r->pool_list &&
	       r->ioctx_create;
}

bool ceph_has_librbd(void)
{
	return dlopen("librbd.so.1", RTLD_LAZY | RTLD_LOCAL) != NULL;
}

int ceph_rados_session(const struct ceph_rados *r, const struct ceph_session *s, void **cluster)
{
	static const char *const timeouts[] = { "client_mount_timeout", "rados_mon_op_timeout",
						"rados_osd_op_timeout" };
	int rc = r->create2(cluster, s->cluster, s->user, 0);

	if (rc == 0)
		rc = r->conf_read_file(*cluster, s->conf);
	if (rc == 0 && s->keyring)
		rc = r->conf_set(*cluster, "keyring", s->keyring);
	for (size_t i = 0; rc == 0 && i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
		rc = r->conf_set(*cluster, timeouts[i], s->seconds);
	if (rc == 0) {
		r->conf_set(*cluster, "log_file", "");
		r->conf_set(*cluster, "admin_socket", "");
		rc = r->connect(*cluster);
	}
	return rc;
}

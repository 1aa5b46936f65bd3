/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS below the host's TCP transport (NVMe/TCP 1.1, 3.6): each queue pair's connection is secured
 * by the PSK of this host and subsystem before anything is said.
 *
 * Threading: on the queue pair's reactor.
 */
#include <errno.h>
#include <string.h>

#include "net/tls.h"
#include "nvme/psk.h"
#include "nvme/tcp_host.h"

_Static_assert(NVME_PSK_IDENTITY_MAX <= NET_TLS_IDENTITY_MAX, "an identity fits");

int tcp_tls_check(const struct nvme_ctrlr_options *opts, struct error *err)
{
	struct nvme_psk retained = { .len = opts->psk.len };
	char identity[NVME_PSK_IDENTITY_MAX];

	if (!opts->psk.len || nvme_psk_identity(&retained, NVME_PSK_VERSION_0, opts->path.hostnqn,
						opts->path.subnqn, identity) == 0)
		return 0;
	return error_set(err, -ENAMETOOLONG,
			 "the NQNs of host %s and subsystem %s are too long for TLS: they may have "
			 "245 bytes together",
			 opts->path.hostnqn, opts->path.subnqn);
}

int tcp_tls_secure(struct tcp_qpair *tq)
{
	const struct nvme_ctrlr_options *opts = &tq->base.ctrlr->opts;
	char identity[NVME_PSK_IDENTITY_MAX];
	struct nvme_psk retained, psk = { .len = 0 };
	struct net_tls_key key = { .len = 0 };
	int rc = nvme_psk_retain(&opts->psk, opts->path.hostnqn, &retained);

	if (rc == 0)
		rc = nvme_psk_identity(&retained, NVME_PSK_VERSION_0, opts->path.hostnqn,
				       opts->path.subnqn, identity);
	if (rc == 0)
		rc = nvme_psk_derive(&retained, identity, &psk);
	if (rc == 0) {
		key.len = psk.len;
		memcpy(key.bytes, psk.bytes, psk.len);
		rc = net_stream_tls_connect(tq->stream, identity, &key);
	}
	explicit_bzero(&retained, sizeof(retained));
	explicit_bzero(&psk, sizeof(psk));
	explicit_bzero(&key, sizeof(key));
	return rc;
}

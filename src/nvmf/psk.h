/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys of hosts, by which connections to a secure listener are let in.
 *
 * Threading: reactor 0 adds and removes. A handshake looks for its key on the connection's own
 * reactor: the list has a lock, which is taken by handshakes and changes of hosts, never by I/O.
 */
#ifndef NVMF_PSK_H
#define NVMF_PSK_H

#include "net/tls.h"
#include "nvmf/target.h"

struct nvmf_psk;

/**
 * nvmf_psk_add() - from now on handshakes by it succeed
 * @key: as configured; copied
 *
 * Return: 0; -ENOMEM, -EIO with @err.
 */
int nvmf_psk_add(struct nvmf_target *tgt, const char *hostnqn, const char *subnqn,
		 const struct key *key, struct nvmf_psk **psk, struct error *err);
/** nvmf_psk_remove() - NULL is allowed; connections that it let in stay */
void nvmf_psk_remove(struct nvmf_target *tgt, struct nvmf_psk *psk);
/** nvmf_psk_find() - for net_stream_tls_accept(), with the target; on any reactor */
bool nvmf_psk_find(void *tgt, const char *identity, struct net_tls_key *key);
/** nvmf_psk_is() - a host that proved the key of @identity has this one */
bool nvmf_psk_is(const struct nvmf_psk *psk, const char *identity);

#endif

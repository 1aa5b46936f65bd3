/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects that answers and saved configurations share. jansson ends the program's luck when
 * memory is short by NULL objects, which its own functions pass on.
 *
 * Threading: reactor 0.
 */
#ifndef NVMF_JSON_H
#define NVMF_JSON_H

#include "nvmf/subsystem.h"

json_t *nvmf_address_json(const char *trtype, const char *adrfam, const char *traddr,
			  const char *trsvcid);
json_t *nvmf_listener_address_json(const struct nvmf_listener *listener);
json_t *nvmf_referral_to_json(const struct nvmf_referral *r);
/** nvmf_transport_json() - the object of nvmf_get_transports */
json_t *nvmf_transport_json(const struct nvmf_target *tgt);
/** nvmf_ns_put_ids() - nguid, eui64, uuid as SPDK spells them */
void nvmf_ns_put_ids(const struct nvmf_ns *ns, json_t *object);

#endif

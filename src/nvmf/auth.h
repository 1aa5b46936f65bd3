/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication of hosts by DH-HMAC-CHAP (Base 2.0, 8.13): before the first command of a queue
 * whose host has a key, and again whenever a host begins it.
 *
 * Threading: the connection's reactor, unless a function says another.
 */
#ifndef NVMF_AUTH_H
#define NVMF_AUTH_H

#include "nvmf/ctrlr.h"

/* Longest wait for the next message of a host that has no keep-alive timeout, or a longer one. */
#define NVMF_AUTH_TIMEOUT_MS 120000u

/** nvmf_auth_is_command() - Authentication Send or Receive */
bool nvmf_auth_is_command(const struct nvme_cmd *cmd);
uint16_t nvmf_auth_prepare(struct nvmf_req *req);
void nvmf_auth_execute(struct nvmf_req *req);

/** nvmf_auth_begin() - await the host's first message; -ENOMEM */
int nvmf_auth_begin(struct nvmf_conn *conn);
/** nvmf_auth_stop() - the connection closes: no timer any more */
void nvmf_auth_stop(struct nvmf_conn *conn);
/** nvmf_auth_free() - what is left of one that was under way */
void nvmf_auth_free(struct nvmf_conn *conn);
/** nvmf_auth_put() - any reactor: state and authentication of a queue pair, as SPDK shows them */
void nvmf_auth_put(const struct nvmf_conn *conn, json_t *object);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a listening socket to a connection on one of the reactors.
 *
 * Threading: as said at each function.
 */
#ifndef NVMF_ACCEPT_H
#define NVMF_ACCEPT_H

#include "nvmf/conn.h"

/* A host that has not sent its Connect by then is not one. */
#define NVMF_CONNECT_TIMEOUT_MS 5000u

/** nvmf_conn_start() - on the connection's reactor: the first thing it does */
void nvmf_conn_start(struct reactor_msg *msg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of PDUs, in one place: what a header may say in the state that its connection is in.
 *
 * Threading: the connection's reactor; nothing is changed.
 */
#ifndef NVMF_TCP_H
#define NVMF_TCP_H

#include "nvmf/conn.h"

/** nvmf_tcp_max_plen() - the longest PDU that a host may send to a transport */
uint32_t nvmf_tcp_max_plen(const struct nvmf_transport_options *tcp);

/**
 * nvmf_tcp_check_common() - the eight bytes of the common header, and whether the type may come now
 *
 * Return: 0, or the enum nvme_tcp_fes of the termination request that is due, with @fei.
 */
int nvmf_tcp_check_common(const struct nvmf_conn *conn, const struct nvme_tcp_common *ch,
			  struct nvme_tcp_layout *layout, uint32_t *fei);
/** nvmf_tcp_check_pdu() - the whole header, its digest first */
int nvmf_tcp_check_pdu(const struct nvmf_conn *conn, const uint8_t *pdu,
		       const struct nvme_tcp_layout *layout, uint32_t *fei);

#endif

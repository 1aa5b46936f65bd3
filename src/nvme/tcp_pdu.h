/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDUs of NVMe/TCP (NVMe/TCP Transport Specification 1.0, section 3.6), and the checks that host
 * and target share: what a common header may say, and where digests and data lie.
 *
 * Threading: constants, types and pure functions.
 */
#ifndef NVME_TCP_PDU_H
#define NVME_TCP_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/spec.h"

enum nvme_tcp_pdu_type {
	NVME_TCP_IC_REQ = 0x00,
	NVME_TCP_IC_RESP = 0x01,
	NVME_TCP_H2C_TERM = 0x02,
	NVME_TCP_C2H_TERM = 0x03,
	NVME_TCP_CMD = 0x04,
	NVME_TCP_RESP = 0x05,
	NVME_TCP_H2C_DATA = 0x06,
	NVME_TCP_C2H_DATA = 0x07,
	NVME_TCP_R2T = 0x09,
};

#define NVME_TCP_FLAG_HDGST   0x01u
#define NVME_TCP_FLAG_DDGST   0x02u
#define NVME_TCP_FLAG_LAST    0x04u
#define NVME_TCP_FLAG_SUCCESS 0x08u

#define NVME_TCP_DIGEST_BYTES	4u
#define NVME_TCP_CPDA_MAX	31u /* in dwords, 0's based (3.6.2.2) */
#define NVME_TCP_MAXH2CDATA_MIN 4096u
#define NVME_TCP_PDO_MASK_BYTES 128u /* no PDO lies further */
#define NVME_TCP_TERM_DATA_MAX	152u

struct nvme_tcp_common {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	uint32_t plen;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_common) == 8, "common header");

struct nvme_tcp_ic_req {
	struct nvme_tcp_common ch;
	uint16_t pfv;
	uint8_t hpda;
	uint8_t dgst;	 /* bit 0 header, bit 1 data */
	uint32_t maxr2t; /* 0's based */
	uint8_t reserved[112];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_ic_req) == 128, "ICReq");

struct nvme_tcp_ic_resp {
	struct nvme_tcp_common ch;
	uint16_t pfv;
	uint8_t cpda;
	uint8_t dgst;
	uint32_t maxh2cdata;
	uint8_t reserved[112];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_ic_resp) == 128, "ICResp");

enum nvme_tcp_fes {
	NVME_TCP_FES_INVALID_HEADER = 1,
	NVME_TCP_FES_SEQUENCE = 2,
	NVME_TCP_FES_HEADER_DIGEST = 3,
	NVME_TCP_FES_DATA_OUT_OF_RANGE = 4,
	NVME_TCP_FES_LIMIT_EXCEEDED = 5, /* R2T limit from a host, data limit from a controller */
	NVME_TCP_FES_UNSUPPORTED = 6,
};

struct nvme_tcp_term {
	struct nvme_tcp_common ch;
	uint16_t fes;
	uint32_t fei; /* byte offset of the field, digest, or parameter */
	uint8_t reserved[10];
	uint8_t data[]; /* the start of the PDU in error */
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_term) == 24, "TermReq");

struct nvme_tcp_cmd {
	struct nvme_tcp_common ch;
	struct nvme_cmd sqe;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_cmd) == 72, "CapsuleCmd");

struct nvme_tcp_resp {
	struct nvme_tcp_common ch;
	struct nvme_cpl cqe;
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_resp) == 24, "CapsuleResp");

/* H2CData and C2HData. */
struct nvme_tcp_data {
	struct nvme_tcp_common ch;
	uint16_t cccid;
	uint16_t ttag; /* reserved in C2HData */
	uint32_t datao;
	uint32_t datal;
	uint8_t reserved[4];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_data) == 24, "data PDU");

struct nvme_tcp_r2t {
	struct nvme_tcp_common ch;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t r2to;
	uint32_t r2tl;
	uint8_t reserved[4];
} __attribute__((packed));
_Static_assert(sizeof(struct nvme_tcp_r2t) == 24, "R2T");

#define NVME_TCP_HEADER_MAX 128u /* of all types, digest not counted */

/** nvme_tcp_header_len() - HLEN of a type (3.6.1); 0 for a type that does not exist */
uint8_t nvme_tcp_header_len(uint8_t type);

/**
 * struct nvme_tcp_layout - where the parts of a PDU lie, all in bytes from its start
 * @header: header with its digest
 * @data: start of data, 0 without data
 * @data_len: of data without its digest
 * @ddgst: a data digest follows the data
 */
struct nvme_tcp_layout {
	uint32_t header;
	uint32_t data;
	uint32_t data_len;
	bool ddgst;
};

/**
 * struct nvme_tcp_rules - what was negotiated, for the side that receives
 * @hdgst, @ddgst: digests are on
 * @alignment: of PDO in bytes (from CPDA or HPDA)
 * @from_host: this side is the controller and receives a host's PDUs
 * @max_plen: of any PDU
 */
struct nvme_tcp_rules {
	bool hdgst, ddgst;
	uint32_t alignment;
	bool from_host;
	uint32_t max_plen;
};

/**
 * nvme_tcp_check_common() - may this common header come now, and what does it say
 * @ch: the eight bytes as received
 * @layout: filled on success
 * @fei: on failure, the byte offset of the wrong field (3.6.2.1 and Figure 12)
 *
 * Return: 0, or the enum nvme_tcp_fes of the termination request that is due.
 */
int nvme_tcp_check_common(const struct nvme_tcp_common *ch, const struct nvme_tcp_rules *rules,
			  struct nvme_tcp_layout *layout, uint32_t *fei);

/** nvme_tcp_fill_common() - a common header to send; PLEN and PDO follow from the arguments */
void nvme_tcp_fill_common(struct nvme_tcp_common *ch, uint8_t type, uint8_t flags, bool hdgst,
			  bool ddgst, uint32_t alignment, uint32_t data_len);

/** nvme_tcp_fes_name() - "invalid PDU header field", ... */
const char *nvme_tcp_fes_name(uint16_t fes);

#endif

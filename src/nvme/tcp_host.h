/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the host's TCP transport share.
 *
 * Threading: a queue pair, its connection and its slots belong to one reactor.
 */
#ifndef NVME_TCP_HOST_H
#define NVME_TCP_HOST_H

#include "nvme/host_internal.h"
#include "nvme/tcp_pdu.h"

#define TCP_MAX_R2T	    4u	  /* outstanding for one command, as ICReq tells */
#define TCP_FABRICS_CAPSULE 8192u /* in-capsule data of the admin queue and of Connect */
#define TCP_READ_DIRECT_MIN 16384u

/* Where the next byte of a request's data comes from or goes to. */
struct tcp_cursor {
	uint32_t index;
	size_t at;
};

struct tcp_r2t {
	uint16_t ttag;
	uint32_t at, end;
};

/**
 * struct tcp_slot - a command on its way
 * @got: bytes of data that came
 * @asked: end of the last R2T, which is where the next one has to begin
 * @sends: of this slot that the stream has not answered; the slot's memory is theirs until then
 * @answered: the response came (or C2HData with SUCCESS) and is in @cpl
 * @last: C2HData with LAST_PDU came
 * @r2t: a ring of those that wait, the one at @r2t_first being served
 */
struct tcp_slot {
	struct nvme_slot base;
	uint32_t got;
	uint32_t asked;
	struct tcp_cursor cursor;
	uint16_t status;
	uint8_t sends;
	bool answered;
	bool last;
	bool in_capsule;
	bool data_sending;
	uint8_t r2t_first, r2t_count;
	struct nvme_cpl cpl;
	struct nvme_qpair *qp;
	struct net_send cmd_send;
	struct iovec cmd_iov;
	uint8_t cmd[NVME_TCP_PDO_MASK_BYTES];
	struct net_send data_send;
	uint8_t data[NVME_TCP_PDO_MASK_BYTES];
	uint32_t ddgst;
	struct tcp_r2t r2t[TCP_MAX_R2T];
	struct iovec iov[NVME_REQUEST_IOV_MAX + 2];
};

enum tcp_rx_phase {
	TCP_RX_HEADER,
	TCP_RX_PAD,
	TCP_RX_DATA,
	TCP_RX_DIGEST,
};

struct tcp_rx {
	enum tcp_rx_phase phase;
	uint32_t have; /* bytes of a header or digest that came in pieces */
	uint8_t header[NVME_TCP_HEADER_MAX + NVME_TCP_DIGEST_BYTES];
	struct nvme_tcp_layout layout;
	uint32_t left; /* of padding or data */
	struct tcp_slot *slot;
	uint8_t flags;
	uint32_t crc;
	uint8_t digest[NVME_TCP_DIGEST_BYTES];
	bool reading; /* the stream fills the data's place by itself */
	struct net_read read;
	struct iovec iov[NVME_REQUEST_IOV_MAX];
};

struct tcp_qpair {
	struct nvme_qpair base;
	struct net_connect connect;
	bool connecting;
	struct net_stream *stream;
	struct reactor_msg gone_msg;
	bool initialised; /* ICResp came */
	struct nvme_tcp_rules rules;
	uint32_t cpda; /* of PDO of what this side sends, in bytes */
	uint32_t max_h2c;
	uint32_t capsule; /* most in-capsule data */
	struct tcp_rx rx;
	struct net_send ic_send;
	struct iovec ic_iov;
	struct nvme_tcp_ic_req ic;
	struct net_send term_send;
	struct iovec term_iov;
	uint8_t term[sizeof(struct nvme_tcp_term) + NVME_TCP_TERM_DATA_MAX];
	struct tcp_slot slots[];
};

static inline struct tcp_qpair *tcp_qpair_of(struct nvme_qpair *qp)
{
	return container_of(qp, struct tcp_qpair, base);
}

static inline struct tcp_slot *tcp_slot_of(struct nvme_slot *slot)
{
	return container_of(slot, struct tcp_slot, base);
}

/* tcp_host.c */
/** tcp_take_ic_resp() - the answer to ICReq; then Connect follows */
void tcp_take_ic_resp(struct tcp_qpair *tq, const struct nvme_tcp_ic_resp *resp);

/* tcp_host_tls.c */
/** tcp_tls_check() - TLS can be spoken with these options, or is not asked for */
int tcp_tls_check(const struct nvme_ctrlr_options *opts, struct error *err);
/** tcp_tls_secure() - the new connection speaks TLS; 0, -ENOMEM, -EIO */
int tcp_tls_secure(struct tcp_qpair *tq);

/* tcp_host_send.c */
void tcp_submit(struct nvme_qpair *qp, struct nvme_slot *slot);
/** tcp_send_data() - H2CData for the slot's next R2T, unless one is on its way */
void tcp_send_data(struct tcp_qpair *tq, struct tcp_slot *slot);
void tcp_send_ic_req(struct tcp_qpair *tq);
/** tcp_complete() - the slot is done when its answer came and the stream let go of its memory */
void tcp_complete(struct tcp_qpair *tq, struct tcp_slot *slot);
/**
 * tcp_bad_pdu() - answer a PDU that may not be by H2CTermReq, and end the connection
 * @pdu, @len: its start, as far as it is known
 * @fei: byte offset of the wrong field, or the digest
 */
void tcp_bad_pdu(struct tcp_qpair *tq, const void *pdu, size_t len, uint16_t fes, uint32_t fei,
		 const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* tcp_host_recv.c */
extern const struct net_stream_ops tcp_stream_ops;

/* tcp_host_pdu.c */
/** tcp_take_pdu() - a whole header, whose common part and digest were checked */
void tcp_take_pdu(struct tcp_qpair *tq, const uint8_t *header);
/** tcp_data_end() - the data of the C2HData at hand came */
void tcp_data_end(struct tcp_qpair *tq);

/** tcp_cursor_take() - the next piece of @iov, at most @max bytes */
static inline struct iovec tcp_cursor_take(struct tcp_cursor *cursor, const struct iovec *iov,
					   size_t max)
{
	struct iovec piece;

	while (cursor->at == iov[cursor->index].iov_len) {
		cursor->index++;
		cursor->at = 0;
	}
	piece.iov_base = (uint8_t *)iov[cursor->index].iov_base + cursor->at;
	piece.iov_len = iov[cursor->index].iov_len - cursor->at;
	if (piece.iov_len > max)
		piece.iov_len = max;
	cursor->at += piece.iov_len;
	return piece;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target for tests of the host: a controller on blocking sockets and threads, whose I/O queue
 * does what a test's script says, good or bad.
 *
 * Threading: the admin connection and the I/O connections have a thread each. They use assert();
 * cmocka's assertions are for the main thread, which is the host's reactor 0.
 */
#ifndef TESTS_UNIT_NVME_PEER_H
#define TESTS_UNIT_NVME_PEER_H

#include <pthread.h>

#include "../reactor/reactor_unit.h"
#include "nvme/host.h"
#include "nvme/tcp_pdu.h"

#define PEER_NQN  "nqn.2024-01.org.example:peer"
#define PEER_HOST "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555"
#define PEER_DATA (1024u * 1024)

struct peer;

/**
 * struct peer_conn - one connection
 * @cmd, @data, @data_len: what peer_recv() got last: a capsule with its data, or H2CData
 */
struct peer_conn {
	struct peer *peer;
	int fd;
	bool hdgst, ddgst;
	uint8_t header[NVME_TCP_HEADER_MAX];
	uint8_t *data;
	uint32_t data_len;
};

/**
 * struct peer - what the test says before peer_start(), and sees after peer_stop()
 * @script: an I/O connection after its Connect; returns when it is done with it
 * @admin: looks at an admin command first; true: it has answered (or will not)
 * @ic: changes an ICResp before it is sent; may be NULL
 * @on_io_only: @ic is for I/O connections
 * @connect_status, @connect_dw0: the answer to Connect of I/O queues
 * @admin_connect_status, @admin_connect_dw0: of the admin queue
 * @fes, @fei: of the last H2CTermReq; @terms: how many came
 * @aborts: Abort commands that came; @shutdowns: CC.SHN was set
 */
struct peer {
	void (*script)(struct peer_conn *c);
	bool (*admin)(struct peer_conn *c, const struct nvme_cmd *cmd);
	void (*ic)(struct nvme_tcp_ic_resp *resp);
	bool ic_on_io_only;
	uint16_t connect_status, admin_connect_status;
	uint32_t connect_dw0, admin_connect_dw0;
	uint32_t ioccsz;
	uint16_t mqes;
	uint8_t cpda;
	uint32_t max_h2c;
	bool stop_after_connect; /* the admin connection closes behind Connect */
	void *arg;

	struct net_addr addr;
	uint16_t fes;
	uint32_t fei;
	unsigned int terms, aborts, shutdowns, connections;

	int listener;
	uint64_t cc;
	pthread_t acceptor;
	pthread_mutex_t lock;
};

void peer_init(struct peer *p);
void peer_start(struct peer *p);
/** peer_stop() - when the host has closed its connections */
void peer_stop(struct peer *p);

/** peer_recv() - the next PDU; its type, or -1 at the end of the stream */
int peer_recv(struct peer_conn *c);
/** peer_recv_cmd() - peer_recv() that has to be a capsule; NULL at the end of the stream */
const struct nvme_cmd *peer_recv_cmd(struct peer_conn *c);
/** peer_recv_term() - read on until H2CTermReq or the end of the stream */
void peer_recv_term(struct peer_conn *c);
void peer_send(struct peer_conn *c, const void *bytes, size_t len);
/** peer_send_pdu() - header with the digests that were negotiated, data padded to @pdo (0: none) */
void peer_send_pdu(struct peer_conn *c, void *header, const void *data, uint32_t len);
void peer_reply(struct peer_conn *c, uint16_t cid, uint16_t status, uint32_t dw0, uint32_t dw1);
void peer_c2h(struct peer_conn *c, uint16_t cid, uint32_t offset, const void *data, uint32_t len,
	      uint8_t flags);
void peer_r2t(struct peer_conn *c, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len);

/** peer_byte() - what the peer's reads return and what writes send, by offset */
static inline uint8_t peer_byte(size_t offset)
{
	return (uint8_t)(offset * 5 + (offset >> 8) + 3);
}

/** peer_options() - of a controller that is connected to the peer */
static inline void peer_options(const struct peer *p, struct nvme_ctrlr_options *opts)
{
	struct error err = ERROR_INIT;

	nvme_ctrlr_options_init(opts);
	opts->path.addr = p->addr;
	assert_int_equal(nvme_path_set_nqn(opts->path.subnqn, "NQN", PEER_NQN, &err), 0);
	assert_int_equal(nvme_path_set_nqn(opts->path.hostnqn, "NQN", PEER_HOST, &err), 0);
	opts->io_queues = 4;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of NVMe/TCP, which is a queue pair, and its requests.
 *
 * Threading: a connection belongs to the reactor of its group, except the part that is marked as
 * reactor 0's. Its memory goes when reactor 0 has answered that it forgot it: until then a message
 * from reactor 0 may be on its way to it.
 *
 * Memory: requests are made in small chunks when a host uses so many at once, and kept. A host that
 * has many idle queues costs a chunk for each.
 */
#ifndef NVMF_CONN_H
#define NVMF_CONN_H

#include <stdatomic.h>

#include "bdev/bdev.h"
#include "nvme/tcp_pdu.h"
#include "nvmf/subsystem.h"

#define NVMF_REQ_CHUNK 8u

enum nvmf_req_state {
	NVMF_REQ_FREE,
	NVMF_REQ_CAPSULE,    /* its capsule is being received */
	NVMF_REQ_WAITING,    /* waits for buffers; the host was not asked for data yet */
	NVMF_REQ_H2C_DATA,   /* the host was asked for data by an R2T */
	NVMF_REQ_FUSED,	     /* complete, waits for the other of the pair */
	NVMF_REQ_EXECUTING,  /* in a bdev, or at another reactor */
	NVMF_REQ_EVENT,	     /* an Asynchronous Event Request that waits */
	NVMF_REQ_RESPONDING, /* the response is queued */
};

enum nvmf_dir {
	NVMF_DIR_NONE,
	NVMF_DIR_H2C,
	NVMF_DIR_C2H,
};

/**
 * struct nvmf_req - a command
 * @index: in the connection; also the transfer tag of its R2T
 * @fail: a status that the command is to end with when its data has come
 * @iov, @iovcnt: where the data is; @buffers: pool buffers that are held
 * @borrowed: @io holds memory of the bdev until the response is out
 */
struct nvmf_req {
	struct nvmf_conn *conn;
	uint16_t index;
	uint16_t cid;
	uint8_t state;
	uint8_t dir;
	uint8_t buffer_count;
	uint8_t iovcnt;
	bool borrowed;
	bool in_capsule;
	bool hashed;
	uint8_t sends; /* not yet taken by the kernel */
	uint16_t status;
	uint16_t fail;
	struct nvmf_req *next; /* free list, or same hash */
	struct nvme_cmd cmd;
	uint32_t data_len;
	uint32_t received;
	uint32_t capsule_len;
	uint32_t cdw0, cdw1;

	struct nvmf_ns_part *ns; /* counted in its outstanding */
	struct nvmf_req *mate;	 /* of a fused pair */
	struct nvmf_conn *peer;	 /* queue that an Abort goes to */
	uint32_t step;		 /* of commands of several steps */
	void (*resume)(struct nvmf_req *req);
	struct reactor_msg msg;
	struct reactor_buffer_wait wait;
	STAILQ_ENTRY(nvmf_req) link;
	void *buffers[NVMF_REQ_BUFFERS];
	struct iovec iov[NVMF_REQ_BUFFERS];

	struct net_send send, r2t_send;
	struct iovec send_iov[NVMF_REQ_BUFFERS + 4], r2t_iov;
	struct {
		struct nvme_tcp_data pdu;
		uint32_t digest;
	} __attribute__((packed)) data_pdu;
	struct {
		struct nvme_tcp_resp pdu;
		uint32_t digest;
	} __attribute__((packed)) resp_pdu;
	struct {
		struct nvme_tcp_r2t pdu;
		uint32_t digest;
	} __attribute__((packed)) r2t_pdu;
	uint32_t data_digest;
	struct bdev_io io;
};

enum nvmf_conn_state {
	NVMF_CONN_ICREQ,	  /* nothing came yet */
	NVMF_CONN_CONNECT,	  /* Connect must come */
	NVMF_CONN_CONNECTING,	  /* Connect is at reactor 0 */
	NVMF_CONN_AUTHENTICATING, /* the same, whose host must prove itself first */
	NVMF_CONN_LIVE,		  /* a queue pair of a controller */
	NVMF_CONN_TERMINATING,	  /* a termination request goes out, nothing is read */
	NVMF_CONN_CLOSING,	  /* the stream is being closed, requests are awaited */
	NVMF_CONN_GONE,		  /* reactor 0 was told */
};

enum nvmf_rx_state { NVMF_RX_HEADER, NVMF_RX_PAD, NVMF_RX_DATA, NVMF_RX_DIGEST };

/** struct nvmf_rx - the PDU that is being received */
struct nvmf_rx {
	uint8_t state;
	uint8_t type;
	bool blocked;  /* no bytes are taken until nvmf_tcp_unblock() */
	bool reading;  /* the stream fills @read */
	bool drop;     /* data that nobody wants: of a command that is refused */
	uint32_t have; /* of the header, or of the digest */
	uint32_t pad, left, offset;
	struct nvmf_req *req; /* whose PDU it is */
	struct nvme_tcp_layout layout;
	uint8_t header[NVME_TCP_HEADER_MAX + NVME_TCP_DIGEST_BYTES];
	struct net_read read;
	struct iovec read_iov[NVMF_REQ_BUFFERS];
};

/**
 * struct nvmf_conn
 * @part: this reactor's share of the subsystem; with @ctrlr and @qid since the Connect
 * @outstanding: commands not answered, Asynchronous Event Requests not counted
 * @busy: requests that something outside of this connection holds
 */
struct nvmf_conn {
	struct net_stream *stream;
	struct nvmf_group *group;
	uint8_t state;
	bool draining;
	bool sq_flow_off;
	bool blocked_for_slot;
	bool stream_gone;
	uint16_t qid;
	struct nvmf_ctrlr *ctrlr;
	struct nvmf_subsystem_part *part;
	struct nvme_tcp_rules rules;
	uint32_t c2h_alignment;
	uint32_t capsule_data_max;
	struct nvmf_rx rx;

	uint32_t entries; /* of the submission queue */
	uint16_t sqhd;
	uint32_t outstanding, events, busy;
	struct nvmf_req *free;
	struct nvmf_req **chunks;
	uint32_t chunk_count, chunk_max;
	struct nvmf_req **cids; /* hash by CID */
	uint32_t cid_mask;
	struct nvmf_req *fused_first;
	bool fused_failed; /* the first of a pair ended already, with an error */

	struct nvmf_conn_counts {
		uint64_t reads, writes, blocks_read, blocks_written; /* of 512 bytes */
		uint64_t media_errors;
		uint64_t commands;
	} counts;

	struct reactor_timer timer; /* until Connect, then of stall.c */
	uint64_t data_pdus, data_pdus_seen;
	struct nvmf_auth *auth;	     /* one that is under way */
	_Atomic uint32_t auth_shown; /* of the last, to other reactors */
	struct net_send ic_send, term_send;
	struct iovec ic_iov, term_iov;
	struct nvme_tcp_ic_resp ic_pdu;
	uint8_t term_pdu[sizeof(struct nvme_tcp_term) + NVME_TCP_HEADER_MAX];
	struct reactor_msg life_msg; /* here at the start; to reactor 0 and back at the end */
	LIST_ENTRY(nvmf_conn) link;

	/* Constant from the accept on. */
	struct nvmf_target *tgt;
	struct reactor *reactor;
	struct net_addr local, peer;

	/* Whose key TLS proved; written before the Connect goes to reactor 0. */
	char *identity;

	/* Reactor 0's. */
	struct {
		TAILQ_ENTRY(nvmf_conn) link;
		struct nvmf_socket *socket;
		struct nvmf_ctrlr *ctrlr;
		uint16_t qid;
		bool must_authenticate;
		bool told, told_abort;
		uint8_t how;
		struct reactor_msg msg, abort_msg;
	} mgr;
};

/* --- conn.c: life of a connection -----------------------------------------------------------
 */

/** nvmf_conn_close() - end the connection; nothing happens when it ends already */
void nvmf_conn_close(struct nvmf_conn *conn, enum nvmf_close_how how);
/** nvmf_conn_forget() - on reactor 0: what @conn was is over; may free its controller */
void nvmf_conn_forget(struct nvmf_conn *conn);
/** nvmf_conn_check_end() - go on with closing or draining when nothing is awaited any more */
void nvmf_conn_check_end(struct nvmf_conn *conn);
/** nvmf_conn_name() - "127.0.0.1:45678" for messages */
const char *nvmf_conn_name(const struct nvmf_conn *conn, char *buf, size_t size);

/* --- stall.c ----------------------------------------------------------------------------------
 */

#define NVMF_STALL_MS 10000u
/** nvmf_stall_watch() - the host owes data from now on */
void nvmf_stall_watch(struct nvmf_conn *conn);

/* --- req.c: slots, buffers, completion --------------------------------------------------------
 */

/** nvmf_conn_set_depth() - a queue of @entries; -ENOMEM */
int nvmf_conn_set_depth(struct nvmf_conn *conn, uint32_t entries);
void nvmf_conn_free_reqs(struct nvmf_conn *conn);
/** nvmf_req_get() - a slot; NULL when none is free (it will be unblocked) or memory is short */
struct nvmf_req *nvmf_req_get(struct nvmf_conn *conn);
bool nvmf_req_available(struct nvmf_conn *conn);
struct nvmf_req *nvmf_req_at(const struct nvmf_conn *conn, uint32_t index);
struct nvmf_req *nvmf_req_by_cid(const struct nvmf_conn *conn, uint16_t cid);
void nvmf_req_hash(struct nvmf_req *req);
/**
 * nvmf_req_buffers_get() - buffers for data_len bytes, then resume(req)
 *
 * Return: true when they are there at once; resume is not called then.
 */
bool nvmf_req_buffers_get(struct nvmf_req *req, uint32_t len, void (*resume)(struct nvmf_req *req));
/** nvmf_req_buffers_cancel() - leave the queue for buffers; what was held is given back */
void nvmf_req_buffers_cancel(struct nvmf_req *req);
/** nvmf_req_complete() - answer; @status as NVME_STATUS() makes it, with DNR as wanted */
void nvmf_req_complete(struct nvmf_req *req, uint16_t status);
/** nvmf_req_release() - the slot is free again when its sends are done */
void nvmf_req_release(struct nvmf_req *req);
/** nvmf_req_end() - on closing: give up without an answer; false when something holds it */
bool nvmf_req_drop(struct nvmf_req *req);
/** nvmf_req_abort() - end it early with @status if it is not carried out yet; true when it ends */
bool nvmf_req_abort(struct nvmf_req *req, uint16_t status);

/** nvmf_req_hold(), nvmf_req_unhold() - something outside of the connection has it */
static inline void nvmf_req_hold(struct nvmf_req *req)
{
	req->state = NVMF_REQ_EXECUTING;
	req->conn->busy++;
}
static inline void nvmf_req_unhold(struct nvmf_req *req)
{
	req->conn->busy--;
}

/**
 * nvmf_req_at_manager() - do @fn on reactor 0, which ends with nvmf_req_return(), which does @back
 * on the request's reactor; it is held meanwhile
 */
void nvmf_req_at_manager(struct nvmf_req *req, void (*fn)(struct nvmf_req *req));
void nvmf_req_return(struct nvmf_req *req, void (*back)(struct nvmf_req *req));

/* --- command.c: what a command goes through ---------------------------------------------------
 */

/** nvmf_cmd_arrived() - a capsule's header was received; NULL when the connection ends by it */
struct nvmf_req *nvmf_cmd_arrived(struct nvmf_conn *conn, const struct nvme_cmd *sqe,
				  uint32_t capsule_len);
/** nvmf_cmd_begin() - the whole capsule is there */
void nvmf_cmd_begin(struct nvmf_req *req);
/** nvmf_cmd_data_done() - all data of an R2T is there */
void nvmf_cmd_data_done(struct nvmf_req *req);
/** nvmf_cmd_data() - what the command transfers, held against its SGL; returns a status */
uint16_t nvmf_cmd_data(struct nvmf_req *req, enum nvmf_dir dir, uint32_t len, bool exact);

/* --- tcp_*.c ------------------------------------------------------------------------------- */

extern const struct net_stream_ops nvmf_tcp_ops;
/** nvmf_tcp_respond() - send data and completion of a request */
void nvmf_tcp_respond(struct nvmf_req *req);
void nvmf_tcp_r2t(struct nvmf_req *req);
void nvmf_tcp_ic_resp(struct nvmf_conn *conn, uint8_t dgst);
/**
 * nvmf_tcp_terminate() - C2HTermReq, then close
 * @pdu, @len: the header in error
 */
void nvmf_tcp_terminate(struct nvmf_conn *conn, uint16_t fes, uint32_t fei, const void *pdu,
			size_t len);
/** nvmf_tcp_unblock() - bytes can be taken again */
void nvmf_tcp_unblock(struct nvmf_conn *conn);

#endif

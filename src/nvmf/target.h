/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target as the files of this room share it: what reactor 0 keeps, what each reactor has of it,
 * and how reactor 0 tells all reactors something.
 *
 * Threading: reactor 0 owns struct nvmf_target and is the arbiter of all connections: it alone
 * decides who may connect, be connected and be closed. A struct nvmf_group belongs to its reactor.
 * Whatever reactor 0 says to a reactor goes by a message straight from 0, so that what was said
 * first arrives first: an approved Connect before the removal of what it was approved for.
 */
#ifndef NVMF_TARGET_H
#define NVMF_TARGET_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/log.h"
#include "nvmf/nvmf.h"
#include "reactor/reactor.h"

LOG_FLAG_DECLARE(nvmf);

struct nvmf_conn;
struct nvmf_ctrlr;
struct nvmf_req;

#define NVMF_DEFAULT_TARGET "nvmf_tgt"

/* Bytes of data in one pool buffer, and pool buffers of one command. */
#define NVMF_BUFFER_BYTES (128u * 1024)
#define NVMF_REQ_BUFFERS  8u
#define NVMF_MAX_IO_SIZE  (NVMF_REQ_BUFFERS * NVMF_BUFFER_BYTES)
/* A capsule of an admin queue may bring so much, whatever is said about I/O queues. */
#define NVMF_ADMIN_CAPSULE_DATA 8192u
#define NVMF_MAX_H2C_DATA	NVMF_BUFFER_BYTES

/* --- telling all reactors ------------------------------------------------------------------- */

struct nvmf_tell;

/** struct nvmf_tell_part - the share of one reactor; @on says which */
struct nvmf_tell_part {
	struct reactor_msg msg;
	struct nvmf_tell *tell;
	unsigned int on;
	int result;
};

/**
 * struct nvmf_tell - something each reactor does
 * @fn: on each reactor; ends with nvmf_tell_answer(), inside or later
 * @done: on reactor 0 when all have answered; @result is 0 or the first failure
 */
struct nvmf_tell {
	void (*fn)(struct nvmf_tell_part *part);
	void (*done)(struct nvmf_tell *tell);
	void *arg;
	unsigned int pending;
	int result;
	struct nvmf_tell_part parts[];
};

/** nvmf_tell_bytes() - of a tell with its parts */
size_t nvmf_tell_bytes(void);
void nvmf_tell_start(struct nvmf_tell *tell, void (*fn)(struct nvmf_tell_part *part),
		     void (*done)(struct nvmf_tell *tell), void *arg);
void nvmf_tell_answer(struct nvmf_tell_part *part, int result);

/* --- one reactor's share of a target ---------------------------------------------------------- */

struct nvmf_group_stats {
	uint32_t admin_qpairs, io_qpairs; /* ever */
	uint32_t current_admin_qpairs, current_io_qpairs, current_unassociated_qpairs;
	uint64_t pending_bdev_io;
	uint64_t completed_nvme_io;
};

struct nvmf_group {
	struct nvmf_target *tgt;
	unsigned int index;
	LIST_HEAD(, nvmf_conn) conns;
	struct nvmf_group_stats stats;
	uint64_t tls_logged_ns;
	uint32_t auth_seq; /* of the last challenge */
	/* Requests that want several buffers collect them one at a time, or none would finish. */
	struct nvmf_req *collecting;
	STAILQ_HEAD(, nvmf_req) collectors;
} __attribute__((aligned(64)));

/* --- listening sockets -------------------------------------------------------------------------
 */

/**
 * struct nvmf_socket - an address that is listened on
 * @listeners: of subsystems; @users: connections
 * @secure: TLS is spoken there, and nothing else
 */
struct nvmf_socket {
	struct nvmf_target *tgt;
	struct net_addr addr;
	struct net_listener *listener; /* NULL once closed */
	bool secure;
	unsigned int listeners, users;
	uint16_t portid;
	TAILQ_ENTRY(nvmf_socket) link;
};

/**
 * nvmf_socket_get() - of the address; made on first use
 *
 * Return: 0; -EEXIST when it is one without TLS and @secure, or the other way; what net_listen()
 * gave.
 */
int nvmf_socket_get(struct nvmf_target *tgt, const struct net_addr *addr, bool secure,
		    struct nvmf_socket **socket, struct error *err);
/** nvmf_socket_put() - a listener left; with the last the socket is closed */
void nvmf_socket_put(struct nvmf_socket *socket);
void nvmf_socket_ref(struct nvmf_socket *socket);
void nvmf_socket_unref(struct nvmf_socket *socket);
/** nvmf_sockets_close() - accept nothing more */
void nvmf_sockets_close(struct nvmf_target *tgt);

/* --- referrals ---------------------------------------------------------------------------------
 */

#define NVMF_TRTYPE_MAX	 32
#define NVMF_TRADDR_MAX	 256
#define NVMF_TRSVCID_MAX 32

struct nvmf_referral {
	char trtype[NVMF_TRTYPE_MAX];
	char adrfam[NVMF_TRTYPE_MAX]; /* "" when not known */
	char traddr[NVMF_TRADDR_MAX];
	char trsvcid[NVMF_TRSVCID_MAX];
	char subnqn[NVME_NQN_FIELD];
	bool secure_channel;
	TAILQ_ENTRY(nvmf_referral) link;
};

/* --- the target ------------------------------------------------------------------------------ */

/**
 * struct nvmf_close_wait - somebody waits until connections are gone
 * @match: of which connections
 * @done: when no connection matches any more; never inside nvmf_conns_close()
 */
struct nvmf_close_wait {
	bool (*match)(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);
	void (*done)(struct nvmf_close_wait *wait);
	const void *subject;
	const void *socket;
	const char *hostnqn;
	struct reactor_msg msg;
	TAILQ_ENTRY(nvmf_close_wait) link;
};

enum nvmf_close_how {
	NVMF_CLOSE_NOW,	  /* what runs ends unanswered; what was answered still goes out */
	NVMF_CLOSE_DRAIN, /* what runs is answered first, new commands are refused */
	NVMF_CLOSE_ABORT, /* at once */
};

struct nvmf_target {
	char *name;
	struct nvmf_target_options opts;
	bool has_tcp;
	struct nvmf_transport_options tcp; /* constant once has_tcp is set */
	bool draining, destroying;
	bool draining_now; /* nvmf_target_drain() awaits connections */

	TAILQ_HEAD(, nvmf_subsystem) subsystems; /* sorted by NQN */
	uint32_t subsystem_count;
	struct nvmf_subsystem *discovery;
	TAILQ_HEAD(, nvmf_socket) sockets;
	uint16_t next_portid;
	TAILQ_HEAD(nvmf_referrals, nvmf_referral) referrals;
	uint64_t genctr;

	TAILQ_HEAD(, nvmf_conn) conns;
	uint32_t conn_count;
	uint32_t *conns_on; /* of each reactor */
	unsigned int next_reactor;
	uint64_t refusal_logged_ns;
	TAILQ_HEAD(, nvmf_close_wait) close_waits;
	LIST_HEAD(, nvmf_psk) psks; /* see psk.h */
	pthread_mutex_t psk_lock;

	/* The discovery log changed: told once, however many changes come meanwhile. */
	struct nvmf_tell *notice;
	bool notice_running, notice_again;

	TAILQ_ENTRY(nvmf_target) link;
	struct nvmf_group *groups; /* of each reactor */
};

struct nvmf_group *nvmf_group_here(struct nvmf_target *tgt);

/** nvmf_discovery_changed() - count the generation and tell discovery controllers */
void nvmf_discovery_changed(struct nvmf_target *tgt);

/**
 * nvmf_conns_close() - close all connections that @wait matches
 * @wait: its done is called later, when they are gone (also when there are none)
 */
void nvmf_conns_close(struct nvmf_target *tgt, enum nvmf_close_how how,
		      struct nvmf_close_wait *wait);
/** nvmf_conns_tell() - the same without waiting */
void nvmf_conns_tell(struct nvmf_target *tgt, enum nvmf_close_how how,
		     const struct nvmf_close_wait *which);
bool nvmf_match_all(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);
/** nvmf_close_waits_check() - a connection is gone: who waited for that */
void nvmf_close_waits_check(struct nvmf_target *tgt);

/** nvmf_accepted() - a new stream of a listening socket */
void nvmf_accepted(struct net_listener *listener, void *user, struct net_stream *stream);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the host driver share, and the table that a transport fills in.
 *
 * Threading: as nvme/host.h says; a queue pair's members are its own reactor's, but those marked
 * "home", which are the controller's reactor's.
 */
#ifndef NVME_HOST_INTERNAL_H
#define NVME_HOST_INTERNAL_H

#include "base/container_of.h"
#include "base/log.h"
#include "nvme/host.h"
#include "reactor/reactor.h"

LOG_FLAG_DECLARE(nvme);

/* A command identifier is a slot's index with its generation above, so that an answer to an earlier
 * user of the slot is told from one to the present user. */
#define NVME_SLOT_BITS	 12u
#define NVME_SLOT_MASK	 ((1u << NVME_SLOT_BITS) - 1)
#define NVME_QUEUE_MAX	 4096u /* entries */
#define NVME_AER_MAX	 4u
#define NVME_ADMIN_SPARE 2u /* admin slots that events never take: keep-alive, one command */

/**
 * struct nvme_slot - a place for one outstanding command; the first member of a transport's own
 * @req: NULL while the slot is free
 * @cid: of the present or, while free, of the next user
 * @aged: in the queue pair's list of those that can time out, which is in order of @deadline_ns
 */
struct nvme_slot {
	struct nvme_request *req;
	struct nvme_slot *next, *prev;
	uint64_t deadline_ns;
	uint16_t cid;
	bool aged;
	bool aborting;
};

struct nvme_property;

/**
 * struct nvme_transport - how commands reach a controller
 * @qpair_alloc: a queue pair with @depth slots, all zeros but what the transport needs; NULL when
 *               memory is short
 * @qpair_connect: make it work; ends in nvme_qpair_connected() or nvme_qpair_fail()
 * @qpair_close: let go of all memory of requests, orderly or at once; ends in nvme_qpair_gone(),
 *               later
 * @slot: slot of an index below the depth
 * @submit: send the command of a slot; ends in nvme_slot_complete() unless the path breaks
 * @property: get or set a controller property; ends in property->done
 * @check: whether it can do what the options ask for: 0, or a negative errno with @err
 */
struct nvme_transport {
	const char *name;
	uint8_t trtype;
	struct nvme_qpair *(*qpair_alloc)(struct nvme_ctrlr *ctrlr, uint16_t depth);
	void (*qpair_free)(struct nvme_qpair *qp);
	void (*qpair_connect)(struct nvme_qpair *qp);
	void (*qpair_close)(struct nvme_qpair *qp, bool orderly);
	struct nvme_slot *(*slot)(struct nvme_qpair *qp, uint32_t index);
	void (*submit)(struct nvme_qpair *qp, struct nvme_slot *slot);
	void (*property)(struct nvme_ctrlr *ctrlr, struct nvme_property *property);
	int (*check)(const struct nvme_ctrlr_options *opts, struct error *err);
};

extern const struct nvme_transport nvme_transport_tcp;

enum nvme_qpair_state {
	NVME_QPAIR_CONNECTING,
	NVME_QPAIR_READY,
	NVME_QPAIR_ENDING, /* the transport lets go of it */
	NVME_QPAIR_ENDED,
};

/* A command that timed out is aborted through the admin queue pair; one at a time. */
struct nvme_abort {
	struct reactor_msg msg;
	struct nvme_request req;
	uint16_t cid;
	bool busy;
};

struct nvme_qpair {
	const struct nvme_transport *transport;
	struct nvme_ctrlr *ctrlr;
	struct reactor *reactor;
	const struct nvme_qpair_ops *ops;
	void *user;
	uint16_t qid;
	uint16_t depth;
	enum nvme_qpair_state state;
	bool was_ready;
	bool closing;	  /* its owner does not want to hear more */
	bool registering; /* the question is on its way to the home reactor and back */
	bool registered;
	struct error err;

	struct nvme_slot *free;
	struct nvme_slot *oldest, *newest;
	struct nvme_request *waiting, **waiting_tail;
	struct nvme_request *dead, **dead_tail; /* came too late, answered by dead_msg */
	struct reactor_msg dead_msg;
	bool dead_sent;
	struct reactor_timer timer;
	const char *phase; /* of connecting, for a timeout's words */
	struct nvme_abort abort;

	void (*released)(void *user);
	struct reactor_msg msg;		 /* to the home reactor and back */
	struct reactor_msg lost_msg;	 /* home: the controller is lost */
	bool lost_told;			 /* home */
	int register_result;		 /* home, then the queue pair's */
	struct nvme_qpair *next, **prev; /* home */
};

/**
 * struct nvme_property - access to a controller property (Base 2.0, 3.1.3)
 * @size: 4 or 8 bytes
 */
struct nvme_property {
	bool set;
	uint8_t size;
	uint32_t offset;
	uint64_t value;
	void (*done)(struct nvme_property *property, int result);
	struct nvme_request req;
};

enum nvme_ctrlr_state {
	NVME_CTRLR_SETUP,
	NVME_CTRLR_READY,
	NVME_CTRLR_LOST,
	NVME_CTRLR_LEAVING,
};

struct nvme_scan;

struct nvme_ctrlr {
	const struct nvme_transport *transport;
	struct nvme_ctrlr_options opts;
	const struct nvme_ctrlr_ops *ops;
	void *user;
	struct reactor *home;
	enum nvme_ctrlr_state state;
	bool discovery;
	bool ready_told;
	struct error err;
	struct nvme_ctrlr_info info;
	struct nvme_qpair *admin;

	/* Setup and shutdown: one exchange at a time. */
	unsigned int step;
	struct nvme_property property;
	struct nvme_request req;
	struct iovec iov;
	struct reactor_timer timer;
	uint64_t deadline_ns;

	struct reactor_timer watch_timer; /* keep-alive; while leaving, its time limit */
	uint64_t kato_sent_ns;
	struct nvme_request kato_req;
	bool kato_busy;
	struct nvme_request aer[NVME_AER_MAX];
	struct nvme_request changed_req;
	struct iovec changed_iov;
	uint32_t *changed;
	uint32_t changed_result;
	bool changed_busy;

	struct nvme_ns *ns;
	struct nvme_scan *scan;

	struct nvme_qpair *qpairs;
	uint64_t *qids_used; /* a bit a queue identifier */
	struct reactor_msg leave_msg;
	void (*gone)(void *user);
};

/* --- queue pairs (qpair.c, qpair_life.c, qpair_timeout.c) ----------------------------------- */

void nvme_qpair_init(struct nvme_qpair *qp, struct nvme_ctrlr *ctrlr, uint16_t qid, uint16_t depth,
		     const struct nvme_qpair_ops *ops, void *user);
/** nvme_qpair_start() - connect it, within the controller's connect timeout */
void nvme_qpair_start(struct nvme_qpair *qp);
/** nvme_qpair_connected() - transport: it can take commands */
void nvme_qpair_connected(struct nvme_qpair *qp);
/** nvme_qpair_fail() - it broke; nothing happens when it has ended or is ending */
void nvme_qpair_fail(struct nvme_qpair *qp, bool orderly, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** nvme_qpair_gone() - transport: no memory of a request is in use any more */
void nvme_qpair_gone(struct nvme_qpair *qp);
/** nvme_qpair_submit_now() - a command of the connecting phase, which takes a slot at once */
void nvme_qpair_submit_now(struct nvme_qpair *qp, struct nvme_request *req);
/** nvme_slot_find() - the slot in use under a command identifier; NULL when there is none */
struct nvme_slot *nvme_slot_find(struct nvme_qpair *qp, uint16_t cid);
/** nvme_slot_complete() - transport: the slot's command is done, its memory not in use any more */
void nvme_slot_complete(struct nvme_qpair *qp, struct nvme_slot *slot, const struct nvme_cpl *cpl);
/** nvme_qpair_answer_all() - every request that was not answered gets @status */
void nvme_qpair_answer_all(struct nvme_qpair *qp, uint16_t status);
/** nvme_qpair_release() - a queue pair that has ended goes; its owner is told */
void nvme_qpair_release(struct nvme_qpair *qp);
/** nvme_qpair_where() - "queue pair 1 of nqn... at 127.0.0.1:4420" into @buf */
void nvme_qpair_where(const struct nvme_qpair *qp, char *buf, size_t size);
#define NVME_WHERE_TEXT 320

/** nvme_qpair_age() - a slot starts to age; nvme_qpair_unage() - it was answered */
void nvme_qpair_age(struct nvme_qpair *qp, struct nvme_slot *slot);
void nvme_qpair_unage(struct nvme_qpair *qp, struct nvme_slot *slot);
void nvme_qpair_timer_fired(struct reactor_timer *timer);

/* --- fabrics (fabrics.c) ---------------------------------------------------------------------- */

/** nvme_fabrics_connect() - the Connect command of a queue pair whose transport is connected */
int nvme_fabrics_connect(struct nvme_qpair *qp);
/** nvme_auth_start() - authenticate, then nvme_qpair_connected() or nvme_qpair_fail(); -ENOMEM */
int nvme_auth_start(struct nvme_qpair *qp);
void nvme_fabrics_property(struct nvme_ctrlr *ctrlr, struct nvme_property *property);

/* --- controllers ------------------------------------------------------------------------------ */

/** nvme_ctrlr_fail() - it is lost, or cannot be set up; all queue pairs are told */
void nvme_ctrlr_fail(struct nvme_ctrlr *ctrlr, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** nvme_ctrlr_setup() - from a connected admin queue pair to a ready controller */
void nvme_ctrlr_setup(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_setup_done() - tell the user */
void nvme_ctrlr_setup_done(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_shutdown() - CC.SHN, then close the admin queue pair */
void nvme_ctrlr_shutdown(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_close_admin() - the last step of leaving */
void nvme_ctrlr_close_admin(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_watch() - keep-alive and asynchronous events; nvme_ctrlr_unwatch() - stop the timer
 */
void nvme_ctrlr_watch(struct nvme_ctrlr *ctrlr);
void nvme_ctrlr_unwatch(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_scan_free() - namespaces go */
void nvme_ctrlr_scan_free(struct nvme_ctrlr *ctrlr);
/** nvme_ctrlr_queue_left() - home: a queue pair was closed */
void nvme_ctrlr_queue_left(struct nvme_ctrlr *ctrlr);

/** nvme_request_data() - a request over one piece of memory */
void nvme_request_data(struct nvme_request *req, struct iovec *iov, void *data, uint32_t len,
		       enum nvme_direction direction);

#endif

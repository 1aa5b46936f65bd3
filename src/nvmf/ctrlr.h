/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers.
 *
 * Threading: reactor 0 makes a controller at the Connect of its admin queue and frees it when the
 * last of its connections is gone. It knows which queues there are and whether there may be more.
 * The properties, features and events belong to the reactor of the admin queue. Queues on other
 * reactors read only what is marked constant.
 */
#ifndef NVMF_CTRLR_H
#define NVMF_CTRLR_H

#include "nvmf/conn.h"
#include "nvmf/window.h"

#define NVMF_EVENT_LIMIT 4u /* Asynchronous Event Requests at a time */
#define NVMF_ABORT_LIMIT 4u
#define NVMF_CHANGED_NS	 1024u

/* Bits of @events and @masked. */
#define NVMF_EVENT_NS	     (1u << 0)
#define NVMF_EVENT_DISCOVERY (1u << 1)

struct nvmf_ctrlr {
	/* Constant. */
	struct nvmf_subsystem *subsystem;
	uint16_t cntlid;
	char hostnqn[NVME_NQN_FIELD];
	uint8_t hostid[16];
	struct nvmf_conn *admin; /* only its own reactor may look into it */
	struct reactor *reactor; /* of the admin queue */
	uint64_t created_ns;
	uint32_t auth_ms; /* longest wait for a message of an authentication */

	/* Reactor 0's. */
	struct {
		struct nvmf_conn **queues; /* by QID, 0 to max_io_qpairs */
		uint32_t queue_count;
		bool ready; /* enabled and not shutting down: I/O queues may connect */
		bool gone;  /* the admin queue is gone */
		bool resetting;
		struct nvmf_close_wait reset;
		struct nvmf_conn_counts counts; /* of queues that are gone */
		struct reactor_msg reset_done, free_msg;
	} mgr;
	TAILQ_ENTRY(nvmf_ctrlr) link; /* of the subsystem, reactor 0's */

	/* The admin queue's reactor's. */
	uint32_t cc, csts;
	bool changing; /* reactor 0 enables or takes away the I/O queues */
	uint32_t told_cc;
	struct reactor_msg change_msg;
	uint32_t kato_ms;
	struct reactor_timer keep_alive;
	struct nvmf_req *event_reqs[NVMF_EVENT_LIMIT];
	uint32_t event_count;
	uint32_t events, masked;
	uint32_t abort_count;
	uint32_t changed_ns[NVMF_CHANGED_NS];
	uint32_t changed_count; /* NVMF_CHANGED_NS + 1: more than the log holds */
	struct {
		uint32_t arbitration, error_recovery, write_atomicity, async_events;
		uint32_t temperature_over, temperature_under;
		uint8_t host_behavior[512];
	} features;
};

/* --- connect.c --------------------------------------------------------------------------------
 */

uint16_t nvmf_connect_prepare(struct nvmf_req *req);
void nvmf_connect_execute(struct nvmf_req *req);
/**
 * nvmf_connect_check_data() - the fields of Connect data that can be checked by themselves
 * @where: offset for dw0, with NVME_CONNECT_INVALID_IN_DATA
 */
uint16_t nvmf_connect_check_data(const struct nvme_connect_data *data, uint32_t *where);
/** nvmf_connect_check_cmd() - the same of the command; limits of the transport in @tcp */
uint16_t nvmf_connect_check_cmd(const struct nvme_connect_cmd *cmd,
				const struct nvmf_transport_options *tcp, uint32_t *where);

/** nvmf_ctrlr_forget() - on reactor 0: a queue is gone; with the last the controller goes */
void nvmf_ctrlr_forget(struct nvmf_ctrlr *ctrlr, struct nvmf_conn *conn);
/** nvmf_ctrlr_free_later() - on reactor 0: when no queue is left and nothing is under way */
void nvmf_ctrlr_free_later(struct nvmf_ctrlr *ctrlr);

/* --- ctrlr.c: properties and states --------------------------------------------------------- */

void nvmf_ctrlr_init(struct nvmf_ctrlr *ctrlr);
/** nvmf_ctrlr_start() - the admin queue is connected: on its reactor */
void nvmf_ctrlr_start(struct nvmf_ctrlr *ctrlr, uint32_t kato_ms);
/** nvmf_ctrlr_stop() - the admin queue closes: no timer, no event any more */
void nvmf_ctrlr_stop(struct nvmf_ctrlr *ctrlr);
void nvmf_property_get(struct nvmf_req *req);
void nvmf_property_set(struct nvmf_req *req);
uint64_t nvmf_ctrlr_cap(const struct nvmf_ctrlr *ctrlr);
bool nvmf_ctrlr_is_ready(const struct nvmf_ctrlr *ctrlr);
/** nvmf_ctrlr_fatal() - CSTS.CFS, and all its connections go */
void nvmf_ctrlr_fatal(struct nvmf_ctrlr *ctrlr, const char *why);
const struct nvmf_transport_options *nvmf_ctrlr_tcp(const struct nvmf_ctrlr *ctrlr);

/* --- keep_alive.c ---------------------------------------------------------------------------- */

/** nvmf_keep_alive_round() - a timeout of a host up to what the transport can; 0 stays 0 */
uint32_t nvmf_keep_alive_round(const struct nvmf_transport_options *tcp, uint32_t ms);
/** nvmf_keep_alive_set() - @ms from the host, rounded; 0: off */
void nvmf_keep_alive_set(struct nvmf_ctrlr *ctrlr, uint32_t ms);
void nvmf_keep_alive_restart(struct nvmf_ctrlr *ctrlr);

/* --- admin.c and its commands ----------------------------------------------------------------
 */

uint16_t nvmf_admin_prepare(struct nvmf_req *req);
void nvmf_admin_execute(struct nvmf_req *req);
uint16_t nvmf_fabrics_prepare(struct nvmf_req *req);
void nvmf_fabrics_execute(struct nvmf_req *req);

uint16_t nvmf_identify_prepare(struct nvmf_req *req);
void nvmf_identify(struct nvmf_req *req);
uint16_t nvmf_log_prepare(struct nvmf_req *req);
void nvmf_log(struct nvmf_req *req);
uint16_t nvmf_feature_get_prepare(struct nvmf_req *req);
void nvmf_feature_get(struct nvmf_req *req);
uint16_t nvmf_feature_set_prepare(struct nvmf_req *req);
void nvmf_feature_set(struct nvmf_req *req);
void nvmf_abort(struct nvmf_req *req);

void nvmf_event_request(struct nvmf_req *req);
/** nvmf_event_raise() - one of NVMF_EVENT_*; told when the host asked for it and is not masked */
void nvmf_event_raise(struct nvmf_ctrlr *ctrlr, uint32_t event);
/** nvmf_event_unmask() - the log of the event was read */
void nvmf_event_unmask(struct nvmf_ctrlr *ctrlr, uint32_t event);
/** nvmf_event_abort() - the request ends with @status; false when it waits for nothing */
bool nvmf_event_abort(struct nvmf_req *req, uint16_t status);
/** nvmf_event_withdraw() - the request ends without an answer: its host has forgotten it */
void nvmf_event_withdraw(struct nvmf_req *req);
void nvmf_event_changed_ns(struct nvmf_ctrlr *ctrlr, uint32_t nsid);
/** nvmf_event_withdraw_all() - on reset and shutdown, which no answer survives at the host */
void nvmf_event_withdraw_all(struct nvmf_ctrlr *ctrlr);
/** nvmf_event_abort_all() - on draining: no request waits any more, and the host is told */
void nvmf_event_abort_all(struct nvmf_ctrlr *ctrlr);

/** nvmf_discovery_log_build() - on reactor 0, for the host and port that ask */
void nvmf_discovery_log_build(struct nvmf_target *tgt, const struct nvmf_ctrlr *ctrlr,
			      const struct nvmf_conn *conn, struct nvmf_window *w);
/** nvmf_discovery_log_size() - in bytes */
uint64_t nvmf_discovery_log_size(struct nvmf_target *tgt, const struct nvmf_ctrlr *ctrlr,
				 const struct nvmf_conn *conn);

/** nvmf_req_window() - the data of a request as a window on a page from @offset on, cleared */
void nvmf_req_window(struct nvmf_req *req, uint64_t offset, struct nvmf_window *w);

/* --- io.c, fused.c ---------------------------------------------------------------------------
 */

uint16_t nvmf_io_prepare(struct nvmf_req *req);
void nvmf_io_execute(struct nvmf_req *req);
/** nvmf_io_check_again() - geometry and visibility now, after the data came */
uint16_t nvmf_io_enter(struct nvmf_req *req);
void nvmf_io_leave(struct nvmf_req *req);
/** nvmf_io_abort() - ask the bdev to end @target; @back(@abort) follows, its dw0 says how it went
 */
void nvmf_io_abort(struct nvmf_req *target, struct nvmf_req *abort,
		   void (*back)(struct nvmf_req *abort));
uint16_t nvmf_io_status(const struct bdev_io *io);

/** nvmf_fused_arrived() - in the order of the queue, of every I/O command; returns a status */
uint16_t nvmf_fused_arrived(struct nvmf_req *req);
/** nvmf_fused_execute() - its data is there: run the pair when both are */
void nvmf_fused_execute(struct nvmf_req *req);
/** nvmf_fused_failed() - one of a pair ends with an error before both ran */
void nvmf_fused_failed(struct nvmf_req *req);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a queue pair: registered with its controller, connected, broken or closed, gone.
 *
 * Threading: a queue pair is its own reactor's; registration and its end travel to the controller's
 * home reactor and back as messages. Messages of one reactor to another keep their order, so the
 * word that the controller is lost is never later than the answer after which a queue pair goes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "nvme/host_internal.h"

void nvme_qpair_where(const struct nvme_qpair *qp, char *buf, size_t size)
{
	const struct nvme_path *path = &qp->ctrlr->opts.path;
	char addr[NET_ADDR_TEXT];

	net_addr_text(&path->addr, addr, sizeof(addr));
	if (qp->qid == 0)
		snprintf(buf, size, "%s at %s", path->subnqn, addr);
	else
		snprintf(buf, size, "queue pair %u of %s at %s", qp->qid, path->subnqn, addr);
}

const struct error *nvme_qpair_error(const struct nvme_qpair *qp)
{
	return &qp->err;
}

uint16_t nvme_qpair_id(const struct nvme_qpair *qp)
{
	return qp->qid;
}

uint16_t nvme_qpair_depth(const struct nvme_qpair *qp)
{
	return qp->depth;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end(struct nvme_qpair *qp, bool orderly)
{
	qp->state = NVME_QPAIR_ENDING;
	reactor_timer_stop(&qp->timer);
	qp->transport->qpair_close(qp, orderly);
}

void nvme_qpair_fail(struct nvme_qpair *qp, bool orderly, int code, const char *fmt, ...)
{
	char where[NVME_WHERE_TEXT];
	va_list args;

	if (qp->state > NVME_QPAIR_READY)
		return;
	va_start(args, fmt);
	error_vset(&qp->err, code, fmt, args);
	va_end(args);
	nvme_qpair_where(qp, where, sizeof(where));
	error_prefix(&qp->err, "%s: ", where);
	log_info(nvme, "%s", qp->err.text);
	end(qp, orderly);
}

void nvme_qpair_gone(struct nvme_qpair *qp)
{
	uint8_t sc = qp->closing ? NVME_SC_HOST_ABORTED : NVME_SC_HOST_PATH_ERROR;

	nvme_qpair_answer_all(qp, NVME_STATUS(NVME_SCT_PATH, sc));
	qp->state = NVME_QPAIR_ENDED;
	if (qp->closing)
		nvme_qpair_release(qp);
	else if (!qp->was_ready)
		qp->ops->ready(qp, qp->user, qp->err.code);
	else if (qp->ops->lost)
		qp->ops->lost(qp, qp->user, qp->err.code);
}

static void go(struct nvme_qpair *qp)
{
	void (*released)(void *user) = qp->released;
	void *user = qp->user;

	qp->transport->qpair_free(qp);
	if (released)
		released(user);
}

static void release_answered(struct reactor_msg *msg)
{
	go(container_of(msg, struct nvme_qpair, msg));
}

static void unregister(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg);
	struct nvme_ctrlr *ctrlr = qp->ctrlr;

	*qp->prev = qp->next;
	if (qp->next)
		qp->next->prev = qp->prev;
	ctrlr->qids_used[qp->qid / 64] &= ~(UINT64_C(1) << qp->qid % 64);
	qp->msg.fn = release_answered;
	reactor_send(qp->reactor, &qp->msg);
	nvme_ctrlr_queue_left(ctrlr);
}

void nvme_qpair_release(struct nvme_qpair *qp)
{
	/* An Abort under way, or requests that came too late, come back here when they are done. */
	if (qp->abort.busy || qp->dead_sent)
		return;
	if (qp->registered) {
		qp->registered = false;
		qp->msg.fn = unregister;
		reactor_send(qp->ctrlr->home, &qp->msg);
	} else {
		qp->msg.fn = release_answered;
		reactor_defer(&qp->msg);
	}
}

void nvme_qpair_close(struct nvme_qpair *qp, void (*released)(void *user))
{
	qp->closing = true;
	qp->released = released;
	if (qp->state == NVME_QPAIR_ENDED)
		nvme_qpair_release(qp);
	else if (qp->state != NVME_QPAIR_ENDING && !qp->registering)
		end(qp, true);
}

/* --- the beginning ---------------------------------------------------------------------------- */

void nvme_qpair_start(struct nvme_qpair *qp)
{
	qp->phase = "connection";
	reactor_timer_start(&qp->timer, qp->ctrlr->opts.connect_timeout_ms * UINT64_C(1000000));
	qp->transport->qpair_connect(qp);
}

static void ctrlr_lost(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, lost_msg);

	nvme_qpair_fail(qp, false, -ENOLINK, "the controller is lost");
}

static void registered(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg);

	qp->registering = false;
	qp->registered = qp->register_result == 0;
	if (qp->registered && !qp->closing) {
		nvme_qpair_start(qp);
		return;
	}
	if (!qp->registered)
		error_set(&qp->err, qp->register_result,
			  qp->register_result == -EMFILE
				  ? "the controller grants no more queue pairs"
				  : "the controller is lost");
	qp->state = NVME_QPAIR_ENDING;
	nvme_qpair_gone(qp);
}

/* The lowest free identifier of those that the controller granted; 0 when there is none. */
static uint16_t take_qid(struct nvme_ctrlr *ctrlr)
{
	for (uint32_t qid = 1; qid <= ctrlr->info.io_queues; qid++) {
		uint64_t bit = UINT64_C(1) << qid % 64;

		if (!(ctrlr->qids_used[qid / 64] & bit)) {
			ctrlr->qids_used[qid / 64] |= bit;
			return (uint16_t)qid;
		}
	}
	return 0;
}

static int register_now(struct nvme_qpair *qp)
{
	struct nvme_ctrlr *ctrlr = qp->ctrlr;

	if (ctrlr->state != NVME_CTRLR_READY)
		return -ENOLINK;
	qp->qid = take_qid(ctrlr);
	if (qp->qid == 0)
		return -EMFILE;
	qp->next = ctrlr->qpairs;
	if (qp->next)
		qp->next->prev = &qp->next;
	qp->prev = &ctrlr->qpairs;
	ctrlr->qpairs = qp;
	return 0;
}

static void register_qpair(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, msg);

	qp->register_result = register_now(qp);
	qp->msg.fn = registered;
	reactor_send(qp->reactor, &qp->msg);
}

int nvme_qpair_connect(struct nvme_ctrlr *ctrlr, uint16_t depth, const struct nvme_qpair_ops *ops,
		       void *user, struct nvme_qpair **out)
{
	struct nvme_qpair *qp;

	if (depth > ctrlr->info.max_depth)
		depth = ctrlr->info.max_depth;
	if (depth == 0)
		depth = 1;
	qp = ctrlr->transport->qpair_alloc(ctrlr, depth);
	if (!qp)
		return -ENOMEM;
	nvme_qpair_init(qp, ctrlr, 0, depth, ops, user);
	qp->lost_msg.fn = ctrlr_lost;
	qp->registering = true;
	qp->msg.fn = register_qpair;
	reactor_send(ctrlr->home, &qp->msg);
	*out = qp;
	return 0;
}

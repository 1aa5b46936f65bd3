/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that are not answered in time: first an Abort (Base 2.0, 5.1) through the admin queue
 * pair, then, after as long again, the end of the connection.
 *
 * Threading: slots are their queue pair's reactor's; the Abort travels to the controller's home
 * reactor as a message, one at a time.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/le.h"
#include "nvme/host_internal.h"

static uint64_t timeout_ns(const struct nvme_qpair *qp)
{
	return qp->ctrlr->opts.timeout_ms * NS_PER_MSEC;
}

static void append(struct nvme_qpair *qp, struct nvme_slot *slot)
{
	slot->deadline_ns = reactor_now_ns() + timeout_ns(qp);
	slot->aged = true;
	slot->next = NULL;
	slot->prev = qp->newest;
	if (qp->newest)
		qp->newest->next = slot;
	else
		qp->oldest = slot;
	qp->newest = slot;
}

void nvme_qpair_age(struct nvme_qpair *qp, struct nvme_slot *slot)
{
	/* An event may take for ever. A connecting queue pair has its own time limit. */
	if (qp->ctrlr->opts.timeout_ms == 0 || qp->state != NVME_QPAIR_READY ||
	    (qp->qid == 0 && slot->req->cmd.opc == NVME_ADMIN_ASYNC_EVENT))
		return;
	append(qp, slot);
	if (!reactor_timer_is_started(&qp->timer))
		reactor_timer_start(&qp->timer, timeout_ns(qp));
}

void nvme_qpair_unage(struct nvme_qpair *qp, struct nvme_slot *slot)
{
	if (!slot->aged)
		return;
	slot->aged = false;
	if (slot->prev)
		slot->prev->next = slot->next;
	else
		qp->oldest = slot->next;
	if (slot->next)
		slot->next->prev = slot->prev;
	else
		qp->newest = slot->prev;
}

static void abort_returned(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, abort.msg);

	qp->abort.busy = false;
	if (qp->closing && qp->state == NVME_QPAIR_ENDED)
		nvme_qpair_release(qp);
}

/* What became of the Abort does not matter: the command itself is answered, or times out again. */
static void abort_done(struct nvme_request *req)
{
	struct nvme_qpair *qp = container_of(req, struct nvme_qpair, abort.req);

	qp->abort.msg.fn = abort_returned;
	reactor_send(qp->reactor, &qp->abort.msg);
}

static void abort_at_home(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, abort.msg);
	struct nvme_request *req = &qp->abort.req;

	*req = (struct nvme_request){ .done = abort_done };
	req->cmd.opc = NVME_ADMIN_ABORT;
	req->cmd.cdw10 = htole32(qp->qid | (uint32_t)qp->abort.cid << 16);
	nvme_submit(qp->ctrlr->admin, req);
}

static void ask_for_abort(struct nvme_qpair *qp, struct nvme_slot *slot)
{
	nvme_qpair_unage(qp, slot);
	append(qp, slot);
	if (qp->abort.busy)
		return;
	log_warning("%s: command 0x%02x on queue pair %u is not answered within %u ms; aborting it",
		    qp->ctrlr->opts.path.subnqn, slot->req->cmd.opc, qp->qid,
		    qp->ctrlr->opts.timeout_ms);
	slot->aborting = true;
	qp->abort.busy = true;
	qp->abort.cid = slot->cid;
	qp->abort.msg.fn = abort_at_home;
	reactor_send(qp->ctrlr->home, &qp->abort.msg);
}

static void check_ages(struct nvme_qpair *qp)
{
	uint64_t now = reactor_now_ns();

	while (qp->oldest && qp->oldest->deadline_ns <= now) {
		struct nvme_slot *slot = qp->oldest;

		if (qp->qid == 0 || slot->aborting) {
			nvme_qpair_fail(qp, false, -ETIMEDOUT,
					"command 0x%02x is not answered within %u ms%s",
					slot->req->cmd.opc, qp->ctrlr->opts.timeout_ms,
					qp->qid ? ", nor as long after its Abort" : "");
			return;
		}
		ask_for_abort(qp, slot);
	}
	if (qp->oldest)
		reactor_timer_start(&qp->timer, qp->oldest->deadline_ns - now);
}

void nvme_qpair_timer_fired(struct reactor_timer *timer)
{
	struct nvme_qpair *qp = container_of(timer, struct nvme_qpair, timer);

	if (qp->state == NVME_QPAIR_CONNECTING)
		nvme_qpair_fail(qp, false, -ETIMEDOUT, "no %s within %u ms", qp->phase,
				qp->ctrlr->opts.connect_timeout_ms);
	else if (qp->state == NVME_QPAIR_READY)
		check_ages(qp);
}

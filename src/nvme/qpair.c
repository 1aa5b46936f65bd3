/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on a queue pair: slots, waiting in order when all are taken, answers.
 *
 * Threading: all of a queue pair is its own reactor's.
 */
#include <assert.h>

#include "base/le.h"
#include "nvme/host_internal.h"

static void dead_answer(struct reactor_msg *msg);

void nvme_qpair_init(struct nvme_qpair *qp, struct nvme_ctrlr *ctrlr, uint16_t qid, uint16_t depth,
		     const struct nvme_qpair_ops *ops, void *user)
{
	assert(depth >= 1 && depth < NVME_QUEUE_MAX);
	qp->ctrlr = ctrlr;
	qp->transport = ctrlr->transport;
	qp->reactor = reactor_self();
	qp->qid = qid;
	qp->depth = depth;
	qp->ops = ops;
	qp->user = user;
	qp->state = NVME_QPAIR_CONNECTING;
	qp->waiting_tail = &qp->waiting;
	qp->dead_tail = &qp->dead;
	qp->dead_msg.fn = dead_answer;
	qp->timer.fn = nvme_qpair_timer_fired;
	for (uint32_t i = depth; i-- > 0;) {
		struct nvme_slot *slot = qp->transport->slot(qp, i);

		slot->cid = (uint16_t)i;
		slot->next = qp->free;
		qp->free = slot;
	}
}

static void list_push(struct nvme_request ***tail, struct nvme_request *req)
{
	req->next = NULL;
	**tail = req;
	*tail = &req->next;
}

static struct nvme_request *list_pop(struct nvme_request **head, struct nvme_request ***tail)
{
	struct nvme_request *req = *head;

	if (req) {
		*head = req->next;
		if (!*head)
			*tail = head;
	}
	return req;
}

/* --- requests that get no slot ---------------------------------------------------------------- */

static void set_status(struct nvme_request *req, uint16_t status)
{
	req->cpl = (struct nvme_cpl){ .status = htole16(status) };
}

static void dead_answer(struct reactor_msg *msg)
{
	struct nvme_qpair *qp = container_of(msg, struct nvme_qpair, dead_msg);
	struct nvme_request *req = qp->dead, *next;

	qp->dead = NULL;
	qp->dead_tail = &qp->dead;
	for (; req; req = next) {
		next = req->next;
		req->done(req);
	}
	/* Those that came meanwhile wait for the next turn, so that a user who submits again at
	 * once does not keep the reactor here. */
	qp->dead_sent = false;
	if (qp->dead) {
		qp->dead_sent = true;
		reactor_defer(&qp->dead_msg);
	} else if (qp->closing && qp->state == NVME_QPAIR_ENDED) {
		nvme_qpair_release(qp);
	}
}

static void refuse(struct nvme_qpair *qp, struct nvme_request *req, uint16_t status)
{
	set_status(req, status);
	list_push(&qp->dead_tail, req);
	if (!qp->dead_sent) {
		qp->dead_sent = true;
		reactor_defer(&qp->dead_msg);
	}
}

/* --- slots ------------------------------------------------------------------------------------ */

static void start(struct nvme_qpair *qp, struct nvme_request *req)
{
	struct nvme_slot *slot = qp->free;

	assert(slot && req->iovcnt <= NVME_REQUEST_IOV_MAX);
	qp->free = slot->next;
	slot->req = req;
	slot->aborting = false;
	req->cmd.cid = htole16(slot->cid);
	nvme_qpair_age(qp, slot);
	qp->transport->submit(qp, slot);
}

/* In order and without gaps, so that the second command of a fused pair follows its first. */
static void start_waiting(struct nvme_qpair *qp)
{
	while (qp->waiting && qp->free && qp->state == NVME_QPAIR_READY)
		start(qp, list_pop(&qp->waiting, &qp->waiting_tail));
}

void nvme_qpair_connected(struct nvme_qpair *qp)
{
	assert(qp->state == NVME_QPAIR_CONNECTING);
	reactor_timer_stop(&qp->timer);
	qp->state = NVME_QPAIR_READY;
	qp->was_ready = true;
	if (qp->ops->ready)
		qp->ops->ready(qp, qp->user, 0);
	start_waiting(qp);
}

void nvme_qpair_submit_now(struct nvme_qpair *qp, struct nvme_request *req)
{
	start(qp, req);
}

void nvme_submit(struct nvme_qpair *qp, struct nvme_request *req)
{
	req->cmd.flags = 0;
	if (__builtin_expect(qp->state == NVME_QPAIR_READY && !qp->waiting && qp->free, 1))
		start(qp, req);
	else if (qp->state <= NVME_QPAIR_READY)
		list_push(&qp->waiting_tail, req);
	else
		refuse(qp, req, NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR));
}

void nvme_submit_fused(struct nvme_qpair *qp, struct nvme_request *first,
		       struct nvme_request *second)
{
	uint16_t status = 0;

	if (qp->state > NVME_QPAIR_READY)
		status = NVME_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR);
	else if (qp->depth < 2)
		status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_MISSING_FUSED);
	if (status) {
		refuse(qp, first, status);
		refuse(qp, second, status);
		return;
	}
	first->cmd.flags = NVME_CMD_FUSE_FIRST;
	second->cmd.flags = NVME_CMD_FUSE_SECOND;
	list_push(&qp->waiting_tail, first);
	list_push(&qp->waiting_tail, second);
	start_waiting(qp);
}

struct nvme_slot *nvme_slot_find(struct nvme_qpair *qp, uint16_t cid)
{
	uint32_t index = cid & NVME_SLOT_MASK;
	struct nvme_slot *slot;

	if (index >= qp->depth)
		return NULL;
	slot = qp->transport->slot(qp, index);
	return slot->req && slot->cid == cid ? slot : NULL;
}

static struct nvme_request *slot_free(struct nvme_qpair *qp, struct nvme_slot *slot)
{
	struct nvme_request *req = slot->req;

	nvme_qpair_unage(qp, slot);
	slot->req = NULL;
	slot->cid = (uint16_t)(slot->cid + (1u << NVME_SLOT_BITS));
	slot->next = qp->free;
	qp->free = slot;
	return req;
}

void nvme_slot_complete(struct nvme_qpair *qp, struct nvme_slot *slot, const struct nvme_cpl *cpl)
{
	struct nvme_request *req = slot_free(qp, slot);

	req->cpl = *cpl;
	if (__builtin_expect(qp->waiting != NULL, 0))
		start_waiting(qp);
	req->done(req);
}

void nvme_qpair_answer_all(struct nvme_qpair *qp, uint16_t status)
{
	struct nvme_request *req;

	for (uint32_t i = 0; i < qp->depth; i++) {
		struct nvme_slot *slot = qp->transport->slot(qp, i);

		if (!slot->req)
			continue;
		req = slot_free(qp, slot);
		set_status(req, status);
		req->done(req);
	}
	while ((req = list_pop(&qp->waiting, &qp->waiting_tail)) != NULL) {
		set_status(req, status);
		req->done(req);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for tests: connect to the peer, open a queue pair, do what the test says, close and stop.
 *
 * Threading: reactor 0.
 */
#ifndef TESTS_UNIT_NVME_HOST_UNIT_H
#define TESTS_UNIT_NVME_HOST_UNIT_H

#include <errno.h>

#include "peer.h"

/**
 * struct host - one controller and one queue pair at a time
 * @go: the queue pair is ready; ends in host_close_qpair() or when the queue pair is lost
 * @after: the queue pair is gone; ends in host_open_qpair() or host_leave(); NULL: host_leave()
 * @ctrlr_result, @qpair_result: what ready() said; @ctrlr_lost, @qpair_lost: what lost() said
 */
struct host {
	struct nvme_ctrlr_options opts;
	struct nvme_ctrlr *ctrlr;
	struct nvme_qpair *qp;
	uint16_t depth;
	void (*ready)(struct host *h);
	void (*go)(struct host *h);
	void (*after)(struct host *h);
	int ctrlr_result, qpair_result;
	int ctrlr_lost, qpair_lost;
	unsigned int events;
	uint32_t event;
	char text[ERROR_TEXT_MAX];
	char ctrlr_text[ERROR_TEXT_MAX];
	bool closing_qpair;
};

static inline void host_gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

static inline void host_leave(struct host *h)
{
	nvme_ctrlr_disconnect(h->ctrlr, host_gone);
}

static inline void host_qpair_gone(void *user)
{
	struct host *h = user;

	h->qp = NULL;
	h->closing_qpair = false;
	if (h->after)
		h->after(h);
	else
		host_leave(h);
}

static inline void host_close_qpair(struct host *h)
{
	if (h->closing_qpair)
		return;
	h->closing_qpair = true;
	snprintf(h->text, sizeof(h->text), "%s", nvme_qpair_error(h->qp)->text);
	nvme_qpair_close(h->qp, host_qpair_gone);
}

static inline void host_qpair_ready(struct nvme_qpair *qp, void *user, int result)
{
	struct host *h = user;

	(void)qp;
	h->qpair_result = result;
	if (result == 0)
		h->go(h);
	else
		host_close_qpair(h);
}

static inline void host_qpair_lost(struct nvme_qpair *qp, void *user, int reason)
{
	struct host *h = user;

	(void)qp;
	h->qpair_lost = reason;
	host_close_qpair(h);
}

static const struct nvme_qpair_ops host_qpair_ops = { host_qpair_ready, host_qpair_lost };

static inline void host_open_qpair(struct host *h)
{
	assert_int_equal(nvme_qpair_connect(h->ctrlr, h->depth, &host_qpair_ops, h, &h->qp), 0);
}

static inline void host_ctrlr_ready(struct nvme_ctrlr *ctrlr, void *user, int result)
{
	struct host *h = user;

	h->ctrlr_result = result;
	snprintf(h->ctrlr_text, sizeof(h->ctrlr_text), "%s", nvme_ctrlr_error(ctrlr)->text);
	if (result != 0)
		host_leave(h);
	else if (h->ready)
		h->ready(h);
	else
		host_open_qpair(h);
}

static inline void host_ctrlr_lost(struct nvme_ctrlr *ctrlr, void *user, int reason)
{
	struct host *h = user;

	h->ctrlr_lost = reason;
	snprintf(h->ctrlr_text, sizeof(h->ctrlr_text), "%s", nvme_ctrlr_error(ctrlr)->text);
	/* A queue pair is told too, and its end leads on. */
	if (!h->qp)
		host_leave(h);
}

static inline void host_ctrlr_event(struct nvme_ctrlr *ctrlr, void *user, uint32_t result)
{
	struct host *h = user;

	(void)ctrlr;
	h->events++;
	h->event = result;
}

static const struct nvme_ctrlr_ops host_ctrlr_ops = { host_ctrlr_ready, host_ctrlr_lost,
						      host_ctrlr_event };

static inline void host_start(void *arg)
{
	struct host *h = arg;
	struct error err = ERROR_INIT;

	if (nvme_ctrlr_connect(&h->opts, &host_ctrlr_ops, h, &h->ctrlr, &err) != 0)
		fail_msg("%s", err.text);
}

/** host_init() - a host of @p with the defaults of tests */
static inline void host_init(struct host *h, const struct peer *p)
{
	memset(h, 0, sizeof(*h));
	peer_options(p, &h->opts);
	h->depth = 8;
}

/** host_run() - until it has left */
static inline void host_run(struct host *h)
{
	unit_run(1, host_start, h);
}

#endif

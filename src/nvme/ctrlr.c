/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a controller: connected, ready, lost, left.
 *
 * Threading: on the controller's home reactor.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/host_internal.h"

LOG_FLAG_DEFINE(nvme);

#define QIDS_WORDS (65536 / 64)

void nvme_ctrlr_options_init(struct nvme_ctrlr_options *opts)
{
	*opts = (struct nvme_ctrlr_options){
		.kato_ms = 10000,
		.admin_depth = 32,
		.io_queues = 1,
		.connect_timeout_ms = 10000,
		.timeout_ms = 30000,
		.shutdown_timeout_ms = 5000,
		.dhchap_hashes = NVME_DHCHAP_HASHES,
		.dhchap_groups = NVME_DHCHAP_GROUPS,
	};
	nvme_path_init(&opts->path);
}

const struct error *nvme_ctrlr_error(const struct nvme_ctrlr *ctrlr)
{
	return &ctrlr->err;
}

const struct nvme_ctrlr_info *nvme_ctrlr_info(const struct nvme_ctrlr *ctrlr)
{
	return &ctrlr->info;
}

void nvme_ctrlr_admin(struct nvme_ctrlr *ctrlr, struct nvme_request *req)
{
	nvme_submit(ctrlr->admin, req);
}

void nvme_field_text(const char *field, size_t field_size, char *buf, size_t size)
{
	size_t len = 0;

	while (len < field_size && len + 1 < size && field[len]) {
		buf[len] = field[len] >= ' ' && field[len] < 0x7f ? field[len] : '?';
		len++;
	}
	while (len && buf[len - 1] == ' ')
		len--;
	buf[len] = '\0';
}

/* --- lost ------------------------------------------------------------------------------------- */

static void tell_qpairs(struct nvme_ctrlr *ctrlr)
{
	for (struct nvme_qpair *qp = ctrlr->qpairs; qp; qp = qp->next)
		if (!qp->lost_told) {
			qp->lost_told = true;
			reactor_send(qp->reactor, &qp->lost_msg);
		}
}

void nvme_ctrlr_fail(struct nvme_ctrlr *ctrlr, int code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* The rest follows when the admin queue pair has let go of everything. */
	nvme_qpair_fail(ctrlr->admin, true, code, "%s", text);
}

static void admin_ended(struct nvme_ctrlr *ctrlr, int reason)
{
	if (ctrlr->err.code == 0)
		ctrlr->err = *nvme_qpair_error(ctrlr->admin);
	nvme_ctrlr_unwatch(ctrlr);
	reactor_timer_stop(&ctrlr->timer);
	tell_qpairs(ctrlr);
	if (ctrlr->state == NVME_CTRLR_LEAVING)
		return;
	ctrlr->state = NVME_CTRLR_LOST;
	if (!ctrlr->ready_told)
		nvme_ctrlr_setup_done(ctrlr);
	else if (ctrlr->ops->lost)
		ctrlr->ops->lost(ctrlr, ctrlr->user, reason);
}

static void admin_ready(struct nvme_qpair *qp, void *user, int result)
{
	(void)qp;
	if (result == 0)
		nvme_ctrlr_setup(user);
	else
		admin_ended(user, result);
}

static void admin_lost(struct nvme_qpair *qp, void *user, int reason)
{
	(void)qp;
	admin_ended(user, reason);
}

static const struct nvme_qpair_ops admin_ops = { .ready = admin_ready, .lost = admin_lost };

void nvme_ctrlr_setup_done(struct nvme_ctrlr *ctrlr)
{
	ctrlr->ready_told = true;
	if (ctrlr->state == NVME_CTRLR_SETUP) {
		ctrlr->state = NVME_CTRLR_READY;
		nvme_ctrlr_watch(ctrlr);
	}
	ctrlr->ops->ready(ctrlr, ctrlr->user, ctrlr->err.code);
}

/* --- connected -------------------------------------------------------------------------------- */

static const struct nvme_transport *const transports[] = { &nvme_transport_tcp };

static const struct nvme_transport *transport_of(uint8_t trtype)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (transports[i]->trtype == trtype)
			return transports[i];
	return NULL;
}

static int check_options(const struct nvme_ctrlr_options *opts, struct error *err)
{
	if (!transport_of(opts->path.trtype))
		return error_set(err, -EPROTONOSUPPORT,
				 "transport type %u is not carried by this host; TCP (%u) is",
				 opts->path.trtype, NVME_TRTYPE_TCP);
	if (opts->path.addr.len == 0)
		return error_set(err, -EINVAL, "no address of the subsystem is given");
	if (opts->admin_depth < 2 || opts->admin_depth > NVME_QUEUE_MAX)
		return error_set(err, -EINVAL, "admin queue of %u entries; 2 to %u are allowed",
				 opts->admin_depth, NVME_QUEUE_MAX);
	if (opts->connect_timeout_ms == 0)
		return error_set(err, -EINVAL, "a connect timeout of 0; at least 1 ms is needed");
	return transport_of(opts->path.trtype)->check(opts, err);
}

static void ctrlr_free(struct nvme_ctrlr *ctrlr)
{
	nvme_ctrlr_scan_free(ctrlr);
	free(ctrlr->changed);
	free(ctrlr->qids_used);
	explicit_bzero(&ctrlr->opts, sizeof(ctrlr->opts));
	free(ctrlr);
}

static struct nvme_ctrlr *ctrlr_alloc(const struct nvme_ctrlr_options *opts)
{
	struct nvme_ctrlr *ctrlr = calloc(1, sizeof(*ctrlr));

	if (!ctrlr)
		return NULL;
	ctrlr->opts = *opts;
	ctrlr->transport = transport_of(opts->path.trtype);
	ctrlr->home = reactor_self();
	ctrlr->qids_used = calloc(QIDS_WORDS, sizeof(uint64_t));
	ctrlr->changed = malloc(NVME_IDENTIFY_BYTES);
	if (ctrlr->qids_used && ctrlr->changed)
		ctrlr->admin =
			ctrlr->transport->qpair_alloc(ctrlr, (uint16_t)(opts->admin_depth - 1));
	if (!ctrlr->admin) {
		ctrlr_free(ctrlr);
		return NULL;
	}
	return ctrlr;
}

int nvme_ctrlr_connect(const struct nvme_ctrlr_options *opts, const struct nvme_ctrlr_ops *ops,
		       void *user, struct nvme_ctrlr **out, struct error *err)
{
	struct nvme_ctrlr *ctrlr;
	int ret = check_options(opts, err);

	if (ret != 0)
		return ret;
	ctrlr = ctrlr_alloc(opts);
	if (!ctrlr)
		return error_set(err, -ENOMEM, "no memory for a controller");
	ctrlr->ops = ops;
	ctrlr->user = user;
	nvme_qpair_init(ctrlr->admin, ctrlr, 0, (uint16_t)(opts->admin_depth - 1), &admin_ops,
			ctrlr);
	*out = ctrlr;
	nvme_qpair_start(ctrlr->admin);
	return 0;
}

/* --- left ------------------------------------------------------------------------------------- */

static void admin_released(void *user)
{
	struct nvme_ctrlr *ctrlr = user;
	void (*gone)(void *user) = ctrlr->gone;

	user = ctrlr->user;
	ctrlr_free(ctrlr);
	if (gone)
		gone(user);
}

void nvme_ctrlr_close_admin(struct nvme_ctrlr *ctrlr)
{
	/* The answer to a request that the close cuts off leads here again. */
	if (ctrlr->admin->closing)
		return;
	reactor_timer_stop(&ctrlr->timer);
	reactor_timer_stop(&ctrlr->watch_timer);
	nvme_qpair_close(ctrlr->admin, admin_released);
}

static void leave(struct reactor_msg *msg)
{
	nvme_ctrlr_shutdown(container_of(msg, struct nvme_ctrlr, leave_msg));
}

void nvme_ctrlr_queue_left(struct nvme_ctrlr *ctrlr)
{
	if (ctrlr->state != NVME_CTRLR_LEAVING || ctrlr->qpairs)
		return;
	ctrlr->leave_msg.fn = leave;
	reactor_defer(&ctrlr->leave_msg);
}

void nvme_ctrlr_disconnect(struct nvme_ctrlr *ctrlr, void (*done)(void *user))
{
	assert(ctrlr->state != NVME_CTRLR_LEAVING);
	ctrlr->state = NVME_CTRLR_LEAVING;
	ctrlr->gone = done;
	nvme_ctrlr_unwatch(ctrlr);
	tell_qpairs(ctrlr);
	nvme_ctrlr_queue_left(ctrlr);
}

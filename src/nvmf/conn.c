/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection: it starts on the reactor that reactor 0 chose, ends there when its
 * stream is gone and nothing holds a request of it any more, and is then forgotten by reactor 0.
 *
 * Threading: the connection's reactor, where nothing else is said.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "nvmf/accept.h"
#include "nvmf/auth.h"
#include "nvmf/ctrlr.h"

const char *nvmf_conn_name(const struct nvmf_conn *conn, char *buf, size_t size)
{
	net_addr_text(&conn->peer, buf, size);
	return buf;
}

/* --- start ------------------------------------------------------------------------------------ */

static void connect_timeout(struct reactor_timer *timer)
{
	struct nvmf_conn *conn = container_of(timer, struct nvmf_conn, timer);
	char name[NET_ADDR_TEXT];

	log_warning("nvmf: %s: no Connect within %u ms, connection closed",
		    nvmf_conn_name(conn, name, sizeof(name)), NVMF_CONNECT_TIMEOUT_MS);
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

void nvmf_conn_start(struct reactor_msg *msg)
{
	struct nvmf_conn *conn = container_of(msg, struct nvmf_conn, life_msg);

	LIST_INSERT_HEAD(&conn->group->conns, conn, link);
	conn->group->stats.current_unassociated_qpairs++;
	conn->timer.fn = connect_timeout;
	reactor_timer_start(&conn->timer, NVMF_CONNECT_TIMEOUT_MS * NS_PER_MSEC);
	net_stream_attach(conn->stream, &nvmf_tcp_ops, conn);
}

/* --- end -------------------------------------------------------------------------------------- */

static void conn_free(struct reactor_msg *msg)
{
	struct nvmf_conn *conn = container_of(msg, struct nvmf_conn, life_msg);

	nvmf_auth_free(conn);
	nvmf_conn_free_reqs(conn);
	free(conn->identity);
	free(conn);
}

static void conn_gone(struct reactor_msg *msg)
{
	struct nvmf_conn *conn = container_of(msg, struct nvmf_conn, life_msg);
	struct reactor *home = conn->reactor;

	nvmf_conn_forget(conn);
	/* Messages to the connection that were sent before this one still find it. */
	conn->life_msg.fn = conn_free;
	reactor_send(home, &conn->life_msg);
}

static void count_end(const struct nvmf_conn *conn)
{
	struct nvmf_group_stats *stats = &conn->group->stats;

	if (!conn->ctrlr)
		stats->current_unassociated_qpairs--;
	else if (conn->qid == 0)
		stats->current_admin_qpairs--;
	else
		stats->current_io_qpairs--;
}

static void end(struct nvmf_conn *conn)
{
	conn->state = NVMF_CONN_GONE;
	count_end(conn);
	LIST_REMOVE(conn, link);
	conn->life_msg.fn = conn_gone;
	reactor_send(reactor_at(0), &conn->life_msg);
}

void nvmf_conn_check_end(struct nvmf_conn *conn)
{
	if (conn->state == NVMF_CONN_CLOSING && conn->stream_gone && conn->busy == 0)
		end(conn);
	else if (conn->state == NVMF_CONN_LIVE && conn->draining && conn->outstanding == 0)
		nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

static void stream_released(void *user)
{
	struct nvmf_conn *conn = user;

	conn->stream_gone = true;
	for (uint32_t i = 0; i < conn->chunk_count * NVMF_REQ_CHUNK; i++)
		nvmf_req_drop(nvmf_req_at(conn, i));
	nvmf_conn_check_end(conn);
}

void nvmf_conn_close(struct nvmf_conn *conn, enum nvmf_close_how how)
{
	if (conn->state >= NVMF_CONN_CLOSING)
		return;
	if (how == NVMF_CLOSE_DRAIN && conn->state == NVMF_CONN_LIVE) {
		conn->draining = true;
		if (conn->qid == 0)
			nvmf_event_abort_all(conn->ctrlr);
		nvmf_conn_check_end(conn);
		return;
	}
	conn->state = NVMF_CONN_CLOSING;
	reactor_timer_stop(&conn->timer);
	nvmf_auth_stop(conn);
	if (conn->ctrlr && conn->qid == 0)
		nvmf_ctrlr_stop(conn->ctrlr);
	if (how == NVMF_CLOSE_ABORT)
		net_stream_abort(conn->stream, stream_released);
	else
		net_stream_close(conn->stream, stream_released);
}

/* --- closing from reactor 0 ------------------------------------------------------------------ */

static void told_close(struct reactor_msg *msg)
{
	struct nvmf_conn *conn = container_of(msg, struct nvmf_conn, mgr.msg);

	nvmf_conn_close(conn, conn->mgr.how);
}

static void told_abort(struct reactor_msg *msg)
{
	nvmf_conn_close(container_of(msg, struct nvmf_conn, mgr.abort_msg), NVMF_CLOSE_ABORT);
}

/* @how is written once, before the message: its reactor may read it then. */
static void tell(struct nvmf_conn *conn, enum nvmf_close_how how)
{
	if (how == NVMF_CLOSE_ABORT) {
		if (conn->mgr.told_abort)
			return;
		conn->mgr.told_abort = true;
		conn->mgr.abort_msg.fn = told_abort;
		reactor_send(conn->reactor, &conn->mgr.abort_msg);
	} else if (!conn->mgr.told) {
		conn->mgr.told = true;
		conn->mgr.how = (uint8_t)how;
		conn->mgr.msg.fn = told_close;
		reactor_send(conn->reactor, &conn->mgr.msg);
	}
}

bool nvmf_match_all(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	(void)wait;
	(void)conn;
	return true;
}

void nvmf_conns_tell(struct nvmf_target *tgt, enum nvmf_close_how how,
		     const struct nvmf_close_wait *which)
{
	struct nvmf_conn *conn;

	TAILQ_FOREACH (conn, &tgt->conns, mgr.link) {
		if (which->match(which, conn))
			tell(conn, how);
	}
}

static void wait_over(struct reactor_msg *msg)
{
	struct nvmf_close_wait *wait = container_of(msg, struct nvmf_close_wait, msg);

	wait->done(wait);
}

static bool any_matches(const struct nvmf_target *tgt, const struct nvmf_close_wait *wait)
{
	struct nvmf_conn *conn;

	TAILQ_FOREACH (conn, &tgt->conns, mgr.link) {
		if (wait->match(wait, conn))
			return true;
	}
	return false;
}

void nvmf_close_waits_check(struct nvmf_target *tgt)
{
	struct nvmf_close_wait *wait = TAILQ_FIRST(&tgt->close_waits);

	while (wait) {
		struct nvmf_close_wait *next = TAILQ_NEXT(wait, link);

		if (!any_matches(tgt, wait)) {
			TAILQ_REMOVE(&tgt->close_waits, wait, link);
			wait->msg.fn = wait_over;
			reactor_send(reactor_self(), &wait->msg);
		}
		wait = next;
	}
}

void nvmf_conns_close(struct nvmf_target *tgt, enum nvmf_close_how how,
		      struct nvmf_close_wait *wait)
{
	nvmf_conns_tell(tgt, how, wait);
	TAILQ_INSERT_TAIL(&tgt->close_waits, wait, link);
	nvmf_close_waits_check(tgt);
}

void nvmf_conn_forget(struct nvmf_conn *conn)
{
	struct nvmf_target *tgt = conn->tgt;

	TAILQ_REMOVE(&tgt->conns, conn, mgr.link);
	tgt->conn_count--;
	tgt->conns_on[conn->group->index]--;
	nvmf_socket_unref(conn->mgr.socket);
	if (conn->mgr.ctrlr)
		nvmf_ctrlr_forget(conn->mgr.ctrlr, conn);
	nvmf_close_waits_check(tgt);
}

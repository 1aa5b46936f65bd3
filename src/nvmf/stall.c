/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that stop in the middle of data: what they make the target hold (buffers of the reactor's
 * pools) others wait for, so a connection that sends nothing of it for NVMF_STALL_MS is closed.
 *
 * Threading: the connection's reactor. One timer a connection, started at most once in that time.
 */
#include "base/clock.h"
#include "base/container_of.h"
#include "nvmf/conn.h"

static bool waits_for_host(const struct nvmf_conn *conn)
{
	if (conn->rx.req && !conn->rx.drop && !conn->rx.blocked)
		return true;
	for (uint32_t i = 0; i < conn->chunk_count * NVMF_REQ_CHUNK; i++) {
		if (nvmf_req_at(conn, i)->state == NVMF_REQ_H2C_DATA)
			return true;
	}
	return false;
}

static void look(struct reactor_timer *timer)
{
	struct nvmf_conn *conn = container_of(timer, struct nvmf_conn, timer);
	char name[NET_ADDR_TEXT];

	if (!waits_for_host(conn))
		return;
	if (conn->data_pdus != conn->data_pdus_seen) {
		nvmf_stall_watch(conn);
		return;
	}
	log_warning("nvmf: %s: queue %u sent nothing of the data it owes for %u ms, connection "
		    "closed",
		    nvmf_conn_name(conn, name, sizeof(name)), conn->qid, NVMF_STALL_MS);
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

void nvmf_stall_watch(struct nvmf_conn *conn)
{
	/* Until the Connect is done its own timer runs. */
	if (conn->state != NVMF_CONN_LIVE || reactor_timer_is_started(&conn->timer))
		return;
	conn->data_pdus_seen = conn->data_pdus;
	conn->timer.fn = look;
	reactor_timer_start(&conn->timer, NVMF_STALL_MS * NS_PER_MSEC);
}

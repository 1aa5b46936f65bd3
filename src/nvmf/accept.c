/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets, shared by the subsystems that listen on an address, and what they accept: each
 * connection goes to the reactor with the fewest, or is refused with a reason.
 *
 * Threading: reactor 0.
 */
#include "nvmf/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "nvmf/ctrlr.h"
#include "nvmf/psk.h"
#include "nvmf/tcp.h"

/* Descriptors that stay for files, devices and RPC clients. */
#define FDS_RESERVED 64u
#define FIRST_DEPTH  2u

/* --- sockets ---------------------------------------------------------------------------------- */

static void socket_free_unused(struct nvmf_socket *socket)
{
	if (socket->listeners > 0 || socket->users > 0 || socket->listener)
		return;
	TAILQ_REMOVE(&socket->tgt->sockets, socket, link);
	free(socket);
}

static void socket_released(void *user)
{
	nvmf_socket_unref(user);
}

static void socket_close(struct nvmf_socket *socket)
{
	struct net_listener *listener = socket->listener;

	if (!listener)
		return;
	socket->listener = NULL;
	nvmf_socket_ref(socket);
	net_listener_close(listener, socket_released);
}

void nvmf_socket_ref(struct nvmf_socket *socket)
{
	socket->users++;
}

void nvmf_socket_unref(struct nvmf_socket *socket)
{
	socket->users--;
	socket_free_unused(socket);
}

static struct nvmf_socket *socket_find(struct nvmf_target *tgt, const struct net_addr *addr)
{
	struct nvmf_socket *socket;

	TAILQ_FOREACH (socket, &tgt->sockets, link) {
		if (socket->listener && net_addr_equal(&socket->addr, addr))
			return socket;
	}
	return NULL;
}

/* A port that took both would leave it to an attacker which of them is spoken. */
static int wrong_kind(const struct nvmf_socket *socket, struct error *err)
{
	char name[NET_ADDR_TEXT];

	net_addr_text(&socket->addr, name, sizeof(name));
	return error_set(err, -EEXIST,
			 "%s is listened on %s TLS: secure_channel must be %s there; choose "
			 "another port",
			 name, socket->secure ? "with" : "without",
			 socket->secure ? "true" : "false");
}

int nvmf_socket_get(struct nvmf_target *tgt, const struct net_addr *addr, bool secure,
		    struct nvmf_socket **out, struct error *err)
{
	struct nvmf_socket *socket = socket_find(tgt, addr);
	int rc;

	if (socket && socket->secure != secure)
		return wrong_kind(socket, err);
	if (!socket) {
		socket = calloc(1, sizeof(*socket));
		if (!socket)
			return error_set(err, -ENOMEM, "no memory for a listening socket");
		socket->tgt = tgt;
		socket->addr = *addr;
		socket->secure = secure;
		socket->portid = tgt->next_portid++;
		rc = net_listen(addr, (int)tgt->tcp.acceptor_backlog, nvmf_accepted, socket,
				&socket->listener, err);
		if (rc) {
			free(socket);
			return rc;
		}
		TAILQ_INSERT_TAIL(&tgt->sockets, socket, link);
	}
	socket->listeners++;
	*out = socket;
	return 0;
}

void nvmf_socket_put(struct nvmf_socket *socket)
{
	if (--socket->listeners > 0)
		return;
	nvmf_socket_ref(socket);
	socket_close(socket);
	nvmf_socket_unref(socket);
}

void nvmf_sockets_close(struct nvmf_target *tgt)
{
	struct nvmf_socket *socket;

	TAILQ_FOREACH (socket, &tgt->sockets, link)
		socket_close(socket);
}

/* --- accepting -------------------------------------------------------------------------------- */

static uint32_t connections_allowed(const struct nvmf_target *tgt)
{
	struct rlimit fds;
	uint64_t by_fds = UINT32_MAX;

	if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur != RLIM_INFINITY)
		by_fds = fds.rlim_cur > FDS_RESERVED ? fds.rlim_cur - FDS_RESERVED : 0;
	return by_fds < tgt->tcp.max_connections ? (uint32_t)by_fds : tgt->tcp.max_connections;
}

/* One line a second at most: the log must not become the attack. */
static void refuse(struct nvmf_target *tgt, struct net_stream *stream, const char *why)
{
	struct net_addr peer;
	char name[NET_ADDR_TEXT];
	uint64_t now = reactor_now_ns();

	if (tgt->refusal_logged_ns == 0 || now - tgt->refusal_logged_ns >= NS_PER_SEC) {
		tgt->refusal_logged_ns = now;
		net_stream_peer_addr(stream, &peer);
		net_addr_text(&peer, name, sizeof(name));
		log_warning("nvmf: connection from %s refused: %s (%u connections now, %u "
			    "allowed)",
			    name, why, tgt->conn_count, connections_allowed(tgt));
	}
	net_stream_close(stream, NULL);
}

static unsigned int choose_reactor(struct nvmf_target *tgt)
{
	unsigned int count = reactor_count();
	unsigned int best = tgt->next_reactor % count;

	for (unsigned int i = 1; i < count; i++) {
		unsigned int at = (tgt->next_reactor + i) % count;

		if (tgt->conns_on[at] < tgt->conns_on[best])
			best = at;
	}
	tgt->next_reactor = best + 1;
	return best;
}

static struct nvmf_conn *conn_create(struct nvmf_socket *socket, struct net_stream *stream,
				     unsigned int on)
{
	struct nvmf_target *tgt = socket->tgt;
	struct nvmf_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	if (nvmf_conn_set_depth(conn, FIRST_DEPTH)) {
		nvmf_conn_free_reqs(conn);
		free(conn);
		return NULL;
	}
	conn->tgt = tgt;
	conn->stream = stream;
	conn->reactor = reactor_at(on);
	conn->group = &tgt->groups[on];
	conn->rules.from_host = true;
	conn->rules.alignment = 4; /* ICResp says CPDA 0 */
	conn->rules.max_plen = nvmf_tcp_max_plen(&tgt->tcp);
	conn->c2h_alignment = 4;
	conn->capsule_data_max = NVMF_ADMIN_CAPSULE_DATA;
	net_stream_local_addr(stream, &conn->local);
	net_stream_peer_addr(stream, &conn->peer);
	conn->mgr.socket = socket;
	return conn;
}

void nvmf_accepted(struct net_listener *listener, void *user, struct net_stream *stream)
{
	struct nvmf_socket *socket = user;
	struct nvmf_target *tgt = socket->tgt;
	struct nvmf_conn *conn;
	unsigned int on;

	(void)listener;
	if (tgt->conn_count >= connections_allowed(tgt)) {
		refuse(tgt, stream, "too many; raise max_connections or the limit of open files");
		return;
	}
	on = choose_reactor(tgt);
	conn = !socket->secure || net_stream_tls_accept(stream, nvmf_psk_find, tgt) == 0
		       ? conn_create(socket, stream, on)
		       : NULL;
	if (!conn) {
		refuse(tgt, stream, "no memory");
		return;
	}
	nvmf_socket_ref(socket);
	TAILQ_INSERT_TAIL(&tgt->conns, conn, mgr.link);
	tgt->conn_count++;
	tgt->conns_on[on]++;
	conn->life_msg.fn = nvmf_conn_start;
	reactor_send(conn->reactor, &conn->life_msg);
}

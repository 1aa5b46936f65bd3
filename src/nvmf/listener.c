/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses through which a subsystem can be reached.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/container_of.h"
#include "nvmf/ctrlr.h"

#define PORT_MAX 65535ul

struct nvmf_listener *nvmf_listener_of(const struct nvmf_subsystem *s,
				       const struct nvmf_socket *socket)
{
	struct nvmf_listener *listener;

	TAILQ_FOREACH (listener, &s->listeners, link) {
		if (listener->socket == socket)
			return listener;
	}
	return NULL;
}

bool nvmf_match_listener(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return nvmf_match_subsystem(wait, conn) && conn->mgr.socket == wait->socket;
}

/* --- checks ----------------------------------------------------------------------------------- */

static int check_port(const char *trsvcid, struct error *err)
{
	char *end;
	unsigned long port =
		trsvcid && trsvcid[0] >= '0' && trsvcid[0] <= '9' ? strtoul(trsvcid, &end, 10) : 0;

	if (port == 0 || port > PORT_MAX || *end)
		return error_set(err, -EINVAL, "trsvcid '%s' is no TCP port from 1 to %lu",
				 trsvcid ? trsvcid : "", PORT_MAX);
	return 0;
}

static const char *family_of(const struct net_addr *addr)
{
	return addr->ss.ss_family == AF_INET6 ? "IPv6" : "IPv4";
}

/* The address that was asked for, in the one form it is kept in. */
static int parse(const struct nvmf_listen_options *opts, struct net_addr *addr, struct error *err)
{
	int rc;

	if (!opts->trtype || strcasecmp(opts->trtype, "TCP") != 0)
		return error_set(err, -EINVAL, "trtype '%s' is not offered; 'TCP' is",
				 opts->trtype ? opts->trtype : "");
	if (!opts->traddr || strlen(opts->traddr) >= NVMF_TRADDR_MAX)
		return error_set(err, -EINVAL, "traddr is missing or too long");
	rc = check_port(opts->trsvcid, err);
	if (!rc)
		rc = net_addr_parse(addr, opts->traddr, opts->trsvcid, err);
	if (rc)
		return rc;
	if (opts->adrfam && strcasecmp(opts->adrfam, family_of(addr)) != 0)
		return error_set(err, -EINVAL, "traddr '%s' is of family %s, adrfam says '%s'",
				 opts->traddr, family_of(addr), opts->adrfam);
	return 0;
}

static int check_ana(const struct nvmf_subsystem *s, const struct nvmf_listen_options *opts,
		     struct error *err)
{
	static const char *const states[] = { "optimized", "non_optimized", "inaccessible" };

	if (!opts->ana_state)
		return 0;
	for (unsigned int i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(opts->ana_state, states[i]) == 0)
			return 0;
	}
	return error_set(err, -EINVAL,
			 "ana_state '%s' of a listener of %s: 'optimized', 'non_optimized' and "
			 "'inaccessible' are allowed",
			 opts->ana_state, s->nqn);
}

static struct nvmf_listener *find(const struct nvmf_subsystem *s, const struct net_addr *addr)
{
	struct nvmf_listener *listener;

	TAILQ_FOREACH (listener, &s->listeners, link) {
		if (net_addr_equal(&listener->socket->addr, addr))
			return listener;
	}
	return NULL;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void add_start(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;
	struct nvmf_listener *listener = op->listener;
	int rc;

	if (find(s, &op->addr)) {
		rc = error_set(&op->err, -EEXIST, "subsystem %s listens on %s port %s already",
			       s->nqn, listener->traddr, listener->trsvcid);
		free(listener);
		nvmf_op_finish(op, rc);
		return;
	}
	rc = nvmf_socket_get(s->tgt, &op->addr, listener->secure_channel, &listener->socket,
			     &op->err);
	if (rc) {
		/* An address in use may be free in a moment: who tries again tells in the end. */
		if (rc != -EADDRINUSE)
			log_warning("nvmf: listener of %s refused: %s", s->nqn, op->err.text);
		free(listener);
	} else {
		TAILQ_INSERT_HEAD(&s->listeners, listener, link);
		nvmf_discovery_changed(s->tgt);
	}
	nvmf_op_finish(op, rc);
}

static struct nvmf_listener *listener_create(const struct nvmf_listen_options *opts,
					     const struct net_addr *addr)
{
	struct nvmf_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	snprintf(listener->adrfam, sizeof(listener->adrfam), "%s", family_of(addr));
	net_addr_host(addr, listener->traddr, sizeof(listener->traddr));
	snprintf(listener->trsvcid, sizeof(listener->trsvcid), "%u", net_addr_port(addr));
	snprintf(listener->ana_state, sizeof(listener->ana_state), "%s",
		 opts->ana_state ? opts->ana_state : "optimized");
	listener->secure_channel = opts->secure_channel;
	return listener;
}

static int check_add(const struct nvmf_subsystem *s, const struct nvmf_listen_options *opts,
		     struct net_addr *addr, struct error *err)
{
	int rc = parse(opts, addr, err);

	if (!rc)
		rc = check_ana(s, opts, err);
	if (rc)
		return rc;
	if (opts->secure_channel && s->allow_any_host)
		return error_set(err, -EINVAL,
				 "secure_channel: subsystem %s allows any host, and TLS needs a "
				 "key of each: nvmf_subsystem_allow_any_host with false first",
				 s->nqn);
	if (!s->tgt->has_tcp)
		return error_set(err, -ENODEV,
				 "target %s has no TCP transport; make it by nvmf_create_transport",
				 s->tgt->name);
	if (s->deleting || s->tgt->draining)
		return error_set(err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	return 0;
}

void nvmf_subsystem_add_listener(struct nvmf_subsystem *s, const struct nvmf_listen_options *opts,
				 nvmf_done *done, void *arg)
{
	struct error err = ERROR_INIT;
	struct nvmf_op *op = NULL;
	struct net_addr addr;

	if (check_add(s, opts, &addr, &err) == 0) {
		op = nvmf_op_create(s, add_start, done, arg);
		if (op)
			op->listener = listener_create(opts, &addr);
		if (!op || !op->listener)
			error_set(&err, -ENOMEM, "no memory for a listener");
	}
	if (err.code) {
		log_warning("nvmf: listener of %s refused: %s", s->nqn, err.text);
		nvmf_op_free(op);
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	op->addr = addr;
	nvmf_op_submit(op);
}

/* --- removing --------------------------------------------------------------------------------- */

static void remove_closed(struct nvmf_close_wait *wait)
{
	struct nvmf_op *op = container_of(wait, struct nvmf_op, wait);

	nvmf_socket_put(op->listener->socket);
	free(op->listener);
	nvmf_op_finish(op, 0);
}

static void remove_start(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;
	char text[NET_ADDR_TEXT];

	op->listener = find(s, &op->addr);
	if (!op->listener) {
		net_addr_text(&op->addr, text, sizeof(text));
		nvmf_op_finish(op, error_set(&op->err, -ENOENT,
					     "subsystem %s does not listen on %s", s->nqn, text));
		return;
	}
	TAILQ_REMOVE(&s->listeners, op->listener, link);
	nvmf_discovery_changed(s->tgt);
	op->wait.match = nvmf_match_listener;
	op->wait.subject = s;
	op->wait.socket = op->listener->socket;
	op->wait.done = remove_closed;
	nvmf_conns_close(s->tgt, NVMF_CLOSE_NOW, &op->wait);
}

void nvmf_subsystem_remove_listener(struct nvmf_subsystem *s,
				    const struct nvmf_listen_options *opts, nvmf_done *done,
				    void *arg)
{
	struct error err = ERROR_INIT;
	struct nvmf_op *op = NULL;
	struct net_addr addr;

	if (s->deleting)
		error_set(&err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	else if (parse(opts, &addr, &err) == 0)
		op = nvmf_op_create(s, remove_start, done, arg);
	if (!op) {
		if (err.code == 0)
			error_set(&err, -ENOMEM, "no memory to remove a listener");
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	op->addr = addr;
	nvmf_op_submit(op);
}

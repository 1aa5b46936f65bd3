/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that may connect to a subsystem.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "nvmf/ctrlr.h"
#include "nvmf/psk.h"

struct nvmf_host *nvmf_host_find(const struct nvmf_subsystem *s, const char *nqn)
{
	struct nvmf_host *host;

	TAILQ_FOREACH (host, &s->hosts, link) {
		if (strcmp(host->nqn, nqn) == 0)
			return host;
	}
	return NULL;
}

bool nvmf_host_is_allowed(const struct nvmf_subsystem *s, const char *hostnqn)
{
	return s->allow_any_host || nvmf_host_find(s, hostnqn);
}

bool nvmf_match_host(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return nvmf_match_subsystem(wait, conn) &&
	       strcmp(conn->mgr.ctrlr->hostnqn, wait->hostnqn) == 0;
}

bool nvmf_match_not_allowed(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return nvmf_match_subsystem(wait, conn) &&
	       !nvmf_host_is_allowed(wait->subject, conn->mgr.ctrlr->hostnqn);
}

bool nvmf_host_proved(const struct nvmf_subsystem *s, const char *hostnqn, const char *identity)
{
	const struct nvmf_host *host = nvmf_host_find(s, hostnqn);

	return host && host->psk && identity && nvmf_psk_is(host->psk, identity);
}

void nvmf_host_free(struct nvmf_subsystem *s, struct nvmf_host *host)
{
	static const struct nvmf_dhchap_options none;

	nvmf_psk_remove(s->tgt, host->psk);
	nvmf_host_set_dhchap(host, &none, NULL);
	free(host->psk_name);
	free(host);
}

static int set_psk(struct nvmf_subsystem *s, struct nvmf_host *host,
		   const struct nvmf_host_options *opts, struct error *err)
{
	if (!opts->psk)
		return 0;
	host->psk_name = strdup(opts->psk_name);
	if (!host->psk_name)
		return error_set(err, -ENOMEM, "no memory for host %s", host->nqn);
	return nvmf_psk_add(s->tgt, host->nqn, s->nqn, opts->psk, &host->psk, err);
}

int nvmf_subsystem_add_host(struct nvmf_subsystem *s, const char *nqn,
			    const struct nvmf_host_options *opts, struct error *err)
{
	struct nvmf_host *host;
	int rc = nvmf_nqn_check(nqn, err);

	if (rc)
		return rc;
	if (s->deleting)
		return error_set(err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	if (nvmf_host_find(s, nqn))
		return error_set(err, -EEXIST, "host %s is allowed on subsystem %s already", nqn,
				 s->nqn);
	host = calloc(1, sizeof(*host));
	if (!host)
		return error_set(err, -ENOMEM, "no memory for host %s", nqn);
	strcpy(host->nqn, nqn);
	rc = set_psk(s, host, opts, err);
	if (rc == 0)
		rc = nvmf_host_set_dhchap(host, &opts->dhchap, err);
	if (rc) {
		nvmf_host_free(s, host);
		return rc;
	}
	TAILQ_INSERT_HEAD(&s->hosts, host, link);
	nvmf_discovery_changed(s->tgt);
	return 0;
}

static void remove_closed(struct nvmf_close_wait *wait)
{
	nvmf_op_finish(container_of(wait, struct nvmf_op, wait), 0);
}

static void remove_start(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;
	struct nvmf_host *host = nvmf_host_find(s, op->host);
	bool had_key;

	if (!host) {
		nvmf_op_finish(op, error_set(&op->err, -ENOENT,
					     "host %s is not in the list of subsystem %s", op->host,
					     s->nqn));
		return;
	}
	TAILQ_REMOVE(&s->hosts, host, link);
	had_key = host->psk || host->dhchap;
	nvmf_host_free(s, host);
	nvmf_discovery_changed(s->tgt);
	if (s->allow_any_host && !had_key) {
		nvmf_op_finish(op, 0);
		return;
	}
	op->wait.match = nvmf_match_host;
	op->wait.subject = s;
	op->wait.hostnqn = op->host;
	op->wait.done = remove_closed;
	nvmf_conns_close(s->tgt, NVMF_CLOSE_NOW, &op->wait);
}

void nvmf_subsystem_remove_host(struct nvmf_subsystem *s, const char *nqn, nvmf_done *done,
				void *arg)
{
	struct error err = ERROR_INIT;
	struct nvmf_op *op = NULL;

	if (s->deleting)
		error_set(&err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	else if (nvmf_nqn_check(nqn, &err) == 0)
		op = nvmf_op_create(s, remove_start, done, arg);
	if (!op) {
		if (err.code == 0)
			error_set(&err, -ENOMEM, "no memory to remove host %s", nqn);
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	strcpy(op->host, nqn);
	nvmf_op_submit(op);
}

void nvmf_subsystem_allow_any_host(struct nvmf_subsystem *s, bool allow)
{
	struct nvmf_close_wait which = { .match = nvmf_match_not_allowed, .subject = s };

	/* The discovery subsystem is for all. */
	if (s->is_discovery || s->allow_any_host == allow)
		return;
	s->allow_any_host = allow;
	if (!allow)
		nvmf_conns_tell(s->tgt, NVMF_CLOSE_NOW, &which);
	nvmf_discovery_changed(s->tgt);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subsystems: making, finding, deleting.
 *
 * Threading: reactor 0.
 */
#include "nvmf/subsystem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "nvmf/ctrlr.h"

#define DMRSL_PER_KIB 2u /* blocks of 512 bytes */
#define WZSL_UNIT_KIB 4u

/* --- options ---------------------------------------------------------------------------------- */

void nvmf_subsystem_options_init(struct nvmf_subsystem_options *opts)
{
	*opts = (struct nvmf_subsystem_options){
		.max_namespaces = NVMF_DEFAULT_NAMESPACES,
		.min_cntlid = NVMF_MIN_CNTLID,
		.max_cntlid = NVMF_MAX_CNTLID,
	};
}

static int check_text(const char *what, const char *text, size_t max, struct error *err)
{
	if (!text)
		return 0;
	if (strlen(text) > max)
		return error_set(err, -EINVAL,
				 "%s '%s' has %zu characters; at most %zu are allowed", what, text,
				 strlen(text), max);
	for (const char *c = text; *c; c++) {
		if (*c < ' ' || *c > '~')
			return error_set(err, -EINVAL,
					 "%s has the byte 0x%02x; printable ASCII is allowed", what,
					 (unsigned char)*c);
	}
	return 0;
}

int nvmf_subsystem_check_new(const char *nqn, const struct nvmf_subsystem_options *opts,
			     struct error *err)
{
	int rc = nvmf_nqn_check(nqn, err);

	if (!rc)
		rc = check_text("serial number", opts->serial, NVME_SERIAL_BYTES, err);
	if (!rc)
		rc = check_text("model number", opts->model, NVME_MODEL_BYTES, err);
	if (rc)
		return rc;
	if (opts->min_cntlid < NVMF_MIN_CNTLID || opts->max_cntlid > NVMF_MAX_CNTLID ||
	    opts->min_cntlid > opts->max_cntlid)
		return error_set(err, -EINVAL,
				 "Invalid cntlid range [%u-%u]: controller ids lie in %u to %u",
				 opts->min_cntlid, opts->max_cntlid, NVMF_MIN_CNTLID,
				 NVMF_MAX_CNTLID);
	if (opts->max_namespaces > NVMF_MAX_NAMESPACES)
		return error_set(err, -EINVAL, "max_namespaces is %u; at most %u are possible",
				 opts->max_namespaces, NVMF_MAX_NAMESPACES);
	return 0;
}

/* The largest power of two of 4 KiB that does not exceed what was asked for. */
static uint8_t wzsl_of(uint64_t kib)
{
	uint8_t shift = 0;

	if (kib == 0)
		return NVMF_DEFAULT_WZSL;
	while (shift < 31 && (uint64_t)WZSL_UNIT_KIB << (shift + 1) <= kib)
		shift++;
	return shift;
}

static uint32_t dmrsl_of(uint64_t kib)
{
	if (kib == 0)
		return NVMF_DEFAULT_DMRSL;
	return kib > UINT32_MAX / DMRSL_PER_KIB ? UINT32_MAX : (uint32_t)kib * DMRSL_PER_KIB;
}

/* --- making ----------------------------------------------------------------------------------- */

static void fill(struct nvmf_subsystem *s, struct nvmf_target *tgt, const char *nqn,
		 const struct nvmf_subsystem_options *opts)
{
	s->tgt = tgt;
	strcpy(s->nqn, nqn);
	strcpy(s->serial, opts->serial ? opts->serial : NVMF_DEFAULT_SERIAL);
	strcpy(s->model, opts->model ? opts->model : NVMF_DEFAULT_MODEL);
	s->max_namespaces = opts->max_namespaces ? opts->max_namespaces : NVMF_DEFAULT_NAMESPACES;
	s->dmrsl = opts->dmrsl ? opts->dmrsl : dmrsl_of(opts->max_discard_kib);
	s->wzsl = opts->wzsl ? opts->wzsl : wzsl_of(opts->max_write_zeroes_kib);
	s->allow_any_host = opts->allow_any_host;
	s->ana_reporting = opts->ana_reporting;
	s->min_cntlid = opts->min_cntlid;
	s->max_cntlid = opts->max_cntlid;
	s->next_cntlid = s->min_cntlid;
	for (unsigned int i = 0; i < 3; i++)
		s->crdt[i] = (uint16_t)tgt->opts.crdt[i];
	TAILQ_INIT(&s->hosts);
	TAILQ_INIT(&s->listeners);
	TAILQ_INIT(&s->ctrlrs);
	STAILQ_INIT(&s->ops);
}

static void insert_sorted(struct nvmf_target *tgt, struct nvmf_subsystem *s)
{
	struct nvmf_subsystem *at;

	tgt->subsystem_count++;
	TAILQ_FOREACH (at, &tgt->subsystems, link) {
		if (strcmp(at->nqn, s->nqn) > 0) {
			TAILQ_INSERT_BEFORE(at, s, link);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&tgt->subsystems, s, link);
}

int nvmf_subsystem_create(struct nvmf_target *tgt, const char *nqn,
			  const struct nvmf_subsystem_options *opts, struct nvmf_subsystem **out,
			  struct error *err)
{
	struct nvmf_subsystem *s;
	int rc = nvmf_subsystem_check_new(nqn, opts, err);

	if (rc)
		return rc;
	if (nvmf_subsystem_find(tgt, nqn))
		return error_set(err, -EEXIST, "subsystem %s exists already", nqn);
	if (tgt->subsystem_count >= tgt->opts.max_subsystems)
		return error_set(err, -ENOSPC, "target %s has %u subsystems, all that it may have",
				 tgt->name, tgt->subsystem_count);
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, -ENOMEM, "no memory for subsystem %s", nqn);
	s->parts = aligned_alloc(64, reactor_count() * sizeof(*s->parts));
	if (!s->parts) {
		free(s);
		return error_set(err, -ENOMEM, "no memory for subsystem %s", nqn);
	}
	memset(s->parts, 0, reactor_count() * sizeof(*s->parts));
	fill(s, tgt, nqn, opts);
	s->is_discovery = strcmp(nqn, NVME_DISCOVERY_NQN) == 0;
	if (s->is_discovery) {
		s->allow_any_host = true;
		tgt->discovery = s;
	}
	insert_sorted(tgt, s);
	if (out)
		*out = s;
	return 0;
}

/* --- finding ---------------------------------------------------------------------------------- */

struct nvmf_subsystem *nvmf_subsystem_find(const struct nvmf_target *tgt, const char *nqn)
{
	struct nvmf_subsystem *s;

	TAILQ_FOREACH (s, &tgt->subsystems, link) {
		if (strcmp(s->nqn, nqn) == 0)
			return s;
	}
	return NULL;
}

struct nvmf_subsystem *nvmf_subsystem_first(const struct nvmf_target *tgt)
{
	return TAILQ_FIRST(&tgt->subsystems);
}

struct nvmf_subsystem *nvmf_subsystem_next(const struct nvmf_subsystem *s)
{
	return TAILQ_NEXT(s, link);
}

const char *nvmf_subsystem_nqn(const struct nvmf_subsystem *s)
{
	return s->nqn;
}

bool nvmf_match_subsystem(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn)
{
	return conn->mgr.ctrlr && conn->mgr.ctrlr->subsystem == wait->subject;
}

/* --- deleting --------------------------------------------------------------------------------- */

static void free_lists(struct nvmf_subsystem *s)
{
	struct nvmf_listener *listener;
	struct nvmf_host *host;

	while ((host = TAILQ_FIRST(&s->hosts))) {
		TAILQ_REMOVE(&s->hosts, host, link);
		nvmf_host_free(s, host);
	}
	while ((listener = TAILQ_FIRST(&s->listeners))) {
		TAILQ_REMOVE(&s->listeners, listener, link);
		nvmf_socket_put(listener->socket);
		free(listener);
	}
	for (uint32_t i = 0; i < s->ns_slots; i++) {
		struct nvmf_ns *ns = s->ns[i];

		if (ns)
			nvmf_ns_free(ns);
	}
}

static void delete_finish(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);
	struct nvmf_subsystem *s = op->s;
	struct nvmf_target *tgt = s->tgt;

	free_lists(s);
	TAILQ_REMOVE(&tgt->subsystems, s, link);
	tgt->subsystem_count--;
	if (tgt->discovery == s)
		tgt->discovery = NULL;
	nvmf_discovery_changed(tgt);
	nvmf_op_finish(op, 0);
	free(s->ns);
	free(s->parts);
	free(s);
}

static void detach_here(struct nvmf_tell_part *part)
{
	struct nvmf_subsystem *s = part->tell->arg;

	nvmf_ns_detach_all(&s->parts[part->on]);
	nvmf_tell_answer(part, 0);
}

static void delete_closed(struct nvmf_close_wait *wait)
{
	struct nvmf_op *op = container_of(wait, struct nvmf_op, wait);

	nvmf_tell_start(&op->tell, detach_here, delete_finish, op->s);
}

static void delete_start(struct nvmf_op *op)
{
	op->wait.match = nvmf_match_subsystem;
	op->wait.subject = op->s;
	op->wait.done = delete_closed;
	nvmf_conns_close(op->s->tgt, NVMF_CLOSE_NOW, &op->wait);
}

void nvmf_subsystem_delete(struct nvmf_subsystem *s, nvmf_done *done, void *arg)
{
	struct nvmf_op *op;
	struct error err = ERROR_INIT;

	if (s->deleting) {
		error_set(&err, -ENODEV, "subsystem %s is being deleted already", s->nqn);
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	op = nvmf_op_create(s, delete_start, done, arg);
	if (!op) {
		error_set(&err, -ENOMEM, "no memory to delete subsystem %s", s->nqn);
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	s->deleting = true;
	nvmf_op_submit(op);
}

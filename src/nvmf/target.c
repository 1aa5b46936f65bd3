/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: making, finding, taking away.
 *
 * Threading: reactor 0. The groups are made here and first touched on their reactors by the message
 * that brings the first connection.
 */
#include "nvmf/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "nvme/dhchap.h"
#include "nvmf/ctrlr.h"

LOG_FLAG_DEFINE(nvmf);

#define DEFAULT_SUBSYSTEMS 1024u
#define MAX_SUBSYSTEMS	   65536u

static TAILQ_HEAD(, nvmf_target) targets = TAILQ_HEAD_INITIALIZER(targets);

/* --- finding ---------------------------------------------------------------------------------- */

struct nvmf_target *nvmf_target_find(const char *name)
{
	struct nvmf_target *tgt;

	TAILQ_FOREACH (tgt, &targets, link) {
		if (strcmp(tgt->name, name ? name : NVMF_DEFAULT_TARGET) == 0)
			return tgt;
	}
	return NULL;
}

struct nvmf_target *nvmf_target_first(void)
{
	return TAILQ_FIRST(&targets);
}

struct nvmf_target *nvmf_target_next(const struct nvmf_target *tgt)
{
	return TAILQ_NEXT(tgt, link);
}

const char *nvmf_target_name(const struct nvmf_target *tgt)
{
	return tgt->name;
}

struct nvmf_target_options *nvmf_target_options(struct nvmf_target *tgt)
{
	return &tgt->opts;
}

struct nvmf_group *nvmf_group_here(struct nvmf_target *tgt)
{
	return &tgt->groups[reactor_index(reactor_self())];
}

/* --- making ----------------------------------------------------------------------------------- */

static void target_free(struct nvmf_target *tgt)
{
	struct nvmf_referral *r;

	while ((r = TAILQ_FIRST(&tgt->referrals))) {
		TAILQ_REMOVE(&tgt->referrals, r, link);
		free(r);
	}
	pthread_mutex_destroy(&tgt->psk_lock);
	free(tgt->notice);
	free(tgt->groups);
	free(tgt->conns_on);
	free(tgt->name);
	free(tgt);
}

static struct nvmf_target *target_alloc(const char *name)
{
	struct nvmf_target *tgt = calloc(1, sizeof(*tgt));
	unsigned int count = reactor_count();

	if (!tgt)
		return NULL;
	TAILQ_INIT(&tgt->subsystems);
	TAILQ_INIT(&tgt->sockets);
	TAILQ_INIT(&tgt->referrals);
	TAILQ_INIT(&tgt->conns);
	TAILQ_INIT(&tgt->close_waits);
	LIST_INIT(&tgt->psks);
	pthread_mutex_init(&tgt->psk_lock, NULL);
	tgt->name = strdup(name);
	tgt->conns_on = calloc(count, sizeof(*tgt->conns_on));
	tgt->groups = aligned_alloc(64, count * sizeof(*tgt->groups));
	tgt->notice = calloc(1, nvmf_tell_bytes());
	if (!tgt->name || !tgt->conns_on || !tgt->groups || !tgt->notice) {
		target_free(tgt);
		return NULL;
	}
	memset(tgt->groups, 0, count * sizeof(*tgt->groups));
	for (unsigned int i = 0; i < count; i++) {
		tgt->groups[i].tgt = tgt;
		tgt->groups[i].index = i;
		LIST_INIT(&tgt->groups[i].conns);
		STAILQ_INIT(&tgt->groups[i].collectors);
	}
	return tgt;
}

void nvmf_target_options_init(struct nvmf_target_options *opts)
{
	*opts = (struct nvmf_target_options){
		.dhchap_hashes = NVME_DHCHAP_HASHES,
		.dhchap_groups = NVME_DHCHAP_GROUPS,
	};
}

int nvmf_target_create(const char *name, const struct nvmf_target_options *opts,
		       struct nvmf_target **out, struct error *err)
{
	struct nvmf_subsystem_options discovery;
	struct nvmf_target *tgt;
	int rc;

	if (nvmf_target_find(name))
		return error_set(err, -EEXIST, "target %s exists already", name);
	if (opts && opts->max_subsystems > MAX_SUBSYSTEMS)
		return error_set(err, -EINVAL, "max_subsystems is %u; at most %u are possible",
				 opts->max_subsystems, MAX_SUBSYSTEMS);
	tgt = target_alloc(name);
	if (!tgt)
		return error_set(err, -ENOMEM, "no memory for target %s", name);
	nvmf_target_options_init(&tgt->opts);
	if (opts)
		tgt->opts = *opts;
	if (tgt->opts.max_subsystems == 0)
		tgt->opts.max_subsystems = DEFAULT_SUBSYSTEMS;
	nvmf_transport_options_init(&tgt->tcp);
	nvmf_subsystem_options_init(&discovery);
	rc = nvmf_subsystem_create(tgt, NVME_DISCOVERY_NQN, &discovery, NULL, err);
	if (rc) {
		target_free(tgt);
		return rc;
	}
	TAILQ_INSERT_TAIL(&targets, tgt, link);
	if (out)
		*out = tgt;
	return 0;
}

/* --- taking away ------------------------------------------------------------------------------ */

/**
 * struct nvmf_destroy - a target that goes: sockets, connections, subsystems one by one, the last
 * notice, sockets that the kernel still has
 */
struct nvmf_destroy {
	struct nvmf_target *tgt;
	nvmf_done *done;
	void *arg;
	struct nvmf_close_wait wait;
	struct reactor_timer timer;
};

static void destroy_over(struct nvmf_destroy *d)
{
	struct error err = ERROR_INIT;
	struct nvmf_target *tgt = d->tgt;

	TAILQ_REMOVE(&targets, tgt, link);
	target_free(tgt);
	if (d->done)
		d->done(d->arg, 0, &err);
	free(d);
}

/* Rarely more than a turn: listeners and the notice to discovery controllers end by themselves. */
static void destroy_look(struct reactor_timer *timer)
{
	struct nvmf_destroy *d = container_of(timer, struct nvmf_destroy, timer);

	if (d->tgt->notice_running || !TAILQ_EMPTY(&d->tgt->sockets) || d->tgt->draining_now)
		reactor_timer_start(&d->timer, 1000000);
	else
		destroy_over(d);
}

static void destroy_next(void *arg, int result, const struct error *err);

static void destroy_subsystems(struct nvmf_destroy *d)
{
	struct nvmf_subsystem *s = TAILQ_FIRST(&d->tgt->subsystems);

	if (s) {
		nvmf_subsystem_delete(s, destroy_next, d);
		return;
	}
	d->timer.fn = destroy_look;
	reactor_timer_start(&d->timer, 0);
}

static void destroy_retry(struct reactor_timer *timer)
{
	destroy_subsystems(container_of(timer, struct nvmf_destroy, timer));
}

/* One that somebody else is deleting is waited for. */
static void destroy_next(void *arg, int result, const struct error *err)
{
	struct nvmf_destroy *d = arg;

	(void)err;
	if (result == 0) {
		destroy_subsystems(d);
		return;
	}
	d->timer.fn = destroy_retry;
	reactor_timer_start(&d->timer, 1000000);
}

static void destroy_closed(struct nvmf_close_wait *wait)
{
	destroy_subsystems(container_of(wait, struct nvmf_destroy, wait));
}

void nvmf_target_destroy(struct nvmf_target *tgt, nvmf_done *done, void *arg)
{
	struct nvmf_destroy *d = tgt->destroying ? NULL : calloc(1, sizeof(*d));
	struct error err = ERROR_INIT;

	if (!d) {
		error_set(&err, tgt->destroying ? -EALREADY : -ENOMEM,
			  "target %s cannot be taken away: %s", tgt->name,
			  tgt->destroying ? "that is under way" : "no memory");
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	tgt->destroying = true;
	tgt->draining = true;
	d->tgt = tgt;
	d->done = done;
	d->arg = arg;
	d->wait.match = nvmf_match_all;
	d->wait.done = destroy_closed;
	nvmf_sockets_close(tgt);
	nvmf_conns_close(tgt, NVMF_CLOSE_NOW, &d->wait);
}

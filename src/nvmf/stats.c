/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_get_stats: counters of each reactor's group.
 *
 * Threading: reactor 0; each reactor copies its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "nvmf/target.h"

struct gather {
	struct nvmf_target *tgt;
	nvmf_json_done *done;
	void *arg;
	struct nvmf_group_stats *stats; /* of each reactor */
	struct nvmf_tell tell;
};

static void copy_here(struct nvmf_tell_part *part)
{
	struct gather *g = container_of(part->tell, struct gather, tell);

	g->stats[part->on] = g->tgt->groups[part->on].stats;
	nvmf_tell_answer(part, 0);
}

static json_t *group_json(const struct nvmf_target *tgt, unsigned int index,
			  const struct nvmf_group_stats *s)
{
	json_t *transports = json_array();
	char name[32];

	if (tgt->has_tcp)
		json_array_append_new(transports, json_pack("{s:s}", "trtype", "TCP"));
	snprintf(name, sizeof(name), "nvmf_tgt_poll_group_%03u", index);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", name,
			 "admin_qpairs", (json_int_t)s->admin_qpairs, "io_qpairs",
			 (json_int_t)s->io_qpairs, "current_admin_qpairs",
			 (json_int_t)s->current_admin_qpairs, "current_io_qpairs",
			 (json_int_t)s->current_io_qpairs, "current_unassociated_qpairs",
			 (json_int_t)s->current_unassociated_qpairs, "pending_bdev_io",
			 (json_int_t)s->pending_bdev_io, "completed_nvme_io",
			 (json_int_t)s->completed_nvme_io, "transports", transports);
}

static json_t *to_json(const struct gather *g)
{
	json_t *groups = json_array();

	for (unsigned int i = 0; i < reactor_count(); i++)
		json_array_append_new(groups, group_json(g->tgt, i, &g->stats[i]));
	return json_pack("{s:I, s:o}", "tick_rate", (json_int_t)clock_ticks_hz(), "poll_groups",
			 groups);
}

static void copied(struct nvmf_tell *tell)
{
	struct gather *g = container_of(tell, struct gather, tell);
	json_t *json = to_json(g);

	g->done(g->arg, json);
	free(g->stats);
	free(g);
}

void nvmf_stats_get(struct nvmf_target *tgt, nvmf_json_done *done, void *arg)
{
	struct gather *g = calloc(1, offsetof(struct gather, tell) + nvmf_tell_bytes());
	struct nvmf_group_stats *stats = calloc(reactor_count(), sizeof(*stats));

	if (!g || !stats) {
		free(g);
		free(stats);
		done(arg, NULL);
		return;
	}
	g->tgt = tgt;
	g->done = done;
	g->arg = arg;
	g->stats = stats;
	nvmf_tell_start(&g->tell, copy_here, copied, NULL);
}

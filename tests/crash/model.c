/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store must hold after a cut.
 *
 * Threading: see model.h.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "blob/format.h"
#include "kit.h"

/* Arrays that grow: room is the next power of two. */
static void *grow(void *array, uint32_t count, size_t each)
{
	if ((count & (count - 1)) != 0)
		return array;
	return kit_realloc(array, (count == 0 ? 1 : (size_t)count * 2) * each);
}

struct model *model_create(uint32_t blocks_per_cluster, uint64_t clusters)
{
	struct model *m = kit_alloc(sizeof(*m));

	m->blocks_per_cluster = blocks_per_cluster;
	m->states = grow(NULL, 0, sizeof(*m->states));
	m->states[m->state_count++] = kit_alloc(sizeof(struct state));
	m->states[0]->by = "nothing";
	m->states[0]->clusters = clusters;
	m->states[0]->super = BLOB_ID_NONE;
	return m;
}

static void content_free(struct content *c)
{
	for (uint64_t i = 0; i < c->blocks; i++)
		free(c->block[i].at);
	free(c->block);
	free(c);
}

void model_destroy(struct model *m)
{
	for (uint32_t i = 0; i < m->state_count; i++)
		free(m->states[i]);
	for (uint32_t i = 0; i < m->change_count; i++)
		free(m->changes[i]);
	for (uint32_t i = 0; i < m->content_count; i++)
		content_free(m->contents[i]);
	free(m->states);
	free(m->changes);
	free(m->contents);
	free(m->flushes);
	free(m);
}

struct state *model_step(struct model *m, const char *by, uint32_t begin)
{
	struct state *st = kit_alloc(sizeof(*st));

	*st = *model_now(m);
	st->by = by;
	st->anew = false;
	st->begin = begin;
	st->end = NEVER;
	m->states = grow(m->states, m->state_count, sizeof(*m->states));
	m->states[m->state_count++] = st;
	return st;
}

/* --- content ---------------------------------------------------------------------------------- */

struct content *model_content(struct model *m, uint64_t blocks)
{
	struct content *c = kit_alloc(sizeof(*c));

	c->blocks = blocks;
	c->block = kit_alloc(blocks * sizeof(*c->block));
	m->contents = grow(m->contents, m->content_count, sizeof(*m->contents));
	m->contents[m->content_count++] = c;
	return c;
}

static void past_add(struct past *p, uint32_t change, bool soft)
{
	p->at = grow(p->at, p->count, sizeof(*p->at));
	p->at[p->count++] = (struct past_entry){ change, soft };
}

struct content *model_content_copy(struct model *m, const struct content *from, uint64_t blocks,
				   bool snapshot)
{
	struct content *c = model_content(m, blocks);

	for (uint64_t i = 0; i < blocks && i < from->blocks; i++) {
		for (uint32_t j = 0; j < from->block[i].count; j++) {
			const struct past_entry *e = &from->block[i].at[j];
			bool late = snapshot && m->changes[e->change]->end == NEVER;

			past_add(&c->block[i], e->change, e->soft || late);
		}
	}
	return c;
}

struct change *model_change(struct model *m, struct content *c, uint64_t block, uint64_t blocks,
			    uint32_t value, bool soft, uint32_t begin)
{
	struct change *ch = kit_alloc(sizeof(*ch));

	*ch = (struct change){ .value = value, .begin = begin, .end = NEVER, .durable = NEVER };
	for (uint64_t i = block; i < block + blocks; i++)
		past_add(&c->block[i], m->change_count, soft);
	m->changes = grow(m->changes, m->change_count, sizeof(*m->changes));
	m->changes[m->change_count++] = ch;
	return ch;
}

void model_flush(struct model *m, uint32_t begin, uint32_t end)
{
	m->flushes = grow(m->flushes, m->flush_count, sizeof(*m->flushes));
	m->flushes[m->flush_count++] = (struct flush){ begin, end };
}

void model_finish(struct model *m)
{
	for (uint32_t i = 0; i < m->change_count; i++) {
		struct change *ch = m->changes[i];

		if (ch->fua)
			ch->durable = ch->end;
		for (uint32_t j = 0; j < m->flush_count; j++) {
			if (ch->end < m->flushes[j].begin && m->flushes[j].end < ch->durable)
				ch->durable = m->flushes[j].end;
		}
	}
}

/* --- judging ---------------------------------------------------------------------------------- */

void model_at(const struct model *m, uint32_t at, const struct state *states[2])
{
	uint32_t i = m->state_count - 1;

	while (i > 0 && m->states[i]->begin >= at)
		i--;
	states[0] = states[1] = m->states[i];
	if (i > 0 && m->states[i]->end >= at)
		states[0] = m->states[i - 1];
}

/* What is durable and began behind its end has taken its place. */
static bool is_settled(const struct model *m, const struct past *p, uint32_t at, uint32_t end)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct change *ch = m->changes[p->at[i].change];

		if (!p->at[i].soft && ch->durable < at && ch->begin > end)
			return true;
	}
	return false;
}

bool model_allows(const struct model *m, const struct past *p, uint32_t at, uint32_t value)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct change *ch = m->changes[p->at[i].change];

		if (ch->value == value && ch->begin < at && !is_settled(m, p, at, ch->end))
			return true;
	}
	/* Before all of them the block was zeroes, at a time before every event. */
	if (value != 0)
		return false;
	for (uint32_t i = 0; i < p->count; i++) {
		if (!p->at[i].soft && m->changes[p->at[i].change]->durable < at)
			return false;
	}
	return true;
}

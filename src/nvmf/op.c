/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a subsystem, carried out one after the other.
 *
 * Threading: reactor 0.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/container_of.h"
#include "nvmf/subsystem.h"

struct nvmf_op *nvmf_op_create(struct nvmf_subsystem *s, void (*start)(struct nvmf_op *op),
			       nvmf_done *done, void *arg)
{
	struct nvmf_op *op = calloc(1, offsetof(struct nvmf_op, tell) + nvmf_tell_bytes());

	if (!op)
		return NULL;
	op->s = s;
	op->start = start;
	op->done = done;
	op->arg = arg;
	return op;
}

void nvmf_op_free(struct nvmf_op *op)
{
	if (!op)
		return;
	free(op->hosts);
	free(op);
}

static void start_first(struct reactor_msg *msg)
{
	struct nvmf_subsystem *s = container_of(msg, struct nvmf_subsystem, ops_msg);
	struct nvmf_op *op = STAILQ_FIRST(&s->ops);

	op->start(op);
}

static void start_later(struct nvmf_subsystem *s)
{
	s->ops_msg.fn = start_first;
	reactor_send(reactor_self(), &s->ops_msg);
}

void nvmf_op_submit(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;
	bool first = STAILQ_EMPTY(&s->ops);

	STAILQ_INSERT_TAIL(&s->ops, op, link);
	if (first)
		start_later(s);
}

void nvmf_op_finish(struct nvmf_op *op, int result)
{
	struct nvmf_subsystem *s = op->s;

	assert(STAILQ_FIRST(&s->ops) == op);
	STAILQ_REMOVE_HEAD(&s->ops, link);
	if (!STAILQ_EMPTY(&s->ops))
		start_later(s);
	if (result && op->err.code == 0)
		error_set(&op->err, result, "subsystem %s: %s", s->nqn, error_errno_text(result));
	if (op->added)
		op->added(op->arg, result, op->nsid, &op->err);
	else if (op->done)
		op->done(op->arg, result, &op->err);
	nvmf_op_free(op);
}

/* --- refusals --------------------------------------------------------------------------------- */

struct answer {
	struct reactor_msg msg;
	nvmf_done *done;
	void *arg;
	int result;
	struct error err;
};

static void answer_now(struct reactor_msg *msg)
{
	struct answer *a = container_of(msg, struct answer, msg);

	a->done(a->arg, a->result, &a->err);
	free(a);
}

void nvmf_answer_later(nvmf_done *done, void *arg, int result, const struct error *err)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!done || !a) {
		free(a);
		/* Without memory for a message a wrong order is better than no answer. */
		if (done)
			done(arg, result, err);
		return;
	}
	a->msg.fn = answer_now;
	a->done = done;
	a->arg = arg;
	a->result = result;
	if (err)
		a->err = *err;
	reactor_send(reactor_self(), &a->msg);
}

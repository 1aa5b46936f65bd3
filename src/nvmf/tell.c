/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling all reactors: a message straight from reactor 0 to each, an answer from each. (A chain
 * from reactor to reactor could overtake what reactor 0 said to one of them before.)
 *
 * Threading: started on reactor 0.
 */
#include <assert.h>

#include "base/container_of.h"
#include "nvmf/target.h"

size_t nvmf_tell_bytes(void)
{
	return sizeof(struct nvmf_tell) + reactor_count() * sizeof(struct nvmf_tell_part);
}

static void told(struct reactor_msg *msg)
{
	struct nvmf_tell_part *part = container_of(msg, struct nvmf_tell_part, msg);

	part->tell->fn(part);
}

static void answered(struct reactor_msg *msg)
{
	struct nvmf_tell_part *part = container_of(msg, struct nvmf_tell_part, msg);
	struct nvmf_tell *tell = part->tell;

	if (part->result && !tell->result)
		tell->result = part->result;
	if (--tell->pending == 0)
		tell->done(tell);
}

void nvmf_tell_start(struct nvmf_tell *tell, void (*fn)(struct nvmf_tell_part *part),
		     void (*done)(struct nvmf_tell *tell), void *arg)
{
	assert(reactor_self() == reactor_at(0));
	tell->fn = fn;
	tell->done = done;
	tell->arg = arg;
	tell->result = 0;
	tell->pending = reactor_count();
	for (unsigned int i = 0; i < reactor_count(); i++) {
		struct nvmf_tell_part *part = &tell->parts[i];

		part->tell = tell;
		part->on = i;
		part->msg.fn = told;
		reactor_send(reactor_at(i), &part->msg);
	}
}

void nvmf_tell_answer(struct nvmf_tell_part *part, int result)
{
	part->result = result;
	part->msg.fn = answered;
	reactor_send(reactor_at(0), &part->msg);
}

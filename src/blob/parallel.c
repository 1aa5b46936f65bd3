/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same work in several fibers at a time.
 *
 * Threading: reactor 0, inside a fiber.
 */
#include <errno.h>

#include "blob/internal.h"

struct crew {
	void (*fn)(void *arg);
	void *arg;
	unsigned int left;
	struct fiber_event over;
};

static void member(void *arg)
{
	struct crew *crew = arg;

	crew->fn(crew->arg);
	if (--crew->left == 0)
		fiber_event_set(&crew->over, 0);
}

int blob_parallel(unsigned int count, void (*fn)(void *arg), void *arg)
{
	struct crew crew = { .fn = fn, .arg = arg, .over = FIBER_EVENT_INIT };

	while (crew.left < count && fiber_start(member, &crew) == 0)
		crew.left++;
	if (crew.left == 0)
		return -ENOMEM;
	return fiber_event_wait(&crew.over);
}

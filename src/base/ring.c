/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and giving back rings; putting and taking are inline in the header.
 *
 * Threading: before and after the two threads use the ring.
 */
#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"

int ring_init(struct ring *r, uint32_t size)
{
	void **slots;

	if (size < 2 || !is_power_of_two(size))
		return -EINVAL;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	*r = (struct ring){ .mask = size - 1, .slots = slots };
	return 0;
}

void ring_fini(struct ring *r)
{
	free(r->slots);
	r->slots = NULL;
}

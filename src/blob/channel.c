/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's channels: one a reactor, with the base device's and those of external snapshots.
 *
 * Threading: the calling reactor's own.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

int blob_channel_get(struct blob_store *store, struct blob_channel **out)
{
	struct blob_channel *ch = &store->channel[reactor_index(reactor_self())];
	int rc;

	if (ch->base == NULL) {
		rc = bdev_channel_get(store->desc, &ch->base);
		if (rc < 0)
			return rc;
	}
	blob_channel_hold(ch);
	*out = ch;
	return 0;
}

void blob_channel_hold(struct blob_channel *ch)
{
	atomic_fetch_add_explicit(&ch->refs, 1, memory_order_relaxed);
}

void blob_channel_put(struct blob_channel *ch)
{
	assert(ch == &ch->store->channel[reactor_index(reactor_self())]);
	if (atomic_load_explicit(&ch->refs, memory_order_relaxed) == 1) {
		assert(ch->in_flight[0] == 0 && ch->in_flight[1] == 0);
		for (uint32_t i = 0; i < ch->esnap_room; i++) {
			if (ch->esnap[i] != NULL)
				bdev_channel_put(ch->esnap[i]);
		}
		free(ch->esnap);
		ch->esnap = NULL;
		ch->esnap_room = 0;
		if (ch->base != NULL)
			bdev_channel_put(ch->base);
		ch->base = NULL;
	}
	/* Reactor 0 may free the store when it sees 0. */
	atomic_fetch_sub_explicit(&ch->refs, 1, memory_order_release);
}

static int make_room(struct blob_channel *ch, uint32_t slot)
{
	uint32_t room = slot + 1;
	struct bdev_channel **more = realloc(ch->esnap, room * sizeof(struct bdev_channel *));

	if (more == NULL)
		return -ENOMEM;
	memset(more + ch->esnap_room, 0, (room - ch->esnap_room) * sizeof(struct bdev_channel *));
	ch->esnap = more;
	ch->esnap_room = room;
	return 0;
}

int blob_channel_esnap(struct blob_channel *ch, struct blob_esnap *esnap, struct bdev_channel **out)
{
	struct bdev_desc *desc = __atomic_load_n(&esnap->desc, __ATOMIC_ACQUIRE);
	int rc = 0;

	if (desc == NULL)
		return -ENODEV;
	if (esnap->slot >= ch->esnap_room)
		rc = make_room(ch, esnap->slot);
	if (rc == 0 && ch->esnap[esnap->slot] == NULL)
		rc = bdev_channel_get(desc, &ch->esnap[esnap->slot]);
	if (rc == 0)
		*out = ch->esnap[esnap->slot];
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_*: what became of bdevs, the last NOTES of it.
 *
 * Threading: reactor 0.
 */
#include <stdlib.h>
#include <string.h>

#include "bdev/bdev.h"
#include "rpc/areas.h"

#define NOTES 1024u

/** struct note - @name: its own copy, NULL when memory was short */
struct note {
	enum bdev_change change;
	char *name;
};

static struct note notes[NOTES];
/* Of the next note; those before next_id - NOTES are forgotten. */
static uint64_t next_id;

static const char *const types[] = {
	[BDEV_CHANGE_ADDED] = "bdev_register",
	[BDEV_CHANGE_REMOVED] = "bdev_unregister",
	[BDEV_CHANGE_RESIZED] = "bdev_resize",
};

static void changed(struct bdev_watcher *watcher, struct bdev *bdev, enum bdev_change change)
{
	struct note *note = &notes[next_id++ % NOTES];

	(void)watcher;
	free(note->name);
	note->change = change;
	note->name = strdup(bdev_name(bdev));
}

static struct bdev_watcher watcher = { .changed = changed };

void rpc_notify_start(void)
{
	bdev_watch(&watcher);
}

void rpc_notify_fini(void)
{
	bdev_unwatch(&watcher);
	for (unsigned int i = 0; i < NOTES; i++)
		free(notes[i].name);
	memset(notes, 0, sizeof(notes));
	next_id = 0;
}

struct get_notifications {
	uint64_t id;
	uint64_t max;
};

static void get_notifications_defaults(void *params)
{
	((struct get_notifications *)params)->max = UINT64_MAX;
}

static const struct rpc_param get_notifications_params[] = {
	RPC_PARAM(struct get_notifications, id, RPC_UINT),
	RPC_PARAM(struct get_notifications, max, RPC_UINT),
	RPC_END,
};

static void get_notifications(struct rpc_request *req, void *params)
{
	const struct get_notifications *p = params;
	uint64_t oldest = next_id > NOTES ? next_id - NOTES : 0;
	uint64_t id = p->id > oldest ? p->id : oldest;
	json_t *array = json_array();

	for (uint64_t left = p->max; id < next_id && left > 0; id++, left--) {
		const struct note *note = &notes[id % NOTES];

		json_array_append_new(array, json_pack("{s:s,s:s,s:I}", "type", types[note->change],
						       "ctx", note->name ? note->name : "", "id",
						       (json_int_t)id));
	}
	rpc_reply(req, array);
}

static void get_types(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_pack("[s,s,s]", types[BDEV_CHANGE_ADDED], types[BDEV_CHANGE_REMOVED],
				 types[BDEV_CHANGE_RESIZED]));
}

static const struct rpc_method methods[] = {
	{ .name = "notify_get_types",
	  .aliases = { "get_notification_types" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_types },
	{ .name = "notify_get_notifications",
	  .aliases = { "get_notifications" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = get_notifications_params,
	  .defaults = get_notifications_defaults,
	  .size = sizeof(struct get_notifications),
	  .call = get_notifications },
};
RPC_AREA(notify, methods);

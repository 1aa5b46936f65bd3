/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores in memory: which there are, who works in them, and how they go.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lvol/internal.h"

LOG_FLAG_DEFINE(lvol)

#define AGAIN_NS (10 * NS_PER_MSEC)

struct lvol_names lvol_store_names;
static TAILQ_HEAD(lvol_store_list, lvol_store) stores = TAILQ_HEAD_INITIALIZER(stores);

/* --- which there are -------------------------------------------------------------------------- */

static struct lvol_store *next_ready(struct lvol_store *store)
{
	while (store != NULL && (!store->ready || store->leaving))
		store = TAILQ_NEXT(store, link);
	return store;
}

struct lvol_store *lvol_store_first(void)
{
	return next_ready(TAILQ_FIRST(&stores));
}

struct lvol_store *lvol_store_next(const struct lvol_store *store)
{
	return next_ready(TAILQ_NEXT(store, link));
}

struct lvol_store *lvol_store_find(const char *name)
{
	struct lvol_store *store = lvol_name_owner(&lvol_store_names, name);

	/* A name that a store is about to get is not its name yet. */
	if (store == NULL || !store->ready || store->leaving ||
	    strcmp(store->name->text, name) != 0)
		return NULL;
	return store;
}

struct lvol_store *lvol_store_find_uuid(const struct uuid *uuid)
{
	struct lvol_store *store = lvol_store_first();

	while (store != NULL && !uuid_equal(&store->uuid, uuid))
		store = lvol_store_next(store);
	return store;
}

const struct uuid *lvol_store_uuid(const struct lvol_store *store)
{
	return &store->uuid;
}

const char *lvol_store_name(const struct lvol_store *store)
{
	return store->name != NULL ? store->name->text : "";
}

uint32_t lvol_store_cluster_size(const struct lvol_store *store)
{
	struct blob_store_info info;

	blob_store_info_get(store->blobs, &info);
	return info.cluster_size;
}

/* --- coming ----------------------------------------------------------------------------------- */

static void follow_base(struct lvol_store *store);

static void base_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	struct lvol_store *store = user;

	(void)desc;
	if (event != BDEV_EVENT_REMOVE)
		return;
	store->lost = true;
	if (store->ready && !store->leaving)
		follow_base(store);
}

int lvol_store_new(const char *base, struct lvol_store **out, struct error *err)
{
	struct lvol_store *store = calloc(1, sizeof(*store));
	int rc;

	if (store == NULL)
		return error_set(err, -ENOMEM, "no memory for an lvol store");
	TAILQ_INIT(&store->lvols);
	rc = bdev_open(base, false, base_event, store, &store->base, err);
	if (rc == 0)
		rc = bdev_claim(store->base, &lvol_module, err);
	if (rc < 0) {
		if (store->base != NULL)
			bdev_close(store->base);
		free(store);
		return rc;
	}
	TAILQ_INSERT_TAIL(&stores, store, link);
	*out = store;
	return 0;
}

int lvol_store_name_set(struct lvol_store *store, const char *name, struct error *err)
{
	int rc = lvol_name_take(&lvol_store_names, name, store, &store->name);

	if (rc == -EEXIST)
		return error_set(err, rc,
				 "there is an lvol store \"%s\" already: rename one of them", name);
	return rc < 0 ? error_set(err, rc, "no memory for an lvol store") : 0;
}

static void space_low(struct blob_store *blobs, void *arg)
{
	const struct lvol_store *store = arg;
	struct blob_store_info info;
	bool thin = false;

	for (struct lvol *l = lvol_first(store); l != NULL && !thin; l = lvol_next(l)) {
		struct blob_info blob;

		blob_info_get(l->blob, &blob);
		thin = blob.thin;
	}
	/* Thick volumes have what they need. */
	if (!thin)
		return;
	blob_store_info_get(blobs, &info);
	log_warning("lvol store \"%s\": %" PRIu64 " of %" PRIu64
		    " clusters are free: writes to thin volumes will end with Capacity Exceeded "
		    "when there are none; grow the store or delete volumes",
		    store->name->text, info.free_clusters, info.data_clusters);
}

void lvol_store_appear(struct lvol_store *store)
{
	store->ready = true;
	blob_store_watch_space(store->blobs, LVOL_SPACE_WARNING_PERCENT, space_low, store);
	if (store->lost)
		follow_base(store);
}

void lvol_store_blob_options(struct lvol_store *store, struct blob_store_options *opts)
{
	blob_store_options_init(opts);
	memcpy(opts->bstype, LVOL_STORE_BSTYPE, sizeof(LVOL_STORE_BSTYPE));
	opts->read_only = bdev_of(store->base)->read_only;
	opts->esnap = lvol_esnap_ops(store);
}

int lvol_store_check_change(const struct lvol_store *store, struct error *err)
{
	const struct bdev *base = bdev_of(store->base);

	if (!base->read_only)
		return 0;
	return error_set(
		err, -EROFS,
		"lvol store \"%s\" is on bdev \"%s\", which is read-only: nothing in it can "
		"be changed",
		lvol_store_name(store), bdev_name(base));
}

/* --- at work ---------------------------------------------------------------------------------- */

int lvol_store_enter(struct lvol_store *store, struct error *err)
{
	if (store->leaving)
		return error_set(err, -ENODEV, "lvol store \"%s\" is going away",
				 store->name->text);
	store->users++;
	return 0;
}

int lvol_store_enter_change(struct lvol_store *store, struct error *err)
{
	int rc = lvol_store_check_change(store, err);

	return rc < 0 ? rc : lvol_store_enter(store, err);
}

void lvol_store_exit(struct lvol_store *store)
{
	if (--store->users == 0 && store->idle != NULL)
		fiber_event_set(store->idle, 0);
}

int lvol_store_leave(struct lvol_store *store, struct error *err)
{
	struct fiber_event idle = FIBER_EVENT_INIT;

	if (store->leaving)
		return error_set(err, -EBUSY, "lvol store \"%s\" is going away already",
				 store->name->text);
	store->leaving = true;
	/* Nobody waits for hours for an inflation to end. */
	if (store->blobs != NULL)
		blob_store_interrupt(store->blobs);
	if (store->users == 0)
		return 0;
	store->idle = &idle;
	fiber_event_wait(&idle);
	store->idle = NULL;
	return 0;
}

/* --- going ------------------------------------------------------------------------------------ */

void lvol_store_free(struct lvol_store *store)
{
	struct lvol *lvol;

	while ((lvol = TAILQ_FIRST(&store->lvols)) != NULL)
		lvol_forget(lvol);
	reactor_timer_stop(&store->again);
	lvol_name_give(&lvol_store_names, store->name);
	TAILQ_REMOVE(&stores, store, link);
	bdev_close(store->base);
	free(store);
}

void lvol_store_close_blobs(struct lvol_store *store)
{
	struct lvol *lvol;

	TAILQ_FOREACH (lvol, &store->lvols, link) {
		if (lvol->blob != NULL)
			blob_close(lvol->blob);
		lvol->blob = NULL;
	}
	if (store->super != NULL)
		blob_close(store->super);
	store->super = NULL;
}

int lvol_store_close(struct lvol_store *store, struct error *err)
{
	int rc = 0;

	lvol_hide_all(store);
	lvol_store_close_blobs(store);
	if (store->blobs != NULL)
		rc = blob_store_unload(store->blobs, err);
	lvol_store_free(store);
	return rc;
}

void lvol_store_drop(struct lvol_store *store)
{
	struct error err = ERROR_INIT;

	store->leaving = true;
	if (lvol_store_close(store, &err) < 0)
		log_warning("%s", err.text);
}

static void leave_and_close(struct lvol_store *store)
{
	struct error err = ERROR_INIT;

	if (lvol_store_leave(store, &err) < 0)
		return;
	log_info(lvol, "lvol store \"%s\": closing it", store->name->text);
	if (lvol_store_close(store, &err) < 0)
		log_error("an lvol store was not unloaded cleanly: %s", err.text);
}

static void run_leave(void *arg)
{
	struct lvol_store *store = arg;
	bool by_another = store->leaving;

	lvol_store_exit(store);
	if (!by_another)
		leave_and_close(store);
}

static void run_again(struct reactor_timer *timer)
{
	struct lvol_store *store = container_of(timer, struct lvol_store, again);

	if (!store->leaving)
		follow_base(store);
}

/* The base bdev waits for this: without memory it is tried again. A user keeps the store until
 * then. */
static void follow_base(struct lvol_store *store)
{
	store->again.fn = run_again;
	if (fiber_start(run_leave, store) < 0)
		reactor_timer_start(&store->again, AGAIN_NS);
	else
		store->users++;
}

/* A store may stand on a volume of an older one: the youngest goes first. */
void lvol_shutdown(void)
{
	struct lvol_store *store;

	lvol_examine_stop();
	while ((store = TAILQ_LAST(&stores, lvol_store_list)) != NULL) {
		if (store->leaving || !store->ready)
			fiber_yield();
		else
			leave_and_close(store);
	}
	lvol_examine_resume();
}

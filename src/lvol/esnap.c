/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots: bdevs that volumes stand on. Each is claimed so that nobody writes to it, for
 * all stores together, and found by its UUID whenever it appears.
 *
 * When one goes, the volumes that stand on it lose their bdevs and are degraded until it is back.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "lvol/internal.h"

#define AGAIN_NS (10 * NS_PER_MSEC)

/* In whose name the claims are. */
static const struct bdev_module claimer = { .name = "lvol", .claim_type = "read_many_write_none" };

/** struct claim - one for each bdev, of all stores that use it */
struct claim {
	LIST_ENTRY(claim) link;
	struct bdev_desc *desc;
	uint32_t refs;
};

/** struct use - a bdev opened for a store; @going: it is removed, its volumes are hidden */
struct use {
	LIST_ENTRY(use) link;
	struct lvol_store *store;
	struct bdev_desc *desc;
	struct claim *claim;
	struct reactor_timer again;
	uint32_t holds;
	bool going;
	bool closed;
};

static LIST_HEAD(, claim) claims = LIST_HEAD_INITIALIZER(claims);
static LIST_HEAD(, use) uses = LIST_HEAD_INITIALIZER(uses);

/* --- claims ----------------------------------------------------------------------------------- */

static int claim_get(const char *name, struct claim **out, struct error *err)
{
	struct claim *c;
	int rc;

	LIST_FOREACH (c, &claims, link) {
		if (bdev_of(c->desc) == bdev_find(name)) {
			c->refs++;
			*out = c;
			return 0;
		}
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return error_set(err, -ENOMEM, "no memory for an external snapshot");
	rc = bdev_open(name, false, NULL, NULL, &c->desc, err);
	if (rc < 0) {
		free(c);
		return rc;
	}
	rc = bdev_claim(c->desc, &claimer, err);
	if (rc < 0) {
		bdev_close(c->desc);
		free(c);
		return rc;
	}
	c->refs = 1;
	LIST_INSERT_HEAD(&claims, c, link);
	*out = c;
	return 0;
}

static void claim_put(struct claim *c)
{
	if (--c->refs > 0)
		return;
	LIST_REMOVE(c, link);
	bdev_close(c->desc);
	free(c);
}

/* --- uses ------------------------------------------------------------------------------------- */

static void gone_event(struct bdev_desc *desc, enum bdev_event event, void *user);

static void use_put(struct use *u)
{
	if (--u->holds > 0)
		return;
	reactor_timer_stop(&u->again);
	LIST_REMOVE(u, link);
	bdev_close(u->desc);
	claim_put(u->claim);
	free(u);
}

static int use_get(struct lvol_store *store, const char *name, struct use **out, struct error *err)
{
	struct use *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return error_set(err, -ENOMEM, "no memory for an external snapshot");
	u->store = store;
	u->holds = 1;
	rc = bdev_open(name, false, gone_event, u, &u->desc, err);
	if (rc < 0) {
		free(u);
		return rc;
	}
	rc = claim_get(name, &u->claim, err);
	if (rc < 0) {
		bdev_close(u->desc);
		free(u);
		return rc;
	}
	LIST_INSERT_HEAD(&uses, u, link);
	*out = u;
	return 0;
}

static int check_other_store(const struct lvol_store *store, const struct bdev *bdev,
			     struct error *err)
{
	const struct lvol *lvol = lvol_of_bdev(bdev);

	if (lvol == NULL || lvol->store != store)
		return 0;
	return error_set(err, -EINVAL,
			 "\"%s\" is a volume of the same store \"%s\": bdev_lvol_clone and "
			 "bdev_lvol_set_parent are for those",
			 bdev_name(bdev), lvol_store_name(store));
}

/* --- as Blobstore asks ------------------------------------------------------------------------ */

/* What a Blobstore cannot have now leaves the volume degraded: it may have it later. */
static int open_for_blobs(void *arg, const void *id, size_t len, struct bdev_desc **desc,
			  struct error *err)
{
	struct lvol_store *store = arg;
	const char *text = id;
	struct bdev *bdev;
	struct uuid uuid;
	struct use *u;
	int rc;

	if (len != LVOL_ESNAP_ID_SIZE || text[len - 1] != '\0' || uuid_from_text(&uuid, text) < 0)
		return error_set(err, -EINVAL,
				 "its external snapshot is named by %zu bytes that are no UUID",
				 len);
	bdev = bdev_find(text);
	rc = bdev == NULL ? 0 : check_other_store(store, bdev, err);
	if (rc == 0)
		rc = use_get(store, text, &u, err);
	if (rc == -EPERM)
		return error_set(err, -ENODEV,
				 "external snapshot %s cannot be had: others write to it", text);
	if (rc == 0)
		*desc = u->desc;
	return rc;
}

static void close_for_blobs(void *arg, struct bdev_desc *desc)
{
	struct use *u;

	(void)arg;
	LIST_FOREACH (u, &uses, link) {
		if (u->desc == desc) {
			u->closed = true;
			use_put(u);
			return;
		}
	}
}

struct blob_esnap_ops lvol_esnap_ops(struct lvol_store *store)
{
	return (struct blob_esnap_ops){
		.open = open_for_blobs,
		.close = close_for_blobs,
		.arg = store,
	};
}

/* --- held while a volume is made -------------------------------------------------------------- */

static int check_geometry(const struct lvol_store *store, const struct bdev *bdev,
			  struct error *err)
{
	uint32_t block = bdev_block_size(bdev);
	struct blob_store_info info;
	uint64_t bytes = bdev_num_blocks(bdev) * block;

	blob_store_info_get(store->blobs, &info);
	if (info.io_unit_size % block != 0)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" has blocks of %" PRIu32
				 " bytes; store \"%s\" needs a divisor of %" PRIu32,
				 bdev_name(bdev), block, lvol_store_name(store), info.io_unit_size);
	if (bytes % info.cluster_size != 0)
		return error_set(err, -EINVAL,
				 "bdev \"%s\" has %" PRIu64
				 " bytes; store \"%s\" needs a multiple of its cluster size, "
				 "%" PRIu32,
				 bdev_name(bdev), bytes, lvol_store_name(store), info.cluster_size);
	return 0;
}

int lvol_esnap_hold(struct lvol_store *store, const char *name, struct lvol_esnap_hold *hold,
		    struct error *err)
{
	const struct bdev *bdev = bdev_find(name);
	struct use *u;
	int rc;

	if (bdev == NULL)
		return error_set(err, -ENODEV, "there is no bdev with name, alias or UUID \"%s\"",
				 name);
	rc = check_other_store(store, bdev, err);
	if (rc == 0)
		rc = check_geometry(store, bdev, err);
	if (rc == 0)
		rc = use_get(store, name, &u, err);
	if (rc < 0)
		return rc;
	*hold = (struct lvol_esnap_hold){ .store = store, .desc = u->desc };
	uuid_to_text(bdev_uuid(bdev), hold->id);
	return 0;
}

void lvol_esnap_release(struct lvol_esnap_hold *hold)
{
	close_for_blobs(hold->store, hold->desc);
}

/* --- going ------------------------------------------------------------------------------------ */

static bool stands_on(const struct lvol *lvol, const char *id)
{
	struct blob_info info;
	uint16_t len;
	const char *own;

	while (lvol != NULL && lvol->blob != NULL) {
		own = blob_esnap_id(lvol->blob, &len);
		if (own != NULL)
			return len == LVOL_ESNAP_ID_SIZE && strcasecmp(own, id) == 0;
		blob_info_get(lvol->blob, &info);
		lvol = lvol_by_id(lvol->store, info.parent);
	}
	return false;
}

/* By rising blob id, since the list may change between two of them. */
static struct lvol *next_on(const struct lvol_store *store, const char *id, bool shown,
			    uint64_t behind)
{
	struct lvol *found = NULL;

	for (struct lvol *l = lvol_first(store); l != NULL; l = lvol_next(l)) {
		if (l->shown == shown && l->id > behind && (found == NULL || l->id < found->id) &&
		    stands_on(l, id))
			found = l;
	}
	return found;
}

static void hide_standing_on(struct lvol_store *store, const char *id)
{
	struct error ignored = ERROR_INIT;
	struct lvol *lvol = next_on(store, id, true, 0);

	while (lvol != NULL) {
		uint64_t done = lvol->id;

		if (lvol_enter(lvol, &ignored) == 0) {
			lvol_hide(lvol);
			lvol_exit(lvol);
		}
		lvol = next_on(store, id, true, done);
	}
}

/*
 * Order: the volumes' bdevs go, which ends their I/O => the Blobstore lets go of the bdev and they
 * are degraded.
 */
static void run_gone(void *arg)
{
	struct use *u = arg;
	struct lvol_store *store = u->store;
	struct error why = ERROR_INIT;
	char id[UUID_TEXT_SIZE];

	/* A store that leaves closes what it uses itself. */
	if (!u->closed && lvol_store_enter(store, &why) == 0) {
		uuid_to_text(bdev_uuid(bdev_of(u->desc)), id);
		log_warning("lvol store \"%s\": external snapshot %s goes: the volumes on it are "
			    "degraded until it is back",
			    lvol_store_name(store), id);
		hide_standing_on(store, id);
		if (!u->closed)
			blob_store_esnap_gone(store->blobs, u->desc);
		lvol_store_exit(store);
	}
	use_put(u);
}

static void start_gone(struct use *u)
{
	if (fiber_start(run_gone, u) < 0)
		reactor_timer_start(&u->again, AGAIN_NS);
	else
		u->holds++;
}

static void run_again(struct reactor_timer *timer)
{
	start_gone(container_of(timer, struct use, again));
}

static void gone_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	struct use *u = user;

	(void)desc;
	if (event != BDEV_EVENT_REMOVE || u->going)
		return;
	u->going = true;
	u->again.fn = run_again;
	start_gone(u);
}

/* --- coming ----------------------------------------------------------------------------------- */

static void show_again(struct lvol *lvol)
{
	struct error err = ERROR_INIT;
	int rc;

	if (lvol_enter(lvol, &err) < 0)
		return;
	rc = blob_esnap_retry(lvol->blob, &err);
	if (rc == 0)
		rc = lvol_show(lvol, &err);
	if (rc < 0)
		log_warning("volume \"%s\" stays degraded: %s", lvol_name(lvol), err.text);
	lvol_exit(lvol);
}

static void show_waiting(struct lvol_store *store, const char *id)
{
	struct lvol *lvol;

	/* The usual case, and each volume of a large store is a bdev that appears. */
	if (store->hidden == 0)
		return;
	lvol = next_on(store, id, false, 0);
	while (lvol != NULL) {
		uint64_t done = lvol->id;

		show_again(lvol);
		lvol = next_on(store, id, false, done);
	}
}

void lvol_esnap_came(const struct bdev *bdev)
{
	struct error ignored = ERROR_INIT;
	struct lvol_store *store, *next;
	char id[UUID_TEXT_SIZE];

	uuid_to_text(bdev_uuid(bdev), id);
	for (store = lvol_store_first(); store != NULL; store = next) {
		next = lvol_store_next(store);
		if (lvol_store_enter(store, &ignored) < 0)
			continue;
		show_waiting(store, id);
		next = lvol_store_next(store);
		lvol_store_exit(store);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shallow copies: started, going on by themselves, and asked about by number.
 *
 * Threading: reactor 0; each copy is a fiber.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lvol/internal.h"

/* Of those that have ended and nobody asked about: the oldest are forgotten. */
#define ENDED_MAX 256u

/** struct copy - @desc: of the bdev that is written to, until the copy has ended */
struct copy {
	TAILQ_ENTRY(copy) link;
	uint32_t id;
	struct lvol *lvol;
	struct bdev_desc *desc;
	uint64_t done, total;
	bool stop;
	bool ended;
	int result;
	struct error err;
};

static TAILQ_HEAD(, copy) copies = TAILQ_HEAD_INITIALIZER(copies);
static uint32_t ended;
static uint32_t last_id;

static void forget(struct copy *c)
{
	TAILQ_REMOVE(&copies, c, link);
	ended--;
	free(c);
}

static void forget_oldest(void)
{
	struct copy *c;

	TAILQ_FOREACH (c, &copies, link) {
		if (c->ended) {
			forget(c);
			return;
		}
	}
}

static bool progress(uint64_t done, uint64_t total, void *arg)
{
	struct copy *c = arg;

	c->done = done;
	c->total = total;
	return !c->stop && !c->lvol->store->leaving;
}

static void run(void *arg)
{
	struct copy *c = arg;
	struct lvol_store *store = c->lvol->store;
	struct lvol *lvol = c->lvol;

	c->result = lvol_enter(lvol, &c->err);
	lvol_unref(lvol);
	lvol_store_exit(store);
	if (c->result == 0) {
		c->result = blob_shallow_copy(lvol->blob, c->desc, progress, c, &c->err);
		lvol_exit(lvol);
	}
	if (c->result < 0)
		log_warning("shallow copy %" PRIu32 ": %s", c->id, c->err.text);
	bdev_close(c->desc);
	c->desc = NULL;
	c->lvol = NULL;
	c->ended = true;
	if (++ended > ENDED_MAX)
		forget_oldest();
}

static void target_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)desc;
	if (event == BDEV_EVENT_REMOVE)
		((struct copy *)user)->stop = true;
}

static int start(struct copy *c, const char *bdev, struct error *err)
{
	struct blob_info info;
	int rc = bdev_open(bdev, true, target_event, c, &c->desc, err);

	if (rc < 0)
		return rc;
	rc = fiber_start(run, c);
	if (rc < 0) {
		bdev_close(c->desc);
		return error_set(err, rc, "no memory for a shallow copy");
	}
	blob_info_get(c->lvol->blob, &info);
	c->total = info.allocated_clusters;
	/* Both stay until the fiber has its turn. */
	c->lvol->refs++;
	c->lvol->store->users++;
	c->id = ++last_id;
	TAILQ_INSERT_TAIL(&copies, c, link);
	return 0;
}

int lvol_shallow_copy_start(struct lvol *lvol, const char *bdev, uint32_t *operation,
			    struct error *err)
{
	struct copy *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return error_set(err, -ENOMEM, "no memory for a shallow copy");
	c->lvol = lvol;
	rc = lvol->store->leaving ? error_set(err, -ENODEV, "lvol store \"%s\" is going away",
					      lvol_store_name(lvol->store))
				  : start(c, bdev, err);
	if (rc < 0) {
		free(c);
		return rc;
	}
	*operation = c->id;
	return 0;
}

static const char *state_name(const struct copy *c)
{
	if (!c->ended)
		return "in progress";
	return c->result == 0 ? "complete" : "error";
}

json_t *lvol_shallow_copy_to_json(uint32_t operation)
{
	struct copy *c;
	json_t *o;

	TAILQ_FOREACH (c, &copies, link) {
		if (c->id == operation)
			break;
	}
	if (c == NULL)
		return NULL;
	o = json_pack("{s:I,s:I,s:s}", "copied_clusters", (json_int_t)c->done, "total_clusters",
		      (json_int_t)c->total, "state", state_name(c));
	if (c->ended && c->result < 0)
		json_object_set_new(o, "error", json_string(c->err.text));
	if (c->ended)
		forget(c);
	return o;
}

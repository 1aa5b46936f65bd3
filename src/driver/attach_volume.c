/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning of attach on a store: which volume, made or found, held against what is there.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/attach.h"

#define VOLUME_NAME_MAX 63 /* SPDK's */

/** struct look - what a store has */
struct look {
	struct driver *d;
	const struct accelerator *acc;
	const struct wish *w;
	struct view v;
};

static const json_t *volume_of(const struct look *l, const char *name)
{
	char alias[STATE_STORE_SIZE + STATE_VOLUME_SIZE];

	volume_alias(l->acc, name, alias);
	return view_bdev(l->v.bdevs, alias);
}

static int check_name(const char *name, struct error *err)
{
	if (strlen(name) <= VOLUME_NAME_MAX && !strchr(name, '/'))
		return 0;
	return error_set(err, -EINVAL,
			 "volume \"%.80s\": a volume's name has 1 to %d characters without '/'",
			 name, VOLUME_NAME_MAX);
}

/* What is made is named as asked, else after the instance. */
static void made_name(const struct look *l, const char *suffix, struct attachment *a)
{
	char uuid[UUID_TEXT_SIZE];

	if (l->w->volume && !*suffix)
		snprintf(a->volume, sizeof(a->volume), "%s", l->w->volume);
	else if (strlen(a->instance) + strlen(suffix) <= VOLUME_NAME_MAX)
		snprintf(a->volume, sizeof(a->volume), "%s%s", a->instance, suffix);
	else {
		names_uuid(l->d, "volume", a->instance, uuid);
		snprintf(a->volume, sizeof(a->volume), "%s%s", uuid, suffix);
	}
}

static int no_volume(const struct look *l, const char *name, struct error *err)
{
	json_t *all = store_volumes(l->v.bdevs, l->acc);
	char *text = json_dumps(all, JSON_COMPACT);

	error_set(err, -ENOENT, "store %s of accelerator %s has no volume \"%s\"; it has %.300s",
		  l->acc->store, l->acc->id, name, text ? text : "");
	free(text);
	json_decref(all);
	return -ENOENT;
}

static int check_unattached(struct driver *d, const struct accelerator *acc,
			    const struct attachment *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, acc->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && rc == 0; i++) {
		if (!strcmp(list[i].volume, a->volume))
			rc = error_set(
				err, -EBUSY,
				"volume %s is attached to instance %s: detach that, or attach "
				"a clone of a snapshot of it",
				a->volume, list[i].instance);
	}
	free(list);
	return rc;
}

/*
 * What detach kept for this instance is its own again, when it is what would be made now.
 *
 * Return: 0 and @kept true; 0 and @kept false when there is none; -EEXIST when it is another.
 */
static int take_kept(const struct look *l, bool fits, struct attachment *a, bool *kept,
		     struct error *err)
{
	const json_t *bdev = volume_of(l, a->volume);

	*kept = bdev && fits && !l->w->volume && view_bdev_writes(bdev) == !a->read_only;
	if (bdev && !*kept)
		return error_set(err, -EEXIST,
				 "store %s has a volume %s with %llu bytes already: attach it with "
				 "--volume %s, or name another with --volume",
				 l->acc->store, a->volume, (unsigned long long)view_bdev_size(bdev),
				 a->volume);
	if (*kept) {
		snprintf(a->source, sizeof(a->source), SOURCE_EXISTING);
		a->size = view_bdev_size(bdev);
	}
	return *kept ? check_unattached(l->d, l->acc, a, err) : 0;
}

static int check_room(const struct look *l, uint64_t size, struct error *err)
{
	const json_t *s = view_by(l->v.stores, "uuid", l->acc->store_uuid);
	uint64_t all = (uint64_t)json_integer_value(json_object_get(s, "total_data_clusters"));
	uint64_t left = (uint64_t)json_integer_value(json_object_get(s, "free_clusters"));
	uint64_t unit = l->acc->cluster_size ? l->acc->cluster_size : 1;
	uint64_t need = size / unit + (size % unit != 0);

	if (need <= (l->w->thick ? left : all))
		return 0;
	return error_set(
		err, -ENOSPC,
		"a %s volume of %llu bytes does not fit: store %s has %llu bytes, of which "
		"%llu are free",
		l->w->thick ? "thick" : "thin", (unsigned long long)size, l->acc->store,
		(unsigned long long)(all * unit), (unsigned long long)(left * unit));
}

static uint64_t round_up(uint64_t size, uint64_t unit)
{
	return size % unit ? size + unit - size % unit : size;
}

static int plan_new(const struct look *l, struct attachment *a, struct error *err)
{
	uint64_t size = round_up(l->w->size, volume_unit(l->acc));
	const json_t *bdev;
	bool kept;
	int rc;

	if (a->read_only)
		return error_set(err, -EINVAL,
				 "a new volume is empty: --read-only is for --volume and --clone");
	made_name(l, "", a);
	snprintf(a->source, sizeof(a->source), SOURCE_NEW);
	bdev = volume_of(l, a->volume);
	rc = take_kept(l, bdev && view_bdev_size(bdev) == size, a, &kept, err);
	if (rc < 0 || kept)
		return rc;
	a->size = size;
	return check_room(l, size, err);
}

static int plan_clone(const struct look *l, struct attachment *a, struct error *err)
{
	const json_t *origin = volume_of(l, l->w->clone), *had;
	bool kept;
	int rc;

	if (!origin)
		return no_volume(l, l->w->clone, err);
	if (view_bdev_writes(origin))
		return error_set(
			err, -EINVAL,
			"volume %s may be written to: take a snapshot of it and clone that",
			l->w->clone);
	made_name(l, "", a);
	snprintf(a->source, sizeof(a->source), SOURCE_CLONE);
	snprintf(a->origin, sizeof(a->origin), "%s", l->w->clone);
	had = json_object_get(json_object_get(volume_of(l, a->volume), "driver_specific"), "lvol");
	rc = take_kept(l, !strcmp(view_text(had, "base_snapshot"), a->origin), a, &kept, err);
	if (rc == 0 && !kept)
		a->size = view_bdev_size(origin);
	return rc;
}

/* A volume that is written to is shown read-only as the snapshot that is taken of it now. */
static int plan_existing(const struct look *l, struct attachment *a, struct error *err)
{
	const json_t *bdev = volume_of(l, l->w->volume);

	if (!bdev)
		return no_volume(l, l->w->volume, err);
	if (!a->read_only && !view_bdev_writes(bdev))
		return error_set(err, -EPERM,
				 "volume %s may only be read: add --read-only, or attach a clone "
				 "(--clone %s)",
				 l->w->volume, l->w->volume);
	a->size = view_bdev_size(bdev);
	snprintf(a->source, sizeof(a->source), SOURCE_EXISTING);
	snprintf(a->volume, sizeof(a->volume), "%s", l->w->volume);
	if (!a->read_only || !view_bdev_writes(bdev))
		return check_unattached(l->d, l->acc, a, err);
	snprintf(a->source, sizeof(a->source), SOURCE_SNAPSHOT);
	snprintf(a->origin, sizeof(a->origin), "%s", l->w->volume);
	made_name(l, ".ro", a);
	if (volume_of(l, a->volume))
		return error_set(err, -EEXIST,
				 "store %s has a volume %s already, which the snapshot would be "
				 "named: delete that, or attach it with --volume",
				 l->acc->store, a->volume);
	return 0;
}

static int plan_with(const struct look *l, struct attachment *a, struct error *err)
{
	if (l->w->clone)
		return plan_clone(l, a, err);
	if (l->w->size)
		return plan_new(l, a, err);
	return plan_existing(l, a, err);
}

static int check_words(const struct accelerator *acc, const struct wish *w, struct error *err)
{
	if (!w->size && !w->volume && !w->clone)
		return error_set(err, -EINVAL,
				 "accelerator %s has a store: say --size SIZE for a new volume, "
				 "--volume NAME for one that is there, or --clone SNAPSHOT",
				 acc->id);
	if (w->size && w->clone)
		return error_set(err, -EINVAL,
				 "a clone has the size of its snapshot: leave --size away");
	if (w->thick && !w->size)
		return error_set(err, -EINVAL, "--thick is for a new volume: give --size");
	if (w->volume && check_name(w->volume, err) < 0)
		return err->code;
	return w->clone ? check_name(w->clone, err) : 0;
}

int volume_plan(struct driver *d, const struct accelerator *acc, const struct wish *w,
		struct attachment *a, struct error *err)
{
	struct look l = { .d = d, .acc = acc, .w = w };
	struct client *c = NULL;
	int rc = check_words(acc, w, err);

	if (rc < 0)
		return rc;
	rc = w->dry_run ? target_connect(d, acc, &c, err) : target_ensure(d, acc, &c, err);
	if (rc == 0)
		rc = view_take(c, &l.v, err);
	if (rc == 0) {
		rc = plan_with(&l, a, err);
		view_fini(&l.v);
	}
	client_destroy(c);
	return rc;
}

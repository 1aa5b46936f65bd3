/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes of a store: made as an attachment wants them, found again, deleted.
 *
 * Threading: as driver.h.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "driver/driver.h"

#define MIB	     (UINT64_C(1) << 20)
#define LONG_WORK_NS (3600 * NS_PER_SEC) /* thick space is cleared before the target answers */

void volume_alias(const struct accelerator *acc, const char *volume,
		  char out[static STATE_STORE_SIZE + STATE_VOLUME_SIZE])
{
	snprintf(out, STATE_STORE_SIZE + STATE_VOLUME_SIZE, "%s/%s", acc->store, volume);
}

/* What is asked for goes over the wire in MiB, and is given in clusters. */
uint64_t volume_unit(const struct accelerator *acc)
{
	return acc->cluster_size > MIB ? acc->cluster_size : MIB;
}

bool volume_is_ours(const struct attachment *a)
{
	return !strcmp(a->source, SOURCE_SNAPSHOT) ||
	       (!strcmp(a->source, SOURCE_CLONE) && a->read_only);
}

void attachment_identity(struct attachment *a, const char *uuid)
{
	size_t n = 0, s = 2;

	snprintf(a->uuid, sizeof(a->uuid), "%s", uuid);
	snprintf(a->serial, sizeof(a->serial), "CS");
	for (const char *c = uuid; *c && n < sizeof(a->nguid) - 1; c++) {
		if (*c == '-')
			continue;
		a->nguid[n++] = (char)toupper((unsigned char)*c);
		if (s < sizeof(a->serial) - 1)
			a->serial[s++] = (char)toupper((unsigned char)*c);
	}
	a->nguid[n] = a->serial[s] = '\0';
}

/* Return: 0 with an array of one bdev; -EREMOTEIO when there is none of that name. */
static int get_bdev(struct client *c, const char *name, json_t **out, struct error *err)
{
	return client_wait(c, "bdev_get_bdevs", json_pack("{s:s}", "name", name), out, err);
}

static int create(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  bool thick, struct error *err)
{
	json_int_t mib = (json_int_t)((a->size + MIB - 1) / MIB);

	return client_wait(c, "bdev_lvol_create",
			   json_pack("{s:s, s:I, s:b, s:s}", "lvol_name", a->volume, "size_in_mib",
				     mib, "thin_provision", !thick, "uuid", acc->store_uuid),
			   NULL, err);
}

static int derive(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  struct error *err)
{
	char origin[STATE_STORE_SIZE + STATE_VOLUME_SIZE];

	volume_alias(acc, a->origin, origin);
	if (!strcmp(a->source, SOURCE_CLONE))
		return client_wait(
			c, "bdev_lvol_clone",
			json_pack("{s:s, s:s}", "snapshot_name", origin, "clone_name", a->volume),
			NULL, err);
	return client_wait(c, "bdev_lvol_snapshot",
			   json_pack("{s:s, s:s}", "lvol_name", origin, "snapshot_name", a->volume),
			   NULL, err);
}

static int make(struct client *c, const struct accelerator *acc, const struct attachment *a,
		bool thick, struct error *err)
{
	client_set_timeout(c, LONG_WORK_NS);
	if (!strcmp(a->source, SOURCE_NEW))
		return create(c, acc, a, thick, err);
	if (!strcmp(a->source, SOURCE_CLONE) || !strcmp(a->source, SOURCE_SNAPSHOT))
		return derive(c, acc, a, err);
	return error_set(err, -ENOENT, "store %s has no volume %s any more", acc->store, a->volume);
}

static int make_read_only(struct client *c, const json_t *bdev, struct error *err)
{
	return client_wait(c, "bdev_lvol_set_read_only",
			   json_pack("{s:s}", "name", view_text(bdev, "name")), NULL, err);
}

static int take(const json_t *bdev, struct attachment *a, struct error *err)
{
	const char *name = view_text(bdev, "name"), *uuid = view_text(bdev, "uuid");

	/* Before 19.04 the UUID of a volume was its name only. */
	if (!uuid[0])
		uuid = name;
	if (!name[0] || strlen(uuid) != UUID_TEXT_SIZE - 1)
		return error_set(err, -EBADMSG, "volume %s: the target tells no name or UUID of it",
				 a->volume);
	snprintf(a->bdev, sizeof(a->bdev), "%s", name);
	a->size = view_bdev_size(bdev);
	attachment_identity(a, uuid);
	return 0;
}

static int make_image(struct client *c, const struct accelerator *acc, struct attachment *a,
		      struct error *err)
{
	json_t *found = NULL;
	int rc = get_bdev(c, a->bdev, &found, NULL);

	if (rc == -EREMOTEIO) {
		rc = rbd_create(c, acc, a, err);
		if (rc == 0)
			rc = get_bdev(c, a->bdev, &found, err);
	}
	if (rc == 0)
		a->size = view_bdev_size(json_array_get(found, 0));
	json_decref(found);
	return rc;
}

int volume_make(struct client *c, const struct accelerator *acc, struct attachment *a, bool thick,
		struct error *err)
{
	char alias[STATE_STORE_SIZE + STATE_VOLUME_SIZE];
	json_t *found = NULL, *bdev;
	int rc;

	if (!strcmp(a->source, SOURCE_RBD))
		return make_image(c, acc, a, err);
	if (!a->volume[0])
		return 0;
	volume_alias(acc, a->volume, alias);
	rc = get_bdev(c, alias, &found, NULL);
	if (rc == -EREMOTEIO) {
		rc = make(c, acc, a, thick, err);
		if (rc == 0)
			rc = get_bdev(c, alias, &found, err);
	}
	bdev = json_array_get(found, 0);
	if (rc == 0 && a->read_only && view_bdev_writes(bdev))
		rc = make_read_only(c, bdev, err);
	if (rc == 0)
		rc = take(bdev, a, err);
	json_decref(found);
	return rc;
}

/* What was renamed meanwhile is the same volume; one that has its name now may be another. */
int volume_delete(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  struct error *err)
{
	char alias[STATE_STORE_SIZE + STATE_VOLUME_SIZE];
	const char *name = a->bdev[0] ? a->bdev : alias;
	json_t *found = NULL;
	int rc;

	volume_alias(acc, a->volume, alias);
	rc = get_bdev(c, name, &found, NULL);
	json_decref(found);
	if (rc < 0)
		return rc == -EREMOTEIO
			       ? 0
			       : error_set(err, rc, "volume %s cannot be looked up", alias);
	client_set_timeout(c, LONG_WORK_NS);
	return client_wait(c, "bdev_lvol_delete", json_pack("{s:s}", "name", name), NULL, err);
}

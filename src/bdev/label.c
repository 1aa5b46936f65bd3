/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, aliases and UUID texts: one table, in which each text leads to one bdev.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "bdev/internal.h"

static void *tree;

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct bdev_label *)a)->text, ((const struct bdev_label *)b)->text);
}

static struct bdev_label *find(const char *text)
{
	struct bdev_label key = { .text = (char *)(uintptr_t)text };
	struct bdev_label **found = tfind(&key, &tree, compare);

	return found == NULL ? NULL : *found;
}

struct bdev *bdev_label_find(const char *text)
{
	char canonical[UUID_TEXT_SIZE];
	struct bdev_label *label = find(text);
	struct uuid uuid;

	if (label == NULL && uuid_from_text(&uuid, text) == 0) {
		uuid_to_text(&uuid, canonical);
		label = find(canonical);
	}
	return label == NULL ? NULL : label->bdev;
}

static int check_text(const char *text, struct error *err)
{
	size_t len = strlen(text);

	if (len == 0)
		return error_set(err, -EINVAL, "a bdev's name must not be empty");
	if (len > BDEV_NAME_MAX)
		return error_set(err, -EINVAL,
				 "a bdev's name may have %u bytes; \"%.40s...\" has %zu",
				 BDEV_NAME_MAX, text, len);
	return 0;
}

int bdev_label_add(struct bdev *bdev, const char *text, struct error *err)
{
	int rc = check_text(text, err);
	struct bdev_label *label;

	if (rc < 0)
		return rc;
	label = find(text);
	if (label != NULL)
		return error_set(
			err, -EEXIST,
			"\"%s\" is already a name, alias or UUID of bdev \"%s\": choose another",
			text, label->bdev->name);
	label = calloc(1, sizeof(*label));
	if (label == NULL)
		goto no_memory;
	label->bdev = bdev;
	label->text = strdup(text);
	if (label->text == NULL || tsearch(label, &tree, compare) == NULL)
		goto free_label;
	TAILQ_INSERT_TAIL(&bdev->internal->labels, label, link);
	return 0;

free_label:
	free(label->text);
	free(label);
no_memory:
	return error_set(err, -ENOMEM, "no memory for the name \"%s\"", text);
}

void bdev_label_remove(struct bdev_label *label)
{
	TAILQ_REMOVE(&label->bdev->internal->labels, label, link);
	tdelete(label, &tree, compare);
	free(label->text);
	free(label);
}

struct bdev_label *bdev_label_of(const struct bdev *bdev, const char *text)
{
	struct bdev_label *label = find(text);

	return label != NULL && label->bdev == bdev ? label : NULL;
}

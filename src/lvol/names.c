/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of stores, and of the volumes of a store: each is taken once, from before what has it is
 * made until it is gone.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "lvol/internal.h"

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct lvol_name *)a)->text, ((const struct lvol_name *)b)->text);
}

int lvol_name_take(struct lvol_names *names, const char *text, void *owner, struct lvol_name **out)
{
	size_t size = strlen(text) + 1;
	struct lvol_name *name, **slot;

	if (lvol_name_owner(names, text) != NULL)
		return -EEXIST;
	name = malloc(sizeof(*name) + size);
	if (name == NULL)
		return -ENOMEM;
	memcpy(name->bytes, text, size);
	name->text = name->bytes;
	name->owner = owner;
	slot = tsearch(name, &names->root, compare);
	if (slot == NULL) {
		free(name);
		return -ENOMEM;
	}
	*out = name;
	return 0;
}

void lvol_name_give(struct lvol_names *names, struct lvol_name *name)
{
	if (name == NULL)
		return;
	tdelete(name, &names->root, compare);
	free(name);
}

void *lvol_name_owner(const struct lvol_names *names, const char *text)
{
	struct lvol_name key = { .text = text };
	struct lvol_name **found = tfind(&key, &names->root, compare);

	return found == NULL ? NULL : (*found)->owner;
}

int lvol_name_check_text(const char *what, const char *text, struct error *err)
{
	size_t len = strlen(text);

	if (len == 0)
		return error_set(err, -EINVAL, "the name of a %s must not be empty: 1 to %u bytes",
				 what, LVOL_NAME_MAX);
	if (len > LVOL_NAME_MAX)
		return error_set(err, -EINVAL,
				 "the name of a %s may have %u bytes; \"%.64s\"%s has %zu", what,
				 LVOL_NAME_MAX, text, len > 64 ? "..." : "", len);
	return 0;
}

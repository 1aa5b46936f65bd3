/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What blobs stand on: parents are found, circles are broken, damage is inherited, and each map is
 * told what lies behind it.
 *
 * Threading: reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"

struct linker {
	struct blob_store *store;
	struct bit_array *seen; /* by root page: on the way up, or done */
	struct blob **path;
	uint32_t len, room;
};

static int path_add(struct linker *l, struct blob *b)
{
	if (l->len == l->room) {
		uint32_t room = l->room == 0 ? 64 : l->room * 2;
		struct blob **more = realloc(l->path, room * sizeof(struct blob *));

		if (more == NULL)
			return -ENOMEM;
		l->path = more;
		l->room = room;
	}
	l->path[l->len++] = b;
	return 0;
}

static int link_esnap(struct blob *b)
{
	struct blob_xattr_ref ref;

	if (!blob_xattrs_find(&b->xattrs, true, BLOB_XATTR_EXTSNAP, strlen(BLOB_XATTR_EXTSNAP),
			      &ref) ||
	    ref.value_len == 0) {
		blob_damage_set(b, -EINVAL, "it is a clone of an external snapshot without its id");
		return 0;
	}
	b->esnap = blob_esnap_get(b->store, ref.value, ref.value_len);
	if (b->esnap == NULL)
		return -ENOMEM;
	blob_map(b)->back.esnap = b->esnap;
	return 0;
}

static bool has_snap(const struct blob *b)
{
	struct blob_xattr_ref ref;

	return (b->invalid & BLOB_INVALID_THIN) != 0 &&
	       blob_xattrs_find(&b->xattrs, true, BLOB_XATTR_SNAP, strlen(BLOB_XATTR_SNAP), &ref);
}

static int link_parent(struct linker *l, struct blob *b)
{
	uint64_t id = blob_parent_id(b);
	struct blob *parent = blob_find(l->store, id);

	if ((b->invalid & BLOB_INVALID_ESNAP) != 0)
		return link_esnap(b);
	if (!has_snap(b))
		return 0;
	if (id == BLOB_ID_NONE) {
		blob_damage_set(b, -EINVAL, "the id of its snapshot has not 8 bytes");
	} else if (parent == NULL) {
		blob_damage_set(b, -ENOENT, "its snapshot 0x%" PRIx64 " is not there", id);
	} else if (parent->damage != NULL) {
		blob_damage_set(b, parent->damage->code, "its snapshot 0x%" PRIx64 ": %s", id,
				parent->damage->text);
	} else {
		blob_adopt(parent, b);
		blob_map(b)->back.parent = parent;
	}
	return 0;
}

/* The parent that is to be linked before @b; NULL when there is none, or it is done. */
static struct blob *above(const struct linker *l, const struct blob *b)
{
	struct blob *parent = b->damage == NULL ? blob_find(l->store, blob_parent_id(b)) : NULL;

	if (parent == NULL || bit_array_get(l->seen, blob_root(parent)))
		return NULL;
	return parent;
}

static bool is_on_path(const struct linker *l, const struct blob *b)
{
	for (uint32_t i = 0; i < l->len; i++) {
		if (l->path[i] == b)
			return true;
	}
	return false;
}

/* From @b up to what is linked already, then down again, so that damage comes from above. */
static int link_up(struct linker *l, struct blob *b)
{
	struct blob *top = b;
	int rc = 0;

	l->len = 0;
	for (; b != NULL && rc == 0; b = above(l, b)) {
		bit_array_set(l->seen, blob_root(b));
		rc = path_add(l, b);
		top = b;
	}
	if (rc == 0 && top->damage == NULL &&
	    is_on_path(l, blob_find(l->store, blob_parent_id(top))))
		blob_damage_set(top, -ELOOP, "it is, over others, its own snapshot");
	while (l->len > 0 && rc == 0) {
		b = l->path[--l->len];
		if (b->damage == NULL)
			rc = link_parent(l, b);
	}
	return rc;
}

int blob_link_all(struct blob_store *store, struct error *err)
{
	struct linker l = { .store = store, .seen = bit_array_create(store->geo.md.len) };
	int rc = l.seen == NULL ? -ENOMEM : 0;

	for (struct blob *b = blob_next(store, 0); b != NULL && rc == 0;
	     b = blob_next(store, b->id + 1)) {
		if (!bit_array_get(l.seen, blob_root(b)))
			rc = link_up(&l, b);
	}
	bit_array_destroy(l.seen);
	free(l.path);
	return rc < 0 ? error_set(err, rc, "no memory for the tree of blobs") : 0;
}

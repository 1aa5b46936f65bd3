/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What blobs stand on, and what becomes of snapshots whose making or deletion was interrupted
 * (format page, sections 11 and 14).
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/model.h"

static bool find_internal(const struct volume *v, const char *name, struct blob_xattr_ref *ref)
{
	return blob_xattrs_find(&v->content.xattrs, true, name, strlen(name), ref);
}

/* A stale SNAP may stand beside the id of an external snapshot: it is not followed. */
static void find_parent(struct model *m, struct volume *v)
{
	struct blob_xattr_ref ref;

	if ((v->content.invalid & BLOB_INVALID_ESNAP) != 0) {
		v->sees_external = true;
		if (!find_internal(v, BLOB_XATTR_EXTSNAP, &ref) || ref.value_len == 0)
			model_damage(m, v, DAMAGE_PARENT, v->root,
				     "it is a clone of an external snapshot without its id");
		return;
	}
	if ((v->content.invalid & BLOB_INVALID_THIN) == 0 ||
	    !find_internal(v, BLOB_XATTR_SNAP, &ref))
		return;
	if (ref.value_len != sizeof(uint64_t)) {
		model_damage(m, v, DAMAGE_PARENT, v->root,
			     "the id of its snapshot has %u bytes, should have 8", ref.value_len);
		return;
	}
	v->parent_id = le64_get(ref.value);
	v->parent = model_find(m, v->parent_id);
	if (v->parent == NO_BLOB || !m->blobs[v->parent].listed) {
		v->parent = NO_BLOB;
		model_damage(m, v, DAMAGE_PARENT, v->root,
			     "its snapshot 0x%" PRIx64 " is not there", v->parent_id);
	}
}

/* --- circles, and damage from above ----------------------------------------------------------- */

enum walk { WALK_NEW, WALK_ON_PATH, WALK_DONE };

static void break_circle(struct model *m, uint32_t first)
{
	uint32_t i = first, next;

	do {
		next = m->blobs[i].parent;
		model_damage(m, &m->blobs[i], DAMAGE_PARENT, m->blobs[i].root,
			     "it is, over others, its own snapshot");
		m->blobs[i].parent = NO_BLOB;
		i = next;
	} while (i != NO_BLOB && i != first);
}

static void inherit(struct model *m, struct volume *v)
{
	const struct volume *parent = v->parent == NO_BLOB ? NULL : &m->blobs[v->parent];

	if (parent == NULL)
		return;
	v->sees_external |= parent->sees_external;
	if (parent->damage != DAMAGE_NONE)
		model_damage(m, v, DAMAGE_PARENT, v->root,
			     "its snapshot 0x%" PRIx64 " is damaged: %s", parent->id,
			     parent->damage_text != NULL ? parent->damage_text : "");
	else if (parent->clusters > v->clusters)
		finding_add(m->f, SEVERITY_INFO, "parent.size", v->id, v->root, FINDING_NONE,
			    "it has %" PRIu64 " clusters, its snapshot %" PRIu64, v->clusters,
			    parent->clusters);
}

static void walk_up(struct model *m, uint8_t *seen, uint32_t *path, uint32_t blob)
{
	uint32_t len = 0;

	for (; blob != NO_BLOB && seen[blob] == WALK_NEW; blob = m->blobs[blob].parent) {
		seen[blob] = WALK_ON_PATH;
		path[len++] = blob;
	}
	if (blob != NO_BLOB && seen[blob] == WALK_ON_PATH)
		break_circle(m, blob);
	while (len > 0) {
		blob = path[--len];
		seen[blob] = WALK_DONE;
		inherit(m, &m->blobs[blob]);
	}
}

/* --- interrupted operations ------------------------------------------------------------------- */

static bool is_parent(const struct model *m, uint32_t blob)
{
	return m->blobs[blob].children > 0;
}

static enum fate judge(const struct model *m, uint32_t blob, uint64_t marked_for)
{
	const struct volume *s = &m->blobs[blob], *c;
	uint32_t clone = model_find(m, marked_for);

	if (clone == NO_BLOB || clone == blob || s->damage != DAMAGE_NONE)
		return FATE_LEAVE;
	c = &m->blobs[clone];
	if (c->damage != DAMAGE_NONE || !c->listed)
		return FATE_LEAVE;
	if (c->parent_id == s->id)
		return FATE_KEEP;
	return is_parent(m, blob) ? FATE_LEAVE : FATE_DROP;
}

static void find_fate(struct model *m, uint32_t blob)
{
	static const char *const fates[] = {
		[FATE_NONE] = "",
		[FATE_KEEP] = "the next load keeps it",
		[FATE_DROP] = "the next load removes it",
		[FATE_LEAVE] = "it cannot be finished, since its clone cannot be read",
	};
	struct volume *v = &m->blobs[blob];
	struct blob_xattr_ref ref;
	bool is_removal = find_internal(v, BLOB_XATTR_SNAPRM, &ref);

	if (!is_removal && !find_internal(v, BLOB_XATTR_SNAPTMP, &ref))
		return;
	v->fate = ref.value_len == 8 ? judge(m, blob, le64_get(ref.value)) : FATE_LEAVE;
	finding_add(m->f, v->fate == FATE_LEAVE ? SEVERITY_WARNING : SEVERITY_INFO,
		    is_removal ? "snapshot.removal" : "snapshot.making", v->id, v->root,
		    FINDING_NONE, "%s of this snapshot was interrupted: %s",
		    is_removal ? "the deletion" : "the making", fates[v->fate]);
}

static void count_children(struct model *m, bool only_counting)
{
	for (uint32_t i = 0; i < m->blob_count; i++)
		m->blobs[i].children = 0;
	for (uint32_t i = 0; i < m->blob_count; i++) {
		const struct volume *v = &m->blobs[i];

		if (v->parent != NO_BLOB && (!only_counting || volume_counts(v)))
			m->blobs[v->parent].children++;
	}
}

int model_read_tree(struct model *m, struct error *err)
{
	uint8_t *seen = calloc(m->blob_count + 1u, 1);
	uint32_t *path = malloc((m->blob_count + 1u) * sizeof(*path));

	if (seen == NULL || path == NULL) {
		free(seen);
		free(path);
		return error_set(err, -ENOMEM, "no memory for the tree of blobs");
	}
	for (uint32_t i = 0; i < m->blob_count; i++)
		find_parent(m, &m->blobs[i]);
	for (uint32_t i = 0; i < m->blob_count; i++)
		walk_up(m, seen, path, i);
	free(seen);
	free(path);
	count_children(m, false);
	for (uint32_t i = 0; i < m->blob_count; i++)
		find_fate(m, i);
	count_children(m, true);
	return 0;
}

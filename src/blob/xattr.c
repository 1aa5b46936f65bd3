/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob's xattrs and its read-only mark.
 *
 * Order of each change: (dirty mark) => continuation pages => root page. The root page is the
 * commit: all of a change is there or nothing.
 *
 * Threading: reactor 0; changes inside fibers.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "blob/internal.h"

static int sync_locked(struct blob *b, struct blob_state *st, struct error *err)
{
	int rc;

	fiber_lock(&b->md_lock);
	st->map = blob_map(b);
	rc = blob_sync(b, st, err);
	fiber_unlock(&b->md_lock);
	return rc;
}

static int no_memory(const struct blob *b, struct error *err)
{
	return error_set(err, -ENOMEM, "blob 0x%" PRIx64 ": no memory", b->id);
}

int blob_xattr_set(struct blob *b, const struct blob_xattr *xattrs, size_t count, struct error *err)
{
	struct blob_state st;
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	rc = blob_state_begin(&st, b) < 0 ? no_memory(b, err) : 0;
	if (rc == 0)
		rc = blob_xattrs_add_all(&st.xattrs, xattrs, count, err);
	if (rc == 0)
		rc = sync_locked(b, &st, err);
	blob_state_end(&st);
	blob_unlock_op(b);
	return rc;
}

int blob_xattr_remove(struct blob *b, const char *name, struct error *err)
{
	struct blob_xattr_ref ref;
	struct blob_state st;
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	rc = blob_state_begin(&st, b) < 0 ? no_memory(b, err) : 0;
	if (rc == 0 && !blob_xattrs_find(&st.xattrs, false, name, strlen(name), &ref))
		rc = error_set(err, -ENOENT, "blob 0x%" PRIx64 " has no xattr \"%s\"", b->id, name);
	if (rc == 0) {
		blob_xattrs_remove(&st.xattrs, false, name);
		rc = sync_locked(b, &st, err);
	}
	blob_state_end(&st);
	blob_unlock_op(b);
	return rc;
}

const void *blob_xattr_get(const struct blob *b, const char *name, uint16_t *len)
{
	struct blob_xattr_ref ref;

	if (!blob_xattrs_find(&b->xattrs, false, name, strlen(name), &ref))
		return NULL;
	*len = ref.value_len;
	return ref.value;
}

void blob_xattr_each(const struct blob *b, bool (*fn)(const struct blob_xattr *x, void *arg),
		     void *arg)
{
	struct blob_xattr_ref ref;

	for (uint32_t at = 0; blob_xattrs_at(&b->xattrs, at, &ref); at = ref.next) {
		struct blob_xattr x = { .name = ref.name,
					.value = ref.value,
					.len = ref.value_len };

		if (!ref.internal && !fn(&x, arg))
			return;
	}
}

/* Writes under way end before; those that come during it find a read-only blob behind it. */
int blob_set_read_only(struct blob *b, struct error *err)
{
	struct blob_state st;
	int rc = blob_check_change(b, err);

	if (rc < 0)
		return rc;
	blob_lock_op(b);
	blob_freeze(b);
	rc = blob_state_begin(&st, b) < 0 ? no_memory(b, err) : 0;
	if (rc == 0) {
		st.data_ro |= BLOB_DATA_RO;
		rc = sync_locked(b, &st, err);
	}
	blob_state_end(&st);
	blob_thaw(b);
	blob_unlock_op(b);
	return rc;
}

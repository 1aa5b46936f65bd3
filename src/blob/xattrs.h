/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xattrs of a blob, packed: one allocation holds all names and values in their order, those of
 * the user and the internal ones.
 *
 * Threading: reactor 0 (pure functions but for memory).
 */
#ifndef BLOB_XATTRS_H
#define BLOB_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/**
 * struct blob_xattrs - all zero is an empty one
 * @data: records of struct blob_xattr_head, the name with a NUL behind it, the value
 */
struct blob_xattrs {
	uint8_t *data;
	uint32_t len;
};

/** struct blob_xattr_ref - one of them, where it lies; valid until the set changes */
struct blob_xattr_ref {
	bool internal;
	uint16_t name_len, value_len;
	const char *name;
	const void *value;
	uint32_t offset, next; /* of the record, and of the one behind it */
};

void blob_xattrs_free(struct blob_xattrs *set);
/** blob_xattrs_copy() - -ENOMEM */
int blob_xattrs_copy(struct blob_xattrs *to, const struct blob_xattrs *from);

/** blob_xattrs_at() - the record at @offset (0 to begin, then ref->next); false at the end */
bool blob_xattrs_at(const struct blob_xattrs *set, uint32_t offset, struct blob_xattr_ref *ref);
/** blob_xattrs_find() - false: none has that name */
bool blob_xattrs_find(const struct blob_xattrs *set, bool internal, const char *name,
		      size_t name_len, struct blob_xattr_ref *ref);

/**
 * blob_xattrs_set() - add, or replace in its place; the set is unchanged after an error
 *
 * Return: 0; -EINVAL a name that is empty or has a NUL, -E2BIG longer than a page takes, -ENOMEM.
 */
int blob_xattrs_set(struct blob_xattrs *set, bool internal, const char *name, size_t name_len,
		    const void *value, size_t value_len, struct error *err);
/** blob_xattrs_remove() - nothing happens when there is none */
void blob_xattrs_remove(struct blob_xattrs *set, bool internal, const char *name);
/** blob_xattrs_has_internal() */
bool blob_xattrs_has_internal(const struct blob_xattrs *set);

/** blob_xattrs_get_id() - an internal xattr that holds a blob id; false: none, or not 8 bytes */
bool blob_xattrs_get_id(const struct blob_xattrs *set, const char *name, uint64_t *id);
int blob_xattrs_set_id(struct blob_xattrs *set, const char *name, uint64_t id, struct error *err);

#endif

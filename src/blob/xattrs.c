/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xattrs of a blob, packed.
 *
 * Threading: reactor 0.
 */
#include "blob/xattrs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blob/format.h"

struct head {
	uint8_t internal;
	uint16_t name_len, value_len;
} __attribute__((packed));

static uint32_t record_bytes(size_t name_len, size_t value_len)
{
	return (uint32_t)(sizeof(struct head) + name_len + 1 + value_len);
}

void blob_xattrs_free(struct blob_xattrs *set)
{
	free(set->data);
	set->data = NULL;
	set->len = 0;
}

int blob_xattrs_copy(struct blob_xattrs *to, const struct blob_xattrs *from)
{
	to->data = NULL;
	to->len = 0;
	if (from->len == 0)
		return 0;
	to->data = malloc(from->len);
	if (to->data == NULL)
		return -ENOMEM;
	memcpy(to->data, from->data, from->len);
	to->len = from->len;
	return 0;
}

bool blob_xattrs_at(const struct blob_xattrs *set, uint32_t offset, struct blob_xattr_ref *ref)
{
	struct head head;

	if (offset >= set->len)
		return false;
	memcpy(&head, set->data + offset, sizeof(head));
	*ref = (struct blob_xattr_ref){
		.internal = head.internal != 0,
		.name_len = head.name_len,
		.value_len = head.value_len,
		.name = (const char *)set->data + offset + sizeof(head),
		.value = set->data + offset + sizeof(head) + head.name_len + 1,
		.offset = offset,
		.next = offset + record_bytes(head.name_len, head.value_len),
	};
	return true;
}

bool blob_xattrs_find(const struct blob_xattrs *set, bool internal, const char *name,
		      size_t name_len, struct blob_xattr_ref *ref)
{
	for (uint32_t at = 0; blob_xattrs_at(set, at, ref); at = ref->next) {
		if (ref->internal == internal && ref->name_len == name_len &&
		    memcmp(ref->name, name, name_len) == 0)
			return true;
	}
	return false;
}

static int check(const char *name, size_t name_len, size_t value_len, struct error *err)
{
	if (name_len == 0)
		return error_set(err, -EINVAL, "an xattr without a name; name it");
	if (memchr(name, '\0', name_len) != NULL)
		return error_set(err, -EINVAL, "xattr name \"%s\" has a NUL byte in it", name);
	if (value_len > BLOB_XATTR_BYTES_MAX || name_len > BLOB_XATTR_BYTES_MAX - value_len)
		return error_set(err, -E2BIG,
				 "xattr \"%.*s\": name and value have %zu bytes, at most %u fit "
				 "into a page",
				 (int)(name_len < 64 ? name_len : 64), name, name_len + value_len,
				 BLOB_XATTR_BYTES_MAX);
	return 0;
}

static void put_record(uint8_t *at, bool internal, const char *name, size_t name_len,
		       const void *value, size_t value_len)
{
	struct head head = {
		.internal = internal,
		.name_len = (uint16_t)name_len,
		.value_len = (uint16_t)value_len,
	};

	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	memcpy(at, name, name_len);
	at[name_len] = '\0';
	if (value_len > 0)
		memcpy(at + name_len + 1, value, value_len);
}

int blob_xattrs_set(struct blob_xattrs *set, bool internal, const char *name, size_t name_len,
		    const void *value, size_t value_len, struct error *err)
{
	struct blob_xattr_ref old = { .offset = set->len, .next = set->len };
	uint32_t size, tail;
	uint8_t *data;
	int rc = check(name, name_len, value_len, err);

	if (rc < 0)
		return rc;
	if (!blob_xattrs_find(set, internal, name, name_len, &old))
		old.offset = old.next = set->len;
	size = record_bytes(name_len, value_len);
	tail = set->len - old.next;
	data = malloc(old.offset + size + tail);
	if (data == NULL)
		return error_set(err, -ENOMEM, "no memory for xattr \"%.*s\"", (int)name_len, name);
	if (old.offset > 0)
		memcpy(data, set->data, old.offset);
	put_record(data + old.offset, internal, name, name_len, value, value_len);
	if (tail > 0)
		memcpy(data + old.offset + size, set->data + old.next, tail);
	free(set->data);
	set->data = data;
	set->len = old.offset + size + tail;
	return 0;
}

void blob_xattrs_remove(struct blob_xattrs *set, bool internal, const char *name)
{
	struct blob_xattr_ref ref;

	if (!blob_xattrs_find(set, internal, name, strlen(name), &ref))
		return;
	memmove(set->data + ref.offset, set->data + ref.next, set->len - ref.next);
	set->len -= ref.next - ref.offset;
	if (set->len == 0)
		blob_xattrs_free(set);
}

bool blob_xattrs_has_internal(const struct blob_xattrs *set)
{
	struct blob_xattr_ref ref;

	for (uint32_t at = 0; blob_xattrs_at(set, at, &ref); at = ref.next) {
		if (ref.internal)
			return true;
	}
	return false;
}

bool blob_xattrs_get_id(const struct blob_xattrs *set, const char *name, uint64_t *id)
{
	struct blob_xattr_ref ref;

	if (!blob_xattrs_find(set, true, name, strlen(name), &ref) ||
	    ref.value_len != sizeof(uint64_t))
		return false;
	*id = le64_get(ref.value);
	return true;
}

int blob_xattrs_set_id(struct blob_xattrs *set, const char *name, uint64_t id, struct error *err)
{
	uint8_t value[sizeof(uint64_t)];

	le64_put(value, id);
	return blob_xattrs_set(set, true, name, strlen(name), value, sizeof(value), err);
}

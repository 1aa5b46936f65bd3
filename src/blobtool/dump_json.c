/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump --json: an object for each page, decoded; what cannot be decoded in hexadecimal.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/dump.h"
#include "blobtool/text.h"

static void put(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void set_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static json_t *hex_json(const uint8_t *p, uint32_t len)
{
	char text[2 * BLOB_DESCRIPTORS_BYTES + 1] = "";

	for (uint32_t i = 0; i < len && i < BLOB_DESCRIPTORS_BYTES; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", p[i]);
	return json_string(text);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static bool set_xattr(json_t *o, const struct desc *d)
{
	struct desc_xattr x;

	if (!desc_xattr(d, &x))
		return false;
	json_object_set_new(o, "name", hex_json((const uint8_t *)x.name, x.name_len));
	json_object_set_new(o, "value", hex_json(x.value, x.value_len));
	return true;
}

static bool set_pairs(json_t *o, const struct desc *d, uint32_t head)
{
	json_t *list;

	if (d->length < head || (d->length - head) % 8 != 0)
		return false;
	list = json_array();
	if (head == 8)
		set_number(o, "clusters", le64_get(d->payload));
	for (uint32_t i = head; i < d->length; i += 8)
		json_array_append_new(list, json_pack("[II]", (json_int_t)le32_get(d->payload + i),
						      (json_int_t)le32_get(d->payload + i + 4)));
	json_object_set_new(o, "entries", list);
	return true;
}

static bool set_entries(json_t *o, const struct desc *d)
{
	json_t *list;

	if (d->length < 4 || d->length % 4 != 0)
		return false;
	list = json_array();
	set_number(o, "start", le32_get(d->payload));
	for (uint32_t i = 4; i < d->length; i += 4)
		json_array_append_new(list, json_integer(le32_get(d->payload + i)));
	json_object_set_new(o, "entries", list);
	return true;
}

static bool set_flags(json_t *o, const struct desc *d)
{
	if (d->length != 24)
		return false;
	json_object_set_new(o, "invalid", text_json_id(le64_get(d->payload)));
	json_object_set_new(o, "data_ro", text_json_id(le64_get(d->payload + 8)));
	json_object_set_new(o, "md_ro", text_json_id(le64_get(d->payload + 16)));
	return true;
}

static bool decode(json_t *o, const struct desc *d)
{
	switch (d->type) {
	case BLOB_DESC_FLAGS:
		return set_flags(o, d);
	case BLOB_DESC_XATTR:
	case BLOB_DESC_XATTR_INTERNAL:
		return set_xattr(o, d);
	case BLOB_DESC_EXTENT_TABLE:
		return set_pairs(o, d, 8);
	case BLOB_DESC_EXTENT_RLE:
		return set_pairs(o, d, 0);
	case BLOB_DESC_EXTENT_PAGE:
		return set_entries(o, d);
	default:
		return false;
	}
}

static json_t *desc_json(const struct desc *d)
{
	json_t *o = json_object();

	set_number(o, "byte", offsetof(struct blob_disk_page, descriptors) + d->at);
	set_number(o, "type", d->type);
	json_object_set_new(o, "what", json_string(dump_type(d->type)));
	set_number(o, "length", d->length);
	if (d->payload != NULL && !decode(o, d))
		json_object_set_new(o, "payload", hex_json(d->payload, d->length));
	return o;
}

/* --- pages ------------------------------------------------------------------------------------ */

void dump_json_page(const struct model *m, uint32_t index, uint8_t *page)
{
	uint32_t next = blob_page_next(page);
	json_t *o = json_object(), *list = json_array();
	struct desc d = { 0 };

	set_number(o, "page", index);
	set_number(o, "at", blob_page_offset(&m->geo, index));
	json_object_set_new(o, "kind", json_string(dump_kind(blob_page_classify(page, index))));
	json_object_set_new(o, "id", text_json_id(le64_get(page)));
	set_number(o, "sequence", le32_get(page + offsetof(struct blob_disk_page, sequence)));
	json_object_set_new(o, "next", next == BLOB_NEXT_NONE ? json_null() : json_integer(next));
	json_object_set_new(o, "checksum_is_right", json_boolean(blob_page_crc_is_right(page)));
	while (desc_next(page, &d))
		json_array_append_new(list, desc_json(&d));
	json_object_set_new(o, "descriptors", list);
	put(o);
}

void dump_json_super(const struct model *m)
{
	json_t *o = json_object(), *fields = json_object();

	for (const struct dump_field *f = dump_fields; f->name != NULL; f++)
		json_object_set_new(fields, f->name,
				    f->bytes == 4 ? json_integer((json_int_t)dump_field_value(m, f))
						  : text_json_id(dump_field_value(m, f)));
	json_object_set_new(o, "super", fields);
	json_object_set_new(o, "checksum_is_right", json_boolean(blob_page_crc_is_right(m->super)));
	put(o);
}

void dump_json_mask(uint64_t at, const uint8_t *header)
{
	json_t *o = json_object();

	set_number(o, "mask", header[0]);
	set_number(o, "at", at);
	set_number(o, "bits", le32_get(header + offsetof(struct blob_disk_mask, length)));
	put(o);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: metadata as it stands on the device, decoded and in hexadecimal. It believes nothing: each
 * page is shown, whatever its checksum says.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "blobtool/descriptors.h"
#include "blobtool/dump.h"
#include "blobtool/text.h"
#include "blobtool/tool.h"

/* Set once, from the command line. */
static bool as_json;

const struct dump_field dump_fields[] = {
#define FIELD(name, bytes)                                                                         \
	{                                                                                          \
#name, offsetof(struct blob_disk_super, name), bytes                               \
	}
	FIELD(version, 4),
	FIELD(length, 4),
	FIELD(clean, 4),
	FIELD(super_blob, 8),
	FIELD(cluster_size, 4),
	FIELD(used_page_mask_start, 4),
	FIELD(used_page_mask_len, 4),
	FIELD(used_cluster_mask_start, 4),
	FIELD(used_cluster_mask_len, 4),
	FIELD(md_start, 4),
	FIELD(md_len, 4),
	FIELD(used_blobid_mask_start, 4),
	FIELD(used_blobid_mask_len, 4),
	FIELD(size, 8),
	FIELD(io_unit_size, 4),
	FIELD(md_page_size, 4),
	FIELD(crc, 4),
#undef FIELD
	{ NULL, 0, 0 },
};

uint64_t dump_field_value(const struct model *m, const struct dump_field *field)
{
	const uint8_t *p = m->super + field->at;

	return field->bytes == 4 ? le32_get(p) : le64_get(p);
}

const char *dump_kind(enum blob_page_kind kind)
{
	static const char *const kinds[] = { "no page of a blob", "root page, broken", "root page",
					     "continuation page", "extent page" };

	return kinds[kind];
}

const char *dump_type(uint8_t type)
{
	static const char *const names[] = { "padding",	   "runs",	     "xattr",
					     "flags",	   "internal xattr", "extent table",
					     "extent page" };

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown type";
}

/* --- hexadecimal ------------------------------------------------------------------------------ */

static void hex_line(const uint8_t *p, uint64_t at)
{
	printf("  %010" PRIx64 " ", at);
	for (int i = 0; i < 16; i++)
		printf("%s%02x", i % 8 == 0 ? " " : "", p[i]), fputs(i == 15 ? "  " : " ", stdout);
	for (int i = 0; i < 16; i++)
		putchar(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '.');
	putchar('\n');
}

/* Lines that are like the one before are left out, as hexdump(1) does. */
static void hex(const uint8_t *p, uint64_t at)
{
	bool same = false;

	for (uint32_t i = 0; i < BLOB_PAGE_BYTES; i += 16) {
		if (i > 0 && i + 16 < BLOB_PAGE_BYTES && !memcmp(p + i, p + i - 16, 16)) {
			if (!same)
				puts("  *");
			same = true;
			continue;
		}
		same = false;
		hex_line(p + i, at + i);
	}
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void show_bytes(const uint8_t *p, uint32_t len)
{
	uint32_t text = len > 0 && p[len - 1] == 0 ? len - 1 : len;
	bool plain = true;

	while (text > 0 && p[text - 1] == 0)
		text--;
	for (uint32_t i = 0; i < text; i++)
		plain = plain && p[i] >= 0x20 && p[i] < 0x7f;
	if (plain && text > 0) {
		printf("\"%.*s\"", (int)text, (const char *)p);
		return;
	}
	for (uint32_t i = 0; i < len && i < 32; i++)
		printf("%02x", p[i]);
	fputs(len > 32 ? "..." : "", stdout);
}

static void show_xattr(const struct desc *d)
{
	struct desc_xattr x;

	if (!desc_xattr(d, &x)) {
		puts("lengths that do not fit");
		return;
	}
	show_bytes((const uint8_t *)x.name, x.name_len);
	printf(" = %u bytes, ", x.value_len);
	show_bytes(x.value, x.value_len);
	putchar('\n');
}

static void show_pairs(const struct desc *d, uint32_t head)
{
	if (d->length < head || (d->length - head) % 8 != 0) {
		puts("a length that does not fit");
		return;
	}
	if (head == 8)
		printf("%" PRIu64 " clusters;", le64_get(d->payload));
	for (uint32_t i = head; i < d->length; i += 8)
		printf(" %" PRIu32 "+%" PRIu32, le32_get(d->payload + i),
		       le32_get(d->payload + i + 4));
	putchar('\n');
}

static void show_entries(const struct desc *d)
{
	if (d->length < 4 || d->length % 4 != 0) {
		puts("a length that does not fit");
		return;
	}
	printf("from cluster %" PRIu32 " on:", le32_get(d->payload));
	for (uint32_t i = 4; i < d->length; i += 4)
		printf(" %" PRIu32, le32_get(d->payload + i));
	putchar('\n');
}

static void show_desc(const struct desc *d)
{
	printf("  byte %4zu  %s, %" PRIu32 " bytes: ",
	       offsetof(struct blob_disk_page, descriptors) + d->at, dump_type(d->type), d->length);
	if (d->payload == NULL)
		puts("goes beyond the page");
	else if (d->type == BLOB_DESC_FLAGS && d->length == 24)
		printf("invalid 0x%" PRIx64 ", data_ro 0x%" PRIx64 ", md_ro 0x%" PRIx64 "\n",
		       le64_get(d->payload), le64_get(d->payload + 8), le64_get(d->payload + 16));
	else if (d->type == BLOB_DESC_XATTR || d->type == BLOB_DESC_XATTR_INTERNAL)
		show_xattr(d);
	else if (d->type == BLOB_DESC_EXTENT_TABLE)
		show_pairs(d, 8);
	else if (d->type == BLOB_DESC_EXTENT_RLE)
		show_pairs(d, 0);
	else if (d->type == BLOB_DESC_EXTENT_PAGE)
		show_entries(d);
	else
		printf("type %u\n", d->type);
}

/* --- pages ------------------------------------------------------------------------------------ */

static int show_page(const struct model *m, uint32_t index, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	struct desc d = { 0 };
	int rc = model_read_page(m, index, page, err);

	if (rc < 0)
		return rc;
	if (as_json) {
		dump_json_page(m, index, page);
		return 0;
	}
	printf("page %" PRIu32 " at byte %" PRIu64 ": %s\n", index,
	       blob_page_offset(&m->geo, index), dump_kind(blob_page_classify(page, index)));
	printf("  id 0x%" PRIx64 ", sequence %" PRIu32 ", next ", le64_get(page),
	       le32_get(page + 8));
	if (blob_page_next(page) == BLOB_NEXT_NONE)
		fputs("none", stdout);
	else
		printf("%" PRIu32, blob_page_next(page));
	printf(", checksum 0x%08" PRIx32 " %s\n", le32_get(page + BLOB_PAGE_BYTES - 4),
	       blob_page_crc_is_right(page) ? "(right)" : "(wrong)");
	while (desc_next(page, &d))
		show_desc(&d);
	hex(page, blob_page_offset(&m->geo, index));
	putchar('\n');
	return 0;
}

static int show_blob(const struct model *m, uint64_t id, struct error *err)
{
	uint32_t blob = model_find(m, id);
	const struct volume *v;
	int rc = 0;

	if (blob == NO_BLOB)
		return error_set(err, -ENOENT, "%s: no blob 0x%" PRIx64, m->img->path, id);
	v = &m->blobs[blob];
	for (uint32_t i = 0; i < v->chain_len && rc == 0; i++)
		rc = show_page(m, v->chain[i], err);
	if (rc == 0 && v->damage != DAMAGE_NONE && v->bad_page < m->geo.md.len)
		rc = show_page(m, v->bad_page, err);
	for (uint32_t i = 0;
	     v->content.form == BLOB_FORM_TABLE && i < v->content.pairs.count && rc == 0; i++) {
		if (v->content.pairs.pair[i].a != 0)
			rc = show_page(m, v->content.pairs.pair[i].a, err);
	}
	return rc;
}

static void show_super(const struct model *m)
{
	if (as_json) {
		dump_json_super(m);
		return;
	}
	puts("super block at byte 0");
	for (const struct dump_field *f = dump_fields; f->name != NULL; f++) {
		uint64_t value = dump_field_value(m, f);

		printf("  byte %4zu  %-24s %" PRIu64 " (0x%" PRIx64 ")\n", f->at, f->name, value,
		       value);
	}
	hex(m->super, 0);
	putchar('\n');
}

static int show_masks(const struct model *m, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];

	for (int type = 0; type < 3; type++) {
		const struct blob_region *r = model_mask_region(m, (enum blob_disk_mask_type)type);
		uint64_t at = (uint64_t)r->start * m->geo.page_size;
		uint64_t bytes = (uint64_t)r->len * m->geo.page_size;
		bool first = true;

		for (uint64_t i = 0; i < bytes; i += BLOB_PAGE_BYTES) {
			int rc = image_read(m->img, page, at + i, BLOB_PAGE_BYTES, err);

			if (rc < 0)
				return rc;
			if (as_json) {
				dump_json_mask(at, page);
				break;
			}
			if (first)
				printf("mask at byte %" PRIu64 ": type %u, %" PRIu32 " bits\n", at,
				       page[0], le32_get(page + 1));
			first = false;
			hex(page, at + i);
		}
		if (!as_json)
			putchar('\n');
	}
	return 0;
}

/* --- words ------------------------------------------------------------------------------------ */

static int show_range(const struct model *m, const char *word, struct error *err)
{
	const char *dash = strchr(word, '-');
	uint64_t first, last;
	char head[24];
	int rc = 0;

	snprintf(head, sizeof(head), "%.*s", (int)(dash ? dash - word : 23), word);
	if (parse_u64(head, &first) < 0 || parse_u64(dash ? dash + 1 : head, &last) < 0)
		return error_set(err, -EINVAL,
				 "\"%.50s\": \"super\", \"masks\", a page, a range of pages "
				 "(3-7) or a blob id (0x100000003) is needed",
				 word);
	if (first > last || last >= m->geo.md.len)
		return error_set(err, -ENOENT, "%s: no pages %s, the store has pages 0 to %" PRIu32,
				 m->img->path, word, m->geo.md.len - 1);
	for (uint64_t i = first; i <= last && rc == 0; i++)
		rc = show_page(m, (uint32_t)i, err);
	return rc;
}

static int show_word(const struct model *m, const char *word, struct error *err)
{
	uint64_t id;

	if (!strcmp(word, "super")) {
		show_super(m);
		return 0;
	}
	if (m->code < 0)
		return error_set(err, m->code, "%s: %s; only \"super\" can be shown", m->img->path,
				 m->f->items[0].text);
	if (!strcmp(word, "masks"))
		return show_masks(m, err);
	if (!strncmp(word, "0x", 2) && parse_u64(word, &id) == 0 && id >= BLOB_ID_BASE)
		return show_blob(m, id, err);
	return show_range(m, word, err);
}

static int show_all(const struct model *m, struct error *err)
{
	int rc = 0;

	show_super(m);
	for (uint32_t i = 0; i < m->page_count && rc == 0; i++)
		rc = show_page(m, m->pages[i].index, err);
	return rc;
}

int verb_dump(const struct tool_verb *verb, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "an object in JSON on a line for each page",
		  &as_json, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	struct look l;
	int code = TOOL_EXIT_OK, words = tool_look(verb, argc, argv, rows, &l, &code), rc = 0;

	if (words < 0)
		return code;
	if (words == 1)
		rc = show_all(&l.m, &err);
	for (int i = 2; i <= words && rc == 0; i++)
		rc = show_word(&l.m, argv[i], &err);
	return tool_leave(&l, rc, &err, code);
}

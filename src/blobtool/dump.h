/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: what its two files share.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_DUMP_H
#define BLOBTOOL_DUMP_H

#include "blobtool/model.h"

/** struct dump_field - of the super block; @bytes: 4 or 8 */
struct dump_field {
	const char *name;
	size_t at;
	int bytes;
};
extern const struct dump_field dump_fields[]; /* ends with a name of NULL */
uint64_t dump_field_value(const struct model *m, const struct dump_field *field);
/** dump_kind() - of an enum blob_page_kind */
const char *dump_kind(enum blob_page_kind kind);
/** dump_type() - of an enum blob_disk_type; any number */
const char *dump_type(uint8_t type);

/* dump_json.c: each prints one object on a line */
void dump_json_super(const struct model *m);
void dump_json_mask(uint64_t at, const uint8_t *header);
void dump_json_page(const struct model *m, uint32_t index, uint8_t *page);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings: kept, counted, shown.
 *
 * Threading: one thread.
 */
#include "blobtool/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "blobtool/text.h"

static const char *const severity_names[] = { "info", "warning", "error" };

static bool make_room(struct findings *f)
{
	uint32_t room = f->room == 0 ? 32 : f->room * 2;
	struct finding *more;

	if (f->count < f->room)
		return true;
	if (f->count >= FINDINGS_MAX)
		return false;
	more = realloc(f->items, room * sizeof(*more));
	if (more == NULL)
		return false;
	f->items = more;
	f->room = room;
	return true;
}

void finding_add(struct findings *f, enum severity severity, const char *rule, uint64_t blob,
		 uint64_t page, uint64_t cluster, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	f->total[severity]++;
	if (!make_room(f))
		return;
	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	f->items[f->count++] = (struct finding){ .severity = severity,
						 .rule = rule,
						 .blob = blob,
						 .page = page,
						 .cluster = cluster,
						 .text = n < 0 ? NULL : text };
}

void findings_free(struct findings *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		free(f->items[i].text);
	free(f->items);
	*f = (struct findings){ 0 };
}

static void print_one(const struct finding *f, FILE *out)
{
	fprintf(out, "%-7s  %-16s", severity_names[f->severity], f->rule);
	if (f->blob != BLOB_ID_NONE)
		fprintf(out, " blob 0x%" PRIx64, f->blob);
	if (f->page != FINDING_NONE)
		fprintf(out, " page %" PRIu64, f->page);
	if (f->cluster != FINDING_NONE)
		fprintf(out, " cluster %" PRIu64, f->cluster);
	fputs(": ", out);
	text_print(out, f->text != NULL ? f->text : "no memory for the words");
	fputc('\n', out);
}

void findings_print(const struct findings *f, FILE *out)
{
	uint64_t all = f->total[0] + f->total[1] + f->total[2];

	for (int s = SEVERITY_ERROR; s >= SEVERITY_INFO; s--) {
		for (uint32_t i = 0; i < f->count; i++) {
			if (f->items[i].severity == (enum severity)s)
				print_one(&f->items[i], out);
		}
	}
	if (all > f->count)
		fprintf(out, "... and %" PRIu64 " more\n", all - f->count);
}

static json_t *number(uint64_t value)
{
	return value == FINDING_NONE ? json_null() : json_integer((json_int_t)value);
}

json_t *findings_json(const struct findings *f)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < f->count; i++) {
		const struct finding *x = &f->items[i];
		json_t *o = json_object();

		json_object_set_new(o, "severity", json_string(severity_names[x->severity]));
		json_object_set_new(o, "rule", json_string(x->rule));
		json_object_set_new(o, "blob_id",
				    x->blob == BLOB_ID_NONE ? json_null() : text_json_id(x->blob));
		json_object_set_new(o, "page", number(x->page));
		json_object_set_new(o, "cluster", number(x->cluster));
		json_object_set_new(o, "text", text_json(x->text != NULL ? x->text : ""));
		json_array_append_new(list, o);
	}
	return list;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: every invariant; nothing is changed.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "blobtool/tool.h"

static void print_json(const struct findings *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "sound", json_boolean(!findings_bad(f)));
	json_object_set_new(o, "errors", json_integer((json_int_t)f->total[SEVERITY_ERROR]));
	json_object_set_new(o, "warnings", json_integer((json_int_t)f->total[SEVERITY_WARNING]));
	json_object_set_new(o, "findings", findings_json(f));
	json_dumpf(o, stdout, JSON_INDENT(1));
	puts("");
	json_decref(o);
}

int verb_check(const struct tool_verb *verb, int argc, char **argv)
{
	bool as_json = false;
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON", &as_json, 0, 0, NULL, NULL },
		{ 0 },
	};
	const struct findings *f;
	struct look l;
	int code = TOOL_EXIT_OK;

	if (tool_look(verb, argc, argv, rows, &l, &code) < 0)
		return code;
	f = &l.f;
	if (as_json) {
		print_json(f);
	} else {
		findings_print(f, stdout);
		printf("%s: %" PRIu64 " errors, %" PRIu64 " warnings, %" PRIu32 " blobs, %" PRIu32
		       " metadata pages in use\n",
		       argv[1], f->total[SEVERITY_ERROR], f->total[SEVERITY_WARNING],
		       l.m.blob_count, l.m.page_count);
	}
	return tool_leave(&l, 0, NULL, findings_bad(f) ? TOOL_EXIT_DAMAGED : TOOL_EXIT_OK);
}

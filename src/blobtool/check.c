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
	struct error err = ERROR_INIT;
	struct findings f;
	struct image img;
	struct model m;
	int code = TOOL_EXIT_OK;

	if (tool_parse(verb, argc, argv, rows, &code) < 0)
		return code;
	if (tool_open(argv[1], &img, &f, &m, &err) < 0)
		return tool_complain(&err);
	if (as_json) {
		print_json(&f);
	} else {
		findings_print(&f, stdout);
		printf("%s: %" PRIu64 " errors, %" PRIu64 " warnings, %" PRIu32 " blobs, %" PRIu32
		       " metadata pages in use\n",
		       argv[1], f.total[SEVERITY_ERROR], f.total[SEVERITY_WARNING], m.blob_count,
		       m.page_count);
	}
	code = findings_bad(&f) ? TOOL_EXIT_DAMAGED : TOOL_EXIT_OK;
	tool_close(&img, &f, &m);
	return tool_finish(code);
}

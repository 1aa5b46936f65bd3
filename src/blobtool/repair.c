/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repair: plan, tell, ask, keep, write.
 *
 * Threading: one thread.
 */
#include "blobtool/repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobtool/text.h"
#include "blobtool/tool.h"

#define ROUNDS_MAX 4096u
#define NOTES_MAX  100000u

/* --- notes ------------------------------------------------------------------------------------ */

static void add_note(struct notes *n, const char *fmt, va_list args)
{
	char *text;

	if (n->count == n->room) {
		uint32_t room = n->room == 0 ? 16 : n->room * 2;
		char **more = n->room < NOTES_MAX ? realloc(n->items, room * sizeof(char *)) : NULL;

		if (more == NULL)
			return;
		n->items = more;
		n->room = room;
	}
	if (vasprintf(&text, fmt, args) >= 0)
		n->items[n->count++] = text;
}

void repair_step(struct repair *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_note(&r->steps, fmt, args);
	va_end(args);
}

void repair_left(struct repair *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_note(&r->left, fmt, args);
	va_end(args);
}

static void clear_notes(struct notes *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
	*n = (struct notes){ 0 };
}

static void print_notes(const char *title, const struct notes *n)
{
	if (n->count > 0)
		puts(title);
	for (uint32_t i = 0; i < n->count; i++) {
		printf("  %" PRIu32 ". ", i + 1);
		text_print(stdout, n->items[i]);
		putchar('\n');
	}
}

static json_t *notes_json(const struct notes *n)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n->count; i++)
		json_array_append_new(list, text_json(n->items[i]));
	return list;
}

static void print_json(const struct repair *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "steps", notes_json(&r->steps));
	json_object_set_new(o, "left", notes_json(&r->left));
	json_object_set_new(o, "undo", r->kept != NULL ? text_json(r->kept) : json_null());
	if (r->checked) {
		json_object_set_new(o, "errors",
				    json_integer((json_int_t)r->f.total[SEVERITY_ERROR]));
		json_object_set_new(o, "warnings",
				    json_integer((json_int_t)r->f.total[SEVERITY_WARNING]));
	}
	json_dumpf(o, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(o);
}

/* --- planning --------------------------------------------------------------------------------- */

static void forget_round(struct repair *r)
{
	model_free(&r->m);
	findings_free(&r->f);
	clear_notes(&r->left);
	r->changed = false;
}

/* A blob without room for a change stays as it is. */
static int run_fix(struct repair *r, int (*fix)(struct repair *r, struct error *err),
		   struct error *err)
{
	int rc = fix(r, err);

	if (rc != -ENOSPC)
		return rc;
	repair_left(r, "%s", err->text);
	*err = (struct error)ERROR_INIT;
	return 0;
}

static int run_fixes(struct repair *r, struct error *err)
{
	/* What a later one sees depends on what an earlier one puts right. */
	static int (*const fixes[])(struct repair * r, struct error * err) = {
		fix_torn, fix_checksums, fix_chains, fix_extents, fix_tree, fix_shared, fix_names,
	};
	int rc = 0;

	if (r->m.code < 0)
		return fix_super(r, err);
	for (size_t i = 0; i < sizeof(fixes) / sizeof(fixes[0]) && rc == 0 && !r->changed; i++)
		rc = run_fix(r, fixes[i], err);
	return rc;
}

static bool lost_by_cut(const struct repair *r)
{
	if (!r->was_cut || (r->allow & ALLOW_HOLES) != 0)
		return false;
	for (uint32_t i = 0; i < r->m.blob_count; i++) {
		if (r->m.blobs[i].damage == DAMAGE_EXTENTS ||
		    r->m.blobs[i].damage == DAMAGE_CONTENT)
			return true;
	}
	return false;
}

static void refuse_cut(struct repair *r)
{
	clear_notes(&r->steps);
	clear_notes(&r->left);
	image_unstage(r->img);
	repair_left(
		r, "the store is larger than the device, and volumes have clusters behind its end: "
		   "bring back the missing bytes, or --allow holes lets them read as zeroes");
}

int repair_plan(struct repair *r, struct error *err)
{
	int rc = 0;

	for (uint32_t round = 0; round < ROUNDS_MAX && rc == 0; round++) {
		forget_round(r);
		rc = model_load(&r->m, r->img, &r->f, err);
		if (rc == 0 && r->m.code == 0 && lost_by_cut(r)) {
			refuse_cut(r);
			return 0;
		}
		if (rc == 0)
			rc = run_fixes(r, err);
		if (rc == 0 && !r->changed)
			break;
	}
	if (rc == 0 && r->m.code == 0)
		rc = fix_masks(r, err);
	return rc;
}

void repair_free(struct repair *r)
{
	forget_round(r);
	clear_notes(&r->steps);
	free(r->pages);
	free(r->clusters);
	free(r->tried);
}

/* --- asking and writing ----------------------------------------------------------------------- */

static bool agreed(const struct repair *r, bool yes)
{
	char line[16] = "";

	if (yes || r->as_json)
		return yes;
	if (!isatty(STDIN_FILENO)) {
		puts("\nNothing was changed: --yes carries it out.");
		return false;
	}
	fputs("\nCarry this out? [y/N] ", stdout);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
		return true;
	puts("Nothing was changed.");
	return false;
}

/* In the current folder, under the image's name: next to a device nothing can be kept. */
static void choose_file(const char *image, char *file, size_t size)
{
	const char *slash = strrchr(image, '/');
	const char *name = slash != NULL ? slash + 1 : image;

	snprintf(file, size, "%.200s.undo", name);
	for (unsigned int n = 2; access(file, F_OK) == 0 && n < 10000; n++)
		snprintf(file, size, "%.200s.undo%u", name, n);
}

static int carry_out(struct repair *r, const char *save, struct error *err)
{
	int rc;

	tool_hold_interrupts();
	rc = undo_write(r->img, save, err);
	if (rc == 0)
		r->kept = save;
	if (rc == 0 && !r->as_json) {
		printf("\nWhat is replaced is kept in %s; `" PROGRAM
		       " repair --undo %s` plays it back.\n",
		       save, save);
		fflush(stdout);
	}
	if (rc == 0)
		rc = undo_apply(r->img, err);
	tool_release_interrupts();
	return rc;
}

/* What the image looks like now. */
static int check_again(struct repair *r, int *code, struct error *err)
{
	struct notes left = r->left;
	int rc;

	r->left = (struct notes){ 0 };
	image_unstage(r->img);
	forget_round(r);
	rc = model_load(&r->m, r->img, &r->f, err);
	r->left = left;
	if (rc < 0)
		return rc;
	r->checked = true;
	if (!r->as_json)
		printf("%s: %" PRIu64 " errors, %" PRIu64 " warnings are left\n", r->img->path,
		       r->f.total[SEVERITY_ERROR], r->f.total[SEVERITY_WARNING]);
	*code = r->f.total[SEVERITY_ERROR] > 0 ? TOOL_EXIT_DAMAGED : TOOL_EXIT_OK;
	return 0;
}

static void tell(const struct repair *r)
{
	if (r->as_json)
		return;
	print_notes("These things will be done:", &r->steps);
	print_notes("These things cannot be done:", &r->left);
	if (!image_has_plans(r->img))
		puts(r->left.count > 0 ? "Nothing was changed." : "There is nothing to repair.");
}

static int do_repair(struct repair *r, bool yes, const char *save, int *code, struct error *err)
{
	int rc = repair_plan(r, err);

	if (rc < 0)
		return rc;
	tell(r);
	*code = r->left.count > 0 ? TOOL_EXIT_DAMAGED : TOOL_EXIT_OK;
	if (!image_has_plans(r->img))
		return 0;
	if (!agreed(r, yes)) {
		*code = TOOL_EXIT_REFUSED;
		return 0;
	}
	rc = carry_out(r, save, err);
	return rc < 0 ? rc : check_again(r, code, err);
}

static int allow_word(const char *value, void *arg, struct error *err)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} words[] = {
		{ "holes", ALLOW_HOLES },   { "truncate", ALLOW_TRUNCATE },
		{ "detach", ALLOW_DETACH }, { "drop", ALLOW_DROP },
		{ "super", ALLOW_SUPER },   { "version", ALLOW_VERSION },
		{ "page", ALLOW_PAGE },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(value, words[i].name)) {
			*(unsigned int *)arg |= words[i].bit;
			return 0;
		}
	}
	return error_set(err, -EINVAL,
			 "--allow \"%.30s\": holes, truncate, detach, drop, super, version or page",
			 value);
}

static int repair_image(const char *path, struct repair *r, bool yes, const char *save, int *code,
			struct error *err)
{
	char file[256];
	struct image img;
	int rc = image_open(&img, path, true, err);

	if (rc < 0)
		return rc;
	r->img = &img;
	choose_file(path, file, sizeof(file));
	rc = do_repair(r, yes, save != NULL ? save : file, code, err);
	if (rc == 0 && r->as_json)
		print_json(r);
	repair_free(r);
	image_close(&img);
	return rc;
}

int verb_repair(const struct tool_verb *verb, int argc, char **argv)
{
	const char *undo = NULL, *save = NULL;
	struct repair r = { 0 };
	bool yes = false;
	const struct option_row rows[] = {
		{ "yes", 'y', OPTION_FLAG, NULL, "do not ask", &yes, 0, 0, NULL, NULL },
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON, and never ask", &r.as_json, 0, 0,
		  NULL, NULL },
		{ "allow", 'a', OPTION_CALL, "WHAT", "what may be lost (see above)", NULL, 0, 0,
		  allow_word, &r.allow },
		{ "save", 's', OPTION_STRING, "FILE",
		  "keep what is replaced there (default: IMAGE.undo in the current folder)", &save,
		  0, 0, NULL, NULL },
		{ "undo", 'u', OPTION_STRING, "FILE",
		  "put back what FILE kept; IMAGE may be left out", &undo, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	int code = TOOL_EXIT_OK, words = tool_parse(verb, argc, argv, rows, &code), rc;

	if (words < 0)
		return code;
	if (undo != NULL) {
		tool_hold_interrupts();
		rc = undo_play(undo, words > 0 ? argv[1] : NULL, &err);
		tool_release_interrupts();
	} else if (words == 0)
		rc = error_set(&err, -EINVAL, "repair takes IMAGE; --help tells more");
	else
		rc = repair_image(argv[1], &r, yes, save, &code, &err);
	if (rc < 0)
		code = tool_complain(&err);
	return tool_finish(code);
}

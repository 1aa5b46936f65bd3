/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs share: options, opening, finding a volume, exit codes, signals, progress.
 *
 * Threading: one thread.
 */
#include "blobtool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "blobtool/text.h"

#define ROWS_MAX 24
#define QUIET_NS NS_PER_SEC
#define STEP_NS	 (NS_PER_SEC / 5)

static int exit_of(int rc)
{
	switch (-rc) {
	case EINVAL:
	case ERANGE:
		return TOOL_EXIT_USAGE;
	case EBUSY:
	case EEXIST:
	case ENOTEMPTY:
	case EPERM:
		return TOOL_EXIT_REFUSED;
	case ENOENT:
	case ENODEV:
		return TOOL_EXIT_NOT_FOUND;
	case EILSEQ:
	case ENXIO:
		return TOOL_EXIT_DAMAGED;
	default:
		return TOOL_EXIT_FAILURE;
	}
}

int tool_complain(const struct error *err)
{
	fflush(stdout);
	fputs(PROGRAM ": ", stderr);
	text_print(stderr, err->text);
	fputc('\n', stderr);
	return exit_of(err->code);
}

int tool_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	perror(PROGRAM ": standard output");
	return TOOL_EXIT_FAILURE;
}

/* --- options ---------------------------------------------------------------------------------- */

int tool_parse(const struct tool_verb *verb, int argc, char **argv, const struct option_row *rows,
	       int *code)
{
	struct option_row all[ROWS_MAX] = { 0 };
	struct error err = ERROR_INIT;
	bool help = false;
	int words, n = 0;

	for (; rows[n].name != NULL || rows[n].letter != 0; n++)
		all[n] = rows[n];
	all[n] = (struct option_row){ "help", 'h', OPTION_FLAG, NULL, "show this help",
				      &help,  0,   0,		NULL, NULL };
	words = options_parse(argc, argv, all, false, &err);
	if (words >= 0 && help) {
		printf("usage: " PROGRAM " %s [options] %s\n\n%s.\n%s\n\n", verb->name, verb->words,
		       verb->what, verb->text);
		options_help(stdout, all);
		*code = tool_finish(TOOL_EXIT_OK);
		return -1;
	}
	if (words >= 0 && (words < verb->min || words > verb->max))
		words = error_set(&err, -EINVAL,
				  "%s takes %s, but %d words came; --help tells more", verb->name,
				  verb->words, words);
	if (words < 0)
		*code = tool_complain(&err);
	return words;
}

/* --- images and volumes ----------------------------------------------------------------------- */

static void close_look(struct look *l)
{
	model_free(&l->m);
	findings_free(&l->f);
	image_close(&l->img);
}

int tool_look(const struct tool_verb *verb, int argc, char **argv, const struct option_row *rows,
	      struct look *l, int *code)
{
	struct error err = ERROR_INIT;
	int words = tool_parse(verb, argc, argv, rows, code), rc;

	*l = (struct look){ .img = { .fd = -1 } };
	if (words < 0)
		return words;
	rc = image_open(&l->img, argv[1], false, &err);
	if (rc == 0)
		rc = model_load(&l->m, &l->img, &l->f, &err);
	if (rc == 0)
		return words;
	*code = tool_complain(&err);
	close_look(l);
	return rc;
}

int tool_leave(struct look *l, int rc, const struct error *err, int code)
{
	if (rc < 0)
		code = tool_complain(err);
	close_look(l);
	return tool_finish(code);
}

int tool_need_store(const struct model *m, struct error *err)
{
	return m->code == 0 ? 0
			    : error_set(err, m->code, "%s: %s", m->img->path, m->f->items[0].text);
}

bool tool_is_listed(const struct model *m, uint32_t blob)
{
	const struct volume *v = &m->blobs[blob];

	return volume_counts(v) && !(m->is_lvol && model_is_super(m, v));
}

const char *tool_volume_label(const struct model *m, uint32_t blob, char out[static NAME_SIZE])
{
	const struct volume *v = &m->blobs[blob];

	if (m->is_lvol && model_is_super(m, v))
		snprintf(out, NAME_SIZE, "(the store's own)");
	else if (v->name[0] != '\0')
		snprintf(out, NAME_SIZE, "%s", v->name);
	else
		snprintf(out, NAME_SIZE, "0x%" PRIx64, v->id);
	return out;
}

static bool has_name(const struct model *m, const struct volume *v, const char *name)
{
	size_t len = strlen(m->store_name);
	char text[UUID_TEXT_SIZE];

	if (!strncmp(name, m->store_name, len) && name[len] == '/' && v->name[0] != '\0' &&
	    !strcmp(name + len + 1, v->name))
		return true;
	if (!v->has_uuid)
		return false;
	uuid_to_text(&v->uuid, text);
	return !strcasecmp(name, text);
}

static bool has_id(const struct volume *v, const char *name)
{
	uint64_t id;

	return !strncmp(name, "0x", 2) && parse_u64(name, &id) == 0 && id == v->id;
}

uint32_t tool_find_volume(const struct model *m, const char *name, struct error *err)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		const struct volume *v = &m->blobs[i];

		if (v->fate != FATE_DROP && v->listed &&
		    (has_id(v, name) || (tool_is_listed(m, i) && has_name(m, v, name))))
			return i;
	}
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (has_name(m, &m->blobs[i], name))
			return i;
	}
	error_set(err, -ENOENT,
		  "%s: no volume \"%.100s\"; `" PROGRAM
		  " inspect` lists all (STORE/VOLUME, UUID or "
		  "blob id)",
		  m->img->path, name);
	return NO_BLOB;
}

/* --- interrupts ------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void note_interrupt(int sig)
{
	interrupted = sig;
}

void tool_catch_interrupts(void)
{
	const struct sigaction action = { .sa_handler = note_interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int tool_check_interrupt(struct error *err)
{
	return interrupted == 0 ? 0
				: error_set(err, -EINTR, "interrupted; nothing was left half done");
}

static void mask_interrupts(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(how, &set, NULL);
}

void tool_hold_interrupts(void)
{
	mask_interrupts(SIG_BLOCK);
}

void tool_release_interrupts(void)
{
	mask_interrupts(SIG_UNBLOCK);
}

void tool_obey_interrupt(void)
{
	if (interrupted == 0)
		return;
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

/* --- progress --------------------------------------------------------------------------------- */

void progress_start(struct progress *p, const char *what)
{
	*p = (struct progress){ .what = what, .start_ns = clock_ns() };
}

void progress_show(struct progress *p, uint64_t done, uint64_t total)
{
	uint64_t now = clock_ns();
	char a[TEXT_SIZE], b[TEXT_SIZE];

	if (now - p->start_ns < QUIET_NS || now - p->last_ns < STEP_NS || !isatty(STDERR_FILENO))
		return;
	p->last_ns = now;
	p->shown = true;
	fprintf(stderr, "\r\033[K%s: %s of %s", p->what, text_size(done, a), text_size(total, b));
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
}

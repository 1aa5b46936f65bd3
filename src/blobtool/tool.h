/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-blob: what its verbs share.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_TOOL_H
#define BLOBTOOL_TOOL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"
#include "blobtool/model.h"

#define PROGRAM "cyborg-spdk-blob"

/* Exit codes, those of cyborg-spdk; cyborg-spdk-blob(1) lists them. */
enum tool_exit {
	TOOL_EXIT_OK = 0,
	TOOL_EXIT_FAILURE = 1,	 /* of the operating system */
	TOOL_EXIT_USAGE = 2,	 /* the command line is wrong */
	TOOL_EXIT_REFUSED = 3,	 /* in use, holds data, there already, needs consent */
	TOOL_EXIT_NOT_FOUND = 4, /* no such image, store, volume, page */
	TOOL_EXIT_DAMAGED = 8,	 /* check, repair: something is wrong with the store */
};

/**
 * struct tool_verb
 * @words: what may stand behind it, for the usage line; @min, @max: how many of them
 * @what: one sentence; @text: what more --help says
 */
struct tool_verb {
	const char *name, *words, *what, *text;
	int min, max;
	int (*run)(const struct tool_verb *verb, int argc, char **argv);
};

/**
 * tool_parse() - the options of a verb; answers --help itself
 * @rows: without --help, ends with zeros
 * @code: where to put the exit code
 *
 * Return: the number of words left in @argv behind argv[0]; negative: leave with @code.
 */
int tool_parse(const struct tool_verb *verb, int argc, char **argv, const struct option_row *rows,
	       int *code);
/** tool_complain() - print what went wrong, and the exit code for it */
int tool_complain(const struct error *err);
/** struct look - an image that is open for reading, and all that was found on it */
struct look {
	struct image img;
	struct findings f;
	struct model m;
};
/**
 * tool_look() - options, then open argv[1] and look at everything; the store may be damaged
 *
 * Return: as tool_parse(); what is not negative must be ended with tool_leave().
 */
int tool_look(const struct tool_verb *verb, int argc, char **argv, const struct option_row *rows,
	      struct look *l, int *code);
/** tool_leave() - complain when @rc is negative; the exit code */
int tool_leave(struct look *l, int rc, const struct error *err, int code);
/** tool_need_store() - -EILSEQ with @err when there is no store at all */
int tool_need_store(const struct model *m, struct error *err);
/** tool_finish() - @code, when standard output took everything */
int tool_finish(int code);
/** tool_is_listed() - a volume (of a plain Blobstore: a blob) that a load would show */
bool tool_is_listed(const struct model *m, uint32_t blob);
/** tool_find_volume() - by "STORE/VOLUME", UUID, or blob id with 0x; NO_BLOB with @err filled */
uint32_t tool_find_volume(const struct model *m, const char *name, struct error *err);
/** tool_volume_label() - its name, or its id where it has none */
const char *tool_volume_label(const struct model *m, uint32_t blob, char out[static NAME_SIZE]);

/** struct progress - a line on standard error, where that is a terminal, for what takes over 1 s */
struct progress {
	const char *what;
	uint64_t start_ns, last_ns;
	bool shown;
};
void progress_start(struct progress *p, const char *what);
void progress_show(struct progress *p, uint64_t done, uint64_t total);
void progress_end(struct progress *p);

/** tool_catch_interrupts() - SIGINT and SIGTERM are only noted from here on; main() obeys them */
void tool_catch_interrupts(void);
/** tool_check_interrupt() - -EINTR when one came: stop, and leave nothing half done */
int tool_check_interrupt(struct error *err);
/** tool_hold_interrupts() - what is done until tool_release_interrupts() must not stop half-way */
void tool_hold_interrupts(void);
void tool_release_interrupts(void);
/** tool_obey_interrupt() - end by the signal that came, if one did */
void tool_obey_interrupt(void);

int verb_inspect(const struct tool_verb *verb, int argc, char **argv);
int verb_map(const struct tool_verb *verb, int argc, char **argv);
int verb_check(const struct tool_verb *verb, int argc, char **argv);
int verb_repair(const struct tool_verb *verb, int argc, char **argv);
int verb_dump(const struct tool_verb *verb, int argc, char **argv);
int verb_export(const struct tool_verb *verb, int argc, char **argv);
int verb_create(const struct tool_verb *verb, int argc, char **argv);

#endif

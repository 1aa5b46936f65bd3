/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: one table a program gives the parser, the help text and the completions.
 *
 * Long options may be cut as long as they stay unambiguous, `--name=value` and `--name value` are
 * both taken, short flags may stand together. Every refusal names the option, what came and what
 * is allowed.
 *
 * Threading: used at start, by one thread.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum option_kind {
	OPTION_FLAG,	/* out: bool * */
	OPTION_STRING,	/* out: const char **, points into argv */
	OPTION_STRINGS, /* out: struct option_strings *, may be given several times */
	OPTION_U64,	/* out: uint64_t *, between min and max; 0x accepted */
	OPTION_SIZE,	/* out: uint64_t *, bytes; suffix K M G T (of 1024), optional iB or B */
	OPTION_SECONDS, /* out: uint64_t * in ns; suffix us ms s m h, default s; fractions */
	OPTION_CALL,	/* call(value, arg): 0 or a negative errno with err filled */
};

struct option_strings {
	const char **items;
	size_t count;
};

/**
 * struct option - one row of a program's table; the table ends with a row of all zeros
 * @name: long name without dashes, or NULL
 * @letter: short form, or 0
 * @kind: what it takes and where it goes
 * @value: the value's name in the help ("FILE"); ignored for flags
 * @help: one sentence
 * @out: where the value goes (see enum option_kind); the caller has put the default there
 * @min, @max: of OPTION_U64, OPTION_SIZE and OPTION_SECONDS (0, 0 for no bounds)
 * @call: of OPTION_CALL; @value NULL makes it an option without a value
 */
struct option_row {
	const char *name;
	char letter;
	enum option_kind kind;
	const char *value;
	const char *help;
	void *out;
	uint64_t min, max;
	int (*call)(const char *value, void *arg, struct error *err);
	void *arg;
};

/**
 * options_parse() - take the options from a command line
 * @argc, @argv: as main() has them (argv[0] is skipped); what is no option is moved to the front
 *               behind argv[0], `--` ends the options
 * @rows: the table
 * @stop_at_first: the first word that is no option ends the options (for programs with verbs)
 *
 * Return: the number of words that are left behind argv[0], or -EINVAL with @err filled.
 */
int options_parse(int argc, char **argv, const struct option_row *rows, bool stop_at_first,
		  struct error *err);
/** options_help() - the table as aligned help text */
void options_help(FILE *f, const struct option_row *rows);
/** options_strings_free() - give back what OPTION_STRINGS collected */
void options_strings_free(struct option_strings *s);

/** parse_size() - "512M", "1GiB", "4096"; -EINVAL, -ERANGE with @err filled */
int parse_size(const char *text, uint64_t *bytes, struct error *err);
/** parse_u64() - decimal or 0x, whole text; -EINVAL, -ERANGE */
int parse_u64(const char *text, uint64_t *value);

#endif

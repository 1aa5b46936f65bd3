/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: finding the row of each option, and the help text.
 *
 * Threading: used at start, by one thread.
 */
#include "base/options.h"

#include <errno.h>
#include <string.h>

#include "base/options_value.h"

/* Column of the help's sentences; longer names push theirs to the next line. */
#define HELP_COLUMN    30
#define CANDIDATES_MAX 256

/**
 * struct walk - where the parser is
 * @at: next word to look at
 * @left: words kept so far, behind argv[0]
 */
struct walk {
	int argc;
	char **argv;
	int at;
	int left;
	const struct option_row *rows;
};

static bool row_is_end(const struct option_row *row)
{
	return !row->name && row->letter == '\0';
}

static const struct option_row *find_letter(const struct option_row *rows, char letter)
{
	for (; !row_is_end(rows); rows++) {
		if (rows->letter == letter)
			return rows;
	}
	return NULL;
}

static void add_candidate(char *list, const char *name)
{
	size_t len = strlen(list);

	snprintf(list + len, CANDIDATES_MAX - len, "%s--%s", len ? ", " : "", name);
}

/* The row of a long name of @len bytes, whole or cut short. */
static const struct option_row *find_name(const struct option_row *rows, const char *name,
					  size_t len, struct error *err)
{
	const struct option_row *found = NULL;
	char candidates[CANDIDATES_MAX] = "";
	unsigned int count = 0;

	for (; !row_is_end(rows); rows++) {
		if (!rows->name || len == 0 || strncmp(rows->name, name, len) != 0)
			continue;
		if (rows->name[len] == '\0')
			return rows;
		found = rows;
		count++;
		add_candidate(candidates, rows->name);
	}
	if (count == 1)
		return found;
	if (count == 0)
		error_set(err, -EINVAL, "option --%.*s is not known; --help lists all", (int)len,
			  name);
	else
		error_set(err, -EINVAL, "option --%.*s is ambiguous: it may be %s", (int)len, name,
			  candidates);
	return NULL;
}

/* The value is the next word; NULL, with @err filled, when there is none. */
static const char *next_word(struct walk *w, const struct option_row *row, const char *label,
			     struct error *err)
{
	if (w->at < w->argc)
		return w->argv[w->at++];
	error_set(err, -EINVAL, "option %s wants a value, %s, behind it", label,
		  row->value ? row->value : "VALUE");
	return NULL;
}

static int take_long(struct walk *w, const char *word, struct error *err)
{
	size_t len = strcspn(word, "=");
	const char *value = word[len] == '=' ? word + len + 1 : NULL;
	const struct option_row *row = find_name(w->rows, word, len, err);
	char label[OPTION_LABEL_MAX];

	if (!row)
		return -EINVAL;
	snprintf(label, sizeof(label), "--%s", row->name);
	if (!option_takes_value(row) && value)
		return error_set(err, -EINVAL, "option %s takes no value, but '%s' was given",
				 label, value);
	if (option_takes_value(row) && !value) {
		value = next_word(w, row, label, err);
		if (!value)
			return -EINVAL;
	}
	return option_store(row, label, value, err);
}

/* Letters that stand together: flags, the last of which may take the rest, or the next word. */
static int take_letters(struct walk *w, const char *word, struct error *err)
{
	for (; *word != '\0'; word++) {
		const struct option_row *row = find_letter(w->rows, *word);
		char label[OPTION_LABEL_MAX];
		const char *value = NULL;
		int rc;

		snprintf(label, sizeof(label), "-%c", *word);
		if (!row)
			return error_set(err, -EINVAL, "option %s is not known; --help lists all",
					 label);
		if (option_takes_value(row)) {
			value = word[1] != '\0' ? word + 1 : next_word(w, row, label, err);
			if (!value)
				return -EINVAL;
		}
		rc = option_store(row, label, value, err);
		if (rc || value)
			return rc;
	}
	return 0;
}

static void keep_rest(struct walk *w)
{
	while (w->at < w->argc)
		w->argv[1 + w->left++] = w->argv[w->at++];
}

static int take_word(struct walk *w, bool stop_at_first, struct error *err)
{
	char *word = w->argv[w->at];

	/* "-" alone is a word: standard input, by custom. */
	if (word[0] != '-' || word[1] == '\0') {
		if (stop_at_first) {
			keep_rest(w);
			return 0;
		}
		w->at++;
		w->argv[1 + w->left++] = word;
		return 0;
	}
	w->at++;
	if (strcmp(word, "--") == 0) {
		keep_rest(w);
		return 0;
	}
	return word[1] == '-' ? take_long(w, word + 2, err) : take_letters(w, word + 1, err);
}

int options_parse(int argc, char **argv, const struct option_row *rows, bool stop_at_first,
		  struct error *err)
{
	struct walk w = { .argc = argc, .argv = argv, .at = 1, .rows = rows };

	while (w.at < argc) {
		if (take_word(&w, stop_at_first, err))
			return -EINVAL;
	}
	return w.left;
}

void options_help(FILE *f, const struct option_row *rows)
{
	for (; !row_is_end(rows); rows++) {
		const char *value = option_takes_value(rows) ? rows->value : NULL;
		int column;

		if (rows->letter != '\0')
			column = fprintf(f, "  -%c%s", rows->letter, rows->name ? ", " : "");
		else
			column = fprintf(f, "      ");
		if (rows->name)
			column += fprintf(f, "--%s", rows->name);
		if (value)
			column += fprintf(f, " %s", value);
		if (column >= HELP_COLUMN - 1) {
			fputc('\n', f);
			column = 0;
		}
		fprintf(f, "%*s%s\n", HELP_COLUMN - column, "", rows->help ? rows->help : "");
	}
}

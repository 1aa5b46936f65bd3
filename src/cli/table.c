/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for a person, see cli.h.
 *
 * Threading: one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define COLUMNS_MAX 12
#define GAP	    2

struct table {
	size_t columns;
	size_t rows;
	char **cells; /* rows * columns */
	int width[COLUMNS_MAX];
};

static void append(struct table *t, const char *const *cells)
{
	char **more = realloc(t->cells, (t->rows + 1) * t->columns * sizeof(*more));

	if (!more)
		return;
	t->cells = more;
	for (size_t i = 0; i < t->columns; i++) {
		char *text = strdup(cells[i] ? cells[i] : "");

		more[t->rows * t->columns + i] = text;
		if (text && (int)strlen(text) > t->width[i])
			t->width[i] = (int)strlen(text);
	}
	t->rows++;
}

struct table *table_create(size_t columns, const char *const *heads)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
	append(t, heads);
	return t;
}

void table_add(struct table *t, const char *const *cells)
{
	if (t)
		append(t, cells);
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
	const char *text = t->cells[row * t->columns + column];

	return text ? text : "";
}

/* What stands last in a row is not padded: no blanks at the ends of lines. */
void table_print(const struct table *t)
{
	for (size_t r = 0; t && r < t->rows; r++) {
		size_t last = t->columns - 1;

		while (last && !cell(t, r, last)[0])
			last--;
		for (size_t c = 0; c < last; c++)
			printf("%-*s%*s", t->width[c], cell(t, r, c), GAP, "");
		printf("%s\n", cell(t, r, last));
	}
}

void table_destroy(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

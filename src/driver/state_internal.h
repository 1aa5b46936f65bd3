/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the state share: one prepared statement, run.
 *
 * Threading: as state.h.
 */
#ifndef DRIVER_STATE_INTERNAL_H
#define DRIVER_STATE_INTERNAL_H

#include <sqlite3.h>

#include "driver/state.h"

struct state {
	sqlite3 *db;
	char dir[PATH_MAX];
	struct uuid node;
	int version;
};

/** state_error() - note what SQLite says; -ENOSPC, -EROFS, -EAGAIN, what the system said, -EIO */
int state_error(struct state *s, struct error *err);
/**
 * state_prepare() - prepare @sql and bind by @types: 's' const char *, 'i' int64_t, in order
 *
 * Return: the statement, or NULL with @err filled.
 */
sqlite3_stmt *state_prepare(struct state *s, struct error *err, const char *sql, const char *types,
			    ...);
/** state_run() - step a statement without rows and finalize it; NULL gives -EIO */
int state_run(struct state *s, sqlite3_stmt *stmt, struct error *err);
/** state_text() - copy a text column */
void state_text(sqlite3_stmt *stmt, int column, char *out, size_t size);

#endif

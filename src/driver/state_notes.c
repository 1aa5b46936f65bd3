/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts kept under keys in the table "node": its UUID, and what environments were made.
 *
 * Threading: as state.h.
 */
#include <errno.h>
#include <string.h>

#include "driver/state_internal.h"

int state_note(struct state *s, const char *key, char **out, struct error *err)
{
	sqlite3_stmt *q = state_prepare(s, err, "SELECT value FROM node WHERE key = ?", "s", key);
	const unsigned char *text;
	int rc = -ENOENT, got;

	*out = NULL;
	if (!q)
		return -EIO;
	got = sqlite3_step(q);
	if (got == SQLITE_ROW) {
		text = sqlite3_column_text(q, 0);
		*out = text ? strdup((const char *)text) : NULL;
		rc = *out ? 0 : error_set(err, -ENOMEM, "out of memory");
	} else if (got != SQLITE_DONE) {
		rc = state_error(s, err);
	}
	sqlite3_finalize(q);
	return rc;
}

int state_put_note(struct state *s, const char *key, const char *text, struct error *err)
{
	if (!text)
		return state_run(
			s, state_prepare(s, err, "DELETE FROM node WHERE key = ?", "s", key), err);
	return state_run(
		s,
		state_prepare(s, err, "INSERT OR REPLACE INTO node VALUES (?, ?)", "ss", key, text),
		err);
}

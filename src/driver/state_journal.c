/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of verbs, and the lock that names its holder.
 *
 * Threading: as state.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/state_internal.h"

#define LOCK_RETRY_US 5000
#define JOURNAL_KEEP  INT64_C(10000) /* ended verbs */

int intent_begin(struct state *s, struct intent *i, struct error *err)
{
	int rc;

	i->step = 0;
	rc = state_run(s,
		       state_prepare(s, err,
				     "INSERT INTO journal (verb, object, argument, step, outcome, "
				     "begun) VALUES (?, ?, ?, 0, 'open', unixepoch())",
				     "sss", i->verb, i->object, i->argument),
		       err);
	i->seq = sqlite3_last_insert_rowid(s->db);
	return rc;
}

int intent_step(struct state *s, struct intent *i, int step, struct error *err)
{
	i->step = step;
	return state_run(s,
			 state_prepare(s, err, "UPDATE journal SET step = ? WHERE seq = ?", "ii",
				       (int64_t)step, i->seq),
			 err);
}

int intent_end(struct state *s, const struct intent *i, const char *outcome, struct error *err)
{
	int rc = state_run(s,
			   state_prepare(s, err,
					 "UPDATE journal SET outcome = ?, ended = unixepoch() "
					 "WHERE seq = ?",
					 "si", outcome, i->seq),
			   err);

	if (rc < 0 || i->seq <= JOURNAL_KEEP)
		return rc;
	return state_run(s,
			 state_prepare(s, err,
				       "DELETE FROM journal WHERE outcome <> 'open' AND seq <= ?",
				       "i", i->seq - JOURNAL_KEEP),
			 err);
}

static int read_intent(struct state *s, sqlite3_stmt *q, struct intent *out, struct error *err)
{
	int rc = -ENOENT;

	if (!q)
		return -EIO;
	switch (sqlite3_step(q)) {
	case SQLITE_ROW:
		out->seq = sqlite3_column_int64(q, 0);
		state_text(q, 1, out->verb, sizeof(out->verb));
		state_text(q, 2, out->object, sizeof(out->object));
		out->step = sqlite3_column_int(q, 3);
		state_text(q, 4, out->argument, sizeof(out->argument));
		rc = 0;
		break;
	case SQLITE_DONE:
		break;
	default:
		rc = state_error(s, err);
		break;
	}
	sqlite3_finalize(q);
	return rc;
}

#define INTENT_COLUMNS "seq, verb, object, step, argument"

int intent_open(struct state *s, struct intent *out, struct error *err)
{
	sqlite3_stmt *q = state_prepare(s, err,
					"SELECT " INTENT_COLUMNS " FROM journal "
					"WHERE outcome = 'open' ORDER BY seq LIMIT 1",
					"");

	return read_intent(s, q, out, err);
}

int intent_last_done(struct state *s, const char *verb, const char *object, struct intent *out,
		     struct error *err)
{
	sqlite3_stmt *q = state_prepare(s, err,
					"SELECT " INTENT_COLUMNS " FROM journal WHERE verb = ? "
					"AND object = ? AND outcome = 'done' "
					"ORDER BY seq DESC LIMIT 1",
					"ss", verb, object);

	return read_intent(s, q, out, err);
}

static int lock_wait(int fd, uint64_t wait_ns)
{
	uint64_t until = clock_ns() + wait_ns;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_ns() >= until)
			return -EAGAIN;
		usleep(LOCK_RETRY_US);
	}
	return 0;
}

int state_lock(const char *dir, const char *verb, uint64_t wait_ns, struct error *err)
{
	char path[PATH_MAX + 8], text[160] = "", stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	ssize_t n;
	int fd, rc;

	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "lock %s: %s", path, error_errno_text(-errno));
	rc = lock_wait(fd, wait_ns);
	if (rc < 0) {
		n = pread(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		close(fd);
		return error_set(err, rc, "%s is locked by %s: wait for it or end it", dir,
				 text[0] ? text : "another process");
	}
	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	n = snprintf(text, sizeof(text), "%s (pid %d, since %s)", verb, getpid(), stamp);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0) {
		close(fd);
		return error_set(err, -EIO, "lock %s cannot be written", path);
	}
	return fd;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: opening, schema, migrations, statements.
 *
 * Threading: as state.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/state_internal.h"

#define BUSY_MS 10000

/* Entry N brings the schema from version N to N + 1. Only ever add behind. */
static const char *const migrations[] = {
	"CREATE TABLE node (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
	"CREATE TABLE accelerator ("
	"  id TEXT PRIMARY KEY, type TEXT NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL,"
	"  made INTEGER NOT NULL, size INTEGER NOT NULL, block_size INTEGER NOT NULL,"
	"  serial TEXT NOT NULL, bdev TEXT NOT NULL, uuid TEXT NOT NULL, target TEXT NOT NULL,"
	"  version TEXT NOT NULL, arguments TEXT NOT NULL) STRICT;"
	"CREATE TABLE attachment ("
	"  instance TEXT PRIMARY KEY,"
	"  accelerator TEXT NOT NULL REFERENCES accelerator (id), bdev TEXT NOT NULL,"
	"  host TEXT NOT NULL, nqn TEXT NOT NULL, nsid INTEGER NOT NULL, uuid TEXT NOT NULL,"
	"  nguid TEXT NOT NULL, serial TEXT NOT NULL, model TEXT NOT NULL, family TEXT NOT NULL,"
	"  address TEXT NOT NULL, port INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  UNIQUE (accelerator, bdev)) STRICT;"
	"CREATE TABLE journal ("
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL, object TEXT NOT NULL,"
	"  argument TEXT NOT NULL, step INTEGER NOT NULL, outcome TEXT NOT NULL,"
	"  begun INTEGER NOT NULL, ended INTEGER) STRICT;"
	"CREATE INDEX journal_open ON journal (outcome) WHERE outcome = 'open';",

	/*
	 * 2: stores and their volumes; transports, limits and keys of attachments. Verbs got steps
	 * in between: what was interrupted is undone from where it was.
	 */
	"UPDATE journal SET step = CASE verb WHEN 'attach' THEN step + 1"
	"  WHEN 'install' THEN CASE step WHEN 2 THEN 3 WHEN 3 THEN 4 WHEN 4 THEN 6 ELSE step END"
	"  WHEN 'update' THEN CASE step WHEN 0 THEN 0 WHEN 1 THEN 2 ELSE step + 2 END"
	"  ELSE step END WHERE outcome = 'open';"
	"ALTER TABLE accelerator ADD COLUMN scenario TEXT NOT NULL DEFAULT 'whole';"
	"ALTER TABLE accelerator ADD COLUMN store TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE accelerator ADD COLUMN store_uuid TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE accelerator ADD COLUMN cluster_size INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE accelerator ADD COLUMN store_made INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE accelerator ADD COLUMN ceph_user TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN source TEXT NOT NULL DEFAULT 'whole';"
	"ALTER TABLE attachment ADD COLUMN volume TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN origin TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN transport TEXT NOT NULL DEFAULT 'tcp';"
	"ALTER TABLE attachment ADD COLUMN socket TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN rw_ios INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN rw_mb INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN r_mb INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN w_mb INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN dhchap_key TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN dhchap_ctrlr_key TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE attachment ADD COLUMN psk TEXT NOT NULL DEFAULT '';",

	/* 3: attachments that a detach has begun to take back */
	"ALTER TABLE attachment ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;",

	/* 4: namespaces of PCI functions */
	"ALTER TABLE accelerator ADD COLUMN nsid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE accelerator ADD COLUMN identity TEXT NOT NULL DEFAULT '';",
};

#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* What the system said of a file, as far as that is why SQLite failed. */
static int system_code(struct state *s)
{
	int code = sqlite3_errcode(s->db);

	return code == SQLITE_IOERR || code == SQLITE_CANTOPEN ? -sqlite3_system_errno(s->db) : 0;
}

static int error_code(struct state *s)
{
	switch (sqlite3_errcode(s->db)) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	default:
		return system_code(s) ? system_code(s) : -EIO;
	}
}

static const char *remedy(struct state *s)
{
	int code = sqlite3_errcode(s->db);

	return code == SQLITE_CORRUPT || code == SQLITE_NOTADB
		       ? ": bring back a copy; without one move it away, end the supervisors whose "
			 "pids are in targets/*/pid, and install anew, which takes stores over "
			 "with "
			 "their volumes"
		       : "";
}

int state_error(struct state *s, struct error *err)
{
	int code = error_code(s), system = system_code(s);

	return error_set(err, code, "state database %s/state.db: %s%s%s%s", s->dir,
			 sqlite3_errmsg(s->db), system ? ": " : "",
			 system ? error_errno_text(system) : "", remedy(s));
}

sqlite3_stmt *state_prepare(struct state *s, struct error *err, const char *sql, const char *types,
			    ...)
{
	sqlite3_stmt *stmt;
	va_list args;
	int rc = SQLITE_OK;

	if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		state_error(s, err);
		return NULL;
	}
	va_start(args, types);
	for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
		if (types[i] == 's')
			rc = sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1,
					       SQLITE_TRANSIENT);
		else
			rc = sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
	}
	va_end(args);
	if (rc != SQLITE_OK) {
		state_error(s, err);
		sqlite3_finalize(stmt);
		return NULL;
	}
	return stmt;
}

int state_run(struct state *s, sqlite3_stmt *stmt, struct error *err)
{
	int rc;

	if (!stmt)
		return -EIO;
	rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : state_error(s, err);
	sqlite3_finalize(stmt);
	return rc;
}

void state_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	snprintf(out, size, "%s", text ? text : "");
}

static int exec(struct state *s, const char *sql, struct error *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : state_error(s, err);
}

static int read_version(struct state *s, struct error *err)
{
	sqlite3_stmt *stmt = state_prepare(s, err, "PRAGMA user_version", "");
	int rc = 0;

	if (!stmt)
		return -EIO;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		s->version = sqlite3_column_int(stmt, 0);
	else
		rc = state_error(s, err);
	sqlite3_finalize(stmt);
	return rc;
}

static int migrate_once(struct state *s, struct error *err)
{
	char pragma[64];
	int rc = exec(s, "BEGIN IMMEDIATE", err);

	if (rc < 0)
		return rc;
	/* Another process may have migrated while we waited for the lock. */
	rc = read_version(s, err);
	if (rc == 0 && s->version >= 0 && s->version < SCHEMA_VERSION) {
		snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", s->version + 1);
		rc = exec(s, migrations[s->version], err);
		if (rc == 0)
			rc = exec(s, pragma, err);
		if (rc == 0)
			s->version++;
	}
	if (rc == 0)
		rc = exec(s, "COMMIT", err);
	if (rc < 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int migrate(struct state *s, struct error *err)
{
	int rc = read_version(s, err);

	while (rc == 0 && s->version >= 0 && s->version < SCHEMA_VERSION)
		rc = migrate_once(s, err);
	if (rc == 0 && (s->version < 0 || s->version > SCHEMA_VERSION))
		rc = error_set(err, -EIO,
			       "state database %s/state.db has schema %d; this program knows up to "
			       "%d: use a newer cyborg-spdk",
			       s->dir, s->version, SCHEMA_VERSION);
	return rc;
}

/* Space of names made from a node: version 5 UUIDs below this one (random, fixed for ever). */
static const struct uuid node_space = { { 0x6d, 0x1f, 0x0e, 0x52, 0x88, 0x3b, 0x4c, 0x1a, 0x9e,
					  0x07, 0x2a, 0x71, 0xd3, 0x5c, 0x40, 0xb6 } };

static void make_node_uuid(const struct state *s, char text[static UUID_TEXT_SIZE])
{
	char machine[128] = "", name[PATH_MAX + 160];
	FILE *f = fopen("/etc/machine-id", "re");
	struct uuid u;

	if (f) {
		if (!fgets(machine, sizeof(machine), f))
			machine[0] = '\0';
		fclose(f);
	}
	machine[strcspn(machine, "\n")] = '\0';
	snprintf(name, sizeof(name), "%s\n%s", machine, s->dir);
	if (machine[0])
		uuid_from_name(&u, &node_space, name);
	else
		uuid_make(&u);
	uuid_to_text(&u, text);
}

/* -ENOENT when there is none yet. */
static int read_node_uuid(struct state *s, struct error *err)
{
	char *text;
	int rc = state_note(s, "uuid", &text, err);

	if (rc < 0)
		return rc;
	if (uuid_from_text(&s->node, text) != 0)
		rc = error_set(err, -EIO,
			       "state database %s/state.db: the node's UUID is \"%s\", which is "
			       "none",
			       s->dir, text);
	free(text);
	return rc;
}

/* Stored once, so that a changed machine-id does not change the names of what is attached. */
static int load_node_uuid(struct state *s, struct error *err)
{
	char text[UUID_TEXT_SIZE];
	int rc = read_node_uuid(s, err);

	if (rc != -ENOENT)
		return rc;
	make_node_uuid(s, text);
	rc = state_run(
		s,
		state_prepare(s, err, "INSERT OR IGNORE INTO node VALUES ('uuid', ?)", "s", text),
		err);
	return rc < 0 ? rc : read_node_uuid(s, err);
}

static int make_dir(const char *dir, struct error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *c = path + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		mkdir(path, 0755);
		*c = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "state directory %s cannot be made: %s", dir,
				 error_errno_text(-errno));
	return 0;
}

static int find_dir(struct state *s, const char *dir, bool keep, struct error *err)
{
	int rc = keep ? make_dir(dir, err) : 0;

	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	if (rc == 0 && keep && !realpath(dir, s->dir))
		rc = error_set(err, -errno, "state directory %s: %s", dir,
			       error_errno_text(-errno));
	return rc;
}

static int open_database(struct state *s, bool keep, struct error *err)
{
	char path[PATH_MAX + 16] = ":memory:";
	int fd;

	if (keep) {
		snprintf(path, sizeof(path), "%s/state.db", s->dir);
		/* SQLite would make it readable by others; its own files follow this one's mode. */
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
	}
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
	    SQLITE_OK)
		return state_error(s, err);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	return exec(s,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		    "PRAGMA foreign_keys = ON",
		    err);
}

int state_open(const char *dir, bool keep, struct state **out, struct error *err)
{
	struct state *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return error_set(err, -ENOMEM, "out of memory");
	rc = find_dir(s, dir, keep, err);
	if (rc == 0)
		rc = open_database(s, keep, err);
	if (rc == 0)
		rc = migrate(s, err);
	if (rc == 0)
		rc = load_node_uuid(s, err);
	if (rc < 0) {
		state_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

/* What was written last is in the log, which needs a file beside it to be read. */
static int check_log(struct state *s, struct error *err)
{
	char path[PATH_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/state.db-wal", s->dir);
	if (stat(path, &st) < 0 || st.st_size == 0)
		return 0;
	return error_set(err, -EIO, "%s holds what cannot be read now", path);
}

/* RFC 3986: of a path everything may stand in a URI as %XX. */
static int open_still(struct state *s, struct error *err)
{
	char uri[3 * PATH_MAX + 64];
	size_t at = (size_t)snprintf(uri, sizeof(uri), "file:");

	for (const char *c = s->dir; *c; c++)
		at += (size_t)snprintf(uri + at, sizeof(uri) - at, *c == '/' ? "/" : "%%%02x",
				       (unsigned char)*c);
	snprintf(uri + at, sizeof(uri) - at, "/state.db?immutable=1");
	return sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) ==
			       SQLITE_OK
		       ? 0
		       : state_error(s, err);
}

int state_open_still(const char *dir, struct state **out, struct error *err)
{
	struct state *s = calloc(1, sizeof(*s));
	int rc = s ? find_dir(s, dir, false, err) : error_set(err, -ENOMEM, "out of memory");

	*out = NULL;
	if (rc == 0)
		rc = check_log(s, err);
	if (rc == 0)
		rc = open_still(s, err);
	if (rc == 0)
		rc = read_version(s, err);
	if (rc == 0 && s->version != SCHEMA_VERSION)
		rc = error_set(err, -EIO, "schema %d", s->version);
	if (rc == 0)
		rc = read_node_uuid(s, err);
	if (rc < 0) {
		state_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	free(s);
}

int state_version(const struct state *s)
{
	return s->version;
}

void state_node_uuid(const struct state *s, struct uuid *out)
{
	*out = s->node;
}

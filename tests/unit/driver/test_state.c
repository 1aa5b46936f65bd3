/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state: rows, journal, lock, schema.
 *
 * Threading: one thread, and a child that holds the lock.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/state.h"

struct box {
	char dir[64];
	struct state *s;
	struct error err;
};

static int setup(void **state)
{
	static struct box b;

	memset(&b, 0, sizeof(b));
	snprintf(b.dir, sizeof(b.dir), "/tmp/cs-state-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	assert_int_equal(state_open(b.dir, true, &b.s, &b.err), 0);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "state.db", "state.db-wal", "state.db-shm", "lock" };
	struct box *b = *state;
	char path[128];

	state_close(b->s);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, files[i]);
		unlink(path);
	}
	rmdir(b->dir);
	return 0;
}

static void reopen(struct box *b)
{
	state_close(b->s);
	assert_int_equal(state_open(b->dir, true, &b->s, &b->err), 0);
}

static struct accelerator make_accelerator(const char *id)
{
	struct accelerator a = { .made = true,
				 .size = UINT64_C(1) << 45,
				 .block_size = 4096,
				 .cluster_size = 1 << 22,
				 .store_made = true };

	snprintf(a.id, sizeof(a.id), "%s", id);
	snprintf(a.scenario, sizeof(a.scenario), "blobstore");
	snprintf(a.store, sizeof(a.store), "lvs");
	snprintf(a.store_uuid, sizeof(a.store_uuid), "2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60d");
	snprintf(a.ceph_user, sizeof(a.ceph_user), "admin");
	snprintf(a.path, sizeof(a.path), "/srv/it's \"quoted\"");
	snprintf(a.uuid, sizeof(a.uuid), "2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60b");
	return a;
}

static void test_accelerator_comes_back(void **state)
{
	struct box *b = *state;
	struct accelerator a = make_accelerator("x"), got, *all;

	assert_int_equal(state_put_accelerator(b->s, &a, &b->err), 0);
	reopen(b);
	assert_int_equal(state_accelerator(b->s, "x", &got, &b->err), 0);
	assert_memory_equal(&a, &got, sizeof(a));
	assert_int_equal(state_accelerator(b->s, "y", &got, &b->err), -ENOENT);
	assert_int_equal(state_accelerators(b->s, &all, &b->err), 1);
	free(all);
	assert_int_equal(state_drop_accelerator(b->s, "x", &b->err), 0);
	assert_int_equal(state_drop_accelerator(b->s, "x", &b->err), 0);
	assert_int_equal(state_accelerator(b->s, "x", &got, &b->err), -ENOENT);
}

static void test_attachment_comes_back(void **state)
{
	struct box *b = *state;
	struct accelerator acc = make_accelerator("x");
	struct attachment a = { .nsid = 1,
				.port = 4420,
				.size = 1 << 20,
				.read_only = true,
				.leaving = true,
				.qos = { 1000, 2, 3, 4 } },
			  got, *all;

	snprintf(a.instance, sizeof(a.instance), "vm-1");
	snprintf(a.accelerator, sizeof(a.accelerator), "x");
	snprintf(a.source, sizeof(a.source), "clone");
	snprintf(a.volume, sizeof(a.volume), "pool/image");
	snprintf(a.origin, sizeof(a.origin), "golden");
	snprintf(a.transport, sizeof(a.transport), "vhost-user-blk");
	snprintf(a.socket, sizeof(a.socket), "/run/x.sock");
	snprintf(a.dhchap_key, sizeof(a.dhchap_key), "/etc/keys/a");
	snprintf(a.dhchap_ctrlr_key, sizeof(a.dhchap_ctrlr_key), "/etc/keys/b");
	snprintf(a.psk, sizeof(a.psk), "/etc/keys/c");
	assert_int_equal(state_put_accelerator(b->s, &acc, &b->err), 0);
	assert_int_equal(state_put_attachment(b->s, &a, &b->err), 0);
	assert_int_equal(state_put_attachment(b->s, &a, &b->err), 0);
	reopen(b);
	assert_int_equal(state_attachment(b->s, "vm-1", &got, &b->err), 0);
	assert_memory_equal(&a, &got, sizeof(a));
	assert_int_equal(state_attachments(b->s, "x", &all, &b->err), 1);
	free(all);
	assert_int_equal(state_attachments(b->s, "other", &all, &b->err), 0);
	free(all);
	assert_int_equal(state_attachments(b->s, NULL, &all, &b->err), 1);
	free(all);
}

static void test_accelerator_with_attachments_stays(void **state)
{
	struct box *b = *state;
	struct accelerator acc = make_accelerator("x");
	struct attachment a = { .nsid = 1 };

	snprintf(a.instance, sizeof(a.instance), "vm-1");
	snprintf(a.accelerator, sizeof(a.accelerator), "x");
	assert_int_equal(state_put_attachment(b->s, &a, &b->err), -EIO);
	assert_int_equal(state_put_accelerator(b->s, &acc, &b->err), 0);
	assert_int_equal(state_put_attachment(b->s, &a, &b->err), 0);
	assert_int_equal(state_put_accelerator(b->s, &acc, &b->err), 0);
	assert_int_equal(state_drop_accelerator(b->s, "x", &b->err), -EIO);
}

static void test_journal_finds_the_interrupted(void **state)
{
	struct box *b = *state;
	struct intent *i = calloc(1, sizeof(*i)), *got = calloc(1, sizeof(*got));

	assert_int_equal(intent_open(b->s, got, &b->err), -ENOENT);
	snprintf(i->verb, sizeof(i->verb), "attach");
	snprintf(i->object, sizeof(i->object), "vm-1");
	snprintf(i->argument, sizeof(i->argument), "{\"a\":1}");
	assert_int_equal(intent_begin(b->s, i, &b->err), 0);
	assert_int_equal(intent_step(b->s, i, 2, &b->err), 0);
	reopen(b);
	assert_int_equal(intent_open(b->s, got, &b->err), 0);
	assert_string_equal(got->verb, "attach");
	assert_string_equal(got->argument, "{\"a\":1}");
	assert_int_equal(got->step, 2);
	assert_int_equal(intent_end(b->s, got, "undone", &b->err), 0);
	assert_int_equal(intent_open(b->s, got, &b->err), -ENOENT);
	free(i);
	free(got);
}

static void test_node_uuid_is_stable(void **state)
{
	struct box *b = *state;
	struct uuid first, second;

	state_node_uuid(b->s, &first);
	assert_false(uuid_is_nil(&first));
	reopen(b);
	state_node_uuid(b->s, &second);
	assert_true(uuid_equal(&first, &second));
}

/* Of a later release, or of none. */
static void test_other_schema_is_refused(void **state)
{
	static const int versions[] = { 999, -7 };
	struct box *b = *state;
	char path[128], text[64];
	sqlite3 *db;

	state_close(b->s);
	b->s = NULL;
	snprintf(path, sizeof(path), "%s/state.db", b->dir);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		snprintf(text, sizeof(text), "PRAGMA user_version = %d", versions[i]);
		sqlite3_exec(db, text, NULL, NULL, NULL);
		sqlite3_close(db);
		assert_int_equal(state_open(b->dir, true, &b->s, &b->err), -EIO);
		snprintf(text, sizeof(text), "schema %d;", versions[i]);
		assert_non_null(strstr(b->err.text, text));
	}
}

static void test_still_one_is_read(void **state)
{
	struct box *b = *state;
	struct uuid first, second;
	struct accelerator *list;
	struct state *still;

	state_node_uuid(b->s, &first);
	/* As long as somebody has it open, what was written may be in the log alone. */
	assert_int_equal(state_open_still(b->dir, &still, &b->err), -EIO);
	state_close(b->s);
	b->s = NULL;
	assert_int_equal(state_open_still(b->dir, &still, &b->err), 0);
	state_node_uuid(still, &second);
	assert_true(uuid_equal(&first, &second));
	assert_int_equal(state_accelerators(still, &list, &b->err), 0);
	free(list);
	assert_int_equal(state_put_note(still, "a", "b", &b->err), -EROFS);
	state_close(still);
	assert_true(state_open_still("/nonexistent", &still, &b->err) < 0);
}

/* Schema 1, as the release without stores made it. */
static const char *const schema_1 =
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
	"CREATE INDEX journal_open ON journal (outcome) WHERE outcome = 'open';"
	"PRAGMA user_version = 1;"
	"INSERT INTO node VALUES ('uuid', '2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60b');"
	"INSERT INTO accelerator VALUES ('x', 'nvmf', 'file', '/srv/x', 1, 1048576, 512, "
	"'FILE-1-2',"
	"  'x', '2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60c', '/bin/t', 't 1', '-m\n1\n');"
	"INSERT INTO attachment VALUES ('vm-1', 'x', 'x', 'nqn.2016-06.io:h', 'nqn.2016-06.io:s', "
	"1,"
	"  '2f5b4a53-0f6d-4a3c-8c32-b2b9a4b6b60c', 'AB', 'CS1', 'm', 'IPv4', '127.0.0.1', 4420,"
	"  1048576);"
	"INSERT INTO journal (verb, object, argument, step, outcome, begun) VALUES"
	"  ('attach', 'vm-1', '{}', 1, 'open', 0), ('install', 'x', '{}', 4, 'done', 0);";

static void test_schema_1_is_brought_forward(void **state)
{
	struct box *b = *state;
	struct intent *i = calloc(1, sizeof(*i));
	struct accelerator acc;
	struct attachment a;
	char path[128];
	sqlite3 *db;

	state_close(b->s);
	b->s = NULL;
	snprintf(path, sizeof(path), "%s/state.db", b->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_1, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	reopen(b);
	assert_true(state_version(b->s) >= 3);
	assert_int_equal(state_accelerator(b->s, "x", &acc, &b->err), 0);
	assert_string_equal(acc.scenario, "whole");
	assert_string_equal(acc.store, "");
	assert_false(acc.store_made);
	assert_string_equal(acc.arguments, "-m\n1\n");
	assert_int_equal(state_attachment(b->s, "vm-1", &a, &b->err), 0);
	assert_string_equal(a.source, "whole");
	assert_string_equal(a.transport, "tcp");
	assert_int_equal(a.port, 4420);
	assert_false(a.read_only);
	assert_false(a.leaving);
	assert_int_equal(a.qos.rw_ios, 0);
	assert_string_equal(a.dhchap_key, "");
	assert_int_equal(intent_open(b->s, i, &b->err), 0);
	assert_string_equal(i->verb, "attach");
	assert_int_equal(i->step, 2);
	assert_int_equal(intent_end(b->s, i, "undone", &b->err), 0);
	assert_int_equal(intent_last_done(b->s, "install", "x", i, &b->err), 0);
	assert_int_equal(i->step, 4);
	free(i);
	reopen(b);
	assert_int_equal(state_attachment(b->s, "vm-1", &a, &b->err), 0);
}

static void test_no_database_is_told(void **state)
{
	struct box *b = *state;
	char path[128];
	FILE *f;

	state_close(b->s);
	b->s = NULL;
	snprintf(path, sizeof(path), "%s/state.db", b->dir);
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database. ", f);
	fclose(f);
	assert_true(state_open(b->dir, true, &b->s, &b->err) < 0);
	assert_non_null(strstr(b->err.text, "not a database"));
}

static void test_trial_state_leaves_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct state *s;

	(void)state;
	assert_int_equal(state_open("/nonexistent/place", false, &s, &err), 0);
	assert_int_equal(access("/nonexistent", F_OK), -1);
	state_close(s);
}

static void test_lock_names_its_holder(void **state)
{
	struct box *b = *state;
	int pipefd[2], fd;
	char ready, pid_text[32];
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		fd = state_lock(b->dir, "install", 0, NULL);
		if (fd >= 0 && write(pipefd[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(pipefd[0], &ready, 1), 1);
	assert_int_equal(state_lock(b->dir, "attach", 0, &b->err), -EAGAIN);
	snprintf(pid_text, sizeof(pid_text), "install (pid %d,", pid);
	assert_non_null(strstr(b->err.text, pid_text));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fd = state_lock(b->dir, "attach", 0, &b->err);
	assert_true(fd >= 0);
	close(fd);
	close(pipefd[0]);
	close(pipefd[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_accelerator_comes_back),
		T(test_attachment_comes_back),
		T(test_accelerator_with_attachments_stays),
		T(test_journal_finds_the_interrupted),
		T(test_node_uuid_is_stable),
		T(test_other_schema_is_refused),
		T(test_still_one_is_read),
		T(test_schema_1_is_brought_forward),
		T(test_no_database_is_told),
		T(test_trial_state_leaves_nothing),
		T(test_lock_names_its_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

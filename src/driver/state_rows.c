/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: accelerators and attachments.
 *
 * Threading: as state.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver/state_internal.h"

#define ACCELERATOR_COLUMNS                                                                        \
	"id, type, kind, path, made, size, block_size, serial, bdev, uuid, target, version, "      \
	"arguments, scenario, store, store_uuid, cluster_size, store_made, ceph_user, "            \
	"nsid, identity"
#define ATTACHMENT_COLUMNS                                                                         \
	"instance, accelerator, bdev, host, nqn, nsid, uuid, nguid, serial, model, family, "       \
	"address, port, size, source, volume, origin, transport, socket, read_only, rw_ios, "      \
	"rw_mb, r_mb, w_mb, dhchap_key, dhchap_ctrlr_key, psk, leaving"

static void accelerator_read(sqlite3_stmt *q, void *row)
{
	struct accelerator *a = row;

	memset(a, 0, sizeof(*a));
	state_text(q, 0, a->id, sizeof(a->id));
	state_text(q, 1, a->type, sizeof(a->type));
	state_text(q, 2, a->kind, sizeof(a->kind));
	state_text(q, 3, a->path, sizeof(a->path));
	a->made = sqlite3_column_int(q, 4) != 0;
	a->size = (uint64_t)sqlite3_column_int64(q, 5);
	a->block_size = (uint32_t)sqlite3_column_int64(q, 6);
	state_text(q, 7, a->serial, sizeof(a->serial));
	state_text(q, 8, a->bdev, sizeof(a->bdev));
	state_text(q, 9, a->uuid, sizeof(a->uuid));
	state_text(q, 10, a->target, sizeof(a->target));
	state_text(q, 11, a->version, sizeof(a->version));
	state_text(q, 12, a->arguments, sizeof(a->arguments));
	state_text(q, 13, a->scenario, sizeof(a->scenario));
	state_text(q, 14, a->store, sizeof(a->store));
	state_text(q, 15, a->store_uuid, sizeof(a->store_uuid));
	a->cluster_size = (uint32_t)sqlite3_column_int64(q, 16);
	a->store_made = sqlite3_column_int(q, 17) != 0;
	state_text(q, 18, a->ceph_user, sizeof(a->ceph_user));
	a->nsid = (uint32_t)sqlite3_column_int64(q, 19);
	state_text(q, 20, a->identity, sizeof(a->identity));
}

static void attachment_read(sqlite3_stmt *q, void *row)
{
	struct attachment *a = row;

	memset(a, 0, sizeof(*a));
	state_text(q, 0, a->instance, sizeof(a->instance));
	state_text(q, 1, a->accelerator, sizeof(a->accelerator));
	state_text(q, 2, a->bdev, sizeof(a->bdev));
	state_text(q, 3, a->host, sizeof(a->host));
	state_text(q, 4, a->nqn, sizeof(a->nqn));
	a->nsid = (uint32_t)sqlite3_column_int64(q, 5);
	state_text(q, 6, a->uuid, sizeof(a->uuid));
	state_text(q, 7, a->nguid, sizeof(a->nguid));
	state_text(q, 8, a->serial, sizeof(a->serial));
	state_text(q, 9, a->model, sizeof(a->model));
	state_text(q, 10, a->family, sizeof(a->family));
	state_text(q, 11, a->address, sizeof(a->address));
	a->port = (uint16_t)sqlite3_column_int(q, 12);
	a->size = (uint64_t)sqlite3_column_int64(q, 13);
	state_text(q, 14, a->source, sizeof(a->source));
	state_text(q, 15, a->volume, sizeof(a->volume));
	state_text(q, 16, a->origin, sizeof(a->origin));
	state_text(q, 17, a->transport, sizeof(a->transport));
	state_text(q, 18, a->socket, sizeof(a->socket));
	a->read_only = sqlite3_column_int(q, 19) != 0;
	a->qos.rw_ios = (uint64_t)sqlite3_column_int64(q, 20);
	a->qos.rw_mb = (uint64_t)sqlite3_column_int64(q, 21);
	a->qos.r_mb = (uint64_t)sqlite3_column_int64(q, 22);
	a->qos.w_mb = (uint64_t)sqlite3_column_int64(q, 23);
	state_text(q, 24, a->dhchap_key, sizeof(a->dhchap_key));
	state_text(q, 25, a->dhchap_ctrlr_key, sizeof(a->dhchap_ctrlr_key));
	state_text(q, 26, a->psk, sizeof(a->psk));
	a->leaving = sqlite3_column_int(q, 27) != 0;
}

/* Take the statement; fill at most one row. */
static int read_one(struct state *s, sqlite3_stmt *q, void (*read)(sqlite3_stmt *q, void *row),
		    void *row, struct error *err)
{
	int rc;

	if (!q)
		return -EIO;
	switch (sqlite3_step(q)) {
	case SQLITE_ROW:
		read(q, row);
		rc = 0;
		break;
	case SQLITE_DONE:
		rc = -ENOENT;
		break;
	default:
		rc = state_error(s, err);
		break;
	}
	sqlite3_finalize(q);
	return rc;
}

static ssize_t read_all(struct state *s, sqlite3_stmt *q, void (*read)(sqlite3_stmt *q, void *row),
			size_t row_size, void **out, struct error *err)
{
	char *rows = NULL, *more;
	size_t count = 0;
	ssize_t rc = 0;
	int got;

	*out = NULL;
	if (!q)
		return -EIO;
	while ((got = sqlite3_step(q)) == SQLITE_ROW) {
		more = realloc(rows, (count + 1) * row_size);
		if (!more) {
			rc = error_set(err, -ENOMEM, "out of memory");
			break;
		}
		rows = more;
		read(q, rows + count++ * row_size);
	}
	if (rc == 0 && got != SQLITE_DONE)
		rc = state_error(s, err);
	sqlite3_finalize(q);
	if (rc < 0) {
		free(rows);
		return rc;
	}
	*out = rows;
	return (ssize_t)count;
}

int state_accelerator(struct state *s, const char *id, struct accelerator *out, struct error *err)
{
	sqlite3_stmt *q = state_prepare(
		s, err, "SELECT " ACCELERATOR_COLUMNS " FROM accelerator WHERE id = ?", "s", id);

	return read_one(s, q, accelerator_read, out, err);
}

int state_attachment(struct state *s, const char *instance, struct attachment *out,
		     struct error *err)
{
	sqlite3_stmt *q = state_prepare(
		s, err, "SELECT " ATTACHMENT_COLUMNS " FROM attachment WHERE instance = ?", "s",
		instance);

	return read_one(s, q, attachment_read, out, err);
}

ssize_t state_accelerators(struct state *s, struct accelerator **out, struct error *err)
{
	sqlite3_stmt *q = state_prepare(
		s, err, "SELECT " ACCELERATOR_COLUMNS " FROM accelerator ORDER BY id", "");
	void *rows;
	ssize_t n = read_all(s, q, accelerator_read, sizeof(**out), &rows, err);

	*out = rows;
	return n;
}

ssize_t state_attachments(struct state *s, const char *accelerator, struct attachment **out,
			  struct error *err)
{
	sqlite3_stmt *q = state_prepare(s, err,
					"SELECT " ATTACHMENT_COLUMNS " FROM attachment "
					"WHERE ?1 = '' OR accelerator = ?1 ORDER BY instance",
					"s", accelerator ? accelerator : "");
	void *rows;
	ssize_t n = read_all(s, q, attachment_read, sizeof(**out), &rows, err);

	*out = rows;
	return n;
}

/* An update, not a replacement: attachments refer to the row. */
int state_put_accelerator(struct state *s, const struct accelerator *a, struct error *err)
{
	return state_run(
		s,
		state_prepare(
			s, err,
			"INSERT INTO accelerator (" ACCELERATOR_COLUMNS ") "
			"VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO "
			"UPDATE SET "
			"type=excluded.type, kind=excluded.kind, path=excluded.path, "
			"made=excluded.made, size=excluded.size, "
			"block_size=excluded.block_size, serial=excluded.serial, "
			"bdev=excluded.bdev, uuid=excluded.uuid, target=excluded.target, "
			"version=excluded.version, arguments=excluded.arguments, "
			"scenario=excluded.scenario, store=excluded.store, "
			"store_uuid=excluded.store_uuid, "
			"cluster_size=excluded.cluster_size, "
			"store_made=excluded.store_made, "
			"ceph_user=excluded.ceph_user, nsid=excluded.nsid, "
			"identity=excluded.identity",
			"ssssiiisssssssssiisis", a->id, a->type, a->kind, a->path, (int64_t)a->made,
			(int64_t)a->size, (int64_t)a->block_size, a->serial, a->bdev, a->uuid,
			a->target, a->version, a->arguments, a->scenario, a->store, a->store_uuid,
			(int64_t)a->cluster_size, (int64_t)a->store_made, a->ceph_user,
			(int64_t)a->nsid, a->identity),
		err);
}

int state_put_attachment(struct state *s, const struct attachment *a, struct error *err)
{
	return state_run(
		s,
		state_prepare(s, err,
			      "INSERT OR REPLACE INTO attachment (" ATTACHMENT_COLUMNS ") "
			      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			      "sssssissssssii"
			      "sssssiiiiisssi",
			      a->instance, a->accelerator, a->bdev, a->host, a->nqn,
			      (int64_t)a->nsid, a->uuid, a->nguid, a->serial, a->model, a->family,
			      a->address, (int64_t)a->port, (int64_t)a->size, a->source, a->volume,
			      a->origin, a->transport, a->socket, (int64_t)a->read_only,
			      (int64_t)a->qos.rw_ios, (int64_t)a->qos.rw_mb, (int64_t)a->qos.r_mb,
			      (int64_t)a->qos.w_mb, a->dhchap_key, a->dhchap_ctrlr_key, a->psk,
			      (int64_t)a->leaving),
		err);
}

int state_drop_accelerator(struct state *s, const char *id, struct error *err)
{
	return state_run(s, state_prepare(s, err, "DELETE FROM accelerator WHERE id = ?", "s", id),
			 err);
}

int state_drop_attachment(struct state *s, const char *instance, struct error *err)
{
	return state_run(
		s,
		state_prepare(s, err, "DELETE FROM attachment WHERE instance = ?", "s", instance),
		err);
}

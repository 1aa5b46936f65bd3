/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: a volume's content, as a host would read it, to a sparse file or standard output.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobtool/text.h"
#include "blobtool/tool.h"

#define PIECE_BYTES (1u << 20)

/**
 * struct exporter - a volume and what stands behind its holes
 * @path: the volume, its parent, and so on; @external: behind the last, or NULL
 */
struct exporter {
	const struct model *m;
	uint32_t *path;
	uint32_t path_len;
	const struct image *external;
	int fd;
	bool is_stream;
	uint8_t *piece;
	struct progress progress;
};

/* --- where a cluster comes from --------------------------------------------------------------- */

static int find_path(struct exporter *e, uint32_t blob, struct error *err)
{
	uint32_t len = 0;

	for (uint32_t b = blob; b != NO_BLOB; b = e->m->blobs[b].parent)
		len++;
	e->path = malloc(len * sizeof(*e->path));
	if (e->path == NULL)
		return error_set(err, -ENOMEM, "no memory for %" PRIu32 " snapshots", len);
	for (uint32_t b = blob; b != NO_BLOB; b = e->m->blobs[b].parent)
		e->path[e->path_len++] = b;
	return 0;
}

/*
 * The device's cluster with cluster @index of the volume; 0: none of the path has it. A parent that
 * ends before reads as zeroes there, whatever stands behind it.
 */
static uint32_t find_cluster(const struct exporter *e, uint64_t index, bool *ends)
{
	*ends = false;
	for (uint32_t i = 0; i < e->path_len; i++) {
		const struct volume *v = &e->m->blobs[e->path[i]];
		uint32_t cluster;

		if (index >= v->clusters) {
			*ends = true;
			return 0;
		}
		cluster = volume_cluster(v, index);
		if (cluster != 0)
			return cluster;
	}
	return 0;
}

/* --- output ----------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int write_all(int fd, const uint8_t *p, size_t len, struct error *err)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR && tool_check_interrupt(err) == 0)
			continue;
		if (n < 0 && errno == EINTR)
			return -EINTR;
		if (n < 0)
			return error_set(err, -errno, "the output cannot be written: %s",
					 error_errno_text(-errno));
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Blocks of zeroes in a piece become holes of a file. */
static int put(struct exporter *e, uint64_t at, const uint8_t *p, size_t len, struct error *err)
{
	const struct image out = { .path = "the output", .fd = e->fd };
	int rc = 0;

	if (e->is_stream)
		return write_all(e->fd, p, len, err);
	for (size_t i = 0; i < len && rc == 0; i += IMAGE_PAGE) {
		size_t n = len - i < IMAGE_PAGE ? len - i : IMAGE_PAGE;

		if (!is_zero(p + i, n))
			rc = image_write(&out, p + i, at + i, n, err);
	}
	return rc;
}

static int put_zeroes(struct exporter *e, uint64_t len, struct error *err)
{
	int rc = 0;

	if (!e->is_stream)
		return 0;
	memset(e->piece, 0, len < PIECE_BYTES ? (size_t)len : PIECE_BYTES);
	while (len > 0 && rc == 0) {
		size_t n = len < PIECE_BYTES ? (size_t)len : PIECE_BYTES;

		rc = write_all(e->fd, e->piece, n, err);
		len -= n;
	}
	return rc;
}

/* @len bytes from @from of @img to @at of the output; holes of the image are passed over. */
static int copy(struct exporter *e, const struct image *img, uint64_t from, uint64_t at,
		uint64_t len, struct error *err)
{
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n = len < PIECE_BYTES ? (size_t)len : PIECE_BYTES;
		uint64_t end, data = image_seek(img, from, &end);

		if (data >= from + n) {
			rc = put_zeroes(e, n, err);
		} else {
			rc = image_read(img, e->piece, from, n, err);
			if (rc == 0)
				rc = put(e, at, e->piece, n, err);
		}
		from += n;
		at += n;
		len -= n;
	}
	return rc;
}

/* An external snapshot may be shorter; what lies behind it cannot be read by a host either. */
static int copy_external(struct exporter *e, uint64_t at, uint64_t len, struct error *err)
{
	uint64_t have = e->external->bytes > at ? e->external->bytes - at : 0;
	int rc;

	if (have > len)
		have = len;
	rc = copy(e, e->external, at, at, have, err);
	return rc == 0 ? put_zeroes(e, len - have, err) : rc;
}

static int copy_all(struct exporter *e, const struct volume *v, struct error *err)
{
	uint64_t size = e->m->geo.cluster_size, total = v->clusters * size;
	int rc = 0;

	for (uint64_t i = 0; i < v->clusters && rc == 0; i++) {
		bool ends;
		uint32_t cluster = find_cluster(e, i, &ends);

		if (cluster != 0)
			rc = copy(e, e->m->img, cluster * size, i * size, size, err);
		else if (e->external != NULL && !ends)
			rc = copy_external(e, i * size, size, err);
		else
			rc = put_zeroes(e, size, err);
		progress_show(&e->progress, (i + 1) * size, total);
		if (rc == 0)
			rc = tool_check_interrupt(err);
	}
	return rc;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_output(struct exporter *e, const char *file, uint64_t bytes, struct error *err)
{
	struct stat st;

	e->is_stream = !strcmp(file, "-");
	if (e->is_stream) {
		e->fd = STDOUT_FILENO;
		return 0;
	}
	e->fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (e->fd < 0 && errno == EEXIST && stat(file, &st) == 0)
		return error_set(err, -EEXIST,
				 "%s is there already: name a file that is not, or remove it",
				 file);
	if (e->fd < 0 || ftruncate(e->fd, (off_t)bytes) < 0)
		return error_set(err, -errno, "%s cannot be made: %s", file,
				 error_errno_text(-errno));
	return 0;
}

static int close_output(struct exporter *e, const char *file, int rc, struct error *err)
{
	if (e->is_stream || e->fd < 0)
		return rc;
	if (rc == 0 && fsync(e->fd) < 0)
		rc = error_set(err, -errno, "%s cannot be made durable: %s", file,
			       error_errno_text(-errno));
	close(e->fd);
	/* Half a volume looks like a whole one. */
	if (rc < 0)
		unlink(file);
	return rc;
}

static int check_volume(const struct model *m, uint32_t blob, const char *external,
			struct error *err)
{
	const struct volume *v = &m->blobs[blob];

	if (v->damage != DAMAGE_NONE && v->damage != DAMAGE_CLUSTER)
		return error_set(err, -EILSEQ,
				 "blob 0x%" PRIx64 " is damaged, page %" PRIu32 ": %s; `" PROGRAM
				 " repair` may help",
				 v->id, v->bad_page, v->damage_text != NULL ? v->damage_text : "");
	if (v->sees_external && external == NULL)
		return error_set(err, -EINVAL,
				 "blob 0x%" PRIx64 " stands on an external snapshot: name its file "
				 "with --external",
				 v->id);
	return 0;
}

static int export_to(const struct model *m, uint32_t blob, const struct image *external,
		     const char *file, struct error *err)
{
	const struct volume *v = &m->blobs[blob];
	struct exporter e = { .m = m, .external = v->sees_external ? external : NULL, .fd = -1 };
	int rc;

	e.piece = malloc(PIECE_BYTES);
	rc = e.piece == NULL ? error_set(err, -ENOMEM, "no memory") : find_path(&e, blob, err);
	if (rc == 0)
		rc = open_output(&e, file, v->clusters * m->geo.cluster_size, err);
	if (rc == 0) {
		progress_start(&e.progress, "export");
		rc = copy_all(&e, v, err);
		progress_end(&e.progress);
		rc = close_output(&e, file, rc, err);
	}
	free(e.piece);
	free(e.path);
	return rc;
}

static int export_named(const struct model *m, char **argv, const char *external, struct error *err)
{
	uint32_t blob = tool_find_volume(m, argv[2], err);
	struct image other = { .fd = -1 };
	int rc;

	if (blob == NO_BLOB)
		return err->code;
	rc = check_volume(m, blob, external, err);
	if (rc == 0 && external != NULL)
		rc = image_open(&other, external, false, err);
	if (rc == 0)
		rc = export_to(m, blob, &other, argv[3], err);
	image_close(&other);
	return rc;
}

int verb_export(const struct tool_verb *verb, int argc, char **argv)
{
	const char *external = NULL;
	const struct option_row rows[] = {
		{ "external", 'e', OPTION_STRING, "FILE",
		  "the external snapshot that the volume stands on", &external, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	struct look l;
	int code = TOOL_EXIT_OK, rc;

	tool_catch_interrupts();
	if (tool_look(verb, argc, argv, rows, &l, &code) < 0)
		return code;
	rc = tool_need_store(&l.m, &err);
	if (rc == 0)
		rc = export_named(&l.m, argv, external, &err);
	return tool_leave(&l, rc, &err, code);
}

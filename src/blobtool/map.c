/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: who owns which clusters, as text.
 *
 * Threading: one thread.
 */
#include "blobtool/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobtool/text.h"
#include "blobtool/tool.h"

#define TEXT_COLUMNS 64u
#define TEXT_ROWS    32u
#define SVG_CELLS    4096u
#define LEGEND_MAX   200u

/* One letter a blob, in turn. */
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* --- cells ------------------------------------------------------------------------------------ */

/* Clusters of one blob in one cell; cells are filled in order, owners ascend. */
struct tally {
	struct picture *p;
	uint64_t *by_blob; /* in the open cell */
	uint32_t *touched, touched_count;
	uint32_t open;
};

static void close_cell(struct tally *t)
{
	struct cell *c = &t->p->cells[t->open];
	uint64_t most = 0;

	for (uint32_t i = 0; i < t->touched_count; i++) {
		uint32_t blob = t->touched[i];

		if (t->by_blob[blob] > most) {
			most = t->by_blob[blob];
			c->blob = blob;
		}
		t->by_blob[blob] = 0;
	}
	if (t->touched_count > 0 && c->kind != CELL_SHARED)
		c->kind =
			t->touched_count > 1 || c->kind == CELL_METADATA ? CELL_MIXED : CELL_OWNED;
	t->touched_count = 0;
}

static void tally_run(struct tally *t, uint32_t blob, uint64_t first, uint64_t count)
{
	while (count > 0) {
		uint32_t cell = (uint32_t)(first / t->p->each);
		uint64_t room = (cell + UINT64_C(1)) * t->p->each - first;
		uint64_t n = count < room ? count : room;

		/* A run that begins before the open cell overlaps one that was counted. */
		if (cell > t->open) {
			close_cell(t);
			t->open = cell;
		}
		if (cell == t->open) {
			if (t->by_blob[blob] == 0)
				t->touched[t->touched_count++] = blob;
			t->by_blob[blob] += n;
			t->p->cells[cell].used += n;
		}
		first += n;
		count -= n;
	}
}

static void tally_owners(struct tally *t)
{
	const struct model *m = t->p->m;

	for (uint64_t i = 0; i < m->owner_count; i++)
		tally_run(t, m->owners[i].blob, m->owners[i].cluster, m->owners[i].count);
	close_cell(t);
}

static void mark_metadata(struct picture *p)
{
	for (uint64_t i = 0; i * p->each < p->m->geo.md_clusters && i < p->count; i++) {
		uint64_t left = p->m->geo.md_clusters - i * p->each;

		p->cells[i].kind = CELL_METADATA;
		p->cells[i].used = left < p->each ? left : p->each;
	}
}

static void mark_shared(struct picture *p)
{
	for (uint32_t i = 0; i < p->m->overlap_count; i++) {
		const struct overlap *o = &p->m->overlaps[i];

		for (uint64_t c = o->cluster / p->each;
		     c <= ((uint64_t)o->cluster + o->count - 1) / p->each; c++)
			p->cells[c].kind = CELL_SHARED;
	}
}

/* Only what the mask alone knows: cells with an owner show that. */
static void mark_unclaimed(struct picture *p)
{
	const struct mask *mask = &p->m->masks[BLOB_MASK_CLUSTERS];

	for (uint64_t i = 0; mask->sound && i < mask->count; i++) {
		struct cell *c = &p->cells[i / p->each];

		if (mask->bits[i / 8] == 0)
			i |= 7;
		else if (c->kind == CELL_FREE && mask_get(mask->bits, i))
			c->kind = CELL_UNCLAIMED;
	}
}

int picture_make(struct picture *p, const struct model *m, uint32_t most)
{
	uint64_t total = m->geo.total_clusters, each = (total + most - 1) / most;
	struct tally t = { .p = p };

	*p = (struct picture){ .m = m, .each = each > 0 ? each : 1 };
	p->count = (uint32_t)((total + p->each - 1) / p->each);
	p->cells = calloc(p->count + 1u, sizeof(*p->cells));
	t.by_blob = calloc(m->blob_count + 1u, sizeof(*t.by_blob));
	t.touched = calloc(m->blob_count + 1u, sizeof(*t.touched));
	if (p->cells != NULL && t.by_blob != NULL && t.touched != NULL) {
		for (uint32_t i = 0; i < p->count; i++)
			p->cells[i].blob = NO_BLOB;
		mark_metadata(p);
		mark_unclaimed(p);
		mark_shared(p);
		tally_owners(&t);
	}
	free(t.by_blob);
	free(t.touched);
	return p->cells == NULL || t.by_blob == NULL || t.touched == NULL ? -ENOMEM : 0;
}

void picture_free(struct picture *p)
{
	free(p->cells);
	p->cells = NULL;
}

/* --- text ------------------------------------------------------------------------------------- */

static char letter_of(const struct cell *c)
{
	switch (c->kind) {
	case CELL_METADATA:
		return '#';
	case CELL_OWNED:
		return letters[c->blob % (sizeof(letters) - 1)];
	case CELL_MIXED:
		return '*';
	case CELL_SHARED:
		return '!';
	case CELL_UNCLAIMED:
		return '?';
	default:
		return '.';
	}
}

static void print_cells(const struct picture *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		if (i % TEXT_COLUMNS == 0)
			printf("%10" PRIu64 "  ", i * p->each);
		putchar(letter_of(&p->cells[i]));
		if (i % TEXT_COLUMNS == TEXT_COLUMNS - 1 || i + 1 == p->count)
			putchar('\n');
	}
}

static bool is_in_legend(const struct model *m, const struct volume *v)
{
	return volume_claims(v) && !(m->is_lvol && v->allocated == 0 && model_is_super(m, v));
}

static void print_legend(const struct picture *p)
{
	uint32_t lines = 0, left_out = 0;
	char label[NAME_SIZE];

	puts("\n         #  metadata\n         .  free");
	if (p->each > 1)
		puts("         *  several owners");
	if (p->m->overlap_count > 0)
		puts("         !  two owners of one cluster");
	if (p->m->masks[BLOB_MASK_CLUSTERS].sound)
		puts("         ?  in use by the mask, nobody's");
	for (uint32_t i = 0; i < p->m->blob_count; i++) {
		const struct volume *v = &p->m->blobs[i];

		if (!is_in_legend(p->m, v))
			continue;
		if (lines++ >= LEGEND_MAX) {
			left_out++;
			continue;
		}
		printf("         %c  ", letters[i % (sizeof(letters) - 1)]);
		text_print(stdout, tool_volume_label(p->m, i, label));
		printf(", %" PRIu64 " clusters%s\n", v->allocated,
		       v->damage != DAMAGE_NONE ? ", damaged" : "");
	}
	if (left_out > 0)
		printf("            and %" PRIu32 " more\n", left_out);
}

static int print_text(const struct model *m, struct error *err)
{
	struct picture p;
	char size[TEXT_SIZE];

	if (picture_make(&p, m, TEXT_COLUMNS * TEXT_ROWS) < 0) {
		picture_free(&p);
		return error_set(err, -ENOMEM, "no memory for the map");
	}
	printf("%s: %" PRIu32 " clusters of %s, %" PRIu64 " free; a character is %" PRIu64
	       " clusters\n\n",
	       m->img->path, m->geo.total_clusters, text_size(m->geo.cluster_size, size),
	       m->free_clusters, p.each);
	print_cells(&p);
	print_legend(&p);
	picture_free(&p);
	return 0;
}

static int write_svg(const struct model *m, const char *file, struct error *err)
{
	FILE *out = !strcmp(file, "-") ? stdout : fopen(file, "wxe");
	struct picture p;
	int rc = 0;

	if (out == NULL)
		return error_set(err, -errno, "%s cannot be made: %s", file,
				 error_errno_text(-errno));
	if (picture_make(&p, m, SVG_CELLS) < 0)
		rc = error_set(err, -ENOMEM, "no memory for the map");
	else
		picture_svg(&p, out);
	picture_free(&p);
	if (out != stdout && fclose(out) != 0 && rc == 0)
		rc = error_set(err, -errno, "%s cannot be written: %s", file,
			       error_errno_text(-errno));
	return rc;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *cell_json(const struct picture *p, uint32_t i)
{
	static const char *const kinds[] = {
		[CELL_FREE] = "free",	  [CELL_METADATA] = "metadata",
		[CELL_OWNED] = "owned",	  [CELL_MIXED] = "several",
		[CELL_SHARED] = "shared", [CELL_UNCLAIMED] = "unclaimed",
	};
	const struct cell *c = &p->cells[i];
	json_t *o = json_object();

	json_object_set_new(o, "first", json_integer((json_int_t)(i * p->each)));
	json_object_set_new(o, "kind", json_string(kinds[c->kind]));
	json_object_set_new(o, "used", json_integer((json_int_t)c->used));
	if (c->blob != NO_BLOB)
		json_object_set_new(o, "blob", text_json_id(p->m->blobs[c->blob].id));
	return o;
}

static int print_json(const struct model *m, struct error *err)
{
	json_t *o = json_object(), *cells = json_array();
	struct picture p;
	int rc = picture_make(&p, m, TEXT_COLUMNS * TEXT_ROWS);

	for (uint32_t i = 0; rc == 0 && i < p.count; i++)
		json_array_append_new(cells, cell_json(&p, i));
	json_object_set_new(o, "clusters", json_integer(m->geo.total_clusters));
	json_object_set_new(o, "free_clusters", json_integer((json_int_t)m->free_clusters));
	json_object_set_new(o, "cluster_size", json_integer(m->geo.cluster_size));
	json_object_set_new(o, "clusters_per_cell", json_integer((json_int_t)p.each));
	json_object_set_new(o, "cells", cells);
	if (rc == 0)
		json_dumpf(o, stdout, JSON_INDENT(1));
	if (rc == 0)
		putchar('\n');
	json_decref(o);
	picture_free(&p);
	return rc < 0 ? error_set(err, rc, "no memory for the map") : 0;
}

static int show(const struct model *m, const char *svg, bool as_json, struct error *err)
{
	if (as_json)
		return print_json(m, err);
	return svg != NULL ? write_svg(m, svg, err) : print_text(m, err);
}

int verb_map(const struct tool_verb *verb, int argc, char **argv)
{
	const char *svg = NULL;
	bool as_json = false;
	const struct option_row rows[] = {
		{ "svg", 's', OPTION_STRING, "FILE",
		  "draw it in SVG into a file that is not there yet; - is standard output", &svg, 0,
		  0, NULL, NULL },
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON", &as_json, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	struct look l;
	int code = TOOL_EXIT_OK, rc;

	if (tool_look(verb, argc, argv, rows, &l, &code) < 0)
		return code;
	rc = tool_need_store(&l.m, &err);
	if (rc == 0)
		rc = show(&l.m, svg, as_json, &err);
	return tool_leave(&l, rc, &err, code);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map as SVG: a grid of cells, and a legend of volumes as a tree.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "blobtool/inspect.h"
#include "blobtool/map.h"
#include "blobtool/text.h"
#include "blobtool/tool.h"

#define LABEL_ROWS 4u
#define COLUMNS	   64u
#define CELL	   12u /* pixels, with a gap of 1 */
#define LEFT	   90u
#define TOP	   64u
#define LEGEND	   360u /* width */
#define LINE	   18u
#define LEGEND_MAX 200u
#define FONT	   "font-family=\"sans-serif\" font-size=\"12\""

/* Hues by the golden angle: neighbours differ, however many there are. */
static unsigned int hue(uint32_t blob)
{
	return (unsigned int)(((uint64_t)blob * 137508 / 1000 + 20) % 360);
}

/* A cell that is not all in use is paler. */
static void fill(const struct picture *p, const struct cell *c, FILE *out)
{
	uint64_t share = p->each > 0 ? c->used * 100 / p->each : 100;
	unsigned int light = 82 - (unsigned int)(share > 100 ? 100 : share) * 30 / 100;

	switch (c->kind) {
	case CELL_METADATA:
		fputs("#404040", out);
		break;
	case CELL_OWNED:
	case CELL_MIXED:
		fprintf(out, "hsl(%u,%u%%,%u%%)", hue(c->blob), c->kind == CELL_MIXED ? 25u : 65u,
			light);
		break;
	case CELL_SHARED:
		fputs("#ff0000", out);
		break;
	case CELL_UNCLAIMED:
		fputs("#705c10", out);
		break;
	default:
		fputs("#eeeeee", out);
		break;
	}
}

static void draw_title(const struct picture *p, uint64_t first, const struct cell *c, FILE *out)
{
	static const char *const kinds[] = { "free",	     "metadata",
					     "owned by ",    "several owners, most by ",
					     "two owners: ", "in use by the mask, nobody's" };
	uint64_t last = first + p->each - 1;
	char label[NAME_SIZE];

	if (last >= p->m->geo.total_clusters)
		last = p->m->geo.total_clusters - 1;
	fprintf(out, "<title>clusters %" PRIu64 " to %" PRIu64 ": %s", first, last, kinds[c->kind]);
	if (c->blob != NO_BLOB)
		text_print_xml(out, tool_volume_label(p->m, c->blob, label));
	fputs("</title>", out);
}

static void draw_cells(const struct picture *p, FILE *out)
{
	for (uint32_t i = 0; i < p->count; i++) {
		uint32_t x = LEFT + i % COLUMNS * CELL, y = TOP + i / COLUMNS * CELL;

		if (i % (COLUMNS * LABEL_ROWS) == 0)
			fprintf(out,
				"<text x=\"%u\" y=\"%u\" text-anchor=\"end\" fill=\"#808080\" " FONT
				">%" PRIu64 "</text>\n",
				LEFT - 8, y + CELL - 2, i * p->each);
		fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"", x, y,
			CELL - 1, CELL - 1);
		fill(p, &p->cells[i], out);
		fputs("\">", out);
		draw_title(p, i * p->each, &p->cells[i], out);
		fputs("</rect>\n", out);
	}
}

struct legend {
	FILE *out;
	uint32_t x, y, lines, left_out;
};

static void draw_line(struct legend *l, unsigned int depth, const char *fill_text, uint32_t blob)
{
	uint32_t x = l->x + (depth < 12 ? depth : 12) * 14;

	fprintf(l->out, "<rect x=\"%u\" y=\"%u\" width=\"11\" height=\"11\" fill=\"", x, l->y - 10);
	if (fill_text != NULL)
		fputs(fill_text, l->out);
	else
		fprintf(l->out, "hsl(%u,65%%,52%%)", hue(blob));
	fprintf(l->out, "\"/>\n<text x=\"%u\" y=\"%u\" " FONT ">", x + 17, l->y);
	l->y += LINE;
	l->lines++;
}

static void draw_volume(struct legend *l, const struct model *m, uint32_t blob, unsigned int depth)
{
	const struct volume *v = &m->blobs[blob];
	char label[NAME_SIZE];

	if (l->lines >= LEGEND_MAX) {
		l->left_out++;
		return;
	}
	draw_line(l, depth, NULL, blob);
	text_print_xml(l->out, tool_volume_label(m, blob, label));
	fprintf(l->out, " (%" PRIu64 "%s%s)</text>\n", v->allocated,
		v->children > 0 ? ", snapshot" : "", v->damage != DAMAGE_NONE ? ", damaged" : "");
}

static void draw_children(struct legend *l, const struct model *m, uint32_t parent,
			  unsigned int depth)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].parent != parent || !volume_claims(&m->blobs[i]) ||
		    (m->is_lvol && model_is_super(m, &m->blobs[i])))
			continue;
		draw_volume(l, m, i, depth);
		if (depth < INSPECT_DEPTH_MAX && m->blobs[i].children > 0)
			draw_children(l, m, i, depth + 1);
	}
}

static uint32_t legend_lines(const struct model *m)
{
	return (m->blob_count < LEGEND_MAX ? m->blob_count : LEGEND_MAX) + 6;
}

static bool has_unclaimed(const struct picture *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->cells[i].kind == CELL_UNCLAIMED)
			return true;
	}
	return false;
}

static void draw_legend(const struct picture *p, FILE *out)
{
	struct legend l = { .out = out, .x = LEFT + COLUMNS * CELL + 24, .y = TOP + 10 };

	draw_line(&l, 0, "#404040", 0);
	fputs("metadata</text>\n", out);
	draw_line(&l, 0, "#eeeeee", 0);
	fputs("free</text>\n", out);
	if (p->m->overlap_count > 0) {
		draw_line(&l, 0, "#ff0000", 0);
		fputs("two owners of one cluster</text>\n", out);
	}
	if (has_unclaimed(p)) {
		draw_line(&l, 0, "#705c10", 0);
		fputs("in use by the mask, nobody's</text>\n", out);
	}
	draw_children(&l, p->m, NO_BLOB, 0);
	if (l.left_out > 0)
		fprintf(out, "<text x=\"%u\" y=\"%u\" " FONT ">and %" PRIu32 " more</text>\n", l.x,
			l.y, l.left_out);
}

void picture_svg(const struct picture *p, FILE *out)
{
	uint32_t rows = (p->count + COLUMNS - 1) / COLUMNS, lines = legend_lines(p->m);
	uint32_t width = LEFT + COLUMNS * CELL + 24 + LEGEND;
	uint32_t height = TOP + 24 + (rows * CELL > lines * LINE ? rows * CELL : lines * LINE);
	char size[TEXT_SIZE];

	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"#ffffff\"/>\n"
		"<text x=\"%u\" y=\"26\" font-family=\"sans-serif\" font-size=\"17\">",
		width, height, width, height, LEFT);
	text_print_xml(out, p->m->is_lvol ? p->m->store_name : "Blobstore");
	fputs(" on ", out);
	text_print_xml(out, p->m->img->path);
	fprintf(out,
		"</text>\n<text x=\"%u\" y=\"46\" fill=\"#606060\" " FONT ">%" PRIu32
		" clusters of %s, %" PRIu64 " free; a cell is %" PRIu64 " cluster%s</text>\n",
		LEFT, p->m->geo.total_clusters, text_size(p->m->geo.cluster_size, size),
		p->m->free_clusters, p->each, p->each == 1 ? "" : "s");
	draw_cells(p, out);
	draw_legend(p, out);
	fputs("</svg>\n", out);
}

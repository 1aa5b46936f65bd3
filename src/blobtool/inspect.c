/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect: what is there, for a person.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blobtool/inspect.h"
#include "blobtool/text.h"
#include "blobtool/tool.h"

static void print_region(const char *name, const struct blob_region *r)
{
	if (r->len == 0)
		printf("  %-18s none\n", name);
	else
		printf("  %-18s pages %" PRIu32 " to %" PRIu32 "\n", name, r->start,
		       r->start + r->len - 1);
}

static void print_super(const struct model *m)
{
	const struct blob_geometry *g = &m->geo;
	char size[TEXT_SIZE], device[TEXT_SIZE], cluster[TEXT_SIZE];

	printf("Blobstore version %" PRIu32 " on %s, %s\n", g->version, m->img->path,
	       g->clean ? "unloaded cleanly" : "not unloaded cleanly");
	printf("  type               \"");
	for (int i = 0; i < 16 && g->bstype[i] != 0; i++)
		text_print(stdout, (const char[]){ (char)g->bstype[i], '\0' });
	printf("\"\n  size               %s of %s\n", text_size(g->size, size),
	       text_size(m->img->bytes, device));
	printf("  clusters           %" PRIu32 " of %s, %" PRIu32 " of metadata, %" PRIu64
	       " free\n",
	       g->total_clusters, text_size(g->cluster_size, cluster), g->md_clusters,
	       m->free_clusters);
	printf("  blocks             %" PRIu32 " bytes, metadata pages %" PRIu32 " bytes\n",
	       g->io_unit_size, g->page_size);
	print_region("used page mask", &g->pages);
	print_region("used cluster mask", &g->clusters);
	print_region("used blob id mask", &g->ids);
	print_region("metadata", &g->md);
	if (g->super_blob == BLOB_ID_NONE)
		puts("  super blob         none");
	else
		printf("  super blob         0x%" PRIx64 "\n", g->super_blob);
}

static void print_volume(const struct model *m, uint32_t blob, int depth)
{
	const struct volume *v = &m->blobs[blob];
	char label[NAME_SIZE], size[TEXT_SIZE], uuid[UUID_TEXT_SIZE] = "no UUID";

	if (v->has_uuid)
		uuid_to_text(&v->uuid, uuid);
	printf("  %*s", depth * 2, "");
	text_print(stdout, tool_volume_label(m, blob, label));
	printf("  %s, %s, %" PRIu64 " of %" PRIu64 " clusters%s%s%s",
	       text_size(v->clusters * m->geo.cluster_size, size),
	       (v->content.invalid & BLOB_INVALID_THIN) != 0 ? "thin" : "thick", v->allocated,
	       v->clusters, v->children > 0 ? ", snapshot" : "",
	       volume_is_read_only(v) ? ", read-only" : "",
	       (v->content.invalid & BLOB_INVALID_ESNAP) != 0 ? ", on an external snapshot" : "");
	if (m->is_lvol)
		printf(", %s", uuid);
	printf(", blob 0x%" PRIx64 "\n", v->id);
}

/* Parents before children; the depth is bounded by the number of blobs, and circles are broken. */
static void print_children(const struct model *m, uint32_t parent, int depth)
{
	for (uint32_t i = 0; i < m->blob_count; i++) {
		if (m->blobs[i].parent != parent || !tool_is_listed(m, i))
			continue;
		print_volume(m, i, depth);
		if (m->blobs[i].children > 0 && depth < INSPECT_DEPTH_MAX)
			print_children(m, i, depth + 1);
	}
}

static void print_damaged(const struct model *m)
{
	char label[NAME_SIZE];

	for (uint32_t i = 0; i < m->blob_count; i++) {
		const struct volume *v = &m->blobs[i];

		if (v->damage == DAMAGE_NONE || !v->listed)
			continue;
		printf("damaged: blob 0x%" PRIx64 " ", v->id);
		text_print(stdout, tool_volume_label(m, i, label));
		printf(", page %" PRIu32 ": ", v->bad_page);
		text_print(stdout, v->damage_text != NULL ? v->damage_text : "");
		puts("");
	}
}

static void print_store(const struct model *m)
{
	char uuid[UUID_TEXT_SIZE] = "no UUID";
	uint64_t bad = m->f->total[SEVERITY_ERROR] + m->f->total[SEVERITY_WARNING];

	if (m->is_lvol) {
		if (m->store_has_uuid)
			uuid_to_text(&m->store_uuid, uuid);
		printf("\nlogical volume store \"");
		text_print(stdout, m->store_name);
		printf("\", %s\n", uuid);
	} else {
		puts("\nblobs");
	}
	print_children(m, NO_BLOB, 0);
	print_damaged(m);
	if (bad > 0)
		printf("\n%" PRIu64 " findings; `" PROGRAM " check` tells them\n", bad);
}

int verb_inspect(const struct tool_verb *verb, int argc, char **argv)
{
	bool as_json = false;
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON", &as_json, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct look l;
	int code = TOOL_EXIT_OK;

	if (tool_look(verb, argc, argv, rows, &l, &code) < 0)
		return code;
	if (as_json)
		inspect_json(&l.m);
	else if (l.m.code < 0)
		findings_print(&l.f, stdout);
	else
		print_super(&l.m), print_store(&l.m);
	return tool_leave(&l, 0, NULL, l.m.code < 0 ? TOOL_EXIT_DAMAGED : TOOL_EXIT_OK);
}

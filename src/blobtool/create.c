/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: a new logical volume store with volumes, and what volumes are made of.
 *
 * Order of a new store: super block is zeroes => metadata region is zeroes => data => extent pages,
 * root pages, masks => super block, clean. What is interrupted is no store.
 *
 * Threading: one thread.
 */
#include "blobtool/create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/checked.h"
#include "blob/mask.h"
#include "blobtool/text.h"
#include "blobtool/tool.h"
#include "probe/probe.h"

#define CLUSTER_DEFAULT (4u << 20)
#define RATIO_MAX	1000000u
#define RATIO_DEFAULT	100u
#define BLOCK_DEFAULT	512u

/** struct create_options - 0: not given; @made: the file is new */
struct create_options {
	uint64_t size, cluster_size, block_size, md_page_size, ratio;
	const char *force;
	bool made, as_json;
	struct source_options source;
};

/* --- the image -------------------------------------------------------------------------------- */

static int make_file(struct maker *mk, const char *path, const struct create_options *o,
		     struct error *err)
{
	int fd, rc;

	if (o->size == 0)
		return error_set(err, -ENOENT, "%s is not there; --size makes it", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "%s cannot be made: %s", path,
				 error_errno_text(-errno));
	if (ftruncate(fd, (off_t)o->size) < 0)
		rc = error_set(err, -errno, "%s cannot have %" PRIu64 " bytes: %s", path, o->size,
			       error_errno_text(-errno));
	else
		rc = image_adopt(&mk->img, path, fd, true, err);
	if (rc < 0)
		unlink(path);
	return rc;
}

/* Only what is empty, unless its serial is named. */
static int ask_probe(const char *path, const char *force, struct error *err)
{
	struct probe *probe = probe_create(NULL);
	const struct probe_finding *why;
	struct probe_device d;
	int rc = probe == NULL ? error_set(err, -ENOMEM, "no memory")
			       : probe_path(probe, path, &d, err);

	if (rc == 0) {
		enum probe_verdict verdict = probe_device_verdict(&d);

		why = probe_device_reason(&d);
		if (verdict == PROBE_IN_USE || verdict == PROBE_UNFIT)
			rc = error_set(err, verdict == PROBE_IN_USE ? -EBUSY : -EINVAL, "%s; %s",
				       why->text, why->remedy);
		else if (verdict == PROBE_HOLDS_DATA && (force == NULL || strcmp(force, d.serial)))
			rc = error_set(err, -ENOTEMPTY, "%s; --force %s gives that up", why->text,
				       d.serial);
		probe_device_fini(&d);
	}
	probe_destroy(probe);
	return rc;
}

static int check_layout(const struct maker *mk, const struct create_options *o, struct error *err)
{
	if ((o->cluster_size | o->block_size | o->md_page_size | o->ratio) == 0)
		return 0;
	return error_set(
		err, -EINVAL,
		"store \"%s\" is there already: --cluster-size, --block-size, --md-ratio and "
		"--md-page-size are for a new one",
		mk->store);
}

/* The store that is named gets more volumes; anything else must be empty, or given up. */
static int open_there(struct maker *mk, const char *path, const struct create_options *o,
		      struct error *err)
{
	int rc = image_open(&mk->img, path, true, err);

	if (rc == 0 && o->force == NULL)
		rc = adder_open(mk, err);
	if (rc < 0)
		return rc;
	if (mk->adds)
		return check_layout(mk, o, err);
	/* Whoever asks must not hold it. */
	image_close(&mk->img);
	rc = ask_probe(path, o->force, err);
	return rc < 0 ? rc : image_open(&mk->img, path, true, err);
}

static int open_image(struct maker *mk, const char *path, struct create_options *o,
		      struct error *err)
{
	if (access(path, F_OK) < 0) {
		o->made = true;
		return make_file(mk, path, o, err);
	}
	if (o->size != 0)
		return error_set(err, -EEXIST,
				 "%s is there already: --size is for a file that is not", path);
	return open_there(mk, path, o, err);
}

static uint64_t or_default(uint64_t given, uint64_t otherwise)
{
	return given != 0 ? given : otherwise;
}

static int plan(struct maker *mk, const struct create_options *o, struct error *err)
{
	static const uint8_t lvol[16] = LVOL_BSTYPE;
	uint64_t clusters, pages, ratio = or_default(o->ratio, RATIO_DEFAULT);
	int logical = 0, rc;

	mk->geo = (struct blob_geometry){
		.cluster_size = (uint32_t)or_default(o->cluster_size, CLUSTER_DEFAULT),
		.page_size = (uint32_t)or_default(o->md_page_size, BLOB_PAGE_BYTES),
		.io_unit_size = (uint32_t)or_default(o->block_size, BLOCK_DEFAULT),
		.super_blob = BLOB_ID_BASE,
		.clean = true
	};
	memcpy(mk->geo.bstype, lvol, sizeof(lvol));
	if (mk->img.is_block && ioctl(mk->img.fd, BLKSSZGET, &logical) == 0)
		mk->geo.io_unit_size = (uint32_t)logical;
	clusters = mk->geo.cluster_size > 0 ? mk->img.bytes / mk->geo.cluster_size : 0;
	pages = clusters * ratio / 100;
	if (clusters > 0 && (pages == 0 || pages >= UINT32_MAX))
		return error_set(err, -EINVAL,
				 "%" PRIu64 " %% of %" PRIu64 " clusters give %" PRIu64
				 " metadata pages: choose another --md-ratio",
				 ratio, clusters, pages);
	mk->geo.md.len = (uint32_t)pages;
	rc = blob_layout_plan(mk->img.bytes, &mk->geo, err);
	return rc < 0 ? error_prefix(err, "%s: ", mk->img.path) : maker_prepare(mk, err);
}

/* --- volumes ---------------------------------------------------------------------------------- */

static uint64_t clusters_of(const struct maker *mk, const struct source *s)
{
	return s->bytes / mk->geo.cluster_size + (s->bytes % mk->geo.cluster_size != 0);
}

static int check_sources(const struct maker *mk, struct error *err)
{
	uint64_t thick = 0;

	for (uint32_t i = 0; i < mk->count; i++) {
		const struct source *s = &mk->sources[i];

		for (uint32_t j = 0; j < i; j++) {
			if (!strcmp(mk->sources[j].name, s->name))
				return error_set(err, -EEXIST, "volume \"%s\" is given twice",
						 s->name);
		}
		if (clusters_of(mk, s) > UINT32_MAX)
			return error_set(err, -EINVAL,
					 "volume \"%s\" needs %" PRIu64
					 " clusters, at most 2^32 - 1 are possible",
					 s->name, clusters_of(mk, s));
		if (!s->thin)
			thick += clusters_of(mk, s);
	}
	if (thick > maker_free_clusters(mk))
		return error_set(err, -ENOSPC,
				 "the volumes need %" PRIu64 " clusters, %s has %" PRIu64, thick,
				 mk->img.path, maker_free_clusters(mk));
	return 0;
}

static int take_page(struct maker *mk, uint32_t *page, struct error *err)
{
	uint64_t found = bit_array_take(mk->pages);

	if (found == UINT64_MAX)
		return error_set(err, -ENOSPC, "all %" PRIu32 " metadata pages are in use%s",
				 mk->geo.md.len, mk->adds ? "" : ": choose a larger --md-ratio");
	*page = (uint32_t)found;
	return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Cluster @index of @s into mk->piece, zeroes behind its end; false: it is all zeroes. */
static int read_cluster(struct maker *mk, const struct source *s, uint64_t index, bool *data,
			struct error *err)
{
	uint64_t size = mk->geo.cluster_size, at = index * size, end, first;
	size_t n = s->bytes - at < size ? (size_t)(s->bytes - at) : (size_t)size;
	int rc;

	*data = false;
	if (s->file == NULL)
		return 0;
	first = image_seek(&s->data, at, &end);
	if (first >= at + n)
		return 0;
	memset(mk->piece + n, 0, size - n);
	rc = image_read(&s->data, mk->piece, at, n, err);
	*data = rc == 0 && !is_zero(mk->piece, n);
	return rc;
}

static int write_cluster(struct maker *mk, uint64_t cluster, bool data, struct error *err)
{
	uint64_t size = mk->geo.cluster_size, at = cluster * size;
	bool is_hole = !mk->img.is_block;
	int rc = 0;

	/* A new store's file was one hole before: pages of zeroes stay that. */
	if (mk->adds || (mk->img.is_block && !data))
		rc = image_zero(&mk->img, at, size, err);
	for (uint64_t i = 0; data && i < size && rc == 0; i += IMAGE_PAGE) {
		if (!is_hole || !is_zero(mk->piece + i, IMAGE_PAGE))
			rc = image_write(&mk->img, mk->piece + i, at + i, IMAGE_PAGE, err);
	}
	return rc;
}

static int put_cluster(struct maker *mk, struct blob_map *map, uint64_t index, uint64_t *cluster,
		       struct error *err)
{
	uint64_t table = index / BLOB_EXTENT_CLUSTERS;
	struct blob_leaf *leaf = blob_map_leaf(map, table);

	*cluster = bit_array_take(mk->clusters);
	if (*cluster == UINT64_MAX)
		return error_set(err, -ENOSPC, "%s is full: its %" PRIu32 " clusters are in use",
				 mk->img.path, mk->geo.total_clusters);
	if (leaf == NULL) {
		leaf = blob_leaf_create(blob_map_entries(map->clusters, table));
		if (leaf == NULL)
			return error_set(err, -ENOMEM, "no memory for a cluster map");
		blob_map_set_leaf(map, table, leaf);
		if (take_page(mk, &leaf->page, err) < 0)
			return err->code;
	}
	blob_leaf_set(leaf, index % BLOB_EXTENT_CLUSTERS, (uint32_t)*cluster);
	return 0;
}

static int fill_volume(struct maker *mk, const struct source *s, struct error *err)
{
	int rc = 0;

	for (uint64_t i = 0; i < s->map->clusters && rc == 0; i++) {
		uint64_t cluster;
		bool data;

		rc = read_cluster(mk, s, i, &data, err);
		if (rc == 0 && (data || !s->thin)) {
			rc = put_cluster(mk, s->map, i, &cluster, err);
			if (rc == 0)
				rc = write_cluster(mk, cluster, data, err);
		}
		mk->done += mk->geo.cluster_size;
		progress_show(&mk->progress, mk->done, mk->total);
		if (rc == 0)
			rc = tool_check_interrupt(err);
	}
	return rc;
}

static int make_data(struct maker *mk, struct source *s, struct error *err)
{
	uint64_t clusters = clusters_of(mk, s);
	int rc = take_page(mk, &s->root, err);

	s->map = blob_map_create(clusters, blob_map_tables(clusters));
	s->page = malloc(BLOB_PAGE_BYTES);
	if (rc == 0 && (s->map == NULL || s->page == NULL))
		rc = error_set(err, -ENOMEM, "no memory for it");
	if (rc == 0)
		rc = fill_volume(mk, s, err);
	return rc < 0 ? error_prefix(err, "volume \"%s\": ", s->name) : 0;
}

/* --- metadata --------------------------------------------------------------------------------- */

static int write_page(struct maker *mk, uint32_t index, const void *page, struct error *err)
{
	bit_array_set(mk->fresh, index);
	return image_write(&mk->img, page, blob_page_offset(&mk->geo, index), BLOB_PAGE_BYTES, err);
}

static int write_extents(struct maker *mk, uint64_t id, const struct blob_map *map,
			 struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = 0;

	for (uint64_t i = 0; i < map->leaves && rc == 0; i++) {
		const struct blob_leaf *leaf = blob_map_leaf(map, i);

		if (leaf == NULL)
			continue;
		blob_extents_write(page, id, i, leaf, blob_map_entries(map->clusters, i));
		rc = write_page(mk, leaf->page, page, err);
	}
	return rc;
}

/* The root page comes back in @page. */
static int write_chain(struct maker *mk, const struct blob_source *src, uint8_t *page,
		       struct error *err)
{
	struct blob_chain chain = { 0 };
	uint32_t *pages = NULL;
	int rc = blob_chain_build(&chain, src);

	if (rc == 0)
		pages = calloc(chain.count, sizeof(*pages));
	if (pages == NULL) {
		blob_chain_free(&chain);
		return error_set(err, -ENOMEM, "no memory for metadata pages");
	}
	for (uint32_t i = 1; i < chain.count && rc == 0; i++)
		rc = take_page(mk, &pages[i - 1], err);
	if (rc == 0)
		blob_chain_link(&chain, pages);
	for (uint32_t i = 1; i < chain.count && rc == 0; i++)
		rc = write_page(mk, pages[i - 1], blob_chain_page(&chain, i), err);
	if (rc == 0)
		memcpy(page, blob_chain_page(&chain, 0), BLOB_PAGE_BYTES);
	blob_chain_free(&chain);
	free(pages);
	return rc;
}

static int write_blob(struct maker *mk, uint32_t root, const struct blob_map *map, bool thin,
		      const struct blob_xattrs *xattrs, uint8_t *page, struct error *err)
{
	struct blob_source src = {
		.id = BLOB_ID_BASE + root,
		.invalid = BLOB_INVALID_EXTENT_TABLE | (thin ? BLOB_INVALID_THIN : 0),
		.table = true,
		.map = map,
		.xattrs = xattrs,
	};
	int rc = write_extents(mk, src.id, map, err);

	return rc < 0 ? rc : write_chain(mk, &src, page, err);
}

static int write_root(struct maker *mk, uint32_t root, const uint8_t *page, struct error *err)
{
	bit_array_set(mk->ids, root);
	return write_page(mk, root, page, err);
}

static int add_uuid(struct blob_xattrs *set, const struct uuid *uuid, struct error *err)
{
	char text[UUID_TEXT_SIZE];

	uuid_to_text(uuid, text);
	return blob_xattrs_set(set, false, "uuid", 4, text, sizeof(text), err);
}

static int write_store_blob(struct maker *mk, struct error *err)
{
	struct blob_xattrs xattrs = { 0 };
	struct blob_map *map = blob_map_create(0, 0);
	uint8_t page[BLOB_PAGE_BYTES];
	uint32_t root = 0;
	int rc = map == NULL ? error_set(err, -ENOMEM, "no memory") : take_page(mk, &root, err);

	uuid_make(&mk->uuid);
	if (rc == 0)
		rc = add_uuid(&xattrs, &mk->uuid, err);
	if (rc == 0)
		rc = blob_xattrs_set(&xattrs, false, "name", 4, mk->store, strlen(mk->store) + 1,
				     err);
	if (rc == 0)
		rc = write_blob(mk, root, map, false, &xattrs, page, err);
	if (rc == 0)
		rc = write_root(mk, root, page, err);
	blob_xattrs_free(&xattrs);
	blob_map_destroy(map);
	return rc;
}

static int write_volume(struct maker *mk, const struct source *s, struct error *err)
{
	struct blob_xattrs xattrs = { 0 };
	/* SPDK pads a new name to 64 bytes. */
	int rc = blob_xattrs_set(&xattrs, false, "name", 4, s->name, sizeof(s->name), err);

	if (rc == 0)
		rc = add_uuid(&xattrs, &s->uuid, err);
	if (rc == 0)
		rc = write_blob(mk, s->root, s->map, s->thin, &xattrs, s->page, err);
	blob_xattrs_free(&xattrs);
	return rc < 0 ? error_prefix(err, "volume \"%s\": ", s->name) : 0;
}

int maker_write_volumes(struct maker *mk, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < mk->count; i++)
		mk->total += clusters_of(mk, &mk->sources[i]) * mk->geo.cluster_size;
	progress_start(&mk->progress, "create");
	for (uint32_t i = 0; i < mk->count && rc == 0; i++)
		rc = make_data(mk, &mk->sources[i], err);
	progress_end(&mk->progress);
	if (rc == 0)
		rc = image_sync(&mk->img, err);
	for (uint32_t i = 0; i < mk->count && rc == 0; i++)
		rc = write_volume(mk, &mk->sources[i], err);
	if (rc == 0)
		rc = image_sync(&mk->img, err);
	for (uint32_t i = 0; i < mk->count && rc == 0; i++)
		rc = write_root(mk, mk->sources[i].root, mk->sources[i].page, err);
	return rc < 0 ? rc : image_sync(&mk->img, err);
}

static int write_mask(struct maker *mk, const struct blob_region *r, enum blob_disk_mask_type type,
		      const struct bit_array *bits, struct error *err)
{
	size_t bytes = (size_t)r->len * mk->geo.page_size;
	uint8_t *region = malloc(bytes);
	int rc;

	if (region == NULL)
		return error_set(err, -ENOMEM, "no memory for a mask");
	blob_mask_build(region, bytes, type, bits);
	rc = image_write(&mk->img, region, (uint64_t)r->start * mk->geo.page_size, bytes, err);
	free(region);
	return rc;
}

int maker_write_masks(struct maker *mk, struct error *err)
{
	int rc = write_mask(mk, &mk->geo.pages, BLOB_MASK_PAGES, mk->pages, err);

	if (rc == 0)
		rc = write_mask(mk, &mk->geo.ids, BLOB_MASK_BLOBIDS, mk->ids, err);
	if (rc == 0)
		rc = write_mask(mk, &mk->geo.clusters, BLOB_MASK_CLUSTERS, mk->clusters, err);
	return rc;
}

/* --- all of it -------------------------------------------------------------------------------- */

int maker_prepare(struct maker *mk, struct error *err)
{
	mk->pages = bit_array_create(mk->geo.md.len);
	mk->fresh = bit_array_create(mk->geo.md.len);
	mk->ids = bit_array_create(mk->geo.md.len);
	mk->clusters = bit_array_create(mk->geo.total_clusters);
	mk->piece = malloc(mk->geo.cluster_size);
	if (mk->pages == NULL || mk->fresh == NULL || mk->ids == NULL || mk->clusters == NULL ||
	    mk->piece == NULL)
		return error_set(err, -ENOMEM, "no memory for a store of this size");
	for (uint32_t i = 0; i < mk->geo.md_clusters; i++)
		bit_array_set(mk->clusters, i);
	return 0;
}

uint64_t maker_free_clusters(const struct maker *mk)
{
	return mk->geo.total_clusters - bit_array_count_set(mk->clusters);
}

static int erase(struct maker *mk, struct error *err)
{
	uint64_t md_end = blob_page_offset(&mk->geo, mk->geo.md.len);
	int rc = image_zero(&mk->img, 0, BLOB_PAGE_BYTES, err);

	if (rc == 0)
		rc = image_sync(&mk->img, err);
	return rc < 0 ? rc
		      : image_zero(&mk->img, 0, mk->img.is_block ? md_end : mk->img.bytes, err);
}

static int make_store(struct maker *mk, const struct create_options *o, struct error *err)
{
	uint8_t page[BLOB_PAGE_BYTES];
	int rc = o->made ? 0 : erase(mk, err);

	if (rc == 0)
		rc = write_store_blob(mk, err);
	if (rc == 0)
		rc = maker_write_volumes(mk, err);
	if (rc == 0)
		rc = maker_write_masks(mk, err);
	if (rc == 0)
		rc = image_sync(&mk->img, err);
	if (rc == 0) {
		blob_super_build(&mk->geo, page);
		rc = image_write(&mk->img, page, 0, sizeof(page), err);
	}
	return rc < 0 ? rc : image_sync(&mk->img, err);
}

static void print_made(const struct maker *mk)
{
	char uuid[UUID_TEXT_SIZE], size[TEXT_SIZE];

	uuid_to_text(&mk->uuid, uuid);
	printf("store \"%s\", %s, on %s: %" PRIu64 " of %" PRIu32 " clusters free\n", mk->store,
	       uuid, mk->img.path, maker_free_clusters(mk),
	       mk->geo.total_clusters - mk->geo.md_clusters);
	for (uint32_t i = 0; i < mk->count; i++) {
		const struct source *s = &mk->sources[i];

		uuid_to_text(&s->uuid, uuid);
		printf("  %s/%s  %s  %s  %s\n", mk->store, s->name, uuid,
		       text_size(s->map->clusters * mk->geo.cluster_size, size),
		       s->file != NULL ? s->file : "empty");
	}
}

static void print_json(const struct maker *mk)
{
	json_t *o = json_object(), *volumes = json_array();
	char uuid[UUID_TEXT_SIZE];

	uuid_to_text(&mk->uuid, uuid);
	json_object_set_new(o, "name", text_json(mk->store));
	json_object_set_new(o, "uuid", json_string(uuid));
	json_object_set_new(o, "free_clusters", json_integer((json_int_t)maker_free_clusters(mk)));
	json_object_set_new(o, "added", json_boolean(mk->adds));
	for (uint32_t i = 0; i < mk->count; i++) {
		const struct source *s = &mk->sources[i];
		json_t *v = json_object();

		uuid_to_text(&s->uuid, uuid);
		json_object_set_new(v, "name", text_json(s->name));
		json_object_set_new(v, "uuid", json_string(uuid));
		json_object_set_new(
			v, "size_bytes",
			json_integer((json_int_t)(s->map->clusters * mk->geo.cluster_size)));
		json_object_set_new(v, "source",
				    s->file != NULL ? text_json(s->file) : json_null());
		json_array_append_new(volumes, v);
	}
	json_object_set_new(o, "lvols", volumes);
	json_dumpf(o, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(o);
}

static void free_maker(struct maker *mk)
{
	for (uint32_t i = 0; mk->sources != NULL && i < mk->count; i++)
		source_close(&mk->sources[i]);
	bit_array_destroy(mk->pages);
	bit_array_destroy(mk->fresh);
	bit_array_destroy(mk->ids);
	bit_array_destroy(mk->clusters);
	free(mk->piece);
	free(mk->sources);
	image_close(&mk->img);
}

static int open_sources(struct maker *mk, char **words, const struct create_options *o,
			struct error *err)
{
	int rc = 0;

	mk->sources = calloc(mk->count + 1u, sizeof(*mk->sources));
	if (mk->sources == NULL)
		return error_set(err, -ENOMEM, "no memory");
	for (uint32_t i = 0; i < mk->count; i++)
		mk->sources[i].data.fd = -1;
	for (uint32_t i = 0; i < mk->count && rc == 0; i++)
		rc = source_open(mk->sources, i, words[i], &o->source, err);
	return rc;
}

static int check_options(const struct create_options *o, const char *store, struct error *err)
{
	size_t len = strlen(store);

	if (len == 0 || len > LVOL_NAME)
		return error_set(err, -EINVAL,
				 "the store's name has %zu characters, 1 to %u are allowed", len,
				 LVOL_NAME);
	if (o->source.format != NULL && strcmp(o->source.format, "raw") != 0 &&
	    strcmp(o->source.format, "qcow2") != 0)
		return error_set(err, -EINVAL, "--format \"%.30s\": raw or qcow2",
				 o->source.format);
	return 0;
}

static int create(char **argv, uint32_t count, struct create_options *o, struct error *err)
{
	struct maker mk = { .store = argv[2], .img = { .fd = -1 }, .count = count };
	int rc = check_options(o, argv[2], err);

	tool_catch_interrupts();
	if (rc == 0)
		rc = open_sources(&mk, argv + 3, o, err);
	if (rc == 0)
		rc = open_image(&mk, argv[1], o, err);
	if (rc == 0 && !mk.adds)
		rc = plan(&mk, o, err);
	if (rc == 0)
		rc = check_sources(&mk, err);
	if (rc == 0)
		rc = mk.adds ? adder_run(&mk, err) : make_store(&mk, o, err);
	if (rc == 0)
		o->as_json ? print_json(&mk) : print_made(&mk);
	else if (o->made && mk.img.fd >= 0)
		unlink(argv[1]);
	free_maker(&mk);
	return rc;
}

int verb_create(const struct tool_verb *verb, int argc, char **argv)
{
	struct create_options o = { 0 };
	const struct option_row rows[] = {
		{ "size", 's', OPTION_SIZE, "SIZE", "make IMAGE, a file of this size", &o.size, 0,
		  0, NULL, NULL },
		{ "cluster-size", 'c', OPTION_SIZE, "SIZE", "of a cluster (4M)", &o.cluster_size,
		  BLOB_PAGE_BYTES, 1u << 30, NULL, NULL },
		{ "block-size", 'b', OPTION_SIZE, "SIZE",
		  "block size with which a file will be attached (512)", &o.block_size, 512, 4096,
		  NULL, NULL },
		{ "md-ratio", 'r', OPTION_U64, "PERCENT", "metadata pages for 100 clusters (100)",
		  &o.ratio, 1, RATIO_MAX, NULL, NULL },
		{ "md-page-size", 0, OPTION_SIZE, "SIZE", "of a metadata page (4096)",
		  &o.md_page_size, BLOB_PAGE_BYTES, BLOB_PAGE_BYTES_MAX, NULL, NULL },
		{ "thick", 't', OPTION_FLAG, NULL, "allocate every cluster of the volumes",
		  &o.source.thick, 0, 0, NULL, NULL },
		{ "format", 'f', OPTION_STRING, "FORMAT",
		  "raw or qcow2, of all files (default: look at their first bytes)",
		  &o.source.format, 0, 0, NULL, NULL },
		{ "allow-backing", 0, OPTION_FLAG, NULL,
		  "a qcow2 file may take content from other files of this node", &o.source.backing,
		  0, 0, NULL, NULL },
		{ "force", 0, OPTION_STRING, "SERIAL", "give up what is on IMAGE", &o.force, 0, 0,
		  NULL, NULL },
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON", &o.as_json, 0, 0, NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	int code = TOOL_EXIT_OK, words = tool_parse(verb, argc, argv, rows, &code);

	if (words < 0)
		return code;
	if (create(argv, (uint32_t)words - 2, &o, &err) < 0)
		code = tool_complain(&err);
	return tool_finish(code);
}

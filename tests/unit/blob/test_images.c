/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that a real SPDK 26.05 made, whole, cut and damaged, against the facts that were recorded
 * with them. They are found by CYBORG_SPDK_REFERENCE, or beside the repository; where there are
 * none the tests are skipped.
 *
 * Threading: a fiber on reactor 0.
 */
#include "blob_unit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "bdev_modules/uring.h"

#define READ_BYTES (1024u * 1024)

static char reference[512];
static char directory[] = "/tmp/blob-images-XXXXXX";
static const char *image_name;
static json_t *facts;

/* --- plumbing --------------------------------------------------------------------------------- */

static bool find_reference(void)
{
	const char *from = getenv("CYBORG_SPDK_REFERENCE");

	snprintf(reference, sizeof(reference), "%s/images",
		 from != NULL ? from : SOURCE_ROOT "/../shared/reference");
	return access(reference, R_OK) == 0;
}

static void unpack(const char *file, char *path, size_t size)
{
	char command[2048];

	snprintf(path, size, "%s/raw-%s", directory, file);
	snprintf(command, sizeof(command), "xz -dc '%s/%s' > '%s'", reference, file, path);
	assert_int_equal(system(command), 0);
}

static struct bdev *attach(const char *path, const char *name, uint32_t block, const char *uuid)
{
	struct bdev_uring_options options;
	struct error err = ERROR_INIT;
	struct bdev *bdev;

	bdev_uring_options_init(&options);
	options.name = name;
	options.filename = path;
	options.block_size = block;
	if (uuid != NULL)
		assert_int_equal(uuid_from_text(&options.uuid, uuid), 0);
	assert_done(bdev_uring_create(&options, &bdev, &err), err);
	return bdev;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static bool truth(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* The SHA-256 of all of a blob, read in pieces that cross clusters. */
static void content_hash(struct blob_store *store, struct blob *blob, uint32_t unit, uint64_t bytes,
			 char out[65])
{
	struct view *view = view_create(store, blob, unit);
	uint8_t *buffer = aligned_alloc(4096, READ_BYTES);
	char command[1024], path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/sum", directory);
	snprintf(command, sizeof(command), "sha256sum > '%s'", path);
	f = popen(command, "w");
	assert_non_null(f);
	for (uint64_t at = 0; at < bytes; at += READ_BYTES) {
		uint64_t n = bytes - at < READ_BYTES ? bytes - at : READ_BYTES;

		assert_int_equal(view_io(view, 0, BDEV_IO_READ, buffer, at, n), 0);
		assert_int_equal(fwrite(buffer, 1, n, f), n);
	}
	assert_int_equal(pclose(f), 0);
	f = fopen(path, "r");
	assert_int_equal(fread(out, 1, 64, f), 64);
	out[64] = '\0';
	fclose(f);
	free(buffer);
	view_delete(view);
}

/* --- external snapshots ----------------------------------------------------------------------- */

static int esnap_open(void *arg, const void *id, size_t len, struct bdev_desc **desc,
		      struct error *err)
{
	(void)arg;
	if (len != 37 || bdev_find(id) == NULL)
		return error_set(err, -ENODEV, "external snapshot %.*s is missing", (int)len,
				 (const char *)id);
	*desc = unit_open(id);
	return 0;
}

static void esnap_close(void *arg, struct bdev_desc *desc)
{
	(void)arg;
	bdev_close(desc);
}

/* --- comparing -------------------------------------------------------------------------------- */

struct by_name {
	struct blob_store *store;
	const char *name;
	uint64_t id;
	unsigned int damaged;
};

static bool has_name(struct blob_store *store, uint64_t id, const char *name)
{
	struct error err = ERROR_INIT;
	struct blob *blob;
	const char *value;
	uint16_t len;
	bool same;

	if (id == blob_store_super(store))
		return false;
	assert_done(blob_open(store, id, &blob, &err), err);
	value = blob_xattr_get(blob, "name", &len);
	same = value != NULL && strnlen(value, len) == strlen(name) &&
	       memcmp(value, name, strlen(name)) == 0;
	blob_close(blob);
	return same;
}

static bool look_at(const struct blob_summary *b, void *arg)
{
	struct by_name *n = arg;

	if (b->damage != 0) {
		assert_non_null(b->damage_text);
		assert_true(strlen(b->damage_text) > 8);
		n->damaged++;
	} else if (n->name != NULL && has_name(n->store, b->id, n->name)) {
		n->id = b->id;
	}
	return true;
}

static unsigned int count_damaged(struct blob_store *store)
{
	struct by_name n = { .store = store };

	blob_store_each(store, look_at, &n);
	return n.damaged;
}

static struct blob *open_by_name(struct blob_store *store, const char *name)
{
	struct by_name n = { .store = store, .name = name, .id = BLOB_ID_NONE };
	struct error err = ERROR_INIT;
	struct blob *blob;

	blob_store_each(store, look_at, &n);
	if (n.id == BLOB_ID_NONE)
		fail_msg("%s: no volume \"%s\"", image_name, name);
	assert_done(blob_open(store, n.id, &blob, &err), err);
	return blob;
}

static void check_parent(struct blob_store *store, const struct blob_info *info, const char *name)
{
	struct blob *parent;

	if (name == NULL) {
		assert_int_equal(info->parent, BLOB_ID_NONE);
		return;
	}
	parent = open_by_name(store, name);
	assert_int_equal(info->parent, blob_id(parent));
	blob_close(parent);
}

static void check_facts(struct blob_store *store, struct blob *blob, const json_t *lvol)
{
	struct blob_info info;
	uint16_t len;

	blob_info_get(blob, &info);
	assert_int_equal(info.thin, truth(lvol, "thin"));
	assert_int_equal(info.allocated_clusters, number(lvol, "num_allocated_clusters"));
	assert_int_equal(info.snapshot, truth(lvol, "is_snapshot"));
	assert_int_equal(info.clone, truth(lvol, "is_clone"));
	assert_int_equal(info.esnap_clone, truth(lvol, "is_esnap_clone"));
	assert_int_equal(info.degraded, truth(lvol, "is_degraded"));
	if (json_object_get(lvol, "read_only") != NULL)
		assert_int_equal(info.read_only, truth(lvol, "read_only"));
	/* Of degraded volumes SPDK tells neither. */
	if (json_object_get(lvol, "clones") != NULL) {
		assert_int_equal(info.children, json_array_size(json_object_get(lvol, "clones")));
		check_parent(store, &info, text(lvol, "base_snapshot"));
	}
	if (info.esnap_clone && text(lvol, "external_snapshot_name") != NULL)
		assert_string_equal(blob_esnap_id(blob, &len),
				    text(lvol, "external_snapshot_name"));
	if (blob_xattr_get(blob, "uuid", &len) != NULL)
		assert_string_equal(blob_xattr_get(blob, "uuid", &len), text(lvol, "uuid"));
}

static void check_content(struct blob_store *store, struct blob *blob, const json_t *lvol)
{
	struct blob_store_info si;
	struct blob_info info;
	char sum[65];

	blob_store_info_get(store, &si);
	blob_info_get(blob, &info);
	if (text(lvol, "sha256") == NULL)
		return;
	assert_int_equal(info.clusters * si.cluster_size, number(lvol, "size_bytes"));
	/* There are no bdevs without blocks. */
	if (info.clusters == 0)
		return;
	content_hash(store, blob, si.io_unit_size, number(lvol, "size_bytes"), sum);
	if (strcmp(sum, text(lvol, "sha256")) != 0)
		fail_msg("%s: content of \"%s\" differs", image_name, text(lvol, "name"));
}

static void check_volumes(struct blob_store *store, const json_t *lvols, const char *except,
			  bool all_facts)
{
	const json_t *lvol;
	size_t i;

	json_array_foreach (lvols, i, lvol) {
		struct blob *blob;
		char word[80];

		snprintf(word, sizeof(word), " %s ", text(lvol, "name"));
		if (except != NULL && strstr(except, word) != NULL)
			continue;
		blob = open_by_name(store, text(lvol, "name"));
		if (all_facts)
			check_facts(store, blob, lvol);
		check_content(store, blob, lvol);
		blob_close(blob);
	}
}

static void check_store(struct blob_store *store, const json_t *lvs, uint64_t free_clusters)
{
	struct blob_store_info info;

	blob_store_info_get(store, &info);
	assert_int_equal(info.data_clusters, number(lvs, "total_data_clusters"));
	if (free_clusters == 0)
		free_clusters = number(lvs, "free_clusters");
	assert_int_equal(info.free_clusters, free_clusters);
	assert_int_equal(info.cluster_size, number(lvs, "cluster_size"));
	assert_int_equal(info.io_unit_size, number(lvs, "block_size"));
	assert_int_equal(info.max_growable_size, number(lvs, "max_growable_size"));
}

/* A plain Blobstore, without volumes. */
static void check_blobs(struct blob_store *store, const json_t *golden)
{
	const json_t *item;
	struct blob_store_info si;
	size_t i;

	blob_store_info_get(store, &si);
	assert_int_equal(si.free_clusters, number(golden, "free_clusters"));
	assert_int_equal(blob_store_super(store), strtoull(text(golden, "super_blob"), NULL, 16));
	json_array_foreach (json_object_get(golden, "blobs"), i, item) {
		struct error err = ERROR_INIT;
		struct blob *blob;

		assert_done(blob_open(store, strtoull(text(item, "id"), NULL, 16), &blob, &err),
			    err);
		check_content(store, blob, item);
		blob_close(blob);
	}
}

/* --- what to expect --------------------------------------------------------------------------- */

/**
 * struct expectation - where SPDK's own answer is not the one to give
 * @refused: words of the refusal
 * @damaged: how many blobs are listed as damaged
 * @except: volumes that SPDK shows and that cannot be shown safely
 * @instead: where the right content stands, when SPDK gives none: a key, or another image
 * @free: free clusters, where SPDK counts too few
 */
static const struct expectation {
	const char *name;
	const char *refused;
	unsigned int damaged;
	const char *except;
	const char *instead;
	uint64_t free;
} expectations[] = {
	{ .name = "z1_super_crc", .refused = "checksum" },
	{ .name = "z4_truncated", .refused = "the device only" },
	{ .name = "z5_version4", .refused = "version 4" },
	{ .name = "z2_chain_crc", .damaged = 1 },
	{ .name = "z3_shared_cluster", .damaged = 3, .except = " b c cs " },
	{ .name = "z6_loop", .damaged = 1 },
	{ .name = "z7_ep_crc_dirty", .damaged = 1, .instead = "sibling" },
	{ .name = "z8_root_crc_dirty", .damaged = 1 },
	{ .name = "z9_superblob_crc", .damaged = 1, .instead = "sibling" },
	{ .name = "z10_next_out_of_range", .damaged = 1 },
	{ .name = "z11_desc_length", .damaged = 1 },
	/* SPDK's counter is too low after recovery, and what only the snapshot had stays in use. */
	{ .name = "x2_snap_cut2", .free = 59 },
	{ .name = "x7_del_cut3", .free = 58 },
	{ .name = "x9_delep_cut2", .free = 59 },
	{ .name = "d4_cluster_3M_not_pow2", .instead = "content_in_creating_process" },
	{ .name = "x13_snap_of_clone_cut2", .instead = "content_before_operation" },
	{ .name = "x15_shrink_cut2", .instead = "content_after_operation" },
	/* Refused as a store of volumes, since a name is too long; its blobs are sound. */
	{ .name = "q1_lvol_renamed_to_64_chars", .instead = "no" },
};

static const struct expectation *expectation_of(const char *name)
{
	static const struct expectation as_spdk;

	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		if (strcmp(expectations[i].name, name) == 0)
			return &expectations[i];
	}
	return &as_spdk;
}

/* The z images were made from one store: what one of them lost another tells. */
static const json_t *golden_of_sibling(void)
{
	static json_t *sibling;
	char path[800];

	snprintf(path, sizeof(path), "%s/z6_loop.json", reference);
	if (sibling == NULL)
		sibling = json_load_file(path, 0, NULL);
	assert_non_null(sibling);
	return json_object_get(json_object_get(sibling, "golden"), "lvols");
}

static const json_t *golden_of(const struct expectation *e)
{
	if (e->instead != NULL)
		return json_object_get(facts, e->instead);
	return json_object_get(facts, "golden");
}

static void check_loaded(struct blob_store *store, const struct expectation *e,
			 const json_t *golden)
{
	const json_t *stores = json_object_get(golden, "lvstores");

	assert_int_equal(count_damaged(store), e->damaged);
	if (e->instead != NULL && strcmp(e->instead, "sibling") == 0) {
		check_volumes(store, golden_of_sibling(), NULL, true);
		return;
	}
	if (json_object_get(golden, "blobs") != NULL) {
		check_blobs(store, golden);
		return;
	}
	if (json_array_size(stores) > 0)
		check_store(store, json_array_get(stores, 0), e->free);
	check_volumes(store, json_object_get(golden, "lvols"), e->except,
		      e->instead == NULL || stores != NULL);
}

static int load(struct bdev_desc *desc, struct blob_store **store, struct error *err)
{
	struct blob_store_options opts;

	blob_store_options_init(&opts);
	opts.esnap = (struct blob_esnap_ops){ .open = esnap_open, .close = esnap_close };
	return blob_store_load(desc, &opts, store, err);
}

/* Twice: the second load is a clean one, of what the first one's unload wrote. */
static void check_twice(struct bdev_desc *desc, const struct expectation *e, const json_t *golden)
{
	for (int round = 0; round < 2; round++) {
		struct error err = ERROR_INIT;
		struct blob_store *store;

		assert_done(load(desc, &store, &err), err);
		check_loaded(store, e, golden);
		assert_done(blob_store_unload(store, &err), err);
	}
}

static void check_refused(struct bdev_desc *desc, const struct expectation *e)
{
	struct error err = ERROR_INIT;
	struct blob_store *store;

	assert_true(load(desc, &store, &err) < 0);
	if (strstr(err.text, e->refused) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", image_name, err.text, e->refused);
}

static void check_image(void)
{
	const struct expectation *e = expectation_of(image_name);
	const json_t *backing = json_object_get(facts, "backing");
	const json_t *external = json_object_get(facts, "external_snapshot");
	char path[600], outside[600];
	struct bdev *bdev, *esnap = NULL;
	struct bdev_desc *desc;

	unpack(text(facts, "image"), path, sizeof(path));
	bdev = attach(path, "image", (uint32_t)number(backing, "block_size"), NULL);
	desc = unit_open("image");
	if (e->refused != NULL) {
		check_refused(desc, e);
	} else if (external != NULL) {
		check_twice(desc, e, json_object_get(facts, "golden_without_external"));
		unpack(text(external, "image"), outside, sizeof(outside));
		esnap = attach(outside, "outside", (uint32_t)number(external, "bs"),
			       text(external, "uuid"));
		check_twice(desc, e, golden_of(e));
	} else {
		check_twice(desc, e, golden_of(e));
	}
	bdev_close(desc);
	unit_delete_bdev(bdev);
	unlink(path);
	if (esnap != NULL)
		unit_delete_bdev(esnap);
}

static void test_image(void **state)
{
	char path[800];

	image_name = *state;
	snprintf(path, sizeof(path), "%s/%s.json", reference, image_name);
	facts = json_load_file(path, 0, NULL);
	assert_non_null(facts);
	unit_fiber(1, check_image);
	json_decref(facts);
}

static void test_no_reference(void **state)
{
	(void)state;
	print_message("no reference images at %s; set CYBORG_SPDK_REFERENCE\n", reference);
	skip();
}

static int run_all(void)
{
	struct CMUnitTest tests[128];
	struct dirent **files;
	int count = scandir(reference, &files, NULL, alphasort), failed;
	size_t n = 0;

	for (int i = 0; i < count && n < 128; i++) {
		char *dot = strstr(files[i]->d_name, ".json");

		if (dot == NULL)
			continue;
		*dot = '\0';
		tests[n++] = (struct CMUnitTest){ files[i]->d_name, test_image, NULL, NULL,
						  files[i]->d_name };
	}
	failed = _cmocka_run_group_tests("images", tests, n, NULL, NULL);
	for (int i = 0; i < count; i++)
		free(files[i]);
	free(files);
	return failed;
}

int main(void)
{
	const struct CMUnitTest none[] = { cmocka_unit_test(test_no_reference) };
	char command[600];
	int failed;

	if (!find_reference())
		return cmocka_run_group_tests(none, NULL, NULL);
	assert_non_null(mkdtemp(directory));
	failed = run_all();
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command) != 0 || failed != 0;
}

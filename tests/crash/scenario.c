/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that are cut.
 *
 * Most begin from a store that was just loaded clean, so that the mark that it is dirty is part of
 * what is cut, and have a bystander, a volume with content that nobody touches.
 *
 * Threading: see scenario.h.
 */
#include "scenario.h"

#include <string.h>

#define B CLUSTER_BLOCKS

static int bystander(struct run *r)
{
	int v = run_create(r, 4, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	run_put(r, v, 3, B);
	return v;
}

static void ready(struct run *r)
{
	run_reload(r);
	run_start(r);
}

/* Clusters with data that was deleted: whoever gets them must not show it. */
static void leave_old_data(struct run *r, uint64_t clusters)
{
	int v = run_create(r, clusters, 0, BLOB_CLEAR_NONE);

	run_put(r, v, 0, clusters * B);
	run_delete(r, v);
}

/* --- create and delete ------------------------------------------------------------------------ */

static void create_thick(struct run *r)
{
	bystander(r);
	leave_old_data(r, 6);
	ready(r);
	run_create(r, 5, 0, BLOB_CLEAR_DEFAULT);
	run_create(r, 3, CREATE_PADDED, BLOB_CLEAR_WRITE_ZEROES);
}

static void create_thin(struct run *r)
{
	bystander(r);
	ready(r);
	run_create(r, 5, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_create(r, 700, CREATE_THIN | CREATE_PADDED, BLOB_CLEAR_DEFAULT);
}

static void create_pages(struct run *r)
{
	bystander(r);
	ready(r);
	run_create(r, 520, 0, BLOB_CLEAR_DEFAULT);
}

static void delete_one(struct run *r)
{
	int a = run_create(r, 4, CREATE_PADDED, BLOB_CLEAR_DEFAULT), b;

	b = run_create(r, 4, CREATE_THIN, BLOB_CLEAR_WRITE_ZEROES);
	bystander(r);
	run_put(r, a, 0, 4 * B);
	run_put(r, b, B, 2 * B);
	ready(r);
	run_delete(r, a);
	run_delete(r, b);
}

static void delete_pages(struct run *r)
{
	int a = run_create(r, 520, 0, BLOB_CLEAR_DEFAULT);

	bystander(r);
	run_put(r, a, 510 * B, 10 * B);
	ready(r);
	run_delete(r, a);
}

/* What a deleted volume had is another's at once. */
static void reuse(struct run *r)
{
	int a = run_create(r, 5, 0, BLOB_CLEAR_DEFAULT), thin;

	thin = run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, a, 0, 5 * B);
	ready(r);
	run_delete(r, a);
	run_create(r, 3, 0, BLOB_CLEAR_DEFAULT);
	run_write(r, thin, 0, B + 2, 3, false);
	run_write(r, thin, 0, 4 * B, B, false);
	run_wait(r);
	run_flush(r, thin, 0);
}

/* What was deleted is cleared, and the first to use it are first writes. */
static void thin_reuse(struct run *r)
{
	int a = run_create(r, 5, 0, BLOB_CLEAR_DEFAULT), thin;

	thin = run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, a, 0, 5 * B);
	run_put(r, thin, 0, 1);
	ready(r);
	run_delete(r, a);
	run_write(r, thin, 0, B + 2, 3, false);
	run_wait(r);
	run_write(r, thin, 0, 3 * B, 1, false);
	run_write(r, thin, 1, 4 * B, B, true);
	run_wait(r);
	run_flush(r, thin, 0);
}

/* --- resize ----------------------------------------------------------------------------------- */

static void resize_up(struct run *r)
{
	int thick = run_create(r, 3, 0, BLOB_CLEAR_DEFAULT), thin;

	thin = run_create(r, 3, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	leave_old_data(r, 8);
	run_put(r, thick, 0, 3 * B);
	run_put(r, thin, 2 * B + 1, 2);
	ready(r);
	run_resize(r, thick, 7);
	run_write(r, thick, 0, 6 * B, 2, false);
	run_resize(r, thin, 9);
	run_wait(r);
	run_put(r, thin, 8 * B, 1);
}

static void resize_down(struct run *r)
{
	int thick = run_create(r, 7, 0, BLOB_CLEAR_DEFAULT), thin;

	thin = run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, thick, 0, 7 * B);
	run_put(r, thin, 0, 6 * B);
	ready(r);
	run_resize(r, thick, 3);
	run_resize(r, thin, 2);
	run_resize(r, thick, 6);
	run_resize(r, thin, 4);
	run_put(r, thin, 3 * B + 1, 1);
}

static void resize_up_pages(struct run *r)
{
	int thick = run_create(r, 510, 0, BLOB_CLEAR_DEFAULT);

	bystander(r);
	run_put(r, thick, 508 * B, 2 * B);
	ready(r);
	run_resize(r, thick, 516);
}

static void resize_down_pages(struct run *r)
{
	int thin = run_create(r, 1030, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	bystander(r);
	run_put(r, thin, 509 * B, 2 * B);
	run_put(r, thin, 600 * B, 2 * B);
	run_put(r, thin, 1028 * B, 2 * B);
	ready(r);
	run_resize(r, thin, 510);
	run_resize(r, thin, 514);
	run_put(r, thin, 513 * B, 3);
}

/* A clone that grows where its parent, or one further up, has something. */
static void resize_clone(struct run *r)
{
	int a = run_create(r, 6, 0, BLOB_CLEAR_DEFAULT), s, b, c;

	run_put(r, a, 0, 6 * B);
	leave_old_data(r, 4);
	s = run_snapshot(r, a);
	b = run_clone(r, s);
	c = run_clone(r, s);
	run_put(r, b, 4 * B, B);
	ready(r);
	run_resize(r, b, 3);
	run_resize(r, b, 7);
	run_put(r, b, 5 * B, 1);
	run_resize(r, c, 2);
	s = run_snapshot(r, c);
	run_resize(r, c, 5);
	run_delete(r, s);
	run_put(r, c, 3 * B, 1);
}

/* --- data ------------------------------------------------------------------------------------- */

static void thin_write(struct run *r)
{
	int a = run_create(r, 12, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	bystander(r);
	leave_old_data(r, 10);
	ready(r);
	run_write(r, a, 0, 2, 3, false);
	run_wait(r);
	run_write(r, a, 1, B, B, false);
	run_write(r, a, 0, 2 * B + 1, B, false);
	run_wait(r);
	run_flush(r, a, 0);
	run_write(r, a, 0, 2, 1, false);
	run_write(r, a, 1, 5 * B, 2, true);
	run_write(r, a, 0, 7 * B + 7, 2, false);
	run_wait(r);
	/* Durable is not only the data, but also that the cluster is the volume's. */
	run_write(r, a, 0, 10 * B, 1, false);
	run_wait(r);
	run_write(r, a, 0, 10 * B + 2, 1, true);
	run_wait(r);
	run_flush(r, a, 0);
}

static void thin_write_pages(struct run *r)
{
	int a = run_create(r, 1100, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	bystander(r);
	leave_old_data(r, 6);
	ready(r);
	run_write(r, a, 0, 511 * B + 4, B, false);
	run_wait(r);
	run_write(r, a, 0, 1024 * B, 2, true);
	run_write(r, a, 0, 3 * B, 2, false);
	run_wait(r);
	run_flush(r, a, 0);
}

static void unmap(struct run *r)
{
	int a = run_create(r, 8, CREATE_THIN, BLOB_CLEAR_DEFAULT), thick;

	thick = run_create(r, 4, 0, BLOB_CLEAR_DEFAULT);
	run_put(r, a, 0, 8 * B);
	run_put(r, thick, 0, 4 * B);
	ready(r);
	run_unmap(r, a, 0, B, 2 * B);
	run_unmap(r, thick, 0, B, B);
	run_wait(r);
	run_write(r, a, 0, B + 1, 2, false);
	run_wait(r);
	run_flush(r, a, 0);
	run_unmap(r, a, 0, 4 * B + 2, 2 * B);
	run_unmap(r, thick, 0, 3, 2);
	run_wait(r);
	run_flush(r, a, 0);
	run_create(r, 2, 0, BLOB_CLEAR_DEFAULT);
}

static void write_zeroes(struct run *r)
{
	int a = run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT), b;

	run_put(r, a, 0, 4 * B);
	b = run_clone(r, run_snapshot(r, a));
	ready(r);
	run_zeroes(r, a, 0, 2, B);
	run_zeroes(r, b, 0, B, 2 * B);
	run_wait(r);
	run_flush(r, b, 0);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshot(struct run *r)
{
	int thick = run_create(r, 4, CREATE_PADDED, BLOB_CLEAR_DEFAULT), thin;

	thin = run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, thick, 0, 4 * B);
	run_put(r, thin, B, 2 * B);
	ready(r);
	run_write(r, thin, 0, 4 * B, 2, false);
	run_snapshot(r, thin);
	run_write(r, thin, 0, B + 1, 2, false);
	run_snapshot(r, thick);
	run_wait(r);
	run_flush(r, thin, 0);
	run_snapshot(r, thin);
	run_put(r, thin, 2 * B, 1);
}

static void make_clones(struct run *r)
{
	int a = run_create(r, 5, 0, BLOB_CLEAR_DEFAULT), s, c;

	run_put(r, a, 0, 5 * B);
	s = run_snapshot(r, a);
	ready(r);
	c = run_clone(r, s);
	run_put(r, c, B + 3, B);
	run_clone(r, s);
	run_delete(r, c);
}

/* A clone with two levels above it, each with clusters of its own. */
static int tree(struct run *r, int *lower)
{
	int a = run_create(r, 8, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	run_put(r, a, 0, 3 * B);
	*lower = run_snapshot(r, a);
	run_put(r, a, 2 * B, 2 * B);
	*lower = run_snapshot(r, a);
	run_put(r, a, 3 * B + 1, B);
	return a;
}

static void inflate(struct run *r)
{
	int lower, a = tree(r, &lower);

	leave_old_data(r, 6);
	ready(r);
	run_write(r, a, 0, B, 1, false);
	run_inflate(r, a);
	run_wait(r);
	run_flush(r, a, 0);
	run_delete(r, lower);
}

static void decouple(struct run *r)
{
	int lower, a = tree(r, &lower);

	ready(r);
	run_write(r, a, 0, 6 * B, 1, false);
	run_decouple(r, a);
	run_wait(r);
	run_put(r, a, 0, 1);
}

static void delete_snapshot(struct run *r)
{
	int lower, a = tree(r, &lower);

	ready(r);
	run_write(r, a, 0, 7 * B, 2, false);
	run_delete(r, lower);
	run_put(r, a, B, 2);
	run_delete(r, model_now(r->model)->volume[a].parent);
	run_create(r, 3, 0, BLOB_CLEAR_DEFAULT);
}

/* The clone has an extent page that the snapshot lacks, and the other way round. */
static void delete_snapshot_pages(struct run *r)
{
	int a = run_create(r, 1100, CREATE_THIN, BLOB_CLEAR_DEFAULT), s;

	run_put(r, a, 0, B);
	run_put(r, a, 600 * B, B);
	s = run_snapshot(r, a);
	run_put(r, a, B, B);
	run_put(r, a, 1030 * B, B);
	ready(r);
	run_delete(r, s);
	run_put(r, a, 601 * B, 1);
}

static void set_parent(struct run *r)
{
	int a = run_create(r, 4, 0, BLOB_CLEAR_DEFAULT), b, sa, sb, c;

	b = run_create(r, 4, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, a, 0, 4 * B);
	run_put(r, b, B, 2 * B);
	sa = run_snapshot(r, a);
	sb = run_snapshot(r, b);
	c = run_clone(r, sa);
	run_put(r, c, 3 * B, 2);
	ready(r);
	run_set_parent(r, c, sb);
	run_put(r, c, 2 * B, 1);
	run_set_parent(r, c, sa);
}

/* --- what SPDK wrote, and what lies elsewhere --------------------------------------------------
 */

static void external(struct run *r)
{
	int a = run_create(r, 7, CREATE_EXTERNAL, BLOB_CLEAR_DEFAULT), s, c;

	bystander(r);
	leave_old_data(r, 6);
	run_put(r, a, B + 1, B);
	ready(r);
	run_create(r, 3, CREATE_EXTERNAL, BLOB_CLEAR_DEFAULT);
	run_write(r, a, 0, 3 * B, 2, false);
	s = run_snapshot(r, a);
	run_wait(r);
	run_put(r, a, 4 * B, B);
	c = run_clone(r, s);
	run_set_external(r, c);
	run_put(r, c, 2, 3);
	run_delete(r, s);
	run_resize(r, c, 2);
	run_resize(r, c, 6);
	run_inflate(r, a);
}

static void runs(struct run *r)
{
	int a = run_create_runs(r, 12), s, c;

	bystander(r);
	leave_old_data(r, 6);
	run_put(r, a, B, 2 * B);
	run_put(r, a, 7 * B, B);
	ready(r);
	run_write(r, a, 0, 2 * B + 2, B, false);
	run_wait(r);
	run_flush(r, a, 0);
	run_unmap(r, a, 0, B, B);
	run_wait(r);
	run_flush(r, a, 0);
	s = run_snapshot(r, a);
	c = run_clone(r, s);
	run_put(r, a, 5 * B + 1, 2);
	run_resize(r, a, 6);
	run_put(r, a, 5 * B, 1);
	run_resize(r, a, 9);
	run_inflate(r, c);
	run_delete(r, s);
	run_delete(r, a);
}

/* --- small things ----------------------------------------------------------------------------- */

static void rename_it(struct run *r)
{
	int a = run_create(r, 2, 0, BLOB_CLEAR_DEFAULT), b;

	b = run_create(r, 2, CREATE_THIN | CREATE_PADDED, BLOB_CLEAR_DEFAULT);
	run_put(r, a, 0, 2 * B);
	run_put(r, b, 0, B);
	ready(r);
	run_rename(r, a);
	run_rename(r, b);
	run_rename(r, b);
}

/* What the root page says moves from sector to sector: no tear of it is one state or the other. */
static void xattrs(struct run *r)
{
	int a = run_create(r, 4, 0, BLOB_CLEAR_DEFAULT);

	bystander(r);
	run_put(r, a, 0, 4 * B);
	run_pad(r, a, 900);
	ready(r);
	run_pad(r, a, 1500);
	run_pad(r, a, 600);
	run_pad(r, a, 2600);
}

static void grow(struct run *r)
{
	int a = bystander(r);

	ready(r);
	run_grow(r);
	run_put(r, a, 2 * B, B);
	run_create(r, 1300, 0, BLOB_CLEAR_DEFAULT);
}

static void grow_at_load(struct run *r)
{
	int a = bystander(r);

	run_start(r);
	run_put(r, a, 0, 1);
	run_grow_at_load(r);
	run_put(r, a, 2 * B, B);
	run_create(r, 1300, CREATE_THIN, BLOB_CLEAR_DEFAULT);
}

static void set_super(struct run *r)
{
	int a = bystander(r), b = bystander(r);

	ready(r);
	run_set_super(r, a);
	run_put(r, a, 0, 1);
	run_set_super(r, b);
}

static void init(struct run *r)
{
	int a = bystander(r);

	run_set_super(r, a);
	leave_old_data(r, 6);
	ready(r);
	run_rename(r, a);
	run_destroy(r);
	run_init(r);
	a = run_create(r, 4, 0, BLOB_CLEAR_DEFAULT);
	run_put(r, a, B, 2 * B);
	run_init(r);
	a = run_create(r, 3, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	run_put(r, a, B + 1, 1);
}

static void read_only(struct run *r)
{
	int a = run_create(r, 3, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	bystander(r);
	run_put(r, a, 0, 2 * B);
	ready(r);
	run_read_only(r, a);
	run_clone(r, a);
}

static void unload(struct run *r)
{
	int a = bystander(r);

	run_start(r);
	run_put(r, a, 0, 1);
	run_reload(r);
	run_put(r, a, 2 * B, B);
	run_create(r, 2, 0, BLOB_CLEAR_DEFAULT);
	run_reload(r);
	run_delete(r, a);
}

/* --- random sequences ------------------------------------------------------------------------- */

#define RANDOM_VOLUMES 24
#define RANDOM_STEPS   24u

static const struct volume *volume(const struct run *r, int v)
{
	return &model_now(r->model)->volume[v];
}

/* A volume that is there and, if @to_write, can be written to; -1: none. */
static int pick(struct run *r, bool to_write)
{
	int count = (int)model_now(r->model)->count;
	int first = count == 0 ? 0 : (int)random_below(&r->random, (uint32_t)count);

	for (int i = 0; i < count; i++) {
		int v = (first + i) % count;

		if (volume(r, v)->there && !(to_write && volume(r, v)->read_only))
			return v;
	}
	return -1;
}

static unsigned int children(const struct run *r, int parent)
{
	unsigned int n = 0;

	for (int v = 0; v < (int)model_now(r->model)->count; v++)
		n += volume(r, v)->there && volume(r, v)->parent == parent;
	return n;
}

static bool may_add(const struct run *r)
{
	return model_now(r->model)->count < RANDOM_VOLUMES;
}

static void random_data(struct run *r)
{
	int v = pick(r, true);
	uint64_t blocks, block, len;
	unsigned int reactor = random_below(&r->random, KIT_REACTORS_MAX);
	uint32_t what = random_below(&r->random, 10);

	if (v < 0)
		return;
	blocks = volume(r, v)->clusters * B;
	block = random_next(&r->random) % blocks;
	len = 1 + random_below(&r->random, 2 * B);
	len = block + len > blocks ? blocks - block : len;
	if (what < 6)
		run_write(r, v, reactor, block, len, what == 0);
	else if (what < 7)
		run_zeroes(r, v, reactor, block, len);
	else if (what < 8)
		run_unmap(r, v, reactor, block / B * B, B);
	else if (what < 9)
		run_unmap(r, v, reactor, block, len);
	else
		run_flush(r, v, reactor);
}

static void random_create(struct run *r)
{
	static const enum blob_clear clears[] = { BLOB_CLEAR_DEFAULT, BLOB_CLEAR_NONE,
						  BLOB_CLEAR_UNMAP, BLOB_CLEAR_WRITE_ZEROES };
	unsigned int flags = random_below(&r->random, 4);

	if (random_one_in(&r->random, 5))
		flags |= CREATE_EXTERNAL;
	if (may_add(r) && random_one_in(&r->random, 5))
		run_create_runs(r, 1 + random_below(&r->random, 8));
	else if (may_add(r))
		run_create(r, 1 + random_below(&r->random, 8), flags,
			   clears[random_below(&r->random, 4)]);
}

static void random_delete(struct run *r)
{
	int v = pick(r, false);

	if (v > 0 && children(r, v) <= 1)
		run_delete(r, v);
}

static void random_resize(struct run *r)
{
	int v = pick(r, true);

	if (v < 0)
		return;
	run_wait(r);
	run_resize(r, v, 1 + random_below(&r->random, 10));
}

static void random_tree(struct run *r)
{
	int v = pick(r, true);

	if (v < 0)
		return;
	if (volume(r, v)->parent < 0) {
		if (may_add(r))
			run_snapshot(r, v);
	} else if (random_one_in(&r->random, 3)) {
		run_inflate(r, v);
	} else if (random_one_in(&r->random, 2)) {
		run_decouple(r, v);
	} else if (may_add(r)) {
		run_clone(r, volume(r, v)->parent);
	}
}

static void random_parent(struct run *r)
{
	int v = pick(r, true), p = pick(r, false), up;

	if (v < 0 || !volume(r, p)->read_only || !volume(r, v)->thin || r->own[v] == NULL ||
	    volume(r, v)->parent == p || volume(r, v)->clusters != volume(r, p)->clusters)
		return;
	for (up = p; up >= 0; up = volume(r, up)->parent) {
		if (up == v)
			return;
	}
	run_set_parent(r, v, p);
}

static void random_rest(struct run *r)
{
	int v = pick(r, true);

	if (random_one_in(&r->random, 6))
		run_reload(r);
	else if (v > 0 && random_one_in(&r->random, 4))
		run_read_only(r, v);
	else if (v >= 0)
		run_rename(r, v);
}

static void random_step(struct run *r)
{
	static void (*const steps[])(struct run * r) = {
		random_data,   random_data,   random_data,   random_data,
		random_create, random_tree,   random_resize, random_tree,
		random_parent, random_delete, random_rest,
	};

	steps[random_below(&r->random, sizeof(steps) / sizeof(steps[0]))](r);
}

/* Volume 0 stays, so that there is always one to flush through. */
static void random_steps(struct run *r)
{
	run_create(r, 6, CREATE_THIN, BLOB_CLEAR_DEFAULT);
	leave_old_data(r, 12);
	for (unsigned int i = 0; i < RANDOM_STEPS; i++)
		random_step(r);
	run_start(r);
	for (unsigned int i = 0; i < RANDOM_STEPS; i++)
		random_step(r);
	run_wait(r);
	run_flush(r, 0, 0);
}

/* ---------------------------------------------------------------------------------------------- */

const struct scenario scenarios[] = {
	{ "create-thick", "create thick volumes, one with many xattrs", create_thick, 1, false },
	{ "create-thin", "create thin volumes", create_thin, 1, false },
	{ "create-pages", "create a thick volume of two extent pages", create_pages, 1, false },
	{ "delete", "delete a thick and a thin volume", delete_one, 1, false },
	{ "delete-pages", "delete a volume of two extent pages", delete_pages, 1, false },
	{ "reuse", "delete, and use the clusters again at once", reuse, 1, false },
	{ "thin-reuse", "delete, and write into holes at once", thin_reuse, 2, false },
	{ "resize-up", "grow volumes", resize_up, 1, false },
	{ "resize-down", "shrink volumes and grow them again", resize_down, 1, false },
	{ "resize-clone", "shrink clones and grow them again", resize_clone, 1, false },
	{ "resize-up-pages", "grow a volume over the end of an extent page", resize_up_pages, 1,
	  false },
	{ "resize-down-pages", "shrink a volume by two extent pages", resize_down_pages, 1, false },
	{ "thin-write", "first writes into holes", thin_write, 2, false },
	{ "thin-write-pages", "first writes that need extent pages", thin_write_pages, 1, false },
	{ "unmap", "unmap whole and partial clusters", unmap, 1, false },
	{ "write-zeroes", "write zeroes over data, holes and a parent", write_zeroes, 1, false },
	{ "snapshot", "snapshots, with writes under way", snapshot, 1, false },
	{ "clone", "clones of a snapshot", make_clones, 1, false },
	{ "inflate", "inflate a clone", inflate, 1, false },
	{ "decouple", "decouple a clone", decouple, 1, false },
	{ "delete-snapshot", "delete snapshots that have a clone", delete_snapshot, 1, false },
	{ "delete-snapshot-pages", "the same over several extent pages", delete_snapshot_pages, 1,
	  false },
	{ "set-parent", "give a clone another parent", set_parent, 1, false },
	{ "external", "volumes that stand on an external snapshot", external, 1, false },
	{ "runs", "volumes with runs instead of extent pages", runs, 1, false },
	{ "rename", "change an xattr, on one page and on three", rename_it, 1, false },
	{ "xattrs", "xattrs that move what the root page says", xattrs, 1, true },
	{ "grow", "grow the store", grow, 1, false },
	{ "grow-at-load", "grow the store while it is loaded", grow_at_load, 1, false },
	{ "set-super", "change the root blob of the store", set_super, 1, false },
	{ "init", "destroy the store, make another, and one over that", init, 1, false },
	{ "read-only", "make a volume read-only", read_only, 1, false },
	{ "unload", "unload and load", unload, 1, false },
	{ "random", "a random sequence of all of them, from two channels", random_steps, 2, false },
};
const unsigned int scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario *scenario_find(const char *name)
{
	for (unsigned int i = 0; i < scenario_count; i++) {
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	}
	return NULL;
}
